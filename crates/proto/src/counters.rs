//! What was dropped: we said nothing, so it is counted.

/// Why a datagram got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Arrived on a listening socket, but is no request. Nothing but requests is answered there,
    /// or two servers could be made to answer each other for ever.
    NotARequest,
    /// A request sent to a broadcast or multicast address (RFC 1123 section 4.2.3.5).
    NotDirected,
    /// A request from a port that belongs to another service; its address is forged.
    ServicePort,
    /// A request of a client that is not served, when too many such were answered.
    NotServed,
    /// A packet of no transfer that we know, and an answer was not due or too many were.
    Stray,
    /// A packet of a running transfer that means nothing to it.
    OutOfPlace,
    /// A packet of a transfer that is over.
    Late,
    /// A small packet of ours that found its queue full.
    QueueFull,
}

impl DropReason {
    /// Every reason, in the order of [`Counters`].
    pub const ALL: [DropReason; 8] = [
        DropReason::NotARequest,
        DropReason::NotDirected,
        DropReason::ServicePort,
        DropReason::NotServed,
        DropReason::Stray,
        DropReason::OutOfPlace,
        DropReason::Late,
        DropReason::QueueFull,
    ];
}

/// How often each [`DropReason`] applied, and what else is worth counting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::ALL.len()],
    /// Finished sessions that were forgotten before their time because too many lingered.
    pub forgotten: u64,
}

impl Counters {
    /// How often `reason` applied.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or_default()
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count += 1;
        }
    }
}
