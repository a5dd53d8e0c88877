//! One thread that moves datagrams between its sockets and its endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use memtftp_proto::{Datagram, Endpoint, ErrorCode, Outcome, Record, Route, SocketId, Time};
use memtftp_udp::{Cast, Poller, Ready, Received, RecvBatch, SendBuffer, Waker};

use crate::faults::{Ends, Faults};
use crate::later::Resolution;
use crate::library::Library;
use crate::missed::Missed;
use crate::outbox::Outbox;
use crate::request_log::LogSender;
use crate::sockets::WorkerSockets;
use crate::status::{MAX_STATUS_SESSIONS, Report};

/// Batches taken from one socket before the others have their turn.
const MAX_BATCHES: usize = 4;

/// Transfers in a row that got no window through but by single blocks, before all do that.
const MAX_LOST_RUNS: u32 = 8;

/// Commands that wait to be read, at most.
pub(crate) const MAX_COMMANDS: usize = 16;

/// How long a worker that drains repeats the last ACKs of uploads.
const LAST_DALLY: Duration = Duration::from_secs(1);

/// How often a worker without transfers looks whether the others have finished.
const DRAIN_CHECK: Duration = Duration::from_millis(10);

/// What the rest of the server tells a worker.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Take the settings that lie ready for requests that come from now on.
    Configure,
    /// Refuse new requests; end when the last transfer has ended, or after this time.
    Drain(Duration),
    /// End every transfer now.
    Stop,
    /// Tell there how it goes; what does not fit there is lost.
    Report(Sender<Report>),
}

/// What a worker does with datagrams to a broadcast address. The system gives a copy of each to
/// every worker, whoever else gets those of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broadcasts {
    /// Nothing at all: another worker sees to them.
    Ignore,
    /// They are dropped and recorded.
    Drop,
    /// Requests among them are answered from the address of the interface.
    Answer,
}

/// How many workers still have transfers while the server drains.
///
/// A worker that has none left goes on refusing requests until no other has any: if its sockets
/// closed earlier, the system would deal the packets of a shared port anew, and transfers on the
/// listening port would lose their worker.
#[derive(Clone, Debug)]
pub(crate) struct Unfinished(Arc<AtomicUsize>);

impl Unfinished {
    pub(crate) fn new(workers: usize) -> Unfinished {
        Unfinished(Arc::new(AtomicUsize::new(workers)))
    }
}

pub(crate) struct Worker {
    endpoint: Endpoint<Library>,
    outboxes: Vec<Outbox>,
    /// Only in tests. Every datagram passes here then.
    faults: Option<Faults>,
    poller: Poller,
    /// What the last wait found; kept for its memory.
    ready: Vec<Ready>,
    commands: Receiver<Command>,
    /// Answers to requests that had to wait for them.
    resolutions: Receiver<Resolution>,
    log: LogSender,
    origin: Instant,
    /// One for the socket that is read, one for the transfer that has to catch up first.
    batches: Vec<RecvBatch>,
    send_buffer: SendBuffer,
    /// When to end, once draining.
    stop_at: Option<Time>,
    /// When draining, how long the last uploads are remembered.
    dally_until: Option<Time>,
    /// This worker has left the count of the unfinished.
    finished: bool,
    unfinished: Unfinished,
    /// Set once a round, for who looks whether this worker hangs.
    alive: Arc<AtomicBool>,
    /// Other settings that it is to take.
    settings: Arc<Mutex<Option<Box<memtftp_proto::Config>>>>,
    broadcasts: Broadcasts,
    missed: Missed,
    lost: u64,
}

/// What a worker has beside its endpoint and its sockets.
pub(crate) struct Parts {
    pub(crate) poller: Poller,
    pub(crate) resolutions: Receiver<Resolution>,
    pub(crate) faults: Option<Faults>,
    pub(crate) log: LogSender,
    pub(crate) unfinished: Unfinished,
    pub(crate) broadcasts: Broadcasts,
}

impl Worker {
    /// A worker and the way to command it; [`Worker::waker`] makes it look.
    pub(crate) fn new(
        endpoint: Endpoint<Library>,
        sockets: WorkerSockets,
        parts: Parts,
    ) -> io::Result<(Worker, Sender<Command>)> {
        let Parts { mut poller, resolutions, faults, log, unfinished, broadcasts } = parts;
        for (key, socket) in sockets.sockets.iter().enumerate() {
            poller.add(socket, key)?;
        }
        let (sender, commands) = crossbeam_channel::bounded(MAX_COMMANDS);
        let worker = Worker {
            endpoint,
            outboxes: sockets.sockets.into_iter().map(Outbox::new).collect(),
            faults,
            poller,
            ready: Vec::new(),
            commands,
            resolutions,
            log,
            origin: Instant::now(),
            batches: vec![RecvBatch::new(), RecvBatch::new()],
            send_buffer: SendBuffer::new(),
            stop_at: None,
            dally_until: None,
            finished: false,
            unfinished,
            alive: Arc::new(AtomicBool::new(true)),
            settings: Arc::default(),
            broadcasts,
            missed: Missed::default(),
            lost: 0,
        };
        Ok((worker, sender))
    }

    pub(crate) fn waker(&self) -> Waker {
        self.poller.waker()
    }

    /// Is set once a round.
    pub(crate) fn alive(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.alive)
    }

    /// Where other settings for it lie ready.
    pub(crate) fn settings(&self) -> Arc<Mutex<Option<Box<memtftp_proto::Config>>>> {
        Arc::clone(&self.settings)
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            let mut ready = std::mem::take(&mut self.ready);
            if let Err(error) = self.wait(&mut ready) {
                tracing::error!("waiting for datagrams failed, this worker ends: {error}");
                self.stop_at = Some(Time::ZERO);
            }
            self.alive.store(true, Ordering::Relaxed);
            for ready in ready.drain(..) {
                self.unblock(ready);
                if ready.readable {
                    self.receive(ready.key);
                }
            }
            self.ready = ready;
            let now = self.now();
            self.obey(now);
            self.resolve(now);
            self.endpoint.handle_timeout(now);
            let ending = self.is_ending(now);
            if ending {
                // What has arrived by now is still answered and recorded.
                for key in 0..self.outboxes.len() {
                    self.receive(key);
                }
                self.endpoint.shut_down(now);
            }
            self.send(now);
            if ending {
                return self.end();
            }
            self.log_records();
        }
    }

    fn is_ending(&mut self, now: Time) -> bool {
        let Some(stop_at) = self.stop_at else { return false };
        if !self.finished && self.endpoint.live_sessions() == 0 {
            // The last ACK of an upload may be lost: its client has a moment to say so.
            let dally_until = *self.dally_until.get_or_insert(now + LAST_DALLY);
            if now < dally_until && now < stop_at && self.endpoint.dallying_sessions() > 0 {
                return false;
            }
            self.finished = true;
            self.unfinished.0.fetch_sub(1, Ordering::Relaxed);
        }
        now >= stop_at || self.unfinished.0.load(Ordering::Relaxed) == 0
    }

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    /// Waits for datagrams, room to send, a command or a deadline.
    fn wait(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        let dally_until = self.dally_until.filter(|_| !self.finished);
        let held = self.faults.as_ref().and_then(Faults::poll_timeout);
        let deadlines = [self.endpoint.poll_timeout(), self.stop_at, dally_until, held];
        let deadline = deadlines.into_iter().flatten().min();
        let now = self.now();
        let mut timeout = deadline.map(|at| at.since(now));
        if self.finished {
            timeout = Some(timeout.map_or(DRAIN_CHECK, |timeout| timeout.min(DRAIN_CHECK)));
        }
        ready.extend(self.poller.wait(timeout)?);
        Ok(())
    }

    /// Lets a socket send again that has room.
    fn unblock(&mut self, ready: Ready) {
        if !ready.writable {
            return;
        }
        if let Some(outbox) = self.outboxes.get_mut(ready.key) {
            outbox.unblock();
        }
        if let Err(error) = self.poller.set_writable(ready.key, false) {
            tracing::debug!("cannot stop waiting for room to send: {error}");
        }
    }

    /// Takes what waits at one socket, answering batch by batch.
    fn receive(&mut self, key: usize) {
        // Not there only if this is called again by itself, which `catch_up` does once at most.
        let Some(mut batch) = self.batches.pop() else { return };
        for _ in 0..MAX_BATCHES {
            let Some(outbox) = self.outboxes.get(key) else { break };
            let count = match outbox.socket().recv(&mut batch) {
                Ok(count) => count,
                Err(error) => {
                    // Errors of earlier datagrams surface here on some systems; the socket lives.
                    tracing::debug!("receiving failed: {error}");
                    break;
                }
            };
            let now = self.now();
            for received in batch.iter() {
                let socket = SocketId(u16::try_from(key).unwrap_or(u16::MAX));
                let Some(directed) = self.is_directed(socket, &received) else { continue };
                let route = Route { socket, peer: received.peer, local: received.local };
                self.catch_up(&route);
                let datagram = Datagram { route, directed, payload: received.payload };
                match &mut self.faults {
                    None => self.endpoint.handle_datagram(now, &datagram),
                    Some(faults) => faults.receive(now, &datagram, &mut self.endpoint),
                }
            }
            self.send(now);
            self.log_records();
            if count < memtftp_udp::BATCH {
                break;
            }
        }
        self.batches.push(batch);
    }

    /// Whether a datagram is to be answered as if it had been sent to this host alone; `None` if it
    /// is another worker's to see to.
    fn is_directed(&self, socket: SocketId, received: &Received<'_>) -> Option<bool> {
        match (received.cast, self.broadcasts) {
            (Cast::Unicast, _) => Some(true),
            (_, Broadcasts::Ignore) => None,
            // Without an address of ours it would leave from any.
            (Cast::Broadcast, Broadcasts::Answer) if self.endpoint.is_listening(socket) => {
                Some(received.local.is_some())
            }
            (Cast::Broadcast | Cast::Multicast, _) => Some(false),
        }
    }

    /// Sockets are read one after the other, but a client sends in order: what it sent to its
    /// transfer before a new request, its last ACK for one, must count first.
    fn catch_up(&mut self, route: &Route) {
        if let Some(socket) = self.endpoint.runs_elsewhere(route) {
            self.receive(usize::from(socket.0));
        }
    }

    fn obey(&mut self, now: Time) {
        while let Ok(command) = self.commands.try_recv() {
            // A command to configure may have found no room, but then there are others.
            let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(settings) = settings {
                self.endpoint.configure(*settings);
            }
            let at = match command {
                Command::Configure => continue,
                Command::Drain(patience) => now + patience,
                Command::Stop => now,
                Command::Report(reply) => {
                    let _ = reply.try_send(self.report(now));
                    continue;
                }
            };
            self.endpoint.drain();
            self.stop_at = Some(self.stop_at.map_or(at, |before| before.min(at)));
        }
    }

    /// Takes the answers that have come.
    fn resolve(&mut self, now: Time) {
        while let Ok(resolution) = self.resolutions.try_recv() {
            match resolution {
                Resolution::Opened(id, result) => self.endpoint.resolve_open(now, id, result),
                Resolution::Begun(id, result) => self.endpoint.resolve_begin(now, id, result),
                Resolution::Committed(id, result) => self.endpoint.resolve_commit(now, id, result),
                Resolution::Evicted(id) => self.endpoint.resolve_evicted(now, id),
            }
        }
    }

    fn report(&self, now: Time) -> Report {
        Report {
            made: self.origin + now.since(Time::ZERO),
            snapshot: self.endpoint.snapshot(now, MAX_STATUS_SESSIONS),
            counters: self.endpoint.counters().clone(),
            uploads: self.endpoint.uploads().map(|upload| upload.charged()).sum(),
            unsent: self.lost,
            missed: self.missed.clone(),
        }
    }

    /// Sends all that the endpoint has to send.
    fn send(&mut self, now: Time) {
        if let Some(faults) = &mut self.faults {
            let (endpoint, buffer) = (&mut self.endpoint, &mut self.send_buffer);
            self.lost += faults.send(now, &mut Ends { endpoint, outboxes: &self.outboxes, buffer });
            return;
        }
        let mut more = true;
        while more {
            more = false;
            for _ in 0..memtftp_udp::BATCH {
                let Some(transmit) = self.endpoint.poll_transmit(now) else { break };
                more = true;
                let key = usize::from(transmit.route().socket.0);
                if !self.outboxes.get_mut(key).is_some_and(|outbox| outbox.add(transmit)) {
                    self.lost += 1;
                }
            }
            for (key, outbox) in self.outboxes.iter_mut().enumerate() {
                self.lost += outbox.send(&self.endpoint, &mut self.send_buffer);
                if outbox.is_blocked()
                    && let Err(error) = self.poller.set_writable(key, true)
                {
                    tracing::debug!("cannot wait for room to send: {error}");
                    outbox.unblock();
                }
            }
        }
    }

    fn log_records(&mut self) {
        while let Some(record) = self.endpoint.poll_record() {
            let address = self.address_of(record.socket);
            self.note_missed(&record);
            self.log.send(record, address);
        }
        if self.endpoint.lost_runs() >= MAX_LOST_RUNS {
            self.stop_segmenting();
        }
    }

    fn note_missed(&mut self, record: &Record) {
        if let Outcome::Refused(refusal) = &record.outcome
            && refusal.code == ErrorCode::NOT_FOUND
            && let Some(request) = record.parse_request()
        {
            self.missed.add(request.name);
        }
    }

    fn stop_segmenting(&self) {
        let sockets = self.outboxes.iter().map(Outbox::socket);
        let mut segmenting = sockets.filter(|socket| socket.is_segmenting()).peekable();
        if segmenting.peek().is_none() {
            return;
        }
        segmenting.for_each(memtftp_udp::Socket::stop_segmenting);
        if self.outboxes.iter().any(|outbox| !outbox.socket().is_segmenting()) {
            tracing::warn!(
                "windows sent as one do not arrive, but their blocks do: this worker sends them one \
                 by one from now on; --gso off does so from the start"
            );
        }
    }

    fn address_of(&self, socket: SocketId) -> Option<SocketAddr> {
        self.outboxes.get(usize::from(socket.0)).map(|outbox| outbox.socket().local_addr())
    }

    fn end(mut self) {
        while let Some(record) = self.endpoint.poll_record() {
            let address = self.address_of(record.socket);
            self.log.send_last(record, address);
        }
        tracing::debug!("{:?}", self.endpoint.counters());
        if self.lost > 0 {
            tracing::warn!("{} packets could not be sent", self.lost);
        }
    }
}
