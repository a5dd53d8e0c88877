//! What became of requests and packets, in numbers.

use crate::record::{Kind, Outcome, Record};
use crate::refusal::RefusalReason;

/// Why a datagram got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Arrived on a listening socket, but is no request. Nothing but requests is answered there,
    /// or two servers could be made to answer each other for ever.
    NotARequest,
    /// A datagram sent to a broadcast or multicast address (RFC 1123 section 4.2.3.5).
    NotDirected,
    /// A request from the port of a service that answers whatever it gets; its address is forged.
    ServicePort,
    /// A request of a client that is not served, when too many such were answered.
    NotServed,
    /// A request of a client address that has sent too many in a second
    /// ([`Config::max_requests_per_client`](crate::Config::max_requests_per_client)).
    ClientRequests,
    /// A request whose client had not answered yet when its place was needed for a new one, at any
    /// limit on sessions ([`Config::max_half_open`](crate::Config::max_half_open)).
    HalfOpen,
    /// A request in the name of a client that went on with the transfer that it has on the only port of
    /// ours for both: it was forged, or late.
    Contradicted,
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
    pub const ALL: [DropReason; 11] = [
        DropReason::NotARequest,
        DropReason::NotDirected,
        DropReason::ServicePort,
        DropReason::NotServed,
        DropReason::ClientRequests,
        DropReason::HalfOpen,
        DropReason::Contradicted,
        DropReason::Stray,
        DropReason::OutOfPlace,
        DropReason::Late,
        DropReason::QueueFull,
    ];

    /// The name of its counter. A limit that can be set has the name of its flag.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::NotARequest => "not_a_request",
            DropReason::NotDirected => "not_directed",
            DropReason::ServicePort => "service_port",
            DropReason::NotServed => "not_served",
            DropReason::ClientRequests => "max_client_requests",
            DropReason::HalfOpen => "max_half_open",
            DropReason::Contradicted => "contradicted",
            DropReason::Stray => "stray",
            DropReason::OutOfPlace => "out_of_place",
            DropReason::Late => "late",
            DropReason::QueueFull => "queue_full",
        }
    }
}

/// What has happened since the start. Sessions that are still live are not in these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::ALL.len()],
    refusals: [u64; RefusalReason::ALL.len()],
    /// Requests of each outcome, in the order of [`Outcome::NAMES`].
    outcomes: [u64; Outcome::NAMES.len()],
    /// Bytes of blocks that readers have acknowledged, as they travelled.
    pub bytes_sent: u64,
    /// Bytes of blocks that writers have sent, as they travelled.
    pub bytes_received: u64,
    /// Packets of transfers that were sent again.
    pub retransmissions: u64,
    /// Finished sessions that were forgotten before their time because too many lingered.
    pub forgotten: u64,
}

impl Counters {
    /// How often `reason` applied.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or_default()
    }

    /// How often we said no for `reason`, to requests and to what was meant to be one.
    pub fn refused(&self, reason: RefusalReason) -> u64 {
        self.refusals.get(reason as usize).copied().unwrap_or_default()
    }

    /// Reads and writes of each outcome, by its [name](Outcome::name).
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Outcome::NAMES.iter().copied().zip(self.outcomes)
    }

    /// Reads and writes whose outcome is known.
    pub fn requests(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Counts a record. What was dropped was counted before, with packets that leave none.
    pub(crate) fn note(&mut self, record: &Record) {
        if let Outcome::Refused(refusal) = &record.outcome
            && let Some(count) = self.refusals.get_mut(refusal.counted as usize)
        {
            *count += 1;
        }
        match record.kind {
            Kind::Read => self.bytes_sent += record.bytes,
            Kind::Write => self.bytes_received += record.bytes,
            Kind::Unrecognized => return,
        }
        self.retransmissions += u64::from(record.retransmissions);
        if let Some(count) = self.outcomes.get_mut(record.outcome.index()) {
            *count += 1;
        }
    }
}
