//! Contents that never change.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::budget::Charge;

/// The content of a file as it was committed.
///
/// A clone pins the content: whatever happens to the name, the bytes stay as they are, and stay
/// charged to the budget they were uploaded under, until the last clone is dropped.
#[derive(Clone)]
pub struct Version {
    content: Arc<Content>,
}

struct Content {
    // Before `charge`: fields drop in this order, and memory goes before its charge does.
    bytes: Box<[u8]>,
    charge: Mutex<Charge>,
}

impl Version {
    pub(crate) fn new(bytes: Box<[u8]>, charge: Charge) -> Self {
        debug_assert_eq!(bytes.len() as u64, charge.bytes());
        Self { content: Arc::new(Content { bytes, charge: Mutex::new(charge) }) }
    }

    /// From here on it is charged to the uppermost budget alone, and to no share of it.
    pub fn leave_share(&self) {
        self.content.charge.lock().unwrap_or_else(PoisonError::into_inner).move_to_root();
    }

    /// Length of the content in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.content.bytes.len() as u64
    }

    /// The same for all clones of a version, and other than that of any other that lives.
    pub(crate) fn key(&self) -> usize {
        Arc::as_ptr(&self.content) as usize
    }

    /// True if both are the same commit; equal bytes are not enough.
    #[must_use]
    pub fn is_same(&self, other: &Version) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
    }

    /// A mark of this version that does not keep its bytes.
    #[must_use]
    pub fn mark(&self) -> VersionMark {
        VersionMark(Arc::downgrade(&self.content))
    }

    /// True for a file without content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.bytes.is_empty()
    }
}

impl AsRef<[u8]> for Version {
    fn as_ref(&self) -> &[u8] {
        &self.content.bytes
    }
}

/// Tells a version from all others, also once it is gone, without keeping its bytes.
#[derive(Clone)]
pub struct VersionMark(Weak<Content>);

impl VersionMark {
    /// How many have the version: the store, for each of its names, and all who have it open.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.0.strong_count()
    }

    /// The version, if anyone still has it.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.0.upgrade().map(|content| Version { content })
    }
}

impl fmt::Debug for VersionMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionMark").finish_non_exhaustive()
    }
}

/// Shows the length only: the content can be huge, and it is nobody's business in a log.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("len", &self.len()).finish()
    }
}
