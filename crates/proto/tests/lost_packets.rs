//! Lock-step transfers in which packets are lost, doubled or late, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::Outcome;

/// In milliseconds.
const ROUND_TRIP: u64 = 4;

/// The file of these tests: four blocks and a short one.
const LEN: usize = 4 * 512 + 100;

fn block(number: u16) -> Say {
    let file = bytes(LEN);
    let start = (usize::from(number) - 1) * 512;
    data(number, &file[start..(start + 512).min(LEN)])
}

#[test]
fn a_lost_data_1_comes_again_alike_until_the_client_is_given_up() {
    let mut server = Server::new().file("f", &bytes(LEN));
    assert_eq!(server.request(&rrq("f", &[])), [block(1)]);
    let expected = [1_000, 3_000, 7_000, 15_000].map(|at| (at, block(1)));
    assert_eq!(server.run_until(60_000), expected);
    assert_eq!(server.record().outcome, Outcome::TimedOut);
    server.ends_clean();
}

#[test]
fn a_read_goes_on_from_an_opening_that_was_lost() {
    let mut server = Server::new().file("f", &bytes(LEN));
    let opening = oack(&[("blksize", "512")]);
    server.request(&rrq("f", &[("blksize", "512")]));
    assert_eq!(server.run_until(1_000), [(1_000, opening)]);
    server.quiet_until(1_010);
    assert_eq!(server.says(&ack(0)), [block(1)]);
    // Both copies were only late: the second ACK 0 brings nothing.
    assert_eq!(server.says(&ack(0)), []);
    assert_eq!(server.says(&ack(1)), [block(2)]);
    server.says(&error(0, ""));
    server.ends_clean();
}

#[test]
fn any_one_lost_packet_of_a_read_costs_one_repeat() {
    for lost in 1..=5 {
        let mut server = Server::new().file("f", &bytes(LEN));
        let mut sent = vec![(0, server.request(&rrq("f", &[])).remove(0))];
        let mut now = 0;
        for number in 1..=5 {
            // The DATA or its ACK is lost: it looks alike from here.
            if number == lost {
                let wait = if number == 1 { 1_000 } else { 20 };
                assert_eq!(server.run_until(now + wait - 1), []);
                now += wait;
                sent.extend(server.run_until(now));
            }
            now += ROUND_TRIP;
            server.quiet_until(now);
            sent.extend(server.says(&ack(number)).into_iter().map(|say| (now, say)));
        }
        let mut expected: Vec<u16> = (1..=5).collect();
        expected.insert(usize::from(lost), lost);
        let says: Vec<Say> = sent.into_iter().map(|(_, say)| say).collect();
        assert_eq!(says, expected.into_iter().map(block).collect::<Vec<_>>());
        let record = server.record();
        assert_eq!((record.outcome, record.retransmissions), (Outcome::Complete, 1));
        server.ends_clean();
    }
}

#[test]
fn the_last_block_of_a_read_comes_again_until_it_is_acknowledged() {
    let mut server = Server::new().file("f", b"all of it");
    let only = data(1, b"all of it");
    server.request(&rrq("f", &[("blksize", "512")]));
    server.quiet_until(ROUND_TRIP);
    assert_eq!(server.says(&ack(0)), std::slice::from_ref(&only));
    let again = server.run_until(30_000);
    assert!(again.len() > 5 && again.iter().all(|(_, say)| *say == only), "{again:?}");
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.record().outcome, Outcome::Complete);
    server.quiet_until(120_000);
    server.ends_clean();
}

#[test]
fn a_read_whose_every_ack_is_doubled_sends_each_block_once() {
    for late in [0, 1, 25] {
        let mut server = Server::new().file("f", &bytes(512 * 300));
        let mut sent = server.request(&rrq("f", &[])).len();
        for number in 1..=301u16 {
            server.quiet_until(u64::from(number) * 20 + late);
            sent += server.says(&ack(number)).len();
            sent += server.says(&ack(number)).len();
            sent += server.says(&ack(number - 1)).len();
        }
        assert_eq!(sent, 301, "{late}");
        server.ends_clean();
    }
}

#[test]
fn a_lost_opening_of_an_upload_comes_again_and_the_block_after_it_is_taken() {
    let cases = [
        (&[][..], ack(0), &[8_000][..]),
        // curl would take a second OACK for the ACK of its block 1, which may be on its way.
        (&[("blksize", "512")], oack(&[("blksize", "512")]), &[]),
    ];
    for (options, opening, at) in cases {
        let mut server = Server::new();
        assert_eq!(server.request(&wrq("f", options)), std::slice::from_ref(&opening));
        let expected: Vec<_> = at.iter().map(|at| (*at, opening.clone())).collect();
        assert_eq!(server.run_until(8_000), expected);
        assert_eq!(server.says(&block(1)), [ack(1)]);
        server.says(&error(0, ""));
        server.ends_clean();
    }
}

#[test]
fn any_one_lost_block_of_an_upload_is_asked_for_again() {
    for lost in 1..=5 {
        let mut server = Server::new();
        server.request(&wrq("f", &[]));
        let mut now = 0;
        for number in 1..=5 {
            if number == lost {
                // The client is slower than we are: what it last heard comes again.
                let wait = if number == 1 { 8_000 } else { 200 };
                server.quiet_until(now + wait - 1);
                now += wait;
                assert_eq!(server.run_until(now), [(now, ack(number - 1))]);
            }
            now += ROUND_TRIP;
            server.quiet_until(now);
            assert_eq!(server.says(&block(number)), [ack(number)]);
        }
        assert_eq!(server.content("f").unwrap(), bytes(LEN));
        assert_eq!(server.record().retransmissions, 1);
        server.ends_clean();
    }
}

#[test]
fn any_one_lost_ack_of_an_upload_is_given_again_for_the_repeated_block() {
    for lost in 1..=5 {
        let mut server = Server::new();
        server.request(&wrq("f", &[]));
        for number in 1..=5 {
            server.quiet_until(u64::from(number) * ROUND_TRIP);
            assert_eq!(server.says(&block(number)), [ack(number)]);
            if number == lost {
                assert_eq!(server.says(&block(number)), [ack(number)]);
            }
        }
        assert_eq!(server.content("f").unwrap(), bytes(LEN));
        let record = server.record();
        assert_eq!((record.outcome, record.bytes), (Outcome::Complete, LEN as u64));
        assert_eq!(server.endpoint.files().commits, 1);
        server.ends_clean();
    }
}

#[test]
fn an_upload_whose_every_block_is_doubled_is_stored_once() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    for number in 1..=5 {
        assert_eq!(server.says(&block(number)), [ack(number)]);
        assert_eq!(server.says(&block(number)), [ack(number)]);
        if number > 1 {
            assert_eq!(server.says(&block(number - 1)), [], "a second repeat has to wait");
        }
    }
    assert_eq!(server.content("f").unwrap(), bytes(LEN));
    assert_eq!(server.endpoint.files().commits, 1);
    server.ends_clean();
}

#[test]
fn a_block_from_the_future_is_not_stored() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.says(&block(1));
    for number in [3, 4, 1_000, 0, 65_535] {
        // Short, so the file would end here.
        let sent = server.says(&data(number, b"x"));
        assert!(sent.is_empty() || sent == [ack(1)], "{number}: {sent:?}");
        assert_eq!(server.content("f"), None);
    }
    for number in 2..=5 {
        assert_eq!(server.says(&block(number)), [ack(number)]);
    }
    assert_eq!(server.content("f").unwrap(), bytes(LEN));
}

#[test]
fn the_last_ack_of_an_upload_is_given_again_for_ten_seconds_after_each_repeat() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    for number in 1..=5 {
        server.says(&block(number));
    }
    for repeat in 1..=3 {
        server.quiet_until(repeat * 9_999);
        assert_eq!(server.says(&block(5)), [ack(5)]);
    }
    server.quiet_until(3 * 9_999 + 10_001);
    assert_eq!(server.says(&block(5)), [error(5, "unknown transfer ID")]);
    assert_eq!(server.endpoint.files().commits, 1);
    server.ends_clean();
}

#[test]
fn late_blocks_of_an_upload_that_was_aborted_store_nothing() {
    let mut server = Server::new().file("f", b"old");
    server.request(&wrq("f", &[]));
    server.says(&block(1));
    server.says(&error(0, "stop"));
    for number in 1..=5 {
        assert_eq!(server.says(&block(number)), [], "late, not a stranger's");
    }
    server.run_until(10_001);
    assert_eq!(server.says(&block(5)), [error(5, "unknown transfer ID")]);
    assert_eq!(server.content("f").unwrap(), b"old");
    server.ends_clean();
}
