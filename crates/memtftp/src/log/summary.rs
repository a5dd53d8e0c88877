//! What is known after the last line.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use memtftp_server::{Ending, Hint, Kind, LineError, LoggedRequest};

use crate::log::tally::Tally;

/// Clients, and files, that are told apart.
const MAX_KEYS: usize = 4_096;

/// Clients, and files, that are told apart for one cause.
const MAX_KEYS_OF_CAUSE: usize = 128;

/// Causes that are told apart: clients choose their words. Others with the same outcome count as one.
const MAX_CAUSES: usize = 64;

/// Transfers that are kept as the slowest.
const SLOWEST: usize = 3;

/// Lines that are named, of those that could not be read.
const MAX_NAMED: usize = 5;

/// Everything that the report says.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) first: Option<SystemTime>,
    pub(crate) last: Option<SystemTime>,
    pub(crate) endings: BTreeMap<Ending, u64>,
    /// Bytes of files that travelled whole.
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    /// Requests of each client.
    pub(crate) clients: Tally<IpAddr>,
    /// Transfers of each client that came to their end.
    pub(crate) served: Tally<IpAddr>,
    /// Requests of each client that failed, and of each file.
    pub(crate) failed_clients: Tally<IpAddr>,
    pub(crate) failed_files: Tally<String>,
    /// The same with why.
    pub(crate) client_causes: Tally<(IpAddr, Cause)>,
    pub(crate) file_causes: Tally<(String, Cause)>,
    pub(crate) findings: HashMap<Cause, Finding>,
    /// The longest transfers that came to their end, longest first.
    pub(crate) slowest: Vec<LoggedRequest>,
    /// Lines that the server could not write.
    pub(crate) lost: u64,
    /// Datagrams without service that the server has only counted.
    pub(crate) unlisted: u64,
    pub(crate) torn: Unread,
    pub(crate) foreign: Unread,
}

/// Lines that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    pub(crate) count: u64,
    /// The first of them, as `FILE:LINE`.
    pub(crate) first: Vec<String>,
}

/// Why a request failed, or what could go better.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cause {
    Hint(Hint),
    /// What we or the client said when it ended, if there is no hint; empty for all that found no
    /// room.
    Said(Ending, String),
}

/// What is known of one cause.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) requests: u64,
    /// One of them failed.
    pub(crate) failed: bool,
    pub(crate) blocks: u64,
    /// Packets that were sent again.
    pub(crate) retransmissions: u64,
    pub(crate) last: SystemTime,
    pub(crate) clients: Tally<IpAddr>,
    pub(crate) files: Tally<String>,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary {
            first: None,
            last: None,
            endings: BTreeMap::new(),
            bytes_read: 0,
            bytes_written: 0,
            clients: Tally::new(MAX_KEYS),
            served: Tally::new(MAX_KEYS),
            failed_clients: Tally::new(MAX_KEYS),
            failed_files: Tally::new(MAX_KEYS),
            client_causes: Tally::new(MAX_KEYS),
            file_causes: Tally::new(MAX_KEYS),
            findings: HashMap::new(),
            slowest: Vec::new(),
            lost: 0,
            unlisted: 0,
            torn: Unread::default(),
            foreign: Unread::default(),
        }
    }
}

impl Summary {
    /// Takes a request into account.
    pub(crate) fn add(&mut self, request: &LoggedRequest) {
        let client = request.client.ip().to_canonical();
        self.first = Some(self.first.map_or(request.time, |first| first.min(request.time)));
        self.last = Some(self.last.map_or(request.time, |last| last.max(request.time)));
        *self.endings.entry(request.ending).or_default() += 1;
        self.clients.add(&client);
        if request.ending == Ending::Ok {
            self.add_served(client, request);
        }
        let Some(cause) = cause(request) else { return };
        if request.ending.is_failure() {
            self.failed_clients.add(&client);
            self.client_causes.add(&(client, cause.clone()));
            if request.kind != Kind::Unrecognized {
                self.failed_files.add(&request.file);
                self.file_causes.add(&(request.file.clone(), cause.clone()));
            }
        }
        self.finding(cause, request.time).add(client, request);
    }

    /// The server could not write so many lines.
    pub(crate) fn add_lost(&mut self, lines: u64) {
        self.lost = self.lost.saturating_add(lines);
    }

    /// So many datagrams without service have no line of their own.
    pub(crate) fn add_unlisted(&mut self, lines: u64) {
        self.unlisted = self.unlisted.saturating_add(lines);
    }

    /// A line tells nothing.
    pub(crate) fn add_unread(&mut self, path: &Path, number: u64, error: LineError) {
        let unread = match error {
            LineError::Torn => &mut self.torn,
            LineError::Foreign => &mut self.foreign,
        };
        unread.count += 1;
        if unread.first.len() < MAX_NAMED {
            unread.first.push(format!("{}:{number}", path.display()));
        }
    }

    /// All requests.
    pub(crate) fn requests(&self) -> u64 {
        self.endings.values().sum()
    }

    fn add_served(&mut self, client: IpAddr, request: &LoggedRequest) {
        self.served.add(&client);
        let bytes = match request.kind {
            Kind::Write => &mut self.bytes_written,
            _ => &mut self.bytes_read,
        };
        *bytes = bytes.saturating_add(request.bytes);
        let slower = |known: &LoggedRequest| known.duration >= request.duration;
        let place = self.slowest.partition_point(slower);
        if place < SLOWEST {
            self.slowest.insert(place, request.clone());
            self.slowest.truncate(SLOWEST);
        }
    }

    fn finding(&mut self, cause: Cause, time: SystemTime) -> &mut Finding {
        let full = self.findings.len() >= MAX_CAUSES && !self.findings.contains_key(&cause);
        let cause = match cause {
            Cause::Said(ending, _) if full => Cause::Said(ending, String::new()),
            other => other,
        };
        self.findings.entry(cause).or_insert_with(|| Finding {
            requests: 0,
            failed: false,
            blocks: 0,
            retransmissions: 0,
            last: time,
            clients: Tally::new(MAX_KEYS_OF_CAUSE),
            files: Tally::new(MAX_KEYS_OF_CAUSE),
        })
    }
}

impl Finding {
    fn add(&mut self, client: IpAddr, request: &LoggedRequest) {
        self.requests += 1;
        self.failed |= request.ending.is_failure();
        self.blocks = self.blocks.saturating_add(request.blocks);
        self.retransmissions = self.retransmissions.saturating_add(request.retransmissions);
        self.last = self.last.max(request.time);
        self.clients.add(&client);
        if request.kind != Kind::Unrecognized {
            self.files.add(&request.file);
        }
    }
}

/// Why it failed, or what could go better; `None` if all is well.
fn cause(request: &LoggedRequest) -> Option<Cause> {
    if let Some(hint) = request.hint() {
        return Some(Cause::Hint(hint));
    }
    if !request.ending.is_failure() {
        return None;
    }
    let said = match (request.ending, request.code) {
        (Ending::Aborted, Some(code)) if request.text.is_empty() => {
            format!("the client ended it with error {code} and no text")
        }
        (Ending::Aborted, Some(code)) => {
            format!("the client ended it with error {code}: {}", request.text)
        }
        _ => request.reason.clone(),
    };
    Some(Cause::Said(request.ending, said))
}

#[cfg(test)]
mod tests {
    use memtftp_server::LogLine;

    use super::*;

    fn request(rest: &str) -> LoggedRequest {
        let line = format!("time=2026-03-01T12:00:00.500Z {rest} retransmissions=0 repeats=0");
        match LogLine::parse(&line) {
            Ok(LogLine::Request(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_clients_say_cannot_fill_the_memory() {
        let mut summary = Summary::default();
        for number in 0..10_000_u32 {
            let ip = IpAddr::from(number.to_be_bytes());
            summary.add(&request(&format!(
                "kind=read outcome=aborted client={ip}:2000 code=0 text={number} file=f{number}"
            )));
        }
        let last = [(Ending::Aborted, 10_000)];
        assert!(summary.endings.iter().map(|(ending, count)| (*ending, *count)).eq(last));
        assert!(summary.findings.len() <= MAX_CAUSES + 1);
        let rest = &summary.findings[&Cause::Said(Ending::Aborted, String::new())];
        assert_eq!(rest.requests, 10_000 - MAX_CAUSES as u64);
        assert!(rest.clients.len() <= MAX_KEYS_OF_CAUSE && rest.files.len() <= MAX_KEYS_OF_CAUSE);
        assert!(summary.clients.len() <= MAX_KEYS && summary.file_causes.len() <= MAX_KEYS);
    }

    #[test]
    fn the_longest_transfers_are_the_slowest() {
        let mut summary = Summary::default();
        for millis in [5, 900, 20, 4_000, 1] {
            summary.add(&request(&format!(
                "kind=read outcome=ok client=192.0.2.1:2000 bytes=10 duration_ms={millis}"
            )));
        }
        let slowest: Vec<u128> =
            summary.slowest.iter().map(|request| request.duration.as_millis()).collect();
        assert_eq!(slowest, [4_000, 900, 20]);
        assert_eq!((summary.bytes_read, summary.bytes_written), (50, 0));
    }
}
