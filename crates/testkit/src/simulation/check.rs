//! What must hold after each step, and at the end.

use std::net::SocketAddr;
use std::time::Duration;

use memtftp_proto::{ErrorCode, Kind, Outcome, Packet, Record, Time};

use super::crowd::Guest;
use super::library::Library;
use super::scenario::Scenario;
use super::{Ending, Job, World};

/// A session whose client has answered repeats what it said last at least every 8 s, the longest
/// wait. A block that moves an upload on inside a window begins the wait anew without an answer;
/// where much is lost that happens some times in a row.
const SILENCE: Duration = Duration::from_secs(33);

impl World {
    /// Whether the server neglects a session until `next`, when something happens.
    pub(super) fn check_silence(&self, next: Time) -> Result<(), String> {
        let silent =
            |guest: &&Guest| guest.served.is_some_and(|served| next.since(served) > SILENCE);
        // Before its first answer a client that may be forged hears some packets and no more.
        let has_answered = |guest: &&Guest| {
            let sessions = self.endpoint.snapshot(next, usize::MAX).longest;
            !sessions.iter().any(|session| session.peer == guest.address && session.half_open)
        };
        match self.guests.iter().filter(silent).find(has_answered) {
            Some(guest) => Err(format!("{} is served, but hears nothing", guest.address)),
            None => Ok(()),
        }
    }

    /// Takes note of what the server sends.
    pub(super) fn note_sent(&mut self, to: SocketAddr, datagram: &[u8]) {
        let Some(guest) = self.guests.iter_mut().find(|guest| guest.address == to) else { return };
        if guest.served.is_some() {
            guest.served = Some(self.now);
        }
        if let Ok(Packet::Error { code, .. }) = Packet::parse(datagram) {
            guest.told = Some(code);
        }
    }

    pub(super) fn note_records(&mut self) -> Result<(), String> {
        while let Some(record) = self.endpoint.poll_record() {
            if record.kind == Kind::Unrecognized {
                continue;
            }
            let guest = self.guests.iter_mut().find(|guest| guest.address == record.peer);
            if let Some(guest) = guest.filter(|_| record.outcome != Outcome::Superseded) {
                guest.served = None;
            }
            if record.kind == Kind::Write
                && record.outcome != Outcome::Complete
                && !self.endpoint.files().is_intact()
            {
                return Err(format!("an upload that ended in {:?} left a trace", record.outcome));
            }
            self.records.push(record);
        }
        Ok(())
    }

    pub(super) fn check_step(&mut self) -> Result<(), String> {
        let library = self.endpoint.files();
        if library.budget_used() > library.budget_limit() {
            return Err("more memory is held than the budget allows".into());
        }
        for guest in self.guests.iter_mut().filter(|guest| guest.ended.is_none()) {
            let Some(ending) = guest.client.ending() else { continue };
            guest.ended = Some(self.now);
            check_ending(library, guest, ending, self.now)
                .and_then(|()| self.excuses.check(guest, ending, self.now))
                .map_err(|error| format!("{}: {error}", guest.address))?;
        }
        Ok(())
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        if let Some(guest) = self.guests.iter().find(|guest| guest.client.ending().is_none()) {
            return Err(format!("{} never ended", guest.address));
        }
        let (sessions, live) = (self.endpoint.sessions(), self.endpoint.live_sessions());
        if sessions + live != 0 {
            return Err(format!("{sessions} sessions are left, {live} of them live"));
        }
        let library = self.endpoint.files();
        let (used, live, commits) =
            (library.budget_used(), library.live_bytes(), library.commits());
        if used != live {
            return Err(format!("{used} bytes are charged for files of {live}"));
        }
        let complete =
            |record: &&Record| record.kind == Kind::Write && record.outcome == Outcome::Complete;
        let recorded = self.records.iter().filter(complete).count();
        if commits != recorded {
            return Err(format!("{commits} commits, but {recorded} records of uploads"));
        }
        Ok(())
    }
}

/// What may make a transfer fail.
#[derive(Debug)]
pub(super) struct Excuses {
    /// Nothing but a lack of memory.
    fair: bool,
    /// If there are any, nothing but them.
    naps: Vec<(Time, Time)>,
}

impl Excuses {
    pub(super) fn new(scenario: &Scenario) -> Excuses {
        Excuses { fair: scenario.is_fair(), naps: scenario.naps.clone() }
    }

    fn check(&self, guest: &Guest, ending: &Ending, now: Time) -> Result<(), String> {
        let Ending::Failed(why) = ending else { return Ok(()) };
        // A file that is there at the start may not have fitted either.
        let reading = matches!(guest.job, Job::Read);
        let no = if reading { ErrorCode::NOT_FOUND } else { ErrorCode::FULL };
        if self.fair && (guest.told != Some(no) || guest.must_succeed) {
            return Err(format!("failed without a reason: {why}"));
        }
        let slept = |(from, woken): &(Time, Time)| *from < now && guest.starts < *woken;
        if !self.naps.is_empty() && !self.naps.iter().any(slept) {
            return Err(format!("failed though the server was awake: {why}"));
        }
        Ok(())
    }
}

/// Whether what a client was told is true.
fn check_ending(
    library: &Library,
    guest: &Guest,
    ending: &Ending,
    now: Time,
) -> Result<(), String> {
    let Guest { name, starts, .. } = guest;
    match (&guest.job, ending) {
        (_, Ending::Failed(_)) => Ok(()),
        (Job::Read, Ending::Done(bytes)) if library.was_current(name, bytes, *starts, now) => {
            Ok(())
        }
        (Job::Read, Ending::Done(bytes)) => {
            Err(format!("read {} bytes of {name} that it never held", bytes.len()))
        }
        (Job::Write(bytes), Ending::Done(_)) if library.was_current(name, bytes, *starts, now) => {
            Ok(())
        }
        (Job::Write(_), Ending::Done(_)) => Err(format!("{name} was acknowledged but not stored")),
    }
}
