//! A server and its clients on a bad network, in virtual time.
//!
//! Everything that happens follows from a seed: which clients there are, what they read and write,
//! with which options, what the link does to each datagram. After every step the invariants are
//! checked, and at the end nothing may be left behind.

mod check;
mod client;
mod crowd;
mod foreign;
pub(crate) mod library;
mod link;
mod plain;
mod plain_server;
mod scenario;
mod windowed;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{
    Config, Datagram, Endpoint, ErrorCode, Outcome, Packet, Record, Route, SocketId, SocketRole,
    Time, Transmit,
};

pub use foreign::run_against_plain_server;
pub use link::Weather;
pub use scenario::{Crowd, Report, Scenario};

use self::check::Excuses;
use self::crowd::{Guest, content, gather};
use self::library::Library;
use self::link::{InFlight, Link};

/// The server's address on the simulated network.
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The port that listens; transfer socket `n` has the port `FIRST_PORT + n`.
const FIRST_PORT: u16 = 6969;

/// The names of the files.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// A client that has not ended so long after the last one came hangs.
const HANG: Duration = Duration::from_secs(3_600);

/// Datagrams that wait for a server that sleeps; what comes then finds its buffers full.
const BACKLOG: usize = 200;

/// What a client wants.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Read,
    Write(Vec<u8>),
}

/// How a client's transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A read: the bytes received. A write: empty.
    Done(Vec<u8>),
    Failed(String),
}

/// One client with a port of its own.
pub(crate) trait Client {
    /// Takes a datagram; `from` is the server's port.
    fn handle_datagram(&mut self, now: Time, from: u16, payload: &[u8]);
    fn handle_timeout(&mut self, now: Time);
    /// The next datagram and the server's port it goes to.
    fn poll_transmit(&mut self, now: Time) -> Option<(u16, Vec<u8>)>;
    /// When to call `handle_timeout`; `None` once it is over and quiet.
    fn poll_timeout(&self) -> Option<Time>;
    fn ending(&self) -> Option<&Ending>;
}

struct World {
    now: Time,
    endpoint: Endpoint<Library>,
    link: Link,
    guests: Vec<Guest>,
    records: Vec<Record>,
    /// The server's naps that are still to come, and the present one.
    naps: VecDeque<(Time, Time)>,
    /// What came while the server slept.
    backlog: Vec<InFlight>,
    excuses: Excuses,
    /// When all must be over.
    end: Time,
}

/// Runs a scenario to its end.
///
/// # Errors
/// The first invariant that does not hold, in words.
pub fn run(scenario: &Scenario) -> Result<Report, String> {
    let mut world = World::new(scenario);
    while world.step()? {}
    world.check_end()?;
    let done = |guest: &&Guest| matches!(guest.client.ending(), Some(Ending::Done(_)));
    let took = |guest: &Guest| guest.ended.map(|ended| ended.since(guest.starts));
    let cut_short = |record: &&Record| {
        record.bytes > 0
            && matches!(&record.outcome, Outcome::Refused(no) if no.code == ErrorCode::FULL)
    };
    let count = world.guests.iter().filter(done).count();
    Ok(Report {
        done: count,
        failed: world.guests.len() - count,
        cut_short: world.records.iter().filter(cut_short).count(),
        lasted: world.now.since(Time::ZERO),
        slowest: world.guests.iter().filter(done).filter_map(took).max().unwrap_or_default(),
        retransmissions: world.records.iter().map(|r| u64::from(r.retransmissions)).sum(),
        lost: world.link.lost,
    })
}

impl World {
    fn new(scenario: &Scenario) -> World {
        let mut rng = Rng::with_seed(scenario.seed ^ 0xa5a5);
        let mut library = Library::new(scenario.memory);
        for name in NAMES {
            let bytes = match scenario.crowd {
                Crowd::Alone { .. } => vec![7; scenario.max_len],
                Crowd::Uploaders => content(&mut rng, scenario.max_len / 2),
                Crowd::Mixed | Crowd::Groups { .. } => content(&mut rng, scenario.max_len),
            };
            library.seed(Time::ZERO, name, bytes);
        }
        let transfers = (1..5).map(SocketId).collect();
        let mut sockets = vec![SocketRole::Listening { transfers }];
        sockets.resize(5, SocketRole::Transfer);
        if rng.bool() {
            sockets = vec![SocketRole::Listening { transfers: vec![SocketId(0)] }];
        }
        let config = Config { sockets, seed: rng.u64(..), ..Config::default() };
        World {
            now: Time::ZERO,
            endpoint: Endpoint::new(config, library),
            link: Link::new(scenario.weather, scenario.seed),
            guests: gather(scenario, &mut rng),
            records: Vec::new(),
            naps: scenario.naps.iter().copied().collect(),
            backlog: Vec::new(),
            excuses: Excuses::new(scenario),
            end: Time::ZERO + scenario.arrivals() + HANG,
        }
    }

    /// The next thing that happens; false when nothing will ever happen again.
    fn step(&mut self) -> Result<bool, String> {
        let clients = self.guests.iter().filter_map(|guest| guest.client.poll_timeout()).min();
        let nap = self.naps.front().filter(|(from, _)| *from <= self.now).copied();
        let server = nap.map_or(self.endpoint.poll_timeout(), |(_, woken)| Some(woken));
        let times = [self.link.next(), server, clients];
        let Some(next) = times.into_iter().flatten().min() else { return Ok(false) };
        self.now = self.now.max(next);
        if self.now > self.end {
            return Err(format!("something still happens after {:?}", self.end));
        }
        let asleep = nap.is_some_and(|(_, woken)| self.now < woken);
        match nap {
            Some(_) if !asleep => self.wake(),
            Some(_) => {}
            None => self.check_silence(self.now)?,
        }
        self.deliver(asleep);
        if !asleep {
            self.endpoint.files().now = self.now;
            self.endpoint.handle_timeout(self.now);
            if self.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
                return Err("the endpoint's deadline does not move on".into());
            }
            self.transmit();
            self.note_records()?;
        }
        self.move_guests();
        self.check_step()?;
        Ok(true)
    }

    /// The server's machine wakes: its clock has jumped, and what waited at its sockets comes first.
    fn wake(&mut self) {
        self.naps.pop_front();
        for guest in self.guests.iter_mut().filter(|guest| guest.served.is_some()) {
            guest.served = Some(self.now);
        }
        for packet in std::mem::take(&mut self.backlog) {
            self.deliver_to_server(&packet);
        }
    }

    fn deliver(&mut self, asleep: bool) {
        while let Some(packet) = self.link.arrived(self.now) {
            if packet.to.ip() != SERVER {
                if let Some(guest) = self.guests.iter_mut().find(|g| g.address == packet.to) {
                    guest.client.handle_datagram(self.now, packet.from.port(), &packet.payload);
                }
            } else if !asleep {
                self.deliver_to_server(&packet);
            } else if self.backlog.len() < BACKLOG {
                self.backlog.push(packet);
            }
        }
    }

    fn deliver_to_server(&mut self, packet: &InFlight) {
        if let Ok(Packet::Read(_) | Packet::Write(_)) = Packet::parse(&packet.payload)
            && let Some(guest) = self.guests.iter_mut().find(|g| g.address == packet.from)
        {
            guest.served = Some(self.now);
        }
        let socket = SocketId(packet.to.port() - FIRST_PORT);
        let route = Route { socket, peer: packet.from, local: Some(SERVER.into()) };
        let datagram = Datagram { route, directed: true, payload: &packet.payload };
        self.endpoint.files().now = self.now;
        self.endpoint.handle_datagram(self.now, &datagram);
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            match transmit {
                Transmit::Control { route, packet } => self.send(&route, packet.as_bytes()),
                Transmit::Run(run) => {
                    let bytes = self.endpoint.payload(&run).unwrap_or_default().to_vec();
                    for (header, payload) in run.datagrams(&bytes) {
                        self.send(&run.route, &[&header[..], payload].concat());
                    }
                }
            }
        }
    }

    fn send(&mut self, route: &Route, datagram: &[u8]) {
        self.note_sent(route.peer, datagram);
        let from = SocketAddr::new(SERVER.into(), FIRST_PORT + route.socket.0);
        self.link.send(self.now, from, route.peer, datagram);
    }

    fn move_guests(&mut self) {
        for guest in &mut self.guests {
            if guest.client.poll_timeout().is_some_and(|at| at <= self.now) {
                guest.client.handle_timeout(self.now);
            }
        }
        for guest in &mut self.guests {
            while let Some((to, datagram)) = guest.client.poll_transmit(self.now) {
                let to = SocketAddr::new(SERVER.into(), to);
                self.link.send(self.now, guest.address, to, &datagram);
            }
        }
    }
}
