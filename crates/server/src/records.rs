//! Records of requests as values, for the program that embeds the server.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use memtftp_proto::{Agreed, Kind, Mode, Outcome, Record};
use memtftp_store::Name;

use crate::hint::{Facts, Hint};
use crate::request_log::{self, LogFormat};
use crate::watched::{Unmet, Watched};

/// What happened to one request: what its line in the request log says, as a value.
///
/// Its `Display` is that line. A clone is cheap.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    record: Arc<Record>,
    local: Option<SocketAddr>,
    ended: SystemTime,
}

impl RequestRecord {
    /// `socket` is the address of our end.
    pub(crate) fn new(record: Arc<Record>, socket: Option<SocketAddr>) -> RequestRecord {
        let local = request_log::local(&record, socket);
        RequestRecord { record, local, ended: SystemTime::now() }
    }

    /// Whether it was a read, a write, or no request at all.
    pub fn kind(&self) -> Kind {
        self.record.kind
    }

    /// How it ended.
    pub fn outcome(&self) -> &Outcome {
        &self.record.outcome
    }

    /// Whether the whole file travelled; an upload is committed then.
    pub fn is_complete(&self) -> bool {
        self.record.outcome == Outcome::Complete
    }

    /// The address and port of the client.
    pub fn client(&self) -> SocketAddr {
        self.record.peer
    }

    /// The address and port of ours that answered, or that got the request if none did.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The file name as the client spelt it, with U+FFFD for what is not UTF-8. Empty if there was no
    /// valid request.
    pub fn file(&self) -> Cow<'_, str> {
        self.record
            .parse_request()
            .map_or(Cow::Borrowed(""), |request| String::from_utf8_lossy(request.name))
    }

    /// The file name as [`Server::get`](crate::Server::get) would understand it; `None` if it is no
    /// name.
    pub fn name(&self) -> Option<Name> {
        Name::parse(self.record.parse_request()?.name).ok()
    }

    /// The transfer mode; `None` if there was no valid request or its mode is unknown.
    pub fn mode(&self) -> Option<Mode> {
        self.record.parse_request()?.transfer_mode()
    }

    /// The options asked for, name and value as the client sent them, with U+FFFD for what is not
    /// UTF-8.
    pub fn asked(&self) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let request = self.record.parse_request();
        let pairs = request.into_iter().flat_map(|request| request.options.iter());
        pairs.map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The options of our OACK; none if there was no OACK.
    pub fn granted(&self) -> Vec<(&'static str, u64)> {
        let options = self.record.agreed.iter().flat_map(Agreed::options);
        options.map(|(option, value)| (option.name(), value)).collect()
    }

    /// Bytes that arrived at the other end, as they travelled.
    pub fn bytes(&self) -> u64 {
        self.record.bytes
    }

    /// Blocks that arrived at the other end.
    pub fn blocks(&self) -> u64 {
        self.record.blocks
    }

    /// From the request to its outcome.
    pub fn duration(&self) -> Duration {
        self.record.duration
    }

    /// Packets that the server sent again.
    pub fn retransmissions(&self) -> u32 {
        self.record.retransmissions
    }

    /// Times the client repeated the request while it was served.
    pub fn repeats(&self) -> u32 {
        self.record.repeats
    }

    /// What most likely went wrong, or could go better.
    pub fn hint(&self) -> Option<Hint> {
        Hint::of(&Facts::of(&self.record, request_log::reason(&self.record.outcome)))
    }

    /// The start of the datagram that asked, up to 516 bytes.
    pub fn datagram(&self) -> &[u8] {
        &self.record.request
    }

    /// When the outcome was known.
    pub fn ended(&self) -> SystemTime {
        self.ended
    }
}

impl fmt::Display for RequestRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = request_log::line(self.ended, &self.record, self.local, LogFormat::Text);
        f.write_str(line.trim_end())
    }
}

/// The newest records, for who looks at them later. A handle: clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    kept: Arc<Watched<Kept>>,
    /// How many are kept, at most.
    room: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the oldest one, all that ever were counted.
    first: u64,
    records: VecDeque<RequestRecord>,
}

impl Records {
    /// Room for `room` records.
    pub(crate) fn new(room: usize) -> Records {
        Records { kept: Arc::default(), room }
    }

    /// Adds one; the oldest goes if there is no room.
    pub(crate) fn add(&self, record: RequestRecord) {
        let dropped = self.kept.change(|kept| {
            kept.records.push_back(record);
            let full = kept.records.len() > self.room;
            kept.first += u64::from(full);
            if full { kept.records.pop_front() } else { None }
        });
        drop(dropped);
    }

    /// Those that are kept, oldest first.
    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.kept.change(|kept| kept.records.iter().cloned().collect())
    }

    /// The same, and keeps them no longer.
    pub(crate) fn take(&self) -> Vec<RequestRecord> {
        self.kept.change(|kept| {
            kept.first += kept.records.len() as u64;
            kept.records.drain(..).collect()
        })
    }

    /// Shows `wanted` each record once, those kept and those that come, until it takes one.
    pub(crate) fn wait(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(&RequestRecord) -> bool,
    ) -> Result<RequestRecord, Unmet> {
        let started = Instant::now();
        let mut next = 0;
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            // `wanted` is the caller's and may take its time, so not under the lock.
            let new = self.kept.wait(left, |kept| kept.since(&mut next))?;
            if let Some(found) = new.into_iter().find(|record| wanted(record)) {
                return Ok(found);
            }
        }
    }

    /// No record will follow.
    pub(crate) fn end(&self) {
        self.kept.end();
    }
}

impl Kept {
    /// Those from number `next` on, which moves behind them; `None` if there are none.
    fn since(&mut self, next: &mut u64) -> Option<Vec<RequestRecord>> {
        let end = self.first + self.records.len() as u64;
        let seen = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        *next = end;
        let new: Vec<_> = self.records.iter().skip(seen).cloned().collect();
        (!new.is_empty()).then_some(new)
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
