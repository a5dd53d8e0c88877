//! What is done at each limit of the core, and where it is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use memtftp_proto::{
    DropReason, ErrorCode, Kind, Outcome, Record, Refusal, RefusalReason, SocketId,
};
use proptest::prelude::*;

const BUSY: &str = "server is busy, try again later";

fn client(number: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + (number / 100) as u8], 3_000 + number % 100))
}

/// Asks as another client; gives the port that serves it with the answer.
fn ask(server: &mut Server, number: u16, request: &[u8]) -> (SocketId, Vec<Say>) {
    server.peer = client(number);
    let answer = server.request(request);
    (server.tid, answer)
}

fn refused(server: &Server, reason: RefusalReason) -> u64 {
    server.endpoint.counters().refused(reason)
}

fn dropped(server: &Server, reason: DropReason) -> u64 {
    server.endpoint.counters().dropped(reason)
}

/// The reason in the record of the last refusal.
fn last_reason(server: &mut Server) -> String {
    match server.records().pop().unwrap().outcome {
        Outcome::Refused(refusal) => refusal.reason().to_owned(),
        other => format!("{other:?}"),
    }
}

/// Asks as another client, and answers the first packet. Gives the port that serves it.
fn begin(server: &mut Server, number: u16, request: &[u8]) -> SocketId {
    let (port, sent) = ask(server, number, request);
    let answer = match &sent[..] {
        [Say::Data(1, _)] => ack(1),
        [Say::Ack(0)] => data(1, &[0; 512]),
        other => panic!("client {number}: {other:?}"),
    };
    assert_eq!(server.datagram(port, client(number), &encode(&answer)).len(), 1);
    port
}

/// Whose sessions were ended for a new one, in turn.
fn pushed_out(server: &mut Server) -> Vec<SocketAddr> {
    let dropped = |record: &Record| record.outcome == Outcome::Dropped(DropReason::HalfOpen);
    server.records().into_iter().filter(dropped).map(|record| record.peer).collect()
}

#[test]
fn max_sessions() {
    let mut server = Server::with(|config| config.max_sessions = 2).file("f", &bytes(600));
    ask(&mut server, 0, &rrq("f", &[]));
    ask(&mut server, 100, &wrq("g", &[]));
    // Nobody has answered, so the oldest makes room.
    begin(&mut server, 200, &rrq("f", &[]));
    begin(&mut server, 300, &rrq("f", &[]));
    assert_eq!(pushed_out(&mut server), [client(0), client(100)]);
    assert_eq!(ask(&mut server, 400, &rrq("f", &[])).1, [error(0, BUSY)]);
    assert_eq!(refused(&server, RefusalReason::Sessions), 1);
    server.ends_clean();
}

#[test]
fn max_client_sessions() {
    let mut server =
        Server::with(|config| config.max_sessions_per_client = 1).file("f", &bytes(600));
    ask(&mut server, 100, &rrq("f", &[]));
    ask(&mut server, 0, &rrq("f", &[]));
    // The oldest of this client, not the oldest of all.
    begin(&mut server, 1, &rrq("f", &[]));
    assert_eq!(pushed_out(&mut server), [client(0)]);
    assert_eq!(ask(&mut server, 2, &rrq("f", &[])).1, [error(0, BUSY)]);
    assert_eq!(refused(&server, RefusalReason::ClientSessions), 1);
    assert_eq!(ask(&mut server, 200, &rrq("f", &[])).1.len(), 1);
    server.ends_clean();
}

#[test]
fn max_uploads() {
    let mut server = Server::with(|config| config.max_uploads = 2).file("f", b"x");
    ask(&mut server, 300, &rrq("f", &[]));
    ask(&mut server, 0, &wrq("a", &[]));
    ask(&mut server, 100, &wrq("b", &[]));
    // The oldest of the uploads, not of all.
    let first = begin(&mut server, 200, &wrq("c", &[]));
    begin(&mut server, 201, &wrq("d", &[]));
    assert_eq!(pushed_out(&mut server), [client(0), client(100)]);
    assert_eq!(ask(&mut server, 400, &wrq("e", &[])).1, [error(0, BUSY)]);
    assert_eq!(last_reason(&mut server), "limit of 2 uploads in flight reached");
    assert_eq!(refused(&server, RefusalReason::Uploads), 1);
    assert_eq!(ask(&mut server, 400, &rrq("f", &[])).1, [data(1, b"x")], "reads go on");
    assert_eq!(server.datagram(first, client(200), &encode(&data(2, b"all"))), [ack(2)]);
    assert_eq!(ask(&mut server, 202, &wrq("e", &[])).1, [ack(0)], "room came back");
    assert_eq!(server.endpoint.snapshot(memtftp_proto::Time::ZERO, 10).uploads, 2);
    server.ends_clean();
}

#[test]
fn an_upload_that_waits_for_storage_makes_room_for_the_next() {
    let mut server = Server::with(|config| config.max_uploads = 1);
    server.endpoint.files().later = true;
    assert_eq!(ask(&mut server, 0, &wrq("a", &[])).1, []);
    assert_eq!(ask(&mut server, 100, &wrq("b", &[])).1, []);
    assert_eq!(pushed_out(&mut server), [client(0)]);
    assert_eq!(server.endpoint.live_sessions(), 1);
    server.ends_clean();
}

#[test]
fn max_half_open_ends_the_oldest_that_was_never_answered() {
    let mut server = Server::with(|config| config.max_half_open = 2).file("f", &bytes(600));
    let (first, _) = ask(&mut server, 0, &rrq("f", &[]));
    let (second, _) = ask(&mut server, 100, &rrq("f", &[]));
    server.datagram(first, client(0), &encode(&ack(1)));
    assert_eq!(server.endpoint.half_open_sessions(), 1);
    ask(&mut server, 200, &rrq("f", &[]));
    // The place of the second is taken, who has not answered, and not that of the first.
    let blocks = blocks(&bytes(600), 512, 1..=1);
    assert_eq!(ask(&mut server, 300, &rrq("f", &[])).1, blocks);
    let record = server.record();
    assert_eq!(record.peer, client(100));
    assert_eq!(record.outcome, Outcome::Dropped(DropReason::HalfOpen));
    assert_eq!(dropped(&server, DropReason::HalfOpen), 1);
    assert_eq!((server.endpoint.live_sessions(), server.endpoint.half_open_sessions()), (3, 2));
    // Its repeat begins anew, in another's place.
    assert_eq!(ask(&mut server, 100, &rrq("f", &[])).1, blocks);
    assert_eq!(server.record().peer, client(200));
    assert!(matches!(
        server.datagram(second, client(200), &encode(&ack(1)))[..],
        [Say::Error(5, _)]
    ));
    server.datagram(first, client(0), &encode(&ack(2)));
    assert_eq!(server.record().outcome, Outcome::Complete);
    server.ends_clean();
}

/// Forged requests that nobody answers, far more than there is room for, hurt no client that does.
#[test]
fn max_half_open_leaves_a_place_to_whoever_answers_in_a_flood() {
    let mut server = Server::with(|config| config.max_half_open = 50).file("f", &bytes(5_000));
    let (mut forged, mut done) = (0, 0);
    let mut flood = |server: &mut Server| {
        for _ in 0..40 {
            forged += 1;
            ask(server, 1_000 + forged % 5_000, &rrq("f", &[]));
        }
    };
    for number in 0..20 {
        let (port, _) = ask(&mut server, number, &rrq("f", &[]));
        for block in 1..=10 {
            flood(&mut server);
            let sent = server.datagram(port, client(number), &encode(&ack(block)));
            assert_eq!(sent.len(), usize::from(block < 10), "client {number}, block {block}");
        }
        done += 1;
        assert!(server.endpoint.half_open_sessions() <= 50);
        assert!(server.endpoint.live_sessions() <= 51);
    }
    assert_eq!(done, 20);
    assert!(dropped(&server, DropReason::HalfOpen) > 7_000);
    let records = server.records();
    assert_eq!(records.iter().filter(|record| record.outcome == Outcome::Complete).count(), 20);
    server.ends_clean();
}

#[test]
fn max_half_open_counts_sessions_that_wait_for_storage() {
    let mut server = Server::with(|config| config.max_half_open = 1).file("f", b"x");
    server.endpoint.files().later = true;
    assert_eq!(ask(&mut server, 0, &rrq("f", &[])).1, []);
    assert_eq!(ask(&mut server, 100, &rrq("f", &[])).1, []);
    assert_eq!(server.record().peer, client(0));
    // What storage says to a session that is over is not heard.
    let second = server.endpoint.files().pending.pop().unwrap();
    assert_eq!(server.resolve_later(None), []);
    server.endpoint.files().pending.push(second);
    assert_eq!(server.resolve_later(None), [data(1, b"x")]);
    server.ends_clean();
}

#[test]
fn storage_gives_up_a_request_whose_place_it_needs() {
    let mut server = Server::new().file("f", b"x");
    server.endpoint.files().later = true;
    for (number, request) in [(0, rrq("f", &[])), (100, wrq("g", &[]))] {
        assert_eq!(ask(&mut server, number, &request).1, []);
        let id = server.endpoint.files().pending.last().unwrap().0;
        server.endpoint.resolve_evicted(server.now, id);
        assert_eq!(pushed_out(&mut server), [client(number)]);
        assert_eq!(server.resolve_later(None), [], "the client is not told");
        server.endpoint.resolve_evicted(server.now, id);
    }
    assert_eq!(dropped(&server, DropReason::HalfOpen), 2);
    server.endpoint.files().later = false;
    // One that has its answer has no place there any more.
    ask(&mut server, 200, &wrq("g", &[]));
    server.endpoint.files().later = true;
    server.says(&data(1, b"all"));
    let id = server.endpoint.files().pending.last().unwrap().0;
    server.endpoint.resolve_evicted(server.now, id);
    assert_eq!(server.resolve_later(None), [ack(1)]);
    server.ends_clean();
}

#[test]
fn max_half_open_of_one_client() {
    let mut server = Server::with(|config| config.max_half_open_per_client = 2).file("f", b"x");
    ask(&mut server, 100, &rrq("f", &[]));
    let (first, _) = ask(&mut server, 0, &rrq("f", &[]));
    ask(&mut server, 1, &wrq("g", &[]));
    assert_eq!(ask(&mut server, 2, &rrq("f", &[])).1, [data(1, b"x")]);
    assert_eq!(pushed_out(&mut server), [client(0)], "the oldest of this client");
    assert!(matches!(server.datagram(first, client(0), &encode(&ack(1)))[..], [Say::Error(5, _)]));
    server.ends_clean();
}

proptest! {
    /// Whatever was asked and never answered, whoever answers at once is served to the end.
    #[test]
    fn requests_without_an_answer_keep_nobody_out(
        limits in [1usize..6, 1..6, 1..6, 1..6, 1..6],
        flood in prop::collection::vec((0u16..8, any::<bool>(), any::<bool>()), 0..200),
        good in (0u16..8, any::<bool>()),
    ) {
        let mut server = Server::with(|config| {
            config.max_sessions = limits[0];
            config.max_sessions_per_client = limits[1];
            config.max_uploads = limits[2];
            config.max_half_open = limits[3];
            config.max_half_open_per_client = limits[4];
        })
        .file("f", &bytes(600));
        for (port, (of_client, later, write)) in flood.into_iter().enumerate() {
            server.endpoint.files().later = later;
            let number = of_client * 100 + 1 + port as u16 % 80;
            ask(&mut server, number, &if write { wrq("g", &[]) } else { rrq("f", &[]) });
        }
        server.endpoint.files().later = false;
        let (number, write) = (good.0 * 100, good.1);
        let port = begin(&mut server, number, &if write { wrq("h", &[]) } else { rrq("f", &[]) });
        let last = encode(&if write { data(2, b"end") } else { ack(2) });
        server.datagram(port, client(number), &last);
        let done = server.records().into_iter().find(|record| record.peer == client(number));
        prop_assert_eq!(done.unwrap().outcome, Outcome::Complete);
        server.ends_clean();
    }
}

#[test]
fn max_client_requests() {
    let mut server = Server::with(|config| config.max_requests_per_client = 10).file("f", b"x");
    for number in 0..10 {
        assert_eq!(ask(&mut server, number, &rrq("f", &[])).1, [data(1, b"x")]);
    }
    // A repeat is no new request.
    assert_eq!(ask(&mut server, 0, &rrq("f", &[])).1, [data(1, b"x")]);
    assert_eq!(ask(&mut server, 10, &rrq("f", &[])).1, []);
    assert_eq!(ask(&mut server, 11, b"\0\x01malformed").1, []);
    assert_eq!(dropped(&server, DropReason::ClientRequests), 2);
    let records = server.records();
    let over = Outcome::Dropped(DropReason::ClientRequests);
    assert_eq!(records.iter().map(|record| &record.outcome).collect::<Vec<_>>(), [&over, &over]);
    assert_eq!(
        records.iter().map(|r| r.kind).collect::<Vec<_>>(),
        [Kind::Read, Kind::Unrecognized]
    );
    assert_eq!(ask(&mut server, 100, &rrq("f", &[])).1, [data(1, b"x")], "another client");
    server.quiet_until(200);
    for number in [12, 13] {
        assert_eq!(ask(&mut server, number, &rrq("f", &[])).1, [data(1, b"x")], "a second's share");
    }
    assert_eq!(ask(&mut server, 14, &rrq("f", &[])).1, []);
    server.ends_clean();
}

#[test]
fn the_default_of_max_client_requests_lets_a_client_read_hundreds_of_files_at_once() {
    let mut server = Server::new().file("f", b"x");
    for number in 0..500_u16 {
        server.peer.set_port(2_000 + number);
        assert_eq!(server.request(&rrq("f", &[])), [data(1, b"x")]);
        server.says(&ack(1));
    }
    assert_eq!(server.records().len(), 500);
}

/// A client that acknowledges a block a minute is heard each time, and would go on for ever.
#[test]
fn max_transfer_time() {
    let hour = Duration::from_secs(3_600);
    let mut server = Server::with(|config| {
        config.max_transfer_time = hour;
        config.timing.patience = Duration::from_secs(100);
    })
    .file("f", &bytes(512 * 1_000));
    server.request(&rrq("f", &[]));
    for minute in 1..60 {
        server.says(&ack(minute));
        server.run_until(u64::from(minute) * 60_000);
        assert_eq!(server.endpoint.live_sessions(), 1, "minute {minute}");
    }
    server.says(&ack(60));
    let sent = server.run_until(3_605_000);
    let (at, last) = sent.last().unwrap();
    assert_eq!(*last, error(0, "transfer took too long"));
    assert!((3_600_000..3_604_100).contains(at), "{at}");
    assert_eq!(last_reason(&mut server), "limit of 3600s for one transfer reached");
    assert_eq!(refused(&server, RefusalReason::TransferTime), 1);
    server.ends_clean();
}

#[test]
fn max_transfer_time_of_an_upload() {
    let mut server = Server::with(|config| config.max_transfer_time = Duration::from_secs(30));
    server.request(&wrq("f", &[]));
    for (second, block) in (0..).step_by(5).zip(1..=6) {
        server.run_until(second * 1_000);
        assert_eq!(server.says(&data(block, &[0; 512])), [ack(block)]);
    }
    let sent = server.run_until(35_000);
    assert_eq!(sent.last().unwrap().1, error(0, "transfer took too long"));
    assert_eq!(server.content("f"), None);
    server.ends_clean();
}

#[test]
fn max_transfer_time_leaves_a_commit_to_storage() {
    let mut server = Server::with(|config| config.max_transfer_time = Duration::from_secs(10));
    server.request(&wrq("f", &[]));
    server.endpoint.files().later = true;
    assert_eq!(server.says(&data(1, b"all")), []);
    server.run_until(59_000);
    assert_eq!(server.resolve_later(None), [ack(1)]);
    assert_eq!(server.record().outcome, Outcome::Complete);
    server.ends_clean();
}

#[test]
fn storage_that_does_not_answer_for_a_minute_is_not_waited_for() {
    let silent = error(0, "the server's storage does not answer");
    for request in [rrq("f", &[]), wrq("g", &[])] {
        let mut server = Server::new().file("f", b"x");
        server.endpoint.files().later = true;
        assert_eq!(server.request(&request), []);
        assert_eq!(server.run_until(60_001), [(60_000, silent.clone())]);
        assert_eq!(server.endpoint.live_sessions(), 0);
        // What comes after all changes nothing.
        assert_eq!(server.resolve_later(None), []);
        server.run_until(120_000);
        server.ends_clean();
    }
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.endpoint.files().later = true;
    server.quiet_until(1_000);
    assert_eq!(server.says(&data(1, b"all")), []);
    assert_eq!(server.run_until(61_001), [(61_000, silent)]);
    server.run_until(120_000);
    server.ends_clean();
}

#[test]
fn refusals_of_storage_are_counted_as_it_says() {
    let mut server = Server::new();
    server.endpoint.files().max_len = Some(10);
    assert_eq!(server.request(&rrq("none", &[])), [error(1, "file not found")]);
    server.peer.set_port(2_001);
    assert_eq!(server.request(&wrq("f", &[("tsize", "11")])), [error(3, "too large")]);
    server.peer.set_port(2_002);
    assert!(matches!(server.request(b"\0\x01cut")[..], [Say::Error(4, _)]));
    for reason in [RefusalReason::NotFound, RefusalReason::Memory, RefusalReason::Malformed] {
        assert_eq!(refused(&server, reason), 1, "{reason:?}");
    }
    let closer = Refusal::new(ErrorCode::FULL, "x").counted_as(RefusalReason::FileSize);
    assert_eq!((closer.counted, closer.code), (RefusalReason::FileSize, ErrorCode::FULL));
    let counters = server.endpoint.counters();
    let refused: Vec<_> = counters.outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("refused", 2)], "the third was no request");
    assert_eq!(counters.requests(), 2);
}

#[test]
fn every_counter_has_a_name_of_its_own() {
    let mut names: Vec<&str> = RefusalReason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RefusalReason::ALL.len());
    let mut names: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DropReason::ALL.len());
    // The counters are found by the order of these.
    assert!(RefusalReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    assert!(DropReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
}

#[test]
fn a_snapshot_shows_the_sessions_that_run_longest() {
    let mut server = Server::new().file("f", &bytes(2_000));
    let (reader, _) = ask(&mut server, 0, &rrq("f", &[]));
    server.datagram(reader, client(0), &encode(&ack(1)));
    server.run_until(10);
    let (writer, _) = ask(&mut server, 100, &wrq("g", &[("tsize", "1000")]));
    server.datagram(writer, client(100), &encode(&data(1, &[0; 512])));
    server.run_until(15);
    ask(&mut server, 200, &request(1, "f", "netascii", &[]));
    ask(&mut server, 300, &rrq("none", &[]));
    let now = memtftp_proto::Time::from_micros(20_000);
    let snapshot = server.endpoint.snapshot(now, 10);
    assert_eq!((snapshot.live, snapshot.half_open, snapshot.uploads), (3, 1, 1));
    assert_eq!((snapshot.lingering, snapshot.longest.len()), (1, 3));
    assert_eq!((snapshot.bytes_sent, snapshot.bytes_received), (512, 512));
    let [reader, writer, last] = &snapshot.longest[..] else { return assert_eq!(0, 3) };
    assert_eq!((reader.peer, reader.bytes, reader.total), (client(0), 512, Some(2_000)));
    assert_eq!((reader.kind, reader.age), (Kind::Read, Duration::from_millis(20)));
    assert_eq!((writer.kind, writer.bytes, writer.total), (Kind::Write, 512, Some(1_000)));
    assert_eq!((last.total, last.half_open), (None, true));
    let shown = server.endpoint.snapshot(now, 1);
    assert_eq!((shown.live, shown.longest.len(), shown.longest[0].peer), (3, 1, client(0)));
    assert_eq!(server.endpoint.snapshot(now, 0).longest.len(), 0);
    assert_eq!(server.endpoint.uploads().count(), 1);
}
