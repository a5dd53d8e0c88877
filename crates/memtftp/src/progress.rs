//! How far a transfer is, on a terminal.

use std::io::{self, IsTerminal};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use memtftp_client::{Progress, Report};

/// While the size is known.
const BAR: &str =
    "{msg} {percent:>3}% [{bar:25}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left";
/// While it is not.
const SPINNER: &str = "{msg} {spinner} {bytes} {binary_bytes_per_sec}";

/// One line on standard error, if that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// For a file of this name.
    pub(crate) fn new(name: String, shown: bool) -> Bar {
        let shown = shown && io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_message(name);
        bar.set_style(style(SPINNER));
        Bar(bar)
    }

    /// Draws what it hears.
    pub(crate) fn listener(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let bar = self.0.clone();
        move |progress| {
            if let Some(total) = progress.total
                && bar.length() != Some(total)
            {
                bar.set_length(total);
                bar.set_style(style(BAR));
            }
            bar.set_position(progress.bytes);
        }
    }

    /// Leaves a line about the whole. It is the report's: this has watched a failed attempt, too.
    pub(crate) fn done(&self, report: &Report) {
        let line = format!("{} {}", self.0.message(), summary(report));
        self.0.println(line);
        self.0.finish_and_clear();
    }

    /// Leaves nothing.
    pub(crate) fn failed(&self) {
        self.0.finish_and_clear();
    }
}

/// How much, how long and how fast.
fn summary(report: &Report) -> String {
    let seconds = report.duration.as_secs_f64();
    let rate = (report.bytes as f64 / seconds.max(1e-6)) as u64;
    let time = if seconds < 10.0 { format!("{seconds:.3} s") } else { format!("{seconds:.0} s") };
    format!("{} in {time}, {}/s", BinaryBytes(report.bytes), BinaryBytes(rate))
}

fn style(template: &str) -> ProgressStyle {
    // Each is tested to be one.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn the_end_tells_the_rate_of_the_whole() {
        let report = |bytes, millis| {
            let peer = "192.0.2.1:1069".parse().unwrap();
            let duration = std::time::Duration::from_millis(millis);
            summary(&Report {
                peer,
                bytes,
                blksize: 512,
                windowsize: 1,
                retransmissions: 0,
                duration,
            })
        };
        assert_eq!(report(100 << 20, 250), "100.00 MiB in 0.250 s, 400.00 MiB/s");
        assert_eq!(report(0, 0), "0 B in 0.000 s, 0 B/s");
        assert_eq!(report(30_000, 30_000), "29.30 KiB in 30 s, 1000 B/s");
    }
}
