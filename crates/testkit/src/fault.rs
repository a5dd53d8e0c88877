//! System calls of another process that fail or hang, as they do on a broken disk.

use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::output::Output;
use crate::program::signal;

/// What `strace` does to system calls of some threads until this is dropped. Takes root or a process
/// of this user's.
#[derive(Debug)]
pub struct Fault(Child);

impl Fault {
    /// Lets these system calls fail, such as `fsync` or `/^rename`, `how` as strace's `--inject` says
    /// it: `error=EIO`, or `error=EIO:when=2` for the second of each thread.
    ///
    /// # Panics
    /// `strace` is missing or may not do it.
    pub fn start(threads: &[u32], calls: &str, how: &str) -> Fault {
        let mut strace = Command::new("strace");
        strace.args(["--output=/dev/null", "--trace", calls]);
        strace.arg(format!("--inject={calls}:{how}"));
        strace.args(threads.iter().map(|thread| format!("--attach={thread}")));
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = strace.spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("cannot run strace: {error}: install it (apt-get install strace)")
        });
        let stderr = Output::collect(child.stderr.take().unwrap());
        let fault = Fault(child);
        for thread in threads {
            let line = format!("strace: Process {thread} attached");
            let attached = stderr.wait_for(&line, |said| said == line);
            assert!(attached.is_some(), "{:#?}", stderr.lines());
        }
        fault
    }

    /// Lets these system calls hang. They go on when this is dropped.
    ///
    /// # Panics
    /// `strace` is missing or may not do it.
    pub fn hang(threads: &[u32], calls: &str) -> Fault {
        // Longer than any wait of a test.
        Fault::start(threads, calls, "delay_enter=300s")
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // Asked to end, it lets go of all threads before it does.
        signal(&self.0, Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A command that runs a program all of whose system calls of some names fail, as of
/// [`Fault::start`]: pairs of what and how. Its process is that program's.
pub fn faulty(program: &str, faults: &[(&str, &str)]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "--seccomp-bpf", "--output=/dev/null"]);
    let calls: Vec<&str> = faults.iter().map(|(calls, _)| *calls).collect();
    strace.arg(format!("--trace={}", calls.join(",")));
    strace.args(faults.iter().map(|(calls, how)| format!("--inject={calls}:{how}")));
    strace.arg(program);
    strace
}
