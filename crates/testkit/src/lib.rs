//! Development only: starts the real server and other people's clients.
//!
//! Everything that waits has a deadline and panics with what it was waiting for. Nothing sleeps:
//! a wait ends with a line of output, a datagram, or the end of a process.

mod clients;
mod daemon;
mod fault;
mod freeze;
pub mod fuzz;
mod host;
mod log;
mod manager;
mod network;
mod output;
mod packet;
mod program;
mod raw;
pub mod simulation;
mod spoof;
mod status;

use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use clients::{Client, Done, Job, shell};
pub use daemon::Daemon;
pub use fault::{Fault, faulty};
pub use freeze::{Frozen, thread};
pub use host::Host;
pub use log::{Line, unescape};
pub use manager::{Manager, activated, sharing};
pub use network::{Counts, Network};
pub use packet::{Options, Packet, ack, data, error, request, rrq, wrq};
pub use program::{Failed, Memtftp, Signal, read_log, signal, unprivileged};
pub use raw::Raw;
pub use spoof::Spoofer;
pub use status::STATUS_SOCKET;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Bytes that differ from block to block at any block size.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ len as u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(4)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

/// The value that `look` gives once it gives one. For what only the file system can tell.
///
/// # Panics
/// It gives none within [`DEADLINE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    let (_quiet, pause) = mpsc::channel::<()>();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        let _ = pause.recv_timeout(Duration::from_millis(2));
    }
}
