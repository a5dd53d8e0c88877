//! A directory behind the memory.
//!
//! What is in memory is served by the workers, as without a directory. What is not is loaded by a few
//! threads when it is first asked for, once for all who ask, and before that in the background as far as
//! there is room. Uploads are on disk before they are in memory, and in memory before their client
//! is told. Files that are on disk leave memory when room is needed.

mod backing;
mod changes;
mod disk;
mod held;
mod loads;
mod looks;
mod root;
mod spelling;
mod temporary;
mod turns;
mod validate;
#[cfg(test)]
mod validate_tests;
mod watch;
mod work;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use memtftp_store::{Name, Store, Version};

use self::backing::Backing;
use self::disk::Disk;
use self::held::{Freshness, Held};
use self::turns::Turns;
use self::validate::LookQueue;
use crate::arrivals::Arrivals;
use crate::config::{Config, DirectoryConfig};
use crate::jobs::{Begin, Busy, Commit, Waiter};
use crate::later::Resolution;
use crate::mailbox::Mailbox;
use crate::own_files::OwnFiles;
use crate::rules::Direction;

/// Threads that load files, as many that store them, and as many that look whether files have changed: a
/// disk that hangs on one does not stop the others.
const THREADS: usize = 4;

/// Uploads that wait to begin, at most: for one more the oldest of them is given up, since none has
/// sent a block yet. As many wait to be stored: one more is refused as busy.
const MAX_UPLOADS: usize = 4_096;

/// Files in memory that wait to be looked at, at most: over it they are served as they are.
const MAX_LOOKS: usize = 65_536;

/// A file that was written less than this ago may not be complete.
const QUIET: Duration = Duration::from_millis(300);

/// A file that is open for writing counts as being written until it was left alone for this long.
const OPEN_FOR: Duration = Duration::from_secs(60);

/// How soon a file that is being written, or for which there is no room, is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Looking at many files waits for so many times as long as it last took, and not longer than this.
const REST: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How long a request waits for such a file.
const PATIENCE: Duration = Duration::from_secs(8);

/// A directory and the threads that work on it. They end with the last of its handles.
#[derive(Clone)]
pub(crate) struct Directory {
    /// Tells a thread that a file was asked for.
    asked: Sender<()>,
    looks: LookQueue,
    warm: Sender<Name>,
    begins: Mailbox<Begin>,
    commits: Sender<Commit>,
    inner: Arc<Inner<Disk>>,
}

/// What the threads share.
struct Inner<B: Backing> {
    backing: B,
    store: Store,
    arrivals: Arrivals,
    held: Mutex<Held<B::Mark>>,
    /// What is to be looked at again, and when. A table, so that a file that changes without end
    /// is in it once.
    again: Mutex<HashMap<Look, Instant>>,
    /// How long it took the last time, of those looks that take long.
    efforts: Mutex<HashMap<Look, Duration>>,
    /// When it was last said that the disk does not tell whether files have changed.
    last_warning: Mutex<Option<Instant>>,
    /// A thread is awake that answers for a disk that hangs.
    looks_are_timed: AtomicBool,
    /// Tells a thread that there is something in it.
    wake: Sender<()>,
    /// Held while an upload gives a file another content.
    turns: Turns,
    watch: Mutex<Option<B::Watch>>,
    me: Weak<Inner<B>>,
}

/// What is to be done again.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Look {
    /// Load a file.
    Load(Name),
    /// See whether a file, or what is below a directory of that name, has changed.
    Check(Name),
    /// See which of the files that may change under other names have.
    Linked,
    /// See which of all files in memory have changed.
    All,
    /// Watch, because what was watched is another now, and see which files have changed.
    Watch,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("path", &self.inner.backing.title())
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Opens a directory and starts its threads.
    pub(crate) fn start(
        config: &DirectoryConfig,
        own: OwnFiles,
        max_files: usize,
        store: Store,
        arrivals: Arrivals,
    ) -> std::io::Result<Directory> {
        let (wake, woken) = crossbeam_channel::bounded(1);
        let inner = Inner::new(Disk::open(config, own)?, max_files, store, arrivals, wake);
        let (names, to_look_at) = crossbeam_channel::bounded(MAX_LOOKS);
        let (timer, to_time) = crossbeam_channel::bounded(1);
        let looks = LookQueue { names, timer };
        // Full means that each thread will look.
        let (asked, was_asked) = crossbeam_channel::bounded(THREADS);
        // One at a time, so that what is asked for never waits for many.
        let (warm, to_warm) = crossbeam_channel::bounded(1);
        let (begins, to_begin) = Mailbox::new(MAX_UPLOADS);
        let (commits, to_commit) = crossbeam_channel::bounded(MAX_UPLOADS);
        for number in 0..THREADS {
            let (was_asked, to_warm, woken) = (was_asked.clone(), to_warm.clone(), woken.clone());
            let loader = Arc::clone(&inner);
            let work = move || loader.load_all(&was_asked, &to_warm, &woken);
            spawn(format!("load-{number}"), work)?;
            let (to_begin, to_commit) = (to_begin.clone(), to_commit.clone());
            let storer = Arc::clone(&inner);
            let work = move || storer.store_all(&to_begin, &to_commit);
            spawn(format!("store-{number}"), work)?;
            let (to_look_at, asked) = (to_look_at.clone(), asked.clone());
            let looker = Arc::clone(&inner);
            spawn(format!("look-{number}"), move || looker.look_at_all(&to_look_at, &asked))?;
        }
        let timer = Arc::clone(&inner);
        spawn("look-timer".to_owned(), move || timer.time_looks(&to_time))?;
        Ok(Directory { asked, looks, warm, begins, commits, inner })
    }

    /// Begins to watch, clears away what a server before has left, and loads what there is room for.
    /// Returns at once.
    pub(crate) fn warm_up(&self) -> std::io::Result<()> {
        let (inner, warm) = (Arc::clone(&self.inner), self.warm.clone());
        spawn("warm-up".to_owned(), move || {
            // With very many directories it takes a while. What was loaded before was not watched.
            inner.watch_anew();
            inner.backing.clear();
            inner.warm_all(&warm);
        })
    }

    /// Takes files out of memory until there is room for so many bytes.
    pub(crate) fn make_room(&self, len: u64) -> bool {
        self.inner.make_room(len)
    }

    /// Takes a file out of memory, whether it is on disk or not.
    pub(crate) fn take(&self, name: &Name) -> Option<Version> {
        let mut held = self.inner.held();
        held.let_go(name);
        self.inner.arrivals.take(&self.inner.store, name)
    }

    /// A file in memory is another now, which is not on disk.
    pub(crate) fn let_go(&self, name: &Name) {
        self.inner.held().let_go(name);
    }

    /// How many files in memory are on disk, too, apart from some.
    pub(crate) fn count_but(&self, is_other: impl Fn(&Name) -> bool) -> usize {
        self.inner.held().count_but(is_other)
    }

    /// Whether the file in memory, if there is one of that name, may be served at this moment. It then
    /// counts as used.
    pub(crate) fn is_servable(&self, name: &Name) -> bool {
        self.inner.is_servable(name, Instant::now())
    }

    /// Whether a file in memory is on disk, too.
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.inner.held().mark(name).is_some()
    }

    /// Loads a file that is not in memory, or looks whether the one there is still the one on disk, and
    /// answers then.
    ///
    /// # Errors
    /// The disk hangs on this file.
    pub(crate) fn load(&self, waiter: Waiter) -> Result<(), Busy> {
        let name = waiter.grant.name().clone();
        let mut held = self.inner.held();
        if held.freshness(&name, Instant::now()) == Freshness::Stale {
            drop(held);
            self.inner.join_look(&name, waiter, &self.looks);
            return Ok(());
        }
        let evicted = held.loads.ask(&name, waiter).map_err(|_| Busy)?;
        drop(held);
        let _ = self.asked.try_send(());
        evicted.iter().for_each(work::give_up);
        Ok(())
    }

    /// Looks whether a file could be stored, and answers then.
    pub(crate) fn begin(&self, begin: Begin) {
        for Begin { id, answers, .. } in self.begins.push(begin) {
            answers.give(Resolution::Evicted(id));
        }
    }

    /// Stores an upload, publishes it, and answers then.
    ///
    /// # Errors
    /// Too many wait for that already.
    pub(crate) fn commit(&self, commit: Commit) -> Result<(), Busy> {
        self.commits.try_send(commit).map_err(|_| Busy)
    }

    /// Watches anew, and looks at every file in memory, whether it is still the one on disk. Holds so
    /// many files from now on. Returns at once.
    pub(crate) fn rescan(&self, max_files: usize) {
        self.inner.held().set_max_files(max_files);
        self.inner.after(AGAIN, Look::Watch);
    }
}

impl<B: Backing> Inner<B> {
    fn new(
        backing: B,
        max_files: usize,
        store: Store,
        arrivals: Arrivals,
        wake: Sender<()>,
    ) -> Arc<Inner<B>> {
        Arc::new_cyclic(|me| Inner {
            backing,
            held: Mutex::new(Held::new(store.clone(), max_files, arrivals.clone())),
            store,
            arrivals,
            again: Mutex::default(),
            efforts: Mutex::default(),
            last_warning: Mutex::default(),
            looks_are_timed: AtomicBool::new(false),
            wake,
            turns: Turns::default(),
            watch: Mutex::default(),
            me: Weak::clone(me),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held<B::Mark>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) -> MutexGuard<'_, HashMap<Look, Instant>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn efforts(&self) -> MutexGuard<'_, HashMap<Look, Duration>> {
        self.efforts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_warning(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_warning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the directory of `config` spells a name that is read, or that an upload is stored under.
/// `None` if there is no such file, or no directory for it; with `ignore_case` other spellings count.
///
/// # Errors
/// The directory cannot be opened.
pub fn spelling_in_directory(
    config: &Config,
    name: &Name,
    direction: Direction,
    ignore_case: bool,
) -> std::io::Result<Option<Name>> {
    let Some(directory) = &config.directory else { return Ok(None) };
    let disk = Disk::open(directory, OwnFiles::of(config))?;
    if disk.find(name).is_ok() {
        return Ok(Some(name.clone()));
    }
    Ok(match direction {
        _ if !ignore_case => None,
        Direction::Read => disk.spelling(name),
        Direction::Write => disk.spelling(name).or_else(|| disk.spelling_for_upload(name)),
    })
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name).spawn(work).map(drop)
}
