//! The project's client against a server that is not the project's, on a bad network.

use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{ErrorCode, Time};

use super::client::OptionClient;
use super::crowd::{Guest, address, content};
use super::link::Link;
use super::plain_server::{Manner, PlainServer};
use super::scenario::{Report, Scenario};
use super::{Ending, FIRST_PORT, HANG, Job, NAMES, SERVER};

struct World {
    now: Time,
    server: PlainServer,
    link: Link,
    guests: Vec<Guest>,
    /// What each name held, and from when on.
    history: Vec<(Time, Vec<u8>, Vec<u8>)>,
    fair: bool,
}

/// Runs clients of the project against a plain RFC 1350 server, which ignores options, refuses them,
/// or does not even answer a request with some, as the seed says.
///
/// # Errors
/// The first invariant that does not hold, in words.
pub fn run_against_plain_server(scenario: &Scenario) -> Result<Report, String> {
    let mut world = World::new(scenario);
    while world.step()? {}
    if world.server.sessions() > 0 {
        return Err("the server still has sessions".into());
    }
    let done = |guest: &&Guest| matches!(guest.client.ending(), Some(Ending::Done(_)));
    let took = |guest: &Guest| guest.ended.map(|ended| ended.since(guest.starts));
    if let Some(guest) = world.guests.iter().find(|guest| guest.ended.is_none()) {
        return Err(format!("{} never ended", guest.address));
    }
    let count = world.guests.iter().filter(done).count();
    Ok(Report {
        done: count,
        failed: world.guests.len() - count,
        lasted: world.now.since(Time::ZERO),
        slowest: world.guests.iter().filter(done).filter_map(took).max().unwrap_or_default(),
        lost: world.link.lost,
        ..Report::default()
    })
}

impl World {
    fn new(scenario: &Scenario) -> World {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5a5a);
        let manner = match rng.u8(0..4) {
            0 => Manner::Drops,
            1 => Manner::Refuses(ErrorCode::OPTIONS),
            2 => Manner::Refuses(ErrorCode::ILLEGAL),
            _ => Manner::Ignores,
        };
        let mut server = PlainServer::new(manner);
        let mut history = Vec::new();
        for name in NAMES {
            let bytes = content(&mut rng, scenario.max_len);
            server.seed(name, bytes.clone());
            history.push((Time::ZERO, name.into(), bytes));
        }
        let guest = |number| {
            let address = address(number, &mut rng);
            let name = NAMES[rng.usize(0..NAMES.len())];
            let reads = rng.bool();
            let job =
                if reads { Job::Read } else { Job::Write(content(&mut rng, scenario.max_len)) };
            let starts = Time::ZERO + Duration::from_micros(rng.u64(0..5_000_000));
            let client = Box::new(OptionClient::new(&mut rng, starts, name, job.clone()));
            Guest::with(address, starts, name, job, client)
        };
        World {
            now: Time::ZERO,
            server,
            link: Link::new(scenario.weather, scenario.seed),
            guests: (0..scenario.clients).map(guest).collect(),
            history,
            fair: scenario.is_fair(),
        }
    }

    /// The next thing that happens; false when nothing will ever happen again.
    fn step(&mut self) -> Result<bool, String> {
        let clients = self.guests.iter().filter_map(|guest| guest.client.poll_timeout()).min();
        let times = [self.link.next(), self.server.poll_timeout(), clients];
        let Some(next) = times.into_iter().flatten().min() else { return Ok(false) };
        self.now = self.now.max(next);
        if self.now > Time::ZERO + HANG {
            return Err(format!("something still happens after {HANG:?}"));
        }
        self.deliver();
        self.server.handle_timeout(self.now);
        self.note_stored()?;
        while let Some((port, to, datagram)) = self.server.poll_transmit() {
            self.link.send(self.now, (SERVER, port).into(), to, &datagram);
        }
        self.move_guests()?;
        self.check_endings()?;
        Ok(true)
    }

    fn deliver(&mut self) {
        while let Some(packet) = self.link.arrived(self.now) {
            if packet.to.ip() == SERVER {
                let port = packet.to.port();
                self.server.handle_datagram(self.now, packet.from, port, &packet.payload);
            } else if let Some(guest) = self.guests.iter_mut().find(|g| g.address == packet.to) {
                guest.client.handle_datagram(self.now, packet.from.port(), &packet.payload);
            }
        }
    }

    /// Whatever became of a client, its upload is stored whole or not at all.
    fn note_stored(&mut self) -> Result<(), String> {
        for stored in std::mem::take(&mut self.server.stored) {
            let is_meant = |guest: &&Guest| match &guest.job {
                Job::Write(bytes) => guest.address == stored.client && *bytes == stored.bytes,
                Job::Read => false,
            };
            if !self.guests.iter().any(|guest| is_meant(&guest)) {
                let (client, len) = (stored.client, stored.bytes.len());
                return Err(format!("{client} has stored {len} bytes that it never had"));
            }
            self.history.push((self.now, stored.name, stored.bytes));
        }
        Ok(())
    }

    fn move_guests(&mut self) -> Result<(), String> {
        for guest in &mut self.guests {
            if guest.client.poll_timeout().is_some_and(|at| at <= self.now) {
                guest.client.handle_timeout(self.now);
            }
            while let Some((to, datagram)) = guest.client.poll_transmit(self.now) {
                if to == FIRST_PORT && guest.ended.is_some() {
                    return Err(format!("{} asks again after its end", guest.address));
                }
                self.link.send(self.now, guest.address, (SERVER, to).into(), &datagram);
            }
            // One that has ended may stay for no time at all, and is then looked at once more.
            let ended = guest.client.ending().is_some();
            if !ended && guest.client.poll_timeout().is_some_and(|at| at <= self.now) {
                return Err(format!("the deadline of {} does not move on", guest.address));
            }
        }
        Ok(())
    }

    fn check_endings(&mut self) -> Result<(), String> {
        for guest in self.guests.iter_mut().filter(|guest| guest.ended.is_none()) {
            let Some(ending) = guest.client.ending() else { continue };
            guest.ended = Some(self.now);
            let name = guest.name.as_bytes();
            let versions: Vec<_> = self.history.iter().filter(|(_, n, _)| n == name).collect();
            let held = |wanted: &[u8]| {
                versions.iter().enumerate().any(|(at, (_, _, bytes))| {
                    let until = versions.get(at + 1).map(|(until, _, _)| *until);
                    bytes == wanted && until.is_none_or(|until| until >= guest.starts)
                })
            };
            let wrong = match (&guest.job, ending) {
                (Job::Read, Ending::Done(bytes)) if !held(bytes) => "read what was never there",
                (Job::Write(bytes), Ending::Done(_)) if !held(bytes) => "stored nothing",
                (_, Ending::Failed(_)) if self.fair => "failed on a fair network",
                _ => continue,
            };
            return Err(format!("{} {wrong}: {ending:?}", guest.address));
        }
        Ok(())
    }
}
