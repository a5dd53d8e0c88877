use super::*;

fn v4(address: [u8; 4], own: [u8; 4]) -> in_pktinfo {
    in_pktinfo {
        ipi_ifindex: 2,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(own) },
        ipi_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address) },
    }
}

fn v6(address: &str) -> in6_pktinfo {
    let address: Ipv6Addr = address.parse().unwrap();
    in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 2 }
}

fn received<T: Plain>(level: c_int, kind: c_int, data: T) -> Vec<u8> {
    let mut control = Control::new();
    let length = control.write(0, level, kind, data);
    control.bytes()[..length].to_vec()
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn a_written_message_reads_back() {
    let mut control = Control::new();
    let peer = "[2001:db8::2]:1000".parse().unwrap();
    let length = control.encode(peer, "2001:db8::1".parse().unwrap());
    let arrival = decode(&control.bytes()[..length]).unwrap();
    assert_eq!(arrival, Arrival { local: ip("2001:db8::1"), cast: Cast::Unicast });
}

#[test]
fn the_ipv4_message_carries_the_source_and_no_interface() {
    let mut control = Control::new();
    let peer = "[::ffff:192.0.2.2]:1000".parse().unwrap();
    let length = control.encode(peer, "192.0.2.1".parse().unwrap());
    assert_eq!(length, space(size_of::<in_pktinfo>()));
    let info: in_pktinfo = load(&control.bytes()[HEADER..]).unwrap();
    assert_eq!(info.ipi_spec_dst.s_addr.to_ne_bytes(), [192, 0, 2, 1]);
    assert_eq!(info.ipi_ifindex, 0);
}

#[test]
fn a_source_of_the_other_family_is_left_out() {
    let mut control = Control::new();
    let peer = "192.0.2.2:1000".parse().unwrap();
    assert_eq!(control.encode(peer, "::1".parse().unwrap()), 0);
}

#[test]
fn broadcast_and_multicast_are_told_apart() {
    let own = [192, 0, 2, 1];
    let cases = [
        ([192, 0, 2, 1], own, Arrival { local: ip("192.0.2.1"), cast: Cast::Unicast }),
        ([255; 4], own, Arrival { local: ip("192.0.2.1"), cast: Cast::Broadcast }),
        ([224, 0, 0, 1], own, Arrival { local: ip("192.0.2.1"), cast: Cast::Multicast }),
        ([224, 0, 0, 1], [0; 4], Arrival { local: None, cast: Cast::Multicast }),
        // It came before the socket was asked to tell.
        ([192, 0, 2, 1], [0; 4], Arrival { local: ip("192.0.2.1"), cast: Cast::Unicast }),
    ];
    for (address, own, expected) in cases {
        assert_eq!(arrival_v4(v4(address, own)), expected, "{address:?}");
    }
    assert_eq!(arrival_v6(v6("ff02::1")), Arrival { local: None, cast: Cast::Multicast });
    assert_eq!(arrival_v6(v6("::ffff:192.0.2.1")).local, ip("192.0.2.1"));
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_subnet_broadcast_shows_in_the_ipv4_form_only() {
    let mapped = received(IPPROTO_IPV6, libc::IPV6_PKTINFO, v6("::ffff:192.0.2.255"));
    let plain = received(IPPROTO_IP, libc::IP_PKTINFO, v4([192, 0, 2, 255], [192, 0, 2, 1]));
    let expected = Arrival { local: ip("192.0.2.1"), cast: Cast::Broadcast };
    assert_eq!(decode(&[mapped.clone(), plain.clone()].concat()), Some(expected));
    assert_eq!(decode(&[plain, mapped].concat()), Some(expected));
}

#[test]
fn foreign_messages_are_passed_over() {
    let other = received(libc::SOL_SOCKET, 999, v4([1; 4], [1; 4]));
    let wanted = received(IPPROTO_IPV6, libc::IPV6_PKTINFO, v6("::1"));
    assert_eq!(decode(&[other.clone(), wanted].concat()).unwrap().local, ip("::1"));
    assert_eq!(decode(&other), None);
    assert_eq!(decode(&[]), None);
}

#[test]
fn cut_or_false_lengths_end_the_reading() {
    let whole = received(IPPROTO_IPV6, libc::IPV6_PKTINFO, v6("::1"));
    for length in 0..HEADER + size_of::<in6_pktinfo>() {
        assert_eq!(decode(&whole[..length]), None, "{length} bytes");
    }
    for claimed in [0, 1, HEADER - 1, CAPACITY + 1] {
        let mut control = Control::new();
        let mut header: cmsghdr = zeroed();
        header.cmsg_level = IPPROTO_IPV6;
        header.cmsg_type = libc::IPV6_PKTINFO;
        header.cmsg_len = claimed as _;
        assert!(store(control.bytes_mut(), header));
        assert_eq!(decode(control.bytes()), None, "claimed {claimed}");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_length_of_segments_stands_behind_the_source() {
    let mut control = Control::new();
    let used = control.encode("192.0.2.2:1".parse().unwrap(), "192.0.2.1".parse().unwrap());
    let length = control.encode_segment(used, 1_432);
    let all: Vec<_> = messages(&control.bytes()[..length]).collect();
    assert_eq!(all.len(), 2);
    let (level, kind, data) = all[1];
    assert_eq!((level, kind), (libc::SOL_UDP, libc::UDP_SEGMENT));
    assert_eq!(load::<u16>(data), Some(1_432));
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_length_of_datagrams_that_came_as_one() {
    let gro = received(libc::SOL_UDP, libc::UDP_GRO, 1_432_i32);
    let address = received(IPPROTO_IP, libc::IP_PKTINFO, v4([192, 0, 2, 1], [192, 0, 2, 1]));
    assert_eq!(segment_length(&[address.clone(), gro].concat()), Some(1_432));
    assert_eq!(segment_length(&address), None);
    assert_eq!(segment_length(&received(libc::SOL_UDP, libc::UDP_GRO, 0_i32)), None);
}
