//! Other people's programs that run beside a test.

use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::output::Output;

/// A running program, killed when dropped. A test that fails shows what it wrote.
pub struct Daemon {
    name: String,
    child: Child,
    outputs: [Output; 2],
}

impl Daemon {
    /// Starts `program` of Debian's `package` on `host`.
    ///
    /// # Panics
    /// It is missing or cannot be started.
    pub fn start(host: &Host, program: &str, package: &str, args: &[&str]) -> Daemon {
        // `ip netns exec` would only say so on standard error.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
        assert!(found, "the program {program} is missing: install it (apt-get install {package})");
        let mut command = host.command(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        Daemon { name: program.to_owned(), child, outputs: [stdout, stderr] }
    }

    /// Waits for a line with `text` on standard error.
    ///
    /// # Panics
    /// It ends without.
    pub fn wait_for_stderr(&self, text: &str) {
        let found = self.outputs[1].wait_for(text, |line| line.contains(text));
        assert!(found.is_some(), "{} ended without {text:?}", self.name);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// It runs for longer than `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        let (_quiet, pause) = mpsc::channel::<()>();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end in {limit:?}", self.name);
            let _ = pause.recv_timeout(Duration::from_millis(20));
        }
    }

    /// What it has written on standard output.
    pub fn stdout(&self) -> Vec<String> {
        self.outputs[0].lines()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for (stream, output) in ["output", "error"].iter().zip(&self.outputs) {
                eprintln!("standard {stream} of {}: {:#?}", self.name, output.lines());
            }
        }
    }
}
