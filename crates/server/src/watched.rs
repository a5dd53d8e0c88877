//! A value that threads can wait on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A value behind a lock. Who waits is woken by a change; a change that nobody waits for costs the
/// lock and nothing more.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State<T> {
    value: T,
    waiting: usize,
    /// Nothing will change the value any more.
    ended: bool,
}

/// Why a wait found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    TimedOut,
    Ended,
}

impl<T> Watched<T> {
    /// Changes the value and wakes who waits.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.value);
        self.wake(state);
        result
    }

    /// No change will follow: ends the waits that the value does not meet.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        self.wake(state);
    }

    /// Gives what `look` finds, now or after a change.
    ///
    /// # Errors
    /// It found nothing in `timeout`, or before the last change.
    pub(crate) fn wait<R>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, Unmet> {
        // Beyond what the clock can hold is for ever.
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state.value) {
                return Ok(found);
            }
            if state.ended {
                return Err(Unmet::Ended);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Unmet::TimedOut);
            }
            state.waiting += 1;
            state = self.sleep(state, left);
            state.waiting -= 1;
        }
    }

    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, State<T>> {
        match left {
            Some(left) => {
                let woken = self.changed.wait_timeout(state, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn wake(&self, state: MutexGuard<'_, State<T>>) {
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_least(least: u32) -> impl FnMut(&mut u32) -> Option<u32> {
        move |value| (*value >= least).then_some(*value)
    }

    #[test]
    fn a_wait_ends_with_a_change_a_deadline_or_the_end() {
        let watched = Watched::<u32>::default();
        assert_eq!(watched.wait(Duration::ZERO, at_least(1)), Err(Unmet::TimedOut));
        assert_eq!(watched.wait(Duration::from_millis(5), at_least(1)), Err(Unmet::TimedOut));
        std::thread::scope(|scope| {
            let waits = [1, 2].map(|least| {
                let watched = &watched;
                scope.spawn(move || watched.wait(Duration::MAX, at_least(least)))
            });
            watched.change(|value| *value = 2);
            for wait in waits {
                assert_eq!(wait.join().unwrap(), Ok(2));
            }
            let wait = scope.spawn(|| watched.wait(Duration::MAX, at_least(3)));
            watched.end();
            assert_eq!(wait.join().unwrap(), Err(Unmet::Ended));
        });
        assert_eq!(watched.wait(Duration::MAX, at_least(2)), Ok(2), "what is there counts");
    }
}
