//! Waiting for sockets, deadlines and other threads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode};

use crate::socket::Socket;

/// Waits for several sockets at once, for one thread.
///
/// Readiness is a level: a socket is reported on every wait for as long as a datagram waits in it,
/// so a caller may leave some for the next round.
pub struct Poller {
    poller: Arc<polling::Poller>,
    /// Kept open for as long as the system may report them.
    sockets: Vec<(usize, Arc<Socket>)>,
    events: Events,
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
pub struct Waker {
    poller: Arc<polling::Poller>,
}

impl Poller {
    /// A poller of no sockets.
    ///
    /// # Errors
    ///
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Poller> {
        let poller = Arc::new(polling::Poller::new()?);
        Ok(Poller { poller, sockets: Vec::new(), events: Events::new() })
    }

    /// Waits for `socket` to be readable from now on, and reports it as `key`.
    ///
    /// # Errors
    ///
    /// `key` is in use or `usize::MAX`, the socket was added before, or the system refused.
    pub fn add(&mut self, socket: &Arc<Socket>, key: usize) -> io::Result<()> {
        if self.find(key).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // SAFETY: the socket is kept in `self.sockets`, hence open, until `drop` has taken it out
        // of the poller.
        unsafe {
            self.poller.add_with_mode(&socket.inner, Event::readable(key), PollMode::Level)?;
        }
        self.sockets.push((key, Arc::clone(socket)));
        Ok(())
    }

    /// Waits until a socket is ready, a [`Waker`] was used or `timeout` is over (`None`: never),
    /// and returns the sockets that are ready. It may return early with none of them.
    ///
    /// A short timeout is not rounded down to nothing. Signals do not end the wait: to stop at
    /// one, use a [`Waker`] where it is handled.
    ///
    /// # Errors
    ///
    /// The system failed to wait; nothing a caller can repair.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Ready> + use<'_>> {
        self.events.clear();
        self.poller.wait(&mut self.events, timeout)?;
        Ok(self.events.iter().map(|event| Ready {
            key: event.key,
            readable: event.readable,
            writable: event.writable,
        }))
    }

    /// Whether to report the socket of `key` when there is room to send, too. Ask for it only
    /// after [`Sent::blocked`](crate::Sent::blocked): there is room nearly always.
    ///
    /// # Errors
    ///
    /// No socket has the key, or the system refused.
    pub fn set_writable(&self, key: usize, on: bool) -> io::Result<()> {
        let socket = self.find(key).ok_or(io::ErrorKind::NotFound)?;
        let interest = Event::new(key, true, on);
        self.poller.modify_with_mode(&socket.inner, interest, PollMode::Level)
    }

    /// A handle that ends the wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker { poller: Arc::clone(&self.poller) }
    }

    fn find(&self, key: usize) -> Option<&Arc<Socket>> {
        self.sockets.iter().find(|(other, _)| *other == key).map(|(_, socket)| socket)
    }
}

impl Drop for Poller {
    /// A [`Waker`] may keep the system's poller alive, but not the sockets.
    fn drop(&mut self) {
        for (_, socket) in &self.sockets {
            // An error means it is not registered, which is what is wanted.
            let _ = self.poller.delete(&socket.inner);
        }
    }
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<usize> = self.sockets.iter().map(|(key, _)| *key).collect();
        f.debug_struct("Poller").field("keys", &keys).finish_non_exhaustive()
    }
}

impl Waker {
    /// Makes the current wait return, or the next one if none is going on.
    pub fn wake(&self) {
        // It fails only when the system's object is gone, and then nobody waits.
        let _ = self.poller.notify();
    }
}
