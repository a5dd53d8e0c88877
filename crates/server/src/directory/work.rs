//! What the threads of a directory do.

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, select};
use memtftp_proto::{ErrorCode, Refusal, RefusalReason};
use memtftp_store::{Name, Receipt, Version};

use super::backing::{Backing, BackingError, Writers};
use super::{Inner, Look, OPEN_FOR, PATIENCE, QUIET};
use crate::grant::Grant;
use crate::jobs::{Begin, Commit, Waiter};
use crate::later::Resolution;
use crate::library::Opened;
use crate::refusals::{already_exists, not_found};

/// Why a file is not in memory now.
enum NotLoaded {
    Backing(BackingError),
    /// It is larger than all the memory.
    TooLarge,
    /// What is in memory is being read, or is nowhere else.
    NoRoom,
}

impl From<BackingError> for NotLoaded {
    fn from(error: BackingError) -> NotLoaded {
        NotLoaded::Backing(error)
    }
}

impl<B: Backing> Inner<B> {
    /// The loop of a thread that loads. It ends when nobody can give it anything to do any more.
    pub(super) fn load_all(
        &self,
        asked: &Receiver<()>,
        warm: &Receiver<Name>,
        woken: &Receiver<()>,
    ) {
        loop {
            let next = self.held().loads.next();
            if let Some(name) = next {
                self.pass_on();
                self.load(&name);
            } else {
                let soonest = self.again().values().min().copied();
                let soonest = soonest.map(|at| at.saturating_duration_since(Instant::now()));
                let timeout =
                    soonest.map_or_else(crossbeam_channel::never, crossbeam_channel::after);
                select! {
                    recv(asked) -> asked => if asked.is_err() { break },
                    recv(warm) -> name => if let Ok(name) = name {
                        self.pass_on();
                        self.warm(&name);
                    },
                    recv(woken) -> _ => {}
                    recv(timeout) -> _ => {}
                }
            }
            self.look_again();
        }
    }

    /// The same of a thread that stores. Uploads that have come to their end go first: others may
    /// never send a block.
    pub(super) fn store_all(&self, begins: &Receiver<Begin>, commits: &Receiver<Commit>) {
        loop {
            if let Ok(commit) = commits.try_recv() {
                self.commit(commit);
                continue;
            }
            select! {
                recv(commits) -> commit => match commit {
                    Ok(commit) => self.commit(commit),
                    Err(_) => break,
                },
                recv(begins) -> begin => match begin {
                    Ok(begin) => self.begin(begin),
                    Err(_) => break,
                },
            }
        }
    }

    /// Loads what there is room for, before anybody asks, and names what can never be.
    pub(super) fn warm_all(&self, warm: &Sender<Name>) {
        let budget = self.store.budget();
        for name in self.backing.names() {
            let found = self.backing.find(&name);
            let len = found.map(|found| self.backing.about(&found).len).unwrap_or_default();
            if len > budget.limit() {
                tracing::warn!(
                    "{name} ({len} bytes) is larger than the memory and cannot be served: give more \
                     with --memory"
                );
                continue;
            }
            let has_room = budget.check(len).is_ok() && self.held().has_place();
            if has_room && warm.send(name).is_err() {
                break;
            }
        }
    }

    /// Loads a file that nobody has asked for, if nothing has to leave for it.
    fn warm(&self, name: &Name) {
        let fits = |len| self.store.budget().check(len).is_ok();
        let found = self.backing.find(name);
        if self.store.contains(name)
            || !found.is_ok_and(|found| fits(self.backing.about(&found).len))
        {
            return;
        }
        {
            let mut held = self.held();
            if !held.has_place() || !held.loads.begin(name) {
                return;
            }
        }
        self.load(name);
    }

    /// Loads a file and answers all who wait for it.
    pub(super) fn load(&self, name: &Name) {
        let result = self.try_load(name);
        let is_missing = matches!(result, Err(NotLoaded::Backing(BackingError::NotFound)));
        let spelled = match is_missing && self.may_be_spelled_otherwise(name) {
            true => self.spelling(name),
            false => None,
        };
        let (tried, again) = self.held().loads.tried(name, |waiter| match result {
            // It will be complete, or others will have been read.
            Err(NotLoaded::Backing(BackingError::Changing) | NotLoaded::NoRoom) => {
                waiter.since.elapsed() >= PATIENCE
            }
            _ => true,
        });
        if again {
            self.later(Look::Load(name.clone()));
        }
        for waiter in tried {
            match &spelled {
                Some(spelled) if waiter.grant.ignores_case() => self.go_on(waiter, spelled),
                _ => answer(waiter, &result),
            }
        }
    }

    /// Serves a request under the spelling that was found, if the rules allow that one, too.
    fn go_on(&self, mut waiter: Waiter, spelled: &Name) {
        if let Err(refusal) = waiter.grant.respell_blocking(spelled.clone()) {
            return waiter.answers.give(Resolution::Opened(waiter.id, Err(refusal)));
        }
        let name = waiter.grant.name().clone();
        let (is_first, evicted) = self.held().loads.join(&name, waiter);
        evicted.iter().for_each(give_up);
        if is_first {
            self.load(&name);
        }
    }

    /// The file that differs from this one in case only, on disk or in memory alone.
    fn spelling(&self, name: &Name) -> Option<Name> {
        let spelled = self.backing.spelling(name).or_else(|| self.store.spelling(name));
        spelled.filter(|spelled| spelled != name)
    }

    fn may_be_spelled_otherwise(&self, name: &Name) -> bool {
        self.held().loads.is_any(name, |waiter| waiter.grant.ignores_case())
    }

    fn try_load(&self, name: &Name) -> Result<Version, NotLoaded> {
        // By an upload while the request waited, or by another spelling.
        if let Some(version) = self.current(name) {
            return Ok(version);
        }
        let found = self.backing.find(name)?;
        let about = self.backing.about(&found);
        if about.age.is_some_and(|age| age < QUIET) || self.is_being_written(name, &found) {
            return Err(BackingError::Changing.into());
        }
        if about.len > self.store.budget().limit() {
            return Err(NotLoaded::TooLarge);
        }
        // Before reading, so that no more is read than there is room for.
        let charge = loop {
            if !self.make_room(about.len) {
                return Err(NotLoaded::NoRoom);
            }
            if let Ok(charge) = self.store.budget().charge(about.len) {
                break charge;
            }
        };
        let version = self.store.hold_charged(self.backing.load(found)?, charge);
        // What was read may be an upload that nobody is to see before it is durable.
        if self.turns.is_taken(name) || self.backing.look(name)? != about.mark {
            return Err(BackingError::Changing.into());
        }
        Ok(self.held().publish_new(name, version, about))
    }

    /// Takes files out of memory, a few at a time, until there is room for `len` bytes and a file
    /// more. False if there cannot be; then nothing is taken out.
    pub(super) fn make_room(&self, len: u64) -> bool {
        if !self.held().can_make_room(len) {
            return false;
        }
        loop {
            let gone = self.held().make_some_room(len);
            if gone.is_empty() {
                return self.held().has_room(len);
            }
        }
    }

    /// Whether somebody writes to a file in place and has not finished.
    pub(super) fn is_being_written(&self, name: &Name, found: &B::Found) -> bool {
        let about = self.backing.about(found);
        match (self.backing.writers(found), about.unchanged_for) {
            (Writers::None, _) => false,
            // Open for ever, as some logs are, does not mean that it is never complete.
            (Writers::Some, Some(unchanged_for)) => unchanged_for < OPEN_FOR,
            (Writers::Some, None) | (Writers::Unknown, _) => {
                self.held().is_being_written(name, &about, Instant::now())
            }
        }
    }

    fn begin(&self, begin: Begin) {
        let Begin { id, mut upload, existing, mut grant, answers } = begin;
        let result = self.place(&mut grant).and_then(|()| {
            upload.retarget(&grant);
            let may_store = self.backing.may_store(upload.name(), existing);
            may_store.map_err(|error| not_stored(upload.name(), &error))
        });
        answers.give(Resolution::Begun(id, result.map(|()| upload)));
    }

    /// Finds the spelling under which an upload is to be stored. The rules decide on that.
    fn place(&self, grant: &mut Grant) -> Result<(), Refusal> {
        while grant.ignores_case()
            && self.backing.find(grant.name()).is_err()
            && let Some(spelled) = self
                .spelling(grant.name())
                .or_else(|| self.backing.spelling_for_upload(grant.name()))
            && spelled != *grant.name()
        {
            grant.respell_blocking(spelled)?;
        }
        Ok(())
    }

    /// On disk first, then in memory, then the client is told.
    fn commit(&self, commit: Commit) {
        let Commit { id, name, version, existing, answers } = commit;
        let stored = || {
            if !answers.waits_for_commit(id) {
                return Ok(None);
            }
            let failed = |error: BackingError| not_stored(&name, &error);
            let mut stored = self.backing.store(&name, version.as_ref()).map_err(failed)?;
            let _turn = self.turns.take(&name);
            // Its client may have been told otherwise meanwhile, and have stored another.
            if !answers.end_commit(id) {
                return Ok(None);
            }
            let about = self.backing.publish(&mut stored, &name, existing).map_err(failed)?;
            // Freed at the end: workers wait for what is held.
            let _older = self.store.open(&name);
            // It is found on disk by now, and what is in memory is another.
            let settled = self.backing.settle(&stored, &name);
            settled.map_err(|error| {
                drop(self.held().forget(&name));
                not_durable(&name, &error)
            })?;
            version.leave_share();
            if !self.store.contains(&name) {
                // Its bytes are there already.
                self.make_room(0);
            }
            let mut held = self.held();
            let receipt = held.publish(&name, &version, about);
            // Behind the version, which those see who are woken; and before it can leave again.
            self.arrivals.add(name.clone());
            Ok(Some(receipt))
        };
        let result: Result<Option<Receipt>, Refusal> = stored();
        answers.end_commit(id);
        if let Some(result) = result.transpose() {
            answers.give(Resolution::Committed(id, result));
        }
    }
}

/// Tells the worker of a request that it waits no more.
pub(super) fn give_up(evicted: &Waiter) {
    evicted.answers.give(Resolution::Evicted(evicted.id));
}

fn answer(waiter: Waiter, result: &Result<Version, NotLoaded>) {
    let Waiter { id, grant, answers, .. } = waiter;
    let opened = match result {
        Ok(version) => Ok(Opened::new(version.clone(), grant.caps())),
        Err(why) => Err(refusal(&grant, why)),
    };
    answers.give(Resolution::Opened(id, opened));
}

fn refusal(grant: &Grant, why: &NotLoaded) -> Refusal {
    let name = grant.name();
    match why {
        NotLoaded::Backing(BackingError::NotFound) => not_found(grant),
        NotLoaded::Backing(error @ BackingError::Gone(_)) => {
            let refusal = Refusal::new(ErrorCode::NOT_FOUND, "file not found");
            refusal.because(format!("{name} cannot be read: {error}"))
        }
        NotLoaded::Backing(BackingError::Changing) => {
            let refusal =
                Refusal::new(ErrorCode::UNDEFINED, "file is being written, try again later");
            refusal.counted_as(RefusalReason::Disk)
        }
        NotLoaded::Backing(error) => {
            let refusal = Refusal::new(ErrorCode::ACCESS, "file cannot be read here");
            refusal
                .because(format!("{name} cannot be read: {error}"))
                .counted_as(RefusalReason::Disk)
        }
        NotLoaded::TooLarge => {
            let text = "file is larger than the server's memory, see --memory";
            Refusal::new(ErrorCode::UNDEFINED, text).counted_as(RefusalReason::Memory)
        }
        NotLoaded::NoRoom => {
            let text = "no memory left for the file, try again later";
            Refusal::new(ErrorCode::UNDEFINED, text).counted_as(RefusalReason::Memory)
        }
    }
}

/// An upload that has its name, but could be lost with the machine.
fn not_durable(name: &Name, error: &BackingError) -> Refusal {
    let refusal = not_stored(name, error);
    refusal.because(format!("{name} is stored and may be lost by a crash: {error}"))
}

fn not_stored(name: &Name, error: &BackingError) -> Refusal {
    let refusal = match error {
        BackingError::Exists => return already_exists(),
        BackingError::Full => Refusal::new(ErrorCode::FULL, "the server's disk is full"),
        BackingError::NoDirectory => {
            let text = "directory does not exist, the server needs --create-dirs";
            Refusal::new(ErrorCode::ACCESS, text)
        }
        BackingError::Unusable(_) => Refusal::new(ErrorCode::ACCESS, "file cannot be written here"),
        _ => Refusal::new(ErrorCode::UNDEFINED, "the server cannot store the file"),
    };
    refusal.because(format!("{name} cannot be stored: {error}")).counted_as(RefusalReason::Disk)
}
