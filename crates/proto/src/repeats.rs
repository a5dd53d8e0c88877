//! Back-off of everything that is sent twice because a peer seems to ask for it.

use std::time::Duration;

use crate::time::Time;

/// The least wait before a second repeat, and the longest before any.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(8);

/// Paces the repeats of one packet at a time (RFC 1123 section 4.2.3.2).
///
/// A peer that reports a loss gets the first repeat at once. Each further repeat of the same packet waits
/// twice as long as the one before, so that no peer and no network can make a transfer send without
/// end what does not arrive.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repeats {
    /// The block, or the number of the ACK, that is repeated.
    of: u64,
    times: u8,
    not_before: Time,
}

impl Repeats {
    /// Admits a repeat of packet `of` now, or says when it may leave. `round_trip` is the smoothed one.
    pub(crate) fn admit(&mut self, now: Time, of: u64, round_trip: Duration) -> Result<(), Time> {
        if self.of != of || self.times == 0 {
            *self = Repeats { of, times: 0, not_before: now };
        }
        if now < self.not_before {
            return Err(self.not_before);
        }
        let wait = (round_trip * 2).max(SHORTEST).saturating_mul(1 << self.times.min(16));
        self.not_before = now + wait.min(LONGEST);
        self.times = self.times.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    #[test]
    fn the_first_repeat_is_at_once_and_each_further_one_waits_twice_as_long() {
        let mut repeats = Repeats::default();
        let mut sent = Vec::new();
        for millis in 0..60_000 {
            if repeats.admit(at(millis), 7, Duration::from_micros(100)).is_ok() {
                sent.push(millis);
            }
        }
        let expected = [0, 20, 60, 140, 300, 620, 1_260, 2_540, 5_100, 10_220, 18_220, 26_220];
        assert_eq!(sent.get(..12), Some(&expected[..]));
        assert_eq!(repeats.admit(at(60_000), 8, Duration::ZERO), Ok(()));
        assert_eq!(repeats.admit(at(60_001), 8, Duration::ZERO), Err(at(60_020)));
    }

    #[test]
    fn a_long_round_trip_is_waited_for() {
        let mut repeats = Repeats::default();
        let round_trip = Duration::from_millis(100);
        assert_eq!(repeats.admit(at(0), 1, round_trip), Ok(()));
        assert_eq!(repeats.admit(at(100), 1, round_trip), Err(at(200)));
    }
}
