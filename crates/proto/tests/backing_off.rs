//! What is sent twice backs off, whatever the peer answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use proptest::prelude::*;

/// The most packets for each block that is acknowledged, or for all that is sent while none is: so many
/// windows, and one more each time that the time doubles.
fn allowed(windowsize: usize, acknowledged: usize, millis: u64) -> usize {
    let positions = acknowledged + 1;
    let doublings = (millis / 20 / positions as u64 + 2).ilog2() as usize;
    windowsize * positions * 2 * (doublings + 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A reader that reports a gap, repeats itself or lies, at any pace.
    #[test]
    fn no_sequence_of_acks_brings_packets_without_end(
        windowsize in prop::sample::select(vec![1_u16, 2, 4, 16, 32]),
        steps in prop::collection::vec((0_u64..40, 0_u8..12), 1..800),
    ) {
        let mut server = Server::new().file("f", &bytes(8 * 20_000));
        let window = windowsize.to_string();
        server.request(&rrq("f", &[("blksize", "8"), ("windowsize", &window)]));
        let (mut sent, mut acknowledged, mut millis) = (server.says(&ack(0)).len(), 0_u16, 0);
        for (wait, kind) in steps {
            millis += wait;
            sent += server.run_until(millis).len();
            // Mostly the block before the gap, again and again; sometimes the next one.
            let number = match kind {
                0 => acknowledged + 1,
                1 => acknowledged.saturating_sub(1),
                2 => acknowledged + windowsize,
                _ => acknowledged,
            };
            let said = server.says(&ack(number));
            let is_beyond = kind == 2 && windowsize > 1;
            if kind == 0 || (is_beyond && !said.is_empty()) {
                acknowledged = number;
            }
            sent += said.len();
        }
        let most = allowed(windowsize.into(), acknowledged.into(), millis);
        prop_assert!(sent <= most, "{sent} of {most} packets, {acknowledged} blocks, {millis} ms");
    }

    /// A writer that repeats its blocks, or sends others, at any pace.
    #[test]
    fn no_sequence_of_blocks_brings_acks_without_end(
        steps in prop::collection::vec((0_u64..10, 0_u16..4), 1..800),
    ) {
        let mut server = Server::new();
        let (mut sent, mut taken, mut millis) = (server.request(&wrq("f", &[])).len(), 0, 0);
        for (wait, kind) in steps {
            millis += wait;
            sent += server.run_until(millis).len();
            let number = match kind {
                0 if wait == 0 => taken + 1,
                1 => taken + 2,
                _ => taken,
            };
            taken = taken.max(if number == taken + 1 { number } else { 0 });
            sent += server.says(&data(number, &[1; 512])).len();
        }
        let most = allowed(1, taken.into(), millis);
        prop_assert!(sent <= most, "{sent} of {most} ACKs, {taken} blocks, {millis} ms");
    }
}
