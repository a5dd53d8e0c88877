//! The status as people read it.

use std::collections::BTreeMap;
use std::fmt;

use bytesize::ByteSize;

use super::{MissedFile, SessionStatus, Status};

/// Missed names that are printed.
const MAX_PRINTED_NAMES: usize = 10;

/// The longest name in a column, in characters; of a longer one the end is shown.
const MAX_COLUMN: usize = 40;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = duration(self.uptime_ms);
        writeln!(f, "memtftp {}, up {up}, {} workers", self.version, self.workers)?;
        if self.workers_answered < self.workers {
            let silent = self.workers - self.workers_answered;
            writeln!(
                f,
                "  {silent} workers did not answer in time: they are not in these numbers"
            )?;
        }
        for (what, value) in [
            ("open", self.open()),
            ("requests", self.requests()),
            ("sent", traffic(self.totals.bytes_sent, self.rates.bytes_sent)),
            ("received", traffic(self.totals.bytes_received, self.rates.bytes_received)),
            ("rates", format!("over the last {}", duration(self.rates.over_ms))),
            ("packets", self.packets()),
            ("memory", self.memory()),
            ("refused", reasons(&self.refused)),
            ("dropped", reasons(&self.dropped)),
            ("request log", self.unlogged()),
        ] {
            writeln!(f, "  {what:<12} {value}")?;
        }
        self.missed(f)?;
        self.sessions(f)
    }
}

impl Status {
    fn open(&self) -> String {
        let open = &self.open;
        format!(
            "{} sessions: {} half-open, {} uploads; {} finished ones remembered, {} forgotten early",
            open.sessions, open.half_open, open.uploads, open.lingering, self.totals.forgotten
        )
    }

    fn requests(&self) -> String {
        let (totals, rates) = (&self.totals, &self.rates);
        let outcomes = reasons(&totals.outcomes);
        format!("{}, {:.1}/s: {outcomes}", totals.requests, rates.requests)
    }

    fn packets(&self) -> String {
        let (again, unsent) = (self.totals.retransmissions, self.totals.unsent);
        format!("{again} sent again, {unsent} that the system would not send")
    }

    fn memory(&self) -> String {
        let memory = &self.memory;
        format!(
            "{} of {}: {} files {}, uploads {}, replaced but still read {}",
            size(memory.used),
            size(memory.budget),
            memory.file_count,
            size(memory.files),
            size(memory.uploads),
            size(memory.replaced)
        )
    }

    fn unlogged(&self) -> String {
        let log = &self.request_log;
        format!("{} lines lost, {} counted in summaries", log.lost, log.max_unrecognized)
    }

    fn missed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missed.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n  missed  file")?;
        for MissedFile { file, count, over } in self.missed.iter().take(MAX_PRINTED_NAMES) {
            let sign = if *over > 0 { '~' } else { ' ' };
            writeln!(f, "{sign}{count:>7}  {file}")?;
        }
        and_more(f, self.missed.len().saturating_sub(MAX_PRINTED_NAMES))
    }

    fn sessions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sessions.is_empty() {
            return Ok(());
        }
        let header = ["kind", "client", "file", "done", "rate", "again", "age"].map(str::to_owned);
        let rows: Vec<[String; 7]> =
            std::iter::once(header).chain(self.sessions.iter().map(row)).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..7).map(width).collect();
        writeln!(f)?;
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        and_more(f, self.more_sessions)
    }
}

fn row(session: &SessionStatus) -> [String; 7] {
    let done = match session.total {
        _ if session.half_open => "not answered yet".to_owned(),
        Some(total) => format!("{} of {}", size(session.bytes), size(total)),
        None => size(session.bytes),
    };
    [
        session.kind.clone(),
        session.client.clone(),
        shortened(&session.file),
        done,
        format!("{}/s", size(session.rate)),
        session.retransmissions.to_string(),
        duration(session.age_ms),
    ]
}

fn and_more(f: &mut fmt::Formatter<'_>, more: usize) -> fmt::Result {
    if more > 0 { writeln!(f, "  and {more} more") } else { Ok(()) }
}

/// Those that are not zero.
fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    let list: Vec<String> = some.map(|(name, count)| format!("{count} {name}")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

fn traffic(bytes: u64, rate: f64) -> String {
    format!("{}, {}/s", size(bytes), size(rate as u64))
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// To a second from a minute on, to a tenth below.
fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}.{}s", seconds, millis / 100 % 10),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The end of a name tells more than its beginning.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    match name.char_indices().nth((length + 3).saturating_sub(MAX_COLUMN)) {
        Some((start, _)) if length > MAX_COLUMN => {
            format!("...{}", name.get(start..).unwrap_or_default())
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(age_ms: u64) -> SessionStatus {
        SessionStatus {
            kind: "read".into(),
            client: "192.0.2.7:2000".into(),
            file: "boot/a".into(),
            bytes: 1 << 20,
            total: Some(4 << 20),
            rate: 1 << 19,
            retransmissions: 3,
            age_ms,
            half_open: false,
        }
    }

    #[test]
    fn what_people_read() {
        let refused = [("not_found", 12), ("max_file", 0), ("memory", 1)];
        let status = Status {
            version: "1.2.3".into(),
            uptime_ms: 3_723_000,
            workers: 2,
            workers_answered: 1,
            refused: refused.map(|(name, count)| (name.to_owned(), count)).into(),
            missed: vec![MissedFile { file: "pxelinux.cfg/C0A8".into(), count: 7, over: 1 }],
            sessions: vec![session(2_000), SessionStatus { half_open: true, ..session(100) }],
            more_sessions: 3,
            ..Status::default()
        };
        let text = status.to_string();
        for line in [
            "memtftp 1.2.3, up 1h 2m, 2 workers",
            "  1 workers did not answer in time: they are not in these numbers",
            "  refused      1 memory, 12 not_found",
            "  dropped      none",
            "~      7  pxelinux.cfg/C0A8",
            "  read  192.0.2.7:2000  boot/a  1.0 MiB of 4.0 MiB  512.0 KiB/s  3      2.0s",
            "  read  192.0.2.7:2000  boot/a  not answered yet    512.0 KiB/s  3      0.1s",
            "  and 3 more",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn long_names_show_their_end() {
        let name = "x".repeat(100) + "/end";
        assert_eq!(shortened(&name).chars().count(), MAX_COLUMN);
        assert!(shortened(&name).starts_with("...x") && shortened(&name).ends_with("/end"));
        assert_eq!(shortened("short"), "short");
    }
}
