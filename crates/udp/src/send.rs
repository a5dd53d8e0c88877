//! A batch of datagrams to send, and the account of what became of it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::BATCH;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::linux::SendArrays;

/// The most bytes [`SendBatch::push_copied`] takes.
pub const COPY_LIMIT: usize = 256;

/// Where a datagram goes, and where it leaves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Who gets it. A link-local IPv6 address needs its scope.
    pub peer: SocketAddr,
    /// The address of this host it leaves from; `None` is the system's choice. It has no effect
    /// when it is not of the peer's family, or when the socket is bound to one address.
    pub local: Option<IpAddr>,
}

/// What became of the datagrams of one [`Socket::send`](crate::Socket::send).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many were dealt with, the skipped ones included: always the first ones of the batch.
    pub accepted: usize,
    /// How many of those were skipped: the system refused the destination, the size or the
    /// source address, or had no room for it. The peer sees that as loss.
    pub failed: usize,
    /// The socket's buffer is full and datagrams are left: wait until it is writable.
    pub blocked: bool,
    /// The system's code for the last skipped one, for
    /// [`io::Error::from_raw_os_error`](std::io::Error::from_raw_os_error).
    pub last_error: Option<i32>,
}

/// The memory of a batch, used again and again.
pub struct SendBuffer {
    entries: Vec<Entry>,
    /// Headers and copied datagrams, one behind the other. Never grows: there is room for
    /// [`BATCH`] datagrams of [`COPY_LIMIT`] bytes.
    heads: Vec<u8>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    arrays: SendArrays,
}

/// One datagram: bytes of `heads`, then a payload that [`SendBatch`] knows.
struct Entry {
    to: Destination,
    head: Range<usize>,
    /// It may leave as one with its neighbours.
    may_join: bool,
}

/// Datagrams that are about to be sent, at most [`BATCH`].
pub struct SendBatch<'a> {
    buffer: &'a mut SendBuffer,
    /// Of the entry with the same index; empty for those not pushed and the copied ones.
    payloads: [&'a [u8]; BATCH],
    /// How many entries were dealt with.
    done: usize,
}

/// A datagram of a batch, in two parts.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) to: Destination,
    pub(crate) head: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) may_join: bool,
}

impl Outgoing<'_> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }
}

/// The system did not take datagrams: why, and of how many it is true.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: io::Error,
    pub(crate) count: usize,
}

impl Refused {
    pub(crate) fn one(error: io::Error) -> Refused {
        Refused { error, count: 1 }
    }
}

impl SendBuffer {
    /// Memory for batches of [`BATCH`] datagrams.
    pub fn new() -> SendBuffer {
        SendBuffer {
            entries: Vec::with_capacity(BATCH),
            heads: Vec::with_capacity(BATCH * COPY_LIMIT),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            arrays: SendArrays::new(),
        }
    }

    /// Lends the memory to an empty batch, which may borrow payloads for as long.
    pub fn start<'a>(&'a mut self) -> SendBatch<'a> {
        self.entries.clear();
        self.heads.clear();
        SendBatch { buffer: self, payloads: [&[]; BATCH], done: 0 }
    }
}

impl Default for SendBuffer {
    fn default() -> SendBuffer {
        SendBuffer::new()
    }
}

impl fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer").finish_non_exhaustive()
    }
}

impl<'a> SendBatch<'a> {
    /// Adds the datagram `header ++ payload`. The payload is not copied: it has to stay until the
    /// batch is gone. `false` when the batch is full, and then nothing was added.
    ///
    /// Neighbours of one length to one destination may leave as one, which costs a fraction of the
    /// time; they arrive as they are.
    pub fn push(&mut self, to: Destination, header: [u8; 4], payload: &'a [u8]) -> bool {
        self.add(to, &header, payload, true)
    }

    /// The same for a datagram that has to leave by itself.
    pub fn push_alone(&mut self, to: Destination, header: [u8; 4], payload: &'a [u8]) -> bool {
        self.add(to, &header, payload, false)
    }

    /// Adds a small datagram, of which a copy is kept. `false` when the batch is full or
    /// `datagram` is longer than [`COPY_LIMIT`], and then nothing was added.
    pub fn push_copied(&mut self, to: Destination, datagram: &[u8]) -> bool {
        datagram.len() <= COPY_LIMIT && self.add(to, datagram, &[], false)
    }

    /// How many datagrams are left to send.
    pub fn len(&self) -> usize {
        self.buffer.entries.len() - self.done
    }

    /// Whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no datagram can be added. Sending makes no room: start a new batch.
    pub fn is_full(&self) -> bool {
        self.buffer.entries.len() == BATCH
    }

    fn add(&mut self, to: Destination, head: &[u8], payload: &'a [u8], may_join: bool) -> bool {
        let SendBuffer { entries, heads, .. } = &mut *self.buffer;
        let Some(slot) = self.payloads.get_mut(entries.len()) else { return false };
        *slot = payload;
        let start = heads.len();
        heads.extend_from_slice(head);
        entries.push(Entry { to, head: start..heads.len(), may_join });
        true
    }

    /// Takes the first `count` datagrams that are left out of the batch.
    pub(crate) fn advance(&mut self, count: usize) {
        self.done += count;
    }

    /// The datagrams that are left, from the `skip`th on.
    pub(crate) fn rest(&self, skip: usize) -> impl Iterator<Item = Outgoing<'_>> {
        outgoing(&self.buffer.entries, &self.buffer.heads, &self.payloads, self.done + skip)
    }

    /// The datagrams that are left, from the `skip`th on, with the memory to describe them to the
    /// kernel.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn parts(
        &mut self,
        skip: usize,
    ) -> (impl Iterator<Item = Outgoing<'_>>, &mut SendArrays) {
        let SendBuffer { entries, heads, arrays } = &mut *self.buffer;
        (outgoing(entries, heads, &self.payloads, self.done + skip), arrays)
    }
}

impl fmt::Debug for SendBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}

fn outgoing<'b>(
    entries: &'b [Entry],
    heads: &'b [u8],
    payloads: &'b [&[u8]],
    skip: usize,
) -> impl Iterator<Item = Outgoing<'b>> {
    entries.iter().zip(payloads).skip(skip).map(|(entry, payload)| Outgoing {
        to: entry.to,
        head: heads.get(entry.head.clone()).unwrap_or_default(),
        payload,
        may_join: entry.may_join,
    })
}

/// Sends `len` datagrams. `attempt(n)` is to pass those from the `n`th on to the system and to
/// return how many it took, or why it did not take the `n`th, or more.
pub(crate) fn drive(len: usize, mut attempt: impl FnMut(usize) -> Result<usize, Refused>) -> Sent {
    let mut sent = Sent::default();
    let mut retried = None;
    while sent.accepted < len {
        let Refused { error, count } = match attempt(sent.accepted) {
            Ok(count) if count > 0 => {
                sent.accepted = len.min(sent.accepted + count);
                continue;
            }
            // No system does this; taken for a refusal, it cannot make the loop endless.
            Ok(_) => Refused::one(io::ErrorKind::WriteZero.into()),
            Err(refused) => refused,
        };
        match error.kind() {
            io::ErrorKind::Interrupted => continue,
            io::ErrorKind::WouldBlock => {
                sent.blocked = true;
                break;
            }
            // These tell of an earlier datagram, to whichever peer, and are gone once told.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
                if retried != Some(sent.accepted) =>
            {
                retried = Some(sent.accepted);
                continue;
            }
            _ => {}
        }
        sent.last_error = error.raw_os_error();
        let skipped = count.clamp(1, len - sent.accepted);
        sent.failed += skipped;
        sent.accepted += skipped;
    }
    sent
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
