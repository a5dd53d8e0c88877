//! Gives a new file the rights of the one that it replaces.
//!
//! A file that appears under its name once it is complete is another file than the one before it.
//! It takes over owner, group, permissions and access control list, as far as the process may give
//! them, and is never more open than what it replaces.

use std::fs::File;
use std::io;
use std::path::Path;

/// Permissions of a file on its way: for its owner alone.
pub const PRIVATE: u32 = 0o600;

/// Gives `new` the owner, the group, the permissions and the access control list of `old`.
///
/// `old` may be opened in any way, also with `O_PATH`. What the process may not give, such as another
/// owner, is left out; then the group gets no more than everybody has. Special bits (set-user-ID and
/// the like) are not inherited.
///
/// # Errors
/// The permissions cannot be read or set.
pub fn inherit(new: &File, old: &File) -> io::Result<()> {
    system::inherit(new, old)
}

/// Opens a file for [`inherit`] only: on Linux the process need not be allowed to read it.
///
/// # Errors
/// There is no such file, or no way to it.
pub fn open(path: &Path) -> io::Result<File> {
    system::open(path)
}

#[cfg(unix)]
mod system {
    use std::fs::{File, Permissions};
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    use std::path::Path;

    #[cfg(target_os = "linux")]
    pub(super) fn open(path: &Path) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};

        Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn inherit(new: &File, old: &File) -> io::Result<()> {
        let (found, made) = (old.metadata()?, new.metadata()?);
        let keeps_owner = made.uid() == found.uid() || fchown(new, Some(found.uid()), None).is_ok();
        let keeps_group = made.gid() == found.gid() || fchown(new, None, Some(found.gid())).is_ok();
        let keeps_list = lists::copy(&format!("/proc/self/fd/{}", old.as_raw_fd()), new);
        let mode = permissions(found.mode(), keeps_owner && keeps_group && keeps_list);
        // Behind the list, whose mask these are. The owner decides who may do more, so they come last.
        new.set_permissions(Permissions::from_mode(mode))
    }

    /// The permissions of a file that replaces one of `mode`. If its group is another, or the group's
    /// bits were the mask of a list, it gets only what everybody has.
    fn permissions(mode: u32, is_same: bool) -> u32 {
        let (mode, others) = (mode & 0o777, mode & 0o007);
        if is_same { mode } else { mode & (0o707 | others << 3) }
    }

    /// Access control lists (POSIX.1e), which Linux keeps in an extended attribute.
    #[cfg(target_os = "linux")]
    mod lists {
        use std::fs::File;

        use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr};
        use rustix::io::Errno;

        const NAME: &str = "system.posix_acl_access";

        /// The longest list that is copied, in bytes: some 500 entries.
        const MAX_LIST: usize = 4_096;

        /// Copies the list of the file at `old`, or removes what `new` has from its directory's default;
        /// false if that cannot be done.
        pub(super) fn copy(old: &str, new: &File) -> bool {
            let mut list = [0; MAX_LIST];
            match getxattr(old, NAME, &mut list) {
                Ok(len) => {
                    let list = list.get(..len).unwrap_or_default();
                    fsetxattr(new, NAME, list, XattrFlags::empty()).is_ok()
                }
                Err(Errno::NODATA | Errno::OPNOTSUPP) => matches!(
                    fremovexattr(new, NAME),
                    Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP)
                ),
                Err(_) => false,
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    mod lists {
        /// Lists are another matter elsewhere.
        pub(super) fn copy(_: &str, _: &std::fs::File) -> bool {
            true
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_cannot_be_inherited_is_not_more_open() {
            for (mode, same, other) in [
                (0o640, 0o640, 0o600),
                (0o664, 0o664, 0o644),
                (0o4755, 0o755, 0o755),
                (0o660, 0o660, 0o600),
                (0o604, 0o604, 0o604),
            ] {
                assert_eq!((permissions(mode, true), permissions(mode, false)), (same, other));
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn inherit(new: &File, old: &File) -> io::Result<()> {
        new.set_permissions(old.metadata()?.permissions())
    }
}
