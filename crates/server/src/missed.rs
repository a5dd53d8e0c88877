//! The names that clients ask for most and that are not there.

/// Names that are counted at once.
pub(crate) const MAX_NAMES: usize = 64;

/// Counts of names, by the space-saving rule (Metwally, Agrawal and El Abbadi, 2005): when there is no
/// room, a new name takes the place of the rarest one and goes on from its count. So a name that is
/// asked for more often than one time in [`MAX_NAMES`] is always here, and no count is too low.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missed(Vec<MissedName>);

/// A name, as its client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissedName {
    pub(crate) name: Box<[u8]>,
    pub(crate) count: u64,
    /// How much of the count may be that of other names.
    pub(crate) over: u64,
}

impl Missed {
    /// Counts a name. It is looked for among all, which is no more than comparing a few lengths.
    pub(crate) fn add(&mut self, name: &[u8]) {
        self.add_counted(MissedName { name: name.into(), count: 1, over: 0 });
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: Missed) {
        for counted in other.0 {
            self.add_counted(counted);
        }
    }

    /// The names, the most frequent first.
    pub(crate) fn into_sorted(mut self) -> Vec<MissedName> {
        self.0.sort_by(|one, other| other.count.cmp(&one.count).then(one.name.cmp(&other.name)));
        self.0
    }

    fn add_counted(&mut self, new: MissedName) {
        if let Some(found) = self.0.iter_mut().find(|known| known.name == new.name) {
            found.count += new.count;
            found.over += new.over;
        } else if self.0.len() < MAX_NAMES {
            self.0.push(new);
        } else if let Some(rarest) = self.0.iter_mut().min_by_key(|known| known.count) {
            let before = rarest.count;
            let (count, over) = (before + new.count, before + new.over);
            *rarest = MissedName { name: new.name, count, over };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequent_ones_are_kept_among_ever_new_ones() {
        let mut missed = Missed::default();
        for number in 0..10_000 {
            missed.add(format!("once-{number}").as_bytes());
            if number % 10 == 0 {
                missed.add(b"often");
            }
        }
        assert_eq!(missed.0.len(), MAX_NAMES);
        let sorted = missed.into_sorted();
        assert_eq!(*sorted[0].name, *b"often");
        assert!(sorted[0].count >= 1_000 && sorted[0].count - sorted[0].over <= 1_000);
        let all: u64 = sorted.iter().map(|name| name.count).sum();
        assert_eq!(all, 11_000, "each is counted somewhere");
    }

    #[test]
    fn counts_of_several_workers_add_up() {
        let (mut one, mut other) = (Missed::default(), Missed::default());
        one.add(b"a");
        other.add(b"b");
        other.add(b"a");
        one.merge(other);
        let counts: Vec<_> = one.into_sorted().into_iter().map(|name| name.count).collect();
        assert_eq!(counts, [2, 1]);
    }
}
