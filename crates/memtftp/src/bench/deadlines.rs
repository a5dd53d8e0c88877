//! When which client needs attention.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use memtftp_proto::Time;

/// A heap of deadlines that is touched rarely: each packet of a transfer moves its deadline back,
/// and that costs nothing here. The client is visited at the old time and filed again.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, u32)>>,
}

impl Deadlines {
    /// Makes sure that `client` is visited at `deadline` or before. `filed` is what the last call
    /// for this client, or its last visit, left there.
    pub(crate) fn file(&mut self, client: u32, deadline: Time, filed: &mut Option<Time>) {
        if filed.is_none_or(|filed| deadline < filed) {
            *filed = Some(deadline);
            self.heap.push(Reverse((deadline, client)));
        }
    }

    /// The next client to visit, and what it was filed for. If that is not what the client has in
    /// `filed`, the visit means nothing; else the caller empties `filed` and files again.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(u32, Time)> {
        let Reverse((deadline, _)) = self.heap.peek()?;
        if *deadline > now {
            return None;
        }
        self.heap.pop().map(|Reverse((deadline, client))| (client, deadline))
    }

    /// When the next visit is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_deadline_is_filed_anew() {
        let at = Time::from_micros;
        let (mut deadlines, mut filed) = (Deadlines::default(), None);
        deadlines.file(7, at(50), &mut filed);
        deadlines.file(7, at(80), &mut filed);
        assert_eq!((filed, deadlines.heap.len()), (Some(at(50)), 1));
        deadlines.file(7, at(20), &mut filed);
        deadlines.file(8, at(30), &mut None);
        assert_eq!(deadlines.pop(at(19)), None);
        assert_eq!(deadlines.next(), Some(at(20)));
        let visits: Vec<_> = std::iter::from_fn(|| deadlines.pop(at(60))).collect();
        // The last one is stale: the client was filed for 20.
        assert_eq!(visits, [(7, at(20)), (8, at(30)), (7, at(50))]);
    }
}
