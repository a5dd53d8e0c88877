//! Who talks to whom: sockets, addresses, sessions.

use std::net::{IpAddr, SocketAddr};

slotmap::new_key_type! {
    /// Names one session; never used again for another.
    pub struct SessionId;
}

/// One of the driver's sockets: an index into [`Config::sockets`](crate::Config::sockets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub u16);

/// Our end and theirs: where a datagram came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Our socket, and with it our TID.
    pub socket: SocketId,
    /// Their address and port, the port being their TID.
    pub peer: SocketAddr,
    /// The address of ours that they sent to, and that answers must leave from; `None` where the
    /// driver cannot tell.
    pub local: Option<IpAddr>,
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it came from and where it arrived.
    pub route: Route,
    /// False if it was sent to a broadcast or multicast address.
    pub directed: bool,
    /// Its bytes.
    pub payload: &'a [u8],
}
