//! A driver that says no in the place of storage.

use crate::counters::DropReason;
use crate::endpoint::Endpoint;
use crate::endpoint::session::Session;
use crate::files::Files;
use crate::packet::Packet;
use crate::record::Kind;
use crate::refusal::Refusal;
use crate::route::{Datagram, Route};
use crate::time::Time;

impl<F: Files> Endpoint<F> {
    /// Answers a datagram with an ERROR instead of taking it: refuses the request that it is, or
    /// ends the transfer that it belongs to. What is neither, and an ERROR, gets no answer.
    pub fn refuse_datagram(&mut self, now: Time, datagram: &Datagram<'_>, refusal: Refusal) {
        let kind = match Packet::parse(datagram.payload) {
            Ok(Packet::Read(_)) => Kind::Read,
            Ok(Packet::Write(_)) => Kind::Write,
            Ok(Packet::Error { .. }) => return self.counters.drop(DropReason::OutOfPlace),
            Ok(packet) if self.refuse_packet(now, &datagram.route, &packet, &refusal) => return,
            _ => return self.counters.drop(DropReason::Stray),
        };
        let asked = self.sessions.find_of_client(&datagram.route, |_, session| {
            session.is_live() && *session.request == *datagram.payload
        });
        match asked {
            Some(id) => self.refuse(now, id, refusal),
            None => self.turn_away(datagram, kind, refusal),
        }
    }

    /// Ends the transfer under way on a route with an ERROR; false if there is none.
    pub fn refuse_transfer(&mut self, now: Time, route: &Route, refusal: Refusal) -> bool {
        let id = self.sessions.find_at(route, |_, session| session.is_live());
        if let Some(id) = id {
            self.refuse(now, id, refusal);
        }
        id.is_some()
    }

    /// Ends the transfer that a packet belongs to with an ERROR; false if there is none.
    fn refuse_packet(
        &mut self,
        now: Time,
        route: &Route,
        packet: &Packet<'_>,
        refusal: &Refusal,
    ) -> bool {
        let id = self.session_of(route, packet);
        let id = id.filter(|id| self.sessions.get(*id).is_some_and(Session::is_live));
        if let Some(id) = id {
            self.refuse(now, id, refusal.clone());
        }
        id.is_some()
    }
}
