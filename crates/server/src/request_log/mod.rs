//! The request log: one line a request, apart from all other output.
//!
//! Workers hand records to a bounded queue and never wait; a thread of its own stamps, formats and
//! writes them. If the queue is full the record is lost, and the log itself says how many were.
//! Datagrams that got no service have so many lines a second, and one more that counts the rest.

mod allowance;
mod entry;
mod line;
mod lines;
mod out;
mod text;
mod writer;
#[cfg(test)]
mod writer_tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use jiff::Timestamp;
use memtftp_proto::{Kind, Outcome, Record};
use thiserror::Error;

use self::allowance::Allowance;
pub use entry::{LineError, LogLine, LoggedRequest};
pub(crate) use line::{local, reason};
pub(crate) use text::escape;
pub(crate) use writer::RequestLog;

use crate::records::{Records, RequestRecord};

/// Records that wait to be written, at most.
const QUEUE: usize = 32_768;

/// How long a worker that ends waits for room in the queue, and how long for all its records together.
const ROOM_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Where the request log goes and how a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLogConfig {
    /// Where it goes.
    pub target: LogTarget,
    /// How a line looks.
    pub format: LogFormat,
}

/// Where the request log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// The end of this file, which is made if it is missing.
    File(PathBuf),
}

/// How a line of the request log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs, values quoted where they have to be.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The request log cannot be opened. The operator must act.
#[derive(Debug, Error)]
#[error(
    "cannot open the request log {}: {source}; choose another with --request-log PATH, one that the \
     user of the server may write", path.display()
)]
pub struct LogError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// What the writer is told.
enum Message {
    Record(Arc<Record>, Option<SocketAddr>),
    /// There is something to count in a summary, or the file is to be opened again.
    Look,
}

/// Records that have no line of their own.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    /// They found the queue full or could not be written; this count only grows.
    lost: AtomicU64,
    /// So many of these the log says to be lost.
    said: AtomicU64,
    /// They came beyond the allowance; this count only grows.
    summarized: AtomicU64,
}

impl Unwritten {
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn summarized(&self) -> u64 {
        self.summarized.load(Ordering::Relaxed)
    }

    /// Counts a record that is lost.
    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of lost records of which the log says nothing yet.
    fn unsaid(&self) -> u64 {
        self.lost().saturating_sub(self.said.load(Ordering::Relaxed))
    }

    /// Takes that number to be said from now on. For the writer alone.
    fn say(&self) -> u64 {
        let count = self.unsaid();
        self.said.fetch_add(count, Ordering::Relaxed);
        count
    }

    /// A line that says so many to be lost was not written.
    fn not_said(&self, count: u64) {
        self.said.fetch_sub(count, Ordering::Relaxed);
    }
}

/// A record as the log writes it. `socket` is the address of our end.
pub(crate) fn line(
    time: SystemTime,
    record: &Record,
    socket: Option<SocketAddr>,
    format: LogFormat,
) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    line::Line::new(time, record, socket).format(format)
}

/// A worker's way to the log, and to the records that are kept for the embedding program.
#[derive(Clone)]
pub(crate) struct LogSender {
    queue: Option<Sender<Message>>,
    kept: Option<Records>,
    unwritten: Arc<Unwritten>,
    allowance: Allowance,
    /// When the last records are no longer waited with; `None` before the first of them.
    last_until: Option<Instant>,
}

impl LogSender {
    /// The queue to a writer, once for workers and once by itself, and the writer's end of it.
    fn new() -> (LogSender, Sender<Message>, Receiver<Message>) {
        let (queue, messages) = crossbeam_channel::bounded(QUEUE);
        let sender = LogSender { queue: Some(queue.clone()), ..LogSender::none() };
        (sender, queue, messages)
    }

    /// For a server without a request log.
    pub(crate) fn none() -> LogSender {
        let (unwritten, allowance) = (Arc::default(), Allowance::default());
        LogSender { queue: None, kept: None, unwritten, allowance, last_until: None }
    }

    /// The same, and records are kept there, too.
    pub(crate) fn keeping(self, kept: Option<Records>) -> LogSender {
        LogSender { kept, ..self }
    }

    /// The same with so many lines a second for datagrams that got no service.
    pub(crate) fn allowing(self, per_second: u32) -> LogSender {
        LogSender { allowance: Allowance::new(per_second), ..self }
    }

    /// Hands over a record; never waits. `socket` is the address of our end.
    pub(crate) fn send(&mut self, record: Record, socket: Option<SocketAddr>) {
        let Some((queue, message)) = self.keep(record, socket) else { return };
        if let Err(TrySendError::Full(_)) = queue.try_send(message) {
            self.unwritten.lose();
        }
    }

    /// Hands over a record at the end of a worker, when no client waits for it any more: a full queue
    /// is waited for as long as it moves, but for no more than two seconds in all.
    pub(crate) fn send_last(&mut self, record: Record, socket: Option<SocketAddr>) {
        let now = Instant::now();
        let until = *self.last_until.get_or_insert(now + LAST_WAIT);
        let Some((queue, message)) = self.keep(record, socket) else { return };
        if queue.send_deadline(message, until.min(now + ROOM_WAIT)).is_err() {
            self.unwritten.lose();
            // Nobody takes lines any more.
            self.last_until = Some(now);
        }
    }

    pub(crate) fn unwritten(&self) -> Arc<Unwritten> {
        Arc::clone(&self.unwritten)
    }

    /// Keeps a record, if that is wanted; gives what is left for the log.
    fn keep(
        &mut self,
        record: Record,
        socket: Option<SocketAddr>,
    ) -> Option<(&Sender<Message>, Message)> {
        let is_written = self.queue.is_some() && self.has_line(&record);
        let record = (self.kept.is_some() || is_written).then(|| Arc::new(record))?;
        if let Some(kept) = &self.kept {
            kept.add(RequestRecord::new(Arc::clone(&record), socket));
        }
        let queue = self.queue.as_ref().filter(|_| is_written)?;
        Some((queue, Message::Record(record, socket)))
    }

    /// Whether a record has a line of its own, or else is counted in a summary. Looked at here, so
    /// that what nobody asked for never fills the queue that requests need.
    fn has_line(&mut self, record: &Record) -> bool {
        let got_service =
            record.kind != Kind::Unrecognized && !matches!(record.outcome, Outcome::Dropped(_));
        if got_service || self.allowance.take() {
            return true;
        }
        self.unwritten.summarized.fetch_add(1, Ordering::Relaxed);
        if let Some(queue) = self.queue.as_ref().filter(|_| self.allowance.is_first_over()) {
            // If the queue is full, the writer is at work and will see it by itself.
            let _ = queue.try_send(Message::Look);
        }
        false
    }
}
