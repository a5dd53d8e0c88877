//! What stands behind the memory: all that is needed of it, and nothing about how it is done.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memtftp_store::{Existing, Name};
pub(crate) use memtftp_udp::Writers;
use thiserror::Error;

/// A place where files are when they are not in memory, and before they are.
///
/// Every call may block; workers make none of them. None removes a file by its name, because no
/// client can.
pub(crate) trait Backing: Send + Sync + 'static {
    /// Tells one content of a file from another.
    type Mark: Copy + Eq + Send;
    /// A file that was found and is not read yet.
    type Found;
    /// A file that is stored and has no name yet. Dropped without one, it leaves nothing behind.
    type Stored;
    /// What tells of changes, as long as it is held.
    type Watch: Send + Sync;

    /// What messages call it.
    fn title(&self) -> String;

    /// Finds a file.
    fn find(&self, name: &Name) -> Result<Self::Found, BackingError>;

    /// Looks at a file without opening it, and returns which content it has at this moment.
    fn look(&self, name: &Name) -> Result<Self::Mark, BackingError>;

    /// What is known of a file that was found.
    fn about(&self, found: &Self::Found) -> About<Self::Mark>;

    /// Whether anybody has a file open for writing that was found.
    fn writers(&self, found: &Self::Found) -> Writers;

    /// Reads a file that was found: all of it, as it was then, or [`BackingError::Changing`].
    fn load(&self, found: Self::Found) -> Result<Vec<u8>, BackingError>;

    /// The name of a file that differs from this one in the case of ASCII letters only.
    fn spelling(&self, name: &Name) -> Option<Name>;

    /// Finds the name in another case under which an upload belongs: that of a file, else one whose
    /// directories are spelled as those that there are.
    fn spelling_for_upload(&self, name: &Name) -> Option<Name>;

    /// Whether a file of this name could be stored.
    fn may_store(&self, name: &Name, existing: Existing) -> Result<(), BackingError>;

    /// Stores a file, whole, so that nobody finds it yet.
    fn store(&self, name: &Name, bytes: &[u8]) -> Result<Self::Stored, BackingError>;

    /// Gives a stored file its name, at one moment.
    fn publish(
        &self,
        stored: &mut Self::Stored,
        name: &Name,
        existing: Existing,
    ) -> Result<About<Self::Mark>, BackingError>;

    /// Returns when a published file is as durable as it is to be.
    fn settle(&self, stored: &Self::Stored, name: &Name) -> Result<(), BackingError>;

    /// The names of all files, in no order that matters.
    fn names(&self) -> impl Iterator<Item = Name>;

    /// Removes what was stored and got no name, because its server ended before.
    fn clear(&self);

    /// Tells of changes from now on, until what it gives is dropped. `before` is what it gave the last
    /// time, which tells of changes meanwhile.
    fn watch(
        &self,
        tell: impl Fn(Change) + Send + Sync + 'static,
        before: Option<Self::Watch>,
    ) -> Self::Watch;
}

/// The same for all names of one file, and other than that of any other file there is.
pub(crate) type FileId = (u64, u64);

/// What is known of a file that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<M> {
    /// Its content.
    pub(crate) mark: M,
    /// In bytes.
    pub(crate) len: u64,
    /// How long ago it was written; nothing if that is not known.
    pub(crate) age: Option<Duration>,
    /// How long nothing about it was changed; nothing if that is not known.
    pub(crate) unchanged_for: Option<Duration>,
    /// Which file it is, if that is known.
    pub(crate) file: Option<FileId>,
    /// It has another name, and changes are told under that.
    pub(crate) is_linked: bool,
    /// When it was found under its name; `None` if that is not known.
    pub(crate) looked: Option<Instant>,
}

/// Something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Anything may have, and nothing more is told: watch anew.
    Lost,
    /// Anything may have.
    Unknown,
    /// There is a new name, of a new file or of one that has others.
    Created(Name),
    /// The file of this name may have.
    Touched(Name),
    /// The file of this name, or files whose names begin with it and a slash.
    At(Name),
    /// Somebody writes to this file and has not finished.
    Written(Name),
    /// Somebody has finished writing to this file.
    Closed(Name),
}

/// Why a file was not found, read or stored.
#[derive(Debug, Error)]
pub(crate) enum BackingError {
    #[error("there is no such file")]
    NotFound,
    /// All of it is.
    #[error("there is no directory at {}", _0.display())]
    Gone(PathBuf),
    #[error("it exists")]
    Exists,
    #[error("its directory does not exist, see --create-dirs")]
    NoDirectory,
    /// It is there, but it is nothing to serve or to replace.
    #[error("{0}")]
    Unusable(&'static str),
    #[error("it is being written")]
    Changing,
    #[error("its directory was renamed or replaced meanwhile")]
    Moved,
    #[error("the disk is full")]
    Full,
    #[error("{0}")]
    System(io::Error),
}

impl BackingError {
    /// Whether it says of a file that it can be served no longer; else it says that nothing is known.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            BackingError::System(error) => error.kind() == io::ErrorKind::PermissionDenied,
            _ => true,
        }
    }
}
