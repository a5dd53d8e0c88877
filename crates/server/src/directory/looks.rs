//! Looks at the disk that are under way for files in memory: one for each file, however many requests
//! wait for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use memtftp_store::Name;

/// How long a request waits for a look. After that the disk counts as hanging, and the file in memory is
/// served as it is until the look ends.
pub(super) const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Requests that wait for looks, at most. One more is served what is in memory.
const MAX_WAITERS: usize = 65_536;

/// The looks under way, each with the requests `W` that wait for it.
#[derive(Debug)]
pub(super) struct Looks<W> {
    running: HashMap<Name, Running<W>>,
    /// Requests that wait, for all looks together.
    waiting: usize,
    most: usize,
}

#[derive(Debug)]
struct Running<W> {
    since: Instant,
    waiters: Vec<W>,
}

/// What became of a request that is to wait for a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<W> {
    /// It waits, and nobody looks yet: begin.
    First,
    /// It waits with others for a look that was asked for before.
    Waits,
    /// It does not wait: too many do, or the look takes too long.
    Refused(W),
}

impl<W> Looks<W> {
    pub(super) fn new() -> Looks<W> {
        Looks { running: HashMap::new(), waiting: 0, most: MAX_WAITERS }
    }

    /// Lets a request wait for a look at `name`.
    pub(super) fn join(&mut self, name: &Name, waiter: W, now: Instant) -> Joined<W> {
        if self.waiting >= self.most || self.is_overdue(name, now) {
            return Joined::Refused(waiter);
        }
        self.waiting += 1;
        if let Some(running) = self.running.get_mut(name) {
            running.waiters.push(waiter);
            return Joined::Waits;
        }
        self.running.insert(name.clone(), Running { since: now, waiters: vec![waiter] });
        Joined::First
    }

    /// Whether a look at `name` is under way that takes too long.
    pub(super) fn is_overdue(&self, name: &Name, now: Instant) -> bool {
        self.running.get(name).is_some_and(|running| running.is_overdue(now))
    }

    /// Ends the look at `name` and returns the requests that still wait for it.
    pub(super) fn end(&mut self, name: &Name) -> Vec<W> {
        let waiters = self.running.remove(name).map(|running| running.waiters).unwrap_or_default();
        self.waiting -= waiters.len();
        waiters
    }

    /// Returns the requests whose looks take too long. The looks stay under way.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<(Name, Vec<W>)> {
        let overdue = self.running.iter_mut().filter(|(_, running)| running.is_overdue(now));
        let taken: Vec<_> = overdue
            .map(|(name, running)| (name.clone(), std::mem::take(&mut running.waiters)))
            .filter(|(_, waiters)| !waiters.is_empty())
            .collect();
        self.waiting -= taken.iter().map(|(_, waiters)| waiters.len()).sum::<usize>();
        taken
    }

    /// Whether no request waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0
    }
}

impl<W> Running<W> {
    fn is_overdue(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= LOOK_PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn looks(most: usize) -> Looks<u32> {
        Looks { most, ..Looks::new() }
    }

    #[test]
    fn all_who_ask_meanwhile_wait_for_one_look() {
        let (mut looks, now) = (looks(10), Instant::now());
        let (f, g) = (name("f"), name("g"));
        assert_eq!(looks.join(&f, 1, now), Joined::First);
        assert_eq!(looks.join(&f, 2, now), Joined::Waits);
        assert_eq!(looks.join(&g, 3, now), Joined::First);
        assert_eq!(looks.end(&f), [1, 2]);
        assert_eq!(looks.join(&f, 4, now), Joined::First, "the one before has ended");
        assert!(!looks.is_idle());
        assert_eq!((looks.end(&f), looks.end(&g), looks.end(&g)), (vec![4], vec![3], vec![]));
        assert!(looks.is_idle());
    }

    #[test]
    fn a_look_that_takes_too_long_is_not_waited_for_until_it_ends() {
        let (mut looks, now) = (looks(10), Instant::now());
        let f = name("f");
        assert_eq!(looks.join(&f, 1, now), Joined::First);
        let just_before = now + LOOK_PATIENCE - Duration::from_nanos(1);
        assert!(looks.take_overdue(just_before).is_empty());
        assert_eq!(looks.join(&f, 2, just_before), Joined::Waits);
        let late = now + LOOK_PATIENCE;
        assert_eq!(looks.take_overdue(late), [(f.clone(), vec![1, 2])]);
        assert!(looks.is_idle() && looks.take_overdue(late).is_empty());
        assert_eq!(looks.join(&f, 3, late), Joined::Refused(3));
        assert!(looks.end(&f).is_empty());
        assert_eq!(looks.join(&f, 4, late), Joined::First, "the disk answers again");
    }

    #[test]
    fn no_more_wait_than_may() {
        let (mut looks, now) = (looks(2), Instant::now());
        assert_eq!(looks.join(&name("f"), 1, now), Joined::First);
        assert_eq!(looks.join(&name("f"), 2, now), Joined::Waits);
        assert_eq!(looks.join(&name("f"), 3, now), Joined::Refused(3));
        assert_eq!(looks.join(&name("g"), 4, now), Joined::Refused(4));
        looks.end(&name("f"));
        assert_eq!(looks.join(&name("g"), 4, now), Joined::First);
    }
}
