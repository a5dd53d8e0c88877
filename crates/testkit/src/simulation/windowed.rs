//! A client with windows (RFC 7440) that does only what the RFC says, and shares no state machine
//! with the server. It is quick: what it takes longer than round trips, the server has waited for.

use std::collections::VecDeque;
use std::time::Duration;

use memtftp_proto::{Packet, Time};

use super::{Client, Ending, FIRST_PORT, Job};

const BLOCK: usize = 64;
const WAIT: Duration = Duration::from_secs(1);
const MAX_TRIES: u32 = 20;

/// Only for files of less than 65,535 blocks: numbers do not wrap here.
pub(super) struct WindowedClient {
    job: Job,
    windowsize: u16,
    received: Vec<u8>,
    /// Blocks received in order, or blocks of ours that were acknowledged.
    blocks: u16,
    /// A read: the block at which an ACK is due.
    window_end: u16,
    /// A read: the gap behind `blocks` was reported.
    gap_known: bool,
    tid: Option<u16>,
    /// What is sent again when nothing comes.
    last: Vec<Vec<u8>>,
    outbox: VecDeque<Vec<u8>>,
    tries: u32,
    wake: Option<Time>,
    ending: Option<Ending>,
}

impl WindowedClient {
    pub(super) fn new(starts: Time, name: &str, job: Job, windowsize: u16) -> WindowedClient {
        let opcode = if matches!(job, Job::Read) { 1 } else { 2 };
        let fields = format!("{name}\0octet\0blksize\0{BLOCK}\0windowsize\0{windowsize}\0");
        WindowedClient {
            job,
            windowsize,
            received: Vec::new(),
            blocks: 0,
            window_end: windowsize,
            gap_known: false,
            tid: None,
            last: vec![[&[0, opcode], fields.as_bytes()].concat()],
            outbox: VecDeque::new(),
            tries: 0,
            wake: Some(starts),
            ending: None,
        }
    }

    fn send(&mut self, now: Time, datagrams: Vec<Vec<u8>>) {
        self.outbox.extend(datagrams.iter().cloned());
        self.last = datagrams;
        self.tries = 0;
        self.wake = Some(now + WAIT);
    }

    fn acknowledge(&mut self, now: Time) {
        self.window_end = self.blocks + self.windowsize;
        self.send(now, vec![encode(&Packet::Ack { block: self.blocks })]);
    }

    fn handle_data(&mut self, now: Time, block: u16, payload: &[u8]) {
        if block == self.blocks + 1 && self.ending.is_none() {
            self.blocks = block;
            self.gap_known = false;
            self.received.extend_from_slice(payload);
            let last = payload.len() < BLOCK;
            if last {
                self.ending = Some(Ending::Done(std::mem::take(&mut self.received)));
            }
            if last || block == self.window_end {
                self.acknowledge(now);
            }
        } else if block == self.blocks {
            // The end of a window whose ACK was lost.
            self.acknowledge(now);
        } else if block > self.blocks && !std::mem::replace(&mut self.gap_known, true) {
            self.acknowledge(now);
        }
    }

    fn handle_ack(&mut self, now: Time, block: u16) {
        let Job::Write(bytes) = &self.job else { return };
        let last = (bytes.len() / BLOCK + 1) as u16;
        if self.ending.is_some() || block < self.blocks {
            return;
        }
        // In lock-step a repeated ACK brings nothing. In a window it reports a gap; the links that
        // this client is made for make no copies of it.
        if block == self.blocks && self.tid.is_some() && self.windowsize == 1 {
            return;
        }
        self.blocks = block;
        if block == last {
            self.ending = Some(Ending::Done(Vec::new()));
            self.wake = None;
            return;
        }
        let end = last.min(block + self.windowsize);
        let window = (block + 1..=end).map(|block| {
            let start = usize::from(block - 1) * BLOCK;
            let payload = bytes.get(start..(start + BLOCK).min(bytes.len())).unwrap_or_default();
            encode(&Packet::Data { block, payload })
        });
        let window = window.collect();
        self.send(now, window);
    }
}

impl Client for WindowedClient {
    fn handle_datagram(&mut self, now: Time, from: u16, payload: &[u8]) {
        let Ok(packet) = Packet::parse(payload) else { return };
        if self.tid.is_some_and(|tid| tid != from) {
            return;
        }
        match (&self.job, packet) {
            (_, Packet::Error { code, .. }) if self.ending.is_none() => {
                self.ending = Some(Ending::Failed(format!("ERROR {code}")));
                self.wake = None;
            }
            // A repeated OACK: our answer was lost. The next data or the clock repeats it.
            (_, Packet::OptionAck(_)) if self.tid.is_some() && self.blocks > 0 => {}
            (Job::Read, Packet::OptionAck(_)) => {
                self.tid = Some(from);
                self.acknowledge(now);
            }
            (Job::Write(_), Packet::OptionAck(_)) => {
                self.handle_ack(now, 0);
                self.tid = Some(from);
            }
            (Job::Read, Packet::Data { block, payload }) => self.handle_data(now, block, payload),
            (Job::Write(_), Packet::Ack { block }) => self.handle_ack(now, block),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.tries += 1;
        if self.ending.is_some() || self.tries > MAX_TRIES {
            self.ending.get_or_insert(Ending::Failed("the server is silent".into()));
            self.wake = None;
            return;
        }
        self.outbox.extend(self.last.iter().cloned());
        self.wake = Some(now + WAIT);
    }

    fn poll_transmit(&mut self, _: Time) -> Option<(u16, Vec<u8>)> {
        let datagram = self.outbox.pop_front()?;
        Some((self.tid.unwrap_or(FIRST_PORT), datagram))
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.wake
    }

    fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    packet.encode(&mut datagram);
    datagram
}
