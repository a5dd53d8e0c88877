//! What waits to leave by one socket.

use std::collections::VecDeque;
use std::sync::Arc;

use memtftp_proto::{Endpoint, Run, Transmit};
use memtftp_udp::{Destination, SendBatch, SendBuffer, Socket};

use crate::library::Library;

/// Runs and packets that wait for a socket to become writable, at most. Over it they are dropped
/// and counted; the network would have lost them next.
const MAX_WAITING: usize = 1_024;

/// A socket and what waits to leave by it.
pub(crate) struct Outbox {
    socket: Arc<Socket>,
    waiting: VecDeque<Transmit>,
    /// The socket has no room.
    blocked: bool,
}

impl Outbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Outbox {
        Outbox { socket, waiting: VecDeque::new(), blocked: false }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the socket has no room. [`Outbox::unblock`] says that it may have again.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Adds something to send; false if too much is waiting and it was dropped.
    pub(crate) fn add(&mut self, transmit: Transmit) -> bool {
        let room = self.waiting.len() < MAX_WAITING;
        if room {
            self.waiting.push_back(transmit);
        }
        room
    }

    /// Sends what waits, until the socket has no room. Gives the number of datagrams that the
    /// system would not send; they are lost.
    pub(crate) fn send(&mut self, endpoint: &Endpoint<Library>, buffer: &mut SendBuffer) -> u64 {
        let mut lost = 0;
        while !self.blocked && !self.waiting.is_empty() {
            let mut batch = buffer.start();
            for transmit in &self.waiting {
                if !push(&mut batch, endpoint, transmit) {
                    break;
                }
            }
            let pushed = batch.len();
            let sent = self.socket.send(&mut batch);
            lost += sent.failed as u64;
            self.blocked = sent.blocked;
            self.forget(if sent.blocked { sent.accepted } else { pushed }, endpoint);
        }
        lost
    }

    /// Takes `datagrams` datagrams off the front, and what is no longer wanted before them; a run
    /// may be left in part.
    fn forget(&mut self, mut datagrams: usize, endpoint: &Endpoint<Library>) {
        while let Some(front) = self.waiting.front_mut() {
            let size = datagrams_of(front, endpoint);
            if size > datagrams {
                if let Transmit::Run(run) = front {
                    run.first += datagrams as u64;
                    run.blocks -= u16::try_from(datagrams).unwrap_or(run.blocks);
                }
                return;
            }
            datagrams -= size;
            self.waiting.pop_front();
        }
    }
}

/// How many datagrams this is now; none if it is no longer wanted.
fn datagrams_of(transmit: &Transmit, endpoint: &Endpoint<Library>) -> usize {
    match transmit {
        Transmit::Control { .. } => 1,
        Transmit::Run(run) => endpoint.payload(run).map_or(0, |_| usize::from(run.blocks)),
    }
}

/// Adds what `transmit` stands for; false when the batch is full, maybe after a part of it.
fn push<'a>(
    batch: &mut SendBatch<'a>,
    endpoint: &'a Endpoint<Library>,
    transmit: &Transmit,
) -> bool {
    let route = transmit.route();
    let to = Destination { peer: route.peer, local: route.local };
    match transmit {
        Transmit::Control { packet, .. } => batch.push_copied(to, packet.as_bytes()),
        Transmit::Run(run) => push_run(batch, endpoint, run, to),
    }
}

fn push_run<'a>(
    batch: &mut SendBatch<'a>,
    endpoint: &'a Endpoint<Library>,
    run: &Run,
    to: Destination,
) -> bool {
    let Some(bytes) = endpoint.payload(run) else { return true };
    run.datagrams(bytes).all(|(header, payload)| match run.alone {
        false => batch.push(to, header, payload),
        true => batch.push_alone(to, header, payload),
    })
}
