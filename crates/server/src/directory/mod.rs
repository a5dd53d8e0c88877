//! A directory behind the memory.
//!
//! What is in memory is served by the workers, as without a directory. What is not is loaded by a few
//! threads when it is first asked for, once for all who ask, and before that in the background as far as
//! there is room. Uploads are on disk before they are in memory, and in memory before their client
//! is told. Files that are on disk leave memory when room is needed.

mod backing;
mod disk;
mod held;
mod watch;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use memtftp_proto::SessionId;
use memtftp_store::{Existing, Name, Store, Version};

use self::backing::Backing;
use self::disk::Disk;
use self::held::{Held, Loading};
use crate::arrivals::Arrivals;
use crate::config::DirectoryConfig;
use crate::later::Answers;
use crate::library::NamedUpload;
use crate::rules::Caps;

/// Threads that read and write files.
const THREADS: usize = 4;

/// Jobs that wait for one of them. Over it a request is refused as busy.
const MAX_JOBS: usize = 4_096;

/// Requests that wait for files. Over it one is refused as busy.
const MAX_WAITERS: usize = 65_536;

/// Files that are to be loaded before anybody asks, at once.
const MAX_WARM: usize = 64;

/// A file that was written less than this ago may not be complete.
const QUIET: Duration = Duration::from_millis(300);

/// How soon a file that is being written, or for which there is no room, is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// How long a request waits for such a file.
const PATIENCE: Duration = Duration::from_secs(8);

/// A directory and the threads that work on it. They end with the last of its handles.
#[derive(Clone)]
pub(crate) struct Directory {
    jobs: Sender<Job>,
    warm: Sender<Name>,
    inner: Arc<Inner<Disk>>,
    /// Set in the background: with very many directories it takes a while.
    watch: Arc<OnceLock<<Disk as Backing>::Watch>>,
}

/// What the threads share.
struct Inner<B: Backing> {
    backing: B,
    store: Store,
    arrivals: Arrivals,
    held: Mutex<Held<B::Mark>>,
    /// Files that are to be looked at again.
    delayed: Mutex<Vec<(Instant, Look)>>,
    /// Held while a file gets its name and its version, so that both are of the same upload.
    naming: Mutex<()>,
}

/// Something about a file that takes time.
enum Job {
    /// Somebody waits for it.
    Load(Name),
    /// Nobody does yet.
    Warm(Name),
    Begin(Begin),
    Commit(Box<Commit>),
}

/// What is to be done again with a file.
enum Look {
    /// Load it.
    Load(Name),
    /// See whether it has changed.
    Check(Name),
}

/// A request that waits for a file.
pub(crate) struct Waiter {
    pub(crate) id: SessionId,
    pub(crate) caps: Caps,
    /// Other spellings will do.
    pub(crate) ignore_case: bool,
    pub(crate) answers: Answers,
}

/// An upload whose place on disk is to be looked at.
pub(crate) struct Begin {
    pub(crate) id: SessionId,
    pub(crate) upload: Box<NamedUpload>,
    pub(crate) existing: Existing,
    /// It may replace a file of another spelling.
    pub(crate) ignore_case: bool,
    pub(crate) answers: Answers,
}

/// An upload that is complete.
pub(crate) struct Commit {
    pub(crate) id: SessionId,
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) existing: Existing,
    pub(crate) answers: Answers,
}

/// There is too much to do already.
pub(crate) struct Busy;

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
        max_files: usize,
        store: Store,
        arrivals: Arrivals,
    ) -> std::io::Result<Directory> {
        let backing = Disk::open(config)?;
        let held = Mutex::new(Held::new(store.clone(), max_files));
        let (delayed, naming) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { backing, store, arrivals, held, delayed, naming });
        let (jobs, to_do) = crossbeam_channel::bounded(MAX_JOBS);
        let (warm, to_warm) = crossbeam_channel::bounded(MAX_WARM);
        for number in 0..THREADS {
            let (inner, to_do, to_warm) = (Arc::clone(&inner), to_do.clone(), to_warm.clone());
            let work = move || inner.work(&to_do, &to_warm);
            std::thread::Builder::new().name(format!("disk-{number}")).spawn(work)?;
        }
        Ok(Directory { jobs, warm, inner, watch: Arc::default() })
    }

    /// Begins to watch, clears away what a server before has left, and loads what there is room for.
    /// Returns at once.
    pub(crate) fn warm_up(&self) -> std::io::Result<()> {
        let (inner, warm, watch) =
            (Arc::clone(&self.inner), self.warm.clone(), Arc::clone(&self.watch));
        let work = move || {
            let _ = watch.set(inner.backing.watch({
                let inner = Arc::clone(&inner);
                move |change| inner.changed(change)
            }));
            drop(watch);
            // What was loaded before has not been watched.
            inner.check_below(b"");
            inner.backing.clear();
            let limit = inner.store.budget().limit();
            let mut has_room = true;
            for name in inner.backing.names() {
                let found = inner.backing.find(&name);
                let len = found.map(|found| inner.backing.about(&found).len).unwrap_or_default();
                if len > limit {
                    tracing::warn!(
                        "{name} ({len} bytes) is larger than the memory and cannot be served: give more \
                         with --memory"
                    );
                }
                has_room &= inner.store.budget().check(len).is_ok();
                if has_room && warm.send(name).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("warm-up".into()).spawn(work).map(drop)
    }

    /// A request was answered with this file.
    pub(crate) fn used(&self, name: &Name) {
        self.inner.held().used(name);
    }

    /// Takes files out of memory until there is room for so many bytes.
    pub(crate) fn make_room(&self, len: u64) -> bool {
        self.inner.held().make_room(len)
    }

    /// Loads a file that is not in memory and answers then.
    pub(crate) fn load(&self, name: &Name, waiter: Waiter) -> Result<(), Busy> {
        let mut held = self.inner.held();
        if held.waiting >= MAX_WAITERS {
            return Err(Busy);
        }
        if let Some(loading) = held.loading.get_mut(name) {
            loading.waiters.push(waiter);
            held.waiting += 1;
            return Ok(());
        }
        self.jobs.try_send(Job::Load(name.clone())).map_err(|_| Busy)?;
        let loading = Loading { since: Instant::now(), waiters: vec![waiter], stale: false };
        held.loading.insert(name.clone(), loading);
        held.waiting += 1;
        Ok(())
    }

    /// Looks whether a file could be stored, and answers then.
    pub(crate) fn begin(&self, begin: Begin) -> Result<(), Busy> {
        self.jobs.try_send(Job::Begin(begin)).map_err(|_| Busy)
    }

    /// Stores an upload, publishes it, and answers then.
    pub(crate) fn commit(&self, commit: Commit) -> Result<(), Busy> {
        self.jobs.try_send(Job::Commit(Box::new(commit))).map_err(|_| Busy)
    }

    /// Looks at every file in memory, whether it is still the one on disk. Blocks.
    pub(crate) fn rescan(&self) {
        self.inner.check_below(b"");
    }
}

impl<B: Backing> Inner<B> {
    fn held(&self) -> MutexGuard<'_, Held<B::Mark>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delayed(&self) -> MutexGuard<'_, Vec<(Instant, Look)>> {
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
