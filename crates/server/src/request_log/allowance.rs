//! So many lines a second.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// What one worker may write about datagrams that got no service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    per_second: u32,
    /// When the present second began.
    began: Option<Instant>,
    taken: u32,
}

impl Allowance {
    pub(super) fn new(per_second: u32) -> Allowance {
        Allowance { per_second, ..Allowance::default() }
    }

    /// Whether there may be one more line in this second.
    pub(super) fn take(&mut self) -> bool {
        self.take_at(Instant::now())
    }

    /// Whether the line that was asked for last is the first of its second that may not be.
    pub(super) fn is_first_over(&self) -> bool {
        self.taken == self.per_second.saturating_add(1)
    }

    fn take_at(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.duration_since(began) >= SECOND) {
            (self.began, self.taken) = (Some(now), 0);
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_lines_and_one_that_is_the_first_over() {
        let start = Instant::now();
        let mut allowance = Allowance::new(3);
        for second in 0..3 {
            let mut at = |millis| {
                let now = start + SECOND * second + Duration::from_millis(millis);
                (allowance.take_at(now), allowance.is_first_over())
            };
            for millis in [0, 1, 500] {
                assert_eq!(at(millis), (true, false));
            }
            assert_eq!([at(600), at(999)], [(false, true), (false, false)]);
        }
        assert!(!Allowance::new(0).take());
    }
}
