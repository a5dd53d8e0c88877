//! What the threads of a directory do.

use std::time::Instant;

use crossbeam_channel::{Receiver, select};
use memtftp_proto::{ErrorCode, Refusal, RefusalReason};
use memtftp_store::{Name, Version};

use super::backing::{About, Backing, BackingError, Change};
use super::held::Loading;
use super::{AGAIN, Begin, Commit, Inner, Job, Look, PATIENCE, QUIET};
use crate::later::Resolution;
use crate::library::Opened;

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
    /// The loop of a thread. It ends when nobody can give it anything to do any more.
    pub(super) fn work(&self, jobs: &Receiver<Job>, warm: &Receiver<Name>) {
        while let Some(job) = self.next(jobs, warm) {
            match job {
                Some(Job::Load(name)) => self.load(&name),
                Some(Job::Warm(name)) => self.warm(&name),
                Some(Job::Begin(begin)) => self.begin(begin),
                Some(Job::Commit(commit)) => self.commit(*commit),
                None => {}
            }
            self.look_again();
        }
    }

    /// The next job: those that somebody waits for go first. No job if something is to be looked at
    /// again; nothing at the end.
    fn next(&self, jobs: &Receiver<Job>, warm: &Receiver<Name>) -> Option<Option<Job>> {
        if let Ok(job) = jobs.try_recv() {
            return Some(Some(job));
        }
        let soonest = self.delayed().iter().map(|(at, _)| *at).min();
        let soonest = soonest.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = soonest.map_or_else(crossbeam_channel::never, crossbeam_channel::after);
        select! {
            recv(jobs) -> job => job.ok().map(Some),
            recv(warm) -> name => name.ok().map(|name| Some(Job::Warm(name))),
            recv(timeout) -> _ => Some(None),
        }
    }

    fn look_again(&self) {
        let now = Instant::now();
        let due: Vec<_> = self.delayed().extract_if(.., |(at, _)| *at <= now).collect();
        for (_, look) in due {
            match look {
                Look::Load(name) => self.load(&name),
                Look::Check(name) => self.check(&name),
            }
        }
    }

    pub(super) fn later(&self, look: Look) {
        self.delayed().push((Instant::now() + AGAIN, look));
    }

    /// Loads a file before anybody asks for it, if nothing has to leave for it.
    fn warm(&self, name: &Name) {
        if self.store.contains(name) {
            return;
        }
        let fits = |len| self.store.budget().check(len).is_ok();
        if self.backing.find(name).is_ok_and(|found| fits(self.backing.about(&found).len)) {
            let loading = Loading { since: Instant::now(), waiters: Vec::new(), stale: false };
            self.held().loading.entry(name.clone()).or_insert(loading);
            self.load(name);
        }
    }

    /// Loads a file and answers all who wait for it.
    fn load(&self, name: &Name) {
        let result = match self.try_load_spelled(name) {
            // It will be complete, or others will have been read.
            Err(NotLoaded::Backing(BackingError::Changing) | NotLoaded::NoRoom)
                if self.is_patient(name) =>
            {
                return self.later(Look::Load(name.clone()));
            }
            result => result,
        };
        let waiters = {
            let mut held = self.held();
            let loading = held.loading.remove(name);
            let waiters = loading.map(|loading| loading.waiters).unwrap_or_default();
            held.waiting -= waiters.len();
            waiters
        };
        for waiter in waiters {
            let result = match &result {
                Ok(version) => Ok(Opened::new(version.clone(), waiter.caps)),
                Err(why) => Err(refusal(name, why)),
            };
            waiter.answers.give(Resolution::Opened(waiter.id, result));
        }
    }

    /// The same by any spelling, if those who wait do not mind.
    fn try_load_spelled(&self, name: &Name) -> Result<Version, NotLoaded> {
        match self.try_load(name) {
            Err(NotLoaded::Backing(BackingError::NotFound))
                if self.may_be_spelled_otherwise(name) =>
            {
                let spelled = self.backing.spelling(name).ok_or(BackingError::NotFound)?;
                self.try_load(&spelled)
            }
            result => result,
        }
    }

    fn may_be_spelled_otherwise(&self, name: &Name) -> bool {
        let held = self.held();
        held.loading.get(name).is_some_and(|l| l.waiters.iter().any(|waiter| waiter.ignore_case))
    }

    fn is_patient(&self, name: &Name) -> bool {
        let held = self.held();
        let loading = held.loading.get(name);
        // Nobody waits for what is only being warmed up.
        loading.is_some_and(|l| l.since.elapsed() < PATIENCE && !l.waiters.is_empty())
    }

    fn try_load(&self, name: &Name) -> Result<Version, NotLoaded> {
        {
            let mut held = self.held();
            if held.is_being_written(name, Instant::now()) {
                return Err(BackingError::Changing.into());
            }
            // An upload may have brought it while the request waited.
            if let Some(version) = self.store.open(name) {
                return Ok(version);
            }
            if let Some(loading) = held.loading.get_mut(name) {
                loading.stale = false;
            }
        }
        let found = self.backing.find(name)?;
        let About { mark, len, age } = self.backing.about(&found);
        if age.is_some_and(|age| age < QUIET) {
            return Err(BackingError::Changing.into());
        }
        if len > self.store.budget().limit() {
            return Err(NotLoaded::TooLarge);
        }
        // Before reading, so that no more is read than there is room for.
        let charge = loop {
            if !self.held().make_room(len) {
                return Err(NotLoaded::NoRoom);
            }
            if let Ok(charge) = self.store.budget().charge(len) {
                break charge;
            }
        };
        let version = self.store.hold_charged(self.backing.load(found)?, charge);
        let mut held = self.held();
        if held.loading.get(name).is_some_and(|loading| loading.stale) {
            return Err(BackingError::Changing.into());
        }
        let _receipt = held.publish(name, &version, mark);
        Ok(version)
    }

    fn begin(&self, begin: Begin) {
        let Begin { id, mut upload, existing, ignore_case, answers } = begin;
        if ignore_case && let Some(name) = self.backing.spelling(upload.name()) {
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
            let receipt = {
                let _turn = self.naming.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mark = self.backing.publish(&mut stored, &name, existing)?;
                self.held().publish(&name, &version, mark)
            };
            self.backing.settle(&stored)?;
            Ok(receipt)
        };
        let result = stored().map_err(|error: BackingError| not_stored(&name, &error));
        if result.is_ok() {
            self.arrivals.add(name);
        }
        answers.give(Resolution::Committed(id, result));
    }

    /// Takes a file out of memory that is no longer what is on disk; the next request loads it.
    pub(super) fn check(&self, name: &Name) {
        let Some(mark) = self.held().mark(name) else { return };
        if self.held().is_being_written(name, Instant::now()) {
            return self.later(Look::Check(name.clone()));
        }
        let _turn = self.naming.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match self.backing.find(name) {
            Ok(found) if self.backing.about(&found).mark == mark => {}
            _ => {
                let mut held = self.held();
                if held.mark(name) == Some(mark) {
                    held.forget(name);
                }
            }
        }
    }

    /// Acts on what has changed.
    pub(super) fn changed(&self, change: Change) {
        match change {
            Change::All => self.check_below(b""),
            Change::At(name) => {
                self.held().closed(&name);
                self.check_below(name.as_bytes());
            }
            Change::Written(name) => {
                self.held().written(&name, Instant::now());
                self.later(Look::Check(name));
            }
            Change::Closed(name) => {
                self.held().closed(&name);
                self.check(&name);
            }
        }
    }

    /// The same for all files at a path and below it.
    pub(super) fn check_below(&self, path: &[u8]) {
        let names = self.held().below(path);
        names.iter().for_each(|name| self.check(name));
    }
}

fn refusal(name: &Name, why: &NotLoaded) -> Refusal {
    match why {
        NotLoaded::Backing(BackingError::NotFound) => {
            Refusal::new(ErrorCode::NOT_FOUND, "file not found")
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

fn not_stored(name: &Name, error: &BackingError) -> Refusal {
    let refusal = match error {
        BackingError::Exists => {
            return Refusal::new(
                ErrorCode::EXISTS,
                "file exists, the server needs --uploads replace",
            );
        }
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
