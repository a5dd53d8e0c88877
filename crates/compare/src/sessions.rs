//! Memory by open transfers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use memtftp_udp::{BATCH, BindOptions, Destination, Poller, RecvBatch, SendBuffer, Socket};

use crate::Error;
use crate::cases::SMALL;
use crate::servers::{Kind, Places, Server};

/// Silence after which no more answers are expected.
const PATIENCE: Duration = Duration::from_secs(2);

/// The address of the first client, 127.1.0.1.
const FIRST: u32 = 0x7f01_0001;

/// The first address of clients that come before, 127.100.0.1, and how many there are: a batch on each
/// socket of a server that has several.
const EARLIER: u32 = 0x7f64_0001;
const WARM_UP: u32 = 500;

/// A read that the server answers with an OACK; it waits for an ACK that never comes.
const REQUEST: &[u8] = b"\0\x01small\0octet\0tsize\x000\0blksize\x001428\0";

/// Opens `count` transfers, each from a loopback address of its own, and gives the bytes of memory
/// that the server has for each. `None` if it does not answer them all.
pub(crate) fn memory(places: &Places, kind: Kind, count: u32) -> Result<Option<f64>, Error> {
    let server = Server::start(places, kind, SMALL)?;
    // What the first transfers cost is for the server, not for them.
    open(WARM_UP, EARLIER).map_err(Error::Socket)?;
    let before = server.memory();
    let answered = open(count, FIRST).map_err(Error::Socket)?;
    let memory = server.memory().saturating_sub(before);
    Ok((answered == count).then(|| memory as f64 / f64::from(count)))
}

/// Asks for a file from so many addresses, from `first` on. Gives how many were answered.
fn open(count: u32, first: u32) -> std::io::Result<u32> {
    let options = BindOptions { recv_buffer: 8 << 20, send_buffer: 8 << 20, ..Default::default() };
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let socket = std::sync::Arc::new(Socket::bind(any, &options).map_err(std::io::Error::other)?);
    let mut poller = Poller::new()?;
    poller.add(&socket, 0)?;
    let (mut batch, mut buffer) = (RecvBatch::new(), SendBuffer::new());
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 69));
    let mut heard = vec![false; count as usize];
    let mut heard_at = Instant::now();
    let (mut asked, mut answered) = (0, 0);
    while answered < count && heard_at.elapsed() < PATIENCE {
        // No more on their way than the sockets hold.
        if asked < count && asked - answered < 2_000 {
            let mut requests = buffer.start();
            let end = count.min(asked + BATCH as u32);
            for client in asked..end {
                let local = IpAddr::from(Ipv4Addr::from(first + client));
                requests.push_copied(Destination { peer: server, local: Some(local) }, REQUEST);
            }
            asked = end;
            socket.send(&mut requests);
        }
        let _ = poller.wait(Some(Duration::from_millis(1)))?.count();
        while socket.recv(&mut batch)? > 0 {
            for datagram in batch.iter() {
                let Some(IpAddr::V4(local)) = datagram.local else { continue };
                let client = u32::from(local).wrapping_sub(first) as usize;
                // Repeats come, too.
                if heard.get_mut(client).is_some_and(|heard| !std::mem::replace(heard, true)) {
                    answered += 1;
                    heard_at = Instant::now();
                }
            }
        }
    }
    Ok(answered)
}
