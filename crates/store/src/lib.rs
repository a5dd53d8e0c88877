//! Files in memory: immutable versions by name, private uploads, one budget.
//!
//! * A [`Name`] is the normalised form of what a client calls a file.
//! * A [`Version`] is the content of a file as it was committed. Opening a file pins its version:
//!   later commits under the same name do not touch it.
//! * An [`Upload`] is a file being received. Nobody sees it until [`Store::commit`] makes it a
//!   version and gives it a name, for all readers at the same moment.
//! * A [`Budget`] bounds the bytes of versions, of uploads under way, and of replaced versions that
//!   someone still reads. A child budget is a share of it, for example that of one client.
//!
//! What is absent: contents are never copied to be read, readers never wait for writers, no name
//! ever stands for half a file, and nothing here knows of sockets, disks or clocks. Not charged to
//! the budget are the names and the index, some hundreds of bytes a file; whoever lets strangers
//! create files should bound [`Store::len`].
//!
//! ```
//! use memtftp_store::{Budget, Existing, Name, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::new(Budget::new(64 << 20));
//! let name = Name::parse(br"\Boot\BCD")?;
//!
//! let mut upload = store.begin();
//! upload.append(b"some ")?;
//! upload.append(b"bytes")?;
//! assert!(store.open(&name).is_none());
//!
//! let receipt = store.commit(name.clone(), upload, Existing::Refuse)?;
//! assert_eq!(receipt.len(), 10);
//!
//! let pinned = store.open(&Name::parse(b"/Boot/BCD")?).ok_or("no such file")?;
//! let receipt = store.put(name, "other content")?;
//! assert!(receipt.replaced());
//! assert_eq!(pinned.as_ref(), b"some bytes");
//! # Ok(())
//! # }
//! ```

mod budget;
mod name;
mod store;
mod upload;
mod version;

pub use budget::{Budget, Charge, OverBudget};
pub use name::{Name, NameError};
pub use store::{CommitError, Existing, Receipt, Store};
pub use upload::{AppendError, Upload};
pub use version::{Version, VersionMark};
