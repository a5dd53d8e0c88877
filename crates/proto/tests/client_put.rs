//! One put of the client, step by step in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::client::{Peer, ask, host, refused, timed_out};
use common::*;
use memtftp_proto::{Ask, ErrorCode, Failure, Mode, Silence, Totals};

/// The file of most tests: four blocks and a short one.
const LEN: usize = 4 * 512 + 100;

fn block(number: usize) -> Say {
    blocks(&bytes(LEN), 512, number..=number).remove(0)
}

/// A plain put whose request was answered after 10 ms.
fn begun() -> Peer {
    let mut peer = Peer::put(Ask::plain("f"), &bytes(LEN));
    assert_eq!(peer.sends(), [Say::Request(wrq("f", &[]))]);
    peer.quiet_until(10);
    assert_eq!(peer.hears(&ack(0)), [block(1)]);
    peer
}

/// A put of `file` in blocks of 8 and windows of `windowsize`, agreed after 10 ms.
fn window_of(windowsize: u16, file: &[u8]) -> Peer {
    let mut peer = Peer::put(ask(Some(8), Some(windowsize), true), file);
    peer.sends();
    peer.quiet_until(10);
    let (size, window) = (file.len().to_string(), windowsize.to_string());
    let options = [("tsize", &*size), ("blksize", "8"), ("windowsize", &*window)];
    let end = usize::from(windowsize).min(file.len() / 8 + 1);
    assert_eq!(peer.hears(&oack(&options)), blocks(file, 8, 1..=end));
    peer
}

fn totals(blocks: u64, bytes: usize, retransmissions: u32) -> Totals {
    Totals { blocks, bytes: bytes as u64, retransmissions }
}

#[test]
fn plain_put_in_lock_step_is_over_with_the_last_ack() {
    let mut peer = begun();
    for number in 1..=4 {
        assert_eq!(peer.client.totals(), totals(number - 1, 512 * (number as usize - 1), 0));
        peer.quiet_until(10 + number * 10);
        assert_eq!(peer.hears(&ack(number as u16)), [block(number as usize + 1)]);
    }
    assert_eq!(peer.client.outcome(), None);
    assert_eq!(peer.hears(&ack(5)), []);
    assert_eq!(peer.client.totals(), totals(5, LEN, 0));
    assert_eq!(peer.client.first_answer(), Some(Duration::from_millis(10)));
    assert_eq!((peer.client.announced(), peer.client.is_received()), (None, false));
    assert_eq!(peer.client.poll_timeout(), None);
    peer.ended(&Ok(()));
}

#[test]
fn sizes_around_a_block_end_with_a_short_block() {
    for len in [0, 1, 511, 512, 513, 1_024] {
        let file = bytes(len);
        let mut peer = Peer::put(Ask::plain("f"), &file);
        peer.sends();
        let last = len / 512 + 1;
        for number in 1..=last {
            let expected = blocks(&file, 512, number..=number);
            assert_eq!(peer.hears(&ack(number as u16 - 1)), expected, "{len} bytes");
        }
        assert_eq!(peer.hears(&ack(last as u16)), []);
        peer.ended(&Ok(()));
    }
}

#[test]
fn any_one_lost_block_or_ack_costs_one_repeat() {
    // With each round trip of 10 ms, less variation is left to be expected.
    const WAITS: [u64; 5] = [30, 25, 22, 20, 20];
    for lost in 1..=5 {
        let mut peer = begun();
        let mut now = 10;
        for number in 1..=5 {
            // The DATA or its ACK is lost: it looks alike from here.
            if number == lost {
                now += WAITS[lost - 1];
                peer.quiet_until(now - 1);
                let again: Vec<_> = peer.run_until(now).into_iter().map(|(_, say)| say).collect();
                assert_eq!(again, [block(number)]);
            }
            now += 10;
            peer.quiet_until(now);
            let expected = if number < 5 { vec![block(number + 1)] } else { vec![] };
            assert_eq!(peer.hears(&ack(number as u16)), expected);
        }
        assert_eq!(peer.client.totals(), totals(5, LEN, 1));
        peer.ended(&Ok(()));
    }
}

#[test]
fn a_doubled_or_late_ack_brings_no_data() {
    let mut peer = begun();
    assert_eq!(peer.hears(&ack(0)), []);
    for number in 1..=4 {
        assert_eq!(peer.hears(&ack(number)), [block(usize::from(number) + 1)]);
        for old in [number, number - 1, 0, 5, 1_000, 65_535] {
            if old != number + 1 {
                assert_eq!(peer.hears(&ack(old)), [], "{old} after {number}");
            }
        }
    }
    assert_eq!(peer.client.totals(), totals(4, 2_048, 0));
    peer.hears(&ack(5));
    peer.ended(&Ok(()));
}

#[test]
fn an_oack_that_comes_again_brings_no_data() {
    let file = bytes(8 * 10);
    let mut peer = window_of(4, &file);
    let opening = oack(&[("tsize", "80"), ("blksize", "8"), ("windowsize", "4")]);
    // The server may not have heard the window, or its answer came twice: the time-out tells.
    peer.quiet_until(20);
    for _ in 0..100 {
        assert_eq!(peer.hears(&opening), []);
    }
    let again = blocks(&file, 8, 1..=4);
    assert_eq!(peer.run_until(40), again.into_iter().map(|block| (40, block)).collect::<Vec<_>>());
    assert_eq!(peer.client.totals(), totals(0, 0, 4));
    assert_eq!(peer.hears(&ack(4)), blocks(&file, 8, 5..=8));
    assert_eq!(peer.hears(&opening), [], "it is late");
    assert_eq!(peer.hears(&ack(8)), blocks(&file, 8, 9..=11));
    assert_eq!(peer.hears(&ack(11)), []);
    assert_eq!(peer.client.totals(), totals(11, 80, 4));
    peer.ended(&Ok(()));
}

#[test]
fn a_window_travels_as_one_run_and_large_ones_in_pieces() {
    let file = bytes(8 * 100);
    let mut peer = window_of(80, &file);
    assert_eq!(peer.runs, [32, 32, 16]);
    assert_eq!((peer.client.announced(), peer.client.agreed().windowsize), (Some(800), 80));
    peer.quiet_until(20);
    assert_eq!(peer.hears(&ack(80)), blocks(&file, 8, 81..=101));
    assert_eq!(peer.runs, [32, 32, 16, 21]);
    // What has been acknowledged is not lent any more, nor what was not offered.
    for (first, count) in [(80, 1), (79, 3), (101, 2), (102, 1)] {
        assert!(peer.client.datagrams(first, count).is_none(), "{first}");
    }
    assert_eq!(peer.client.datagrams(101, 1).unwrap().count(), 1);
    peer.hears(&ack(101));
    assert!(peer.client.datagrams(101, 1).is_none(), "it is over");
    assert_eq!(peer.client.totals(), totals(101, 800, 0));
    peer.ended(&Ok(()));
}

#[test]
fn a_gap_in_a_window_starts_it_over_there_however_often_it_is_reported() {
    let file = bytes(8 * 20);
    for heard in 1..=3 {
        let mut peer = window_of(4, &file);
        peer.quiet_until(20);
        let again = blocks(&file, 8, heard + 1..=heard + 4);
        assert_eq!(peer.hears(&ack(heard as u16)), again);
        assert_eq!(peer.hears(&ack(heard as u16)), []);
        assert_eq!(peer.hears(&ack(heard as u16)), []);
        assert_eq!(peer.client.totals(), totals(heard as u64, heard * 8, 4 - heard as u32));
        peer.quiet_until(30);
        assert_eq!(peer.hears(&ack(heard as u16 + 4)).len(), 4);
    }
}

#[test]
fn a_window_without_an_answer_comes_again_after_the_time_out() {
    let file = bytes(8 * 20);
    let mut peer = window_of(4, &file);
    let window: Vec<_> = blocks(&file, 8, 1..=4);
    let expected: Vec<_> = [40, 100]
        .into_iter()
        .flat_map(|at| window.iter().map(move |say| (at, say.clone())))
        .collect();
    assert_eq!(peer.run_until(120), expected);
    assert_eq!(peer.client.totals(), totals(0, 0, 8));
    assert_eq!(peer.hears(&ack(4)), blocks(&file, 8, 5..=8));
}

#[test]
fn a_server_that_falls_silent_is_given_up_after_a_minute() {
    let mut peer = begun();
    peer.quiet_until(20);
    assert_eq!(peer.hears(&ack(1)), [block(2)]);
    let times = [
        45, 95, 195, 395, 795, 1_595, 3_195, 6_395, 12_795, 20_795, 28_795, 36_795, 44_795, 52_795,
    ];
    assert_eq!(peer.run_until(60_019), times.map(|at| (at, block(2))));
    assert_eq!(peer.client.outcome(), None);
    peer.quiet_until(60_020);
    assert_eq!(peer.client.totals(), totals(1, 512, 14));
    peer.ended(&timed_out(Silence::Midway));
    // Before any block is acknowledged it waits no longer than for the first answer.
    let mut peer = Peer::put(Ask::plain("f"), b"text");
    peer.sends();
    peer.hears(&ack(0));
    assert!(peer.run_until(15_999).len() > 5);
    assert_eq!(peer.client.outcome(), None);
    peer.quiet_until(16_000);
    peer.ended(&timed_out(Silence::LastAck));
}

#[test]
fn an_error_ends_a_put_at_any_moment() {
    for at in 0..=4 {
        let mut peer = begun();
        for number in 1..=at {
            peer.hears(&ack(number));
        }
        assert_eq!(peer.hears(&error(3, "disk full")), []);
        assert_eq!(peer.client.totals().blocks, u64::from(at));
        peer.ended(&refused(3, "disk full"));
    }
    // Behind an OACK nothing is asked again, whatever the code.
    for code in [4, 8] {
        let mut peer = window_of(4, &bytes(100));
        assert_eq!(peer.hears(&error(code, "")), []);
        peer.ended(&refused(code, ""));
    }
}

#[test]
fn another_port_of_the_server_gets_error_5_and_disturbs_nothing() {
    let mut peer = begun();
    let stray = SocketAddr::new(host(1), 3001);
    let unknown = (stray, error(5, "unknown transfer ID"));
    // The second answer to a request that was sent twice.
    for say in [ack(0), ack(1), oack(&[("blksize", "8")])] {
        assert_eq!(peer.hears_from(stray, &say), std::slice::from_ref(&unknown));
    }
    assert_eq!(peer.hears_from(stray, &error(0, "no")), []);
    assert_eq!(peer.hears_from(SocketAddr::new(host(9), 3000), &ack(1)), []);
    for number in 1..=4 {
        assert_eq!(peer.hears(&ack(number)), [block(usize::from(number) + 1)]);
    }
    peer.hears(&ack(5));
    assert_eq!(peer.client.totals(), totals(5, LEN, 0));
    peer.ended(&Ok(()));
}

#[test]
fn what_a_server_never_sends_changes_nothing() {
    let mut peer = begun();
    for say in [data(1, b"x"), data(2, b""), Say::Request(rrq("f", &[]))] {
        assert_eq!(peer.hears(&say), [], "{say:?}");
    }
    for datagram in [&b""[..], b"\0", b"\0\x04\0", b"\0\x07\0\x01", b"\x04\0\0\x01"] {
        peer.takes(peer.tid, datagram);
        assert_eq!(peer.sends(), []);
    }
    assert_eq!((peer.stored.len(), peer.client.out_of_order()), (0, 0));
    assert_eq!(peer.hears(&ack(1)), [block(2)]);
}

#[test]
fn abort_tells_the_server_unless_all_is_over() {
    for at in 0..=4 {
        let mut peer = begun();
        for number in 1..=at {
            peer.hears(&ack(number));
        }
        peer.client.abort(ErrorCode::UNDEFINED, "stop");
        assert_eq!(peer.sends(), [error(0, "stop")]);
        peer.ended(&Err(Failure::Aborted));
    }
}

#[test]
fn netascii_is_encoded_and_survives_a_gap() {
    let file = b"line\n\r".repeat(10);
    let wire = b"line\r\n\r\0".repeat(10);
    let options = Ask { mode: Mode::Netascii, ..ask(Some(9), Some(3), false) };
    let mut peer = Peer::put(options, &file);
    peer.sends();
    peer.quiet_until(10);
    let opening = oack(&[("blksize", "9"), ("windowsize", "3")]);
    assert_eq!(peer.hears(&opening), blocks(&wire, 9, 1..=3));
    peer.quiet_until(20);
    assert_eq!(peer.hears(&ack(2)), blocks(&wire, 9, 3..=5));
    peer.quiet_until(30);
    assert_eq!(peer.hears(&ack(5)), blocks(&wire, 9, 6..=8));
    peer.quiet_until(40);
    assert_eq!(peer.hears(&ack(8)), blocks(&wire, 9, 9..=9));
    assert_eq!(peer.hears(&ack(9)), []);
    assert_eq!(peer.client.totals(), totals(9, 80, 1));
    peer.ended(&Ok(()));
}

#[test]
fn block_numbers_wrap() {
    let file = bytes(8 * 65_540);
    let mut peer = window_of(16, &file);
    for acked in (16..65_541).step_by(16) {
        let sent = peer.hears(&ack(acked as u16));
        let end = (acked + 16).min(65_541);
        assert!(sent == blocks(&file, 8, acked + 1..=end), "{acked}");
    }
    assert_eq!(peer.hears(&ack(5)), []);
    assert_eq!(peer.client.totals(), totals(65_541, file.len(), 0));
    peer.ended(&Ok(()));
}
