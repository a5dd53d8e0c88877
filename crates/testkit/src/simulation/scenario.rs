//! What to simulate, and what came of it.

use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::Time;

use super::link::Weather;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Everything follows from it.
    pub seed: u64,
    /// What the link does to datagrams.
    pub weather: Weather,
    /// How many clients there are.
    pub clients: usize,
    /// The largest file, in bytes.
    pub max_len: usize,
    /// The server's memory for files, in bytes.
    pub memory: u64,
    /// Who the clients are.
    pub crowd: Crowd,
    /// The server's machine sleeps from the first to the second of these times, in rising order. Its
    /// clock jumps then, and what waits at its sockets is late.
    pub naps: Vec<(Time, Time)>,
}

/// Who the clients are, what they want and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// Reads and uploads, all within five seconds.
    Mixed,
    /// Most upload, all within half a second; two more come when those have ended.
    Uploaders,
    /// Groups of ten at any time of so many hours, and one right before each nap.
    Groups {
        /// When the last group comes.
        hours: u64,
    },
    /// One transfer of `max_len` bytes in blocks of 64, by a client that is simple and quick.
    Alone {
        /// A read or an upload.
        read: bool,
        /// Blocks in a window.
        windowsize: u16,
    },
}

impl Scenario {
    /// A scenario whose every part follows from `seed`: loss up to 30 % each way.
    pub fn from_seed(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let clients = rng.usize(1..=12);
        let max_len = [0, 100, 5_000, 60_000][rng.usize(0..4)];
        let memory = if rng.u8(..) < 32 { 100_000 } else { 1 << 30 };
        let weather = Weather::random(&mut rng);
        Scenario { seed, weather, clients, max_len, memory, crowd: Crowd::Mixed, naps: Vec::new() }
    }

    /// Uploads that together need about twice the memory there is, at the same time.
    pub fn short_of_memory(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let (clients, max_len) = (rng.usize(8..=14), rng.usize(10_000..30_000));
        // Room for a file under each name, and a half more.
        let memory = max_len as u64 * rng.u64(7..=9) / 2;
        let mut weather = Weather::random(&mut rng);
        // Slow enough that they meet.
        weather.delay = weather.delay.max(Duration::from_millis(5));
        let crowd = Crowd::Uploaders;
        Scenario { weather, clients, max_len, memory, crowd, ..Scenario::from_seed(seed) }
    }

    /// A server's day on a mild network: clients come and go, its machine sleeps now and then.
    pub fn hours(seed: u64, hours: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let mut naps = Vec::new();
        for hour in 0..hours {
            let from = Time::ZERO + Duration::from_millis(hour * 3_600_000 + rng.u64(0..1_000_000));
            // What transfers survive, what ends them, and what everybody has forgotten.
            let sleep = [20, 3_600, 5, 120, 60][hour as usize % 5];
            if naps.last().is_none_or(|(_, woken)| *woken < from) {
                naps.push((from, from + Duration::from_secs(sleep)));
            }
        }
        let weather = Weather {
            loss: 0.02,
            duplication: 0.01,
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(2),
            ..Weather::default()
        };
        let (clients, max_len, crowd) = (1_000, 20_000, Crowd::Groups { hours });
        Scenario { weather, clients, max_len, crowd, naps, memory: 1 << 30, seed }
    }

    /// When the last client has come.
    pub(super) fn arrivals(&self) -> Duration {
        match self.crowd {
            Crowd::Groups { hours } => Duration::from_secs(3_600 * (hours + 1)),
            _ => Duration::ZERO,
        }
    }

    /// Nothing happens that could make a transfer fail, but for a lack of memory.
    pub(super) fn is_fair(&self) -> bool {
        let Weather { loss, duplication, damage, partition, doomed, .. } = self.weather;
        let even = loss + duplication + damage == 0.0;
        even && partition.is_none() && doomed == [None, None] && self.naps.is_empty()
    }
}

/// What came of a simulation.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Clients that got or put what they wanted.
    pub done: usize,
    /// Clients that failed, cleanly.
    pub failed: usize,
    /// Uploads that ran out of memory when part of them was there.
    pub cut_short: usize,
    /// Virtual time until all was quiet.
    pub lasted: Duration,
    /// The longest time that a client took which got what it wanted.
    pub slowest: Duration,
    /// Packets that the server sent again.
    pub retransmissions: u64,
    /// Datagrams that the link lost: opcode and block.
    pub lost: Vec<(u8, u8)>,
}
