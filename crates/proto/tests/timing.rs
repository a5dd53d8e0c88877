//! When a packet is sent again and when a transfer is given up, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::time::Duration;

use common::*;
use memtftp_proto::{Config, Outcome, Timing};

const ROUND_TRIPS: [u64; 3] = [5, 50, 500];

/// A client that reads a long file in lock-step, and the block it has just been sent.
struct Reading {
    server: Server,
    now: u64,
    block: u16,
}

impl Reading {
    fn start(options: &[(&str, &str)]) -> Reading {
        let mut server = Server::new().file("f", &bytes(512 * 1000));
        let first = server.request(&rrq("f", options));
        let block = if matches!(first[..], [Say::Data(..)]) { 1 } else { 0 };
        Reading { server, now: 0, block }
    }

    /// Each block is acknowledged `round_trip` ms after it was sent; none may come twice.
    fn goes_on(&mut self, blocks: u16, round_trip: u64) {
        for _ in 0..blocks {
            self.now += round_trip;
            self.server.quiet_until(self.now);
            let sent = self.server.says(&ack(self.block));
            self.block += 1;
            assert!(matches!(sent[..], [Say::Data(n, _)] if n == self.block), "{sent:?}");
        }
    }

    /// The times between a block that gets no answer and its repeats, for so long.
    fn gaps(&mut self, millis: u64) -> Vec<u64> {
        let from = self.now;
        self.now += millis;
        let sent = self.server.run_until(self.now);
        assert!(sent.iter().all(|(_, say)| matches!(say, Say::Data(n, _) if *n == self.block)));
        let mut times = vec![from];
        times.extend(sent.iter().map(|(at, _)| *at));
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

#[test]
fn a_steady_path_of_any_length_brings_no_repeats_of_data() {
    for round_trip in ROUND_TRIPS {
        let mut reading = Reading::start(&[]);
        reading.goes_on(200, round_trip);
        reading.server.says(&error(0, ""));
        assert_eq!(reading.server.record().retransmissions, 0, "{round_trip} ms");
        reading.server.ends_clean();
    }
}

#[test]
fn a_path_that_varies_by_a_tenth_brings_no_repeats_of_data() {
    for round_trip in ROUND_TRIPS {
        let mut reading = Reading::start(&[]);
        for step in 0..200 {
            reading.goes_on(1, round_trip + [0, round_trip / 10, round_trip / 20][step % 3]);
        }
    }
}

#[test]
fn a_steady_path_of_any_length_brings_no_repeats_of_acks() {
    for round_trip in ROUND_TRIPS {
        let mut server = Server::new();
        server.request(&wrq("f", &[]));
        for block in 1..=200u16 {
            server.quiet_until(u64::from(block) * round_trip);
            assert_eq!(server.says(&data(block, &[0; 512])), [ack(block)]);
        }
        server.says(&error(0, ""));
        assert_eq!(server.record().retransmissions, 0, "{round_trip} ms");
        server.ends_clean();
    }
}

#[test]
fn the_wait_for_an_ack_follows_the_round_trip() {
    for (round_trip, bounds) in ROUND_TRIPS.into_iter().zip([20..=20, 50..=75, 500..=750]) {
        let mut reading = Reading::start(&[]);
        reading.goes_on(30, round_trip);
        let wait = reading.gaps(1_000)[0];
        assert!(bounds.contains(&wait), "{wait} ms with round trips of {round_trip} ms");
        reading.server.says(&error(0, ""));
        reading.server.ends_clean();
    }
}

#[test]
fn the_wait_for_data_follows_the_round_trip_too_but_leaves_the_sender_its_turn() {
    for (round_trip, bounds) in ROUND_TRIPS.into_iter().zip([200..=200, 200..=200, 500..=750]) {
        let mut server = Server::new();
        server.request(&wrq("f", &[]));
        let mut now = 0;
        for block in 1..=30 {
            now += round_trip;
            server.quiet_until(now);
            server.says(&data(block, &[0; 512]));
        }
        let again = server.run_until(now + 1_000);
        assert!(bounds.contains(&(again[0].0 - now)), "{again:?} after {now}");
        assert_eq!(again[0].1, ack(30));
    }
}

#[test]
fn a_reader_that_falls_silent_gets_its_block_ever_more_rarely_and_is_given_up_after_a_minute() {
    let mut reading = Reading::start(&[]);
    reading.goes_on(30, 10);
    let gaps = reading.gaps(59_999);
    assert_eq!(gaps[0], 20);
    for pair in gaps.windows(2) {
        // Deadlines are kept to the millisecond.
        assert!(pair[1].abs_diff((2 * pair[0]).min(8_000)) <= 1, "{gaps:?}");
    }
    assert!(gaps.len() < 16 && gaps.ends_with(&[8_000, 8_000]), "{gaps:?}");
    assert_eq!(reading.server.records().len(), 0);
    assert_eq!(reading.gaps(1), []);
    let record = reading.server.record();
    assert_eq!((record.outcome, record.blocks), (Outcome::TimedOut, 30));
    assert_eq!(reading.server.endpoint.sessions(), 0);
    reading.server.ends_clean();
}

#[test]
fn a_writer_that_falls_silent_is_given_up_after_a_minute() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    server.quiet_until(10);
    server.says(&data(1, &[0; 512]));
    let again = server.run_until(60_009);
    assert!(again.len() < 16, "{again:?}");
    assert_eq!(server.records().len(), 0);
    server.quiet_until(60_010);
    assert_eq!(server.record().outcome, Outcome::TimedOut);
    server.ends_clean();
}

#[test]
fn a_window_into_nowhere_ends_too() {
    let mut server = Server::new().file("f", &bytes(512 * 1000));
    server.request(&rrq("f", &[("windowsize", "16")]));
    server.quiet_until(10);
    assert_eq!(server.says(&ack(0)).len(), 16);
    let again = server.run_until(60_010);
    assert!(again.len() <= 16 * 16, "{} repeats", again.len());
    assert_eq!(server.record().outcome, Outcome::TimedOut);
    server.ends_clean();
}

#[test]
fn an_upload_repeats_its_oack_for_a_repeated_request_alone() {
    for seconds in ["1", "5", "10"] {
        let mut server = Server::new();
        let opening = oack(&[("timeout", seconds)]);
        let asked = server.request(&wrq("f", &[("timeout", seconds)]));
        assert_eq!(asked, std::slice::from_ref(&opening));
        server.quiet_until(20_000);
        assert_eq!(server.request(&wrq("f", &[("timeout", seconds)])), [opening]);
        server.quiet_until(60_000);
        assert_eq!(server.record().outcome, Outcome::TimedOut);
        server.ends_clean();
    }
}

/// Requests of each kind and the client's first answer to them, at the last moment at which it comes in
/// time.
#[test]
fn a_client_that_is_slow_at_its_first_answer_is_waited_for() {
    let kinds = [
        (rrq("f", &[]), ack(1), 60_000, 4),
        (wrq("g", &[]), data(1, b"x"), 60_000, 2),
        (rrq("f", &[("blksize", "8")]), ack(0), 60_000, 4),
        (rrq("f", &[("timeout", "20")]), ack(0), 60_000, 2),
        (rrq("f", &[("timeout", "255")]), ack(0), 510_000, 1),
        (wrq("g", &[("timeout", "30")]), data(1, b"x"), 60_000, 0),
        (wrq("g", &[("timeout", "255")]), data(1, b"x"), 510_000, 0),
    ];
    for (request, answer, patience, repeats) in kinds {
        let mut server = Server::new().file("f", &bytes(600));
        assert_eq!(server.request(&request).len(), 1);
        let sent = server.run_until(patience - 1);
        assert_eq!(sent.len(), repeats, "{}: {sent:?}", request.escape_ascii());
        assert_eq!(server.says(&answer).len(), 1, "{}", request.escape_ascii());
        server.ends_clean();
        let mut server = Server::new().file("f", &bytes(600));
        server.request(&request);
        server.run_until(patience);
        assert_eq!(server.record().outcome, Outcome::TimedOut);
        assert_eq!(server.says(&answer), [error(5, "unknown transfer ID")]);
        server.ends_clean();
    }
}

/// Both for a client before its first answer and for one that has answered.
#[test]
fn patience_is_what_the_driver_says() {
    for seconds in [1, 5, 120] {
        let patience = Duration::from_secs(seconds);
        let server = || {
            let change = |config: &mut Config| config.timing = Timing::of_server(patience);
            Server::with(change).file("f", &bytes(600))
        };
        for answered in [false, true] {
            let mut server = server();
            server.request(&rrq("f", &[]));
            if answered {
                server.says(&ack(1));
            }
            server.run_until(seconds * 1_000 - 1);
            assert_eq!(server.endpoint.live_sessions(), 1);
            server.run_until(seconds * 1_000);
            assert_eq!(server.record().outcome, Outcome::TimedOut);
        }
    }
}

#[test]
fn a_measured_round_trip_replaces_the_timeout_option() {
    let mut reading = Reading::start(&[("timeout", "5")]);
    reading.goes_on(30, 10);
    assert_eq!(reading.gaps(19), []);
    assert_eq!(reading.gaps(1), [1]);
}

#[test]
fn a_long_timeout_option_buys_twice_its_length_of_silence() {
    for (seconds, silence) in [("10", 60_000), ("60", 120_000), ("255", 510_000)] {
        let mut reading = Reading::start(&[("timeout", seconds)]);
        reading.goes_on(1, 10);
        reading.server.run_until(10 + silence - 1);
        assert_eq!(reading.server.endpoint.live_sessions(), 1, "timeout={seconds}");
        reading.server.quiet_until(10 + silence);
        assert_eq!(reading.server.record().outcome, Outcome::TimedOut, "timeout={seconds}");
        reading.server.ends_clean();
    }
}

#[test]
fn only_progress_keeps_a_transfer_alive() {
    let mut reading = Reading::start(&[]);
    reading.goes_on(1, 10);
    // The client is there but says nothing new: as good as silent.
    for step in 1..60 {
        reading.server.run_until(10 + step * 1_000);
        assert_eq!(reading.server.says(&ack(1)), []);
    }
    reading.server.run_until(60_010);
    assert_eq!(reading.server.record().outcome, Outcome::TimedOut);
    reading.server.ends_clean();
}

#[test]
fn a_path_that_slows_down_is_learnt_again() {
    for (before, after) in [(5, 50), (50, 51), (50, 100), (50, 500), (300, 1_300), (1_100, 1_100)] {
        let mut reading = Reading::start(&[]);
        if before < 1_000 {
            reading.goes_on(200, before);
        }
        for _ in 0..200 {
            reading.now += after;
            reading.server.run_until(reading.now);
            reading.server.says(&ack(reading.block));
            reading.block += 1;
        }
        reading.server.says(&error(0, ""));
        let again = reading.server.record().retransmissions;
        assert!(again <= 20, "{again} of 200 blocks sent again, {before} ms to {after} ms");
    }
}

#[test]
fn a_writer_that_slows_down_is_learnt_again() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    let mut now = 0;
    let mut again = 0;
    for block in 1..=200u16 {
        now += if block < 30 { 100 } else { 300 };
        again += server.run_until(now).len();
        server.says(&data(block, &[0; 512]));
    }
    assert!(again <= 20, "{again} ACKs sent again");
}
