//! Adaptive retransmission (RFC 6298 with Karn's rule, RFC 1123 section 4.2.3.2).

use std::time::Duration;

use crate::config::Timing;

/// Round-trip estimate of one session and the retransmission time-out made of it.
///
/// The caller keeps Karn's rule: it gives samples only of packets that were sent once.
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    // Microseconds in 32 bits: 71 minutes, far above any ceiling, in a quarter of a Duration.
    smoothed: u32,
    variation: u32,
    /// What the samples say, without back-off.
    base: u32,
    timeout: u32,
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
        let timeout = self.smoothed.saturating_add(self.variation.saturating_mul(4));
        self.base = timeout.clamp(self.floor, self.ceiling.max(self.floor));
        self.timeout = self.base;
    }

    /// Ends the back-off without a sample: the peer has moved the transfer on. RFC 6298 would wait
    /// for a sample, but on a path that loses a packet of each window none may come for long.
    pub fn end_back_off(&mut self) {
        self.timeout = self.base;
    }

    /// Doubles the time-out, up to the ceiling; it stays so until the transfer moves on.
    pub fn back_off(&mut self) {
        self.timeout = self.timeout.saturating_mul(2).min(self.ceiling.max(self.floor));
    }

    /// How long to wait for an answer before sending again.
    pub fn timeout(&self) -> Duration {
        Duration::from_micros(u64::from(self.timeout))
    }

    /// The same without back-off.
    pub fn base_timeout(&self) -> Duration {
        Duration::from_micros(u64::from(self.base))
    }

    /// The smoothed round trip; zero without a sample.
    pub fn smoothed(&self) -> Duration {
        Duration::from_micros(u64::from(self.smoothed))
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
