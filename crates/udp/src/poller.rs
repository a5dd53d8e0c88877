//! Waiting for sockets, deadlines and other threads.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::socket::Socket;
use crate::system::{Bell, System};

/// Waits for several sockets at once, for one thread.
///
/// Readiness is a level: a socket is reported on every wait for as long as a datagram waits in it,
/// so a caller may leave some for the next round.
pub struct Poller {
    system: System,
    /// Kept open for as long as the system may report them.
    sockets: HashMap<usize, Arc<Socket>>,
}

/// A socket that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The key the socket was added with.
    pub key: usize,
    /// A datagram waits, or an error does.
    pub readable: bool,
    /// There is room to send. Reported only while [`Poller::set_writable`] asks for it.
    pub writable: bool,
}

/// Ends the wait of a [`Poller`] from any thread.
#[derive(Debug, Clone)]
pub struct Waker(Bell);

impl Poller {
    /// A poller of no sockets.
    ///
    /// # Errors
    ///
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller { system: System::new()?, sockets: HashMap::new() })
    }

    /// Waits for `socket` to be readable from now on, and reports it as `key`.
    ///
    /// # Errors
    ///
    /// `key` is in use or `usize::MAX`, the socket was added before, or the system refused.
    pub fn add(&mut self, socket: &Arc<Socket>, key: usize) -> io::Result<()> {
        if key == usize::MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.sockets.contains_key(&key) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.system.add(&socket.inner, key)?;
        self.sockets.insert(key, Arc::clone(socket));
        Ok(())
    }

    /// Waits until a socket is ready, a [`Waker`] was used or `timeout` is over (`None`: never),
    /// and returns the sockets that are ready. It may return early with none of them.
    ///
    /// A short timeout is not rounded down to nothing. A signal may end the wait or not: to stop at
    /// one, use a [`Waker`] where it is handled.
    ///
    /// # Errors
    ///
    /// The system failed to wait; nothing a caller can repair.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Ready> + use<'_>> {
        self.system.wait(timeout)
    }

    /// Whether to report the socket of `key` when there is room to send, too. Ask for it only
    /// after [`Sent::blocked`](crate::Sent::blocked): there is room nearly always.
    ///
    /// # Errors
    ///
    /// No socket has the key, or the system refused.
    pub fn set_writable(&self, key: usize, on: bool) -> io::Result<()> {
        let socket = self.sockets.get(&key).ok_or(io::ErrorKind::NotFound)?;
        self.system.set_writable(&socket.inner, key, on)
    }

    /// A handle that ends the wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker(self.system.bell())
    }
}

impl Drop for Poller {
    /// A [`Waker`] may keep the system's object alive, but not the sockets.
    fn drop(&mut self) {
        for socket in self.sockets.values() {
            self.system.delete(&socket.inner);
        }
    }
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&usize> = self.sockets.keys().collect();
        f.debug_struct("Poller").field("keys", &keys).finish_non_exhaustive()
    }
}

impl Waker {
    /// Makes the current wait return, or the next one if none is going on.
    pub fn wake(&self) {
        self.0.ring();
    }
}
