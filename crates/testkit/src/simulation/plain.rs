//! A client as RFC 1350 has it and nothing more: no options, lock-step, one second of patience for
//! each packet. It shares no state machine with the server, so neither can hide the other's errors.

use std::time::Duration;

use memtftp_proto::{Packet, Time};

use super::client::encode;
use super::{Client, Ending, FIRST_PORT, Job};

const BLOCK: usize = 512;
const WAIT: Duration = Duration::from_secs(1);
const MAX_TRIES: u32 = 30;

pub(super) struct PlainClient {
    job: Job,
    received: Vec<u8>,
    /// Blocks received, or blocks of ours that were acknowledged; `None` before ACK 0.
    blocks: Option<u64>,
    tid: Option<u16>,
    /// What was sent last and is sent again when nothing comes.
    last: Vec<u8>,
    due: bool,
    tries: u32,
    wake: Option<Time>,
    ending: Option<Ending>,
}

impl PlainClient {
    pub(super) fn new(starts: Time, name: &str, job: Job) -> PlainClient {
        let opcode = if matches!(job, Job::Read) { 1 } else { 2 };
        let last = [&[0, opcode], name.as_bytes(), b"\0octet\0"].concat();
        let blocks = matches!(job, Job::Read).then_some(0);
        PlainClient {
            job,
            received: Vec::new(),
            blocks,
            tid: None,
            last,
            due: false,
            tries: 0,
            wake: Some(starts),
            ending: None,
        }
    }

    fn send(&mut self, now: Time, datagram: Vec<u8>) {
        self.last = datagram;
        self.due = true;
        self.tries = 0;
        self.wake = Some(now + WAIT);
    }

    fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    fn handle_data(&mut self, now: Time, block: u16, payload: &[u8]) {
        let taken = self.blocks.unwrap_or_default();
        if block == (taken + 1) as u16 && self.ending.is_none() {
            self.blocks = Some(taken + 1);
            self.received.extend_from_slice(payload);
            if payload.len() < BLOCK {
                self.end(Ending::Done(self.received.clone()));
            }
        } else if block != taken as u16 || taken == 0 {
            return;
        }
        self.send(now, encode(&Packet::Ack { block }));
    }

    fn handle_ack(&mut self, now: Time, block: u16) {
        let Job::Write(bytes) = &self.job else { return };
        let expected = self.blocks.map_or(0, |acked| acked + 1);
        if block != expected as u16 || self.ending.is_some() {
            return;
        }
        let sent_all = expected > 0 && (expected as usize - 1) * BLOCK + BLOCK > bytes.len();
        self.blocks = Some(expected);
        if sent_all {
            self.end(Ending::Done(Vec::new()));
            self.wake = None;
            return;
        }
        let start = expected as usize * BLOCK;
        let payload = bytes.get(start..(start + BLOCK).min(bytes.len())).unwrap_or_default();
        let datagram = encode(&Packet::Data { block: (expected + 1) as u16, payload });
        self.send(now, datagram);
    }
}

impl Client for PlainClient {
    fn handle_datagram(&mut self, now: Time, from: u16, payload: &[u8]) {
        let Ok(packet) = Packet::parse(payload) else { return };
        if self.tries == 0 && self.tid.is_none() || self.tid.is_some_and(|tid| tid != from) {
            return;
        }
        match packet {
            Packet::Error { .. } if self.ending.is_none() => {
                self.end(Ending::Failed("ERROR".into()));
                self.wake = None;
            }
            Packet::Data { block, payload } if matches!(self.job, Job::Read) => {
                self.tid = Some(from);
                self.handle_data(now, block, payload);
            }
            Packet::Ack { block } if matches!(self.job, Job::Write(_)) => {
                self.tid = Some(from);
                self.handle_ack(now, block);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.tries += 1;
        if self.ending.is_some() || self.tries > MAX_TRIES {
            // After the last ACK nothing more is needed; a silent server is given up.
            self.end(Ending::Failed("the server is silent".into()));
            self.wake = None;
            return;
        }
        self.due = true;
        self.wake = Some(now + WAIT);
    }

    fn poll_transmit(&mut self, _: Time) -> Option<(u16, Vec<u8>)> {
        std::mem::take(&mut self.due).then(|| (self.tid.unwrap_or(FIRST_PORT), self.last.clone()))
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.wake
    }

    fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }
}
