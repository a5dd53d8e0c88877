//! Counting by key in bounded memory.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

/// How often each key was there.
///
/// It holds up to `room` keys. When another one comes, the half of them that was counted least is
/// forgotten: so what is frequent stays, whatever comes between, and a count may be too low only for
/// what is rare. [`Tally::forgotten`] tells whether that has happened.
#[derive(Clone, Debug)]
pub(crate) struct Tally<K> {
    counts: HashMap<K, u64>,
    room: usize,
    forgotten: u64,
}

impl<K: Hash + Ord + Clone> Tally<K> {
    /// Room for so many keys.
    pub(crate) fn new(room: usize) -> Tally<K> {
        Tally { counts: HashMap::new(), room, forgotten: 0 }
    }

    pub(crate) fn add(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            *count += 1;
            return;
        }
        if self.counts.len() >= self.room {
            self.forget_half();
        }
        self.counts.insert(key.clone(), 1);
    }

    /// How often this key was there.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
    {
        self.counts.get(key).copied().unwrap_or_default()
    }

    /// Keys with their counts, the most frequent first.
    pub(crate) fn sorted(&self) -> Vec<(&K, u64)> {
        let mut all: Vec<(&K, u64)> =
            self.counts.iter().map(|(key, count)| (key, *count)).collect();
        all.sort_by_key(|(key, count)| (Reverse(*count), *key));
        all
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Keys that were forgotten because there was no room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn forget_half(&mut self) {
        let keep = self.sorted().into_iter().take(self.room / 2);
        let kept: HashMap<K, u64> = keep.map(|(key, count)| (key.clone(), count)).collect();
        self.forgotten += (self.counts.len() - kept.len()) as u64;
        self.counts = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frequent_stays_whatever_comes_between() {
        let mut tally = Tally::new(10);
        for number in 0..1_000 {
            tally.add(&"often".to_owned());
            tally.add(&format!("once {number}"));
        }
        assert_eq!(tally.get("often"), 1_000);
        assert!(tally.len() <= 10);
        assert_eq!(tally.sorted()[0], (&"often".to_owned(), 1_000));
        assert_eq!(tally.forgotten() + tally.len() as u64, 1_001);
    }

    #[test]
    fn nothing_is_forgotten_while_there_is_room() {
        let mut tally = Tally::new(3);
        for key in [2, 1, 3, 3] {
            tally.add(&key);
        }
        assert_eq!(tally.sorted(), [(&3, 2), (&1, 1), (&2, 1)]);
        assert_eq!((tally.forgotten(), tally.get(&9)), (0, 0));
    }
}
