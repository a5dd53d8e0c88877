//! How a server is doing, as a value.

mod gather;
#[cfg(unix)]
pub(crate) mod socket;
mod text;

use std::collections::BTreeMap;

use memtftp_proto::{Progress, Snapshot};
use serde::{Deserialize, Serialize};

pub(crate) use gather::{Gauge, Report};

/// Sessions that are shown at most, those that run longest.
pub const MAX_STATUS_SESSIONS: usize = 64;

/// What a server is doing and has done, at one moment. It is also what the status socket tells, as
/// JSON with these names, and its `Display` is what `memtftp status` prints.
///
/// Each worker answers for itself, so the numbers of two workers may be some milliseconds apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The version of the server.
    pub version: String,
    /// Milliseconds since it was started.
    pub uptime_ms: u64,
    /// Worker threads.
    pub workers: usize,
    /// Those among them that have answered in time; the numbers are theirs.
    pub workers_answered: usize,
    /// The transfers under way.
    pub open: Open,
    /// What has happened since the start.
    pub totals: Totals,
    /// How fast it goes.
    pub rates: Rates,
    /// Who was told no, by reason. A limit that can be set has the name of its flag. All reasons are
    /// here, also those that never applied.
    pub refused: BTreeMap<String, u64>,
    /// Datagrams and requests that got no answer, by reason, likewise.
    pub dropped: BTreeMap<String, u64>,
    /// The memory for files.
    pub memory: Memory,
    /// What the request log does not show.
    pub request_log: Unlogged,
    /// Names that were asked for most and are not there, the most frequent first, up to 64. A name
    /// stands as in the request log.
    pub missed: Vec<MissedFile>,
    /// The sessions that run longest, the oldest first, up to [`MAX_STATUS_SESSIONS`].
    pub sessions: Vec<SessionStatus>,
    /// How many more there are.
    pub more_sessions: usize,
}

/// Transfers under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Open {
    /// All of them.
    pub sessions: usize,
    /// Those whose client has not answered the first packet yet.
    pub half_open: usize,
    /// Those that are uploads.
    pub uploads: usize,
    /// Finished ones that are remembered for packets that come late.
    pub lingering: usize,
}

/// What has happened since the start, the sessions under way included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Reads and writes that were asked for.
    pub requests: u64,
    /// Those whose outcome is known, by outcome as in the request log.
    pub outcomes: BTreeMap<String, u64>,
    /// Bytes of files that have arrived at readers, as they travelled.
    pub bytes_sent: u64,
    /// Bytes of files that writers have sent, as they travelled.
    pub bytes_received: u64,
    /// Packets that were sent again.
    pub retransmissions: u64,
    /// Packets that the system would not send; they were lost, and sent again if it mattered.
    pub unsent: u64,
    /// Finished sessions that were forgotten early because there were too many.
    pub forgotten: u64,
}

/// How fast it goes: means since the status was asked for before, if that was at least a second
/// ago, else since the time before that; at first since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    /// Over how many milliseconds.
    pub over_ms: u64,
    /// Requests a second.
    pub requests: f64,
    /// Bytes sent a second, as in [`Totals::bytes_sent`].
    pub bytes_sent: f64,
    /// Bytes received a second.
    pub bytes_received: f64,
}

/// The memory for files, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Memory {
    /// What there is.
    pub budget: u64,
    /// What is used: the sum of the next three.
    pub used: u64,
    /// Files.
    pub files: u64,
    /// Uploads in flight.
    pub uploads: u64,
    /// Replaced and removed files that are still being read.
    pub replaced: u64,
    /// How many files there are.
    pub file_count: usize,
}

/// Lines that the request log does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unlogged {
    /// They came faster than they could be written.
    pub lost: u64,
    /// They are counted in a `kind=summary` line: see `--max-unrecognized`.
    pub max_unrecognized: u64,
}

/// A name that was asked for and is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MissedFile {
    /// The name, as in the request log.
    pub file: String,
    /// How often, at most.
    pub count: u64,
    /// How much less it may be.
    pub over: u64,
}

/// A transfer under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionStatus {
    /// `read` or `write`.
    pub kind: String,
    /// The client's address and port.
    pub client: String,
    /// The name, as in the request log.
    pub file: String,
    /// Bytes that have arrived at the other end, as they travelled.
    pub bytes: u64,
    /// How many there will be, if that is known. A writer may announce anything.
    pub total: Option<u64>,
    /// Bytes a second since it began.
    pub rate: u64,
    /// Packets that were sent again.
    pub retransmissions: u32,
    /// Milliseconds since the request.
    pub age_ms: u64,
    /// The client has not answered the first packet yet.
    pub half_open: bool,
}

impl SessionStatus {
    fn new(progress: &Progress) -> SessionStatus {
        let request = memtftp_proto::Packet::parse(&progress.request);
        let file = match request {
            Ok(memtftp_proto::Packet::Read(request) | memtftp_proto::Packet::Write(request)) => {
                crate::request_log::escape(request.name)
            }
            _ => String::new(),
        };
        let kind = if progress.kind == memtftp_proto::Kind::Write { "write" } else { "read" };
        let rate = progress.bytes as f64 / progress.age.as_secs_f64().max(1e-3);
        SessionStatus {
            kind: kind.to_owned(),
            client: progress.peer.to_string(),
            file,
            bytes: progress.bytes,
            total: progress.total,
            rate: rate as u64,
            retransmissions: progress.retransmissions,
            age_ms: millis(progress.age),
            half_open: progress.half_open,
        }
    }
}

impl Open {
    fn add(&mut self, snapshot: &Snapshot) {
        self.sessions += snapshot.live;
        self.half_open += snapshot.half_open;
        self.uploads += snapshot.uploads;
        self.lingering += snapshot.lingering;
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
