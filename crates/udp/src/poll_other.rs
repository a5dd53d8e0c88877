//! Waiting on systems without `epoll`, through the `polling` crate.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode};

use crate::poller::Ready;

pub(crate) struct System {
    poller: Arc<polling::Poller>,
    events: Events,
}

#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<polling::Poller>);

impl System {
    pub(crate) fn new() -> io::Result<System> {
        Ok(System { poller: Arc::new(polling::Poller::new()?), events: Events::new() })
    }

    pub(crate) fn add(&self, socket: &socket2::Socket, key: usize) -> io::Result<()> {
        // SAFETY: `Poller` keeps the socket open until it has called `delete`.
        unsafe { self.poller.add_with_mode(socket, Event::readable(key), PollMode::Level) }
    }

    pub(crate) fn set_writable(
        &self,
        socket: &socket2::Socket,
        key: usize,
        on: bool,
    ) -> io::Result<()> {
        self.poller.modify_with_mode(socket, Event::new(key, true, on), PollMode::Level)
    }

    pub(crate) fn delete(&self, socket: &socket2::Socket) {
        // An error means it is not registered, which is what is wanted.
        let _ = self.poller.delete(socket);
    }

    pub(crate) fn wait(
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

    pub(crate) fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.poller))
    }
}

impl Bell {
    pub(crate) fn ring(&self) {
        // It fails only when the system's object is gone, and then nobody waits.
        let _ = self.0.notify();
    }
}
