//! Reads in windows: gaps at every place, the wrap of block numbers, and clients that acknowledge
//! each packet.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::Outcome;

/// How a client answers a block that it did not expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Habit {
    /// One ACK for a gap (RFC 7440 section 4).
    OncePerGap,
    /// One ACK for each packet behind a gap: edk2.
    EachPacket,
}

/// A client in the middle of a read. What it sends arrives 2 ms later.
struct Client {
    server: Server,
    habit: Habit,
    windowsize: usize,
    now: u64,
    content: Vec<u8>,
    /// The block wanted next, and how many came since the last ACK.
    wanted: usize,
    fresh: usize,
    reported: bool,
    done: bool,
    /// DATA sent by the server.
    sent: usize,
}

const BLKSIZE: usize = 8;

impl Client {
    fn new(file: &[u8], windowsize: usize, habit: Habit) -> Client {
        let mut server = Server::new().file("f", file);
        let opening = [("blksize", "8"), ("windowsize", &windowsize.to_string())];
        assert_eq!(server.request(&rrq("f", &opening)), [oack(&opening)]);
        Client {
            server,
            habit,
            windowsize,
            now: 0,
            content: Vec::new(),
            wanted: 1,
            fresh: 0,
            reported: false,
            done: false,
            sent: 0,
        }
    }

    /// Takes a block that has arrived and gives the ACK for it.
    fn take(&mut self, say: &Say) -> Option<Say> {
        let Say::Data(number, payload) = say else { panic!("{say:?}") };
        if *number != self.wanted as u16 {
            let silent = self.habit == Habit::OncePerGap && self.reported;
            self.reported = true;
            self.fresh = 0;
            return (!silent).then(|| ack((self.wanted - 1) as u16));
        }
        self.content.extend_from_slice(payload);
        self.wanted += 1;
        self.fresh += 1;
        self.reported = false;
        self.done = payload.len() < BLKSIZE;
        (self.done || self.fresh == self.windowsize).then(|| {
            self.fresh = 0;
            ack((self.wanted - 1) as u16)
        })
    }

    /// Reads to the end; `lose` says which of all DATA are lost, counted from 1.
    fn read(&mut self, mut lose: impl FnMut(usize) -> bool) {
        let mut acks = vec![ack(0)];
        let deadline = self.now + 60_000;
        while !self.done {
            self.now += 2;
            assert!(self.now < deadline, "stuck at block {}", self.wanted);
            let mut arriving: Vec<Say> =
                self.server.run_until(self.now).into_iter().map(|(_, say)| say).collect();
            for say in std::mem::take(&mut acks) {
                arriving.extend(self.server.says(&say));
            }
            for say in arriving {
                self.sent += 1;
                if !lose(self.sent) {
                    acks.extend(self.take(&say));
                }
            }
        }
        for say in acks {
            self.server.says(&say);
        }
    }
}

fn file_of(blocks: usize) -> Vec<u8> {
    bytes((blocks - 1) * BLKSIZE + 3)
}

#[test]
fn a_window_that_straddles_the_wrap_is_read_whole() {
    for windowsize in [7, 64, 1000] {
        let file = file_of(65_600);
        let mut client = Client::new(&file, windowsize, Habit::OncePerGap);
        client.read(|_| false);
        assert!(client.content == file, "window {windowsize}");
        assert_eq!(client.sent, 65_600);
        assert_eq!(client.server.record().outcome, Outcome::Complete);
        client.server.ends_clean();
    }
}

#[test]
fn more_small_blocks_than_numbers_are_read_in_lock_step() {
    let mut file = bytes(8 * 65_537);
    file[65_536 * 8..].copy_from_slice(b"the last");
    let mut server = Server::new().file("f", &file);
    let mut sent = server.request(&rrq("f", &[("blksize", "8")]));
    for index in 0..=65_537usize {
        sent = server.says(&ack(index as u16));
        let end = file.len().min((index + 1) * 8);
        assert_eq!(sent, [data((index + 1) as u16, &file[(index * 8).min(end)..end])]);
    }
    assert_eq!(sent, [data(2, b"")]);
    assert_eq!(server.says(&ack(2)), []);
    assert_eq!(server.record().blocks, 65_538);
    server.ends_clean();
}

#[test]
fn a_gap_at_the_wrap_is_repaired_without_a_time_out() {
    let file = file_of(65_570);
    // A window that straddles the wrap: 65,535 to 65,541.
    for lost in 65_535..65_541 {
        for habit in [Habit::OncePerGap, Habit::EachPacket] {
            let mut client = Client::new(&file, 7, habit);
            client.read(|sent| sent == lost);
            assert!(client.content == file, "block {lost}, {habit:?}");
            assert!(client.sent <= 65_570 + 7, "{} DATA, {habit:?}", client.sent);
            let round_trips = 65_570_u64.div_ceil(7) + 1;
            assert!(client.now <= 2 * round_trips, "{lost}, {habit:?}: {} ms", client.now);
        }
    }
}

#[test]
fn a_gap_before_the_last_block_of_a_window_costs_a_round_trip() {
    let file = file_of(8 * 10);
    for habit in [Habit::OncePerGap, Habit::EachPacket] {
        for lost in (1..=8 * 10).filter(|lost| lost % 8 != 0) {
            let mut client = Client::new(&file, 8, habit);
            client.read(|sent| sent == lost);
            assert!(client.content == file, "block {lost}, {habit:?}");
            // What was behind it is sent again, and nothing twice.
            let place = (lost - 1) % 8;
            let again = client.server.record().retransmissions;
            assert_eq!(again as usize, 8 - place, "block {lost}, {habit:?}");
            assert!(client.now <= 2 * (10 + 2), "block {lost}, {habit:?}: {} ms", client.now);
            client.server.ends_clean();
        }
    }
}

#[test]
fn the_burst_of_acks_that_edk2_sends_restarts_a_window_once() {
    for windowsize in [2, 4, 16, 64] {
        let file = file_of(1_000);
        for lost in [1, windowsize + 1, 2 * windowsize - 1, 449] {
            let mut client = Client::new(&file, windowsize, Habit::EachPacket);
            client.read(|sent| sent == lost);
            assert!(client.content == file, "window {windowsize}, block {lost}");
            assert!(client.sent <= 1_000 + windowsize, "{} DATA", client.sent);
        }
    }
}

#[test]
fn with_a_third_of_the_packets_lost_the_bytes_are_the_same() {
    for habit in [Habit::OncePerGap, Habit::EachPacket] {
        for windowsize in [1, 2, 8, 32] {
            let file = file_of(200);
            let mut client = Client::new(&file, windowsize, habit);
            let mut dice = 1u32;
            client.read(|_| {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (dice >> 16).is_multiple_of(3)
            });
            assert!(client.content == file, "window {windowsize}, {habit:?}");
            client.server.ends_clean();
        }
    }
}

#[test]
fn a_file_of_whole_windows_ends_with_an_empty_block_in_a_window_of_its_own() {
    for windowsize in [1, 2, 4, 16] {
        for windows in 1..=3 {
            let file = bytes(windows * windowsize * BLKSIZE);
            let mut client = Client::new(&file, windowsize, Habit::OncePerGap);
            client.read(|_| false);
            assert!(client.content == file);
            assert_eq!(client.sent, windows * windowsize + 1);
            let record = client.server.record();
            assert_eq!((record.outcome, record.bytes), (Outcome::Complete, file.len() as u64));
        }
    }
}

#[test]
fn a_window_larger_than_the_file_is_sent_at_once() {
    for len in [0, 1, 7, 8, 9, 100] {
        let file = bytes(len);
        let mut client = Client::new(&file, 64, Habit::OncePerGap);
        client.read(|_| false);
        assert!(client.content == file);
        assert_eq!((client.sent, client.now), (len / 8 + 1, 2));
        client.server.ends_clean();
    }
}

#[test]
fn acks_that_overtake_each_other_bring_nothing_twice() {
    let file = bytes(8 * 100);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[("blksize", "8"), ("windowsize", "4")]));
    server.quiet_until(2);
    assert_eq!(server.says(&ack(0)).len(), 4);
    server.quiet_until(4);
    assert_eq!(server.says(&ack(4)).len(), 4);
    server.quiet_until(6);
    for late in [0, 1, 2, 3] {
        assert_eq!(server.says(&ack(late)), [], "ACK {late}");
    }
    assert_eq!(server.says(&ack(8)).len(), 4);
    for never_sent in [13, 14, 100, 65_535] {
        assert_eq!(server.says(&ack(never_sent)), [], "ACK {never_sent}");
    }
}

#[test]
fn a_window_whose_acks_are_all_lost_comes_again_as_it_was() {
    let file = bytes(8 * 100);
    let mut server = Server::new().file("f", &file);
    server.request(&rrq("f", &[("blksize", "8"), ("windowsize", "4")]));
    server.quiet_until(10);
    server.says(&ack(0));
    server.quiet_until(20);
    let window = server.says(&ack(4));
    let again = server.run_until(60);
    assert_eq!(again.into_iter().map(|(_, say)| say).collect::<Vec<_>>(), window);
    assert_eq!(server.says(&ack(8)).len(), 4);
}

#[test]
fn a_lost_last_block_of_a_window_costs_a_time_out_and_one_window() {
    for habit in [Habit::OncePerGap, Habit::EachPacket] {
        for windowsize in [2, 4, 8, 64] {
            let file = file_of(1_000);
            let mut client = Client::new(&file, windowsize, habit);
            client.read(|sent| sent == windowsize);
            assert!(client.content == file);
            let again = client.sent - 1_000;
            assert!(again <= 2 * windowsize, "window {windowsize}, {habit:?}: {again} repeats");
        }
    }
}
