//! What the system tells of changes below a directory.

use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::backing::Change;
use super::disk::name_of;

/// Watches as long as it is held.
pub(crate) struct Watch {
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch. Without the system's help changes are seen at SIGHUP only, and the log says so.
    pub(super) fn start(directory: &Path, tell: impl Fn(Change) + Send + 'static) -> Watch {
        let given = directory.to_owned();
        // What is told has the path that is watched, which is not the one given if that is a link.
        let Ok(root) = std::fs::canonicalize(directory).or_else(|_| std::path::absolute(directory))
        else {
            return Watch { _watcher: None };
        };
        let (watched, title) = (root.clone(), given.clone());
        let hear = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(Change::All),
            Ok(event) => changes(&root, &given, event.kind, &event.paths).for_each(&tell),
            Err(error) => {
                tracing::warn!("watching {}: {error}", root.display());
                tell(Change::All);
            }
        };
        // Links are followed when files are read, and their targets are checked then.
        let config = Config::default().with_follow_symlinks(false);
        let started = RecommendedWatcher::new(hear, config).and_then(|mut watcher| {
            // Should another directory take its place.
            let above = [title.parent(), watched.parent()].into_iter().flatten();
            for parent in above {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
            match watcher.watch(&watched, RecursiveMode::Recursive) {
                // It is told when it comes back.
                Err(_) if !watched.exists() => Ok(watcher),
                result => result.map(|()| watcher),
            }
        });
        if let Err(error) = &started {
            tracing::warn!(
                "cannot watch {}, so changes are seen at SIGHUP only: {error}; on Linux raise \
                 fs.inotify.max_user_watches",
                title.display()
            );
        }
        Watch { _watcher: started.ok() }
    }
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
            return (!harmless).then_some(Change::Everything);
        }
        let name = name_of(root, path)?;
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Closed(name)),
            EventKind::Access(_) => None,
            EventKind::Modify(ModifyKind::Data(_)) => Some(Change::Written(name)),
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Change::Touched(name)),
            _ => Some(Change::At(name)),
        }
    })
}
