//! A server and its clients on a bad network, in virtual time.
//!
//! Everything that happens follows from a seed: which clients there are, what they read and write,
//! with which options, what the link does to each datagram. After every step the invariants are
//! checked, and at the end nothing may be left behind.

mod client;
pub(crate) mod library;
mod link;
mod plain;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{
    Config, Datagram, Endpoint, Kind, Outcome, Record, Route, SocketId, SocketRole, Time, Transmit,
};

pub use link::Weather;

use self::client::OptionClient;
use self::library::Library;
use self::link::Link;
use self::plain::PlainClient;

/// The server's address on the simulated network.
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The port that listens; transfer socket `n` has the port `FIRST_PORT + n`.
const FIRST_PORT: u16 = 6969;

/// A client that has not ended by then hangs.
const HANG: Duration = Duration::from_secs(3_600);

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
}

impl Scenario {
    /// A scenario whose every part follows from `seed`: loss up to 30 % each way.
    pub fn from_seed(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let clients = rng.usize(1..=12);
        let max_len = [0, 100, 5_000, 60_000][rng.usize(0..4)];
        let memory = if rng.u8(..) < 32 { 100_000 } else { 1 << 30 };
        Scenario { seed, weather: Weather::random(&mut rng), clients, max_len, memory }
    }
}

/// What came of a simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Clients that got or put what they wanted.
    pub done: usize,
    /// Clients that failed, cleanly.
    pub failed: usize,
    /// Virtual time until all was quiet.
    pub lasted: Duration,
    /// Packets that the server sent again.
    pub retransmissions: u64,
}

struct Guest {
    address: SocketAddr,
    name: String,
    job: Job,
    starts: Time,
    client: Box<dyn Client>,
    checked: bool,
}

struct World {
    now: Time,
    endpoint: Endpoint<Library>,
    link: Link,
    guests: Vec<Guest>,
    records: Vec<Record>,
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
    let done = world.guests.iter().filter(done).count();
    Ok(Report {
        done,
        failed: world.guests.len() - done,
        lasted: world.now.since(Time::ZERO),
        retransmissions: world.records.iter().map(|r| u64::from(r.retransmissions)).sum(),
    })
}

impl World {
    fn new(scenario: &Scenario) -> World {
        let mut rng = Rng::with_seed(scenario.seed ^ 0xa5a5);
        let mut library = Library::new(scenario.memory);
        let names = ["a", "b", "c"];
        for name in names {
            library.seed(Time::ZERO, name, content(&mut rng, scenario.max_len));
        }
        let transfers = (1..5).map(SocketId).collect();
        let mut sockets = vec![SocketRole::Listening { transfers }];
        sockets.resize(5, SocketRole::Transfer);
        if rng.bool() {
            sockets = vec![SocketRole::Listening { transfers: vec![SocketId(0)] }];
        }
        let config = Config { sockets, seed: rng.u64(..), ..Config::default() };
        let guests = (0..scenario.clients).map(|number| {
            let address = SocketAddr::from(([10, 0, 0, rng.u8(1..4)], 2_000 + number as u16));
            let name = names[rng.usize(0..names.len())].to_owned();
            let job = match rng.bool() {
                true => Job::Read,
                false => Job::Write(content(&mut rng, scenario.max_len)),
            };
            let starts = Time::from_micros(rng.u64(0..5_000_000));
            let client: Box<dyn Client> = if rng.u8(..) < 64 {
                Box::new(PlainClient::new(starts, &name, job.clone()))
            } else {
                Box::new(OptionClient::new(&mut rng, starts, &name, job.clone()))
            };
            Guest { address, name, job, starts, client, checked: false }
        });
        let guests = guests.collect();
        World {
            now: Time::ZERO,
            endpoint: Endpoint::new(config, library),
            link: Link::new(scenario.weather, scenario.seed),
            guests,
            records: Vec::new(),
        }
    }

    /// The next thing that happens; false when nothing will ever happen again.
    fn step(&mut self) -> Result<bool, String> {
        let clients = self.guests.iter().filter_map(|guest| guest.client.poll_timeout()).min();
        let times = [self.link.next(), self.endpoint.poll_timeout(), clients];
        let Some(next) = times.into_iter().flatten().min() else { return Ok(false) };
        self.now = self.now.max(next);
        if self.now.since(Time::ZERO) > HANG {
            return Err(format!("something still happens after {HANG:?}"));
        }
        self.deliver();
        self.endpoint.files().now = self.now;
        self.endpoint.handle_timeout(self.now);
        if self.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
            return Err("the endpoint's deadline does not move on".into());
        }
        for guest in &mut self.guests {
            if guest.client.poll_timeout().is_some_and(|at| at <= self.now) {
                guest.client.handle_timeout(self.now);
            }
        }
        self.transmit();
        self.records.extend(std::iter::from_fn(|| self.endpoint.poll_record()));
        self.check_step()?;
        Ok(true)
    }

    fn deliver(&mut self) {
        while let Some(packet) = self.link.arrived(self.now) {
            if packet.to.ip() == SERVER {
                let socket = SocketId(packet.to.port() - FIRST_PORT);
                let route = Route { socket, peer: packet.from, local: Some(SERVER.into()) };
                let datagram = Datagram { route, directed: true, payload: &packet.payload };
                self.endpoint.files().now = self.now;
                self.endpoint.handle_datagram(self.now, &datagram);
            } else if let Some(guest) = self.guests.iter_mut().find(|g| g.address == packet.to) {
                guest.client.handle_datagram(self.now, packet.from.port(), &packet.payload);
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            match transmit {
                Transmit::Control { route, packet } => {
                    self.link.send(self.now, port(route.socket), route.peer, packet.as_bytes());
                }
                Transmit::Run(run) => {
                    let bytes = self.endpoint.payload(&run).unwrap_or_default();
                    for (header, payload) in run.datagrams(bytes) {
                        let datagram = [&header[..], payload].concat();
                        let from = port(run.route.socket);
                        self.link.send(self.now, from, run.route.peer, &datagram);
                    }
                }
            }
        }
        for guest in &mut self.guests {
            while let Some((to, datagram)) = guest.client.poll_transmit(self.now) {
                let to = SocketAddr::new(SERVER.into(), to);
                self.link.send(self.now, guest.address, to, &datagram);
            }
        }
    }

    fn check_step(&mut self) -> Result<(), String> {
        let library = self.endpoint.files();
        if library.budget_used() > library.budget_limit() {
            return Err("more memory is held than the budget allows".into());
        }
        for guest in &mut self.guests {
            if guest.checked {
                continue;
            }
            let Some(ending) = guest.client.ending() else { continue };
            guest.checked = true;
            check_ending(library, guest.starts, &guest.name, &guest.job, ending, self.now)
                .map_err(|error| format!("{}: {error}", guest.address))?;
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), String> {
        if let Some(guest) = self.guests.iter().find(|guest| guest.client.ending().is_none()) {
            return Err(format!("{} never ended", guest.address));
        }
        let (sessions, live) = (self.endpoint.sessions(), self.endpoint.live_sessions());
        if sessions + live != 0 {
            return Err(format!("{sessions} sessions are left, {live} of them live"));
        }
        let library = self.endpoint.files();
        if library.budget_used() != library.live_bytes() {
            return Err(format!(
                "{} bytes are charged for files of {}",
                library.budget_used(),
                library.live_bytes()
            ));
        }
        let commits = library.commits();
        let complete =
            |record: &&Record| record.kind == Kind::Write && record.outcome == Outcome::Complete;
        let recorded = self.records.iter().filter(complete).count();
        if commits != recorded {
            return Err(format!("{commits} commits, but {recorded} records of uploads"));
        }
        Ok(())
    }
}

/// Whether what a client was told is true.
fn check_ending(
    library: &Library,
    starts: Time,
    name: &str,
    job: &Job,
    ending: &Ending,
    now: Time,
) -> Result<(), String> {
    match (job, ending) {
        (_, Ending::Failed(_)) => Ok(()),
        (Job::Read, Ending::Done(bytes)) if library.was_current(name, bytes, starts, now) => Ok(()),
        (Job::Read, Ending::Done(bytes)) => {
            Err(format!("read {} bytes of {name} that it never held", bytes.len()))
        }
        (Job::Write(bytes), Ending::Done(_)) if library.was_current(name, bytes, starts, now) => {
            Ok(())
        }
        (Job::Write(_), Ending::Done(_)) => Err(format!("{name} was acknowledged but not stored")),
    }
}

fn port(socket: SocketId) -> SocketAddr {
    SocketAddr::new(SERVER.into(), FIRST_PORT + socket.0)
}

/// Random bytes with many line ends, of a random length that is often a multiple of block sizes.
fn content(rng: &mut Rng, max_len: usize) -> Vec<u8> {
    let mut len = rng.usize(0..=max_len);
    if rng.bool() {
        len -= len % 512;
    }
    (0..len).map(|_| *rng.choice(b"\r\n\0abc").unwrap_or(&0)).collect()
}
