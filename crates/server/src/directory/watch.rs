//! What the system tells of changes below a directory.

use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::backing::Change;
use super::disk::name_of;

/// Watches as long as it is held.
pub(crate) struct Watch {
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch. Without the system's help changes are seen at SIGHUP only, and the log says so.
    pub(super) fn start(directory: &Path, tell: impl Fn(Change) + Send + 'static) -> Watch {
        let root = directory.to_owned();
        let hear = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(Change::All),
            Ok(event) => changes(&root, event.kind, &event.paths).for_each(&tell),
            Err(error) => {
                tracing::warn!("watching {}: {error}", root.display());
                tell(Change::All);
            }
        };
        let started = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::Recursive)?;
            // Should another directory take its place.
            if let Some(parent) = directory.parent() {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        if let Err(error) = &started {
            tracing::warn!(
                "cannot watch {}, so changes are seen at SIGHUP only: {error}; on Linux raise \
                 fs.inotify.max_user_watches",
                directory.display()
            );
        }
        Watch { _watcher: started.ok() }
    }
}

fn changes(root: &Path, kind: EventKind, paths: &[PathBuf]) -> impl Iterator<Item = Change> {
    paths.iter().filter_map(move |path| {
        if path == root {
            return Some(Change::All);
        }
        let name = name_of(root, path)?;
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Closed(name)),
            EventKind::Access(_) => None,
            EventKind::Modify(ModifyKind::Data(_)) => Some(Change::Written(name)),
            _ => Some(Change::At(name)),
        }
    })
}
