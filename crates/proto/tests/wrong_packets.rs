//! Packets that have no place where they arrive: of strangers, of another kind, cut short, and the
//! ERROR that may come at any moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::{DropReason, Outcome, SocketId};

fn block(number: u16) -> Say {
    data(number, &bytes(512 * usize::from(number))[512 * usize::from(number - 1)..])
}

/// What no client of ours says to a transfer port.
fn nonsense() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [&b""[..], b"\0", b"\0\x03", b"\0\x03\0", b"\0\x04\0", b"\0\x05\0"]
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    for opcode in [0u16, 7, 9, 255, 256, 0x0300, 0x0400, 65_535] {
        all.push([&opcode.to_be_bytes()[..], b"\0\x02\0\x02"].concat());
    }
    all.push(b"\0\x06blksize\x00600\0".to_vec());
    all.push(b"\0\x01".to_vec());
    all.push(rrq("f", &[]));
    all.push(wrq("f", &[("blksize", "8")]));
    all
}

/// A read of three blocks of which the first is acknowledged.
fn reading() -> Server {
    let mut server = Server::new().file("f", &bytes(512 * 2 + 3));
    server.request(&rrq("f", &[]));
    assert_eq!(server.says(&ack(1)), [block(2)]);
    server
}

/// An upload of three blocks of which the first is there.
fn writing() -> Server {
    let mut server = Server::new().file("f", b"old");
    server.request(&wrq("f", &[]));
    assert_eq!(server.says(&block(1)), [ack(1)]);
    server
}

/// The rest of either.
fn ends_well(mut server: Server) {
    let content = server.content("f").unwrap();
    if content == b"old" {
        assert_eq!(server.says(&block(2)), [ack(2)]);
        assert_eq!(server.says(&data(3, b"end")), [ack(3)]);
        assert_eq!(server.content("f").unwrap(), [&bytes(1024)[..], b"end"].concat());
    } else {
        assert_eq!(server.says(&ack(2)), [data(3, &content[1024..])]);
        assert_eq!(server.says(&ack(3)), []);
    }
    assert_eq!(server.record().outcome, Outcome::Complete);
    server.ends_clean();
}

#[test]
fn nonsense_from_the_client_changes_nothing() {
    for mut server in [reading(), writing()] {
        for datagram in nonsense() {
            let (tid, peer) = (server.tid, server.peer);
            assert_eq!(server.datagram(tid, peer, &datagram), [], "{datagram:?}");
        }
        let dropped = server.endpoint.counters().dropped(DropReason::OutOfPlace);
        assert_eq!(dropped, nonsense().len() as u64);
        ends_well(server);
    }
}

#[test]
fn nonsense_from_a_stranger_changes_nothing_and_is_not_answered() {
    let stranger = "192.0.2.7:2001".parse().unwrap();
    for mut server in [reading(), writing()] {
        let tid = server.tid;
        for datagram in nonsense() {
            assert_eq!(server.datagram(tid, stranger, &datagram), [], "{datagram:?}");
        }
        ends_well(server);
    }
}

#[test]
fn data_in_a_read_and_acks_in_an_upload_change_nothing() {
    let mut server = reading();
    for number in [1, 2, 3] {
        assert_eq!(server.says(&data(number, b"x")), []);
    }
    ends_well(server);
    let mut server = writing();
    for number in [0, 1, 2, 65_535] {
        assert_eq!(server.says(&ack(number)), []);
    }
    ends_well(server);
}

#[test]
fn a_wrong_port_of_the_client_is_told_so_in_both_directions() {
    for mut server in [reading(), writing()] {
        let tid = server.tid;
        // The same address with another port, and another address with the same port.
        for stranger in ["192.0.2.7:2001", "192.0.2.8:2000"] {
            let stranger = stranger.parse().unwrap();
            for packet in [ack(2), data(2, b"x"), data(1, b""), ack(0)] {
                let told = server.datagram(tid, stranger, &encode(&packet));
                assert_eq!(told, [error(5, "unknown transfer ID")]);
            }
        }
        ends_well(server);
    }
}

#[test]
fn a_wrong_port_of_ours_changes_nothing() {
    for mut server in [reading(), writing()] {
        let (tid, peer) = (server.tid, server.peer);
        for socket in (0..5).map(SocketId).filter(|socket| *socket != tid) {
            for packet in [ack(2), data(2, b"x")] {
                assert_eq!(server.datagram(socket, peer, &encode(&packet)), []);
            }
        }
        server.tid = tid;
        server.records();
        ends_well(server);
    }
}

#[test]
fn an_error_of_a_stranger_ends_nothing() {
    for mut server in [reading(), writing()] {
        let (tid, peer) = (server.tid, server.peer);
        for stranger in ["192.0.2.7:2001", "192.0.2.8:2000"] {
            let stranger = stranger.parse().unwrap();
            assert_eq!(server.datagram(tid, stranger, &encode(&error(0, "stop"))), []);
        }
        // Nor one of the client that arrives at a port of ours where it has no transfer.
        let other = SocketId(if tid == SocketId(1) { 2 } else { 1 });
        assert_eq!(server.datagram(other, peer, &encode(&error(0, "stop"))), []);
        server.tid = tid;
        ends_well(server);
    }
}

#[test]
fn an_error_ends_an_upload_at_any_moment() {
    let steps: [Say; 5] = [block(1), block(2), block(2), block(1), block(4)];
    for options in [&[][..], &[("blksize", "512")], &[("windowsize", "4")]] {
        for taken in 0..=steps.len() {
            let mut server = Server::new().file("f", b"old");
            server.request(&wrq("f", options));
            for step in &steps[..taken] {
                server.says(step);
            }
            assert_eq!(server.says(&error(3, "disk full")), []);
            let record = server.record();
            assert!(matches!(record.outcome, Outcome::Aborted { code, .. } if code.0 == 3));
            server.quiet_until(120_000);
            assert_eq!(server.content("f").unwrap(), b"old");
            server.ends_clean();
        }
    }
}

#[test]
fn an_error_ends_a_read_at_any_moment() {
    for options in [&[][..], &[("blksize", "512")], &[("windowsize", "2")]] {
        for taken in 0..=3 {
            let mut server = Server::new().file("f", &bytes(5_000));
            server.request(&rrq("f", options));
            for number in 0..taken {
                server.quiet_until(u64::from(number) * 5);
                server.says(&ack(number));
            }
            // In the middle of the repeats too.
            server.run_until(1_500);
            assert_eq!(server.says(&error(0, "stop")), []);
            assert!(matches!(server.record().outcome, Outcome::Aborted { .. }));
            server.quiet_until(120_000);
            server.ends_clean();
        }
    }
}

#[test]
fn an_error_after_the_end_is_absorbed() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.says(&data(1, b"abc"));
    assert_eq!(server.says(&error(0, "oh")), []);
    assert_eq!(server.content("f").unwrap(), b"abc");
    assert_eq!(server.request(&rrq("f", &[])), [data(1, b"abc")]);
    server.says(&ack(1));
    assert_eq!(server.says(&error(0, "oh")), []);
    let outcomes: Vec<_> = server.records().into_iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Complete, Outcome::Complete]);
    server.quiet_until(120_000);
    server.ends_clean();
}

#[test]
fn an_error_needs_neither_a_text_nor_its_end() {
    for datagram in
        [&b"\0\x05\0\0"[..], b"\0\x05\0\0stop", b"\0\x05\xff\xff\0", b"\0\x05\0\x02\xff"]
    {
        for mut server in [reading(), writing()] {
            let (tid, peer) = (server.tid, server.peer);
            assert_eq!(server.datagram(tid, peer, datagram), []);
            assert!(matches!(server.record().outcome, Outcome::Aborted { .. }));
            server.ends_clean();
        }
    }
}

#[test]
fn an_error_of_ours_is_sent_once() {
    let mut server = Server::new();
    server.endpoint.files().max_len = Some(600);
    server.request(&wrq("f", &[]));
    server.says(&block(1));
    assert_eq!(server.says(&block(2)), [error(3, "too large")]);
    // It may be lost; the client repeats its block in vain and gives up by itself.
    for step in 1..5 {
        server.quiet_until(step * 1_000);
        assert_eq!(server.says(&block(2)), []);
    }
    server.quiet_until(120_000);
    server.ends_clean();
}
