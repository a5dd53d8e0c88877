//! One upload, step by step in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use memtftp_proto::{ErrorCode, Outcome, Refusal};

fn window_of(windowsize: &str) -> Server {
    let mut server = Server::new();
    let opening = [("blksize", "8"), ("windowsize", windowsize)];
    assert_eq!(server.request(&wrq("f", &opening)), [oack(&opening)]);
    server
}

fn block(number: u16) -> Say {
    data(number, &bytes(8 * usize::from(number))[8 * usize::from(number - 1)..])
}

#[test]
fn plain_write_in_lock_step_is_visible_when_complete() {
    let mut server = Server::new();
    assert_eq!(server.request(&wrq("f", &[])), [ack(0)]);
    assert_eq!(server.says(&data(1, &[7; 512])), [ack(1)]);
    assert_eq!(server.content("f"), None);
    assert_eq!(server.says(&data(2, &[8; 3])), [ack(2)]);
    assert_eq!(server.content("f").unwrap(), [&[7; 512][..], &[8; 3]].concat());
    let record = server.record();
    assert_eq!((record.outcome, record.bytes, record.blocks), (Outcome::Complete, 515, 2));
    server.ends_clean();
}

#[test]
fn repeated_data_is_acknowledged_again_and_stored_once() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    for _ in 0..2 {
        assert_eq!(server.says(&data(1, &[7; 512])), [ack(1)]);
    }
    assert_eq!(server.says(&data(1, &[7; 512])), [], "a second repeat has to wait");
    for _ in 0..2 {
        assert_eq!(server.says(&data(2, b"end")), [ack(2)]);
    }
    assert_eq!(server.says(&data(2, b"end")), [], "a second repeat has to wait");
    server.quiet_until(3_000);
    assert_eq!(server.says(&data(2, b"end")), [ack(2)], "the last ACK was lost");
    server.quiet_until(4_000);
    assert_eq!(server.says(&data(1, &[7; 512])), [ack(2)], "an old block begins a repeat");
    assert_eq!(server.content("f").unwrap().len(), 515);
    assert_eq!(server.endpoint.files().commits, 1);
    assert_eq!(server.records().len(), 1);
    server.ends_clean();
}

#[test]
fn empty_and_exact_files() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    assert_eq!(server.says(&data(1, b"")), [ack(1)]);
    assert_eq!(server.content("f").unwrap(), b"");
    server.request(&wrq("g", &[]));
    server.says(&data(1, &[1; 512]));
    assert_eq!(server.content("g"), None);
    server.says(&data(2, b""));
    assert_eq!(server.content("g").unwrap(), [1; 512]);
}

#[test]
fn a_window_gets_one_ack() {
    let mut server = window_of("4");
    for number in 1..4 {
        assert_eq!(server.says(&block(number)), []);
    }
    assert_eq!(server.says(&block(4)), [ack(4)]);
    assert_eq!(server.says(&block(5)), []);
    assert_eq!(server.says(&data(6, b"end")), [ack(6)]);
}

#[test]
fn a_gap_is_reported_at_once_and_once() {
    let mut server = window_of("4");
    server.says(&block(1));
    assert_eq!(server.says(&block(3)), [ack(1)]);
    assert_eq!(server.says(&block(4)), []);
    // The sender starts over behind block 1, with a whole window.
    for number in 2..5 {
        assert_eq!(server.says(&block(number)), []);
    }
    assert_eq!(server.says(&block(5)), [ack(5)]);
}

#[test]
fn a_repeated_window_is_answered_with_its_ack() {
    let mut server = window_of("4");
    for number in 1..5 {
        server.says(&block(number));
    }
    // The ACK was lost and the whole window comes again.
    assert_eq!(server.says(&block(1)), [ack(4)]);
    for number in 2..5 {
        assert_eq!(server.says(&block(number)), []);
    }
    assert_eq!(server.says(&data(5, b"x")), [ack(5)]);
    assert_eq!(server.content("f").unwrap().len(), 33);
}

#[test]
fn a_silent_client_hears_the_last_ack_again_and_is_given_up() {
    let mut server = Server::new().file("f", b"old");
    server.request(&wrq("f", &[]));
    server.quiet_until(10);
    server.says(&data(1, &[7; 512]));
    let again = server.run_until(61_000);
    assert_eq!(again[0], (210, ack(1)));
    assert!(again.windows(2).all(|pair| pair[1].0 > pair[0].0 && pair[1].1 == ack(1)));
    let record = server.record();
    assert_eq!((record.outcome, record.bytes), (Outcome::TimedOut, 512));
    assert_eq!(server.content("f").unwrap(), b"old");
    server.ends_clean();
}

#[test]
fn an_upload_that_never_sends_gets_three_packets_and_a_minute() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    let again: Vec<u64> = server.run_until(60_000).into_iter().map(|(at, _)| at).collect();
    assert_eq!(again, [8_000, 16_000]);
    assert_eq!(server.record().outcome, Outcome::TimedOut);
    server.ends_clean();
}

#[test]
fn an_error_abandons_the_upload() {
    let mut server = Server::new().file("f", b"old");
    server.request(&wrq("f", &[]));
    server.says(&data(1, &[7; 512]));
    assert_eq!(server.says(&error(0, "Interrupted")), []);
    assert!(matches!(server.record().outcome, Outcome::Aborted { .. }));
    assert_eq!(server.content("f").unwrap(), b"old");
    server.ends_clean();
}

#[test]
fn a_repeated_request_before_data_is_answered_alike() {
    let mut server = Server::new();
    assert_eq!(server.request(&wrq("f", &[("tsize", "3")])), [oack(&[("tsize", "3")])]);
    assert_eq!(server.request(&wrq("f", &[("tsize", "3")])), [oack(&[("tsize", "3")])]);
    assert_eq!(server.says(&data(1, b"abc")), [ack(1)]);
    assert_eq!(server.record().repeats, 1);
}

#[test]
fn a_repeated_request_after_data_starts_over() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.says(&data(1, &[7; 512]));
    assert_eq!(server.request(&wrq("f", &[])), [], "a late repeat");
    assert_eq!(server.starts_over(&wrq("f", &[])), [ack(0)]);
    assert_eq!(server.endpoint.live_sessions(), 2);
    assert_eq!(server.says(&data(1, b"new")), [ack(1)]);
    let outcomes: Vec<Outcome> = server.records().into_iter().map(|r| r.outcome).collect();
    assert_eq!(outcomes, [Outcome::Superseded, Outcome::Complete]);
    assert_eq!(server.content("f").unwrap(), b"new");
}

#[test]
fn a_full_budget_ends_the_upload_with_error_3() {
    let mut server = Server::new();
    server.endpoint.files().max_len = Some(600);
    server.request(&wrq("f", &[]));
    server.says(&data(1, &[7; 512]));
    assert_eq!(server.says(&data(2, &[7; 512])), [error(3, "too large")]);
    assert_eq!(server.says(&data(2, &[7; 512])), [], "the session absorbs what is under way");
    assert!(matches!(server.record().outcome, Outcome::Refused(r) if r.code == ErrorCode::FULL));
    assert_eq!(server.request(&wrq("f", &[("tsize", "601")])), [error(3, "too large")]);
    server.ends_clean();
}

#[test]
fn data_longer_than_agreed_is_refused() {
    let mut server = window_of("1");
    let refused = [error(4, "DATA is longer than the block size agreed")];
    assert_eq!(server.says(&data(1, &[0; 9])), refused);
    assert_eq!(server.content("f"), None);
    server.ends_clean();
}

#[test]
fn netascii_is_decoded_across_blocks() {
    let mut server = Server::new();
    server.request(&request(2, "f", "netascii", &[("blksize", "8")]));
    server.says(&data(1, b"1234567\r"));
    server.says(&data(2, b"\nabcdef\r"));
    server.says(&data(3, b"\0x"));
    assert_eq!(server.content("f").unwrap(), b"1234567\nabcdef\rx");
}

#[test]
fn block_numbers_wrap() {
    let mut server = Server::new();
    let opening = [("blksize", "8")];
    server.request(&wrq("f", &opening));
    for index in 1..=65_537u64 {
        let payload = index.to_be_bytes();
        assert_eq!(server.says(&data(index as u16, &payload)), [ack(index as u16)]);
    }
    server.says(&data(2, b""));
    let content = server.content("f").unwrap();
    assert_eq!(content.len(), 65_537 * 8);
    assert_eq!(content[65_536 * 8..], 65_537u64.to_be_bytes());
}

#[test]
fn the_last_ack_waits_for_the_commit() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.endpoint.files().later = true;
    assert_eq!(server.says(&data(1, b"abc")), []);
    assert_eq!(server.says(&data(1, b"abc")), [], "repeats are absorbed");
    server.quiet_until(20_000);
    assert_eq!(server.resolve_later(None), [ack(1)]);
    assert_eq!(server.says(&data(1, b"abc")), [ack(1)]);
    assert_eq!(server.endpoint.files().commits, 1);
    server.ends_clean();
}

#[test]
fn a_commit_that_fails_is_an_error_and_no_ack() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.endpoint.files().later = true;
    server.says(&data(1, b"abc"));
    let refusal = Refusal::new(ErrorCode::EXISTS, "file exists");
    assert_eq!(server.resolve_later(Some(refusal)), [error(6, "file exists")]);
    let record = server.record();
    assert!(matches!(record.outcome, Outcome::Refused(_)));
    assert_eq!((record.bytes, record.blocks, record.answered), (3, 1, true));
    assert_eq!(server.endpoint.files().withdrawn, []);
    server.ends_clean();
}

#[test]
fn a_commit_that_nobody_waits_for_any_more_is_withdrawn() {
    let committing = || {
        let mut server = Server::new();
        server.request(&wrq("f", &[]));
        server.endpoint.files().later = true;
        assert_eq!(server.says(&data(1, b"abc")), []);
        server
    };
    let ends: [fn(&mut Server); 4] = [
        |server| drop(server.says(&error(0, "enough"))),
        |server| {
            server.endpoint.files().later = false;
            server.endpoint.files().files.insert(b"g".to_vec(), b"x".to_vec());
            assert_eq!(server.request(&rrq("g", &[])), [data(1, b"x")]);
            assert_eq!(server.endpoint.files().withdrawn, [], "the request may be forged");
            server.says(&ack(1));
        },
        |server| drop(server.run_until(60_001)),
        |server| server.endpoint.shut_down(server.now),
    ];
    for end in ends {
        let mut server = committing();
        let id = server.endpoint.files().pending[0].0;
        assert_eq!(server.endpoint.files().withdrawn, []);
        end(&mut server);
        assert_eq!(server.endpoint.files().withdrawn, [id]);
    }
    let mut server = committing();
    assert_eq!(server.resolve_later(None), [ack(1)]);
    assert_eq!(server.endpoint.files().withdrawn, []);
    server.ends_clean();
}

/// From the same port, and goes on with it.
fn asks_for_another(server: &mut Server) {
    assert_eq!(server.request(&rrq("g", &[])), [data(1, &[0; 512])]);
    server.says(&ack(1));
}

#[test]
fn an_upload_that_is_published_while_its_client_leaves_is_recorded_as_what_it_came_to() {
    type End = fn(&mut Server);
    let ends: [(End, &str, &str); 4] = [
        (|server| drop(server.says(&error(0, "enough"))), "ok", "aborted"),
        (asks_for_another, "ok", "aborted"),
        (|server| drop(server.run_until(60_001)), "refused", "refused"),
        (|server| server.endpoint.shut_down(server.now), "shutdown", "shutdown"),
    ];
    for (end, if_stored, if_not) in ends {
        for is_stored in [true, false] {
            let mut server = Server::new();
            server.endpoint.files().files.insert(b"g".to_vec(), vec![0; 600]);
            server.request(&wrq("f", &[]));
            server.endpoint.files().later = true;
            server.endpoint.files().publishing = true;
            server.says(&data(1, b"abc"));
            let (id, ..) = server.endpoint.files().pending.remove(0);
            server.endpoint.files().later = false;
            end(&mut server);
            let is_down = if_stored == "shutdown";
            assert_eq!(server.endpoint.poll_record().is_some(), is_down);
            if is_down {
                continue;
            }
            assert!(server.endpoint.live_sessions() > 0);
            let refusal = Refusal::new(ErrorCode::FULL, "full");
            let result = is_stored.then_some(Receipt).ok_or(refusal);
            server.endpoint.resolve_commit(server.now, id, result);
            let record = server.endpoint.poll_record().unwrap();
            assert_eq!(record.outcome.name(), if is_stored { if_stored } else { if_not });
            if let Outcome::Refused(refusal) = record.outcome {
                assert_eq!(refusal.reason().ends_with("and the file was stored later"), is_stored);
            }
        }
    }
}

#[test]
fn an_upload_begun_later_absorbs_repeats() {
    let mut server = Server::new();
    server.endpoint.files().later = true;
    assert_eq!(server.request(&wrq("f", &[])), []);
    assert_eq!(server.request(&wrq("f", &[])), []);
    assert_eq!(server.resolve_later(None), [ack(0)]);
}

#[test]
fn two_uploads_of_one_name_are_private_and_the_last_to_complete_stands() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    let first = server.tid;
    let first_peer = server.peer;
    server.peer.set_port(2222);
    server.request(&wrq("f", &[]));
    server.says(&data(1, b"second"));
    assert_eq!(server.content("f").unwrap(), b"second");
    server.datagram(first, first_peer, &encode(&data(1, b"first")));
    assert_eq!(server.content("f").unwrap(), b"first");
}

#[test]
fn a_gap_whose_repair_is_lost_too_is_reported_again() {
    let mut server = window_of("8");
    for number in 1..7 {
        server.says(&block(number));
    }
    assert_eq!(server.says(&block(8)), [ack(6)]);
    // The sender starts over behind block 6, and block 7 is lost again.
    assert_eq!(server.says(&block(8)), [ack(6)]);
    assert_eq!(server.says(&block(9)), []);
}

#[test]
fn the_last_window_repeated_in_part_is_acknowledged() {
    let mut server = window_of("4");
    for number in 1..4 {
        server.says(&block(number));
    }
    assert_eq!(server.says(&data(4, b"end")), [ack(4)]);
    // That ACK is lost, the window comes again, and its last block is lost.
    assert_eq!(server.says(&block(1)), [ack(4)]);
    assert_eq!(server.says(&block(2)), []);
}

#[test]
fn a_client_with_a_long_time_out_still_gets_its_last_ack_again() {
    let mut server = Server::new();
    server.request(&wrq("f", &[("timeout", "30")]));
    assert_eq!(server.says(&data(1, b"abc")), [ack(1)]);
    server.quiet_until(30_000);
    assert_eq!(server.says(&data(1, b"abc")), [ack(1)]);
    server.quiet_until(60_000);
    assert_eq!(server.says(&data(1, b"abc")), [ack(1)]);
    server.ends_clean();
}
