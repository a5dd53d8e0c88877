//! Which files of a directory are in memory, and which go when room is needed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use lru::LruCache;
use memtftp_store::{Name, Receipt, Store, Version, VersionMark};

use super::backing::About;
use crate::arrivals::Arrivals;
use crate::jobs::Waiter;

/// A file that is written without being closed counts as being written for this long.
const OPEN_FOR: Duration = Duration::from_secs(60);

/// Files in memory that are on disk, too, the one used last in front.
pub(super) struct Held<M> {
    store: Store,
    max_files: usize,
    arrivals: Arrivals,
    kept: LruCache<Name, Kept<M>>,
    /// Those of them that have other names, by which they may be changed.
    linked: HashSet<Name>,
    pub(super) loading: HashMap<Name, Loading>,
    /// All requests that wait for a file.
    pub(super) waiting: usize,
    /// Files that somebody writes in place, since when.
    writing: HashMap<Name, Instant>,
}

/// A file in memory.
struct Kept<M> {
    version: VersionMark,
    mark: M,
    len: u64,
}

/// A file that is being loaded.
pub(super) struct Loading {
    /// Since when it is tried this time.
    pub(super) since: Instant,
    pub(super) waiters: Vec<Waiter>,
}

impl Loading {
    /// It is tried from now on, for these.
    pub(super) fn begin(waiters: Vec<Waiter>) -> Loading {
        Loading { since: Instant::now(), waiters }
    }
}

impl<M: Copy> Held<M> {
    /// `arrivals` is told what leaves.
    pub(super) fn new(store: Store, max_files: usize, arrivals: Arrivals) -> Held<M> {
        Held {
            store,
            max_files,
            arrivals,
            kept: LruCache::unbounded(),
            linked: HashSet::new(),
            loading: HashMap::new(),
            waiting: 0,
            writing: HashMap::new(),
        }
    }

    /// A file has been tried. Gives those that are to be answered now; if others are left, it is to be
    /// tried again.
    pub(super) fn tried(
        &mut self,
        name: &Name,
        is_answered: impl Fn(&Waiter) -> bool,
    ) -> (Vec<Waiter>, bool) {
        let waiters = self.loading.remove(name).map(|loading| loading.waiters).unwrap_or_default();
        let (answered, left): (Vec<_>, Vec<_>) = waiters.into_iter().partition(is_answered);
        self.waiting -= answered.len();
        let again = !left.is_empty();
        if again {
            self.loading.insert(name.clone(), Loading::begin(left));
        }
        (answered, again)
    }

    /// A request was answered with this file.
    pub(super) fn used(&mut self, name: &Name) {
        self.kept.promote(name);
    }

    /// Makes `version` the content of `name`, as it is on disk.
    pub(super) fn publish(&mut self, name: &Name, version: &Version, about: About<M>) -> Receipt {
        let receipt = self.store.link(name.clone(), version);
        let (mark, len) = (about.mark, version.len());
        self.kept.put(name.clone(), Kept { version: version.mark(), mark, len });
        if about.is_linked {
            self.linked.insert(name.clone());
        } else {
            self.linked.remove(name);
        }
        receipt
    }

    /// Which content of a file is in memory.
    pub(super) fn mark(&self, name: &Name) -> Option<M> {
        self.kept.peek(name).map(|kept| kept.mark)
    }

    /// Files in memory that may be changed under other names.
    pub(super) fn linked(&self) -> Vec<Name> {
        self.linked.iter().cloned().collect()
    }

    /// Whether a file more may be held.
    pub(super) fn has_place(&self) -> bool {
        self.store.len() < self.max_files
    }

    /// Takes a file out of memory.
    pub(super) fn forget(&mut self, name: &Name) {
        if let Some(kept) = self.kept.pop(name) {
            self.remove(name, &kept);
        }
    }

    fn remove(&mut self, name: &Name, kept: &Kept<M>) {
        self.linked.remove(name);
        self.arrivals.forget(name);
        if let Some(version) = kept.version.version() {
            self.store.remove_version(name, &version);
        }
    }

    /// Takes files out of memory that nobody reads, those used longest ago first, until there is
    /// room for `len` bytes and a file more. False, and nothing is taken, if there cannot be.
    pub(super) fn make_room(&mut self, len: u64) -> bool {
        let budget = self.store.budget();
        let mut bytes = (budget.used().saturating_add(len)).saturating_sub(budget.limit());
        let mut files = (self.store.len() + 1).saturating_sub(self.max_files);
        let mut leaving = Vec::new();
        for (name, kept) in self.kept.iter().rev() {
            if bytes == 0 && files == 0 {
                break;
            }
            // The store alone has it.
            if kept.version.holders() == 1 {
                bytes = bytes.saturating_sub(kept.len);
                files = files.saturating_sub(1);
                leaving.push(name.clone());
            }
        }
        if bytes > 0 || files > 0 {
            return false;
        }
        leaving.iter().for_each(|name| self.forget(name));
        true
    }

    /// Somebody has written to a file.
    pub(super) fn written(&mut self, name: &Name, now: Instant) {
        if self.writing.insert(name.clone(), now).is_none() {
            self.writing.retain(|_, since| now.duration_since(*since) < OPEN_FOR);
        }
    }

    /// A file was closed, or has another name, or is gone.
    pub(super) fn closed(&mut self, name: &Name) {
        self.writing.remove(name);
    }

    /// Whether somebody has written to a file and not closed it, less than a minute ago.
    pub(super) fn is_being_written(&self, name: &Name, now: Instant) -> bool {
        self.writing.get(name).is_some_and(|since| now.duration_since(*since) < OPEN_FOR)
    }
}
