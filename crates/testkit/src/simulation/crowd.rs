//! The clients of a simulation.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{ErrorCode, Time};

use super::client::OptionClient;
use super::plain::PlainClient;
use super::scenario::{Crowd, Scenario};
use super::windowed::WindowedClient;
use super::{Client, Job, NAMES};

/// Clients that come when what the others could not store must be free again, and when.
const LATE: usize = 2;
const LATER: Duration = Duration::from_secs(300);

/// Clients that come at about the same time in [`Crowd::Groups`].
const GROUP: usize = 10;

/// One client, and what is known of it from outside.
pub(super) struct Guest {
    pub(super) address: SocketAddr,
    pub(super) name: String,
    pub(super) job: Job,
    pub(super) starts: Time,
    pub(super) client: Box<dyn Client>,
    /// When its ending was seen and checked.
    pub(super) ended: Option<Time>,
    /// It came late and asked for little: nothing may keep it from success.
    pub(super) must_succeed: bool,
    /// The code of the last ERROR that the server sent to it.
    pub(super) told: Option<ErrorCode>,
    /// When the server last sent something to it, while it has a session.
    pub(super) served: Option<Time>,
}

impl Guest {
    fn new(address: SocketAddr, starts: Time, name: &str, job: Job, rng: &mut Rng) -> Guest {
        let client: Box<dyn Client> = if rng.u8(..) < 64 {
            Box::new(PlainClient::new(starts, name, job.clone()))
        } else {
            Box::new(OptionClient::new(rng, starts, name, job.clone()))
        };
        Guest::with(address, starts, name, job, client)
    }

    pub(super) fn with(
        address: SocketAddr,
        starts: Time,
        name: &str,
        job: Job,
        client: Box<dyn Client>,
    ) -> Guest {
        let name = name.to_owned();
        let (ended, told, served, must_succeed) = (None, None, None, false);
        Guest { address, name, job, starts, client, ended, must_succeed, told, served }
    }
}

/// The clients of `scenario`, in the order they were drawn.
pub(super) fn gather(scenario: &Scenario, rng: &mut Rng) -> Vec<Guest> {
    let mut guests: Vec<Guest> = (0..scenario.clients)
        .map(|number| {
            // The order of the draws is what a seed means.
            let address = address(number, rng);
            let name = NAMES[rng.usize(0..NAMES.len())];
            let reads = match scenario.crowd {
                Crowd::Uploaders => rng.u8(..) < 40,
                Crowd::Alone { read, .. } => read,
                Crowd::Mixed | Crowd::Groups { .. } => rng.bool(),
            };
            let job = if reads { Job::Read } else { upload(scenario, rng) };
            let starts = starts(scenario, number, rng);
            let Crowd::Alone { windowsize, .. } = scenario.crowd else {
                return Guest::new(address, starts, name, job, rng);
            };
            let client = Box::new(WindowedClient::new(starts, NAMES[0], job.clone(), windowsize));
            Guest::with(address, starts, NAMES[0], job, client)
        })
        .collect();
    if scenario.crowd == Crowd::Uploaders {
        guests.extend((0..LATE).map(|number| {
            let job = if number == 0 { Job::Read } else { Job::Write(content(rng, 1_000)) };
            let address = address(scenario.clients + number, rng);
            let starts = Time::ZERO + LATER;
            let mut guest = Guest::new(address, starts, NAMES[number], job, rng);
            guest.must_succeed = scenario.is_fair();
            guest
        }));
    }
    guests
}

pub(super) fn address(number: usize, rng: &mut Rng) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, rng.u8(1..4)], 2_000 + number as u16))
}

fn upload(scenario: &Scenario, rng: &mut Rng) -> Job {
    Job::Write(match scenario.crowd {
        Crowd::Alone { .. } => vec![7; scenario.max_len],
        // Never so little that it is there before the others ask for room.
        Crowd::Uploaders => {
            let len = rng.usize(scenario.max_len / 2..=scenario.max_len);
            (0..len).map(|_| rng.u8(..)).collect()
        }
        Crowd::Mixed | Crowd::Groups { .. } => content(rng, scenario.max_len),
    })
}

fn starts(scenario: &Scenario, number: usize, rng: &mut Rng) -> Time {
    let within = |rng: &mut Rng, most: u64| Duration::from_micros(rng.u64(0..most));
    let group = number / GROUP;
    match scenario.crowd {
        Crowd::Alone { .. } => Time::ZERO,
        Crowd::Mixed => Time::ZERO + within(rng, 5_000_000),
        Crowd::Uploaders => Time::ZERO + within(rng, 500_000),
        Crowd::Groups { hours } => match scenario.naps.get(group) {
            // Most of these are in the middle of their transfer when the server falls asleep.
            Some((nap, _)) => {
                let before = Duration::from_millis(300) + within(rng, 200_000);
                Time::from_micros(nap.since(Time::ZERO + before).as_micros() as u64)
            }
            None => {
                let of_group = Rng::with_seed(scenario.seed ^ group as u64).u64(0..hours * 3_600);
                Time::ZERO + Duration::from_secs(of_group) + within(rng, 1_000_000)
            }
        },
    }
}

/// Random bytes with many line ends, of a random length that is often a multiple of block sizes.
pub(super) fn content(rng: &mut Rng, max_len: usize) -> Vec<u8> {
    let mut len = rng.usize(0..=max_len);
    if rng.bool() {
        len -= len % 512;
    }
    (0..len).map(|_| *rng.choice(b"\r\n\0abc").unwrap_or(&0)).collect()
}
