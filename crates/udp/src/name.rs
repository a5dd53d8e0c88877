//! Socket addresses in the kernel's form, as safe code.
//!
//! On Linux a `sockaddr_in` fits into a `sockaddr_in6`: family and port lie at the same place, and
//! the IPv4 address lies where IPv6 has its flow label. One type serves both families.

use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libc::{AF_INET, AF_INET6, in6_addr, sockaddr_in, sockaddr_in6, socklen_t};

const _: () = {
    assert!(offset_of!(sockaddr_in, sin_family) == offset_of!(sockaddr_in6, sin6_family));
    assert!(offset_of!(sockaddr_in, sin_port) == offset_of!(sockaddr_in6, sin6_port));
    assert!(offset_of!(sockaddr_in, sin_addr) == offset_of!(sockaddr_in6, sin6_flowinfo));
    assert!(size_of::<sockaddr_in>() <= size_of::<sockaddr_in6>());
};

/// The address of one datagram's peer.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Name(sockaddr_in6);

impl Name {
    /// Bytes the kernel may write.
    pub(crate) const CAPACITY: socklen_t = size_of::<sockaddr_in6>() as socklen_t;

    /// Of no family: the kernel fills it in.
    pub(crate) const EMPTY: Name = Name(sockaddr_in6 {
        sin6_family: 0,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    });

    /// Makes this the kernel's form of `address` and returns its length in bytes.
    pub(crate) fn encode(&mut self, address: SocketAddr) -> socklen_t {
        let name = &mut self.0;
        name.sin6_port = address.port().to_be();
        match address {
            SocketAddr::V4(v4) => {
                name.sin6_family = AF_INET as _;
                name.sin6_flowinfo = u32::from_ne_bytes(v4.ip().octets());
                size_of::<sockaddr_in>() as socklen_t
            }
            SocketAddr::V6(v6) => {
                name.sin6_family = AF_INET6 as _;
                name.sin6_flowinfo = 0;
                name.sin6_addr.s6_addr = v6.ip().octets();
                name.sin6_scope_id = v6.scope_id();
                Self::CAPACITY
            }
        }
    }

    /// The address in it, as the socket sees it; `None` when it is of no internet family.
    pub(crate) fn decode(&self) -> Option<SocketAddr> {
        let name = &self.0;
        let port = u16::from_be(name.sin6_port);
        match i32::from(name.sin6_family) {
            AF_INET => Some((Ipv4Addr::from(name.sin6_flowinfo.to_ne_bytes()), port).into()),
            AF_INET6 => {
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["192.0.2.1:69", "[2001:db8::1]:65535", "[fe80::1%7]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = Name::EMPTY;
            let length = name.encode(address);
            assert_eq!(length, socket2::SockAddr::from(address).len());
            assert_eq!(name.decode(), Some(address));
        }
        assert_eq!(Name::EMPTY.decode(), None);
    }

    #[test]
    fn an_ipv4_address_overwrites_an_ipv6_one() {
        let mut name = Name::EMPTY;
        name.encode("[fe80::1%7]:1".parse().unwrap());
        name.encode("192.0.2.1:69".parse().unwrap());
        assert_eq!(name.decode(), Some("192.0.2.1:69".parse().unwrap()));
    }
}
