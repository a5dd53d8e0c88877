//! What the system tells of changes below a directory.

use std::path::{Path, PathBuf};
use std::thread;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::AGAIN;
use super::backing::Change;
use super::disk::name_of;

/// How often it is tried again to watch a directory that changes meanwhile, or to get enough watches.
const RETRIES: usize = 10;

/// What to do where nothing can be watched.
const NO_WATCHER: &str = "on Linux raise fs.inotify.max_user_instances if other programs watch, too, \
                          and else the limit of open files (ulimit -n)";

/// What to do where a part cannot be.
const NOT_ALL: &str = "check that all directories are readable, and on Linux raise \
                       fs.inotify.max_user_watches if they are too many";

/// Watches as long as it is held.
pub(crate) struct Watch {
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch. Without the system's help changes are seen when a file is looked at, and the log says
    /// so.
    ///
    /// `before` goes on until then, unless the system has not enough for both.
    pub(super) fn start(
        directory: &Path,
        tell: impl Fn(Change) + Send + 'static,
        mut before: Option<Watch>,
    ) -> Watch {
        let given = directory.to_owned();
        // What is told has the path that is watched, which is not the one given if that is a link.
        let Ok(root) = std::fs::canonicalize(directory).or_else(|_| std::path::absolute(directory))
        else {
            return Watch { _watcher: None };
        };
        let (watched, title) = (root.clone(), given.clone());
        let hear = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(Change::Lost),
            Ok(event) => changes(&root, &given, event.kind, &event.paths).for_each(&tell),
            Err(error) => {
                tracing::warn!("watching {}: {error}", root.display());
                tell(Change::Unknown);
            }
        };
        // Links are followed when files are read, and their targets are checked then.
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = match RecommendedWatcher::new(hear, config) {
            Ok(watcher) => watcher,
            Err(error) => {
                warn(&title, &error, NO_WATCHER);
                return Watch { _watcher: None };
            }
        };
        // Should another directory take its place.
        for parent in [title.parent(), watched.parent()].into_iter().flatten() {
            if let Err(error) = watcher.watch(parent, RecursiveMode::NonRecursive) {
                tracing::debug!("cannot watch {}: {error}", parent.display());
            }
        }
        let mut result = watcher.watch(&watched, RecursiveMode::Recursive);
        for _ in 0..RETRIES {
            match &result {
                Err(error) if watched.exists() => {
                    if matches!(error.kind, ErrorKind::MaxFilesWatch) && before.take().is_none() {
                        // Its thread gives them back when it gets to it.
                        thread::sleep(AGAIN);
                    }
                }
                _ => break,
            }
            // Or something below is gone since it was listed.
            result = watcher.watch(&watched, RecursiveMode::Recursive);
        }
        // Without the directory it is told when that comes back; else a part is better than nothing.
        if let Err(error) = result.as_ref()
            && watched.exists()
        {
            warn(&title, error, NOT_ALL);
        }
        Watch { _watcher: Some(watcher) }
    }
}

fn warn(directory: &Path, error: &notify::Error, advice: &str) {
    tracing::warn!(
        "cannot watch all of {}, so some changes are found up to a second late: {error}; {advice}",
        directory.display()
    );
}

fn changes(
    root: &Path,
    given: &Path,
    kind: EventKind,
    paths: &[PathBuf],
) -> impl Iterator<Item = Change> {
    paths.iter().filter_map(move |path| {
        if path == root || path == given {
            let harmless =
                matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)));
            return (!harmless).then_some(Change::Lost);
        }
        let name = name_of(root, path)?;
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Closed(name)),
            EventKind::Access(_) => None,
            EventKind::Create(kind) if kind != CreateKind::Folder => Some(Change::Created(name)),
            EventKind::Modify(ModifyKind::Data(_)) => Some(Change::Written(name)),
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Change::Touched(name)),
            _ => Some(Change::At(name)),
        }
    })
}
