//! The arguments of `memtftp log`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueHint};
use jiff::{Span, SpanRelativeTo, Timestamp};

/// Flags of `memtftp log`.
#[derive(Debug, Args)]
pub(crate) struct LogFlags {
    /// Request logs, of either format; `-` is standard input, as in `zcat FILE.gz | memtftp log -`. Without
    /// FILE: the log of a server without --request-log
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Pass over what is older: a time like 2026-11-20T08:00:00Z, or how long ago, like 1h or 2d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<SystemTime>,

    /// Print one JSON object instead of words
    #[arg(long)]
    pub(crate) json: bool,
}

fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.into());
    }
    let ago = text.parse::<Span>().and_then(|span| {
        let ago = span.abs().to_duration(SpanRelativeTo::days_are_24_hours())?;
        Timestamp::now().checked_sub(ago)
    });
    ago.map(SystemTime::from)
        .map_err(|_| "give a time like 2026-11-20T08:00:00Z, or how long ago, like 1h or 2d".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_or_how_long_ago() {
        let fixed: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        assert_eq!(since("2026-11-20T08:00:00Z"), Ok(fixed.into()));
        assert_eq!(since("2026-11-20T09:00:00+01:00"), Ok(fixed.into()));
        for (text, seconds) in [("90s", 90), ("1h", 3_600), ("2d", 172_800), ("1d12h", 129_600)] {
            let ago = since(text).unwrap().elapsed().unwrap();
            let expected = Duration::from_secs(seconds);
            assert!(ago >= expected && ago < expected + Duration::from_secs(60), "{text}: {ago:?}");
        }
        for text in ["", "yesterday", "5", "1y"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
