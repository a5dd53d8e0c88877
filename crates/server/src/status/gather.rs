//! Asks the workers and puts together what they say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use memtftp_proto::{Counters, DropReason, RefusalReason, Snapshot};
use memtftp_store::Store;
use memtftp_udp::Waker;

use super::{
    MAX_STATUS_SESSIONS, Memory, MissedFile, Rates, SessionStatus, Status, Totals, Unlogged, millis,
};
use crate::missed::Missed;
use crate::request_log::{Unwritten, escape};
use crate::worker::{Command, MAX_COMMANDS};

/// How long the workers have to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The shortest time that rates are a mean of.
const LEAST_WINDOW: Duration = Duration::from_secs(1);

/// What one worker says of itself. It copies numbers and formats nothing.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) snapshot: Snapshot,
    pub(crate) counters: Counters,
    /// Bytes that uploads in flight hold of the budget.
    pub(crate) uploads: u64,
    /// Packets that could not be sent.
    pub(crate) unsent: u64,
    pub(crate) missed: Missed,
}

/// The way to the status of a server. A handle: clones share it.
#[derive(Clone)]
pub(crate) struct Gauge(Arc<Shared>);

struct Shared {
    workers: Vec<(Sender<Command>, Waker)>,
    store: Store,
    started: Instant,
    unwritten: Arc<Unwritten>,
    /// Held by who asks, so that no more than one question waits at a worker.
    looks: Mutex<Looks>,
}

/// What rates are measured from.
struct Looks {
    before: Look,
    last: Look,
}

#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    requests: u64,
    sent: u64,
    received: u64,
}

impl Gauge {
    pub(crate) fn new(
        workers: Vec<(Sender<Command>, Waker)>,
        store: Store,
        unwritten: Arc<Unwritten>,
    ) -> Gauge {
        let started = Instant::now();
        let begin = Look { at: started, requests: 0, sent: 0, received: 0 };
        let looks = Mutex::new(Looks { before: begin, last: begin });
        Gauge(Arc::new(Shared { workers, store, started, unwritten, looks }))
    }

    /// Asks every worker, and waits up to a second for their answers.
    pub(crate) fn status(&self) -> Status {
        let shared = &self.0;
        let mut looks = shared.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = shared.ask();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: millis(shared.started.elapsed()),
            workers: shared.workers.len(),
            workers_answered: reports.len(),
            ..Status::default()
        };
        // The names of all counters, also if no worker answers.
        status.count(&Counters::default());
        let (mut longest, mut missed, mut uploads) = (Vec::new(), Missed::default(), 0);
        for report in reports {
            status.open.add(&report.snapshot);
            status.totals.add(&report);
            status.count(&report.counters);
            longest.extend(report.snapshot.longest);
            missed.merge(report.missed);
            uploads += report.uploads;
        }
        longest.sort_by_key(|progress| std::cmp::Reverse(progress.age));
        longest.truncate(MAX_STATUS_SESSIONS);
        status.sessions = longest.iter().map(SessionStatus::new).collect();
        status.more_sessions = status.open.sessions.saturating_sub(longest.len());
        let missed = missed.into_sorted().into_iter();
        status.missed = missed
            .map(|name| MissedFile { file: escape(&name.name), count: name.count, over: name.over })
            .collect();
        status.memory = shared.memory(uploads);
        status.request_log = Unlogged {
            lost: shared.unwritten.lost(),
            max_unrecognized: shared.unwritten.summarized(),
        };
        status.rates = looks.rates(&status.totals);
        status
    }
}

impl Shared {
    fn ask(&self) -> Vec<Report> {
        let (reply, replies) = crossbeam_channel::bounded(self.workers.len().max(1));
        for (commands, waker) in &self.workers {
            // One that does not get to its commands must keep room for the command to end.
            let room = commands.len() < MAX_COMMANDS / 2;
            if room && commands.try_send(Command::Report(reply.clone())).is_ok() {
                waker.wake();
            }
        }
        drop(reply);
        let deadline = Instant::now() + PATIENCE;
        std::iter::from_fn(|| replies.recv_deadline(deadline).ok()).collect()
    }

    fn memory(&self, uploads: u64) -> Memory {
        let budget = self.store.budget();
        let (used, files) = (budget.used(), self.store.bytes());
        Memory {
            budget: budget.limit(),
            used,
            files,
            uploads,
            replaced: used.saturating_sub(files.saturating_add(uploads)),
            file_count: self.store.len(),
        }
    }
}

impl Totals {
    fn add(&mut self, report: &Report) {
        let Report { snapshot, counters, .. } = report;
        self.requests += counters.requests() + snapshot.live as u64;
        self.bytes_sent += counters.bytes_sent + snapshot.bytes_sent;
        self.bytes_received += counters.bytes_received + snapshot.bytes_received;
        self.retransmissions += counters.retransmissions + snapshot.retransmissions;
        self.unsent += report.unsent;
        self.forgotten += counters.forgotten;
    }
}

impl Status {
    fn count(&mut self, counters: &Counters) {
        let refused = RefusalReason::ALL.map(|reason| (reason.name(), counters.refused(reason)));
        let dropped = DropReason::ALL.map(|reason| (reason.name(), counters.dropped(reason)));
        add_up(&mut self.refused, refused);
        add_up(&mut self.dropped, dropped);
        add_up(&mut self.totals.outcomes, counters.outcomes());
    }
}

fn add_up(sums: &mut BTreeMap<String, u64>, counts: impl IntoIterator<Item = (&'static str, u64)>) {
    for (name, count) in counts {
        *sums.entry(name.to_owned()).or_default() += count;
    }
}

impl Looks {
    fn rates(&mut self, totals: &Totals) -> Rates {
        let at = Instant::now();
        if at.duration_since(self.last.at) >= LEAST_WINDOW {
            self.before = self.last;
            let (sent, received) = (totals.bytes_sent, totals.bytes_received);
            self.last = Look { at, requests: totals.requests, sent, received };
        }
        let window = at.duration_since(self.before.at);
        let seconds = window.as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        Rates {
            over_ms: millis(window),
            requests: rate(totals.requests, self.before.requests),
            bytes_sent: rate(totals.bytes_sent, self.before.sent),
            bytes_received: rate(totals.bytes_received, self.before.received),
        }
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gauge").field("workers", &self.0.workers.len()).finish_non_exhaustive()
    }
}
