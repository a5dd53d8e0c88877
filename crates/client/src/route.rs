//! The way to a server: the address to send from, and what fits through.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What IP, UDP and TFTP headers take of a packet.
const OVERHEAD_V4: u32 = 20 + 8 + 4;
const OVERHEAD_V6: u32 = 40 + 8 + 4;

/// What is taken for the MTU where the system does not say: Ethernet's, less what a tunnel takes.
const USUAL_MTU: u32 = 1_460;

/// The largest block of RFC 2348, in bytes.
const MAX_BLKSIZE: u16 = 65_464;

/// How this machine would send to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The address of this machine, with its scope; port 0.
    pub(crate) local: SocketAddr,
    /// The largest block that travels in one piece, in bytes.
    pub(crate) blksize: u16,
}

impl Route {
    /// Asks the system. Nothing is sent.
    ///
    /// # Errors
    /// There is no way there.
    pub(crate) fn to(server: SocketAddr) -> io::Result<Route> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let probe = UdpSocket::bind((any, 0))?;
        probe.connect(server)?;
        let mut local = probe.local_addr()?;
        local.set_port(0);
        Ok(Route { local, blksize: blksize(mtu(&probe).unwrap_or(USUAL_MTU), server.is_ipv6()) })
    }
}

fn blksize(mtu: u32, v6: bool) -> u16 {
    let fits = mtu.saturating_sub(if v6 { OVERHEAD_V6 } else { OVERHEAD_V4 });
    u16::try_from(fits).unwrap_or(u16::MAX).clamp(8, MAX_BLKSIZE)
}

/// The MTU of the way that a connected socket takes.
#[cfg(target_os = "linux")]
fn mtu(connected: &UdpSocket) -> Option<u32> {
    use rustix::net::sockopt;

    match connected.peer_addr().ok()? {
        SocketAddr::V4(_) => sockopt::ip_mtu(connected).ok(),
        SocketAddr::V6(_) => sockopt::ipv6_mtu(connected).ok(),
    }
}

#[cfg(not(target_os = "linux"))]
fn mtu(_connected: &UdpSocket) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fit() {
        assert_eq!((blksize(1_500, false), blksize(1_500, true)), (1_468, 1_448));
        assert_eq!((blksize(USUAL_MTU, false), blksize(USUAL_MTU, true)), (1_428, 1_408));
        assert_eq!((blksize(65_536, false), blksize(20, false)), (65_464, 8));
    }

    #[test]
    fn the_way_to_this_machine() {
        let route = Route::to("127.0.0.1:69".parse().unwrap()).unwrap();
        assert_eq!(route.local, "127.0.0.1:0".parse().unwrap());
        if cfg!(target_os = "linux") {
            assert_eq!(route.blksize, MAX_BLKSIZE);
        }
    }
}
