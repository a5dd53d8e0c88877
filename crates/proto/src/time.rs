//! Time as a value.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::Duration;

/// A point on the driver's monotonic clock: microseconds since an origin that the driver chooses.
///
/// The core only compares and adds; a test may start at zero and run hours in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(
    /// One more than the microseconds, so that a session's many optional times take no more room.
    NonZeroU64,
);

impl Time {
    /// The origin of the driver's clock.
    pub const ZERO: Time = Time(NonZeroU64::MIN);

    /// The point `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Time {
        Time(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// The time since `earlier`, zero if that lies in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Time {
    fn default() -> Time {
        Time::ZERO
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(micros))
    }
}
