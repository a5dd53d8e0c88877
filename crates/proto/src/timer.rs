//! A hashed timer wheel.

use crate::time::Time;

/// The width of a slot, in microseconds: deadlines are kept to this, never early.
const TICK: u64 = 1_000;

/// Slots; later deadlines wait in the last one and are filed again from there.
const SLOTS: u64 = 4_096;

/// Entries that an empty slot keeps room for.
const KEPT: usize = 64;

const WORD: u64 = u64::BITS as u64;

/// The tick at which the wheel will next visit an owner. Kept by the owner.
pub(crate) type Filed = Option<u64>;

/// Wakes owners at their deadlines, lazily.
///
/// Moving a deadline back costs nothing: the owner is visited at the old time, finds that it is
/// early, and is filed again. That is the common case, since each packet moves one.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    slots: Vec<Vec<(K, u64)>>,
    occupied: Vec<u64>,
    /// All ticks up to and including this one have been visited.
    visited: u64,
}

impl<K: Copy> Wheel<K> {
    pub(crate) fn new() -> Wheel<K> {
        Wheel {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: vec![0; (SLOTS / WORD) as usize],
            visited: 0,
        }
    }

    /// Makes sure that `key` is visited at `deadline` or before. `filed` is what the last call for
    /// this owner left there.
    pub(crate) fn file(&mut self, key: K, deadline: Time, filed: &mut Filed) {
        let wanted = deadline.as_micros().div_ceil(TICK);
        let tick = wanted.clamp(self.visited + 1, self.visited + SLOTS - 1);
        if filed.is_some_and(|filed| filed <= tick) {
            return;
        }
        *filed = Some(tick);
        let slot = tick % SLOTS;
        if let Some(entries) = self.slots.get_mut(slot as usize) {
            entries.push((key, tick));
        }
        if let Some(word) = self.occupied.get_mut((slot / WORD) as usize) {
            *word |= 1 << (slot % WORD);
        }
    }

    /// Moves every visit that is due at `now` into `due`, as the key and the tick it was filed
    /// for. A visit whose owner is filed for another tick is stale and means nothing.
    pub(crate) fn advance(&mut self, now: Time, due: &mut Vec<(K, u64)>) {
        let target = now.as_micros() / TICK;
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= target) {
            self.visited = tick;
            let slot = tick % SLOTS;
            if let Some(entries) = self.slots.get_mut(slot as usize) {
                due.append(entries);
                // A storm fills one slot after the other, and its memory would stay in all of them.
                entries.shrink_to(KEPT);
            }
            if let Some(word) = self.occupied.get_mut((slot / WORD) as usize) {
                *word &= !(1 << (slot % WORD));
            }
        }
        self.visited = self.visited.max(target);
    }

    /// When the next visit is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.next_tick().map(|tick| Time::from_micros(tick * TICK))
    }

    /// Every entry lies within the `SLOTS` ticks behind `visited`, so the first occupied slot
    /// behind it, around the wheel, is the next.
    fn next_tick(&self) -> Option<u64> {
        let start = (self.visited + 1) % SLOTS;
        let words = self.occupied.len() as u64;
        (0..=words).find_map(|step| {
            let index = (start / WORD + step) % words;
            let mut word = *self.occupied.get(index as usize)?;
            if step == 0 {
                word &= u64::MAX << (start % WORD);
            } else if step == words {
                word &= !(u64::MAX << (start % WORD));
            }
            let slot = (word != 0).then(|| index * WORD + u64::from(word.trailing_zeros()))?;
            Some(self.visited + 1 + (slot + SLOTS - start) % SLOTS)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    fn due(wheel: &mut Wheel<u32>, now: Time) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        due.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn visits_in_time_and_never_early() {
        let mut wheel = Wheel::new();
        wheel.file(1, Time::from_micros(2_500), &mut None);
        wheel.file(2, at(1), &mut None);
        assert_eq!(wheel.next(), Some(at(1)));
        assert_eq!(due(&mut wheel, at(1)), [2]);
        assert_eq!(due(&mut wheel, Time::from_micros(2_999)), []);
        assert_eq!(due(&mut wheel, at(3)), [1]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn far_deadlines_are_visited_early_and_filed_again() {
        let mut wheel = Wheel::new();
        wheel.file(1, at(10_000), &mut None);
        assert_eq!(wheel.next(), Some(at(4_095)));
        assert_eq!(due(&mut wheel, at(9_000)), [1]);
        wheel.file(1, at(10_000), &mut None);
        assert_eq!(due(&mut wheel, at(9_999)), []);
        assert_eq!(due(&mut wheel, at(10_000)), [1]);
    }

    #[test]
    fn an_earlier_deadline_is_filed_anew_and_a_later_one_is_not() {
        let (mut wheel, mut filed) = (Wheel::new(), None);
        wheel.file(1, at(50), &mut filed);
        wheel.file(1, at(80), &mut filed);
        assert_eq!(filed, Some(50));
        wheel.file(1, at(20), &mut filed);
        assert_eq!(filed, Some(20));
        assert_eq!(due(&mut wheel, at(100)), [1, 1]);
    }

    proptest! {
        #[test]
        fn like_a_sorted_list(
            steps in prop::collection::vec((0u64..3_000_000, 1u64..6_000_000), 1..80),
        ) {
            let mut wheel = Wheel::new();
            let mut now = 0;
            let mut model: Vec<(u64, u32)> = Vec::new();
            for (key, (advance, ahead)) in steps.into_iter().enumerate() {
                let deadline = now + ahead;
                wheel.file(key as u32, Time::from_micros(deadline), &mut None);
                model.push((deadline, key as u32));
                now += advance;
                let mut visits = Vec::new();
                wheel.advance(Time::from_micros(now), &mut visits);
                for (key, _) in visits {
                    let place = model.iter().position(|(_, model)| *model == key).unwrap();
                    let (deadline, _) = model[place];
                    if deadline.div_ceil(TICK) <= now / TICK {
                        model.remove(place);
                    } else {
                        wheel.file(key, Time::from_micros(deadline), &mut None);
                    }
                }
                // Nothing that is due is left behind, and the wheel wakes for what is not.
                prop_assert!(model.iter().all(|(deadline, _)| deadline.div_ceil(TICK) > now / TICK));
                prop_assert_eq!(wheel.next().is_some(), !model.is_empty());
                prop_assert!(wheel.next().is_none_or(|next| next > Time::from_micros(now)));
            }
        }
    }
}
