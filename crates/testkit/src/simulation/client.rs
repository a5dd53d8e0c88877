//! A client with options, over the project's own sender and receiver.

use std::convert::Infallible;
use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{
    AckOutcome, Agreed, Asked, Dally, ErrorCode, Expiry, Limits, Mode, Offer, Packet, Receiver,
    Sender, Source, Time, Timing, Verdict, negotiate,
};

use super::{Client, Ending, FIRST_PORT, Job};

/// How long a client waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often it asks before it gives up.
const MAX_ASKS: u32 = 8;

/// How long a reader stays to repeat its last ACK.
const STAY: Duration = Duration::from_secs(10);

pub(super) struct OptionClient {
    request: Vec<u8>,
    mode: Mode,
    job: Job,
    bytes: Vec<u8>,
    /// The server's port for this transfer, once it has answered.
    tid: Option<u16>,
    state: State,
    outbox: Vec<(u16, Vec<u8>)>,
    ending: Option<Ending>,
}

enum State {
    /// The request is sent at this time, again and again.
    Asking {
        at: Time,
        asked: u32,
    },
    Getting(Receiver),
    Putting(Sender<Vec<u8>>),
    Staying {
        dally: Dally<()>,
        until: Time,
    },
    Over,
}

impl OptionClient {
    pub(super) fn new(rng: &mut Rng, starts: Time, name: &str, job: Job) -> OptionClient {
        let mode = if rng.u8(..) < 64 { Mode::Netascii } else { Mode::Octet };
        let mut request = vec![0, if matches!(job, Job::Read) { 1 } else { 2 }];
        let mut field = |text: &str| {
            request.extend_from_slice(text.as_bytes());
            request.push(0);
        };
        field(name);
        field(if mode == Mode::Octet { "octet" } else { "NETASCII" });
        let windowsize = [1, 2, 3, 16, 64][rng.usize(0..5)];
        let tsize = match &job {
            Job::Write(bytes) if mode == Mode::Octet => bytes.len(),
            _ => 0,
        };
        let mut options = vec![
            ("blksize", rng.usize(64..2_000)),
            ("windowsize", windowsize),
            ("tsize", tsize),
            ("timeout", rng.usize(1..4)),
        ];
        if mode == Mode::Netascii && matches!(job, Job::Write(_)) {
            options.retain(|(option, _)| *option != "tsize");
        }
        rng.shuffle(&mut options);
        options.truncate(rng.usize(0..=options.len()));
        for (option, value) in options {
            field(option);
            field(&value.to_string());
        }
        let state = State::Asking { at: starts, asked: 0 };
        let (bytes, outbox) = (Vec::new(), Vec::new());
        OptionClient { request, mode, job, bytes, tid: None, state, outbox, ending: None }
    }

    /// The first answer: what the server agreed to, and the packet itself if it is DATA.
    fn begin(&mut self, now: Time, packet: &Packet<'_>) {
        let agreed = match packet {
            Packet::OptionAck(options) => negotiate(&Asked::new(*options), &Limits::NONE, Some(0)),
            _ => Agreed::PLAIN,
        };
        let timing = Timing { patience: Duration::from_secs(40), ..Timing::default() };
        match (&self.job, packet) {
            (Job::Read, Packet::OptionAck(_) | Packet::Data { block: 1, .. }) => {
                self.state = State::Getting(Receiver::new(now, &agreed, self.mode, None, &timing));
            }
            (Job::Write(bytes), Packet::OptionAck(_) | Packet::Ack { block: 0 }) => {
                let source =
                    Source::new(bytes.clone(), self.mode, agreed.blksize, agreed.windowsize);
                self.state = State::Putting(Sender::new(now, source, &agreed, None, &timing));
            }
            _ => {}
        }
    }

    fn continue_with(&mut self, now: Time, packet: &Packet<'_>) {
        match (&mut self.state, packet) {
            (State::Getting(receiver), Packet::Data { block, payload }) => {
                let bytes = &mut self.bytes;
                let store = |part: &[u8]| {
                    bytes.extend_from_slice(part);
                    Ok::<(), Infallible>(())
                };
                if receiver.handle_data(now, *block, payload, store) == Ok(Verdict::Complete)
                    && let Some(last) = receiver.finish()
                {
                    self.end(Ending::Done(self.bytes.clone()));
                    self.state = State::Staying { dally: Dally::new(last, ()), until: now + STAY };
                }
            }
            // Our ACK 0 was lost.
            (State::Getting(receiver), Packet::OptionAck(_)) => receiver.repeat_first(),
            (State::Putting(sender), Packet::Ack { block }) => {
                let outcome = sender.handle_ack(now, *block);
                if outcome == AckOutcome::Complete {
                    self.end(Ending::Done(Vec::new()));
                    self.state = State::Over;
                }
            }
            (State::Staying { dally, .. }, Packet::Data { block, .. }) => dally.handle_data(*block),
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    fn fail(&mut self, why: &str) {
        self.end(Ending::Failed(why.to_owned()));
        self.state = State::Over;
    }
}

impl Client for OptionClient {
    fn handle_datagram(&mut self, now: Time, from: u16, payload: &[u8]) {
        let Ok(packet) = Packet::parse(payload) else { return };
        if self.tid.is_some_and(|tid| tid != from) {
            if !matches!(packet, Packet::Error { .. }) && !matches!(self.state, State::Over) {
                let stray = Packet::Error { code: ErrorCode::UNKNOWN_TID, text: b"not you" };
                self.outbox.push((from, encode(&stray)));
            }
            return;
        }
        if let Packet::Error { code, text } = packet {
            if matches!(self.state, State::Asking { .. } | State::Getting(_) | State::Putting(_)) {
                self.fail(&format!("ERROR {code}: {}", String::from_utf8_lossy(text)));
            }
            return;
        }
        if matches!(self.state, State::Asking { asked: 1.., .. }) {
            self.begin(now, &packet);
            if !matches!(self.state, State::Asking { .. }) {
                self.tid = Some(from);
            }
            // An OACK or ACK 0 has done its part; a first DATA is yet to be taken.
            if !matches!(packet, Packet::Data { .. }) {
                return;
            }
        }
        self.continue_with(now, &packet);
    }

    fn handle_timeout(&mut self, now: Time) {
        let expiry = match &mut self.state {
            State::Asking { at, asked } => {
                *asked += 1;
                *at = now + ASK_AGAIN;
                if *asked > MAX_ASKS {
                    Expiry::GivenUp
                } else {
                    self.outbox.push((FIRST_PORT, self.request.clone()));
                    Expiry::Waiting
                }
            }
            State::Getting(receiver) => receiver.handle_timeout(now),
            State::Putting(sender) => sender.handle_timeout(now),
            State::Staying { until, .. } if *until <= now => {
                self.state = State::Over;
                Expiry::Waiting
            }
            State::Staying { .. } | State::Over => Expiry::Waiting,
        };
        if expiry == Expiry::GivenUp {
            self.fail("the server is silent");
        }
    }

    fn poll_transmit(&mut self, now: Time) -> Option<(u16, Vec<u8>)> {
        if let Some(waiting) = self.outbox.pop() {
            return Some(waiting);
        }
        let tid = self.tid?;
        let datagram = match &mut self.state {
            State::Getting(receiver) => receiver.poll_transmit(now)?.as_bytes().to_vec(),
            State::Staying { dally, .. } => dally.poll_transmit()?.as_bytes().to_vec(),
            State::Putting(sender) => match sender.poll_transmit(now, 1)? {
                Offer::Opening(packet) => packet.as_bytes().to_vec(),
                Offer::Run { first, .. } => {
                    let payload = sender.payload(first, 1)?;
                    encode(&Packet::Data { block: first as u16, payload })
                }
            },
            State::Asking { .. } | State::Over => return None,
        };
        Some((tid, datagram))
    }

    fn poll_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Asking { at, .. } => Some(*at),
            State::Getting(receiver) => receiver.poll_timeout(),
            State::Putting(sender) => Some(sender.poll_timeout()),
            State::Staying { until, .. } => Some(*until),
            State::Over => None,
        }
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
