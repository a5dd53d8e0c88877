//! A client's view of an endpoint in virtual time, one datagram a step; in [`client`], a server's
//! view of a client.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use memtftp_proto::*;

pub mod client;

pub const LISTENING: SocketId = SocketId(0);

/// Files of a test: `name` to content; what a test wants from storage is set here.
#[derive(Default)]
pub struct Memory {
    pub files: BTreeMap<Vec<u8>, Vec<u8>>,
    pub max_len: Option<usize>,
    pub later: bool,
    pub pending: Vec<(SessionId, Vec<u8>, Vec<u8>)>,
    pub commits: usize,
    pub withdrawn: Vec<SessionId>,
    /// Commits are being published, too late to be withdrawn.
    pub publishing: bool,
    pub limits: Option<Limits>,
    pub unserved: Option<IpAddr>,
}

pub struct Upload {
    name: Vec<u8>,
    bytes: Vec<u8>,
}

pub struct Receipt;

impl Files for Memory {
    type Content = Vec<u8>;
    type Upload = Upload;
    type Receipt = Receipt;

    fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        let refusal = Refusal::new(ErrorCode::ACCESS, "not served");
        if self.unserved == Some(client) { Err(refusal) } else { Ok(()) }
    }

    fn read_limits(&self, _: &FileRequest<'_>, _: &Vec<u8>) -> Limits {
        self.limits.unwrap_or(Limits::NONE)
    }

    fn write_limits(&self, _: &FileRequest<'_>, _: &Upload) -> Limits {
        self.limits.unwrap_or(Limits::NONE)
    }

    fn open(&mut self, id: SessionId, request: &FileRequest<'_>) -> Answer<Vec<u8>> {
        if self.later {
            self.pending.push((id, request.name.to_vec(), Vec::new()));
            return Answer::Later;
        }
        let found = self.files.get(request.name).cloned();
        Answer::Now(found.ok_or(Refusal::new(ErrorCode::NOT_FOUND, "file not found")))
    }

    fn begin(&mut self, id: SessionId, request: &FileRequest<'_>) -> Answer<Upload> {
        let max = self.max_len.unwrap_or(usize::MAX) as u64;
        if request.announced.is_some_and(|announced| announced > max) {
            return Answer::Now(Err(Refusal::new(ErrorCode::FULL, "too large")));
        }
        if self.later {
            self.pending.push((id, request.name.to_vec(), Vec::new()));
            return Answer::Later;
        }
        Answer::Now(Ok(Upload { name: request.name.to_vec(), bytes: Vec::new() }))
    }

    fn append(&mut self, upload: &mut Upload, bytes: &[u8]) -> Result<(), Refusal> {
        if upload.bytes.len() + bytes.len() > self.max_len.unwrap_or(usize::MAX) {
            return Err(Refusal::new(ErrorCode::FULL, "too large"));
        }
        upload.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(&mut self, id: SessionId, upload: Upload) -> Answer<Receipt> {
        self.commits += 1;
        if self.later {
            self.pending.push((id, upload.name, upload.bytes));
            return Answer::Later;
        }
        self.files.insert(upload.name, upload.bytes);
        Answer::Now(Ok(Receipt))
    }

    fn withdraw(&mut self, id: SessionId) -> bool {
        self.withdrawn.push(id);
        !self.publishing
    }
}

/// What a packet says, short enough for one line of a table.
#[derive(Clone, PartialEq, Eq)]
pub enum Say {
    Data(u16, Vec<u8>),
    Ack(u16),
    Oack(Vec<(String, String)>),
    Error(u16, String),
    /// A request as it travels.
    Request(Vec<u8>),
}

impl std::fmt::Debug for Say {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Say::Data(block, bytes) => write!(f, "DATA {block} ({} bytes)", bytes.len()),
            Say::Ack(block) => write!(f, "ACK {block}"),
            Say::Oack(pairs) => write!(f, "OACK {pairs:?}"),
            Say::Error(code, text) => write!(f, "ERROR {code} {text:?}"),
            Say::Request(bytes) => write!(f, "request {}", bytes.escape_ascii()),
        }
    }
}

pub fn data(block: u16, bytes: &[u8]) -> Say {
    Say::Data(block, bytes.to_vec())
}

pub fn ack(block: u16) -> Say {
    Say::Ack(block)
}

pub fn oack(pairs: &[(&str, &str)]) -> Say {
    Say::Oack(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

pub fn error(code: u16, text: &str) -> Say {
    Say::Error(code, text.into())
}

/// One worker's endpoint, and a client at `peer`.
pub struct Server {
    pub endpoint: Endpoint<Memory>,
    pub peer: SocketAddr,
    /// The socket that the last answer came from; where the client's packets go.
    pub tid: SocketId,
    /// Of each run that was sent: its blocks, and whether they had to leave one by one.
    pub runs: Vec<(u16, bool)>,
    /// Where the packets of the last step came from.
    pub sources: Vec<SocketId>,
    pub now: Time,
}

impl Server {
    pub fn new() -> Server {
        Server::with(|_| {})
    }

    /// Five sockets: one that listens and four for transfers.
    pub fn with(change: impl FnOnce(&mut Config)) -> Server {
        let transfers = (1..5).map(SocketId).collect();
        let mut sockets = vec![SocketRole::Listening { transfers }];
        sockets.resize(5, SocketRole::Transfer);
        let mut config = Config { sockets, seed: 7, ..Config::default() };
        change(&mut config);
        Server {
            endpoint: Endpoint::new(config, Memory::default()),
            peer: "192.0.2.7:2000".parse().unwrap(),
            tid: LISTENING,
            runs: Vec::new(),
            sources: Vec::new(),
            now: Time::ZERO,
        }
    }

    pub fn single_port() -> Server {
        Server::with(|config| {
            config.sockets = vec![SocketRole::Listening { transfers: vec![LISTENING] }];
        })
    }

    pub fn file(mut self, name: &str, bytes: &[u8]) -> Server {
        self.endpoint.files().files.insert(name.into(), bytes.into());
        self
    }

    pub fn content(&mut self, name: &str) -> Option<Vec<u8>> {
        self.endpoint.files().files.get(name.as_bytes()).cloned()
    }

    /// Moves the clock, running every timer on the way; what they send is returned with its time.
    pub fn run_until(&mut self, millis: u64) -> Vec<(u64, Say)> {
        let target = Time::from_micros(millis * 1000);
        assert!(target >= self.now, "time runs forward");
        let mut sent = Vec::new();
        while let Some(deadline) = self.endpoint.poll_timeout().filter(|at| *at <= target) {
            self.now = self.now.max(deadline);
            self.endpoint.handle_timeout(self.now);
            assert!(self.endpoint.poll_timeout().is_none_or(|next| next > self.now));
            let millis = self.now.as_micros() / 1000;
            sent.extend(self.sent().into_iter().map(|say| (millis, say)));
        }
        self.now = target;
        sent
    }

    /// Moves the clock in one step, as after a suspend; what is due then is sent and lost.
    pub fn jump_to(&mut self, millis: u64) {
        self.now = Time::from_micros(millis * 1000);
        self.endpoint.handle_timeout(self.now);
        self.sent();
    }

    /// Nothing is sent by itself until `millis`.
    pub fn quiet_until(&mut self, millis: u64) {
        assert_eq!(self.run_until(millis), []);
    }

    /// The client has started over: it is silent for a second, whatever we repeat, and asks again.
    pub fn starts_over(&mut self, request: &[u8]) -> Vec<Say> {
        self.run_until(self.now.as_micros().div_ceil(1_000) + 1_000);
        self.request(request)
    }

    /// A datagram to the listening socket.
    pub fn request(&mut self, bytes: &[u8]) -> Vec<Say> {
        self.datagram(LISTENING, self.peer, bytes)
    }

    /// The client's next packet, to wherever the last answer came from.
    pub fn says(&mut self, say: &Say) -> Vec<Say> {
        self.datagram(self.tid, self.peer, &encode(say))
    }

    pub fn datagram(&mut self, socket: SocketId, peer: SocketAddr, payload: &[u8]) -> Vec<Say> {
        let route = Route { socket, peer, local: self.local() };
        self.endpoint.handle_datagram(self.now, &Datagram { route, directed: true, payload });
        self.sent()
    }

    /// The address of ours that clients send to.
    pub fn local(&self) -> Option<IpAddr> {
        Some("192.0.2.1".parse().unwrap())
    }

    fn sent(&mut self) -> Vec<Say> {
        let mut sent = Vec::new();
        self.sources.clear();
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            let source = transmit.route().socket;
            match transmit {
                Transmit::Control { route, packet } => {
                    self.answered(route);
                    sent.push(decode(packet.as_bytes()));
                }
                Transmit::Run(run) => {
                    self.answered(run.route);
                    self.runs.push((run.blocks, run.alone));
                    let bytes = self.endpoint.payload(&run).unwrap();
                    for (header, payload) in run.datagrams(bytes) {
                        sent.push(decode(&[&header[..], payload].concat()));
                    }
                }
            }
            self.sources.resize(sent.len(), source);
        }
        sent
    }

    fn answered(&mut self, route: Route) {
        if route.peer == self.peer {
            self.tid = route.socket;
        }
    }

    pub fn resolve_later(&mut self, refusal: Option<Refusal>) -> Vec<Say> {
        let (id, name, bytes) = self.endpoint.files().pending.pop().unwrap();
        let committed = self.endpoint.files().commits > 0;
        if committed {
            let result = refusal.map_or(Ok(Receipt), Err);
            self.endpoint.files().files.insert(name, bytes);
            self.endpoint.resolve_commit(self.now, id, result);
        } else {
            let found = self.endpoint.files().files.get(&name).cloned().unwrap_or_default();
            let upload = Upload { name, bytes: Vec::new() };
            self.endpoint.resolve_open(self.now, id, refusal.clone().map_or(Ok(found), Err));
            self.endpoint.resolve_begin(self.now, id, refusal.map_or(Ok(upload), Err));
        }
        self.sent()
    }

    pub fn records(&mut self) -> Vec<Record> {
        std::iter::from_fn(|| self.endpoint.poll_record()).collect()
    }

    /// The only record there is.
    pub fn record(&mut self) -> Record {
        let records = self.records();
        assert_eq!(records.len(), 1, "{records:?}");
        records.into_iter().next().unwrap()
    }

    /// Runs until all is forgotten and checks that nothing is left behind.
    pub fn ends_clean(mut self) {
        let hour = self.now + Duration::from_secs(3600);
        self.run_until(hour.as_micros() / 1000);
        assert_eq!(self.endpoint.live_sessions(), 0);
        assert_eq!(self.endpoint.sessions(), 0);
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}

pub fn rrq(name: &str, options: &[(&str, &str)]) -> Vec<u8> {
    request(1, name, "octet", options)
}

pub fn wrq(name: &str, options: &[(&str, &str)]) -> Vec<u8> {
    request(2, name, "octet", options)
}

pub fn request(opcode: u8, name: &str, mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0, opcode];
    let fields = [name, mode].into_iter().chain(options.iter().flat_map(|(n, v)| [*n, *v]));
    for field in fields {
        bytes.extend_from_slice(field.as_bytes());
        bytes.push(0);
    }
    bytes
}

pub fn encode(say: &Say) -> Vec<u8> {
    let mut out = Vec::new();
    match say {
        Say::Data(block, payload) => Packet::Data { block: *block, payload }.encode(&mut out),
        Say::Ack(block) => Packet::Ack { block: *block }.encode(&mut out),
        Say::Error(code, text) => {
            Packet::Error { code: ErrorCode(*code), text: text.as_bytes() }.encode(&mut out);
        }
        Say::Oack(pairs) => {
            out.extend([0, 6]);
            for field in pairs.iter().flat_map(|(name, value)| [name, value]) {
                out.extend_from_slice(field.as_bytes());
                out.push(0);
            }
        }
        Say::Request(bytes) => out.extend_from_slice(bytes),
    }
    out
}

fn decode(bytes: &[u8]) -> Say {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match Packet::parse(bytes).unwrap() {
        Packet::Data { block, payload } => data(block, payload),
        Packet::Ack { block } => ack(block),
        Packet::Error { code, text: said } => error(code.0, &text(said)),
        Packet::OptionAck(options) => {
            Say::Oack(options.iter().map(|(name, value)| (text(name), text(value))).collect())
        }
        Packet::Read(_) | Packet::Write(_) => Say::Request(bytes.to_vec()),
    }
}

/// Bytes that differ from block to block.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7 + at / 509) as u8).collect()
}

/// The blocks `range` of `file`, 1-based.
pub fn blocks(file: &[u8], size: usize, range: std::ops::RangeInclusive<usize>) -> Vec<Say> {
    range
        .map(|block| {
            let start = (block - 1) * size;
            data(block as u16, &file[start..(start + size).min(file.len())])
        })
        .collect()
}

/// The `number`-th of all orders of `items`.
pub fn in_order<T: Clone>(items: &[T], mut number: usize) -> Vec<T> {
    let mut left = items.to_vec();
    (1..=items.len())
        .rev()
        .map(|choices| {
            let at = number % choices;
            number /= choices;
            left.remove(at)
        })
        .collect()
}
