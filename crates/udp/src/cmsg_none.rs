//! Stand-in for the control messages on systems where the local address cannot be learnt.

use std::net::{IpAddr, SocketAddr};

use crate::address::Cast;

/// Where a datagram arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The address of this host to answer from.
    pub(crate) local: Option<IpAddr>,
    pub(crate) cast: Cast,
}

impl Arrival {
    /// What is assumed when the system says nothing.
    pub(crate) const UNKNOWN: Arrival = Arrival { local: None, cast: Cast::Unicast };

    /// Of a datagram on a socket bound to `address`.
    pub(crate) fn at(address: IpAddr) -> Arrival {
        let cast = Cast::of(address);
        Arrival { local: (cast == Cast::Unicast).then_some(address), cast }
    }
}

/// Memory for the control messages of one datagram: there are none.
#[derive(Clone)]
pub(crate) struct Control;

impl Control {
    pub(crate) fn new() -> Control {
        Control
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &[]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut []
    }

    /// The source address is the system's choice.
    pub(crate) fn encode(&mut self, _peer: SocketAddr, _local: IpAddr) -> usize {
        0
    }
}

/// Nothing is ever reported.
pub(crate) fn decode(_control: &[u8]) -> Option<Arrival> {
    None
}
