//! Requests in the name of a client that has a transfer under way: forged ones, late ones, and those of
//! a client that starts over.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::{Config, DropReason, Outcome, SocketId};
use proptest::prelude::*;

const BLOCKS: usize = 8;

/// Packets that nobody has to know anything for but the client's address and port. The first are
/// requests, or meant to be.
fn forged() -> Vec<Vec<u8>> {
    vec![
        rrq("g", &[]),
        rrq("g", &[("blksize", "8"), ("windowsize", "4")]),
        rrq("none", &[]),
        wrq("g", &[]),
        wrq("up", &[("blksize", "600")]),
        wrq("h", &[("tsize", "99999999")]),
        request(1, "f", "mail", &[]),
        b"\0\x01cut".to_vec(),
        encode(&error(0, "stop")),
        encode(&error(5, "unknown transfer ID")),
        encode(&error(8, "")),
        encode(&ack(1)),
        encode(&data(1, b"x")),
        encode(&oack(&[])),
        b"\0\x09".to_vec(),
    ]
}

const REQUESTS: usize = 8;

fn file() -> Vec<u8> {
    bytes(BLOCKS * 512 - 100)
}

fn server(single_port: bool, seed: u64) -> Server {
    let change = |config: &mut Config| config.seed = seed;
    let server = if single_port { Server::single_port() } else { Server::with(change) };
    server.file("f", &file()).file("g", &bytes(2_000))
}

fn outcomes(server: &mut Server) -> Vec<Outcome> {
    server.records().into_iter().map(|record| record.outcome).collect()
}

/// Sends something in the client's name to the listening port. Gives what comes back from the port of
/// the client's transfer.
fn forge(server: &mut Server, packet: &[u8]) -> Vec<Say> {
    let tid = server.tid;
    let sent = server.request(packet);
    server.tid = tid;
    let from = server.sources.clone();
    sent.into_iter().zip(from).filter(|(_, from)| *from == tid).map(|(say, _)| say).collect()
}

/// A transfer in lock-step, one step of the client at a time.
#[derive(Clone, Copy, Debug)]
enum Transfer {
    Read,
    Write,
}

impl Transfer {
    fn request(self) -> Vec<u8> {
        match self {
            Transfer::Read => rrq("f", &[]),
            Transfer::Write => wrq("up", &[]),
        }
    }

    /// The client's packet of this number.
    fn says(self, number: usize) -> Say {
        match self {
            Transfer::Read => ack(number as u16),
            Transfer::Write => blocks(&file(), 512, number..=number).remove(0),
        }
    }

    /// What answers that.
    fn hears(self, number: usize) -> Vec<Say> {
        match self {
            Transfer::Read if number == BLOCKS => vec![],
            Transfer::Read => blocks(&file(), 512, number + 1..=number + 1),
            Transfer::Write => vec![ack(number as u16)],
        }
    }

    fn step(self, server: &mut Server, number: usize) {
        let mut sent = server.says(&self.says(number));
        if number == BLOCKS {
            // Then what was forged on a single port has its turn.
            sent.truncate(self.hears(number).len());
        }
        assert_eq!(sent, self.hears(number), "{self:?}, step {number}");
    }

    fn is_done(self, server: &mut Server) -> bool {
        matches!(self, Transfer::Read) || server.content("up") == Some(file())
    }
}

const TRANSFERS: [Transfer; 2] = [Transfer::Read, Transfer::Write];

#[test]
fn nothing_that_comes_to_the_listening_port_ends_a_transfer_under_way() {
    for transfer in TRANSFERS {
        for seed in 0..8 {
            for packet in forged() {
                let mut server = server(false, seed);
                server.request(&transfer.request());
                for number in 1..BLOCKS {
                    transfer.step(&mut server, number);
                    assert_eq!(forge(&mut server, &packet), [], "{}", packet.escape_ascii());
                }
                transfer.step(&mut server, BLOCKS);
                assert!(transfer.is_done(&mut server));
                let seen = outcomes(&mut server);
                assert_eq!(seen.iter().filter(|one| **one == Outcome::Complete).count(), 1);
                server.ends_clean();
            }
        }
    }
}

/// Not even when the client is slow, or its last packet was lost.
#[test]
fn nor_one_that_has_come_to_a_stop() {
    for transfer in TRANSFERS {
        for packet in forged() {
            let mut server = server(false, 1);
            server.request(&transfer.request());
            transfer.step(&mut server, 1);
            server.run_until(3_000);
            assert_eq!(forge(&mut server, &packet), [], "{}", packet.escape_ascii());
            let tid = server.tid;
            server.run_until(8_000);
            server.tid = tid;
            for number in 2..=BLOCKS {
                transfer.step(&mut server, number);
            }
            assert!(transfer.is_done(&mut server));
            server.ends_clean();
        }
    }
}

#[test]
fn an_error_to_the_listening_port_ends_what_was_not_answered_yet() {
    let mut server = server(false, 1);
    server.request(&rrq("f", &[("tsize", "0")]));
    assert_eq!(server.request(&encode(&error(8, "only the size"))), []);
    assert!(matches!(outcomes(&mut server)[..], [Outcome::Probe { .. }]));
    server.ends_clean();
}

/// The old transfer stays until the client has answered the new one, and not longer.
#[test]
fn a_client_that_starts_over_is_told_apart_by_its_answer() {
    for transfer in TRANSFERS {
        let mut server = server(false, 1);
        server.request(&transfer.request());
        transfer.step(&mut server, 1);
        let old = server.tid;
        let whole = oack(&[("blksize", "1000")]);
        assert_eq!(server.request(&rrq("g", &[("blksize", "1000")])), [whole]);
        assert_ne!(server.tid, old);
        assert_eq!((outcomes(&mut server).len(), server.endpoint.live_sessions()), (0, 2));
        assert_eq!(server.says(&ack(0)), blocks(&bytes(2_000), 1_000, 1..=1));
        assert_eq!(outcomes(&mut server), [Outcome::Superseded]);
        assert_eq!(server.endpoint.live_sessions(), 1);
        let peer = server.peer;
        let late = encode(&transfer.says(2));
        assert_eq!(server.datagram(old, peer, &late), [], "late, and not a stranger's");
        server.says(&ack(1));
        server.says(&ack(2));
        server.says(&ack(3));
        assert_eq!(outcomes(&mut server), [Outcome::Complete]);
        server.ends_clean();
    }
}

#[test]
fn a_client_that_asks_for_something_else_before_it_has_answered_is_taken_at_its_word() {
    for single_port in [false, true] {
        let mut server = server(single_port, 1);
        server.request(&rrq("f", &[]));
        assert_eq!(server.request(&rrq("g", &[])), blocks(&bytes(2_000), 512, 1..=1));
        assert_eq!(outcomes(&mut server), [Outcome::Superseded]);
        assert_eq!(server.endpoint.live_sessions(), 1);
        server.ends_clean();
    }
}

/// Its transfer would count against it twice.
#[test]
fn a_client_at_its_limits_may_start_over() {
    let mut server = Server::with(|config| {
        config.max_sessions = 1;
        config.max_sessions_per_client = 1;
        config.max_uploads = 1;
    });
    server.request(&wrq("up", &[]));
    server.says(&data(1, &[0; 512]));
    assert_eq!(server.request(&wrq("up", &[("tsize", "3")])), [oack(&[("tsize", "3")])]);
    assert_eq!(server.says(&data(1, b"new")), [ack(1)]);
    assert_eq!(outcomes(&mut server), [Outcome::Superseded, Outcome::Complete]);
    server.ends_clean();
}

/// On one port the client could take the first packet of another transfer, or an ERROR, for a part of
/// its own.
#[test]
fn a_request_on_a_single_port_brings_nothing_while_the_transfer_goes_on() {
    for transfer in TRANSFERS {
        for packet in &forged()[..REQUESTS] {
            let mut server = server(true, 1);
            server.request(&transfer.request());
            for number in 1..=BLOCKS {
                transfer.step(&mut server, number);
                if number < BLOCKS {
                    assert_eq!(forge(&mut server, packet), [], "{}", packet.escape_ascii());
                }
            }
            assert!(transfer.is_done(&mut server));
            server.ends_clean();
        }
    }
    let mut server = server(true, 1);
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    forge(&mut server, &rrq("g", &[]));
    server.says(&ack(2));
    assert_eq!(outcomes(&mut server), [Outcome::Dropped(DropReason::Contradicted)]);
    assert_eq!(server.endpoint.counters().dropped(DropReason::Contradicted), 1);
    assert_eq!(server.endpoint.live_sessions(), 1);
    server.ends_clean();
}

#[test]
fn a_client_that_starts_over_on_a_single_port_is_served_when_its_transfer_has_been_quiet() {
    for transfer in TRANSFERS {
        let mut server = server(true, 1);
        server.request(&transfer.request());
        transfer.step(&mut server, 1);
        assert_eq!(server.request(&rrq("g", &[])), []);
        let first = blocks(&bytes(2_000), 512, 1..=1);
        let sent = server.run_until(500);
        assert_eq!(sent.last().unwrap(), &(500, first[0].clone()));
        server.run_until(1_400);
        assert_eq!(server.request(&rrq("g", &[])), first, "a repeat of the request");
        assert_eq!(server.says(&ack(1)), blocks(&bytes(2_000), 512, 2..=2));
        assert_eq!(outcomes(&mut server), [Outcome::Superseded]);
        for number in 2..=4 {
            server.says(&ack(number));
        }
        assert_eq!(outcomes(&mut server), [Outcome::Complete]);
        server.ends_clean();
    }
}

/// The request was forged while the client was waiting for a lost packet. What it says next fits its own
/// transfer, be it only what it has said before.
#[test]
fn a_client_that_goes_on_after_a_quiet_while_keeps_its_transfer_on_a_single_port() {
    for transfer in TRANSFERS {
        for again in [2, 3] {
            let mut server = server(true, 1);
            server.request(&transfer.request());
            transfer.step(&mut server, 1);
            transfer.step(&mut server, 2);
            server.run_until(1_000);
            assert_eq!(forge(&mut server, &rrq("g", &[])), blocks(&bytes(2_000), 512, 1..=1));
            server.says(&transfer.says(again));
            let contradicted = Outcome::Dropped(DropReason::Contradicted);
            assert_eq!(outcomes(&mut server), [contradicted]);
            let tid = server.tid;
            server.run_until(10_000);
            server.tid = tid;
            for number in again + 1..=BLOCKS {
                transfer.step(&mut server, number);
            }
            assert!(transfer.is_done(&mut server));
            server.ends_clean();
        }
    }
}

/// A client that has started over takes the first DATA 1 for the answer to its request, whatever port it
/// comes from.
#[test]
fn what_could_be_taken_for_the_first_packet_is_not_repeated_beside_another() {
    for single_port in [false, true] {
        let mut server = server(single_port, 1);
        let asked = [("blksize", "8"), ("windowsize", "4")];
        server.request(&rrq("f", &asked));
        let window = blocks(&file(), 8, 1..=4);
        assert_eq!(server.says(&ack(0)), window);
        let old = server.tid;
        server.run_until(1_000);
        let answer = vec![oack(&[("blksize", "16")])];
        assert_eq!(server.request(&rrq("g", &[("blksize", "16")])), answer);
        let sent = server.run_until(4_900);
        assert!(sent.iter().all(|(_, say)| answer.contains(say)), "{sent:?}");
        // Nobody wants it: then the transfer goes on by itself.
        let sent = server.run_until(20_000);
        assert!(window.iter().all(|block| sent.iter().any(|(_, say)| say == block)), "{sent:?}");
        let peer = server.peer;
        let next = server.datagram(old, peer, &encode(&ack(4)));
        assert_eq!(next[..1], blocks(&file(), 8, 5..=5));
        server.ends_clean();
    }
}

#[test]
fn what_cannot_is_repeated_as_ever() {
    for single_port in [false, true] {
        for transfer in TRANSFERS {
            let mut server = server(single_port, 1);
            server.request(&transfer.request());
            transfer.step(&mut server, 1);
            server.run_until(1_000);
            forge(&mut server, &rrq("g", &[]));
            let again = &transfer.hears(1)[0];
            let sent = server.run_until(4_900);
            assert!(sent.iter().any(|(_, say)| say == again), "{transfer:?}: {sent:?}");
            server.ends_clean();
        }
    }
}

/// An ERROR on the port of a transfer is for whatever the client heard last.
#[test]
fn an_error_on_a_single_port_ends_the_newer_of_two_transfers() {
    let mut server = server(true, 1);
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    server.run_until(1_000);
    forge(&mut server, &rrq("g", &[]));
    server.says(&error(0, "what is this?"));
    let seen = outcomes(&mut server);
    assert!(matches!(seen[..], [Outcome::Aborted { .. }]), "{seen:?}");
    for number in 2..=BLOCKS {
        Transfer::Read.step(&mut server, number);
    }
    assert_eq!(outcomes(&mut server), [Outcome::Complete]);
    server.ends_clean();
}

#[test]
fn a_request_that_overtook_the_last_packet_on_a_single_port_is_served_at_once() {
    let mut server = server(true, 1);
    server.request(&rrq("f", &[]));
    for number in 1..BLOCKS {
        Transfer::Read.step(&mut server, number);
    }
    assert_eq!(server.request(&rrq("g", &[])), []);
    assert_eq!(server.says(&ack(BLOCKS as u16)), blocks(&bytes(2_000), 512, 1..=1));
    assert_eq!(outcomes(&mut server), [Outcome::Complete]);
    server.ends_clean();
}

/// Its client may not have heard that it is done.
#[test]
fn a_committed_upload_on_a_single_port_repeats_its_last_ack_beside_a_request() {
    let mut server = server(true, 1);
    server.request(&wrq("up", &[]));
    server.says(&data(1, &[1; 512]));
    assert_eq!(server.says(&data(2, b"end")), [ack(2)]);
    assert_eq!(forge(&mut server, &rrq("f", &[])), blocks(&file(), 512, 1..=1));
    assert_eq!(server.says(&data(2, b"end")), [ack(2)]);
    assert_eq!(server.says(&ack(1)), blocks(&file(), 512, 2..=2));
    assert_eq!(server.says(&data(2, b"end")), [], "answered, so the client has moved on");
    server.ends_clean();
}

/// Which of our ports a client has used shortly before.
#[test]
fn a_new_transfer_avoids_all_ports_that_the_client_has_just_used() {
    let ends: [fn(&mut Server); 4] = [
        |server| drop((server.request(&rrq("none", &[])), ())),
        |server| {
            server.request(&wrq("up", &[]));
            server.says(&data(1, b"all"));
        },
        |server| {
            server.request(&rrq("f", &[("tsize", "0")]));
            server.says(&error(8, ""));
        },
        |server| {
            server.request(&wrq("other", &[]));
            server.says(&data(1, &[0; 512]));
            server.says(&error(0, ""));
        },
    ];
    for seed in 0..16 {
        let mut server = server(false, seed);
        let mut used: Vec<SocketId> = Vec::new();
        for round in 0..12 {
            ends[(round + seed as usize) % 4](&mut server);
            let latest = used.iter().rev().take(3);
            assert!(!latest.clone().any(|port| *port == server.tid), "{used:?}, {:?}", server.tid);
            used.push(server.tid);
            server.run_until((round as u64 + 1) * 100);
        }
        server.ends_clean();
    }
}

proptest! {
    /// Whatever comes to the listening port, whenever, between the steps of a transfer.
    #[test]
    fn transfers_under_way_are_nobodys_but_their_clients(
        single_port in any::<bool>(),
        write in any::<bool>(),
        seed in 0u64..8,
        steps in prop::collection::vec((0..forged().len(), 0u64..1_500), BLOCKS),
    ) {
        let transfer = TRANSFERS[usize::from(write)];
        let mut server = server(single_port, seed);
        let tid = |server: &mut Server, kept| server.tid = kept;
        server.request(&transfer.request());
        let mut now = 0;
        for (number, (packet, pause)) in (1..=BLOCKS).zip(steps) {
            let kept = server.tid;
            transfer.step(&mut server, number);
            if number == BLOCKS {
                break;
            }
            // On a single port an ERROR is the client's, as far as anybody can tell.
            let packet = &forged()[if single_port { packet % REQUESTS } else { packet }];
            let before = forge(&mut server, packet);
            if !single_port {
                prop_assert_eq!(before, []);
            }
            now += pause;
            server.run_until(now);
            tid(&mut server, kept);
        }
        prop_assert!(transfer.is_done(&mut server));
        let seen = outcomes(&mut server);
        prop_assert_eq!(seen.iter().filter(|one| **one == Outcome::Complete).count(), 1);
        server.ends_clean();
    }
}

/// Blocks of the transfer before, on the only port of ours that there is.
#[test]
fn a_late_block_is_no_answer_to_an_oack() {
    let upload = wrq("new", &[("blksize", "1400"), ("windowsize", "4")]);
    let granted = [oack(&[("blksize", "1400"), ("windowsize", "4")])];
    let late: [Say; 6] = [
        data(0, &[1; 512]),
        data(5, &[1; 512]),
        data(5, b"end"),
        data(9, &[1; 1_400]),
        data(65_535, b""),
        // Longer than was agreed: not of this transfer either, and no reason to end it.
        data(2, &[1; 1_401]),
    ];
    for block in late {
        let mut server = Server::single_port();
        assert_eq!(server.request(&upload), granted);
        assert_eq!(server.says(&block), [], "{block:?}");
        assert_eq!(server.request(&upload), granted, "{block:?}");
        // Whereas this shows that the OACK has arrived and block 1 has not.
        assert_eq!(server.says(&data(2, &[2; 1_400])), [ack(0)]);
        server.quiet_until(20);
        assert_eq!(server.request(&upload), [ack(0)]);
        let whole: Vec<Say> = (1..=3).map(|number| data(number, &[2; 1_400])).collect();
        whole.iter().for_each(|block| drop(server.says(block)));
        assert_eq!(server.says(&data(4, b"end")), [ack(4)]);
        assert_eq!(server.content("new").unwrap(), [&[2; 3 * 1_400][..], b"end"].concat());
        server.ends_clean();
    }
}

/// atftp goes on with the next block after a time-out, and needs an ACK to come back to the lost one.
#[test]
fn a_client_that_goes_on_behind_its_lost_first_block_is_told() {
    for (options, answer) in
        [(&[][..], ack(0)), (&[("blksize", "600")], oack(&[("blksize", "600")]))]
    {
        let mut server = Server::single_port();
        assert_eq!(server.request(&wrq("new", options)), [answer]);
        let size = if options.is_empty() { 512 } else { 600 };
        assert_eq!(
            server.says(&data(2, &vec![2; size])),
            [],
            "so soon it may be of another transfer"
        );
        server.quiet_until(5_000);
        assert_eq!(server.says(&data(2, &[2; 100])), [], "nor is the last of another");
        assert_eq!(server.says(&data(2, &vec![2; size])), [ack(0)]);
        assert_eq!(server.says(&data(1, b"all")), [ack(1)]);
        server.ends_clean();
    }
}

#[test]
fn a_late_block_is_no_answer_to_an_ack_0_and_ends_nothing() {
    let mut server = Server::single_port();
    assert_eq!(server.request(&wrq("new", &[])), [ack(0)]);
    for block in [data(2, &[1; 512]), data(4, b"end"), data(7, &[1; 1_400])] {
        assert_eq!(server.says(&block), []);
    }
    assert_eq!(server.endpoint.half_open_sessions(), 1);
    assert_eq!(server.says(&data(1, &[2; 512])), [ack(1)]);
    // Too long, but not the block that is wanted.
    assert_eq!(server.says(&data(7, &[1; 1_400])), [ack(1)]);
    assert_eq!(server.says(&data(2, b"end")), [ack(2)]);
    assert_eq!(server.content("new").unwrap(), [&[2; 512][..], b"end"].concat());
    server.ends_clean();
}

/// The next upload has the same client port; its OACK is lost, and a block of the last one is late.
#[test]
fn an_upload_is_whole_whatever_comes_late_from_the_one_before() {
    for single_port in [false, true] {
        let mut server = server(single_port, 1);
        server.request(&wrq("old", &[]));
        let old = server.tid;
        for number in 1..=3 {
            server.says(&data(number, &[1; 512]));
        }
        assert_eq!(server.says(&data(4, b"end")), [ack(4)]);
        let upload = wrq("new", &[("blksize", "1400")]);
        let granted = [oack(&[("blksize", "1400")])];
        assert_eq!(server.request(&upload), granted);
        let (new, peer) = (server.tid, server.peer);
        assert_eq!(server.datagram(old, peer, &encode(&data(4, b"end"))), [ack(4)]);
        assert_eq!(server.request(&upload), granted, "the options stand");
        assert_eq!(server.datagram(new, peer, &encode(&data(1, &[2; 1_400]))), [ack(1)]);
        assert_eq!(server.datagram(new, peer, &encode(&data(2, b"!"))), [ack(2)]);
        assert_eq!(server.content("new").unwrap(), [&[2; 1_400][..], b"!"].concat());
        server.ends_clean();
    }
}
