//! Contents that never change.

use std::fmt;
use std::sync::Arc;

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
    _charge: Charge,
}

impl Version {
    pub(crate) fn new(bytes: Box<[u8]>, charge: Charge) -> Self {
        debug_assert_eq!(bytes.len() as u64, charge.bytes());
        Self { content: Arc::new(Content { bytes, _charge: charge }) }
    }

    /// Length of the content in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.content.bytes.len() as u64
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

/// Shows the length only: the content can be huge, and it is nobody's business in a log.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("len", &self.len()).finish()
    }
}
