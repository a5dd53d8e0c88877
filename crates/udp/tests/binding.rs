//! Addresses that are free, taken, shared or not there.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod common;

use std::net::SocketAddr;

use common::{BOTH, at, bind, client, options, receive_one};
use memtftp_udp::{BindError, BindOptions, Cast, Io, Socket};

#[test]
fn the_bound_address_has_the_real_port() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        let socket = bind(address, Io::best());
        assert_ne!(socket.local_addr().port(), 0, "{address}");
        assert_eq!(socket.local_addr().ip(), address.parse::<SocketAddr>().unwrap().ip());
    }
}

#[test]
fn a_taken_port_is_in_use_for_either_family() {
    let first = bind("[::]:0", Io::best());
    for ip in ["::", "0.0.0.0", "127.0.0.1", "::1"] {
        let address = at(ip, &first);
        let error = Socket::bind(address, &BindOptions::default()).unwrap_err();
        assert!(matches!(error, BindError::InUse { address: a } if a == address), "{error:?}");
        assert_eq!(error.to_string(), format!("{address} is already in use"));
    }
    let port = first.local_addr().port();
    let error = Socket::bind_any(port, &BindOptions::default()).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
}

#[test]
fn an_address_of_another_host_is_not_there() {
    for address in ["203.0.113.77:0", "[2001:db8::77]:0"] {
        let error = Socket::bind(address.parse().unwrap(), &BindOptions::default()).unwrap_err();
        assert!(matches!(error, BindError::NoSuchAddress { .. }), "{error:?}");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn an_address_that_comes_later_can_be_waited_for() {
    for io in BOTH {
        let absent = BindOptions { absent: true, ..options(io) };
        for address in ["203.0.113.77:0", "[2001:db8::77]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let socket = Socket::bind(address, &absent).unwrap();
            assert!(socket.is_absent() && socket.local_addr().ip() == address.ip());
            let taken = Socket::bind(socket.local_addr(), &absent).unwrap_err();
            assert!(matches!(taken, BindError::InUse { .. }), "{taken:?}");
        }
        assert!(!Socket::bind("127.0.0.1:0".parse().unwrap(), &absent).unwrap().is_absent());
    }
}

#[test]
fn a_group_shares_a_port_and_strangers_stay_out() {
    for io in BOTH {
        let shared = BindOptions { reuse_port: true, ..options(io) };
        let first = Socket::bind_any(0, &shared).unwrap();
        let port = first.local_addr().port();
        let second = Socket::bind_any(port, &shared).unwrap();
        assert_eq!(first.local_addr(), second.local_addr());
        let error = Socket::bind_any(port, &options(io)).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
    }
}

#[test]
fn a_port_is_free_again_once_its_socket_is_gone() {
    let first = bind("127.0.0.1:0", Io::best());
    let address = first.local_addr();
    drop(first);
    Socket::bind(address, &BindOptions::default()).unwrap();
}

#[test]
fn small_buffers_are_granted_and_reported_as_asked() {
    let asked = BindOptions { recv_buffer: 65_536, send_buffer: 32_768, ..BindOptions::default() };
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &asked).unwrap();
    let granted = socket.buffers();
    assert_eq!((granted.recv, granted.send), (65_536, 32_768));
}

#[test]
fn absurd_buffers_are_cut_and_the_socket_works() {
    let asked =
        BindOptions { recv_buffer: usize::MAX, send_buffer: usize::MAX, ..BindOptions::default() };
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &asked).unwrap();
    assert!(socket.buffers().recv > 0 && socket.buffers().send > 0);
    let socket = std::sync::Arc::new(socket);
    client("127.0.0.1").send_to(b"still here", socket.local_addr()).unwrap();
    assert_eq!(receive_one(&socket).payload, b"still here");
}

/// As a service manager does it: the socket is bound, and has a datagram, before we get it.
#[test]
fn a_socket_that_was_bound_by_another_is_set_up_like_ours() {
    for io in BOTH {
        for (ip, peer) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
            let given = std::net::UdpSocket::bind((ip, 0)).unwrap();
            let port = given.local_addr().unwrap().port();
            let to = std::net::SocketAddr::new(peer.parse().unwrap(), port);
            client(peer).send_to(b"before", to).unwrap();
            let socket = Socket::adopt(given, &options(io)).unwrap();
            assert_eq!(socket.local_addr(), at(ip, &socket));
            assert_eq!(socket.local_addr().port(), port);
            let socket = std::sync::Arc::new(socket);
            let before = receive_one(&socket);
            assert_eq!(
                (before.payload.as_slice(), before.cast),
                (&b"before"[..], Cast::Unicast),
                "{ip}"
            );
            client(peer).send_to(b"after", to).unwrap();
            let after = receive_one(&socket);
            assert_eq!((after.local, after.cast), (Some(to.ip()), Cast::Unicast), "{ip}");
        }
    }
}

#[test]
fn an_adopted_socket_keeps_a_larger_buffer() {
    let given = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let before = Socket::adopt(given.try_clone().unwrap(), &BindOptions::default()).unwrap();
    let asked = BindOptions { recv_buffer: 8_192, send_buffer: 8_192, ..BindOptions::default() };
    let after = Socket::adopt(given, &asked).unwrap();
    assert_eq!(after.buffers(), before.buffers());
    assert!(after.buffers().recv > 8_192, "{:?}", after.buffers());
}

#[test]
fn the_parts_go_where_a_worker_thread_needs_them() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    send::<memtftp_udp::RecvBatch>();
    send::<memtftp_udp::SendBuffer>();
    send::<memtftp_udp::Poller>();
    shared::<Socket>();
    shared::<memtftp_udp::Waker>();
}
