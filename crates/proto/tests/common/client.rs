//! A server's view of a client in virtual time, one datagram a step.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use memtftp_proto::{Ask, Client, ClientOffer, Failure, Silence, Time, Timing};

use super::{Say, decode, encode};

/// The most blocks that a driver takes in one run.
const MAX_RUN: u16 = 32;

/// What there is no room for.
struct NoRoom;

/// One client, and where its server is.
pub struct Peer {
    pub client: Client<Vec<u8>>,
    /// Where requests go.
    pub server: SocketAddr,
    /// Where the server's answers come from.
    pub tid: SocketAddr,
    /// What a get has stored.
    pub stored: Vec<u8>,
    /// How much it can store.
    pub room: usize,
    /// How many blocks each run had.
    pub runs: Vec<u16>,
    now: Time,
}

impl Peer {
    pub fn get(ask: Ask) -> Peer {
        Peer::new(|server, timing| Client::get(Time::ZERO, server, ask, timing).unwrap())
    }

    pub fn put(ask: Ask, content: &[u8]) -> Peer {
        let content = content.to_vec();
        Peer::new(|server, timing| Client::put(Time::ZERO, server, ask, content, timing).unwrap())
    }

    fn new(start: impl FnOnce(SocketAddr, &Timing) -> Client<Vec<u8>>) -> Peer {
        let server = SocketAddr::new(host(1), 69);
        Peer {
            client: start(server, &Timing::default()),
            server,
            tid: SocketAddr::new(host(1), 3000),
            stored: Vec::new(),
            room: usize::MAX,
            runs: Vec::new(),
            now: Time::ZERO,
        }
    }

    /// Moves the clock, running every timer on the way; what is sent is returned with its time.
    pub fn run_until(&mut self, millis: u64) -> Vec<(u64, Say)> {
        let target = Time::from_micros(millis * 1000);
        assert!(target >= self.now, "time runs forward");
        let mut sent = Vec::new();
        while let Some(deadline) = self.client.poll_timeout().filter(|at| *at <= target) {
            self.now = self.now.max(deadline);
            self.client.handle_timeout(self.now);
            let millis = self.now.as_micros() / 1000;
            sent.extend(self.sends().into_iter().map(|say| (millis, say)));
            assert!(self.client.poll_timeout().is_none_or(|next| next > self.now));
        }
        self.now = target;
        sent
    }

    /// Nothing is sent by itself until `millis`.
    pub fn quiet_until(&mut self, millis: u64) {
        assert_eq!(self.run_until(millis), []);
    }

    /// The server's next packet, from where its answers come.
    pub fn hears(&mut self, say: &Say) -> Vec<Say> {
        self.takes(self.tid, &encode(say));
        self.sends()
    }

    /// A packet from elsewhere; what is sent is returned with where it goes.
    pub fn hears_from(&mut self, from: SocketAddr, say: &Say) -> Vec<(SocketAddr, Say)> {
        self.takes(from, &encode(say));
        self.sends_to()
    }

    /// A datagram that the driver has read; nothing is sent before the next call.
    pub fn takes(&mut self, from: SocketAddr, datagram: &[u8]) {
        let (stored, room) = (&mut self.stored, self.room);
        // What a failed store does to the transfer is in its outcome.
        let _ = self.client.handle_datagram(self.now, from, datagram, |bytes| {
            let fits = stored.len() + bytes.len() <= room;
            if fits {
                stored.extend_from_slice(bytes);
            }
            if fits { Ok(()) } else { Err(NoRoom) }
        });
    }

    /// The file is kept.
    pub fn commits(&mut self) -> Vec<Say> {
        assert!(self.client.is_received());
        self.client.commit(self.now);
        assert!(!self.client.is_received());
        self.sends()
    }

    /// What is sent now: a request to the server's port, all else to that of the transfer.
    pub fn sends(&mut self) -> Vec<Say> {
        let (server, tid) = (self.server, self.tid);
        let checked = |(to, say): (SocketAddr, Say)| {
            let expected = if matches!(say, Say::Request(_)) { server } else { tid };
            assert_eq!(to, expected, "{say:?}");
            say
        };
        self.sends_to().into_iter().map(checked).collect()
    }

    /// What is sent now, and where it goes.
    pub fn sends_to(&mut self) -> Vec<(SocketAddr, Say)> {
        let mut sent = Vec::new();
        while let Some((to, offer)) = self.client.poll_transmit(self.now, MAX_RUN) {
            match offer {
                ClientOffer::Request => sent.push((to, decode(self.client.request()))),
                ClientOffer::Control(packet) => sent.push((to, decode(packet.as_bytes()))),
                ClientOffer::Run { first, blocks } => {
                    self.runs.push(blocks);
                    let run = self.client.datagrams(first, blocks).unwrap();
                    sent.extend(
                        run.map(|(header, payload)| (to, decode(&[&header[..], payload].concat()))),
                    );
                }
            }
        }
        sent
    }

    /// Checks that it has ended so, says nothing any more whatever it hears, and waits for nothing.
    pub fn ended(mut self, outcome: &Result<(), Failure>) {
        assert_eq!(self.client.outcome(), Some(outcome));
        let hour = self.now + Duration::from_secs(3600);
        self.quiet_until(hour.as_micros() / 1000);
        assert_eq!(self.client.poll_timeout(), None);
        let totals = self.client.totals();
        for say in [super::data(1, b""), super::ack(0), super::ack(1), super::error(0, "")] {
            assert_eq!(self.hears(&say), [], "{say:?}");
        }
        assert_eq!(self.hears(&super::oack(&[("tsize", "1")])), []);
        self.client.abort(memtftp_proto::ErrorCode::UNDEFINED, "too late");
        self.client.commit(self.now);
        assert_eq!(self.sends(), []);
        assert_eq!((self.client.outcome(), self.client.totals()), (Some(outcome), totals));
    }
}

/// Host `number` of the test's network.
pub fn host(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

pub fn refused(code: u16, text: &str) -> Result<(), Failure> {
    Err(Failure::Refused { code: memtftp_proto::ErrorCode(code), text: text.to_owned() })
}

pub fn timed_out(silence: Silence) -> Result<(), Failure> {
    Err(Failure::TimedOut(silence))
}

/// An [`Ask`] for `f` with these options.
pub fn ask(blksize: Option<u16>, windowsize: Option<u16>, tsize: bool) -> Ask {
    Ask { blksize, windowsize, tsize, ..Ask::plain("f") }
}
