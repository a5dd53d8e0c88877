//! Two sessions of one client: the transfer that it has, and a request that came in its name since.
//!
//! Such a request may be forged, it may be a late copy, or the client has started over: a machine that
//! was reset asks again from the same port. So it ends no transfer whose client has answered, the
//! *incumbent*. It begins a session of its own beside it, the *newcomer*, and what the client does next
//! tells which of the two it wants: once it has answered the newcomer, the incumbent ends.
//!
//! Mostly they are on different ports of ours, and cannot be confused. Where both have to use one port
//! (single-port operation, a pool of one), the newcomer says nothing as long as the incumbent moves on,
//! and a packet belongs to whichever of them it fits. On any port, a client that has started over takes
//! the first DATA 1 or ACK 0 for its answer, so the incumbent does not repeat these meanwhile.

use std::time::Duration;

use crate::counters::DropReason;
use crate::endpoint::Endpoint;
use crate::endpoint::session::{Session, State};
use crate::files::Files;
use crate::packet::Packet;
use crate::record::Outcome;
use crate::route::{Route, SessionId, SocketId};
use crate::time::Time;

/// An incumbent that was silent for so long may have lost its client. Until then a newcomer on the same
/// port says nothing, which a client in the middle of its transfer could take for a part of that.
pub(super) const QUIET: Duration = Duration::from_millis(500);

/// How long an incumbent repeats nothing that could be taken for the first packet of a newcomer.
const HOLD: Duration = Duration::from_secs(4);

impl<F: Files> Endpoint<F> {
    /// The half-open session of the client of this route.
    pub(super) fn newcomer(&self, route: &Route) -> Option<SessionId> {
        self.sessions.find_of_client(route, |_, session| session.is_half_open())
    }

    /// The transfer of the client of this route that it has answered.
    pub(super) fn incumbent(&self, route: &Route) -> Option<SessionId> {
        self.sessions.find_of_client(route, |_, session| session.is_answered())
    }

    /// The incumbent on this very port of ours, if it is not `but`.
    pub(super) fn incumbent_at(&self, route: &Route, but: Option<SessionId>) -> Option<SessionId> {
        self.sessions.find_at(route, |id, session| session.is_answered() && Some(id) != but)
    }

    /// The session that a packet belongs to, be it live or finished.
    pub(super) fn session_of(&self, route: &Route, packet: &Packet<'_>) -> Option<SessionId> {
        let mut sessions = self.sessions.at(route);
        let (only, _) = sessions.next()?;
        if sessions.next().is_none() {
            return Some(only);
        }
        let fits_best = self.sessions.at(route).max_by_key(|(_, session)| session.claim(packet));
        fits_best.map(|(id, _)| id)
    }

    /// The client of a half-open session has answered: whatever other transfer it had is over.
    pub(super) fn answered(&mut self, now: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.half_open = false;
        let (route, kind) = (session.route, session.kind);
        self.census.answered(route.peer.ip(), kind);
        let is_other = |other, session: &Session<F>| other != id && session.is_live();
        while let Some(other) = self.sessions.find_of_client(&route, is_other) {
            self.end(now, other, Outcome::Superseded);
        }
        // What comes on this port from here on belongs to the one session.
        while let Some(other) = self.sessions.find_at(&route, |other, _| other != id) {
            self.forget(other);
        }
    }

    /// Begins a session beside the incumbent of its client. On the same port that waits until the
    /// incumbent has been quiet for a while.
    pub(super) fn begin_beside(&mut self, now: Time, id: SessionId, incumbent: SessionId) {
        let shares_port = self.share_port(id, incumbent);
        let Some(old) = self.sessions.get_mut(incumbent) else { return };
        old.rival = Some(id);
        let until = old.heard().filter(|_| shares_port).map(|heard| heard + QUIET);
        match (self.sessions.get_mut(id), until) {
            (Some(session), Some(until)) if until > now => {
                session.state = State::Doubted { until };
                self.touch(id);
            }
            _ => self.ask_storage(now, id),
        }
    }

    /// The client has gone on with its transfer, so a newcomer on the same port is not what it wants; or
    /// it has come to its end, and a request that was overtaken by that is served. A writer comes to its
    /// end only when it hears our last ACK.
    pub(super) fn settle_rivalry(&mut self, now: Time, incumbent: SessionId) {
        let Some(session) = self.sessions.get(incumbent) else { return };
        let goes_on = session.is_live() || matches!(session.state, State::Dallying(_));
        let Some(rival) = session.rival.filter(|rival| self.share_port(*rival, incumbent)) else {
            return;
        };
        match self.sessions.get(rival) {
            Some(session) if goes_on && session.is_half_open() => {
                self.counters.drop(DropReason::Contradicted);
                self.conclude(now, rival, Outcome::Dropped(DropReason::Contradicted));
                self.forget(rival);
            }
            Some(session) if matches!(session.state, State::Doubted { .. }) => {
                self.ask_storage(now, rival);
            }
            _ => {}
        }
    }

    fn share_port(&self, one: SessionId, other: SessionId) -> bool {
        let port = |id| self.sessions.get(id).map(|session| session.route.socket);
        port(one).is_some() && port(one) == port(other)
    }

    /// Whether a session says nothing for now, because that could be taken for a newcomer's.
    pub(super) fn is_held(&self, now: Time, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let rival = session.rival.and_then(|rival| self.sessions.get(rival));
        rival.is_some_and(|rival| {
            let is_waiting = rival.is_half_open() && rival.has_spoken();
            is_waiting && now.since(rival.started) < HOLD && session.passes_for_first()
        })
    }

    /// A socket for a new transfer of the client of this route: one that it has not used lately, or
    /// else the one it used longest ago, so that no late packet of a transfer before is taken for one
    /// of the new (RFC 1350 section 4). Nor the one picked last, if there is a choice.
    pub(super) fn pick_socket(&mut self, route: &Route) -> SocketId {
        let random = self.random.next() as usize;
        let used: Vec<(SocketId, (bool, Time))> = {
            let sessions = self.sessions.of_client(route);
            sessions.map(|(_, s)| (s.route.socket, (s.is_answered(), s.started))).collect()
        };
        let last_use = |socket: &SocketId| {
            used.iter().filter(|(other, _)| other == socket).map(|(_, when)| *when).max()
        };
        let transfers = self.transfers_of(route.socket);
        let last = self.last_socket;
        let fresh = |socket: &&SocketId| last_use(socket).is_none() && **socket != last;
        let picked = match transfers.iter().filter(fresh).count() {
            0 => transfers.iter().min_by_key(|socket| (**socket == last, last_use(socket))),
            choices => transfers.iter().filter(fresh).nth(random % choices),
        };
        self.last_socket = picked.copied().unwrap_or(route.socket);
        self.last_socket
    }
}

impl<F: Files> Session<F> {
    /// How much a packet on its port belongs to this session rather than to another of its client.
    fn claim(&self, packet: &Packet<'_>) -> u8 {
        match (packet, &self.state) {
            (Packet::Error { .. }, _) if self.is_half_open() && self.has_spoken() => 4,
            _ if self.is_half_open() && self.is_answered_by(packet) => 4,
            _ if self.is_answered() => 3,
            (Packet::Data { .. }, State::Dallying(_)) => 2,
            _ if self.is_live() => 1,
            _ => 0,
        }
    }

    /// Whether a packet can be the client's first answer.
    fn is_answered_by(&self, packet: &Packet<'_>) -> bool {
        match (packet, &self.state) {
            (Packet::Ack { block }, State::Sending(sender)) => sender.is_answered_by(*block),
            (Packet::Data { block, payload }, State::Receiving(receiver, _)) => {
                receiver.is_in_window(*block, payload)
            }
            _ => false,
        }
    }

    /// Whether what it sends next could be taken for the first packet of a transfer.
    fn passes_for_first(&self) -> bool {
        match &self.state {
            State::Sending(sender) => sender.passes_for_first(),
            State::Receiving(receiver, _) => receiver.passes_for_first(),
            _ => false,
        }
    }

    /// Whether a packet shows that the client goes on with this transfer, or ends it.
    pub(super) fn is_continued_by(&self, packet: &Packet<'_>) -> bool {
        match (packet, &self.state) {
            (Packet::Ack { block }, State::Sending(sender)) => sender.is_in_flight(*block),
            (
                Packet::Data { block, payload },
                State::Receiving(receiver, _) | State::Committing(receiver),
            ) => receiver.is_near(*block, payload),
            (Packet::Error { .. }, _) => true,
            _ => false,
        }
    }
}
