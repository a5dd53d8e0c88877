//! What no test bed has: very many sessions, very long times.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::net::SocketAddr;

use common::*;
use memtftp_proto::{Outcome, SocketId};

const SESSIONS: usize = 100_000;

fn client(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (number / 1_000) as u8, 1], 1_000 + (number % 1_000) as u16))
}

/// Opens `SESSIONS` reads of a file of three blocks; gives the port that serves each.
fn crowd() -> (Server, Vec<SocketId>) {
    let mut server =
        Server::with(|config| config.max_half_open = SESSIONS).file("f", &bytes(1_100));
    let request = rrq("f", &[]);
    let mut ports = Vec::with_capacity(SESSIONS);
    for number in 0..SESSIONS {
        server.peer = client(number);
        assert_eq!(server.request(&request).len(), 1);
        ports.push(server.tid);
    }
    (server, ports)
}

#[test]
fn a_hundred_thousand_reads_at_once_all_complete() {
    let (mut server, ports) = crowd();
    assert_eq!(server.endpoint.live_sessions(), SESSIONS);
    for block in 1..=3 {
        for (number, port) in ports.iter().enumerate() {
            let sent = server.datagram(*port, client(number), &encode(&ack(block)));
            assert_eq!(sent.len(), usize::from(block < 3));
        }
    }
    let records = server.records();
    assert_eq!(records.len(), SESSIONS);
    assert!(records.iter().all(|record| record.outcome == Outcome::Complete));
    server.ends_clean();
}

#[test]
fn a_hundred_thousand_silent_clients_are_given_up_in_time_and_forgotten() {
    let (mut server, _) = crowd();
    let sent = server.run_until(60_000);
    // After 1.5, 4, 8.5 and 17 s: with so many, each has half a second more for its answer.
    assert_eq!(sent.len(), 4 * SESSIONS, "each first packet was sent five times");
    let records = server.records();
    assert_eq!(records.len(), SESSIONS);
    assert!(records.iter().all(|record| record.outcome == Outcome::TimedOut));
    server.ends_clean();
}

#[test]
fn the_more_there_are_the_longer_each_may_take_to_answer() {
    let (mut server, ports) = crowd();
    server.quiet_until(1);
    let sent = server.datagram(ports[0], client(0), &encode(&ack(1)));
    assert_eq!(sent.len(), 1);
    // Alone it would come again after 20 ms.
    server.quiet_until(520);
    assert_eq!(server.run_until(521).len(), 1);
}

#[test]
fn a_clock_that_jumps_by_a_week_ends_what_was_under_way_once() {
    let mut server = Server::new().file("f", &bytes(1_100));
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    server.jump_to(7 * 24 * 3_600_000);
    assert_eq!(server.record().outcome, Outcome::TimedOut);
    assert_eq!(server.endpoint.sessions(), 0);
    assert_eq!(server.endpoint.poll_timeout(), None);
    // And everything goes on from there.
    assert_eq!(server.request(&rrq("f", &[])).len(), 1);
    let again: Vec<u64> =
        server.run_until(7 * 24 * 3_600_000 + 1_500).iter().map(|(at, _)| *at).collect();
    assert_eq!(again, [7 * 24 * 3_600_000 + 1_000]);
}
