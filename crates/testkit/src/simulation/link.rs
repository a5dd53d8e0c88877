//! The network between a server and its clients.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::Time;

/// What a link does to datagrams, the same in both directions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Part of the datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// Part that arrive twice.
    pub duplication: f64,
    /// Part that arrive with another opcode or with next to nothing of them. Damage that leaves a
    /// meaning is what UDP has its checksum for; TFTP cannot tell it.
    pub damage: f64,
    /// The least time a datagram takes.
    pub delay: Duration,
    /// The most that is added to it; datagrams overtake each other within this.
    pub jitter: Duration,
    /// The whole link is dead from the first to the second of these times.
    pub partition: Option<(Time, Time)>,
    /// The datagrams of these numbers are lost; the first sent has number 0.
    pub doomed: [Option<u64>; 2],
}

impl Weather {
    /// Any weather: fair, rough or foul.
    pub(crate) fn random(rng: &mut Rng) -> Weather {
        let mut up_to = |most: f64| if rng.bool() { 0.0 } else { rng.f64() * most };
        let (loss, duplication, damage) = (up_to(0.3), up_to(0.3), up_to(0.05));
        let micros = |rng: &mut Rng, most| Duration::from_micros(rng.u64(0..=most));
        let (delay, jitter) = match rng.u8(0..3) {
            0 => (Duration::ZERO, Duration::ZERO),
            1 => (micros(rng, 1_000), micros(rng, 300)),
            _ => (micros(rng, 100_000), micros(rng, 50_000)),
        };
        let partition = (rng.u8(0..4) == 0).then(|| {
            let from = Time::from_micros(rng.u64(0..5_000_000));
            (from, from + Duration::from_secs(rng.u64(1..100)))
        });
        Weather { loss, duplication, damage, delay, jitter, partition, doomed: [None; 2] }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InFlight {
    arrives: Time,
    number: u64,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Link {
    weather: Weather,
    rng: Rng,
    /// Datagrams sent, and copies that are under way.
    sent: u64,
    number: u64,
    /// What was lost: opcode and the low byte of the block.
    pub(super) lost: Vec<(u8, u8)>,
    in_flight: BinaryHeap<Reverse<InFlight>>,
}

impl Link {
    pub(super) fn new(weather: Weather, seed: u64) -> Link {
        let (rng, in_flight) = (Rng::with_seed(seed), BinaryHeap::new());
        Link { weather, rng, sent: 0, number: 0, lost: Vec::new(), in_flight }
    }

    pub(super) fn send(&mut self, now: Time, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let dead = self.weather.partition.is_some_and(|(from, to)| from <= now && now < to);
        let doomed = self.weather.doomed.contains(&Some(self.sent));
        self.sent += 1;
        let copies = 1 + usize::from(self.rng.f64() < self.weather.duplication);
        for _ in 0..copies {
            if dead || doomed || self.rng.f64() < self.weather.loss {
                let byte = |at| payload.get(at).copied().unwrap_or_default();
                self.lost.push((byte(1), byte(3)));
                continue;
            }
            let jitter = self.rng.u64(0..=self.weather.jitter.as_micros() as u64);
            let arrives = now + self.weather.delay + Duration::from_micros(jitter);
            let payload = self.damaged(payload);
            self.number += 1;
            let number = self.number;
            self.in_flight.push(Reverse(InFlight { arrives, number, from, to, payload }));
        }
    }

    fn damaged(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut payload = payload.to_vec();
        if self.rng.f64() < self.weather.damage {
            if self.rng.bool() {
                payload.truncate(self.rng.usize(0..2));
            } else if let Some(opcode) = payload.get_mut(1) {
                *opcode = self.rng.u8(7..);
            }
        }
        payload
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.in_flight.peek().map(|Reverse(packet)| packet.arrives)
    }

    pub(super) fn arrived(&mut self, now: Time) -> Option<InFlight> {
        if self.next()? > now {
            return None;
        }
        self.in_flight.pop().map(|Reverse(packet)| packet)
    }
}
