//! Packets that are held back until later.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use memtftp_proto::{Route, Time};

use super::plan::Direction;

/// Packets that are held back, at most. Over it they are lost, as in a queue of a network.
const MAX_HELD: usize = 4_096;

/// How long a packet waits to be overtaken.
const SWAP: Duration = Duration::from_secs(1);

/// A packet on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) direction: Direction,
    pub(super) route: Route,
    /// False for what was sent to a broadcast or multicast address.
    pub(super) directed: bool,
    pub(super) bytes: Vec<u8>,
}

impl Parcel {
    /// Who sees these in order.
    fn way(&self) -> (Direction, SocketAddr) {
        (self.direction, self.route.peer)
    }
}

/// Packets that are held back, by the time they go on and the order they came in.
#[derive(Debug, Default)]
pub(super) struct Held {
    parcels: BTreeMap<(Time, u64), Entry>,
    /// The number of the next one.
    next: u64,
    /// How many wait to be overtaken.
    swapped: usize,
}

#[derive(Debug)]
struct Entry {
    parcel: Parcel,
    swapped: bool,
}

impl Held {
    /// Holds a packet for some time.
    pub(super) fn delay(&mut self, now: Time, delay: Duration, parcel: Parcel) {
        self.hold(now + delay, parcel, false);
    }

    /// Holds a packet until another has overtaken it.
    pub(super) fn swap(&mut self, now: Time, parcel: Parcel) {
        self.hold(now + SWAP, parcel, true);
    }

    fn hold(&mut self, until: Time, parcel: Parcel, swapped: bool) {
        if self.parcels.len() < MAX_HELD {
            self.parcels.insert((until, self.next), Entry { parcel, swapped });
            self.next += 1;
            self.swapped += usize::from(swapped);
        }
    }

    /// When the next packet goes on.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.parcels.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next packet whose time has come.
    pub(super) fn due(&mut self, now: Time) -> Option<Parcel> {
        let entry = self.parcels.first_entry().filter(|entry| entry.key().0 <= now)?.remove();
        self.swapped -= usize::from(entry.swapped);
        Some(entry.parcel)
    }

    /// The packets that `passing` overtakes, in the order they came.
    pub(super) fn overtaken(&mut self, passing: &Parcel) -> Vec<Parcel> {
        if self.swapped == 0 {
            return Vec::new();
        }
        let over = |entry: &Entry| entry.swapped && entry.parcel.way() == passing.way();
        let keys: Vec<_> =
            self.parcels.iter().filter(|(_, entry)| over(entry)).map(|(key, _)| *key).collect();
        self.swapped -= keys.len();
        let entries = keys.into_iter().filter_map(|key| self.parcels.remove(&key));
        entries.map(|entry| entry.parcel).collect()
    }
}

#[cfg(test)]
mod tests {
    use memtftp_proto::SocketId;

    use super::*;

    fn parcel(number: u8, port: u16) -> Parcel {
        let peer = SocketAddr::new([127, 0, 0, 1].into(), port);
        let route = Route { socket: SocketId(0), peer, local: None };
        Parcel { direction: Direction::ToClient, route, directed: true, bytes: vec![number] }
    }

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    #[test]
    fn packets_go_on_by_time_and_then_in_order() {
        let mut held = Held::default();
        for (number, delay) in [(1, 5), (2, 3), (3, 3)] {
            held.delay(at(0), Duration::from_millis(delay), parcel(number, 1));
        }
        assert_eq!((held.next_at(), held.due(at(2))), (Some(at(3)), None));
        let due: Vec<_> = std::iter::from_fn(|| held.due(at(5))).map(|p| p.bytes[0]).collect();
        assert_eq!((due, held.next_at()), (vec![2, 3, 1], None));
    }

    #[test]
    fn a_packet_overtakes_those_of_its_way_alone() {
        let mut held = Held::default();
        held.swap(at(0), parcel(1, 1));
        held.swap(at(0), parcel(2, 2));
        held.delay(at(0), SWAP, parcel(3, 1));
        assert_eq!(held.overtaken(&parcel(9, 1)), [parcel(1, 1)]);
        assert_eq!(held.overtaken(&parcel(9, 1)), []);
        assert_eq!(held.due(at(1_000)), Some(parcel(2, 2)), "nothing has overtaken it");
        assert_eq!((held.due(at(1_000)), held.swapped), (Some(parcel(3, 1)), 0));
    }

    #[test]
    fn there_is_a_bound() {
        let mut held = Held::default();
        (0..MAX_HELD + 5).for_each(|_| held.swap(at(0), parcel(0, 1)));
        assert_eq!((held.parcels.len(), held.swapped), (MAX_HELD, MAX_HELD));
    }
}
