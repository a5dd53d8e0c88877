//! The names and the versions they stand for.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use imbl::OrdMap;
use thiserror::Error;

use crate::budget::{Budget, Charge};
use crate::name::Name;
use crate::upload::{AppendError, Upload};
use crate::version::Version;

/// The files, by name. A handle: clones share the same files.
///
/// Readers never wait, neither for writers nor for each other. Writers take turns, and a turn is
/// short: it copies no content and frees none.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    /// Replaced as a whole, so a reader sees every commit entirely or not at all.
    index: ArcSwap<Index>,
    /// Held by the one writer that may replace `index`.
    turn: Mutex<()>,
    budget: Budget,
}

/// A map whose copies share all but the path that changed. An ordered one, because names come from
/// strangers, who could aim them at one bucket of a hash table.
type Index = OrdMap<Name, Version>;

/// What a commit does when its name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The new version takes the place of the old one.
    Replace,
    /// The old version stays and the commit fails.
    Refuse,
}

/// Why a commit changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// The name is taken and the commit was not allowed to replace.
    #[error("a file of that name exists")]
    Exists,
}

/// Proof that a file was committed. Only the store can make one.
#[must_use = "a receipt is what entitles to the final acknowledgment"]
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    len: u64,
    replaced: bool,
}

impl Store {
    /// An empty store whose files, uploads and pinned old versions share `budget`.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        let index = ArcSwap::from_pointee(Index::new());
        Self { shared: Arc::new(Shared { index, turn: Mutex::new(()), budget }) }
    }

    /// The budget everything in this store is charged to.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// Pins the version that `name` stands for now. Never waits.
    #[must_use]
    pub fn open(&self, name: &Name) -> Option<Version> {
        self.shared.index.load().get(name).cloned()
    }

    /// True if `name` stands for a file now. Never waits.
    #[must_use]
    pub fn contains(&self, name: &Name) -> bool {
        self.shared.index.load().contains_key(name)
    }

    /// The name of a file that differs from `name` in the case of ASCII letters only: `name` itself if
    /// there is such a file, else the first. Never waits.
    #[must_use]
    pub fn spelling(&self, name: &Name) -> Option<Name> {
        let index = self.shared.index.load();
        if index.contains_key(name) {
            return Some(name.clone());
        }
        let (found, _) = index.range(name.first_spelling()..).next()?;
        found.eq_ignoring_case(name).then(|| found.clone())
    }

    /// Starts an upload that is bounded by the budget of the store alone.
    #[must_use]
    pub fn begin(&self) -> Upload {
        Upload::new(Charge::none(self.budget()), u64::MAX)
    }

    /// Starts an upload of at most `max_len` bytes, charged to `budget`.
    ///
    /// `budget` must be that of the store or descend from it, or else the limit of the store is
    /// not enforced; debug builds check. The version committed stays charged to `budget`.
    #[must_use]
    pub fn begin_charged_to(&self, budget: &Budget, max_len: u64) -> Upload {
        debug_assert!(budget.is_within(self.budget()), "a budget foreign to this store");
        Upload::new(Charge::none(budget), max_len)
    }

    /// Makes what was uploaded the content of `name`, for everyone at once.
    ///
    /// Surplus capacity is given back first. An older version remains for those who have it open,
    /// and remains charged until the last of them is done.
    ///
    /// # Errors
    ///
    /// [`CommitError::Exists`] with [`Existing::Refuse`] if the name is taken; of several such
    /// commits of a free name, exactly one succeeds. The upload is dropped.
    pub fn commit(
        &self,
        name: Name,
        upload: Upload,
        existing: Existing,
    ) -> Result<Receipt, CommitError> {
        let version = upload.freeze();
        match existing {
            Existing::Replace => Ok(self.replace(name, &version)),
            Existing::Refuse => self.add(name, &version),
        }
    }

    /// Stores `bytes` as the content of `name`, replacing what was there.
    ///
    /// Old and new content are charged together for a moment, so the budget needs room for both.
    ///
    /// # Errors
    ///
    /// [`AppendError::OverBudget`]; the old content stays.
    pub fn put(&self, name: Name, bytes: impl Into<Vec<u8>>) -> Result<Receipt, AppendError> {
        Ok(self.replace(name, &self.hold(bytes)?))
    }

    /// Ends an upload that gets its name later, by [`link`](Store::link). It stays charged as it is, until
    /// [`Version::leave_share`].
    #[must_use]
    pub fn seal(&self, upload: Upload) -> Version {
        upload.freeze()
    }

    /// The names that begin with `name` and a slash, in order.
    #[must_use]
    pub fn names_below(&self, name: &Name) -> Vec<Name> {
        let index = self.shared.index.load();
        let first = name.first_spelling();
        let below = |other: &&Name| {
            let rest = other.as_bytes().strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        // All spellings of the beginning stand together.
        let names = index.range(first..).map(|(other, _)| other);
        let near = names.take_while(|other| other.begins_ignoring_case(name));
        near.filter(below).cloned().collect()
    }

    /// Makes a version of bytes that are charged already, and that has no name yet.
    #[must_use]
    pub fn hold_charged(&self, bytes: Vec<u8>, mut charge: Charge) -> Version {
        debug_assert!(bytes.len() as u64 <= charge.bytes(), "more than was charged");
        charge.shrink_to(bytes.len() as u64);
        Version::new(bytes.into_boxed_slice(), charge)
    }

    /// Makes a version of `bytes` that has no name yet; [`link`](Store::link) gives it one.
    ///
    /// # Errors
    ///
    /// [`AppendError::OverBudget`].
    pub fn hold(&self, bytes: impl Into<Vec<u8>>) -> Result<Version, AppendError> {
        let bytes = bytes.into();
        let charge = self.budget().charge(bytes.len() as u64)?;
        Ok(Version::new(bytes.into_boxed_slice(), charge))
    }

    /// Makes `name` stand for `version`, which may have other names: it is charged once, whatever
    /// their number.
    pub fn link(&self, name: Name, version: &Version) -> Receipt {
        self.replace(name, version)
    }

    /// The same, unless the name is taken.
    ///
    /// # Errors
    ///
    /// [`CommitError::Exists`] if it is.
    pub fn link_new(&self, name: Name, version: &Version) -> Result<Receipt, CommitError> {
        self.add(name, version)
    }

    /// Takes `name` away if it stands for `version`; true if so.
    pub fn remove_version(&self, name: &Name, version: &Version) -> bool {
        self.update(|index| {
            let same = index.get(name).is_some_and(|held| held.is_same(version));
            same && index.remove(name).is_some()
        })
    }

    /// Takes `name` away and returns the version it stood for, if any.
    ///
    /// The version stays charged until it is dropped here and wherever it is open.
    pub fn remove(&self, name: &Name) -> Option<Version> {
        self.update(|index| index.remove(name))
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.index.load().len()
    }

    /// True without any file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.index.load().is_empty()
    }

    /// Bytes of all files at one moment, each counted once whatever its names. What else the budget is
    /// charged for is left out: uploads, and older versions that are still open. Takes as long as there
    /// are files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let index = self.shared.index.load();
        let mut counted = HashSet::new();
        index.values().filter(|version| counted.insert(version.key())).map(Version::len).sum()
    }

    /// All names at one moment, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<Name> {
        self.shared.index.load().keys().cloned().collect()
    }

    /// All names at one moment with the lengths in bytes, sorted by name.
    ///
    /// The iterator owns what it yields and pins no version.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Name, u64)> + use<> {
        let index = self.shared.index.load();
        let entries: Vec<_> = index.iter().map(|(name, v)| (name.clone(), v.len())).collect();
        entries.into_iter()
    }

    fn replace(&self, name: Name, version: &Version) -> Receipt {
        let older = self.update(|index| index.insert(name, version.clone()));
        Receipt { len: version.len(), replaced: older.is_some() }
    }

    fn add(&self, name: Name, version: &Version) -> Result<Receipt, CommitError> {
        // The version is only lent to the closure: one that is turned away must not be freed there,
        // while the other writers wait.
        self.update(|index| {
            if index.contains_key(&name) {
                return Err(CommitError::Exists);
            }
            index.insert(name, version.clone());
            Ok(Receipt { len: version.len(), replaced: false })
        })
    }

    /// Makes a changed copy of the index the index.
    ///
    /// Everything that reads and replaces the index goes through here, so no change is lost. What
    /// the old index alone still held is freed after the turn is over.
    fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        // A writer that panicked has not swapped, so the index is sound even if the lock says not.
        let turn = self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Index::clone(&self.shared.index.load());
        let result = change(&mut next);
        let before = self.shared.index.swap(Arc::new(next));
        drop(turn);
        drop(before);
        result
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("files", &self.len()).field("budget", self.budget()).finish()
    }
}

impl Receipt {
    /// Length of the committed file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True if the committed file has no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if the name stood for an older version before.
    #[must_use]
    pub fn replaced(&self) -> bool {
        self.replaced
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::budget::OverBudget;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn uploaded(store: &Store, bytes: &[u8]) -> Upload {
        let mut upload = store.begin();
        upload.append(bytes).unwrap();
        upload
    }

    #[test]
    fn handles_cross_threads() {
        fn check<T: Send + Sync + Clone + 'static>() {}
        check::<Store>();
        check::<Version>();
        check::<Budget>();
        check::<Name>();
    }

    #[test]
    fn an_upload_is_invisible_until_its_commit() {
        let store = Store::new(Budget::new(10_000));
        let upload = uploaded(&store, b"new");
        assert!(!store.contains(&name("f")) && store.is_empty());

        let receipt = store.commit(name("f"), upload, Existing::Refuse).unwrap();
        assert_eq!((receipt.len(), receipt.replaced()), (3, false));
        assert_eq!(store.open(&name("f")).unwrap().as_ref(), b"new");
        assert_eq!(store.budget().used(), 3, "the surplus capacity is given back");
    }

    #[test]
    fn a_dropped_upload_leaves_no_trace() {
        let store = Store::new(Budget::new(10_000));
        drop(uploaded(&store, b"never"));
        assert_eq!((store.len(), store.budget().used()), (0, 0));
    }

    #[test]
    fn an_open_version_outlives_its_name() {
        let store = Store::new(Budget::new(10_000));
        let _ = store.put(name("f"), "first").unwrap();
        let pinned = store.open(&name("f")).unwrap();
        let receipt = store.put(name("f"), "second!").unwrap();
        assert!(receipt.replaced());
        assert_eq!((store.bytes(), store.budget().used()), (7, 5 + 7));

        let removed = store.remove(&name("f")).unwrap();
        assert_eq!(removed.as_ref(), b"second!");
        assert!(store.remove(&name("f")).is_none());
        assert_eq!(pinned.as_ref(), b"first");
        drop(removed);
        assert_eq!(store.budget().used(), 5);
        drop(pinned);
        assert_eq!(store.budget().used(), 0);
    }

    #[test]
    fn of_two_uploads_the_last_committed_stands() {
        let store = Store::new(Budget::new(10_000));
        let begun_first = uploaded(&store, b"one");
        let begun_last = uploaded(&store, b"two");
        let _ = store.commit(name("f"), begun_last, Existing::Replace).unwrap();
        let receipt = store.commit(name("f"), begun_first, Existing::Replace).unwrap();
        assert!(receipt.replaced());
        assert_eq!(store.open(&name("f")).unwrap().as_ref(), b"one");
    }

    #[test]
    fn a_refused_commit_changes_nothing() {
        let store = Store::new(Budget::new(10_000));
        let _ = store.put(name("f"), "old").unwrap();
        let refused = store.commit(name("f"), uploaded(&store, b"newer"), Existing::Refuse);
        assert_eq!(refused, Err(CommitError::Exists));
        assert_eq!(store.open(&name("f")).unwrap().as_ref(), b"old");
        assert_eq!(store.budget().used(), 3);
    }

    #[test]
    fn one_of_many_creators_wins() {
        const CREATORS: u8 = 8;
        for _ in 0..50 {
            let store = Store::new(Budget::new(100_000));
            let start = Barrier::new(usize::from(CREATORS));
            let creators = 0..CREATORS;
            let won: Vec<u8> = thread::scope(|scope| {
                let threads: Vec<_> = creators
                    .map(|id| {
                        let (store, start) = (&store, &start);
                        scope.spawn(move || {
                            let upload = uploaded(store, &[id; 9]);
                            start.wait();
                            store.commit(name("f"), upload, Existing::Refuse).ok().map(|_| id)
                        })
                    })
                    .collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(won.len(), 1);
            assert_eq!(store.open(&name("f")).unwrap().as_ref(), [won[0]; 9]);
            assert_eq!(store.budget().used(), 9);
        }
    }

    #[test]
    fn put_needs_room_for_old_and_new() {
        let store = Store::new(Budget::new(10));
        let _ = store.put(name("f"), vec![1; 6]).unwrap();
        let refused = store.put(name("f"), vec![2; 5]);
        assert_eq!(refused, Err(OverBudget { depth: 0, limit: 10 }.into()));
        assert_eq!(store.open(&name("f")).unwrap().as_ref(), [1; 6]);
        let _ = store.put(name("f"), vec![2; 4]).unwrap();
        assert_eq!(store.budget().used(), 4);
    }

    #[test]
    fn a_share_counts_what_was_committed_under_it() {
        let store = Store::new(Budget::new(10_000));
        let share = store.budget().child(100);
        let mut upload = store.begin_charged_to(&share, 50);
        assert_eq!(upload.append(&[0; 51]), Err(AppendError::TooLong { max: 50 }));
        upload.append(&[0; 40]).unwrap();
        let _ = store.commit(name("f"), upload, Existing::Replace).unwrap();
        assert_eq!((share.used(), store.budget().used()), (40, 40));

        let mut upload = store.begin_charged_to(&share, 500);
        let own = OverBudget { depth: 0, limit: 100 };
        assert_eq!(upload.append(&[0; 61]), Err(own.into()));
        let _ = store.put(name("f"), "of the operator").unwrap();
        assert_eq!((share.used(), store.budget().used()), (0, 15));
        upload.append(&[0; 61]).unwrap();
    }

    #[test]
    fn a_name_is_found_by_any_spelling() {
        let store = Store::new(Budget::new(10_000));
        for text in ["Boot/BCD", "boot/bcd.log", "boot/fonts/A", "boot/fonts/a", "boot/bc", "bOOT"]
        {
            let _ = store.put(name(text), text).unwrap();
        }
        let found = |text| store.spelling(&name(text)).map(|name| name.to_string());
        for (asked, expected) in [
            ("\\BOOT\\bcd", Some("Boot/BCD")),
            ("boot/FONTS/a", Some("boot/fonts/A")),
            ("boot/fonts/a", Some("boot/fonts/a")),
            ("BOOT/bC", Some("boot/bc")),
            ("boot", Some("bOOT")),
            ("boot/bcd.lo", None),
            ("boot/b", None),
            ("zoot", None),
        ] {
            assert_eq!(found(asked).as_deref(), expected, "{asked}");
        }
    }

    #[test]
    fn a_link_costs_nothing_and_goes_with_its_version_only() {
        let store = Store::new(Budget::new(100));
        let _ = store.put(name("f"), "content").unwrap();
        let version = store.open(&name("f")).unwrap();
        let _ = store.link(name("g"), &version);
        assert_eq!(store.open(&name("g")).unwrap().as_ref(), b"content");
        assert_eq!(store.budget().used(), 7);
        let _ = store.put(name("f"), "other").unwrap();
        assert!(!store.remove_version(&name("f"), &version));
        assert!(store.remove_version(&name("g"), &version));
        assert_eq!((store.len(), store.contains(&name("f"))), (1, true));
    }

    #[test]
    fn the_listing_is_sorted_and_pins_nothing() {
        let store = Store::new(Budget::new(10_000));
        for (text, len) in [("b", 2), ("a/z", 0), ("a", 7)] {
            let _ = store.put(name(text), vec![0; len]).unwrap();
        }
        assert_eq!(store.names(), [name("a"), name("a/z"), name("b")]);
        let entries = store.entries();
        for listed in store.names() {
            store.remove(&listed);
        }
        assert_eq!((store.len(), store.budget().used()), (0, 0));
        let entries: Vec<_> = entries.collect();
        assert_eq!(entries, [(name("a"), 7), (name("a/z"), 0), (name("b"), 2)]);
    }
}
