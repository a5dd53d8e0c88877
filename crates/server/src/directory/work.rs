//! What the threads of a directory do.

use std::time::Instant;

use crossbeam_channel::{Receiver, select};
use memtftp_proto::{ErrorCode, Refusal, RefusalReason};
use memtftp_store::{Name, Version};

use super::held::Loading;
use super::{AGAIN, Begin, Commit, DiskError, Inner, Job, Look, PATIENCE, QUIET};
use crate::later::Resolution;
use crate::library::Opened;
use crate::stamp::Stamp;

/// Why a file is not in memory now.
enum NotLoaded {
    Disk(DiskError),
    /// It is larger than all the memory.
    TooLarge,
    /// What is in memory is being read, or is nowhere else.
    NoRoom,
}

impl From<DiskError> for NotLoaded {
    fn from(error: DiskError) -> NotLoaded {
        NotLoaded::Disk(error)
    }
}

impl Inner {
    /// The loop of a thread. It ends when nobody can give it anything to do any more.
    pub(super) fn work(&self, jobs: &Receiver<Job>, warm: &Receiver<Name>) {
        while let Some(job) = self.next(jobs, warm) {
            match job {
                Some(Job::Load(name)) => self.load(&name),
                Some(Job::Warm(name)) => self.warm(&name),
                Some(Job::Begin(begin)) => self.begin(*begin),
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
        let fits = |stamp: Stamp| self.store.budget().check(stamp.len).is_ok();
        if self.disk.find(name).is_ok_and(|found| fits(found.stamp)) {
            let loading = Loading { since: Instant::now(), waiters: Vec::new(), stale: false };
            self.held().loading.entry(name.clone()).or_insert(loading);
            self.load(name);
        }
    }

    /// Loads a file and answers all who wait for it.
    fn load(&self, name: &Name) {
        let result = match self.try_load_spelled(name) {
            // It will be complete, or others will have been read.
            Err(NotLoaded::Disk(DiskError::Changing) | NotLoaded::NoRoom)
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
            Err(NotLoaded::Disk(DiskError::NotFound)) if self.may_be_spelled_otherwise(name) => {
                let spelled = self.disk.spelling(name).ok_or(DiskError::NotFound)?;
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
                return Err(DiskError::Changing.into());
            }
            // An upload may have brought it while the request waited.
            if let Some(version) = self.store.open(name) {
                return Ok(version);
            }
            if let Some(loading) = held.loading.get_mut(name) {
                loading.stale = false;
            }
        }
        let found = self.disk.find(name)?;
        let stamp = found.stamp;
        if stamp.is_younger_than(QUIET) {
            return Err(DiskError::Changing.into());
        }
        if stamp.len > self.store.budget().limit() {
            return Err(NotLoaded::TooLarge);
        }
        // Before reading, so that no more is read than there is room for.
        let charge = loop {
            if !self.held().make_room(stamp.len) {
                return Err(NotLoaded::NoRoom);
            }
            if let Ok(charge) = self.store.budget().charge(stamp.len) {
                break charge;
            }
        };
        let version = self.store.hold_charged(found.read()?, charge);
        let mut held = self.held();
        if held.loading.get(name).is_some_and(|loading| loading.stale) {
            return Err(DiskError::Changing.into());
        }
        let _receipt = held.publish(name, &version, stamp);
        Ok(version)
    }

    fn begin(&self, begin: Begin) {
        let Begin { id, mut upload, existing, ignore_case, answers } = begin;
        if ignore_case && let Some(name) = self.disk.spelling(upload.name()) {
            upload.rename(name);
        }
        let result = match self.disk.may_store(upload.name(), existing) {
            Ok(()) => Ok(upload),
            Err(error) => Err(not_stored(upload.name(), &error)),
        };
        answers.give(Resolution::Begun(id, result));
    }

    /// On disk first, then in memory, then the client is told.
    fn commit(&self, commit: Commit) {
        let Commit { id, name, version, existing, answers } = commit;
        let stored = || {
            let mut stored = self.disk.store(&name, version.as_ref())?;
            let receipt = {
                let _turn = self.naming.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let stamp = stored.publish(&name, existing)?;
                self.held().publish(&name, &version, stamp)
            };
            self.disk.settle(&stored)?;
            Ok(receipt)
        };
        let result = stored().map_err(|error: DiskError| not_stored(&name, &error));
        if result.is_ok() {
            self.arrivals.add(name);
        }
        answers.give(Resolution::Committed(id, result));
    }

    /// Takes a file out of memory that is no longer what is on disk; the next request loads it.
    pub(super) fn check(&self, name: &Name) {
        let Some(stamp) = self.held().stamp(name) else { return };
        if self.held().is_being_written(name, Instant::now()) {
            return self.later(Look::Check(name.clone()));
        }
        let _turn = self.naming.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match self.disk.find(name) {
            Ok(found) if found.stamp == stamp => {}
            _ => {
                let mut held = self.held();
                if held.stamp(name) == Some(stamp) {
                    held.forget(name);
                }
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
        NotLoaded::Disk(DiskError::NotFound) => {
            Refusal::new(ErrorCode::NOT_FOUND, "file not found")
        }
        NotLoaded::Disk(DiskError::Changing) => {
            let refusal =
                Refusal::new(ErrorCode::UNDEFINED, "file is being written, try again later");
            refusal.counted_as(RefusalReason::Disk)
        }
        NotLoaded::Disk(error) => {
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

fn not_stored(name: &Name, error: &DiskError) -> Refusal {
    let refusal = match error {
        DiskError::Exists => {
            return Refusal::new(
                ErrorCode::EXISTS,
                "file exists, the server needs --uploads replace",
            );
        }
        DiskError::Full => Refusal::new(ErrorCode::FULL, "the server's disk is full"),
        DiskError::NoDirectory => {
            let text = "directory does not exist, the server needs --create-dirs";
            Refusal::new(ErrorCode::ACCESS, text)
        }
        DiskError::Leaves | DiskError::NotRegular => {
            Refusal::new(ErrorCode::ACCESS, "file cannot be written here")
        }
        _ => Refusal::new(ErrorCode::UNDEFINED, "the server cannot store the file"),
    };
    refusal.because(format!("{name} cannot be stored: {error}")).counted_as(RefusalReason::Disk)
}
