//! What the system tells of changes below a directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::{Inner, Look};

/// Watches as long as it is held.
pub(super) struct Watch {
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch. Without the system's help changes are seen at SIGHUP only, and the log says so.
    pub(super) fn start(inner: Arc<Inner>) -> Watch {
        let path = inner.disk.path().to_owned();
        let hear = move |event: notify::Result<Event>| inner.hear(event);
        let started = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(&path, RecursiveMode::Recursive)?;
            // Should another directory take its place.
            if let Some(parent) = path.parent() {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        if let Err(error) = &started {
            tracing::warn!(
                "cannot watch {}, so changes are seen at SIGHUP only: {error}; on Linux raise \
                 fs.inotify.max_user_watches",
                path.display()
            );
        }
        Watch { _watcher: started.ok() }
    }
}

impl Inner {
    fn hear(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.check_below(b""),
            Ok(event) => event.paths.iter().for_each(|path| self.changed(event.kind, path)),
            Err(error) => {
                tracing::warn!("watching for changes: {error}");
                self.check_below(b"");
            }
        }
    }

    fn changed(&self, kind: EventKind, path: &Path) {
        if path == self.disk.path() {
            return self.check_below(b"");
        }
        let Some(name) = self.disk.name_of(path) else { return };
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.held().closed(&name);
                self.check(&name);
            }
            EventKind::Access(_) => {}
            EventKind::Modify(ModifyKind::Data(_)) => {
                self.held().written(&name, Instant::now());
                self.later(Look::Check(name));
            }
            _ => {
                self.held().closed(&name);
                self.check_below(name.as_bytes());
            }
        }
    }
}
