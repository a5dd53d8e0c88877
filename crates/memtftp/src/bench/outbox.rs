//! What waits to leave by one socket.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use memtftp_proto::ClientOffer;
use memtftp_udp::{Destination, SendBatch, SendBuffer, Socket};

use crate::bench::member::Member;

/// Something that a client has to send.
pub(crate) struct Letter {
    /// The client's number.
    pub(crate) client: u32,
    pub(crate) to: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) offer: ClientOffer,
}

/// Letters of one socket, and whether it has room.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Letter>,
    /// The socket has no room until the poller says otherwise.
    pub(crate) blocked: bool,
}

impl Outbox {
    /// Adds a letter; true if the outbox was empty before.
    pub(crate) fn add(&mut self, letter: Letter) -> bool {
        self.waiting.push_back(letter);
        self.waiting.len() == 1
    }

    /// Sends what waits, until the socket has no room. Gives how many datagrams the system would
    /// not send.
    pub(crate) fn send(
        &mut self,
        socket: &Socket,
        members: &[Member],
        buffer: &mut SendBuffer,
    ) -> u64 {
        let mut unsent = 0;
        while !self.blocked && !self.waiting.is_empty() {
            let mut batch = buffer.start();
            // Letters of which all is in the batch, and the datagrams of one that is not.
            let (mut whole, mut part) = (0, 0);
            for letter in &self.waiting {
                let before = batch.len();
                if !push(&mut batch, members, letter) {
                    part = batch.len() - before;
                    break;
                }
                whole += 1;
            }
            let sent = socket.send(&mut batch);
            unsent += sent.failed as u64;
            self.blocked = sent.blocked;
            if sent.blocked {
                self.forget(sent.accepted, members);
            } else {
                self.waiting.drain(..whole);
                self.shorten(part);
            }
        }
        unsent
    }

    /// Takes `datagrams` datagrams off the front; a run may be left in part.
    fn forget(&mut self, mut datagrams: usize, members: &[Member]) {
        while let Some(front) = self.waiting.front() {
            let size = datagrams_of(front, members);
            if size > datagrams {
                return self.shorten(datagrams);
            }
            datagrams -= size;
            self.waiting.pop_front();
        }
    }

    /// Takes the first `datagrams` datagrams off the run at the front.
    fn shorten(&mut self, datagrams: usize) {
        if let Some(Letter { offer: ClientOffer::Run { first, blocks }, .. }) =
            self.waiting.front_mut()
        {
            *first += datagrams as u64;
            *blocks = blocks.saturating_sub(u16::try_from(datagrams).unwrap_or(u16::MAX));
        }
    }
}

fn member_of<'a>(members: &'a [Member], letter: &Letter) -> Option<&'a Member> {
    members.get(letter.client as usize)
}

/// How many datagrams this is now; none if it is no longer wanted.
fn datagrams_of(letter: &Letter, members: &[Member]) -> usize {
    let client = member_of(members, letter).and_then(Member::client);
    match (&letter.offer, client) {
        (ClientOffer::Control(_), _) => 1,
        (ClientOffer::Request, client) => usize::from(client.is_some()),
        (ClientOffer::Run { first, blocks }, Some(client)) => {
            client.datagrams(*first, *blocks).map_or(0, Iterator::count)
        }
        (ClientOffer::Run { .. }, None) => 0,
    }
}

/// Adds what `letter` stands for; false when the batch is full, maybe after a part of it.
fn push<'a>(batch: &mut SendBatch<'a>, members: &'a [Member], letter: &Letter) -> bool {
    let to = Destination { peer: letter.to, local: letter.local };
    if let ClientOffer::Control(packet) = &letter.offer {
        return batch.push_copied(to, packet.as_bytes());
    }
    let Some(client) = member_of(members, letter).and_then(Member::client) else { return true };
    match letter.offer {
        ClientOffer::Request => {
            // A request may be longer than what is copied.
            let Some((head, rest)) = client.request().split_first_chunk() else { return true };
            batch.push(to, *head, rest)
        }
        ClientOffer::Run { first, blocks } => {
            let Some(mut datagrams) = client.datagrams(first, blocks) else { return true };
            datagrams.all(|(header, payload)| batch.push(to, header, payload))
        }
        ClientOffer::Control(_) => true,
    }
}
