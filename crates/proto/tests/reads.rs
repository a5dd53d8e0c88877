//! One read, step by step in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use memtftp_proto::{DropReason, ErrorCode, Outcome, SocketId};

fn window_of(windowsize: &str, file: &[u8]) -> Server {
    let mut server = Server::new().file("f", file);
    let opening = [("blksize", "8"), ("windowsize", windowsize)];
    assert_eq!(server.request(&rrq("f", &opening)), [oack(&opening)]);
    server
}

#[test]
fn plain_read_in_lock_step() {
    let file = bytes(1025);
    let mut server = Server::new().file("f", &file);
    assert_eq!(server.request(&rrq("f", &[])), blocks(&file, 512, 1..=1));
    assert_ne!(server.tid, LISTENING);
    assert_eq!(server.says(&ack(1)), blocks(&file, 512, 2..=2));
    assert_eq!(server.says(&ack(2)), blocks(&file, 512, 3..=3));
    assert_eq!(server.says(&ack(3)), []);
    let record = server.record();
    assert_eq!((record.outcome, record.bytes, record.blocks), (Outcome::Complete, 1025, 3));
    assert_eq!(record.retransmissions, 0);
    server.ends_clean();
}

#[test]
fn sizes_around_a_block_end_with_a_short_block() {
    for len in [0, 1, 511, 512, 513, 1024] {
        let file = bytes(len);
        let mut server = Server::new().file("f", &file);
        let mut sent = server.request(&rrq("f", &[]));
        let mut received = Vec::new();
        for block in 1.. {
            let [Say::Data(number, payload)] = &sent[..] else { panic!("{sent:?}") };
            assert_eq!(*number, block);
            received.extend_from_slice(payload);
            let last = payload.len() < 512;
            sent = server.says(&ack(block));
            if last {
                break;
            }
        }
        assert_eq!((received, sent), (file, vec![]), "{len} bytes");
        server.ends_clean();
    }
}

#[test]
fn lost_opening_is_sent_again_with_growing_gaps_until_given_up() {
    let mut server = Server::new().file("f", b"x");
    let opening = oack(&[("blksize", "8")]);
    assert_eq!(server.request(&rrq("f", &[("blksize", "8")])), std::slice::from_ref(&opening));
    let again: Vec<u64> = server.run_until(60_000).into_iter().map(|(at, _)| at).collect();
    assert_eq!(again, [1_000, 3_000, 7_000, 15_000]);
    let record = server.record();
    assert_eq!((record.outcome, record.retransmissions), (Outcome::TimedOut, 4));
    server.ends_clean();
}

#[test]
fn lost_data_or_lost_ack_brings_the_same_block_again() {
    let file = bytes(600);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[]));
    server.quiet_until(10);
    assert_eq!(server.says(&ack(1)), blocks(&file, 512, 2..=2));
    // The first round trip took 10 ms, so the second wait is far below a second.
    let again = server.run_until(99);
    assert_eq!(again, [(40, blocks(&file, 512, 2..=2).remove(0))]);
    assert_eq!(server.says(&ack(2)), []);
    assert_eq!(server.record().retransmissions, 1);
    server.ends_clean();
}

#[test]
fn a_repeated_ack_brings_no_data() {
    let file = bytes(5000);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[]));
    server.quiet_until(5);
    for block in 1..9 {
        assert_eq!(server.says(&ack(block)).len(), 1);
        assert_eq!(server.says(&ack(block)), []);
        assert_eq!(server.says(&ack(block - 1)), []);
        assert_eq!(server.says(&ack(block + 1000)), []);
    }
    server.says(&error(0, ""));
    server.ends_clean();
}

#[test]
fn a_repeated_ack_0_doubles_nothing() {
    let mut server = window_of("4", &bytes(100));
    assert_eq!(server.says(&ack(0)).len(), 4);
    assert_eq!(server.says(&ack(0)), []);
}

#[test]
fn windows_are_sent_whole_and_acknowledged_once() {
    let file = bytes(8 * 6);
    let mut server = window_of("4", &file);
    assert_eq!(server.says(&ack(0)), blocks(&file, 8, 1..=4));
    assert_eq!(server.says(&ack(4)), blocks(&file, 8, 5..=7));
    assert_eq!(server.says(&ack(7)), []);
    assert_eq!(server.record().blocks, 7);
    server.ends_clean();
}

#[test]
fn a_gap_restarts_the_window_once_however_often_it_is_reported() {
    let file = bytes(200);
    let mut server = window_of("4", &file);
    server.quiet_until(2);
    server.says(&ack(0));
    server.quiet_until(4);
    // Block 2 was lost; edk2 answers 3 and 4 with ACK 1 each.
    assert_eq!(server.says(&ack(1)), blocks(&file, 8, 2..=5));
    server.quiet_until(6);
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.says(&ack(5)), blocks(&file, 8, 6..=9));
}

#[test]
fn a_lost_first_block_of_a_window_is_repaired_without_a_time_out() {
    let file = bytes(200);
    let mut server = window_of("4", &file);
    server.quiet_until(2);
    server.says(&ack(0));
    server.quiet_until(4);
    assert_eq!(server.says(&ack(4)), blocks(&file, 8, 5..=8));
    // A copy of that ACK made by the network comes too soon to mean a gap.
    assert_eq!(server.says(&ack(4)), []);
    server.quiet_until(6);
    assert_eq!(server.says(&ack(4)), blocks(&file, 8, 5..=8));
    assert_eq!(server.says(&ack(4)), []);
}

#[test]
fn after_a_time_out_the_last_ack_sets_the_window() {
    let file = bytes(200);
    let mut server = window_of("4", &file);
    server.quiet_until(20);
    server.says(&ack(0));
    let again = server.run_until(100);
    let expected: Vec<_> = blocks(&file, 8, 1..=4).into_iter().map(|say| (80, say)).collect();
    assert_eq!(again, expected);
    // The answer to the first transmission, late: block 4 is on its way again already.
    assert_eq!(server.says(&ack(3)), blocks(&file, 8, 5..=7));
    // Nothing follows in a round trip, so it is missing after all.
    let again: Vec<Say> = server.run_until(123).into_iter().map(|(_, say)| say).collect();
    assert_eq!(again, blocks(&file, 8, 4..=7));
}

#[test]
fn repeated_loss_stretches_the_window_and_clean_windows_shrink_it_back() {
    let file = bytes(8 * 1000);
    let mut server = window_of("8", &file);
    server.quiet_until(1);
    assert_eq!(server.says(&ack(0)).len(), 8);
    let again: Vec<u64> = server.run_until(200).into_iter().map(|(at, _)| at).collect();
    // The third loss in a row: half the window, and the rest a moment later.
    let expected = [[21; 8], [61; 8], [141, 141, 141, 141, 142, 142, 142, 142]].concat();
    assert_eq!(again, expected);
    assert_eq!(server.says(&ack(8)).len(), 8);
}

#[test]
fn block_numbers_wrap_inside_a_window() {
    let file = bytes(8 * 65_540 + 3);
    let mut server = window_of("32767", &file);
    let mut sent = server.says(&ack(0));
    let mut next = 1usize;
    while let Some(Say::Data(number, payload)) = sent.last().cloned() {
        let window = blocks(&file, 8, next..=next + sent.len() - 1);
        assert!(sent == window, "from block {next}");
        next += sent.len();
        sent = server.says(&ack(number));
        assert_eq!(sent.is_empty(), payload.len() < 8);
    }
    assert_eq!(server.record().blocks, 65_541);
}

#[test]
fn an_error_ends_the_session_in_every_state_and_is_never_answered() {
    for acks in [vec![], vec![0], vec![0, 4], vec![0, 2]] {
        let mut server = window_of("4", &bytes(500));
        for block in &acks {
            server.says(&ack(*block));
        }
        assert_eq!(server.says(&error(8, "User aborted the transfer")), []);
        let text = b"User aborted the transfer".to_vec();
        let expected = Outcome::Aborted { code: ErrorCode(8), text };
        assert_eq!(server.record().outcome, expected, "after {acks:?}");
        server.quiet_until(60_000);
        server.ends_clean();
    }
}

#[test]
fn an_error_on_the_listening_port_ends_that_clients_transfer() {
    let mut server = Server::new().file("f", &bytes(77));
    server.request(&rrq("f", &[("tsize", "0")]));
    assert_eq!(server.request(&encode(&error(0, "Early terminate"))), []);
    assert!(matches!(server.record().outcome, Outcome::Probe { .. }));
}

#[test]
fn a_repeated_request_gets_the_same_first_answer_from_the_same_port() {
    for options in [&[][..], &[("blksize", "8"), ("tsize", "0")]] {
        let mut server = Server::new().file("f", &bytes(100));
        let first = server.request(&rrq("f", options));
        let tid = server.tid;
        server.quiet_until(100);
        assert_eq!(server.request(&rrq("f", options)), first);
        // A second repeat has to wait, and comes by itself.
        assert_eq!(server.request(&rrq("f", options)), []);
        assert_eq!(server.run_until(120), [(120, first[0].clone())]);
        assert_eq!((server.endpoint.live_sessions(), server.tid), (1, tid));
        server.says(&error(0, ""));
        assert_eq!(server.record().repeats, 2);
        server.ends_clean();
    }
}

#[test]
fn the_same_request_after_progress_starts_over_on_another_port() {
    let file = bytes(2000);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    let old = server.tid;
    assert_eq!(server.starts_over(&rrq("f", &[])), blocks(&file, 512, 1..=1));
    assert_ne!(server.tid, old);
    assert_eq!((server.records().len(), server.endpoint.live_sessions()), (0, 2));
    assert_eq!(server.says(&ack(1)), blocks(&file, 512, 2..=2));
    assert_eq!(server.record().outcome, Outcome::Superseded);
    assert_eq!(server.endpoint.live_sessions(), 1);
    // What was under way for the old transfer does not touch the new one.
    let peer = server.peer;
    assert_eq!(server.datagram(old, peer, &encode(&ack(1))), []);
    assert_eq!(server.says(&ack(2)), blocks(&file, 512, 3..=3));
}

/// It waited in the socket while the client got its first answer.
#[test]
fn a_late_repeat_of_the_request_does_not_disturb_the_transfer() {
    let file = bytes(3_000);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[]));
    for number in 1..=5u16 {
        server.quiet_until(u64::from(number) * 20);
        let next = usize::from(number) + 1;
        assert_eq!(server.says(&ack(number)), blocks(&file, 512, next..=next));
        assert_eq!(server.datagram(LISTENING, server.peer, &rrq("f", &[])), []);
    }
    server.says(&ack(6));
    let record = server.record();
    assert_eq!((record.outcome, record.repeats), (Outcome::Complete, 5));
    server.ends_clean();
}

#[test]
fn another_file_from_the_same_port_replaces_the_transfer() {
    let mut server = Server::new().file("a", &bytes(700)).file("b", b"b");
    server.request(&rrq("a", &[]));
    assert_eq!(server.request(&rrq("b", &[])), [data(1, b"b")]);
    assert_eq!(server.record().outcome, Outcome::Superseded);
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.record().outcome, Outcome::Complete);
    server.ends_clean();
}

#[test]
fn a_stranger_gets_error_5_and_changes_nothing() {
    let file = bytes(2000);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[]));
    let stranger = "192.0.2.7:2001".parse().unwrap();
    let tid = server.tid;
    let refused = [error(5, "unknown transfer ID")];
    assert_eq!(server.datagram(tid, stranger, &encode(&ack(1))), refused);
    assert_eq!(server.datagram(tid, stranger, &encode(&error(0, "stop"))), []);
    assert_eq!(server.datagram(tid, stranger, b"\0\x09"), []);
    assert_eq!(server.says(&ack(1)), blocks(&file, 512, 2..=2));
    assert_eq!(server.records().len(), 0);
}

#[test]
fn answers_to_strangers_are_limited() {
    let mut server = Server::new();
    let stranger = "192.0.2.9:9".parse().unwrap();
    let answered = |server: &mut Server| {
        (0..1000)
            .filter(|_| !server.datagram(SocketId(1), stranger, &encode(&ack(1))).is_empty())
            .count()
    };
    assert_eq!(answered(&mut server), 100);
    assert_eq!(server.endpoint.counters().dropped(DropReason::Stray), 900);
    server.quiet_until(1000);
    assert_eq!(answered(&mut server), 100);
}

#[test]
fn late_packets_of_a_finished_read_are_absorbed() {
    let mut server = Server::new().file("f", b"x");
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.endpoint.counters().dropped(DropReason::Late), 1);
    server.quiet_until(10_000);
    assert_eq!(server.says(&ack(1)), [error(5, "unknown transfer ID")]);
}

#[test]
fn a_missing_file_costs_one_packet_even_if_the_error_is_acknowledged() {
    let mut server = Server::new();
    assert_eq!(server.request(&rrq("f", &[("tsize", "0")])), [error(1, "file not found")]);
    assert_eq!(server.says(&ack(0)), []);
    let record = server.record();
    assert!(matches!(record.outcome, Outcome::Refused(refusal) if refusal.code == ErrorCode(1)));
    server.quiet_until(60_000);
    server.ends_clean();
}

#[test]
fn the_window_waits_until_the_client_has_proved_itself() {
    let mut server = window_of("64", &bytes(8000));
    let unproven: usize = server.run_until(15_999).len();
    assert_eq!(unproven, 4, "the OACK and nothing else");
    assert_eq!(server.says(&ack(0)).len(), 64);
}

#[test]
fn a_read_that_storage_answers_later_absorbs_repeats() {
    let mut server = Server::new().file("f", b"x");
    server.endpoint.files().later = true;
    assert_eq!(server.request(&rrq("f", &[])), []);
    assert_eq!(server.request(&rrq("f", &[])), []);
    assert_eq!(server.resolve_later(None), [data(1, b"x")]);
    assert_eq!(server.says(&ack(1)), []);
    assert_eq!(server.record().repeats, 1);
    server.ends_clean();
}

#[test]
fn single_port_answers_from_the_port_that_was_asked() {
    let file = bytes(600);
    let mut server = Server::single_port().file("f", &file);
    assert_eq!(server.request(&rrq("f", &[])), blocks(&file, 512, 1..=1));
    assert_eq!(server.tid, LISTENING);
    assert_eq!(server.says(&ack(1)), blocks(&file, 512, 2..=2));
    assert_eq!(server.says(&ack(2)), []);
    assert_eq!(server.says(&ack(2)), []);
    assert_eq!(server.records().len(), 1);
}

#[test]
fn consecutive_transfers_use_different_ports() {
    let mut server = Server::new().file("f", b"x");
    let mut last = LISTENING;
    let mut seen = std::collections::HashSet::new();
    for port in 3000..4000 {
        server.peer.set_port(port);
        server.request(&rrq("f", &[]));
        assert_ne!(server.tid, last);
        last = server.tid;
        seen.insert(last);
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn starting_over_on_the_same_port_keeps_the_version() {
    let (old, new) = ([1; 1000], [2; 1000]);
    // On one port the client could not tell the blocks of two versions apart.
    let mut server = Server::single_port().file("f", &old);
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    server.endpoint.files().files.insert(b"f".to_vec(), new.to_vec());
    assert_eq!(server.starts_over(&rrq("f", &[])), blocks(&old, 512, 1..=1));
    assert_eq!(server.request(&rrq("f", &[("blksize", "600")])), [oack(&[("blksize", "600")])]);
    assert_eq!(server.says(&ack(0)), blocks(&new, 600, 1..=1), "another request, another version");

    let mut server = Server::new().file("f", &old);
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    server.endpoint.files().files.insert(b"f".to_vec(), new.to_vec());
    assert_eq!(server.starts_over(&rrq("f", &[])), blocks(&new, 512, 1..=1));
}

#[test]
fn a_copied_ack_does_not_double_the_rest_of_a_windowed_transfer() {
    for windowsize in [2u16, 4, 16, 64] {
        let file = bytes(8 * 2000 + 1);
        let mut server = window_of(&windowsize.to_string(), &file);
        let mut now = 2;
        server.quiet_until(now);
        let (mut expected, mut sent) = (1u16, 0);
        let mut arriving = server.says(&ack(0));
        let mut copied = false;
        // A client like edk2's: it answers each block that it did not expect.
        while expected <= 2001 {
            sent += arriving.len();
            let mut acks = Vec::new();
            let mut since_ack = 0;
            for say in &arriving {
                let Say::Data(number, payload) = say else { panic!("{say:?}") };
                if *number == expected {
                    expected += 1;
                    since_ack += 1;
                    if since_ack == windowsize || payload.len() < 8 {
                        acks.push(expected - 1);
                        since_ack = 0;
                    }
                } else {
                    acks.push(expected - 1);
                }
            }
            now += 2;
            arriving = server.run_until(now).into_iter().map(|(_, say)| say).collect();
            for block in acks {
                arriving.extend(server.says(&ack(block)));
                if !std::mem::replace(&mut copied, true) {
                    // One copy of one ACK, made by the network, later than half a round trip.
                    sent += server.run_until(now + 1).len();
                    now += 1;
                    server.quiet_until(now);
                    now += 1;
                    arriving.extend(server.run_until(now).into_iter().map(|(_, say)| say));
                    arriving.extend(server.says(&ack(block)));
                }
            }
        }
        let most = 2001 + 2 * usize::from(windowsize);
        assert!(sent <= most, "window {windowsize}: {sent} DATA for 2001 blocks");
    }
}
