//! Which files of a directory are in memory, and which go when room is needed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lru::LruCache;
use memtftp_store::{Name, Receipt, Store, Version, VersionMark};

use super::Waiter;

/// Files that are looked at for one that nobody reads, before there is said to be no room.
const MAX_LOOKED_AT: usize = 1_024;

/// A file that is written without being closed counts as being written for this long.
const OPEN_FOR: Duration = Duration::from_secs(60);

/// Files in memory that are on disk, too, the one used last in front.
pub(super) struct Held<M> {
    store: Store,
    max_files: usize,
    kept: LruCache<Name, Kept<M>>,
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
}

/// A file that is being loaded.
pub(super) struct Loading {
    pub(super) since: Instant,
    pub(super) waiters: Vec<Waiter>,
    /// It has changed since loading began: what was read is old.
    pub(super) stale: bool,
}

impl<M: Copy> Held<M> {
    pub(super) fn new(store: Store, max_files: usize) -> Held<M> {
        Held {
            store,
            max_files,
            kept: LruCache::unbounded(),
            loading: HashMap::new(),
            waiting: 0,
            writing: HashMap::new(),
        }
    }

    /// A request was answered with this file.
    pub(super) fn used(&mut self, name: &Name) {
        self.kept.promote(name);
    }

    /// Makes `version` the content of `name`, as it is on disk.
    pub(super) fn publish(&mut self, name: &Name, version: &Version, mark: M) -> Receipt {
        let receipt = self.store.link(name.clone(), version);
        self.kept.put(name.clone(), Kept { version: version.mark(), mark });
        if let Some(loading) = self.loading.get_mut(name) {
            loading.stale = true;
        }
        receipt
    }

    /// Which content of a file is in memory.
    pub(super) fn mark(&self, name: &Name) -> Option<M> {
        self.kept.peek(name).map(|kept| kept.mark)
    }

    /// The names that are in memory, at `path` and below.
    pub(super) fn below(&self, path: &[u8]) -> Vec<Name> {
        let is_below = |name: &&Name| {
            let rest = name.as_bytes().strip_prefix(path);
            rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
        };
        self.kept.iter().map(|(name, _)| name).filter(is_below).cloned().collect()
    }

    /// Takes a file out of memory.
    pub(super) fn forget(&mut self, name: &Name) {
        if let Some(version) = self.kept.pop(name).and_then(|kept| kept.version.version()) {
            self.store.remove_version(name, &version);
        }
    }

    /// Takes files out of memory that nobody reads, those used longest ago first, until there is
    /// room for `len` bytes. False if there are none left.
    pub(super) fn make_room(&mut self, len: u64) -> bool {
        let mut looked_at = 0;
        while self.store.budget().check(len).is_err() || self.store.len() >= self.max_files {
            let Some((name, kept)) = self.kept.pop_lru() else { return false };
            if kept.version.holders() <= 1 {
                if let Some(version) = kept.version.version() {
                    self.store.remove_version(&name, &version);
                }
                continue;
            }
            // Somebody reads it: it is used now.
            self.kept.put(name, kept);
            looked_at += 1;
            if looked_at >= MAX_LOOKED_AT.min(self.kept.len()) {
                return false;
            }
        }
        true
    }

    /// Somebody has written to a file.
    pub(super) fn written(&mut self, name: &Name, now: Instant) {
        self.writing.retain(|_, since| now.duration_since(*since) < OPEN_FOR);
        self.writing.insert(name.clone(), now);
        if let Some(loading) = self.loading.get_mut(name) {
            loading.stale = true;
        }
    }

    /// A file was closed, or has another name, or is gone.
    pub(super) fn closed(&mut self, name: &Name) {
        self.writing.remove(name);
        if let Some(loading) = self.loading.get_mut(name) {
            loading.stale = true;
        }
    }

    /// Whether somebody has written to a file less than `quiet` ago, or has it open still.
    pub(super) fn is_being_written(&self, name: &Name, now: Instant) -> bool {
        self.writing.get(name).is_some_and(|since| now.duration_since(*since) < OPEN_FOR)
    }
}
