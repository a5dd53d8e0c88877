//! Whether anybody has a file open for writing.
//!
//! It has nothing to do with sockets. It is here because no safe wrapper has these calls, and this is
//! the one crate that may make them without one.

use std::os::fd::{AsFd, AsRawFd};

/// Chooses the signal that a file raises (`asm-generic/fcntl.h`); the libc crate does not have it.
const F_SETSIG: libc::c_int = 10;

/// What the system says of those who have a file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// At this moment there is none, and none has a writable mapping of it.
    None,
    /// There is at least one. A network file system that cannot know says so, too.
    Some,
    /// It does not tell: the file belongs to another user, or its file system has no leases.
    Unknown,
}

/// Asks whether anybody has `file` open for writing, by taking a lease on it for a moment
/// (`F_SETLEASE`, fcntl(2)). `file` itself must be open for reading only.
///
/// Whoever opens the file for writing in that moment waits for its end, some microseconds, or with
/// `O_NONBLOCK` is told to try again.
pub fn writers(file: impl AsFd) -> Writers {
    let file = file.as_fd().as_raw_fd();
    // A lease that somebody is in the way of is announced by a signal, by default one that ends the
    // process. This one is ignored by default, and is raised by nobody else for files.
    // SAFETY: `file` is open as long as it is borrowed, and these calls take plain numbers.
    if unsafe { libc::fcntl(file, F_SETSIG, libc::SIGURG) } != 0 {
        return Writers::Unknown;
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) } == 0 {
        // It cannot fail, and if it did, the lease would end when `file` is closed.
        // SAFETY: as above.
        unsafe { libc::fcntl(file, libc::F_SETLEASE, libc::F_UNLCK) };
        return Writers::None;
    }
    match std::io::Error::last_os_error().kind() {
        std::io::ErrorKind::WouldBlock => Writers::Some,
        _ => Writers::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A file of this process, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            std::fs::write(&path, "content").unwrap();
            Scratch(path)
        }

        fn writers(&self) -> Writers {
            writers(File::open(&self.0).unwrap())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_writer_is_seen_as_long_as_it_has_the_file_open() {
        let file = Scratch::new("memtftp-lease-seen");
        let _reader = File::open(&file.0).unwrap();
        assert_eq!(file.writers(), Writers::None);
        let writer = File::options().append(true).open(&file.0).unwrap();
        assert_eq!(file.writers(), Writers::Some);
        assert_eq!(file.writers(), Writers::Some, "and still");
        drop(writer);
        assert_eq!(file.writers(), Writers::None);
    }

    #[test]
    fn where_there_are_no_leases_nothing_is_known() {
        assert_eq!(writers(File::open("/").unwrap()), Writers::Unknown);
        assert_eq!(writers(std::io::pipe().unwrap().0), Writers::Unknown);
    }

    /// The signal that the system raises then would end the process if it were the usual one.
    #[test]
    fn a_writer_that_comes_in_the_moment_of_the_lease_ends_nothing() {
        let (file, ended) = (Scratch::new("memtftp-lease-race"), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    drop(File::options().append(true).open(&file.0).unwrap());
                }
            });
            let seen: Vec<Writers> = (0..20_000).map(|_| file.writers()).collect();
            ended.store(true, Ordering::Relaxed);
            assert!(!seen.contains(&Writers::Unknown));
        });
        assert_eq!(file.writers(), Writers::None);
    }
}
