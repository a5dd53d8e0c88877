//! Which files are asked for and not in memory yet, and who waits for them.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use lru::LruCache;
use memtftp_store::Name;

/// Requests that wait for files, at most. For one more the oldest of them is given up: whoever waits
/// here has not answered any packet of ours yet, so all may be forged.
const MAX_WAITERS: usize = 65_536;

/// A file that has been loading for so long is not waited for: its disk hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Files that are being loaded or are to be, and the requests that wait for them.
pub(super) struct Loads<W> {
    most: usize,
    files: HashMap<Name, Loading<W>>,
    /// Those files that no thread has begun with, in the order they were asked for.
    queue: LruCache<Name, ()>,
    /// What each request waits for, by its number, the oldest first.
    waiting: LruCache<u64, Name>,
    last_number: u64,
}

/// A file that is being loaded or is to be.
struct Loading<W> {
    /// Since when it is tried this time.
    since: Instant,
    /// In the order they came.
    waiters: VecDeque<(u64, W)>,
}

impl<W> Loading<W> {
    fn begin(waiters: VecDeque<(u64, W)>) -> Loading<W> {
        Loading { since: Instant::now(), waiters }
    }
}

impl<W> Loads<W> {
    pub(super) fn new() -> Loads<W> {
        Loads {
            most: MAX_WAITERS,
            files: HashMap::new(),
            queue: LruCache::unbounded(),
            waiting: LruCache::unbounded(),
            last_number: 0,
        }
    }

    /// Adds a request for a file, which is loaded in its turn. Returns the request whose place was
    /// needed for it.
    ///
    /// # Errors
    /// The request itself: the disk hangs on this file.
    pub(super) fn ask(&mut self, name: &Name, waiter: W) -> Result<Option<W>, W> {
        if self.files.get(name).is_some_and(|loading| loading.since.elapsed() >= HANGS) {
            return Err(waiter);
        }
        let evicted = self.make_room();
        if self.begin(name) {
            self.queue.put(name.clone(), ());
        }
        self.add(name, waiter);
        Ok(evicted)
    }

    /// Adds a request for a file that its caller goes on to load. That is left to others if the file
    /// was asked for before: false then. Also returns the request whose place was needed.
    pub(super) fn join(&mut self, name: &Name, waiter: W) -> (bool, Option<W>) {
        let evicted = self.make_room();
        let is_first = self.begin(name);
        self.add(name, waiter);
        (is_first, evicted)
    }

    /// Notes that a file is being loaded; false if it was asked for before.
    pub(super) fn begin(&mut self, name: &Name) -> bool {
        let is_first = !self.files.contains_key(name);
        if is_first {
            self.files.insert(name.clone(), Loading::begin(VecDeque::new()));
        }
        is_first
    }

    fn add(&mut self, name: &Name, waiter: W) {
        let Some(loading) = self.files.get_mut(name) else { return };
        self.last_number += 1;
        loading.waiters.push_back((self.last_number, waiter));
        self.waiting.put(self.last_number, name.clone());
    }

    /// Takes out the oldest of all requests if there are as many as may be.
    fn make_room(&mut self) -> Option<W> {
        if self.waiting.len() < self.most {
            return None;
        }
        let (_, name) = self.waiting.pop_lru()?;
        let loading = self.files.get_mut(&name)?;
        // The oldest of all is the oldest of its file.
        let (_, evicted) = loading.waiters.pop_front()?;
        if loading.waiters.is_empty() && self.queue.pop(&name).is_some() {
            self.files.remove(&name);
        }
        Some(evicted)
    }

    /// Takes the file to load next.
    pub(super) fn next(&mut self) -> Option<Name> {
        self.queue.pop_lru().map(|(name, ())| name)
    }

    /// Whether one of the requests for a file is so.
    pub(super) fn is_any(&self, name: &Name, is_so: impl Fn(&W) -> bool) -> bool {
        let loading = self.files.get(name);
        loading.is_some_and(|loading| loading.waiters.iter().any(|(_, waiter)| is_so(waiter)))
    }

    /// Notes that a file has been tried. Returns those that are to be answered now, and whether others
    /// are left: then it is to be tried again.
    pub(super) fn tried(
        &mut self,
        name: &Name,
        is_answered: impl Fn(&W) -> bool,
    ) -> (Vec<W>, bool) {
        let waiters = self.files.remove(name).map(|loading| loading.waiters).unwrap_or_default();
        let (answered, left): (VecDeque<_>, VecDeque<_>) =
            waiters.into_iter().partition(|(_, waiter)| is_answered(waiter));
        let is_left = !left.is_empty();
        if is_left {
            self.files.insert(name.clone(), Loading::begin(left));
        }
        for (number, _) in &answered {
            self.waiting.pop(number);
        }
        (answered.into_iter().map(|(_, waiter)| waiter).collect(), is_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn loads(most: usize) -> Loads<u32> {
        Loads { most, ..Loads::new() }
    }

    fn ask(loads: &mut Loads<u32>, file: &str, waiter: u32) -> Option<u32> {
        loads.ask(&name(file), waiter).ok().unwrap()
    }

    #[test]
    fn a_file_is_loaded_once_for_all_who_ask_in_the_order_files_were_asked_for() {
        let mut loads = loads(10);
        for (number, file) in (1..).zip(["a", "b", "a", "c", "a"]) {
            assert_eq!(ask(&mut loads, file, number), None);
        }
        assert_eq!(loads.next(), Some(name("a")));
        assert_eq!(loads.next(), Some(name("b")));
        assert_eq!(ask(&mut loads, "a", 6), None, "while it is loaded");
        assert_eq!(loads.tried(&name("a"), |_| true), (vec![1, 3, 5, 6], false));
        assert_eq!(loads.next(), Some(name("c")));
        assert_eq!(loads.next(), None);
    }

    #[test]
    fn the_oldest_request_makes_room_and_takes_its_file_along() {
        let mut loads = loads(3);
        for (number, file) in (1..).zip(["a", "b", "a"]) {
            assert_eq!(ask(&mut loads, file, number), None);
        }
        assert_eq!(ask(&mut loads, "c", 4), Some(1));
        assert_eq!(ask(&mut loads, "d", 5), Some(2));
        // Nobody wants b any more, and a later one still wants a.
        assert_eq!([loads.next(), loads.next()], [Some(name("a")), Some(name("c"))]);
        assert_eq!(loads.tried(&name("a"), |_| true), (vec![3], false));
        assert_eq!(ask(&mut loads, "e", 6), None, "an answer has made room");
        assert_eq!(ask(&mut loads, "f", 7), Some(4), "also while its file is loaded");
        assert_eq!(loads.tried(&name("c"), |_| true), (vec![], false));
    }

    #[test]
    fn a_request_that_makes_room_for_one_of_the_same_file_leaves_it_to_be_loaded() {
        let mut loads = loads(1);
        assert_eq!(ask(&mut loads, "a", 1), None);
        assert_eq!(ask(&mut loads, "a", 2), Some(1));
        assert_eq!(loads.next(), Some(name("a")));
        assert_eq!(loads.join(&name("b"), 3), (true, Some(2)));
        assert_eq!(loads.join(&name("b"), 4), (false, Some(3)));
        assert_eq!(loads.next(), None, "whoever has joined loads it");
        assert_eq!(loads.tried(&name("b"), |_| true), (vec![4], false));
    }

    /// Names that never end must not pile up while the disk hangs.
    #[test]
    fn nothing_is_left_of_requests_that_were_given_up() {
        let mut loads = loads(5);
        for number in 0..1_000 {
            ask(&mut loads, &format!("f{number}"), number);
        }
        assert_eq!((loads.files.len(), loads.queue.len(), loads.waiting.len()), (5, 5, 5));
        while let Some(name) = loads.next() {
            loads.tried(&name, |_| true);
        }
        assert_eq!((loads.files.len(), loads.waiting.len()), (0, 0));
    }

    #[test]
    fn who_is_not_answered_yet_keeps_its_place() {
        let mut loads = loads(2);
        ask(&mut loads, "a", 1);
        ask(&mut loads, "a", 2);
        loads.next();
        assert_eq!(loads.tried(&name("a"), |waiter| *waiter == 2), (vec![2], true));
        assert!(loads.is_any(&name("a"), |waiter| *waiter == 1));
        ask(&mut loads, "b", 3);
        assert_eq!(ask(&mut loads, "c", 4), Some(1));
        assert_eq!(loads.tried(&name("a"), |_| true), (vec![], false));
    }
}
