//! One attempt: the core's client with a socket and a clock.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memtftp_proto::{Client as Core, ClientOffer, ErrorCode, Failure, Time};
use memtftp_udp::{BATCH, BindOptions, Destination, Poller, RecvBatch, SendBuffer, Socket, Waker};

use crate::cancel::Cancel;
use crate::target::Target;

/// Bytes of kernel memory asked for datagrams that wait to be read. Ordinary users get less.
const RECV_BUFFER: usize = 4 << 20;

/// Bytes of a get that are collected before the target gets them.
const COLLECTED: usize = 64 << 10;

/// The longest wait for room to send: the core's deadlines pass meanwhile.
const ROOM: Duration = Duration::from_millis(100);

const KEY: usize = 0;

/// Why an attempt ended without the file.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The core gave up.
    Failed(Failure),
    /// The user did.
    Cancelled,
    /// The target did.
    Target(io::Error),
    /// The request cannot leave this machine.
    Unreachable(io::Error),
    /// There is no socket, or it broke.
    System(io::Error),
}

/// A socket and the memory to use it.
pub(crate) struct Driver {
    socket: Arc<Socket>,
    poller: Poller,
    batch: RecvBatch,
    buffer: SendBuffer,
    /// What has arrived and the target has not got: less than [`COLLECTED`], and a batch.
    collected: Vec<u8>,
    origin: Instant,
}

impl Driver {
    /// Binds a free port of `local`.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn new(local: SocketAddr) -> io::Result<Driver> {
        let options = BindOptions { recv_buffer: RECV_BUFFER, gro: true, ..BindOptions::default() };
        let socket = Arc::new(Socket::bind(local, &options).map_err(io::Error::other)?);
        let mut poller = Poller::new()?;
        poller.add(&socket, KEY)?;
        let (batch, buffer, collected) = (RecvBatch::new(), SendBuffer::new(), Vec::new());
        Ok(Driver { socket, poller, batch, buffer, collected, origin: Instant::now() })
    }

    /// Bytes of datagrams that the system keeps for us.
    pub(crate) fn recv_buffer(&self) -> usize {
        self.socket.buffers().recv
    }

    pub(crate) fn waker(&self) -> Waker {
        self.poller.waker()
    }

    pub(crate) fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    /// Runs the transfer to its end. `progress` hears of it after each batch.
    ///
    /// # Errors
    /// The transfer failed; the server was told if it was not its doing.
    pub(crate) fn run(
        &mut self,
        core: &mut Core<&[u8]>,
        target: &mut dyn Target,
        cancel: &Cancel,
        mut progress: impl FnMut(&Core<&[u8]>),
    ) -> Result<(), Stop> {
        self.collected.clear();
        let mut more = false;
        loop {
            if cancel.is_cancelled() {
                return self.cancel(core);
            }
            self.send(core)?;
            // Behind the ACK: the server sends the next window meanwhile.
            if self.collected.len() >= COLLECTED {
                self.write(core, target)?;
            }
            let Some(deadline) = core.poll_timeout() else { break };
            if !more {
                self.wait(deadline).map_err(Stop::System)?;
            }
            more = self.receive(core).map_err(Stop::System)?;
            core.handle_timeout(self.now());
            if core.is_received() {
                self.write(core, target)?;
                self.keep(core, target)?;
            }
            progress(core);
        }
        match core.outcome() {
            Some(Err(failure)) => Err(Stop::Failed(failure.clone())),
            _ => Ok(()),
        }
    }

    /// Ends the transfer unless it has come to its end.
    fn cancel(&mut self, core: &mut Core<&[u8]>) -> Result<(), Stop> {
        let done = core.outcome() == Some(&Ok(()));
        core.abort(ErrorCode::UNDEFINED, "the client was interrupted");
        self.send(core)?;
        if done { Ok(()) } else { Err(Stop::Cancelled) }
    }

    /// Gives the target what was collected.
    fn write(&mut self, core: &mut Core<&[u8]>, target: &mut dyn Target) -> Result<(), Stop> {
        target.write(&self.collected).or_else(|error| self.cannot_store(core, error))?;
        self.collected.clear();
        Ok(())
    }

    /// The server hears that we have the file only once that is true.
    fn keep(&mut self, core: &mut Core<&[u8]>, target: &mut dyn Target) -> Result<(), Stop> {
        target.keep().or_else(|error| self.cannot_store(core, error))?;
        core.commit(self.now());
        Ok(())
    }

    fn cannot_store(&mut self, core: &mut Core<&[u8]>, error: io::Error) -> Result<(), Stop> {
        core.abort(ErrorCode::FULL, "the client cannot store the file");
        self.send(core)?;
        Err(Stop::Target(error))
    }

    fn wait(&mut self, deadline: Time) -> io::Result<()> {
        let timeout = deadline.since(self.now());
        self.poller.wait(Some(timeout)).map(drop)
    }

    /// Takes a batch of what waits in the socket; true if there may be more.
    fn receive(&mut self, core: &mut Core<&[u8]>) -> io::Result<bool> {
        self.socket.recv(&mut self.batch)?;
        let now = Time::ZERO + self.origin.elapsed();
        for datagram in self.batch.iter() {
            let collect = |bytes: &[u8]| {
                self.collected.extend_from_slice(bytes);
                Ok::<(), Infallible>(())
            };
            let Ok(()) = core.handle_datagram(now, datagram.peer, datagram.payload, collect);
        }
        Ok(self.batch.is_full())
    }

    /// Sends all that the core has to send.
    fn send(&mut self, core: &mut Core<&[u8]>) -> Result<(), Stop> {
        let now = self.now();
        while let Some((peer, offer)) = core.poll_transmit(now, BATCH as u16) {
            let to = Destination { peer, local: None };
            let mut batch = self.buffer.start();
            match offer {
                ClientOffer::Control(packet) => {
                    batch.push_copied(to, packet.as_bytes());
                }
                ClientOffer::Request => {
                    if let Some((head, rest)) = core.request().split_first_chunk() {
                        batch.push(to, *head, rest);
                    }
                }
                ClientOffer::Run { first, blocks } => {
                    let Some(datagrams) = core.datagrams(first, blocks) else { continue };
                    for (head, payload) in datagrams {
                        batch.push(to, head, payload);
                    }
                }
            }
            let mut error = None;
            while !batch.is_empty() {
                let sent = self.socket.send(&mut batch);
                error = sent.last_error.or(error);
                if sent.blocked {
                    self.poller.set_writable(KEY, true).map_err(Stop::System)?;
                    self.poller.wait(Some(ROOM)).map(drop).map_err(Stop::System)?;
                    self.poller.set_writable(KEY, false).map_err(Stop::System)?;
                }
            }
            if matches!(offer, ClientOffer::Request)
                && let Some(error) = error.map(io::Error::from_raw_os_error)
                && is_final(&error)
            {
                return Err(Stop::Unreachable(error));
            }
        }
        Ok(())
    }
}

/// Whether sending again would end the same way. A full queue or a firewall's whim is loss.
fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, InvalidInput, NetworkUnreachable};

    matches!(error.kind(), AddrNotAvailable | HostUnreachable | InvalidInput | NetworkUnreachable)
}
