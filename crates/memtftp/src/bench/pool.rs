//! The sockets of the clients, and which client a datagram is for.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use memtftp_udp::{BindError, BindOptions, Socket};
use thiserror::Error;

/// With `--spread`, a port for so many clients, within [`SPREAD_PORTS`]. A batch of datagrams is one
/// system call only if they are of one socket: for 64 clients in lock-step, four sockets are as
/// good as one, 16 cost a block 10 % more time, and 64 cost 50 % more.
const CLIENTS_PER_PORT: u32 = 16;

/// The least, if there are as many clients, and the most. From a thousand clients on it makes no
/// difference up to 64, and many sockets hold more of what waits.
const SPREAD_PORTS: (u32, u32) = (4, 16);

/// Kernel memory for what waits to be read, where many clients share a socket; in bytes.
const SHARED_BUFFER: usize = 16 << 20;

/// The same for a client with a socket of its own: a window of 64 large blocks.
const OWN_BUFFER: usize = 1 << 20;

/// The address of the first client; the others follow.
const FIRST: u32 = u32::from_be_bytes([127, 1, 0, 1]);

/// Why there are no sockets.
#[derive(Debug, Error)]
pub(crate) enum PoolError {
    #[error("--spread gives clients loopback addresses, and {0} is none: leave it out")]
    NotLoopback(SocketAddr),
    #[error("cannot reach {server}: {error}")]
    Unreachable { server: SocketAddr, error: io::Error },
    #[error("this process may open {open} sockets, and {wanted} are wanted: raise `ulimit -n`{}", or_spread(.server))]
    Descriptors { open: usize, wanted: u32, server: SocketAddr },
    #[error("no port is free after {open} of {wanted}: widen net.ipv4.ip_local_port_range{}", or_spread(.server))]
    Ports { open: usize, wanted: u32, server: SocketAddr },
    #[error("cannot open a socket: {}", .0.source().map_or_else(|| .0.to_string(), ToString::to_string))]
    Socket(BindError),
}

/// Where a client sends from: the index of its socket, and its address if the socket has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) socket: usize,
    pub(crate) local: Option<IpAddr>,
}

/// The sockets of all clients.
#[derive(Debug)]
pub(crate) struct Pool {
    sockets: Vec<Arc<Socket>>,
    clients: u32,
    spread: bool,
}

impl Pool {
    /// Opens what `clients` clients of `server` need: a socket each, or with `spread` a loopback
    /// address each and a few sockets.
    pub(crate) fn open(server: SocketAddr, clients: u32, spread: bool) -> Result<Pool, PoolError> {
        let (wanted, address, recv_buffer) = if spread {
            if !may_spread(server) {
                return Err(PoolError::NotLoopback(server));
            }
            (spread_ports(clients), Ipv4Addr::UNSPECIFIED.into(), SHARED_BUFFER)
        } else {
            (clients, own_address(server)?, OWN_BUFFER)
        };
        let options = BindOptions { recv_buffer, gro: true, ..BindOptions::default() };
        let mut sockets = Vec::new();
        for _ in 0..wanted {
            let socket = Socket::bind(SocketAddr::new(address, 0), &options)
                .map_err(|error| no_socket(error, sockets.len(), wanted, server))?;
            sockets.push(Arc::new(socket));
        }
        Ok(Pool { sockets, clients, spread })
    }

    pub(crate) fn sockets(&self) -> &[Arc<Socket>] {
        &self.sockets
    }

    pub(crate) fn clients(&self) -> u32 {
        self.clients
    }

    /// Where `client` sends from.
    pub(crate) fn place(&self, client: u32) -> Place {
        if !self.spread {
            return Place { socket: client as usize, local: None };
        }
        let address = Ipv4Addr::from_bits(FIRST + client);
        Place { socket: self.shared_by(client), local: Some(address.into()) }
    }

    /// Whose datagram it is that came to `local` on this socket.
    pub(crate) fn client_at(&self, socket: usize, local: Option<IpAddr>) -> Option<u32> {
        if !self.spread {
            return u32::try_from(socket).ok();
        }
        let Some(IpAddr::V4(local)) = local else { return None };
        let client = local.to_bits().wrapping_sub(FIRST);
        (client < self.clients && self.shared_by(client) == socket).then_some(client)
    }

    fn shared_by(&self, client: u32) -> usize {
        client as usize % self.sockets.len().max(1)
    }
}

/// Whether clients of `server` may have loopback addresses of their own.
fn may_spread(server: SocketAddr) -> bool {
    server.is_ipv4() && server.ip().is_loopback()
}

fn or_spread(server: &SocketAddr) -> &'static str {
    if may_spread(*server) { ", or give --spread" } else { "" }
}

fn no_socket(error: BindError, open: usize, wanted: u32, server: SocketAddr) -> PoolError {
    match error {
        BindError::InUse { .. } => PoolError::Ports { open, wanted, server },
        BindError::Other { source, .. } if is_about_descriptors(&source) => {
            PoolError::Descriptors { open, wanted, server }
        }
        error => PoolError::Socket(error),
    }
}

/// Whether this process or the system has no descriptor left: ENFILE, EMFILE of every Unix.
fn is_about_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

fn spread_ports(clients: u32) -> u32 {
    let (least, most) = SPREAD_PORTS;
    (clients / CLIENTS_PER_PORT).clamp(least, most).min(clients)
}

/// The address of this host that datagrams to `server` leave from.
fn own_address(server: SocketAddr) -> Result<IpAddr, PoolError> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    // Nothing is sent: connecting a UDP socket only chooses the route.
    let chosen = UdpSocket::bind((any, 0)).and_then(|probe| {
        probe.connect(server)?;
        probe.local_addr()
    });
    match chosen {
        // A link-local address cannot be bound without its scope: any will do.
        Ok(SocketAddr::V6(own)) if own.ip().is_unicast_link_local() => Ok(any),
        Ok(own) => Ok(own.ip()),
        Err(error) => Err(PoolError::Unreachable { server, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(clients: u32, spread: bool) -> Pool {
        Pool::open("127.0.0.1:69".parse().unwrap(), clients, spread).unwrap()
    }

    #[test]
    fn each_client_is_found_at_its_place_and_nowhere_else() {
        for (clients, spread, sockets) in
            [(5, false, 5), (3, true, 3), (64, true, 4), (3_000, true, 16)]
        {
            let pool = pool(clients, spread);
            assert_eq!(pool.sockets().len(), sockets);
            for client in 0..clients {
                let place = pool.place(client);
                assert_eq!(pool.client_at(place.socket, place.local), Some(client));
                if spread {
                    let elsewhere = (place.socket + 1) % sockets;
                    assert_eq!(pool.client_at(elsewhere, place.local), None);
                }
            }
        }
    }

    #[test]
    fn addresses_are_loopback_and_in_order() {
        let pool = pool(300, true);
        let local = |client| pool.place(client).local.unwrap().to_string();
        assert_eq!((local(0), local(299)), ("127.1.0.1".into(), "127.1.1.44".into()));
        for stranger in ["127.0.0.1", "127.1.0.0", "127.1.1.45", "::1"] {
            assert_eq!(pool.client_at(0, Some(stranger.parse().unwrap())), None, "{stranger}");
        }
    }

    #[test]
    fn what_to_do_when_there_is_no_socket_left() {
        let address = "127.0.0.1:0".parse().unwrap();
        let text =
            |error, server: &str| no_socket(error, 7, 9, server.parse().unwrap()).to_string();
        let full =
            |code: i32| BindError::Other { address, source: io::Error::from_raw_os_error(code) };
        let (descriptors, out_of_memory) = (24, 12);
        assert_eq!(
            text(full(descriptors), "127.0.0.1:69"),
            "this process may open 7 sockets, and 9 are wanted: raise `ulimit -n`, or give --spread"
        );
        assert!(text(full(descriptors), "192.0.2.1:69").ends_with("raise `ulimit -n`"));
        let in_use = BindError::InUse { address };
        assert!(text(in_use, "127.0.0.1:69").contains("no port is free after 7 of 9"));
        assert!(text(full(out_of_memory), "127.0.0.1:69").starts_with("cannot open a socket: "));
    }

    #[test]
    fn only_loopback_servers_see_loopback_addresses() {
        for server in ["192.168.1.1:69", "[::1]:69"] {
            let refused = Pool::open(server.parse().unwrap(), 1, true);
            assert!(matches!(refused, Err(PoolError::NotLoopback(_))), "{server}");
        }
    }
}
