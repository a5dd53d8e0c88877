//! How sessions end, and what is remembered of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::control::ControlPacket;
use crate::endpoint::Endpoint;
use crate::endpoint::session::State;
use crate::files::Files;
use crate::packet::ErrorCode;
use crate::record::{Outcome, Record};
use crate::refusal::{Refusal, RefusalReason};
use crate::route::{Route, SessionId};
use crate::time::Time;

impl<F: Files> Endpoint<F> {
    /// Records the outcome of a session, if it is live; it is finished then.
    pub(super) fn conclude(&mut self, now: Time, id: SessionId, outcome: Outcome) {
        let is_complete = outcome == Outcome::Complete;
        let Some((state, record)) = self.finish(now, id, outcome) else { return };
        let is_published =
            matches!(state, State::Committing(_)) && !is_complete && !self.files.withdraw(id);
        if is_published {
            self.unsettled.insert(id, record);
        } else {
            self.leave(record);
        }
    }

    /// Records that storage has refused to commit an upload, and tells its client.
    pub(super) fn refuse_commit(&mut self, now: Time, id: SessionId, refusal: Refusal) {
        if let Some(session) = self.sessions.get(id) {
            self.tell_refusal(session.route, Some(id), &refusal);
        }
        if let Some((_, record)) = self.finish(now, id, Outcome::Refused(refusal)) {
            self.leave(record);
        }
        self.linger(now, id, State::Closed);
    }

    /// Makes a live session a finished one. Returns the state that it was in and its record.
    fn finish(&mut self, now: Time, id: SessionId, outcome: Outcome) -> Option<(State<F>, Record)> {
        let session = self.sessions.get_mut(id).filter(|session| session.is_live())?;
        if let (State::Sending(sender), Outcome::Complete) = (&session.state, &outcome) {
            match sender.runs_arrive() {
                Some(true) => self.lost_runs = 0,
                Some(false) => self.lost_runs = self.lost_runs.saturating_add(1),
                None => {}
            }
        }
        let record = session.record(now, outcome);
        let state = std::mem::replace(&mut session.state, State::Closed);
        if session.half_open {
            self.census.answered(record.peer.ip(), record.kind);
        }
        self.census.end(record.peer.ip(), record.kind);
        Some((state, record))
    }

    /// Records the outcome of a session and remembers it for a while, with the port of ours that it
    /// has used.
    pub(super) fn end(&mut self, now: Time, id: SessionId, outcome: Outcome) {
        self.conclude(now, id, outcome);
        self.linger(now, id, State::Closed);
    }

    /// Records an upload whose client had gone when it was published, now that the commit is answered.
    pub(super) fn settle(&mut self, id: SessionId, is_stored: bool) {
        let Some(mut record) = self.unsettled.remove(&id) else { return };
        if is_stored {
            record.outcome = match record.outcome {
                // Its client was told so; the operator hears what came of it.
                Outcome::Refused(refusal) => {
                    let reason = format!("{}, and the file was stored later", refusal.reason());
                    Outcome::Refused(refusal.because(reason))
                }
                _ => Outcome::Complete,
            };
        }
        self.leave(record);
    }

    /// Records the uploads of which nobody will hear any more what came of them.
    pub(super) fn settle_all(&mut self) {
        for (_, record) in std::mem::take(&mut self.unsettled) {
            self.leave(Record { outcome: Outcome::Shutdown, ..record });
        }
    }

    pub(super) fn leave(&mut self, record: Record) {
        self.counters.note(&record);
        self.records.push_back(record);
    }

    /// Tells the peer and the record that we said no.
    pub(super) fn refuse(&mut self, now: Time, id: SessionId, refusal: Refusal) {
        if let Some(session) = self.sessions.get(id) {
            self.tell_refusal(session.route, Some(id), &refusal);
        }
        self.end(now, id, Outcome::Refused(refusal));
    }

    /// Tells the peer that we said no, unless it has another transfer under way on the same port: it
    /// would take that for refused.
    pub(super) fn tell_refusal(&mut self, route: Route, id: Option<SessionId>, refusal: &Refusal) {
        if self.incumbent_at(&route, id).is_none() {
            self.send_control(route, ControlPacket::error(refusal.code, &refusal.text));
        }
    }

    /// Remembers a finished session for a while.
    pub(super) fn linger(&mut self, now: Time, id: SessionId, state: State<F>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.state = state;
        session.linger(now, self.config.linger);
        let queue = match session.state {
            State::Dallying(_) => &mut self.finished.dallying,
            _ if session.half_open => &mut self.finished.unanswered,
            _ => &mut self.finished.answered,
        };
        queue.push_back(id);
        let oldest = if queue.len() > self.config.max_lingering { queue.pop_front() } else { None };
        self.touch(id);
        if let Some(oldest) = oldest.filter(|oldest| self.sessions.get(*oldest).is_some()) {
            self.counters.forgotten += 1;
            self.forget(oldest);
        }
    }

    pub(super) fn forget(&mut self, id: SessionId) {
        self.sessions.remove(id);
        if self.sessions.len() == 0 {
            self.finished = Finished::default();
        }
    }
}

/// Finished sessions that are remembered, oldest first; some are gone already. Apart, so that no flood
/// of requests makes a client a stranger that waits for its last ACK, or brings back a port that a
/// client has just used.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Committed uploads.
    dallying: VecDeque<SessionId>,
    /// All others whose client had answered.
    answered: VecDeque<SessionId>,
    /// Those whose client had not.
    unanswered: VecDeque<SessionId>,
}

/// A transfer that has lasted for `limit`.
pub(super) fn took_too_long(limit: Duration) -> Refusal {
    Refusal::new(ErrorCode::UNDEFINED, "transfer took too long")
        .because(format!("limit of {limit:?} for one transfer reached"))
        .counted_as(RefusalReason::TransferTime)
}

/// What began with an answer that was to come later, and did not.
pub(super) fn storage_is_silent() -> Refusal {
    let refusal = Refusal::new(ErrorCode::UNDEFINED, "the server's storage does not answer");
    refusal.counted_as(RefusalReason::Disk)
}
