//! Packets of transfers that are under way, and of strangers.

use crate::control::ControlPacket;
use crate::counters::DropReason;
use crate::endpoint::Endpoint;
use crate::endpoint::session::{State, service_port};
use crate::files::{Answer, Files};
use crate::packet::{ErrorCode, Packet};
use crate::receiver::{Dally, Verdict};
use crate::record::Outcome;
use crate::refusal::Refusal;
use crate::route::{Route, SessionId};
use crate::sender::AckOutcome;
use crate::time::Time;

/// How much of a client's ERROR text is kept, in bytes.
const MAX_KEPT_TEXT: usize = 128;

impl<F: Files> Endpoint<F> {
    /// A datagram on a transfer socket.
    pub(super) fn handle_transfer(&mut self, now: Time, route: &Route, packet: Option<Packet<'_>>) {
        let Some(packet) = packet else { return self.handle_garbage(route) };
        match self.session_of(route, &packet) {
            Some(id) => self.handle_session_packet(now, id, packet),
            // It talks to the wrong one of our ports.
            None if self.is_known(route) => self.counters.drop(DropReason::Stray),
            None => self.handle_stray(now, route, packet),
        }
    }

    /// Something on a transfer socket that is no packet.
    fn handle_garbage(&mut self, route: &Route) {
        let known = self.sessions.at(route).next().is_some();
        self.counters.drop(if known { DropReason::OutOfPlace } else { DropReason::Stray });
    }

    /// Whether the client of this route has any session.
    fn is_known(&self, route: &Route) -> bool {
        self.sessions.of_client(route).next().is_some()
    }

    /// A packet of no transfer that we know. An ERROR is never answered, nor what may be one.
    fn handle_stray(&mut self, now: Time, route: &Route, packet: Packet<'_>) {
        let answerable = matches!(packet, Packet::Data { .. } | Packet::Ack { .. })
            && service_port(route.peer.port()).is_none();
        let per_second = self.config.stray_answers_per_second;
        if answerable && self.stray_answers.allow(now, per_second) {
            let packet = ControlPacket::error(ErrorCode::UNKNOWN_TID, "unknown transfer ID");
            self.send_control(*route, packet);
        } else {
            self.counters.drop(DropReason::Stray);
        }
    }

    /// A packet of a session.
    pub(super) fn handle_session_packet(&mut self, now: Time, id: SessionId, packet: Packet<'_>) {
        let Some(session) = self.sessions.get(id) else { return };
        let settles = session.rival.is_some() && session.is_continued_by(&packet);
        self.handle_packet(now, id, packet);
        if settles {
            self.settle_rivalry(now, id);
        }
    }

    fn handle_packet(&mut self, now: Time, id: SessionId, packet: Packet<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match (packet, &mut session.state) {
            (Packet::Data { block, .. }, State::Dallying(dally)) => {
                dally.handle_data(now, block);
                session.linger(now, self.config.linger);
                self.touch(id);
            }
            (_, State::Dallying(_) | State::Closed) => self.counters.drop(DropReason::Late),
            (Packet::Error { code, text }, _) => self.handle_error(now, id, code, text),
            (Packet::Ack { block }, State::Sending(sender)) => {
                let outcome = sender.handle_ack(now, block);
                if session.half_open && outcome != AckOutcome::Ignored {
                    self.answered(now, id);
                }
                match outcome {
                    AckOutcome::Taken => self.touch(id),
                    AckOutcome::Ignored => self.counters.drop(DropReason::OutOfPlace),
                    AckOutcome::Complete => self.end(now, id, Outcome::Complete),
                }
            }
            (Packet::Data { block, payload }, State::Receiving(..)) => {
                self.handle_data(now, id, block, payload);
            }
            _ => self.counters.drop(DropReason::OutOfPlace),
        }
    }

    fn handle_error(&mut self, now: Time, id: SessionId, code: ErrorCode, text: &[u8]) {
        let Some(session) = self.sessions.get(id) else { return };
        let text = text.get(..MAX_KEPT_TEXT).unwrap_or(text).to_vec();
        let outcome = if session.is_probe() {
            Outcome::Probe { code, text }
        } else {
            Outcome::Aborted { code, text }
        };
        self.end(now, id, outcome);
    }

    fn handle_data(&mut self, now: Time, id: SessionId, block: u16, payload: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let State::Receiving(receiver, upload) = &mut session.state else { return };
        let files = &mut self.files;
        let verdict =
            receiver.handle_data(now, block, payload, |bytes| files.append(upload, bytes));
        if session.half_open && matches!(verdict, Ok(Verdict::Taken | Verdict::Complete)) {
            self.answered(now, id);
        }
        match verdict {
            Ok(Verdict::Taken | Verdict::OutOfOrder) => self.touch(id),
            Ok(Verdict::Complete) => self.commit(now, id),
            Ok(Verdict::TooLong) => {
                let text = "DATA is longer than the block size agreed";
                self.refuse(now, id, Refusal::new(ErrorCode::ILLEGAL, text));
            }
            Err(refusal) => self.refuse(now, id, refusal),
        }
    }

    fn commit(&mut self, now: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match std::mem::replace(&mut session.state, State::Opening) {
            State::Receiving(receiver, upload) => {
                session.state = State::Committing(receiver);
                if let Answer::Now(result) = self.files.commit(id, upload) {
                    self.committed(now, id, result);
                }
            }
            other => session.state = other,
        }
    }

    pub(super) fn committed(
        &mut self,
        now: Time,
        id: SessionId,
        result: Result<F::Receipt, Refusal>,
    ) {
        self.settle(id, result.is_ok());
        let Some(session) = self.sessions.get(id) else { return };
        let State::Committing(receiver) = &session.state else { return };
        let Some(last) = receiver.finish() else { return };
        match result {
            Ok(receipt) => {
                self.conclude(now, id, Outcome::Complete);
                self.linger(now, id, State::Dallying(Dally::new(last, receipt)));
            }
            Err(refusal) => self.refuse_commit(now, id, refusal),
        }
    }
}
