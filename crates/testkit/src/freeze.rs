//! A thread of another process that does not go on, as if it hung.

use std::fs;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::wait_for;

/// A thread that stands still until this is dropped, in the thread that made it. Takes root or a
/// process of this user's.
#[derive(Debug)]
pub struct Frozen(Pid);

impl Frozen {
    /// Stops the thread of this name; the others of its process go on.
    ///
    /// # Panics
    /// There is none, or it cannot be stopped.
    pub fn thread(process: u32, name: &str) -> Frozen {
        let thread = Pid::from_raw(thread(process, name).try_into().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Frozen(thread)
    }
}

impl Frozen {
    /// Waits until the thread has ended with its process, which this has kept from being seen.
    pub fn wait_for_end(self) {
        while !matches!(
            waitpid(self.0, Some(WaitPidFlag::__WALL)).unwrap(),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..)
        ) {}
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

/// The number of the thread of this name.
///
/// # Panics
/// There is none.
pub fn thread(process: u32, name: &str) -> u32 {
    // Another may end meanwhile.
    let comm = |id: &str| fs::read_to_string(format!("/proc/{process}/task/{id}/comm"));
    // A thread takes its name some time after it was made.
    let found = wait_for(name, || {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let mut ids = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
        ids.find(|id| comm(id).is_ok_and(|comm| comm.trim() == name))
    });
    found.parse().unwrap()
}
