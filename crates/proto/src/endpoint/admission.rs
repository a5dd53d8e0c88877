//! Whether a request may begin a session; what is refused and what is dropped.

use crate::counters::DropReason;
use crate::endpoint::census::Among;
use crate::endpoint::session::{Session, record_without_session, service_port};
use crate::endpoint::{Endpoint, SHUTTING_DOWN};
use crate::files::Files;
use crate::packet::ErrorCode;
use crate::record::{Kind, Outcome};
use crate::refusal::{Refusal, RefusalReason};
use crate::request::{Mode, Request};
use crate::route::{Datagram, Route, SessionId};
use crate::time::Time;

impl<F: Files> Endpoint<F> {
    /// Whether the client is one we serve, and has not asked too often.
    pub(super) fn is_heard(&mut self, now: Time, datagram: &Datagram<'_>, kind: Kind) -> bool {
        if !self.is_served(now, datagram, kind) {
            return false;
        }
        let (client, per_second) = (datagram.route.peer.ip(), self.config.max_requests_per_client);
        let allowed = self.client_requests.allow(now, client, per_second);
        if !allowed {
            self.drop_request(kind, datagram, DropReason::ClientRequests);
        }
        allowed
    }

    /// Whether the client is one we serve; if not, it is told so, but not without limit: its address
    /// may be forged to aim our answers.
    fn is_served(&mut self, now: Time, datagram: &Datagram<'_>, kind: Kind) -> bool {
        let Err(refusal) = self.files.admit(datagram.route.peer.ip()) else { return true };
        if self.stray_answers.allow(now, self.config.stray_answers_per_second) {
            self.turn_away(datagram, kind, refusal);
        } else {
            self.drop_request(kind, datagram, DropReason::NotServed);
        }
        false
    }

    /// The mode to serve a request in, or what is in its way whoever asks.
    pub(super) fn admit(&self, request: &Request<'_>) -> Result<Mode, Refusal> {
        if self.draining {
            return Err(shutting_down());
        }
        request.transfer_mode().ok_or_else(|| {
            Refusal::new(ErrorCode::ILLEGAL, "mode is not supported, use octet or netascii")
        })
    }

    /// Makes room for a new session wherever there are as many as may be: the oldest half-open one
    /// ends. Who forges addresses can fill a table, but never keeps anybody out of it: that can only
    /// sessions whose clients have answered, all together.
    ///
    /// A client that seems to start over needs no place of its own, since the transfer that it has
    /// ends once it has answered.
    ///
    /// # Errors
    /// The limit that such sessions alone have reached.
    pub(super) fn make_room(
        &mut self,
        now: Time,
        route: &Route,
        kind: Kind,
    ) -> Result<(), Refusal> {
        let starts_over = self.incumbent(route).is_some();
        let client = route.peer.ip();
        let config = &self.config;
        let half_open = [
            (Among::Client(client), config.max_half_open_per_client),
            (Among::All, config.max_half_open),
        ];
        let live = [
            (
                Among::Client(client),
                config.max_sessions_per_client,
                "sessions of one client",
                RefusalReason::ClientSessions,
            ),
            (Among::Uploads, config.max_uploads, "uploads in flight", RefusalReason::Uploads),
            (Among::All, config.max_sessions, "sessions", RefusalReason::Sessions),
        ];
        for (among, limit) in half_open {
            if self.census.half_open(among) >= limit {
                self.evict_oldest(now, among);
            }
        }
        for (among, limit, what, reason) in live {
            let counts = kind == Kind::Write || !matches!(among, Among::Uploads);
            if counts
                && self.census.live(among) >= limit
                && !self.evict_oldest(now, among)
                && !starts_over
            {
                return Err(busy(limit, what, reason));
            }
        }
        Ok(())
    }

    /// Ends the oldest half-open session of these; false if there is none. Its client is not told: its
    /// address may be forged, and if it is not, it will ask again.
    fn evict_oldest(&mut self, now: Time, among: Among) -> bool {
        let is_half_open = |id| self.sessions.get(id).is_some_and(Session::is_half_open);
        let oldest = self.census.take_oldest(among, is_half_open);
        if let Some(oldest) = oldest {
            self.evict(now, oldest);
        }
        oldest.is_some()
    }

    /// Ends a half-open session whose place is needed.
    pub(super) fn evict(&mut self, now: Time, id: SessionId) {
        self.counters.drop(DropReason::HalfOpen);
        self.conclude(now, id, Outcome::Dropped(DropReason::HalfOpen));
        self.forget(id);
    }

    /// Refuses what has no session.
    pub(super) fn turn_away(&mut self, datagram: &Datagram<'_>, kind: Kind, refusal: Refusal) {
        if let Some(reason) = reason_to_drop(datagram) {
            return self.drop_request(kind, datagram, reason);
        }
        let socket = self.pick_socket(&datagram.route);
        let route = Route { socket, ..datagram.route };
        self.tell_refusal(route, None, &refusal);
        let outcome = Outcome::Refused(refusal);
        self.leave(record_without_session(kind, route, datagram.payload, outcome));
    }

    pub(super) fn drop_request(&mut self, kind: Kind, datagram: &Datagram<'_>, reason: DropReason) {
        self.counters.drop(reason);
        let (route, outcome) = (datagram.route, Outcome::Dropped(reason));
        self.leave(record_without_session(kind, route, datagram.payload, outcome));
    }
}

pub(super) fn reason_to_drop(datagram: &Datagram<'_>) -> Option<DropReason> {
    if datagram.directed {
        service_port(datagram.route.peer.port())
    } else {
        Some(DropReason::NotDirected)
    }
}

fn busy(limit: usize, what: &str, reason: RefusalReason) -> Refusal {
    Refusal::new(ErrorCode::UNDEFINED, "server is busy, try again later")
        .because(format!("limit of {limit} {what} reached"))
        .counted_as(reason)
}

fn shutting_down() -> Refusal {
    let refusal = Refusal::new(ErrorCode::UNDEFINED, SHUTTING_DOWN);
    refusal.counted_as(RefusalReason::ShuttingDown)
}
