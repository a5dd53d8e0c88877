//! Uploads in windows: gaps at every place, blocks in another order, the wrap of block numbers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::Outcome;

const BLKSIZE: usize = 8;

/// A client in the middle of an upload. Each window arrives 2 ms after the ACK that asked for it.
struct Client {
    server: Server,
    file: Vec<u8>,
    windowsize: usize,
    now: u64,
    /// The last block that the server has acknowledged.
    acked: usize,
    acks: usize,
    sent: usize,
}

impl Client {
    fn new(file: &[u8], windowsize: usize) -> Client {
        let mut server = Server::new();
        let opening = [("blksize", "8"), ("windowsize", &windowsize.to_string())];
        assert_eq!(server.request(&wrq("f", &opening)), [oack(&opening)]);
        Client { server, file: file.to_vec(), windowsize, now: 0, acked: 0, acks: 0, sent: 0 }
    }

    fn last(&self) -> usize {
        self.file.len() / BLKSIZE + 1
    }

    fn block(&self, index: usize) -> Say {
        let start = (index - 1) * BLKSIZE;
        let end = (start + BLKSIZE).min(self.file.len());
        data(index as u16, &self.file[start..end])
    }

    /// The blocks that come next.
    fn window(&self) -> Vec<usize> {
        (self.acked + 1..=self.last().min(self.acked + self.windowsize)).collect()
    }

    /// Sends these blocks and gives the blocks that are acknowledged for them.
    fn send(&mut self, blocks: &[usize]) -> Vec<usize> {
        self.now += 2;
        self.server.quiet_until(self.now);
        let mut answers = Vec::new();
        for index in blocks {
            self.sent += 1;
            let say = self.block(*index);
            for answer in self.server.says(&say) {
                let number = match answer {
                    Say::Ack(number) => number,
                    // Before block 1 it stands for ACK 0.
                    Say::Oack(_) if self.acked == 0 => 0,
                    other => panic!("{other:?}"),
                };
                // The wire has 16 bits: near to what was acknowledged before.
                let step = number.wrapping_sub(self.acked as u16);
                answers.push(self.acked + usize::from(step));
            }
        }
        self.acks += answers.len();
        answers
    }

    /// Sends whole windows until all is acknowledged.
    fn finish(&mut self) {
        while self.acked < self.last() {
            let answers = self.send(&self.window());
            assert_eq!(answers.len(), 1, "behind {}", self.acked);
            self.acked = answers[0];
        }
        assert!(self.server.content("f").unwrap() == self.file);
        assert_eq!(self.server.record().outcome, Outcome::Complete);
    }
}

fn file_of(blocks: usize) -> Vec<u8> {
    bytes((blocks - 1) * BLKSIZE + 3)
}

#[test]
fn a_window_of_any_size_gets_one_ack() {
    for windowsize in [1, 2, 8, 64, 1000] {
        for blocks in [1, 2, 7, 8, 9, 130, 128] {
            let mut client = Client::new(&file_of(blocks), windowsize);
            client.finish();
            assert_eq!(client.acks, blocks.div_ceil(windowsize), "{windowsize}, {blocks}");
            assert_eq!(client.sent, blocks);
            client.server.ends_clean();
        }
    }
}

#[test]
fn a_file_of_whole_windows_ends_with_an_empty_block() {
    for windowsize in [1, 2, 4, 16] {
        for windows in 1..=3 {
            let blocks = windows * windowsize;
            let mut client = Client::new(&bytes(blocks * BLKSIZE), windowsize);
            for _ in 0..windows {
                let answers = client.send(&client.window());
                client.acked += windowsize;
                assert_eq!(answers, [client.acked]);
            }
            assert_eq!(client.server.content("f"), None, "the last block is missing");
            client.finish();
            assert_eq!(client.sent, blocks + 1);
        }
    }
}

#[test]
fn an_upload_straddles_the_wrap_in_a_window() {
    for windowsize in [7, 1000] {
        let mut client = Client::new(&file_of(65_600), windowsize);
        client.finish();
        assert_eq!(client.server.content("f").unwrap().len(), 65_599 * 8 + 3);
        client.server.ends_clean();
    }
}

#[test]
fn a_gap_at_the_wrap_is_reported_at_once() {
    // A window that straddles the wrap: 65,535 to 65,541.
    for lost in 65_535..65_541 {
        let mut client = Client::new(&file_of(65_560), 7);
        while client.acked < 65_534 {
            client.acked = client.send(&client.window())[0];
        }
        let rest: Vec<usize> = client.window().into_iter().filter(|at| *at != lost).collect();
        let answers = client.send(&rest);
        assert_eq!(answers, [lost - 1]);
        client.acked = lost - 1;
        client.finish();
    }
}

#[test]
fn a_gap_before_the_last_block_of_a_window_is_reported_at_once_and_once() {
    for lost in 1..8 {
        for window in 0..3 {
            let mut client = Client::new(&file_of(40), 8);
            for _ in 0..window {
                client.acked = client.send(&client.window())[0];
            }
            let missing = client.acked + lost;
            let rest: Vec<usize> =
                client.window().into_iter().filter(|at| *at != missing).collect();
            assert_eq!(client.send(&rest), [missing - 1], "block {missing}");
            // Everything behind the gap comes again, as one whole window.
            client.acked = missing - 1;
            client.finish();
            client.server.ends_clean();
        }
    }
}

#[test]
fn a_lost_last_block_of_a_window_is_asked_for_by_the_clock() {
    let mut client = Client::new(&file_of(40), 8);
    client.acked = client.send(&client.window())[0];
    assert_eq!(client.send(&[9, 10, 11, 12, 13, 14, 15]), []);
    let asked = client.server.run_until(client.now + 200);
    assert_eq!(asked, [(client.now + 200, ack(15))]);
    client.now += 200;
    client.acked = 15;
    client.finish();
    assert_eq!(client.sent, 40);
}

#[test]
fn blocks_in_any_order_are_stored_in_theirs() {
    // All orders of a window of four, each with a client that goes on where the last ACK says.
    for round in 0..24 {
        let mut client = Client::new(&file_of(13), 4);
        let order = in_order(&[1, 2, 3, 4], round);
        let answers = client.send(&order);
        assert!(answers.is_sorted(), "{order:?}: {answers:?}");
        client.acked = answers[answers.len() - 1];
        while client.acked < client.last() {
            let answers = client.send(&client.window());
            client.acked = answers[answers.len() - 1];
        }
        assert_eq!(client.server.content("f").unwrap(), client.file, "{order:?}");
        client.server.ends_clean();
    }
}

#[test]
fn a_window_that_comes_twice_is_stored_once() {
    let mut client = Client::new(&file_of(20), 4);
    for _ in 0..4 {
        let window = client.window();
        let end = window[window.len() - 1];
        let twice: Vec<usize> = window.iter().flat_map(|at| [*at, *at]).collect();
        let answers = client.send(&twice);
        assert!(answers.contains(&end), "{answers:?}");
        client.acked = end;
    }
    client.finish();
}

#[test]
fn a_client_that_leaves_a_window_unfinished_hears_how_far_it_got_until_it_is_given_up() {
    let mut client = Client::new(&file_of(20), 8);
    client.send(&[1, 2, 3]);
    let asked = client.server.run_until(60_001);
    assert!(asked.len() > 3 && asked.len() < 16, "{asked:?}");
    assert!(asked.iter().all(|(_, say)| *say == ack(3)), "{asked:?}");
    client.server.quiet_until(60_002);
    assert_eq!(client.server.record().outcome, Outcome::TimedOut);
    assert_eq!(client.server.content("f"), None);
    client.server.ends_clean();
}

#[test]
fn two_blocks_that_overtake_each_other_cost_no_more_than_a_window() {
    for windowsize in [2, 4, 8, 16] {
        for at in 0..windowsize - 1 {
            let mut client = Client::new(&file_of(1_000), windowsize);
            let mut order = client.window();
            order.swap(at, at + 1);
            let mut answers = client.send(&order);
            while client.acked < client.last() {
                // What the client hears last says where its next window starts.
                client.acked = answers[answers.len() - 1];
                if client.acked < client.last() {
                    answers = client.send(&client.window());
                }
            }
            let again = client.sent - 1_000;
            assert!(again <= 2 * windowsize, "window {windowsize}, at {at}: {again} sent again");
        }
    }
}
