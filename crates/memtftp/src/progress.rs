//! How far a transfer is, on a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use memtftp_client::Progress;

/// While the size is known.
const BAR: &str =
    "{msg} {percent:>3}% [{bar:25}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left";
/// While it is not.
const SPINNER: &str = "{msg} {spinner} {bytes} {binary_bytes_per_sec}";
/// In the end.
const DONE: &str = "{msg} {bytes} in {elapsed}, {binary_bytes_per_sec}";

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

    /// Leaves a line about the whole.
    pub(crate) fn done(&self) {
        self.0.set_style(style(DONE));
        self.0.abandon();
    }

    /// Leaves nothing.
    pub(crate) fn failed(&self) {
        self.0.finish_and_clear();
    }
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
        for template in [BAR, SPINNER, DONE] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
