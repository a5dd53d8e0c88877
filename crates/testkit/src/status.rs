//! Asking a running server how it is.

use std::path::Path;
use std::process::Command;

use crate::{Memtftp, wait_for};

/// The status socket of a test, in the directory of its server.
pub const STATUS_SOCKET: &str = "status.sock";

impl Memtftp {
    /// What `binary status` prints of this server, which has the status socket [`STATUS_SOCKET`].
    ///
    /// # Panics
    /// It fails.
    pub fn printed_status(&self, binary: impl AsRef<Path>, flags: &[&str]) -> String {
        let mut command = Command::new(binary.as_ref());
        command.arg("status").arg("--status-socket").arg(self.path(STATUS_SOCKET)).args(flags);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON. It may say the same for a moment, so this waits until it has looked again.
    ///
    /// # Panics
    /// It fails.
    pub fn status(&self, binary: impl AsRef<Path>) -> serde_json::Value {
        let read = || -> serde_json::Value {
            serde_json::from_str(&self.printed_status(binary.as_ref(), &["--json"])).unwrap()
        };
        let uptime = |status: &serde_json::Value| status["uptime_ms"].as_u64().unwrap();
        let before = uptime(&read());
        wait_for("a fresh status", || Some(read()).filter(|status| uptime(status) > before))
    }
}
