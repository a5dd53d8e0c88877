//! A driver that says no in the place of storage.

use crate::counters::DropReason;
use crate::endpoint::Endpoint;
use crate::files::Files;
use crate::packet::Packet;
use crate::record::Kind;
use crate::refusal::Refusal;
use crate::route::{Datagram, Route, SessionId};
use crate::time::Time;

impl<F: Files> Endpoint<F> {
    /// Answers a datagram with an ERROR instead of taking it: refuses the request that it is, or
    /// ends the transfer that it belongs to. What is neither, and an ERROR, gets no answer.
    pub fn refuse_datagram(&mut self, now: Time, datagram: &Datagram<'_>, refusal: Refusal) {
        let kind = match Packet::parse(datagram.payload) {
            Ok(Packet::Read(_)) => Kind::Read,
            Ok(Packet::Write(_)) => Kind::Write,
            Ok(Packet::Error { .. }) => return self.counters.drop(DropReason::OutOfPlace),
            _ if self.refuse_transfer(now, &datagram.route, refusal) => return,
            _ => return self.counters.drop(DropReason::Stray),
        };
        match self.live_at(&datagram.route) {
            Some(id) if self.is_repeat(id, datagram) => self.refuse(now, id, refusal),
            _ => self.turn_away(datagram, kind, refusal),
        }
    }

    /// Ends the transfer under way on a route with an ERROR; false if there is none.
    pub fn refuse_transfer(&mut self, now: Time, route: &Route, refusal: Refusal) -> bool {
        let id = self.live_at(route).filter(|id| {
            self.sessions.get(*id).is_some_and(|session| session.route.socket == route.socket)
        });
        if let Some(id) = id {
            self.refuse(now, id, refusal);
        }
        id.is_some()
    }

    fn live_at(&self, route: &Route) -> Option<SessionId> {
        let id = self.find(route)?;
        self.sessions.get(id)?.is_live().then_some(id)
    }

    fn is_repeat(&self, id: SessionId, datagram: &Datagram<'_>) -> bool {
        self.sessions.get(id).is_some_and(|session| *session.request == *datagram.payload)
    }
}
