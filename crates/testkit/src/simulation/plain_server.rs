//! A server as RFC 1350 has it and nothing more: no options, lock-step, one second of patience for
//! each packet, and a session for each request, even for one that was repeated. It shares no state
//! machine with the client, so neither can hide the other's errors.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use memtftp_proto::{ErrorCode, Mode, Packet, Request, Time};

use super::FIRST_PORT;
use super::client::encode;

const BLOCK: usize = 512;
const WAIT: Duration = Duration::from_secs(1);
const MAX_TRIES: u32 = 30;

/// How long it stays to repeat the ACK of a last block.
const DALLY: Duration = Duration::from_secs(5);

/// What it makes of a request with options.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// They are left unread.
    Ignores,
    /// The whole request is refused.
    Refuses(ErrorCode),
    /// The whole request is dropped.
    Drops,
}

/// An upload that was completed.
pub(super) struct Stored {
    pub(super) client: SocketAddr,
    pub(super) name: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct PlainServer {
    manner: Manner,
    files: BTreeMap<Vec<u8>, Vec<u8>>,
    sessions: Vec<Session>,
    begun: u16,
    outbox: VecDeque<(u16, SocketAddr, Vec<u8>)>,
    /// Uploads that nobody has looked at yet.
    pub(super) stored: Vec<Stored>,
}

struct Session {
    client: SocketAddr,
    port: u16,
    name: Vec<u8>,
    mode: Mode,
    reading: bool,
    /// The file as it travels; of an upload what is there.
    wire: Vec<u8>,
    /// A read: the block in flight. An upload: blocks received.
    block: usize,
    /// The last block has arrived, there or here.
    complete: bool,
    /// What was sent last and is sent again when nothing comes.
    last: Vec<u8>,
    due: bool,
    tries: u32,
    /// When to send again, or to forget.
    wake: Time,
    over: bool,
}

impl PlainServer {
    pub(super) fn new(manner: Manner) -> PlainServer {
        let (files, sessions) = (BTreeMap::new(), Vec::new());
        let (outbox, stored) = (VecDeque::new(), Vec::new());
        PlainServer { manner, files, sessions, begun: 0, outbox, stored }
    }

    /// Puts a file in before the clients come.
    pub(super) fn seed(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.insert(name.into(), bytes);
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        port: u16,
        payload: &[u8],
    ) {
        let Ok(packet) = Packet::parse(payload) else { return };
        if port == FIRST_PORT {
            return match packet {
                Packet::Read(request) => self.handle_request(now, from, &request, true),
                Packet::Write(request) => self.handle_request(now, from, &request, false),
                _ => {}
            };
        }
        let mut sessions = self.sessions.iter_mut();
        let Some(session) = sessions.find(|s| s.port == port && s.client == from) else { return };
        match packet {
            Packet::Ack { block } if session.reading => session.handle_ack(now, block),
            Packet::Data { block, payload } if !session.reading => {
                let was_complete = session.complete;
                session.handle_data(now, block, payload);
                if session.complete && !was_complete {
                    let bytes = session.content();
                    let name = session.name.clone();
                    self.files.insert(name.clone(), bytes.clone());
                    self.stored.push(Stored { client: from, name, bytes });
                }
            }
            Packet::Error { .. } => session.over = true,
            _ => {}
        }
        self.collect();
    }

    fn handle_request(
        &mut self,
        now: Time,
        client: SocketAddr,
        request: &Request<'_>,
        reading: bool,
    ) {
        let mode = request.transfer_mode().unwrap_or(Mode::Octet);
        let file = self.files.get(request.name).filter(|_| reading).cloned().unwrap_or_default();
        let refused = match self.manner {
            _ if request.options.iter().next().is_none() => None,
            Manner::Ignores => None,
            Manner::Refuses(code) => Some(code),
            Manner::Drops => return,
        };
        // Ports of ended sessions come again after some thousand others.
        self.begun = self.begun % 20_000 + 1;
        let port = FIRST_PORT + self.begun;
        if let Some(code) = refused {
            let error = Packet::Error { code, text: b"no options here" };
            return self.outbox.push_back((port, client, encode(&error)));
        }
        let mut session = Session {
            client,
            port,
            name: request.name.to_vec(),
            mode,
            reading,
            wire: if mode == Mode::Netascii { to_netascii(&file) } else { file },
            block: 0,
            complete: false,
            last: Vec::new(),
            due: false,
            tries: 0,
            wake: now,
            over: false,
        };
        if reading {
            session.send_block(now, 1);
        } else {
            session.send(now, &Packet::Ack { block: 0 });
        }
        self.sessions.push(session);
        self.collect();
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        for session in self.sessions.iter_mut().filter(|session| session.wake <= now) {
            session.tries += 1;
            session.over |= session.complete || session.tries > MAX_TRIES;
            session.due = !session.over;
            session.wake = now + WAIT;
        }
        self.collect();
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.sessions.iter().map(|session| session.wake).min()
    }

    /// The next datagram: from which of its ports, and where to.
    pub(super) fn poll_transmit(&mut self) -> Option<(u16, SocketAddr, Vec<u8>)> {
        self.outbox.pop_front()
    }

    fn collect(&mut self) {
        for session in self.sessions.iter_mut().filter(|session| session.due) {
            session.due = false;
            self.outbox.push_back((session.port, session.client, session.last.clone()));
        }
        self.sessions.retain(|session| !session.over);
    }
}

impl Session {
    fn send(&mut self, now: Time, packet: &Packet<'_>) {
        self.last = encode(packet);
        self.due = true;
        self.tries = 0;
        self.wake = now + if self.complete { DALLY } else { WAIT };
    }

    fn send_block(&mut self, now: Time, number: usize) {
        let wire = std::mem::take(&mut self.wire);
        let start = (number - 1) * BLOCK;
        let payload = wire.get(start..(start + BLOCK).min(wire.len())).unwrap_or_default();
        self.block = number;
        self.send(now, &Packet::Data { block: number as u16, payload });
        self.wire = wire;
    }

    fn handle_ack(&mut self, now: Time, block: u16) {
        if block != self.block as u16 {
            return;
        }
        if self.block * BLOCK > self.wire.len() {
            self.over = true;
        } else {
            self.send_block(now, self.block + 1);
        }
    }

    fn handle_data(&mut self, now: Time, block: u16, payload: &[u8]) {
        if block == (self.block + 1) as u16 && !self.complete {
            self.block += 1;
            self.wire.extend_from_slice(payload);
            self.complete = payload.len() < BLOCK;
        } else if block != self.block as u16 || self.block == 0 {
            return;
        }
        self.send(now, &Packet::Ack { block });
    }

    /// The file of a complete upload.
    fn content(&self) -> Vec<u8> {
        if self.mode == Mode::Netascii { from_netascii(&self.wire) } else { self.wire.clone() }
    }
}

fn to_netascii(file: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for byte in file {
        match byte {
            b'\n' => wire.extend(b"\r\n"),
            b'\r' => wire.extend(b"\r\0"),
            byte => wire.push(*byte),
        }
    }
    wire
}

fn from_netascii(wire: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut bytes = wire.iter();
    while let Some(byte) = bytes.next() {
        match (byte, if *byte == b'\r' { bytes.next() } else { None }) {
            (b'\r', Some(b'\n')) => file.push(b'\n'),
            (byte, _) => file.push(*byte),
        }
    }
    file
}
