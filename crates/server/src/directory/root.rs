//! The directory that is served, as its path leads at each moment.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, fstat, stat};
use rustix::io::Errno;

use super::backing::{BackingError, FileId};

/// A directory by its path, which may be that of another one later.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    opened: Mutex<Opened>,
    /// Nothing was at the path when it was last looked at, and the log says so.
    is_missing: AtomicBool,
}

/// The directory that was at the path the last time.
#[derive(Clone, Debug)]
struct Opened {
    id: FileId,
    descriptor: Arc<OwnedFd>,
}

impl Opened {
    fn open(path: &Path) -> Result<Opened, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        let status = fstat(&descriptor)?;
        Ok(Opened { id: (status.st_dev, status.st_ino), descriptor: Arc::new(descriptor) })
    }
}

impl Root {
    /// Opens the directory. `path` is absolute; if it is a link, that may lead elsewhere later.
    pub(super) fn open(path: PathBuf) -> io::Result<Root> {
        let opened = Mutex::new(Opened::open(&path)?);
        Ok(Root { path, opened, is_missing: AtomicBool::new(false) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory that is at the path now, and whether it is another than the last time.
    ///
    /// # Errors
    /// [`BackingError::Gone`] if there is none, or what the system says.
    pub(super) fn current(&self) -> Result<(Arc<OwnedFd>, bool), BackingError> {
        // Not under the lock: who hangs here must not stop the others.
        let looked = stat(&self.path).map(|status| (status.st_dev, status.st_ino));
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = match looked {
            Ok(id) if id == known.id => Ok((known.descriptor, false)),
            Ok(_) => Opened::open(&self.path).map(|opened| (self.replace(&opened), true)),
            Err(error) => Err(error),
        };
        self.note(result.is_ok(), result.as_ref().err());
        result.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => BackingError::Gone(self.path.clone()),
            other => BackingError::System(other.into()),
        })
    }

    fn replace(&self, opened: &Opened) -> Arc<OwnedFd> {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = opened.clone();
        tracing::info!("another directory is at {} now", self.path.display());
        Arc::clone(&opened.descriptor)
    }

    /// Says once that the directory is not there, and once that it is back.
    fn note(&self, is_there: bool, error: Option<&Errno>) {
        let is_missing = matches!(error, Some(&(Errno::NOENT | Errno::NOTDIR)));
        if is_missing && !self.is_missing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "there is no directory at {} any more: until it is back, none of its files is served \
                 or stored",
                self.path.display()
            );
        }
        if is_there && self.is_missing.load(Ordering::Relaxed) {
            self.is_missing.store(false, Ordering::Relaxed);
            tracing::info!("there is a directory at {} again", self.path.display());
        }
    }
}
