//! A whole server without its sockets.

mod admission;
mod census;
mod ending;
mod rate;
mod refusal;
mod request;
mod rivals;
mod session;
mod snapshot;
mod table;
mod transfer;
mod transmit;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use self::census::{Among, Census};
use self::ending::{Finished, storage_is_silent, took_too_long};
use self::rate::{PerClient, PerSecond};
use self::session::State;
pub use self::snapshot::{Progress, Snapshot};
use self::table::Table;
pub use self::transmit::{Run, Transmit};
use crate::config::{Config, SocketRole};
use crate::control::ControlPacket;
use crate::counters::{Counters, DropReason};
use crate::files::Files;
use crate::packet::{ErrorCode, Packet};
use crate::random::Random;
use crate::record::{Outcome, Record};
use crate::refusal::Refusal;
use crate::route::{Datagram, Route, SessionId, SocketId};
use crate::sender::Expiry;
use crate::time::Time;
use crate::timer::Wheel;

/// Small packets that wait to be sent, at most; over it they are dropped and counted. A driver
/// that drains after each batch stays far below.
const MAX_CONTROLS: usize = 4_096;

/// What a live session adds to the time in which the ACKs of others can come: one packet of it may
/// wait before theirs at the server, and one at a host that has many clients. Without this, the round
/// trips of a thousand clients that begin together grow faster than they are measured.
const TURN: Duration = Duration::from_micros(20);

/// The longest time that all sessions together add.
const MAX_SLACK: Duration = Duration::from_millis(500);

const SHUTTING_DOWN: &str = "server is shutting down";

/// All sessions of one worker.
///
/// Order of calls, for ever: any of `handle_datagram`, `handle_timeout` and `resolve_*`; then
/// [`poll_transmit`](Endpoint::poll_transmit) until it gives nothing, sending what it gives before
/// the next `handle_*`; then [`poll_record`](Endpoint::poll_record) until it gives nothing; then
/// wait until a datagram comes or [`poll_timeout`](Endpoint::poll_timeout) has passed. Extra calls
/// are harmless. After `handle_timeout(t)`, `poll_timeout` gives nothing or a time later than `t`.
///
/// Each call does a bounded amount of work: one datagram, one run, or the timers that are due.
#[derive(Debug)]
pub struct Endpoint<F: Files> {
    config: Config,
    files: F,
    /// Live and lingering.
    sessions: Table<F>,
    census: Census,
    wheel: Wheel<SessionId>,
    due: Vec<(SessionId, u64)>,
    /// Sessions that may have something to send, each once, in turn.
    ready: VecDeque<SessionId>,
    controls: VecDeque<(Route, ControlPacket)>,
    records: VecDeque<Record>,
    /// Records of uploads whose clients have gone while they were being published: what is true of
    /// them is known when the commit is answered. No more than the storage publishes at a time.
    unsettled: HashMap<SessionId, Record>,
    finished: Finished,
    stray_answers: PerSecond,
    client_requests: PerClient,
    counters: Counters,
    /// See [`Endpoint::lost_runs`].
    lost_runs: u32,
    random: Random,
    last_socket: SocketId,
    draining: bool,
}

impl<F: Files> Endpoint<F> {
    /// Makes an endpoint without sessions.
    pub fn new(config: Config, files: F) -> Endpoint<F> {
        Endpoint {
            files,
            sessions: Table::new(),
            census: Census::default(),
            wheel: Wheel::new(),
            due: Vec::new(),
            ready: VecDeque::new(),
            controls: VecDeque::new(),
            records: VecDeque::new(),
            unsettled: HashMap::new(),
            finished: Finished::default(),
            stray_answers: PerSecond::default(),
            client_requests: PerClient::default(),
            counters: Counters::default(),
            lost_runs: 0,
            random: Random::new(config.seed),
            last_socket: SocketId(u16::MAX),
            draining: false,
            config,
        }
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Time, datagram: &Datagram<'_>) {
        let packet = Packet::parse(datagram.payload);
        match self.config.sockets.get(usize::from(datagram.route.socket.0)) {
            Some(SocketRole::Listening { .. }) => self.handle_listening(now, datagram, packet),
            // Nobody sends a packet of a transfer to many hosts (RFC 1123 section 4.2.3.5).
            _ if !datagram.directed => self.counters.drop(DropReason::NotDirected),
            _ => self.handle_transfer(now, &datagram.route, packet.ok()),
        }
    }

    /// Takes the passing of time: to be called when [`poll_timeout`](Endpoint::poll_timeout) has
    /// passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for (id, tick) in due.drain(..) {
            self.visit(now, id, tick);
        }
        self.due = due;
    }

    /// Brings the answer to an [`open`](Files::open) that was to come later.
    pub fn resolve_open(&mut self, now: Time, id: SessionId, result: Result<F::Content, Refusal>) {
        self.opened(now, id, result);
    }

    /// Brings the answer to a [`begin`](Files::begin) that was to come later.
    pub fn resolve_begin(&mut self, now: Time, id: SessionId, result: Result<F::Upload, Refusal>) {
        self.begun(now, id, result);
    }

    /// Brings the answer to a [`commit`](Files::commit) that was to come later.
    pub fn resolve_commit(
        &mut self,
        now: Time,
        id: SessionId,
        result: Result<F::Receipt, Refusal>,
    ) {
        self.committed(now, id, result);
    }

    /// Ends a request that waits for the answer to an [`open`](Files::open) or a
    /// [`begin`](Files::begin): storage needed its place for a newer one. Its client is not told.
    pub fn resolve_evicted(&mut self, now: Time, id: SessionId) {
        if self.sessions.get(id).is_some_and(|session| matches!(session.state, State::Opening)) {
            self.evict(now, id);
        }
    }

    /// Takes other settings for requests that come from now on; the sockets stay what they are.
    pub fn configure(&mut self, mut config: Config) {
        config.sockets = std::mem::take(&mut self.config.sockets);
        self.config = config;
    }

    /// Refuses new requests from now on; transfers go on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Ends every transfer with an ERROR and refuses new requests. The ERRORs and records of all
    /// sessions wait to be taken then.
    pub fn shut_down(&mut self, now: Time) {
        self.draining = true;
        let live: Vec<SessionId> =
            self.sessions.iter().filter(|(_, s)| s.is_live()).map(|(id, _)| id).collect();
        for id in live {
            if let Some(session) = self.sessions.get(id) {
                let packet = ControlPacket::error(ErrorCode::UNDEFINED, SHUTTING_DOWN);
                self.controls.push_back((session.route, packet));
            }
            self.conclude(now, id, Outcome::Shutdown);
            self.forget(id);
        }
        self.settle_all();
    }

    /// What to send next. Sessions take turns.
    pub fn poll_transmit(&mut self, now: Time) -> Option<Transmit> {
        if let Some((route, packet)) = self.controls.pop_front() {
            return Some(Transmit::Control { route, packet });
        }
        while let Some(id) = self.ready.pop_front() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.queued = false;
            if self.is_held(now, id) {
                continue;
            }
            let Some(session) = self.sessions.get_mut(id) else { continue };
            if let Some(transmit) = session.poll_transmit(now, id, self.config.max_run) {
                self.touch(id);
                return Some(transmit);
            }
        }
        None
    }

    /// Transfers in a row whose blocks arrived only when each left by itself; any transfer whose
    /// runs arrive ends the row. Many mean that runs sent as one are damaged on their way.
    pub fn lost_runs(&self) -> u32 {
        self.lost_runs
    }

    /// The bytes of a run, all its blocks in one piece. `None` if they are no longer wanted: then
    /// nothing is to be sent.
    pub fn payload(&self, run: &Run) -> Option<&[u8]> {
        match &self.sessions.get(run.session)?.state {
            State::Sending(sender) => sender.payload(run.first, run.blocks),
            _ => None,
        }
    }

    /// Whether requests arrive on this socket.
    pub fn is_listening(&self, socket: SocketId) -> bool {
        let role = self.config.sockets.get(usize::from(socket.0));
        matches!(role, Some(SocketRole::Listening { .. }))
    }

    /// For a route of a listening socket: the socket on which this peer has a transfer under way, if
    /// it is another; of two, that of the newer.
    ///
    /// A driver that has read a datagram from one socket should first give the endpoint what waits
    /// at that other: it was sent before, and a new request ends what it has not seen the end of.
    pub fn runs_elsewhere(&self, route: &Route) -> Option<SocketId> {
        if !self.is_listening(route.socket) {
            return None;
        }
        let id = self.newcomer(route).or_else(|| self.incumbent(route))?;
        let socket = self.sessions.get(id)?.route.socket;
        (socket != route.socket).then_some(socket)
    }

    /// When [`handle_timeout`](Endpoint::handle_timeout) is next needed; early at times.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wheel.next()
    }

    /// The next record of a request whose outcome is known.
    pub fn poll_record(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    /// Sessions whose outcome is not known yet.
    pub fn live_sessions(&self) -> usize {
        self.census.live + self.unsettled.len()
    }

    /// Live sessions whose client has not answered our first packet yet.
    pub fn half_open_sessions(&self) -> usize {
        self.census.half_open(Among::All)
    }

    /// Committed uploads whose last ACK may have to be repeated.
    pub fn dallying_sessions(&self) -> usize {
        self.sessions.iter().filter(|(_, s)| matches!(s.state, State::Dallying(_))).count()
    }

    /// Sessions that are remembered, live or finished.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The storage behind this endpoint.
    pub fn files(&mut self) -> &mut F {
        &mut self.files
    }

    fn visit(&mut self, now: Time, id: SessionId, tick: u64) {
        let slack = self.slack();
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.filed != Some(tick) {
            return;
        }
        session.filed = None;
        let early = session.deadline(slack).is_none_or(|deadline| now < deadline);
        let expiry = match &mut session.state {
            _ if early => Expiry::Waiting,
            State::Sending(sender) => sender.handle_timeout(now),
            State::Receiving(receiver, _) => receiver.handle_timeout(now),
            State::Doubted { .. } => return self.ask_storage(now, id),
            State::Opening | State::Committing(_) => {
                return self.refuse(now, id, storage_is_silent());
            }
            State::Dallying(_) | State::Closed => return self.forget(id),
        };
        // Seen here, where each session comes by every few seconds, this costs packets nothing.
        let limit = self.config.max_transfer_time;
        let moves = matches!(session.state, State::Sending(_) | State::Receiving(..));
        let too_long = moves && now.since(session.started) >= limit;
        match expiry {
            Expiry::Waiting if too_long => self.refuse(now, id, took_too_long(limit)),
            Expiry::Waiting => self.touch(id),
            Expiry::GivenUp => {
                self.conclude(now, id, Outcome::TimedOut);
                self.forget(id);
            }
        }
    }

    /// Puts a session in the queues it belongs to, after anything has happened to it.
    fn touch(&mut self, id: SessionId) {
        let slack = self.slack();
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(deadline) = session.deadline(slack) {
            self.wheel.file(id, deadline, &mut session.filed);
        }
        if !std::mem::replace(&mut session.queued, true) {
            self.ready.push_back(id);
        }
    }

    /// How much later ACKs may come because of all the sessions there are.
    fn slack(&self) -> Duration {
        let others = u32::try_from(self.census.live.saturating_sub(1)).unwrap_or(u32::MAX);
        TURN.saturating_mul(others).min(MAX_SLACK)
    }

    fn send_control(&mut self, route: Route, packet: ControlPacket) {
        if self.controls.len() < MAX_CONTROLS {
            self.controls.push_back((route, packet));
        } else {
            self.counters.drop(DropReason::QueueFull);
        }
    }

    /// The sockets on which transfers run whose requests arrive on this one.
    fn transfers_of(&self, listening: SocketId) -> &[SocketId] {
        match self.config.sockets.get(usize::from(listening.0)) {
            Some(SocketRole::Listening { transfers }) => transfers,
            _ => &[],
        }
    }
}
