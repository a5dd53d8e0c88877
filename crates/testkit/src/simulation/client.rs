//! A client with options: the project's own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{Ask, Client as Transfer, ClientOffer, Failure, Mode, Packet, Time, Timing};

use super::{Client, Ending, FIRST_PORT, Job, SERVER};

/// The most blocks in one run.
const MAX_RUN: u16 = 32;

pub(super) struct OptionClient {
    /// When its user comes, if not yet.
    starts: Option<Time>,
    transfer: Transfer<Vec<u8>>,
    bytes: Vec<u8>,
    /// Blocks of a run that are yet to be sent.
    run: Vec<Vec<u8>>,
    ending: Option<Ending>,
}

impl OptionClient {
    pub(super) fn new(rng: &mut Rng, starts: Time, name: &str, job: Job) -> OptionClient {
        let ask = Ask {
            mode: if rng.u8(..) < 64 { Mode::Netascii } else { Mode::Octet },
            blksize: rng.bool().then(|| rng.u16(64..2_000)),
            windowsize: rng.bool().then(|| [1, 2, 3, 16, 64][rng.usize(0..5)]),
            timeout: rng.bool().then(|| rng.u8(1..4)),
            tsize: rng.bool(),
            ..Ask::plain(name)
        };
        let timing = Timing { patience: Duration::from_secs(40), ..Timing::default() };
        let server = SocketAddr::new(SERVER.into(), FIRST_PORT);
        let transfer = match job {
            Job::Read => Transfer::get(starts, server, ask, &timing),
            Job::Write(bytes) => Transfer::put(starts, server, ask, bytes, &timing),
        };
        let transfer = transfer.unwrap_or_else(|error| panic!("{error}"));
        let (bytes, run) = (Vec::new(), Vec::new());
        OptionClient { starts: Some(starts), transfer, bytes, run, ending: None }
    }

    fn note_ending(&mut self) {
        let Some(outcome) = self.transfer.outcome() else { return };
        let ending = || match outcome {
            Ok(()) => Ending::Done(self.bytes.clone()),
            Err(Failure::TimedOut(_)) => Ending::Failed("the server is silent".to_owned()),
            Err(failure) => Ending::Failed(failure.to_string()),
        };
        self.ending.get_or_insert_with(ending);
    }
}

impl Client for OptionClient {
    fn handle_datagram(&mut self, now: Time, from: u16, payload: &[u8]) {
        let from = SocketAddr::new(SERVER.into(), from);
        let bytes = &mut self.bytes;
        let Ok(()) = self.transfer.handle_datagram(now, from, payload, |part| {
            bytes.extend_from_slice(part);
            Ok::<(), Infallible>(())
        });
        if self.transfer.is_received() {
            self.transfer.commit(now);
        }
        self.note_ending();
    }

    fn handle_timeout(&mut self, now: Time) {
        self.starts = self.starts.filter(|starts| now < *starts);
        self.transfer.handle_timeout(now);
        self.note_ending();
    }

    fn poll_transmit(&mut self, now: Time) -> Option<(u16, Vec<u8>)> {
        if self.starts.is_some() {
            return None;
        }
        if let Some(block) = self.run.pop() {
            return Some((self.transfer.peer()?.port(), block));
        }
        let (to, offer) = self.transfer.poll_transmit(now, MAX_RUN)?;
        let datagram = match offer {
            ClientOffer::Request => self.transfer.request().to_vec(),
            ClientOffer::Control(packet) => packet.as_bytes().to_vec(),
            ClientOffer::Run { first, blocks } => {
                let run = self.transfer.datagrams(first, blocks)?;
                self.run = run.map(|(header, payload)| [&header[..], payload].concat()).collect();
                self.run.reverse();
                self.run.pop()?
            }
        };
        Some((to.port(), datagram))
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.starts.or_else(|| self.transfer.poll_timeout())
    }

    fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }
}

pub(super) fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    packet.encode(&mut datagram);
    datagram
}
