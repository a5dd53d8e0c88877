//! Adaptive retransmission (RFC 6298 with Karn's rule, RFC 1123 section 4.2.3.2).

use std::time::Duration;

use crate::config::Timing;

/// The least that a time-out is above the round trip, in microseconds: what RFC 6298 calls the
/// granularity of the clock, and a peer's scheduling.
const MARGIN: u32 = 10_000;

/// See [`Rtt::moved_on`].
const MOVES_BEFORE_RESET: u8 = 3;

/// Round-trip estimate of one session and the retransmission time-out made of it.
///
/// The caller keeps Karn's rule: it gives samples only of packets that were sent once.
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    // Microseconds in 32 bits: 71 minutes, far above any ceiling, in a quarter of a Duration.
    smoothed: u32,
    variation: u32,
    /// What the samples say.
    base: u32,
    /// The same with back-off.
    timeout: u32,
    /// How often the transfer has moved on since the back-off began.
    moves: u8,
    floor: u32,
    ceiling: u32,
    measured: bool,
}

impl Rtt {
    /// Starts without a sample.
    pub fn new(timing: &Timing) -> Rtt {
        Rtt {
            smoothed: 0,
            variation: 0,
            base: micros(timing.initial),
            timeout: micros(timing.initial),
            moves: 0,
            floor: micros(timing.floor),
            ceiling: micros(timing.ceiling),
            measured: false,
        }
    }

    /// Takes a round trip of a packet that was sent once; ends the back-off.
    pub fn sample(&mut self, round_trip: Duration) {
        let sample = micros(round_trip);
        if self.measured {
            let deviation = self.smoothed.abs_diff(sample);
            self.variation = self.variation - self.variation / 4 + deviation / 4;
            self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
        } else {
            self.measured = true;
            self.smoothed = sample;
            self.variation = sample / 2;
        }
        // On a steady path the variation goes to nothing, and the next packet that is a little late
        // would be too late.
        let margin = self.variation.saturating_mul(4).max(self.smoothed / 8).max(MARGIN);
        let timeout = self.smoothed.saturating_add(margin);
        self.base = timeout.clamp(self.floor, self.ceiling.max(self.floor));
        self.timeout = self.base;
        self.moves = 0;
    }

    /// The transfer has moved on, but by an answer that may be to either of two transmissions.
    ///
    /// RFC 6298 keeps the back-off until there is a sample: the next new packet then has the time
    /// to give one, even if the path has become slower than the time-out. But on a path that loses
    /// much, few packets are sent once, so there the back-off would only ever grow. Each time-out
    /// doubles it, so the third packet has had time enough on a slow path; after it, it is loss.
    pub fn moved_on(&mut self) {
        if self.timeout > self.base {
            self.moves += 1;
        }
        if self.moves >= MOVES_BEFORE_RESET {
            self.moves = 0;
            self.timeout = self.base;
        }
    }

    /// Doubles the time-out, up to the ceiling; [`moved_on`](Rtt::moved_on) says until when.
    pub fn back_off(&mut self) {
        self.timeout = self.timeout.saturating_mul(2).min(self.ceiling.max(self.floor));
    }

    /// How long to wait for an answer before sending again.
    pub fn timeout(&self) -> Duration {
        Duration::from_micros(u64::from(self.timeout))
    }

    /// The smoothed round trip; zero without a sample.
    pub fn smoothed(&self) -> Duration {
        Duration::from_micros(u64::from(self.smoothed))
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
