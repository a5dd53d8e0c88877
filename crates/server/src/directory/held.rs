//! Which files of a directory are in memory, and which go when room is needed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use lru::LruCache;
use memtftp_store::{CommitError, Name, Receipt, Store, Version, VersionMark};

use super::OPEN_FOR;
use super::backing::{About, FileId};
use super::loads::Loads;
use super::looks::Looks;
use crate::arrivals::Arrivals;
use crate::jobs::Waiter;

/// Files that leave memory at once: workers wait meanwhile.
const AT_ONCE: usize = 32;

/// A file in memory is served if it was looked at on disk less than this ago.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Files in memory that are on disk, too, the one used last in front.
pub(super) struct Held<M> {
    store: Store,
    max_files: usize,
    arrivals: Arrivals,
    kept: LruCache<Name, Kept<M>>,
    /// Of all of them together.
    bytes: u64,
    /// Those of them that have other names, by which they may be changed.
    linked: HashSet<Name>,
    pub(super) loads: Loads<Waiter>,
    /// Looks at files in memory that have begun and not ended.
    pub(super) looks: Looks<Waiter>,
    /// Files that somebody writes in place.
    writing: HashMap<Name, Writing>,
}

/// A file that somebody writes in place.
struct Writing {
    /// When it was last written to.
    since: Instant,
    /// Which it is, once that is known.
    file: Option<FileId>,
}

/// A file in memory.
struct Kept<M> {
    version: VersionMark,
    mark: M,
    len: u64,
    /// When it was last seen on disk under its name; `None` if that has to be done again.
    looked: Option<Instant>,
}

/// Whether a file may be served from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is what is on disk, or was a moment ago.
    Fresh,
    /// It has to be looked at first.
    Stale,
    /// Nothing on disk belongs to it, or it is not in memory at all.
    Unbacked,
}

impl<M: Copy> Held<M> {
    /// `arrivals` is told what leaves.
    pub(super) fn new(store: Store, max_files: usize, arrivals: Arrivals) -> Held<M> {
        Held {
            store,
            max_files,
            arrivals,
            kept: LruCache::unbounded(),
            bytes: 0,
            linked: HashSet::new(),
            loads: Loads::new(),
            looks: Looks::new(),
            writing: HashMap::new(),
        }
    }

    /// A request was answered with this file.
    pub(super) fn used(&mut self, name: &Name) {
        self.kept.promote(name);
    }

    /// Makes `version` the content of `name`, as it is on disk.
    pub(super) fn publish(&mut self, name: &Name, version: &Version, about: About<M>) -> Receipt {
        let receipt = self.store.link(name.clone(), version);
        self.keep(name, version, about);
        receipt
    }

    /// The same, unless a file of that name is in memory. Gives the one that is there then.
    pub(super) fn publish_new(
        &mut self,
        name: &Name,
        version: Version,
        about: About<M>,
    ) -> Version {
        match self.store.link_new(name.clone(), &version) {
            Ok(_receipt) => self.keep(name, &version, about),
            Err(CommitError::Exists) => return self.store.open(name).unwrap_or(version),
        }
        version
    }

    fn keep(&mut self, name: &Name, version: &Version, about: About<M>) {
        let (mark, len) = (about.mark, version.len());
        let kept = Kept { version: version.mark(), mark, len, looked: about.looked };
        let before = self.kept.put(name.clone(), kept).map_or(0, |kept| kept.len);
        self.bytes = self.bytes + len - before;
        if about.is_linked {
            self.linked.insert(name.clone());
        } else {
            self.linked.remove(name);
        }
    }

    /// Which content of a file is in memory.
    pub(super) fn mark(&self, name: &Name) -> Option<M> {
        self.kept.peek(name).map(|kept| kept.mark)
    }

    /// Tells whether a file may be served from memory at this moment. If so, it counts as used.
    pub(super) fn freshness(&mut self, name: &Name, now: Instant) -> Freshness {
        let Some(kept) = self.kept.peek(name) else { return Freshness::Unbacked };
        if kept.looked.is_none_or(|looked| now.duration_since(looked) >= FRESH_FOR) {
            return Freshness::Stale;
        }
        self.used(name);
        Freshness::Fresh
    }

    /// Notes that the file on disk was the one in memory at that moment.
    pub(super) fn looked(&mut self, name: &Name, at: Instant) {
        if let Some(kept) = self.kept.peek_mut(name) {
            kept.looked = Some(at);
        }
    }

    /// Files in memory that may be changed under other names.
    pub(super) fn linked(&self) -> Vec<Name> {
        self.linked.iter().cloned().collect()
    }

    pub(super) fn has_linked(&self) -> bool {
        !self.linked.is_empty()
    }

    /// How many files in memory are on disk, too, apart from some.
    pub(super) fn count_but(&self, is_other: impl Fn(&Name) -> bool) -> usize {
        self.kept.iter().filter(|(name, _)| !is_other(name)).count()
    }

    /// Whether a file more may be held.
    pub(super) fn has_place(&self) -> bool {
        self.store.len() < self.max_files
    }

    /// From now on so many files may be held.
    pub(super) fn set_max_files(&mut self, max_files: usize) {
        self.max_files = max_files;
    }

    /// No longer counts a file as one that is on disk, too.
    pub(super) fn let_go(&mut self, name: &Name) -> Option<VersionMark> {
        let kept = self.kept.pop(name)?;
        self.bytes -= kept.len;
        self.linked.remove(name);
        Some(kept.version)
    }

    /// Takes a file out of memory, if it is the one that was read from disk. It is given back, to be
    /// freed elsewhere: workers wait meanwhile.
    #[must_use]
    pub(super) fn forget(&mut self, name: &Name) -> Option<Version> {
        let version = self.let_go(name)?.version();
        self.arrivals.forget(name);
        self.store.remove_version(name, version.as_ref()?);
        version
    }

    /// Bytes and files that are too many for `len` bytes and a file more.
    fn excess(&self, len: u64) -> (u64, usize) {
        let budget = self.store.budget();
        let bytes = (budget.used().saturating_add(len)).saturating_sub(budget.limit());
        (bytes, (self.store.len() + 1).saturating_sub(self.max_files))
    }

    /// Files that nobody reads, those used longest ago first.
    fn unread(&self) -> impl Iterator<Item = (&Name, u64)> {
        // The store alone has them.
        let unread = self.kept.iter().rev().filter(|(_, kept)| kept.version.holders() == 1);
        unread.map(|(name, kept)| (name, kept.len))
    }

    /// Whether room could be made for `len` bytes and a file more.
    pub(super) fn can_make_room(&self, len: u64) -> bool {
        let (mut bytes, mut files) = self.excess(len);
        if bytes > self.bytes || files > self.kept.len() {
            return false;
        }
        for (_, len) in self.unread() {
            if bytes == 0 && files == 0 {
                break;
            }
            bytes = bytes.saturating_sub(len);
            files = files.saturating_sub(1);
        }
        bytes == 0 && files == 0
    }

    /// Takes some files out of memory if there is not room for `len` bytes and a file more, and gives
    /// them back as [`forget`](Held::forget) does.
    pub(super) fn make_some_room(&mut self, len: u64) -> Vec<Version> {
        let (mut bytes, mut files) = self.excess(len);
        let mut leaving = Vec::new();
        for (name, len) in self.unread().take(AT_ONCE) {
            if bytes == 0 && files == 0 {
                break;
            }
            bytes = bytes.saturating_sub(len);
            files = files.saturating_sub(1);
            leaving.push(name.clone());
        }
        leaving.iter().filter_map(|name| self.forget(name)).collect()
    }

    pub(super) fn has_room(&self, len: u64) -> bool {
        self.excess(len) == (0, 0)
    }

    /// Somebody writes to a file. True if that is news.
    pub(super) fn written(&mut self, name: &Name, now: Instant) -> bool {
        if let Some(writing) = self.writing.get_mut(name) {
            writing.since = now;
            return false;
        }
        self.writing.retain(|_, writing| now.duration_since(writing.since) < OPEN_FOR);
        self.writing.insert(name.clone(), Writing { since: now, file: None });
        true
    }

    /// Which file it is that somebody writes to by this name.
    pub(super) fn writes_to(&mut self, name: &Name, file: Option<FileId>) {
        if let Some(writing) = self.writing.get_mut(name) {
            writing.file = file;
        }
    }

    /// A file was closed, or has another name, or is gone.
    pub(super) fn closed(&mut self, name: &Name) {
        self.writing.remove(name);
    }

    /// Whether somebody has written to a file, by any name, and not closed it, less than a minute ago.
    pub(super) fn is_being_written(&self, name: &Name, about: &About<M>, now: Instant) -> bool {
        let is_now = |writing: &Writing| now.duration_since(writing.since) < OPEN_FOR;
        let by_another = |writing: &Writing| writing.file.is_some() && writing.file == about.file;
        self.writing.get(name).is_some_and(is_now)
            || about.is_linked && self.writing.values().any(|w| by_another(w) && is_now(w))
    }
}
