//! A batch of received datagrams.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::BATCH;
use crate::address::Cast;
use crate::cmsg::Arrival;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::linux::RecvArrays;

/// Room for the datagrams of one [`Socket::recv`](crate::Socket::recv), used again and again.
///
/// Takes 4 MiB of addresses; memory is spent on it only as far as datagrams have reached.
pub struct RecvBatch {
    /// [`BATCH`] times [`STRIDE`] bytes.
    pub(crate) memory: Box<[u8]>,
    /// One for each datagram that was received.
    pub(crate) slots: Vec<Slot>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) arrays: RecvArrays,
}

/// What is known of a datagram besides its bytes.
pub(crate) struct Slot {
    pub(crate) length: usize,
    pub(crate) peer: SocketAddr,
    pub(crate) arrival: Arrival,
    /// Several datagrams came as one: the length of each but the last. 0 when it is one.
    pub(crate) segment: usize,
}

/// A received datagram. Its addresses are canonical: IPv4 is never shown as `::ffff:a.b.c.d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// Who sent it. The scope of a link-local address is kept, and is needed to answer.
    pub peer: SocketAddr,
    /// The address of this host it was sent to, to answer from. For a broadcast or multicast
    /// datagram the address of the interface it came by, where the system tells it.
    pub local: Option<IpAddr>,
    /// Whether it was sent to this host alone.
    pub cast: Cast,
    /// Its bytes, all of them: no datagram is longer than the room for it.
    pub payload: &'a [u8],
}

impl RecvBatch {
    /// An empty batch with room for [`BATCH`] datagrams of any size.
    pub fn new() -> RecvBatch {
        RecvBatch {
            memory: vec![0; BATCH * STRIDE].into_boxed_slice(),
            slots: Vec::with_capacity(BATCH),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            arrays: RecvArrays::new(),
        }
    }

    /// The datagrams in the order they arrived.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        let arrived = self.memory.chunks_exact(STRIDE).zip(&self.slots);
        arrived.flat_map(|(memory, slot)| {
            let bytes = memory.get(..slot.length).unwrap_or_default();
            let Slot { peer, arrival: Arrival { local, cast }, .. } = *slot;
            let received = move |payload| Received { peer, local, cast, payload };
            let segment = if slot.segment == 0 { usize::MAX } else { slot.segment };
            // An empty datagram is one, too.
            let empty = bytes.is_empty().then_some(bytes);
            bytes.chunks(segment).chain(empty).map(received)
        })
    }

    /// How many datagrams there are; several that came as one count once.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no datagram.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether there was no room for one more, so that others may still wait in the socket.
    pub fn is_full(&self) -> bool {
        self.slots.len() == BATCH
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }
}

impl Default for RecvBatch {
    fn default() -> RecvBatch {
        RecvBatch::new()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Bytes from one datagram's room to the next: the 65,536 that hold any datagram, and nine cache
/// lines. With a power of two the starts of all datagrams would compete for one set of each cache.
pub(crate) const STRIDE: usize = 65_536 + 9 * 64;
