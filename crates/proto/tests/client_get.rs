//! One get of the client, step by step in virtual time.
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

/// A plain get whose request was answered after 10 ms.
fn begun() -> Peer {
    let mut peer = Peer::get(Ask::plain("f"));
    assert_eq!(peer.sends(), [Say::Request(rrq("f", &[]))]);
    peer.quiet_until(10);
    assert_eq!(peer.hears(&block(1)), [ack(1)]);
    peer
}

/// A get of `file` in blocks of 8 and windows of `windowsize`, agreed after 10 ms.
fn window_of(windowsize: u16, file: &[u8]) -> Peer {
    let mut peer = Peer::get(ask(Some(8), Some(windowsize), true));
    peer.sends();
    peer.quiet_until(10);
    let (size, window) = (file.len().to_string(), windowsize.to_string());
    let options = [("tsize", &*size), ("blksize", "8"), ("windowsize", &*window)];
    assert_eq!(peer.hears(&oack(&options)), [ack(0)]);
    peer
}

fn totals(blocks: u64, bytes: usize, retransmissions: u32) -> Totals {
    Totals { blocks, bytes: bytes as u64, retransmissions }
}

#[test]
fn plain_get_in_lock_step_is_over_right_after_its_last_ack() {
    let mut peer = begun();
    for number in 2..=4 {
        assert_eq!(peer.hears(&block(number)), [ack(number as u16)]);
    }
    assert_eq!(peer.client.totals(), totals(4, 2_048, 0));
    assert_eq!(peer.hears(&block(5)), [], "not before the file is kept");
    assert_eq!((peer.client.outcome(), peer.client.poll_timeout()), (None, None));
    assert_eq!(peer.commits(), [ack(5)]);
    assert_eq!(peer.stored, bytes(LEN));
    // Nothing was lost, so there is nobody to stay for.
    peer.quiet_until(10);
    assert_eq!(peer.client.poll_timeout(), None);
    assert_eq!(peer.client.totals(), totals(5, LEN, 0));
    assert_eq!((peer.client.out_of_order(), peer.client.announced()), (0, None));
    assert_eq!(peer.client.first_answer(), Some(Duration::from_millis(10)));
    peer.ended(&Ok(()));
}

#[test]
fn sizes_around_a_block_end_with_a_short_block() {
    for len in [0, 1, 511, 512, 513, 1_024] {
        let file = bytes(len);
        let mut peer = Peer::get(Ask::plain("f"));
        peer.sends();
        let last = len / 512 + 1;
        for (number, block) in (1..last as u16).zip(blocks(&file, 512, 1..=last)) {
            assert_eq!(peer.hears(&block), [ack(number)]);
        }
        assert_eq!(peer.hears(&blocks(&file, 512, last..=last)[0]), []);
        assert_eq!(peer.commits(), [ack(last as u16)]);
        assert_eq!(peer.stored, file, "{len} bytes");
        peer.ended(&Ok(()));
    }
}

#[test]
fn an_oack_is_acknowledged_with_0_as_often_as_it_comes_until_data_does() {
    let file = bytes(20);
    let mut peer = Peer::get(ask(Some(8), None, true));
    assert_eq!(peer.sends(), [Say::Request(rrq("f", &[("tsize", "0"), ("blksize", "8")]))]);
    peer.quiet_until(10);
    let opening = oack(&[("TSIZE", "20"), ("blksize", "8")]);
    assert_eq!(peer.hears(&opening), [ack(0)]);
    assert_eq!((peer.client.announced(), peer.client.agreed().blksize), (Some(20), 8));
    // Our ACK 0 was lost, twice.
    assert_eq!(peer.hears(&opening), [ack(0)]);
    assert_eq!(peer.run_until(220), [(210, ack(0))]);
    assert_eq!(peer.hears(&data(1, &file[..8])), [ack(1)]);
    assert_eq!(peer.hears(&opening), [], "it is late");
    assert_eq!(peer.client.totals(), totals(1, 8, 2));
    assert_eq!(peer.hears(&data(2, &file[8..16])), [ack(2)]);
    assert_eq!(peer.hears(&data(3, &file[16..])), []);
    assert_eq!(peer.commits(), [ack(3)]);
    assert_eq!(peer.stored, file);
    peer.quiet_until(260);
    peer.quiet_until(1_000);
    peer.ended(&Ok(()));
}

#[test]
fn any_one_lost_block_or_ack_costs_one_repeat_by_either_side() {
    for lost in 2..=5 {
        for by_server in [true, false] {
            let mut peer = begun();
            for number in 2..=5 {
                if number == lost && !by_server {
                    // The server is slower than we are: it hears again how far we are.
                    let again = (10 * number as u64 + 190, ack(number as u16 - 1));
                    assert_eq!(peer.run_until(10 * number as u64 + 190), [again]);
                } else if number == lost {
                    // Our ACK was lost, so the block before comes again.
                    assert_eq!(peer.hears(&block(number - 1)), [ack(number as u16 - 1)]);
                }
                let now = if number >= lost && !by_server { 190 } else { 0 };
                peer.quiet_until(now + 10 * number as u64);
                let expected = if number < 5 { vec![ack(number as u16)] } else { vec![] };
                assert_eq!(peer.hears(&block(number)), expected, "{lost}");
            }
            assert_eq!(peer.commits(), [ack(5)]);
            assert_eq!(peer.stored, bytes(LEN));
            assert_eq!(peer.client.totals(), totals(5, LEN, 1));
            assert_eq!(peer.client.out_of_order(), u32::from(by_server));
            peer.run_until(1_000);
            peer.ended(&Ok(()));
        }
    }
}

#[test]
fn every_block_doubled_is_stored_once_and_old_ones_are_told_how_far_we_are() {
    let mut peer = begun();
    for number in 2..=4 {
        assert_eq!(peer.hears(&block(number)), [ack(number as u16)]);
        assert_eq!(peer.hears(&block(number)), [ack(number as u16)]);
        assert_eq!(peer.hears(&block(number - 1)), [], "a second repeat has to wait");
    }
    for number in [0, 6, 1_000, 65_535] {
        // Short, so the file would end here.
        let sent = peer.hears(&data(number, b"x"));
        assert!(sent.is_empty() || sent == [ack(4)], "{number}: {sent:?}");
        assert!(!peer.client.is_received());
    }
    assert_eq!(peer.hears(&block(5)), []);
    assert_eq!(peer.stored, bytes(LEN));
}

#[test]
fn the_last_ack_is_repeated_for_a_while_if_the_path_loses_packets() {
    let mut peer = begun();
    for number in 2..=4 {
        peer.hears(&block(number));
    }
    peer.hears(&block(4));
    assert_eq!(peer.hears(&block(5)), []);
    assert_eq!(peer.hears(&block(5)), [], "not kept yet");
    peer.quiet_until(100);
    assert_eq!(peer.commits(), [ack(5)]);
    assert_eq!(peer.client.outcome(), Some(&Ok(())));
    for at in [100, 200, 349] {
        peer.quiet_until(at);
        assert_eq!(peer.hears(&block(5)), [ack(5)]);
    }
    // What else comes means nothing any more.
    for say in [error(0, "stop"), ack(0), oack(&[("tsize", "1")])] {
        assert_eq!(peer.hears(&say), []);
    }
    let stray = SocketAddr::new(host(1), 4000);
    assert_eq!(peer.hears_from(stray, &block(5)), []);
    peer.quiet_until(350);
    assert_eq!(peer.client.poll_timeout(), None);
    assert_eq!(peer.hears(&block(5)), []);
    assert_eq!(peer.stored, bytes(LEN));
    peer.ended(&Ok(()));
}

#[test]
fn a_repeated_request_makes_a_client_stay_too() {
    let mut peer = Peer::get(Ask::plain("f"));
    peer.sends();
    peer.run_until(1_200);
    assert_eq!(peer.hears(&data(1, b"all")), []);
    assert_eq!(peer.commits(), [ack(1)]);
    // The second answer: the server has begun twice, from another port.
    let twin = SocketAddr::new(host(1), 3001);
    assert_eq!(peer.hears_from(twin, &data(1, b"all")), [], "it is all there");
    peer.quiet_until(1_449);
    assert_eq!(peer.hears(&data(1, b"all")), [ack(1)]);
    assert_eq!(peer.client.totals(), totals(1, 3, 1));
    peer.quiet_until(1_450);
    peer.ended(&Ok(()));
}

#[test]
fn another_port_of_the_server_gets_error_5_and_disturbs_nothing() {
    let mut peer = begun();
    let stray = SocketAddr::new(host(1), 3001);
    let unknown = (stray, error(5, "unknown transfer ID"));
    for say in [block(2), ack(0), oack(&[("blksize", "8")])] {
        assert_eq!(peer.hears_from(stray, &say), std::slice::from_ref(&unknown));
    }
    // An ERROR is never answered, and what is no packet neither; other hosts get nothing.
    assert_eq!(peer.hears_from(stray, &error(1, "no")), []);
    peer.takes(stray, b"\0\x09");
    assert_eq!(peer.hears_from(SocketAddr::new(host(9), 3000), &block(2)), []);
    assert_eq!(peer.hears_from(SocketAddr::new(host(9), 3000), &error(1, "no")), []);
    for number in 2..=5 {
        peer.hears(&block(number));
    }
    peer.commits();
    assert_eq!((peer.stored.clone(), peer.client.out_of_order()), (bytes(LEN), 0));
    peer.ended(&Ok(()));
}

#[test]
fn answers_to_strangers_that_are_not_sent_have_a_bound() {
    let mut peer = begun();
    for port in 4_000..4_020 {
        peer.takes(SocketAddr::new(host(1), port), &encode(&block(2)));
    }
    let ports: Vec<u16> = peer.sends_to().iter().map(|(to, _)| to.port()).collect();
    assert_eq!(ports, (4_000..4_008).collect::<Vec<_>>());
    assert_eq!(peer.hears(&block(2)), [ack(2)]);
}

#[test]
fn an_error_ends_a_get_at_any_moment_until_the_file_is_kept() {
    for at in 1..=5 {
        let mut peer = begun();
        for number in 2..=at {
            peer.hears(&block(number));
        }
        assert_eq!(peer.hears(&error(0, "going down")), []);
        assert_eq!(peer.client.totals().blocks, at as u64);
        peer.ended(&refused(0, "going down"));
    }
    // Before the first block, but behind an OACK.
    let mut peer = window_of(4, b"text");
    assert_eq!(peer.hears(&error(8, "on second thoughts")), []);
    peer.ended(&refused(8, "on second thoughts"));
}

#[test]
fn a_server_that_falls_silent_hears_ever_more_rarely_and_is_given_up_after_a_minute() {
    let mut peer = begun();
    assert_eq!(peer.hears(&block(2)), [ack(2)]);
    let times = [210, 610, 1_410, 3_010, 6_210, 12_610, 20_610, 28_610, 36_610, 44_610, 52_610];
    let expected = times.map(|at| (at, ack(2)));
    assert_eq!(peer.run_until(60_009), expected);
    assert_eq!(peer.client.outcome(), None);
    peer.quiet_until(60_010);
    assert_eq!(peer.client.totals(), totals(2, 1_024, 11));
    peer.ended(&timed_out(Silence::Midway));
}

#[test]
fn a_block_longer_than_agreed_is_refused_with_error_4() {
    for (mut peer, long, taken) in [(begun(), 513, 512), (window_of(4, &bytes(99)), 9, 0)] {
        let number = if taken == 0 { 1 } else { 2 };
        let answer = error(4, "DATA is longer than the block size agreed");
        assert_eq!(peer.hears(&data(number, &bytes(long))), [answer]);
        assert_eq!(peer.stored.len(), taken);
        peer.ended(&Err(Failure::TooLong));
    }
}

#[test]
fn a_block_that_cannot_be_stored_ends_the_get_with_error_3() {
    let mut peer = begun();
    peer.room = 1_024;
    assert_eq!(peer.hears(&block(2)), [ack(2)]);
    assert_eq!(peer.hears(&block(3)), [error(3, "the client cannot store the file")]);
    peer.ended(&Err(Failure::Aborted));
    // The first answer, too.
    let mut peer = Peer::get(Ask::plain("f"));
    (peer.room, _) = (0, peer.sends());
    assert_eq!(peer.hears(&block(1)), [error(3, "the client cannot store the file")]);
    peer.ended(&Err(Failure::Aborted));
}

#[test]
fn abort_tells_the_server_unless_all_is_over() {
    for at in 1..=5 {
        let mut peer = begun();
        for number in 2..=at {
            peer.hears(&block(number));
        }
        peer.client.abort(ErrorCode::UNDEFINED, "stop\n");
        assert_eq!(peer.sends(), [error(0, "stop?")]);
        peer.ended(&Err(Failure::Aborted));
    }
}

#[test]
fn commit_before_the_end_and_spare_calls_change_nothing() {
    let mut peer = begun();
    peer.client.commit(memtftp_proto::Time::ZERO);
    for _ in 0..3 {
        peer.client.handle_timeout(memtftp_proto::Time::ZERO);
        assert_eq!(peer.sends(), []);
    }
    assert!(peer.client.datagrams(1, 1).is_none(), "a get lends nothing");
    assert_eq!(peer.hears(&block(2)), [ack(2)]);
    assert_eq!((peer.client.outcome(), peer.client.is_received()), (None, false));
}

#[test]
fn windows_are_acknowledged_once_and_the_last_after_the_commit() {
    let file = bytes(8 * 10 + 3);
    let mut peer = window_of(4, &file);
    assert_eq!((peer.client.announced(), peer.client.agreed().windowsize), (Some(83), 4));
    for (number, block) in (1..).zip(blocks(&file, 8, 1..=11)) {
        let expected = if number % 4 == 0 { vec![ack(number)] } else { vec![] };
        assert_eq!(peer.hears(&block), expected);
    }
    assert_eq!(peer.commits(), [ack(11)]);
    assert_eq!((&peer.stored, peer.client.totals()), (&file, totals(11, 83, 0)));
    peer.ended(&Ok(()));
}

#[test]
fn a_gap_in_a_window_is_reported_at_once_and_once() {
    let file = bytes(8 * 10);
    for lost in 1..=3 {
        let mut peer = window_of(4, &file);
        let mut sent = Vec::new();
        for number in (1..=4).filter(|number| *number != lost) {
            sent.extend(peer.hears(&blocks(&file, 8, number..=number)[0]));
        }
        assert_eq!(sent, [ack(lost as u16 - 1)], "{lost}");
        assert_eq!(peer.client.out_of_order(), 4 - lost as u32);
        // From the gap on, in windows that begin there.
        peer.quiet_until(20);
        for number in lost..=10 {
            let sent = peer.hears(&blocks(&file, 8, number..=number)[0]);
            let ends = (number - lost) % 4 == 3;
            assert_eq!(sent, if ends { vec![ack(number as u16)] } else { vec![] });
        }
        peer.hears(&data(11, b""));
        assert_eq!(peer.commits(), [ack(11)]);
        assert_eq!(peer.stored, file);
        peer.quiet_until(269);
        assert_eq!(peer.hears(&data(11, b"")), [ack(11)], "it dallies");
        peer.quiet_until(270);
        peer.ended(&Ok(()));
    }
}

#[test]
fn a_window_whose_end_is_lost_is_asked_for_by_the_clock() {
    let file = bytes(8 * 10);
    let mut peer = window_of(4, &file);
    for block in blocks(&file, 8, 1..=3) {
        assert_eq!(peer.hears(&block), []);
    }
    assert_eq!(peer.run_until(300), [(210, ack(3))]);
    for (number, block) in (4..).zip(blocks(&file, 8, 4..=7)) {
        assert_eq!(peer.hears(&block), if number == 7 { vec![ack(7)] } else { vec![] });
    }
}

#[test]
fn netascii_is_decoded_across_blocks_and_counted_as_it_travels() {
    let options = Ask { mode: Mode::Netascii, blksize: Some(8), ..Ask::plain("f") };
    let mut peer = Peer::get(options);
    let blksize = [("blksize", "8")];
    assert_eq!(peer.sends(), [Say::Request(request(1, "f", "netascii", &blksize))]);
    assert_eq!(peer.hears(&oack(&blksize)), [ack(0)]);
    assert_eq!(peer.hears(&data(1, b"one two\r")), [ack(1)]);
    assert_eq!(peer.hears(&data(2, b"\nx\r\0")), []);
    assert_eq!(peer.commits(), [ack(2)]);
    assert_eq!(peer.stored, b"one two\nx\r");
    assert_eq!(peer.client.totals(), totals(2, 12, 0));
    peer.ended(&Ok(()));
}

#[test]
fn block_numbers_wrap() {
    let file = bytes(8 * 65_540);
    let mut peer = window_of(16, &file);
    let mut acks = Vec::new();
    for number in 1..=65_541 {
        acks.extend(peer.hears(&blocks(&file, 8, number..=number)[0]));
    }
    acks.extend(peer.commits());
    let expected: Vec<Say> =
        (1..=4_096).map(|window| ack((window * 16) as u16)).chain([ack(5)]).collect();
    assert_eq!((acks.len(), acks == expected, peer.stored == file), (4_097, true, true));
    peer.ended(&Ok(()));
}

/// A get whose server announces `size` and ends the file after these bytes.
fn announced(ask: Ask, size: &str, file: &[u8]) -> Peer {
    let mut peer = Peer::get(Ask { tsize: true, ..ask });
    peer.sends();
    peer.quiet_until(10);
    assert_eq!(peer.hears(&oack(&[("tsize", size)])), [ack(0)]);
    for block in blocks(file, 512, 1..=file.len() / 512) {
        peer.hears(&block);
    }
    peer
}

#[test]
fn fewer_bytes_than_announced_are_no_file() {
    for (len, size) in [(0, "1"), (10, "100000"), (512, "513"), (1_000, "1001")] {
        let file = bytes(len);
        let mut peer = announced(Ask::plain("f"), size, &file);
        let last = len / 512 + 1;
        let answer = peer.hears(&blocks(&file, 512, last..=last)[0]);
        assert_eq!(answer, [error(0, "fewer bytes came than were announced")], "{len}");
        assert!(!peer.client.is_received());
        let (announced, received) = (size.parse().unwrap(), len as u64);
        peer.ended(&Err(Failure::Short { announced, received }));
    }
}

#[test]
fn a_size_that_is_not_known_or_too_small_or_of_text_is_borne_with() {
    let text = Ask { mode: Mode::Netascii, ..Ask::plain("f") };
    for (ask, size) in
        [(Ask::plain("f"), "0"), (Ask::plain("f"), "9"), (Ask::plain("f"), "10"), (text, "99")]
    {
        let mut peer = announced(ask, size, b"");
        assert_eq!(peer.hears(&data(1, b"ten bytes.")), []);
        assert_eq!(peer.commits(), [ack(1)]);
        peer.ended(&Ok(()));
    }
}

#[test]
fn a_server_that_agrees_and_sends_no_block_is_told_apart() {
    let mut peer = Peer::get(ask(Some(1_428), None, false));
    peer.sends();
    peer.hears(&oack(&[("blksize", "1428")]));
    peer.run_until(120_000);
    peer.ended(&timed_out(Silence::NoBlock));
}

#[test]
fn an_answer_from_another_host_is_remembered() {
    let mut peer = Peer::get(Ask::plain("f"));
    peer.sends();
    let elsewhere = SocketAddr::new(host(9), 1_000);
    assert_eq!(peer.hears_from(elsewhere, &data(1, b"x")), []);
    peer.run_until(120_000);
    peer.ended(&timed_out(Silence::Unanswered { elsewhere: Some(elsewhere) }));
}
