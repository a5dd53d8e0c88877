//! Giving up the rights of root once they have done their work.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Whom a process that was started as root becomes: `NAME`, with its groups, or `NAME:GROUP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    user: String,
    group: Option<String>,
}

impl FromStr for RunAs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RunAs, &'static str> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || group.is_some_and(str::is_empty) {
            return Err("give a user like memtftp, or a user and a group like memtftp:tftp");
        }
        Ok(RunAs { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

/// The rights of root are not given up, so the server does not go on. The operator must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// No such user.
    #[error(
        "there is no user {name}: make it (useradd --system {name}) or give another with --user"
    )]
    NoUser {
        /// The name.
        name: String,
    },
    /// No such group.
    #[error(
        "there is no group {name}: make it (groupadd --system {name}) or give another with --user \
         NAME:GROUP"
    )]
    NoGroup {
        /// The name.
        name: String,
    },
    /// The user is root.
    #[error("--user {name} keeps the rights of root: give another user, or leave --user away")]
    Root {
        /// The name.
        name: String,
    },
    /// The process may not become anyone else.
    #[error("only root may become the user {name}: start as root, or leave --user away")]
    NotRoot {
        /// The name.
        name: String,
    },
    /// Anything else the system said.
    #[error("cannot become the user {name}, so the server does not run: {source}")]
    System {
        /// The name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was done and can be undone.
    #[error(
        "the rights of root could be had back after becoming the user {name}, so the server does not \
         run: start it as that user instead"
    )]
    Kept {
        /// The name.
        name: String,
    },
    /// Not on this system.
    #[error("--user works on Linux only: start as the user {name} instead")]
    Unsupported {
        /// The name.
        name: String,
    },
}

#[cfg(target_os = "linux")]
mod imp {
    use std::ffi::CString;
    use std::io;

    use nix::errno::Errno;
    use nix::unistd::{
        Gid, Group, Uid, User, getresgid, getresuid, initgroups, setresgid, setresuid,
    };
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

    use super::{PrivilegeError, RunAs};

    impl RunAs {
        /// Becomes that user and group with the user's other groups, keeps no capability, and gains
        /// none by starting a program. All threads change their user; call it before there are any,
        /// because the rest is inherited.
        ///
        /// # Errors
        /// It is not done, or not for good. The process must end.
        pub(crate) fn drop_privileges(&self) -> Result<(), PrivilegeError> {
            let (uid, gid) = self.find()?;
            let name = || self.user.clone();
            let failed = |error: Errno| match error {
                Errno::EPERM => PrivilegeError::NotRoot { name: name() },
                other => self.failed(other),
            };
            if !is(uid, gid).map_err(failed)? {
                let user = CString::new(self.user.as_str()).map_err(|error| self.failed(error))?;
                // The groups first: later it may no longer.
                initgroups(&user, gid).map_err(failed)?;
                setresgid(gid, gid, gid).map_err(failed)?;
                setresuid(uid, uid, uid).map_err(failed)?;
            }
            let none = CapabilitySet::empty();
            let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
            set_capabilities(None, sets).map_err(|error| self.failed(error))?;
            set_no_new_privs(true).map_err(|error| self.failed(error))?;
            let root = Uid::from_raw(0);
            if !is(uid, gid).map_err(failed)? || setresuid(root, root, root).is_ok() {
                return Err(PrivilegeError::Kept { name: name() });
            }
            tracing::debug!("running as {self} from now on");
            Ok(())
        }

        /// Makes a file or directory that user's and that group's.
        ///
        /// # Errors
        /// There is no such user or group, or the process may not give anything away.
        pub fn give(&self, path: &std::path::Path) -> Result<(), PrivilegeError> {
            let (uid, gid) = self.find()?;
            std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .map_err(|error| self.failed(error))
        }

        fn find(&self) -> Result<(Uid, Gid), PrivilegeError> {
            let name = || self.user.clone();
            let user = User::from_name(&self.user).map_err(|error| self.failed(error))?;
            let user = user.ok_or_else(|| PrivilegeError::NoUser { name: name() })?;
            if user.uid.is_root() {
                return Err(PrivilegeError::Root { name: name() });
            }
            let Some(group) = &self.group else { return Ok((user.uid, user.gid)) };
            let found = Group::from_name(group).map_err(|error| self.failed(error))?;
            let group = found.ok_or_else(|| PrivilegeError::NoGroup { name: group.clone() })?;
            Ok((user.uid, group.gid))
        }

        fn failed(&self, source: impl Into<io::Error>) -> PrivilegeError {
            PrivilegeError::System { name: self.user.clone(), source: source.into() }
        }
    }

    /// Whether this process is that user and group and nobody else.
    fn is(uid: Uid, gid: Gid) -> nix::Result<bool> {
        let (user, group) = (getresuid()?, getresgid()?);
        let users = [user.real, user.effective, user.saved];
        let groups = [group.real, group.effective, group.saved];
        Ok(users.iter().all(|user| *user == uid) && groups.iter().all(|group| *group == gid))
    }
}

#[cfg(not(target_os = "linux"))]
impl RunAs {
    pub(crate) fn drop_privileges(&self) -> Result<(), PrivilegeError> {
        Err(PrivilegeError::Unsupported { name: self.user.clone() })
    }

    /// Makes a file or directory that user's.
    ///
    /// # Errors
    /// Always: it works on Linux only.
    pub fn give(&self, _: &std::path::Path) -> Result<(), PrivilegeError> {
        Err(PrivilegeError::Unsupported { name: self.user.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_or_without_a_group() {
        for text in ["memtftp", "memtftp:tftp"] {
            assert_eq!(text.parse::<RunAs>().unwrap().to_string(), text);
        }
        for text in ["", ":", "memtftp:", ":tftp"] {
            assert!(text.parse::<RunAs>().is_err(), "{text}");
        }
    }

    /// These end before anything has changed, whoever runs the test.
    #[cfg(target_os = "linux")]
    #[test]
    fn whom_it_does_not_become() {
        let refused = |text: &str| text.parse::<RunAs>().unwrap().drop_privileges().unwrap_err();
        assert!(matches!(refused("root"), PrivilegeError::Root { .. }));
        assert!(matches!(refused("no-such-user"), PrivilegeError::NoUser { .. }));
        assert!(matches!(refused("nobody:no-such-group"), PrivilegeError::NoGroup { .. }));
    }
}
