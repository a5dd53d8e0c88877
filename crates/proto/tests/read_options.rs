//! Reads with options and in netascii, step by step in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::{Datagram, Endpoint, Limits, Outcome, Route, Time, Transmit};

#[test]
fn a_size_probe_is_known_as_one() {
    let mut server = Server::new().file("f", &bytes(77));
    let sent =
        server.request(&rrq("f", &[("tsize", "0"), ("blksize", "1428"), ("windowsize", "4")]));
    assert_eq!(sent, [oack(&[("tsize", "77"), ("blksize", "1428"), ("windowsize", "4")])]);
    assert_eq!(server.says(&error(8, "User aborted the transfer")), []);
    assert!(matches!(server.record().outcome, Outcome::Probe { .. }));
    server.ends_clean();
}

#[test]
fn the_timeout_option_sets_the_wait() {
    for (seconds, expected) in
        [("1", vec![1_000, 3_000, 7_000, 15_000]), ("5", vec![5_000, 13_000])]
    {
        let mut server = Server::new().file("f", b"x");
        let opening = [oack(&[("timeout", seconds)])];
        assert_eq!(server.request(&rrq("f", &[("timeout", seconds)])), opening);
        let last = expected[expected.len() - 1];
        let again: Vec<u64> = server.run_until(last).iter().map(|(at, _)| *at).collect();
        assert_eq!(again, expected, "timeout={seconds}");
    }
}

#[test]
fn an_empty_file_has_no_tsize() {
    let mut server = Server::new().file("f", b"");
    let asked = [("tsize", "0"), ("blksize", "512"), ("timeout", "6")];
    let sent = server.request(&rrq("f", &asked));
    assert_eq!(sent, [oack(&[("blksize", "512"), ("timeout", "6")])]);
    assert_eq!(server.says(&ack(0)), [data(1, b"")]);
}

#[test]
fn nothing_agreed_means_plain_data() {
    let mut server = Server::new().file("f", b"x");
    let odd = [("multicast", ""), ("msftwindow", "31416"), ("blksize", "7"), ("foo", "1")];
    assert_eq!(server.request(&rrq("f", &odd)), [data(1, b"x")]);
}

#[test]
fn netascii_is_encoded_and_its_size_is_the_size_on_the_wire() {
    let mut server = Server::new().file("f", b"a\nb\rc");
    let sent = server.request(&request(1, "f", "NetASCII", &[("tsize", "0")]));
    assert_eq!(sent, [oack(&[("tsize", "7")])]);
    assert_eq!(server.says(&ack(0)), [data(1, b"a\r\nb\r\0c")]);
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.record().bytes, 7);
}

#[test]
fn a_large_netascii_file_is_not_read_through_for_its_size() {
    let asks = |len: usize| {
        let mut server = Server::new().file("f", &vec![b'\n'; len]);
        server.request(&request(1, "f", "netascii", &[("tsize", "0"), ("blksize", "512")]))
    };
    assert_eq!(asks(1 << 20), [oack(&[("tsize", "2097152"), ("blksize", "512")])]);
    assert_eq!(asks((1 << 20) + 1), [oack(&[("blksize", "512")])]);
}

#[test]
fn netascii_survives_loss_in_a_window() {
    let text = b"line\n".repeat(100);
    let wire = b"line\r\n".repeat(100);
    let mut server = Server::new().file("f", &text);
    server.request(&request(1, "f", "netascii", &[("blksize", "8"), ("windowsize", "4")]));
    server.quiet_until(2);
    assert_eq!(server.says(&ack(0)), blocks(&wire, 8, 1..=4));
    server.quiet_until(4);
    assert_eq!(server.says(&ack(2)), blocks(&wire, 8, 3..=6));
    server.quiet_until(6);
    assert_eq!(server.says(&ack(6)), blocks(&wire, 8, 7..=10));
}

#[test]
fn limits_cap_what_is_agreed() {
    let mut server = Server::new().file("f", b"x");
    server.endpoint.files().limits =
        Some(Limits { max_blksize: 1400, max_windowsize: 16, max_window_bytes: 1 << 20 });
    let sent = server.request(&rrq("f", &[("blksize", "65464"), ("windowsize", "64")]));
    assert_eq!(sent, [oack(&[("blksize", "1400"), ("windowsize", "16")])]);
}

#[test]
fn a_run_is_not_lent_once_its_window_has_moved() {
    let wire = b"line\r\n".repeat(100);
    let mut server = Server::new().file("f", &b"line\n".repeat(100));
    server.request(&request(1, "f", "netascii", &[("blksize", "8"), ("windowsize", "4")]));
    let peer = server.peer;
    let route = Route { socket: server.tid, peer, local: Some("192.0.2.1".parse().unwrap()) };
    let say = |endpoint: &mut Endpoint<Memory>, block: u16| {
        let payload = encode(&ack(block));
        let datagram = Datagram { route, directed: true, payload: &payload };
        endpoint.handle_datagram(Time::ZERO, &datagram);
        match endpoint.poll_transmit(Time::ZERO) {
            Some(Transmit::Run(run)) => run,
            other => panic!("{other:?}"),
        }
    };
    let waiting = say(&mut server.endpoint, 0);
    assert_eq!(server.endpoint.payload(&waiting), Some(&wire[..32]));
    let next = say(&mut server.endpoint, 2);
    assert_eq!(server.endpoint.payload(&waiting), None);
    assert_eq!(server.endpoint.payload(&next), Some(&wire[16..48]));
}
