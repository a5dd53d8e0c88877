//! Files that are being stored, until they have their names.

use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use memtftp_rights::PRIVATE;
use memtftp_store::Existing;
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, linkat, openat,
    renameat_with, unlinkat,
};
use rustix::io::Errno;

/// What such a file is called.
const TEMPORARY: (&str, &str) = (".memtftp-", ".tmp");

/// Whether a file of this name is one of ours or of another server.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let (start, end) = TEMPORARY;
    name.as_bytes().starts_with(start.as_bytes()) && name.as_bytes().ends_with(end.as_bytes())
}

/// A file that is on the disk and has no name yet. Without one it is removed.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(super) directory: OwnedFd,
    pub(super) file: File,
    temporary: String,
    named: bool,
}

impl Stored {
    /// Makes an empty file in a directory, which nobody else may read as long as it has no name.
    pub(super) fn create(directory: OwnedFd) -> Result<Stored, Errno> {
        let (start, end) = TEMPORARY;
        let temporary = format!("{start}{:016x}{end}", RandomState::new().hash_one(()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(PRIVATE);
        let file = File::from(openat(&directory, &temporary, flags, mode)?);
        let stored = Stored { directory, file, temporary, named: false };
        // What is not locked at the next start is nobody's. Where nothing can be locked, it is not
        // removed then.
        let _ = flock(&stored.file, FlockOperation::LockExclusive);
        Ok(stored)
    }

    /// Gives it the rights of the file that it is to replace; those of `mode` if there is none.
    pub(super) fn take_rights(&self, replaced: Option<&File>, mode: Mode) -> std::io::Result<()> {
        match replaced {
            Some(old) => memtftp_rights::inherit(&self.file, old),
            // The process may have a umask of its own, for its log.
            None => Ok(fchmod(&self.file, mode)?),
        }
    }

    /// Gives it its name in its directory, at one moment.
    pub(super) fn take_name(&mut self, name: &OsStr, existing: Existing) -> Result<(), Errno> {
        let flags = match existing {
            Existing::Refuse => RenameFlags::NOREPLACE,
            Existing::Replace => RenameFlags::empty(),
        };
        let directory = self.directory.as_fd();
        match renameat_with(directory, &self.temporary, directory, name, flags) {
            // Some file systems cannot rename so, but link.
            Err(Errno::INVAL) if existing == Existing::Refuse => {
                linkat(directory, &self.temporary, directory, name, AtFlags::empty())?;
                self.remove();
            }
            renamed => renamed?,
        }
        self.named = true;
        Ok(())
    }

    fn remove(&self) {
        if let Err(error) = unlinkat(&self.directory, &self.temporary, AtFlags::empty()) {
            tracing::warn!("cannot remove {}, which is not needed: {error}", self.temporary);
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if !self.named {
            self.remove();
        }
    }
}
