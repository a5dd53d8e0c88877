//! A client that asks again from the port of a transfer: the same, another file, another direction,
//! after a size probe, or when it is done.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::Outcome;

const PROBE: [(&str, &str); 2] = [("tsize", "0"), ("blksize", "1468")];

fn outcomes(server: &mut Server) -> Vec<Outcome> {
    server.records().into_iter().map(|record| record.outcome).collect()
}

/// Reads `name` in lock-step from whatever port is set and compares it.
fn read(server: &mut Server, name: &str) {
    let mut sent = server.request(&rrq(name, &[]));
    let mut received = Vec::new();
    while let [Say::Data(block, payload)] = &sent[..] {
        received.extend_from_slice(payload);
        sent = server.says(&ack(*block));
    }
    assert_eq!(sent, []);
    assert_eq!(received, server.content(name).unwrap());
}

#[test]
fn an_aborted_size_probe_is_followed_by_the_read_from_the_same_port() {
    for last in [error(8, "User aborted the transfer"), error(0, "")] {
        let mut server = Server::new().file("f", &bytes(3_000));
        let answer = oack(&[("tsize", "3000"), ("blksize", "1468")]);
        assert_eq!(server.request(&rrq("f", &PROBE)), [answer]);
        assert_eq!(server.says(&last), []);
        assert_eq!(server.endpoint.live_sessions(), 0, "a probe leaves its port behind");
        read(&mut server, "f");
        let seen = outcomes(&mut server);
        assert!(matches!(seen[..], [Outcome::Probe { .. }, Outcome::Complete]), "{seen:?}");
        server.ends_clean();
    }
}

#[test]
fn a_size_probe_without_an_error_is_replaced_by_the_read() {
    let mut server = Server::new().file("f", &bytes(3_000));
    server.request(&rrq("f", &PROBE));
    let old = server.tid;
    read(&mut server, "f");
    assert_ne!(server.tid, old);
    assert_eq!(outcomes(&mut server), [Outcome::Superseded, Outcome::Complete]);
    server.quiet_until(120_000);
    server.ends_clean();
}

#[test]
fn an_abandoned_size_probe_costs_five_packets() {
    let mut server = Server::new().file("f", &bytes(3_000));
    server.request(&rrq("f", &PROBE));
    assert_eq!(server.run_until(120_000).len(), 4);
    assert_eq!(outcomes(&mut server), [Outcome::TimedOut]);
    server.ends_clean();
}

#[test]
fn many_files_one_after_the_other_from_one_port() {
    let names = ["a", "b", "c", "d"];
    let mut server = Server::new();
    for (step, name) in names.iter().enumerate() {
        server.endpoint.files().files.insert(name.as_bytes().to_vec(), bytes(step * 512));
    }
    let mut last = LISTENING;
    for round in 0..25 {
        for name in names {
            read(&mut server, name);
            assert_ne!(server.tid, last, "round {round}, {name}");
            last = server.tid;
        }
    }
    assert_eq!(outcomes(&mut server), vec![Outcome::Complete; 100]);
    assert_eq!(server.endpoint.sessions(), 4, "one on each port");
    server.ends_clean();
}

#[test]
fn the_same_file_again_is_a_new_transfer_and_no_repeat() {
    for single in [false, true] {
        let server = if single { Server::single_port() } else { Server::new() };
        let mut server = server.file("f", b"old");
        read(&mut server, "f");
        server.endpoint.files().files.insert(b"f".to_vec(), b"new".to_vec());
        read(&mut server, "f");
        assert_eq!(outcomes(&mut server), [Outcome::Complete, Outcome::Complete]);
        server.ends_clean();
    }
}

#[test]
fn a_read_and_an_upload_replace_each_other() {
    let mut server = Server::new().file("f", &bytes(3_000));
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    assert_eq!(server.request(&wrq("f", &[])), [ack(0)]);
    assert_eq!(server.says(&ack(2)), [], "late, and at another port");
    server.says(&data(1, &[7; 512]));
    // The upload has not ended, so the file is the old one.
    read(&mut server, "f");
    assert_eq!(server.content("f").unwrap(), bytes(3_000));
    let expected = [Outcome::Superseded, Outcome::Superseded, Outcome::Complete];
    assert_eq!(outcomes(&mut server), expected);
    server.ends_clean();
}

#[test]
fn a_client_may_start_a_windowed_read_over_at_any_moment() {
    let file = bytes(8 * 20);
    let asked = rrq("f", &[("blksize", "8"), ("windowsize", "4")]);
    for acks in [&[][..], &[0], &[0, 2], &[0, 4, 8], &[0, 4, 8, 12, 16]] {
        let mut server = Server::new().file("f", &file);
        server.request(&asked);
        for number in acks {
            server.says(&ack(*number));
        }
        let again = match acks {
            [] => server.request(&asked),
            _ => server.starts_over(&asked),
        };
        assert_eq!(again, [oack(&[("blksize", "8"), ("windowsize", "4")])], "after {acks:?}");
        let window: Vec<Say> = (1..=4u16)
            .map(|n| data(n, &file[usize::from(n) * 8 - 8..usize::from(n) * 8]))
            .collect();
        assert_eq!(server.says(&ack(0)), window, "after {acks:?}");
        let expected = if acks.is_empty() { vec![] } else { vec![Outcome::Superseded] };
        assert_eq!(outcomes(&mut server), expected);
        assert_eq!(server.endpoint.live_sessions(), 1);
        server.says(&error(0, ""));
        server.ends_clean();
    }
}

#[test]
fn a_client_may_start_an_upload_over_at_any_moment() {
    for taken in 0..4u16 {
        let mut server = Server::new().file("f", b"old");
        server.request(&wrq("f", &[]));
        for number in 1..=taken {
            server.says(&data(number, &[7; 512]));
        }
        let again = match taken {
            0 => server.request(&wrq("f", &[])),
            _ => server.starts_over(&wrq("f", &[])),
        };
        assert_eq!(again, [ack(0)], "after {taken} blocks");
        assert_eq!(server.content("f").unwrap(), b"old");
        assert_eq!(server.says(&data(1, b"new")), [ack(1)]);
        assert_eq!(server.content("f").unwrap(), b"new");
        let superseded = outcomes(&mut server).len() - 1;
        assert_eq!(superseded, usize::from(taken > 0));
        assert_eq!(server.endpoint.files().commits, 1);
        server.ends_clean();
    }
}

#[test]
fn late_blocks_of_an_upload_that_started_over_are_not_stored() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.says(&data(1, &[1; 512]));
    let (old, peer) = (server.tid, server.peer);
    server.starts_over(&wrq("f", &[]));
    let new = server.tid;
    assert_ne!(old, new);
    // Taken for the old one, which stands until the client has answered the new one.
    assert_eq!(server.datagram(old, peer, &encode(&data(2, &[1; 512]))), [ack(2)]);
    assert_eq!(server.datagram(new, peer, &encode(&data(1, &[2; 512]))), [ack(1)]);
    assert_eq!(server.datagram(old, peer, &encode(&data(3, b"x"))), []);
    assert_eq!(server.datagram(old, peer, &encode(&data(1, b"x"))), []);
    assert_eq!(server.content("f"), None);
    assert_eq!(server.datagram(new, peer, &encode(&data(2, b"new"))), [ack(2)]);
    assert_eq!(server.content("f").unwrap(), [&[2; 512][..], b"new"].concat());
    server.ends_clean();
}

#[test]
fn a_repeat_of_the_request_after_the_upload_is_done_does_not_undo_it() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.says(&data(1, b"content"));
    // A copy that the network has held back; the client is gone.
    assert_eq!(server.request(&wrq("f", &[])), [ack(0)]);
    assert_eq!(server.run_until(120_000).len(), 2);
    assert_eq!(outcomes(&mut server), [Outcome::Complete, Outcome::TimedOut]);
    assert_eq!(server.content("f").unwrap(), b"content");
    assert_eq!(server.endpoint.files().commits, 1);
    server.ends_clean();
}

#[test]
fn a_missing_file_asked_again_and_again_costs_one_packet_each_time() {
    let mut server = Server::new();
    for step in 1..=20 {
        server.quiet_until(step * 100);
        assert_eq!(server.request(&rrq("none", &[])), [error(1, "file not found")]);
    }
    assert_eq!(outcomes(&mut server).len(), 20);
    assert_eq!(server.endpoint.sessions(), 4, "one on each port");
    server.ends_clean();
}
