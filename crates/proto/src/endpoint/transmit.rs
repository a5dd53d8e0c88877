//! What sessions send.

use crate::block::BlockIndex;
use crate::control::ControlPacket;
use crate::endpoint::session::{Session, State};
use crate::files::Files;
use crate::packet::data_packets;
use crate::receiver::{Acknowledgement, Dally};
use crate::route::{Route, SessionId};
use crate::sender::Offer;
use crate::time::Time;

/// Something to send.
#[derive(Clone, Copy, Debug)]
pub enum Transmit {
    /// One small packet.
    Control {
        /// Where it goes.
        route: Route,
        /// The packet.
        packet: ControlPacket,
    },
    /// Consecutive blocks of one file, each a DATA packet.
    Run(Run),
}

/// Consecutive blocks of one session. Their bytes are lent by
/// [`Endpoint::payload`](crate::Endpoint::payload).
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Where they go.
    pub route: Route,
    /// Whose they are.
    pub session: SessionId,
    /// The first block.
    pub first: BlockIndex,
    /// How many, from 1. Each has `blksize` bytes, but the last of the file has fewer.
    pub blocks: u16,
    /// Bytes in a full block.
    pub blksize: u16,
    /// The blocks have to leave one by one, because runs sent as one did not arrive.
    pub alone: bool,
}

impl Transmit {
    /// Where it goes.
    pub fn route(&self) -> &Route {
        match self {
            Transmit::Control { route, .. } | Transmit::Run(Run { route, .. }) => route,
        }
    }
}

impl Run {
    /// The DATA packets of this run as header and payload, given the bytes that
    /// [`Endpoint::payload`](crate::Endpoint::payload) lends for it.
    pub fn datagrams<'a>(
        &self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = ([u8; 4], &'a [u8])> + use<'a> {
        data_packets(self.first, self.blocks, self.blksize, bytes)
    }
}

impl<F: Files> Session<F> {
    pub(super) fn poll_transmit(
        &mut self,
        now: Time,
        id: SessionId,
        max_run: u16,
    ) -> Option<Transmit> {
        let route = self.route;
        let packet = match &mut self.state {
            State::Sending(sender) => match sender.poll_transmit(now, max_run)? {
                Offer::Opening => self.agreed.option_ack()?,
                Offer::Run { first, blocks } => {
                    let (blksize, alone) = (self.agreed.blksize, sender.is_cautious());
                    let run = Run { route, session: id, first, blocks, blksize, alone };
                    return Some(Transmit::Run(run));
                }
            },
            State::Receiving(receiver, _) => match receiver.poll_transmit(now)? {
                Acknowledgement::Opening => self.agreed.option_ack()?,
                Acknowledgement::Ack(packet) => packet,
            },
            State::Dallying(dally) => Dally::poll_transmit(dally)?,
            State::Doubted { .. } | State::Opening | State::Committing(_) | State::Closed => {
                return None;
            }
        };
        Some(Transmit::Control { route, packet })
    }
}
