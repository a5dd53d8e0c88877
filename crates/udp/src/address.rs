//! The two notations of an IPv4 address on a dual-stack socket, and what kinds of address there are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// To whom a datagram was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// To one host.
    Unicast,
    /// To every host of an IPv4 network.
    Broadcast,
    /// To the members of a group.
    Multicast,
}

impl Cast {
    /// As far as the address itself tells: the broadcast address of a subnet looks like a host's.
    pub(crate) fn of(address: IpAddr) -> Cast {
        match address.to_canonical() {
            address if address.is_multicast() => Cast::Multicast,
            IpAddr::V4(Ipv4Addr::BROADCAST) => Cast::Broadcast,
            _ => Cast::Unicast,
        }
    }
}

/// `address` as the rest of the program sees it: `::ffff:a.b.c.d` becomes IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// `peer` as the kernel wants it on an IPv6 (`v6`) or IPv4 socket.
///
/// An IPv6 peer on an IPv4 socket stays as it is: the system refuses it when it is sent to.
pub(crate) fn for_socket(peer: SocketAddr, v6: bool) -> SocketAddr {
    match canonical(peer) {
        SocketAddr::V4(v4) if v6 => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_become_ipv4_and_others_stay() {
        assert_eq!(canonical(parse("[::ffff:192.0.2.1]:69")), parse("192.0.2.1:69"));
        assert_eq!(canonical(parse("192.0.2.1:69")), parse("192.0.2.1:69"));
        assert_eq!(canonical(parse("[fe80::1%7]:69")), parse("[fe80::1%7]:69"));
        // The deprecated "compatible" form is no IPv4 address.
        assert_eq!(canonical(parse("[::192.0.2.1]:69")), parse("[::192.0.2.1]:69"));
    }

    #[test]
    fn ipv4_peers_are_mapped_only_on_ipv6_sockets() {
        assert_eq!(for_socket(parse("192.0.2.1:69"), true), parse("[::ffff:192.0.2.1]:69"));
        assert_eq!(for_socket(parse("192.0.2.1:69"), false), parse("192.0.2.1:69"));
        assert_eq!(for_socket(parse("[::ffff:192.0.2.1]:69"), false), parse("192.0.2.1:69"));
        assert_eq!(for_socket(parse("[fe80::1%7]:69"), true), parse("[fe80::1%7]:69"));
    }
}
