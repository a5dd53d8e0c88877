//! What every socket test needs. All waiting is for an event, with a deadline that only a failure
//! reaches.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use memtftp_udp::{BindOptions, Cast, Destination, Io, Poller, RecvBatch, Socket};

pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
pub(crate) const BOTH: [Io; 2] = [Io::Batched, Io::Portable];

pub(crate) fn options(io: Io) -> BindOptions {
    BindOptions { io, recv_buffer: 8 << 20, send_buffer: 8 << 20, ..BindOptions::default() }
}

pub(crate) fn bind(address: &str, io: Io) -> Arc<Socket> {
    Arc::new(Socket::bind(address.parse().unwrap(), &options(io)).unwrap())
}

/// A client at `ip`, with a port of its own.
pub(crate) fn client(ip: &str) -> UdpSocket {
    let ip: IpAddr = ip.parse().unwrap();
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// `ip` with the port of `socket`.
pub(crate) fn at(ip: &str, socket: &Socket) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), socket.local_addr().port())
}

pub(crate) fn to(peer: SocketAddr, local: Option<&str>) -> Destination {
    Destination { peer, local: local.map(|ip| ip.parse().unwrap()) }
}

/// A datagram as a test compares it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) cast: Cast,
    pub(crate) payload: Vec<u8>,
}

/// Waits for `count` datagrams.
pub(crate) fn receive(socket: &Arc<Socket>, count: usize) -> Vec<Owned> {
    let mut poller = Poller::new().unwrap();
    poller.add(socket, 7).unwrap();
    let mut batch = RecvBatch::new();
    let mut all = Vec::new();
    while all.len() < count {
        let ready: Vec<_> = poller.wait(Some(DEADLINE)).unwrap().collect();
        assert!(!ready.is_empty(), "only {} of {count} datagrams came", all.len());
        let received = socket.recv(&mut batch).unwrap();
        assert_eq!(received, batch.len());
        all.extend(batch.iter().map(|datagram| Owned {
            peer: datagram.peer,
            local: datagram.local,
            cast: datagram.cast,
            payload: datagram.payload.to_vec(),
        }));
    }
    all
}

pub(crate) fn receive_one(socket: &Arc<Socket>) -> Owned {
    let mut all = receive(socket, 1);
    assert_eq!(all.len(), 1);
    all.remove(0)
}
