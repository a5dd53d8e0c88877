//! Waiting by `epoll`: one system call a wait, whether it has a timeout or not.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

use crate::poller::Ready;

/// Sockets reported by one wait. The others are reported by the next.
const EVENTS: usize = 256;

/// The key of the wakers' own descriptor; callers cannot use it.
const WAKER: u64 = u64::MAX;

/// The longest timeout that every kernel takes; a wait may end early.
const LONGEST: Duration = Duration::from_secs(1_000_000);

pub(crate) struct System {
    epoll: OwnedFd,
    /// A counter that is readable after it was written to.
    bell: Arc<OwnedFd>,
    events: Vec<Event>,
}

// SAFETY: an event's data may be a pointer by its type, but is a number here and never followed.
unsafe impl Send for System {}

#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<OwnedFd>);

impl System {
    pub(crate) fn new() -> io::Result<System> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &bell, EventData::new_u64(WAKER), EventFlags::IN)?;
        Ok(System { epoll, bell, events: Vec::with_capacity(EVENTS) })
    }

    pub(crate) fn add(&self, socket: &socket2::Socket, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, data(key), EventFlags::IN)?)
    }

    pub(crate) fn set_writable(
        &self,
        socket: &socket2::Socket,
        key: usize,
        on: bool,
    ) -> io::Result<()> {
        let room = if on { EventFlags::OUT } else { EventFlags::empty() };
        Ok(epoll::modify(&self.epoll, socket, data(key), EventFlags::IN | room)?)
    }

    pub(crate) fn delete(&self, socket: &socket2::Socket) {
        // An error means it is not registered, which is what is wanted.
        let _ = epoll::delete(&self.epoll, socket);
    }

    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Ready> + use<'_>> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout.min(LONGEST)).ok());
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
            // A signal: as if the time were over.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if self.events.iter().any(|event| event.data.u64() == WAKER) {
            // One read resets the counter; it fails when another wait has done so.
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
        let sockets = self.events.iter().filter(|event| event.data.u64() != WAKER);
        Ok(sockets.map(|event| {
            // Copied out of a packed struct.
            let (data, flags) = (event.data, event.flags);
            let error = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                key: usize::try_from(data.u64()).unwrap_or(usize::MAX),
                readable: error || flags.contains(EventFlags::IN),
                writable: flags.contains(EventFlags::OUT),
            }
        }))
    }

    pub(crate) fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.bell))
    }
}

impl Bell {
    pub(crate) fn ring(&self) {
        // It fails only when the counter is full, and then it is readable.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

fn data(key: usize) -> EventData {
    EventData::new_u64(key as u64)
}
