//! What the threads of a directory do.

use std::sync::{PoisonError, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, select};
use memtftp_proto::{ErrorCode, Refusal, RefusalReason};
use memtftp_store::{Name, Version};

use super::backing::{Backing, BackingError, Change};
use super::held::Loading;
use super::{AGAIN, Inner, Look, PATIENCE, QUIET, Storing};
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
        loads: &Receiver<Name>,
        warm: &Receiver<Name>,
        woken: &Receiver<()>,
    ) {
        loop {
            if let Ok(name) = loads.try_recv() {
                self.pass_on();
                self.load(&name);
            } else {
                let soonest = self.again().values().min().copied();
                let soonest = soonest.map(|at| at.saturating_duration_since(Instant::now()));
                let timeout =
                    soonest.map_or_else(crossbeam_channel::never, crossbeam_channel::after);
                select! {
                    recv(loads) -> name => match name {
                        Ok(name) => {
                            self.pass_on();
                            self.load(&name);
                        }
                        Err(_) => break,
                    },
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

    /// The same of a thread that stores.
    pub(super) fn store_all(&self, stores: &Receiver<Storing>) {
        while let Ok(job) = stores.recv() {
            match job {
                Storing::Begin(begin) => self.begin(begin),
                Storing::Commit(commit) => self.commit(*commit),
            }
        }
    }

    /// Before work that may take long: another thread is to keep the time.
    fn pass_on(&self) {
        if !self.again().is_empty() {
            let _ = self.wake.try_send(());
        }
    }

    /// Looks at what is due, one after the other, so that others may take the next.
    fn look_again(&self) {
        while let Some(look) = self.due() {
            self.pass_on();
            match look {
                Look::Load(name) => self.load(&name),
                Look::Check(name) => self.check_below(&name),
                Look::Watch => self.watch_anew(),
            }
        }
    }

    fn due(&self) -> Option<Look> {
        let (now, mut again) = (Instant::now(), self.again());
        let look = again.iter().find(|(_, at)| **at <= now).map(|(look, _)| look.clone())?;
        again.remove(&look);
        Some(look)
    }

    pub(super) fn later(&self, look: Look) {
        self.again().entry(look).or_insert_with(|| Instant::now() + AGAIN);
        // Full means that a thread will look.
        let _ = self.wake.try_send(());
    }

    /// Watches, and sees to what has changed before.
    pub(super) fn watch_anew(&self) {
        let me = Weak::clone(&self.me);
        let tell = move |change| {
            if let Some(inner) = me.upgrade() {
                inner.changed(change);
            }
        };
        let watch = self.backing.watch(tell);
        let before = self.watch.lock().unwrap_or_else(PoisonError::into_inner).replace(watch);
        // Not under the lock: it may wait for a change that is being told.
        drop(before);
        self.check_all();
    }

    /// Loads what there is room for, before anybody asks, and names what can never be.
    pub(super) fn warm_all(&self, warm: &Sender<Name>) {
        let budget = self.store.budget();
        let mut has_room = true;
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
            has_room &= budget.check(len).is_ok() && self.held().has_place();
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
            if !held.has_place() || held.loading.contains_key(name) {
                return;
            }
            held.loading.insert(name.clone(), Loading::begin(Vec::new()));
        }
        self.load(name);
    }

    /// Loads a file and answers all who wait for it.
    fn load(&self, name: &Name) {
        let mut result = self.try_load(name);
        let mut is_exact = true;
        if let Err(NotLoaded::Backing(BackingError::NotFound)) = result
            && self.may_be_spelled_otherwise(name)
            && let Some(spelled) = self.backing.spelling(name)
        {
            result = self.try_load(&spelled);
            is_exact = false;
        }
        let not_found = NotLoaded::Backing(BackingError::NotFound);
        let result_for = |waiter: &Waiter| match &result {
            _ if !is_exact && !waiter.ignore_case => Err(&not_found),
            result => result.as_ref(),
        };
        let (answered, again) = self.held().tried(name, |waiter| match result_for(waiter) {
            // It will be complete, or others will have been read.
            Err(NotLoaded::Backing(BackingError::Changing) | NotLoaded::NoRoom) => {
                waiter.since.elapsed() >= PATIENCE
            }
            _ => true,
        });
        if again {
            self.later(Look::Load(name.clone()));
        }
        for waiter in answered {
            let result = match result_for(&waiter) {
                Ok(version) => Ok(Opened::new(version.clone(), waiter.caps)),
                Err(why) => Err(refusal(&waiter.asked, name, why)),
            };
            waiter.answers.give(Resolution::Opened(waiter.id, result));
        }
    }

    fn may_be_spelled_otherwise(&self, name: &Name) -> bool {
        let held = self.held();
        held.loading.get(name).is_some_and(|l| l.waiters.iter().any(|waiter| waiter.ignore_case))
    }

    fn try_load(&self, name: &Name) -> Result<Version, NotLoaded> {
        if self.held().is_being_written(name, Instant::now()) {
            return Err(BackingError::Changing.into());
        }
        // An upload may have brought it while the request waited.
        if let Some(version) = self.store.open(name) {
            return Ok(version);
        }
        let found = self.backing.find(name)?;
        let about = self.backing.about(&found);
        if about.age.is_some_and(|age| age < QUIET) {
            return Err(BackingError::Changing.into());
        }
        if about.len > self.store.budget().limit() {
            return Err(NotLoaded::TooLarge);
        }
        // Before reading, so that no more is read than there is room for.
        let charge = loop {
            if !self.held().make_room(about.len) {
                return Err(NotLoaded::NoRoom);
            }
            if let Ok(charge) = self.store.budget().charge(about.len) {
                break charge;
            }
        };
        let version = self.store.hold_charged(self.backing.load(found)?, charge);
        // What changes from here on is told after the turn, and then it is checked.
        let Some(_turn) = self.turns.try_take(name) else {
            return Err(BackingError::Changing.into());
        };
        let now = self.backing.find(name)?;
        if self.backing.about(&now).mark != about.mark {
            return Err(BackingError::Changing.into());
        }
        let _receipt = self.held().publish(name, &version, about);
        Ok(version)
    }

    fn begin(&self, begin: Begin) {
        let Begin { id, mut upload, existing, ignore_case, answers } = begin;
        let is_there = || self.backing.find(upload.name()).is_ok();
        if ignore_case
            && !is_there()
            && let Some(name) = self.backing.spelling(upload.name())
        {
            upload.rename(name);
        }
        let result = match self.backing.may_store(upload.name(), existing) {
            Ok(()) => Ok(upload),
            Err(error) => Err(not_stored(upload.name(), &error)),
        };
        answers.give(Resolution::Begun(id, result));
    }

    /// On disk first, then in memory, then the client is told.
    fn commit(&self, commit: Commit) {
        let Commit { id, name, version, existing, answers } = commit;
        let stored = || {
            let mut stored = self.backing.store(&name, version.as_ref())?;
            let _turn = self.turns.take(&name);
            let about = self.backing.publish(&mut stored, &name, existing)?;
            // It is found on disk by now, and what is in memory is another.
            self.backing.settle(&stored).inspect_err(|_| self.held().forget(&name))?;
            let mut held = self.held();
            // Empty files take no bytes, but a place.
            held.make_room(0);
            let receipt = held.publish(&name, &version, about);
            // Behind the version, which those see who are woken; and before it can leave again.
            self.arrivals.add(name.clone());
            Ok(receipt)
        };
        let result = stored().map_err(|error: BackingError| not_stored(&name, &error));
        answers.give(Resolution::Committed(id, result));
    }

    /// Takes a file out of memory that is no longer what is on disk; the next request loads it.
    pub(super) fn check(&self, name: &Name) {
        let Some(_turn) = self.turns.try_take(name) else {
            return self.later(Look::Check(name.clone()));
        };
        let Some(mark) = self.held().mark(name) else { return };
        if self.held().is_being_written(name, Instant::now()) {
            return self.later(Look::Check(name.clone()));
        }
        let found = self.backing.find(name);
        if !found.is_ok_and(|found| self.backing.about(&found).mark == mark) {
            self.held().forget(name);
        }
    }

    /// The same for a file or a directory.
    fn check_below(&self, name: &Name) {
        self.check(name);
        self.store.names_below(name).iter().for_each(|name| self.check(name));
    }

    /// The same for all files.
    pub(super) fn check_all(&self) {
        self.store.names().iter().for_each(|name| self.check(name));
    }

    /// Acts on what has changed.
    pub(super) fn changed(&self, change: Change) {
        match change {
            Change::Everything => return self.later(Look::Watch),
            Change::All => return self.check_all(),
            Change::At(name) => {
                self.held().closed(&name);
                self.check_below(&name);
                // A new directory is watched a moment later, and may have changed before.
                self.later(Look::Check(name));
            }
            Change::Touched(name) => self.check(&name),
            Change::Written(name) => {
                self.held().written(&name, Instant::now());
                if self.held().mark(&name).is_some() {
                    self.later(Look::Check(name));
                }
            }
            Change::Closed(name) => {
                self.held().closed(&name);
                self.check(&name);
            }
        }
        // It may have been one of these under another name.
        let linked = self.held().linked();
        linked.into_iter().for_each(|name| self.later(Look::Check(name)));
    }
}

fn refusal(asked: &Name, name: &Name, why: &NotLoaded) -> Refusal {
    match why {
        NotLoaded::Backing(BackingError::NotFound) => not_found(asked, name),
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
