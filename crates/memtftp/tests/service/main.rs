//! The built program as a service: the service manager, other users, and a machine that fails.
//! Some of it takes root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clock;
mod crash;
mod disk;
mod explained;
mod manager;
mod privileges;
mod sockets;
mod stalled;

use std::path::Path;
use std::process::{Command, Stdio};

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// What `memtftp log` says of a log.
fn explain(arguments: &[&str], log: &Path) -> String {
    let mut command = Command::new(BINARY);
    command.arg("log").args(arguments).arg(log).stdin(Stdio::null());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(done.stderr.is_empty(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}
