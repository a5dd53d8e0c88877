//! Datagrams from addresses and ports that are not the sender's.

use std::net::{SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::host::Host;

/// IPPROTO_RAW: the IP header is the sender's to write.
const OWN_HEADER: i32 = 255;

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// A socket that claims to be anyone, port 0 included. Opening it takes root.
#[derive(Debug)]
pub struct Spoofer {
    socket: Socket,
}

impl Spoofer {
    /// A spoofer on this host.
    ///
    /// # Panics
    /// Not root.
    pub fn new(host: &Host) -> Spoofer {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(OWN_HEADER)));
        let socket = host.enter(open).unwrap_or_else(|error| panic!("a raw socket: {error}"));
        Spoofer { socket }
    }

    /// Sends `payload` to `to` as if from `from`.
    ///
    /// # Panics
    /// An address is not of IPv4, or the datagram cannot be sent.
    pub fn send(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else {
            panic!("from {from} to {to}: only IPv4 can be forged")
        };
        let datagram = datagram(from, to, payload);
        let sent = self.socket.send_to(&datagram, &SockAddr::from(to));
        let sent = sent.unwrap_or_else(|error| panic!("forging {from} to {to}: {error}"));
        assert_eq!(sent, datagram.len());
    }
}

/// The system fills in the length of the whole and the checksum of the IP header.
fn datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    const VERSION_AND_LENGTH: u8 = 0x45;
    const HOPS: u8 = 64;
    const UDP: u8 = 17;
    let mut bytes = Vec::with_capacity(IP_HEADER + UDP_HEADER + payload.len());
    bytes.extend([VERSION_AND_LENGTH, 0, 0, 0, 0, 0, 0, 0, HOPS, UDP, 0, 0]);
    bytes.extend(from.ip().octets());
    bytes.extend(to.ip().octets());
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend(((UDP_HEADER + payload.len()) as u16).to_be_bytes());
    // Without a checksum.
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}
