//! `memtftp log`: what the request log says, in words.

mod json;
mod report;
mod summary;
mod tally;

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memtftp_server::{LineError, LogLine};
use thiserror::Error;

use crate::cli::LogFlags;
use crate::log::summary::Summary;
use crate::state;

/// The longest line that is looked at, in bytes: several times the longest that a server writes.
const MAX_LINE: u64 = 64 << 10;

/// Why there is no summary. The operator must act.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    #[error("cannot read {}: {source}; give the file that the server names at its start as request log", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write standard output: {0}")]
    Output(io::Error),
}

/// Prints what the logs say.
pub(crate) fn run(flags: &LogFlags) -> Result<(), LogError> {
    let mut summary = Summary::default();
    let usual = [flags.files.is_empty().then(state::log_to_read)];
    for path in flags.files.iter().chain(usual.iter().flatten()) {
        let unreadable = |source| LogError::Unreadable { path: path.clone(), source };
        let mut source = open(path).map_err(unreadable)?;
        read(&mut *source, path, flags.since, &mut summary).map_err(unreadable)?;
    }
    let text =
        if flags.json { format!("{:#}\n", json::object(&summary)) } else { report::text(&summary) };
    match io::stdout().write_all(text.as_bytes()) {
        // As with `memtftp log FILE | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(LogError::Output),
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path)?)),
    })
}

/// Adds the lines of one log to the summary. One line at a time is in memory.
fn read(
    source: &mut dyn BufRead,
    path: &Path,
    since: Option<SystemTime>,
    summary: &mut Summary,
) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if io::Read::take(&mut *source, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        if !whole && line.len() as u64 == MAX_LINE {
            source.skip_until(b'\n')?;
        }
        let recent = |time: SystemTime| since.is_none_or(|since| time >= since);
        match LogLine::parse(&String::from_utf8_lossy(&line)) {
            // Its last value may be cut, so it tells nothing for sure.
            Ok(_) if !whole => summary.add_unread(path, number, LineError::Torn),
            Ok(LogLine::Request(request)) if recent(request.time) => summary.add(&request),
            Ok(LogLine::Lost { time, lines }) if recent(time) => summary.add_lost(lines),
            Ok(LogLine::Summary { time, lines }) if recent(time) => summary.add_unlisted(lines),
            Ok(_) => {}
            Err(error) => summary.add_unread(path, number, error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(log: &[u8]) -> Summary {
        let mut summary = Summary::default();
        read(&mut &log[..], Path::new("a.log"), None, &mut summary).unwrap();
        summary
    }

    const LOST: &str = "time=2026-03-01T12:00:00.500Z kind=lost lines=7";

    #[test]
    fn lines_that_tell_nothing_are_counted_and_named() {
        let log = format!("{LOST}\nhello\n{}\n\n{LOST}\n", &LOST[..40]);
        let summary = summary(log.as_bytes());
        assert_eq!((summary.lost, summary.torn.count, summary.foreign.count), (14, 1, 2));
        assert_eq!(summary.torn.first, ["a.log:3"]);
        assert_eq!(summary.foreign.first, ["a.log:2", "a.log:4"]);
    }

    /// `lines=7` may have been `lines=71`.
    #[test]
    fn the_last_line_is_torn_if_it_has_no_end() {
        let summary = summary(format!("{LOST}\n{LOST}").as_bytes());
        assert_eq!((summary.lost, summary.torn.count, summary.foreign.count), (7, 1, 0));
    }

    /// Without its end it may be anything.
    #[test]
    fn a_line_without_end_is_passed_over_in_pieces() {
        let long = vec![b'x'; 3 * MAX_LINE as usize + 5];
        let log = [LOST.as_bytes(), b"\n", &long, b"\n", LOST.as_bytes(), b"\n"].concat();
        let summary = summary(&log);
        assert_eq!((summary.lost, summary.foreign.count), (14, 1));
        assert_eq!(summary.foreign.first, ["a.log:2"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_foreign() {
        assert_eq!(summary(b"\xff\xfe\0\n\x80").foreign.count, 2);
    }
}
