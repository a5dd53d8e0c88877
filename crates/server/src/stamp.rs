//! Telling whether a file on disk is still the same.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

/// A file on disk at one moment: another stamp is another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    /// Device and number, where there are such.
    pub(crate) file: Option<(u64, u64)>,
    /// In bytes.
    pub(crate) len: u64,
    /// When it was written.
    modified: Option<SystemTime>,
    /// When anything about it was changed, in seconds and nanoseconds.
    changed: Option<(i64, i64)>,
}

impl Stamp {
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        Stamp {
            file: Some((metadata.dev(), metadata.ino())),
            len: metadata.len(),
            modified: metadata.modified().ok(),
            changed: Some((metadata.ctime(), metadata.ctime_nsec())),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        let modified = metadata.modified().ok();
        Stamp { file: None, len: metadata.len(), modified, changed: None }
    }

    /// How long ago it was written. A time in the future says nothing.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.modified?.elapsed().ok()
    }

    /// How long ago anything about it was changed, which nobody can set. A time in the future says nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn unchanged_for(&self) -> Option<Duration> {
        let (seconds, nanoseconds) = self.changed?;
        let since_epoch = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since_epoch)?.elapsed().ok()
    }
}
