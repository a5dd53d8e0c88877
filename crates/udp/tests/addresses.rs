//! Which addresses a datagram is reported with, and which one an answer leaves from.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod common;

use std::net::{Ipv4Addr, UdpSocket};

use common::{BOTH, at, bind, client, options, receive_one, to};
use memtftp_udp::{Cast, Io, SendBuffer, Socket};

/// Sends from `client_ip` to `server_ip` and back from there.
fn exchange(bound: &str, io: Io, client_ip: &str, server_ip: &str) {
    let socket = bind(bound, io);
    let client = client(client_ip);
    client.send_to(b"question", at(server_ip, &socket)).unwrap();

    let question = receive_one(&socket);
    let context = format!("{io}, bound to {bound}, from {client_ip} to {server_ip}");
    assert_eq!(question.peer, client.local_addr().unwrap(), "{context}");
    assert_eq!(question.local, Some(server_ip.parse().unwrap()), "{context}");
    assert_eq!(question.cast, Cast::Unicast, "{context}");
    assert_eq!(question.payload, b"question", "{context}");

    answer(&socket, &client, Some(server_ip), server_ip);
}

/// Sends to `client` with the source `local`, and checks that it comes from `expected`.
fn answer(socket: &Socket, client: &UdpSocket, local: Option<&str>, expected: &str) {
    let mut buffer = SendBuffer::new();
    let mut batch = buffer.start();
    assert!(batch.push(to(client.local_addr().unwrap(), local), [0, 3, 0, 1], b"answer"));
    let sent = socket.send(&mut batch);
    assert_eq!((sent.accepted, sent.failed), (1, 0), "{sent:?}");
    let mut bytes = [0; 64];
    let (length, from) = client.recv_from(&mut bytes).unwrap();
    assert_eq!(from, at(expected, socket));
    assert_eq!(&bytes[..length], b"\0\x03\0\x01answer");
}

#[test]
fn a_dual_stack_socket_serves_both_families_with_canonical_addresses() {
    for io in BOTH {
        exchange("[::]:0", io, "127.0.0.1", "127.0.0.1");
        exchange("[::]:0", io, "::1", "::1");
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    for io in BOTH {
        exchange("0.0.0.0:0", io, "127.0.0.1", "127.0.0.9");
        exchange("[::]:0", io, "127.0.0.1", "127.0.0.9");
        exchange("[::]:0", io, "127.0.0.5", "127.0.0.9");
    }
}

#[test]
fn without_a_source_the_system_chooses() {
    for io in BOTH {
        answer(&bind("0.0.0.0:0", io), &client("127.0.0.1"), None, "127.0.0.1");
        answer(&bind("[::]:0", io), &client("127.0.0.1"), None, "127.0.0.1");
        answer(&bind("[::]:0", io), &client("::1"), None, "::1");
    }
}

#[test]
fn a_source_in_mapped_form_or_of_the_other_family_does_no_harm() {
    for io in BOTH {
        let socket = bind("[::]:0", io);
        let v4 = client("127.0.0.1");
        answer(&socket, &v4, Some("::ffff:127.0.0.9"), "127.0.0.9");
        answer(&socket, &v4, Some("::1"), "127.0.0.1");
    }
}

#[test]
fn a_bound_address_is_the_source_and_is_reported() {
    for io in BOTH {
        exchange("127.0.0.9:0", io, "127.0.0.1", "127.0.0.9");
        exchange("[::1]:0", io, "::1", "::1");
        exchange("[::ffff:127.0.0.9]:0", io, "127.0.0.1", "127.0.0.9");
        // Whatever source is asked for: it has only one.
        answer(&bind("127.0.0.9:0", io), &client("127.0.0.1"), Some("127.0.0.3"), "127.0.0.9");
    }
}

#[test]
fn a_socket_for_any_address_takes_both_families() {
    for io in BOTH {
        let socket = std::sync::Arc::new(Socket::bind_any(0, &options(io)).unwrap());
        assert_eq!(socket.local_addr().ip().to_string(), "::");
        for ip in ["127.0.0.1", "::1"] {
            client(ip).send_to(b"", at(ip, &socket)).unwrap();
            assert_eq!(receive_one(&socket).local, Some(ip.parse().unwrap()));
        }
    }
}

#[test]
fn an_ipv6_address_other_than_the_wildcard_takes_ipv6_only() {
    for io in BOTH {
        let socket = bind("[::1]:0", io);
        // The port is free for IPv4.
        let _v4 = UdpSocket::bind(at("127.0.0.1", &socket)).unwrap();
    }
}

#[test]
fn a_broadcast_is_told_apart_and_tells_the_interface_address() {
    for io in BOTH {
        for bound in ["0.0.0.0:0", "[::]:0"] {
            let socket = bind(bound, io);
            let client = client("127.0.0.1");
            client.set_broadcast(true).unwrap();
            client.send_to(b"all", at("127.255.255.255", &socket)).unwrap();
            let datagram = receive_one(&socket);
            assert_eq!(datagram.cast, Cast::Broadcast, "{io} {bound}");
            assert_eq!(datagram.local, Some(Ipv4Addr::LOCALHOST.into()), "{io} {bound}");
            assert_eq!(datagram.peer, client.local_addr().unwrap());
        }
    }
}

#[test]
fn a_multicast_is_told_apart() {
    let group = Ipv4Addr::new(239, 255, 77, 7);
    // One member on the host is enough for an IPv4 wildcard socket to get it as well.
    let member = client("0.0.0.0");
    member.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let sender = socket2::Socket::from(client("127.0.0.1"));
    sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    for io in BOTH {
        let socket = bind("0.0.0.0:0", io);
        let target = at(&group.to_string(), &socket);
        sender.send_to(b"group", &target.into()).unwrap();
        let datagram = receive_one(&socket);
        assert_eq!(datagram.cast, Cast::Multicast, "{io}");
        assert_eq!(datagram.local, Some(Ipv4Addr::LOCALHOST.into()), "{io}");
    }
}
