//! Whether runs that leave as one arrive, as an endpoint learns it from its transfers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use memtftp_proto::Outcome;

const WINDOW: [(&str, &str); 2] = [("blksize", "8"), ("windowsize", "4")];

/// Two windows and the empty block at the end.
fn server() -> Server {
    Server::new().file("f", &bytes(64))
}

/// A read whose first window has just left.
fn begin(server: &mut Server, now: u64) {
    server.peer.set_port(server.peer.port() + 1);
    server.runs.clear();
    server.quiet_until(now);
    assert_eq!(server.request(&rrq("f", &WINDOW)), [oack(&WINDOW)]);
    server.quiet_until(now + 10);
    assert_eq!(server.says(&ack(0)).len(), 4);
    assert_eq!(server.runs, [(4, false)]);
}

/// The rest of it, from `acked` on.
fn finish(server: &mut Server, acked: &[u16]) {
    for number in acked {
        server.says(&ack(*number));
    }
    assert_eq!(server.record().outcome, Outcome::Complete);
}

#[test]
fn a_transfer_whose_runs_are_lost_goes_on_block_by_block_and_is_counted() {
    let mut server = server();
    for (transfers, now) in [(1, 0), (2, 1_000), (3, 2_000)] {
        begin(&mut server, now);
        // The run that left as one was damaged; four blocks that leave one by one arrive.
        let again = server.run_until(now + 40);
        assert_eq!(again.len(), 4);
        assert_eq!(server.says(&ack(4)).len(), 4);
        finish(&mut server, &[8, 9]);
        assert_eq!(server.runs, [(4, false), (4, true), (4, true), (1, true)]);
        assert_eq!(server.endpoint.lost_runs(), transfers);
    }
    // One whose runs arrive ends the row: then it was the path of those clients.
    begin(&mut server, 3_000);
    finish(&mut server, &[4, 8, 9]);
    assert_eq!(server.runs, [(4, false), (4, false), (1, false)]);
    assert_eq!(server.endpoint.lost_runs(), 0);
    server.ends_clean();
}

#[test]
fn one_window_lost_behind_one_that_arrived_is_chance() {
    let mut server = server();
    begin(&mut server, 0);
    server.quiet_until(20);
    assert_eq!(server.says(&ack(4)).len(), 4);
    assert_eq!(server.run_until(60).len(), 4);
    finish(&mut server, &[8, 9]);
    // Only its repeat is careful.
    assert_eq!(server.runs, [(4, false), (4, false), (4, true), (1, false)]);
    assert_eq!(server.endpoint.lost_runs(), 0);
    server.ends_clean();
}

#[test]
fn a_gap_in_a_run_shows_that_its_blocks_travel_apart() {
    let mut server = server();
    begin(&mut server, 0);
    server.quiet_until(20);
    // Block 4 of the run was lost, three have arrived.
    assert_eq!(server.says(&ack(3)).len(), 4);
    finish(&mut server, &[7, 9]);
    assert_eq!(server.runs, [(4, false), (4, false), (2, false)]);
    assert_eq!(server.endpoint.lost_runs(), 0);
}

#[test]
fn single_blocks_and_transfers_that_fail_say_nothing_of_runs() {
    let mut server = server();
    begin(&mut server, 0);
    server.run_until(40);
    server.says(&ack(4));
    finish(&mut server, &[8, 9]);
    assert_eq!(server.endpoint.lost_runs(), 1);
    // In lock-step, with a lost block.
    server.peer.set_port(9_000);
    server.quiet_until(100);
    server.request(&rrq("f", &[("blksize", "8")]));
    server.quiet_until(110);
    server.says(&ack(0));
    assert_eq!(server.run_until(140).len(), 1);
    finish(&mut server, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(server.endpoint.lost_runs(), 1);
    // Aborted when its careful blocks had arrived, and silent from the start.
    begin(&mut server, 1_000);
    server.run_until(1_040);
    server.says(&ack(4));
    server.says(&error(0, "stop"));
    assert!(matches!(server.record().outcome, Outcome::Aborted { .. }));
    begin(&mut server, 2_000);
    assert!(server.run_until(80_000).iter().all(|(_, say)| matches!(say, Say::Data(..))));
    assert_eq!(server.record().outcome, Outcome::TimedOut);
    assert!(server.runs[1..].iter().all(|(_, alone)| *alone), "{:?}", server.runs);
    assert_eq!(server.endpoint.lost_runs(), 1);
    server.ends_clean();
}
