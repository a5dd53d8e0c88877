//! What is to go wrong on the way between clients and the server.

use std::net::IpAddr;
use std::time::Duration;

use memtftp_proto::Opcode;
use memtftp_store::Name;

/// What is to go wrong on the way between clients and the server, for tests of clients.
///
/// A plan is a list of rules: these packets, that fault. Each rule counts the packets that it
/// selects, on the whole server and from 1, whether or not another rule has dealt with them; the
/// first rule that applies to a packet decides. Chance comes from the seed and these counts, so the
/// same packets in the same order meet the same faults.
///
/// The server takes faults for what a network does: it sends again what is lost, and repairs gaps.
///
/// ```
/// use std::time::Duration;
/// use memtftp_server::{Fault, FaultPlan, Opcode, Packets, Server};
///
/// let plan = FaultPlan::seeded(7)
///     .on(Packets::to_client().kind(Opcode::Data).block(2).nth(1), Fault::Lost)
///     .on(Packets::from_client().kind(Opcode::Ack).chance(0.1), Fault::Late(Duration::from_millis(5)))
///     .on(Packets::from_client().file("full.bin").nth(9), Fault::error(3, "disk full"));
/// let server = Server::builder().faults(plan).start()?;
/// server.put("kernel", vec![0; 5_000])?;
/// // ... what is tested reads the file, although the first DATA 2 never arrives ...
/// println!("{} packets met a fault", server.faults_met());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaultPlan {
    pub(super) seed: u64,
    pub(super) rules: Vec<(Packets, Fault)>,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It does not arrive.
    Lost,
    /// It arrives after this time, behind whatever has come meanwhile.
    Late(Duration),
    /// It arrives two times, one after the other.
    Twice,
    /// It arrives after the next packet of the same client port and direction, or a second later if
    /// there is none.
    Swapped,
    /// One byte of it, anywhere, is another. The place and the value come from the seed.
    Damaged,
    /// The byte at this offset is another, or the last one in a shorter packet. A packet's header
    /// is the four bytes from 0 to 3.
    DamagedAt(usize),
    /// The client gets an ERROR instead. The transfer ends, and its record is that of a refusal;
    /// what the client sent does not arrive. An upload whose last ACK is replaced stays. An ERROR
    /// is never answered: one from the client is lost, one to the client stays as it is.
    Error {
        /// The code: RFC 1350 defines 0 to 7, RFC 2347 adds 8.
        code: u16,
        /// The text: of printable ASCII and cut at 127 bytes, as it travels.
        text: String,
    },
}

/// Which packets meet a fault: those that fulfil every condition.
#[derive(Clone, Debug)]
pub struct Packets {
    direction: Direction,
    kind: Option<Opcode>,
    block: Option<u16>,
    client: Option<IpAddr>,
    port: Option<u16>,
    /// No name at all if it was given as something that is none: then nothing is selected.
    file: Option<Option<Name>>,
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    ToClient,
    FromClient,
}

/// Which of the packets selected, by their number.
#[derive(Clone, Copy, Debug)]
enum Which {
    Every,
    Nth(u64),
    First(u64),
    Chance(f64),
}

/// A packet as rules see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    pub(super) direction: Direction,
    /// None for what is no packet.
    pub(super) kind: Option<Opcode>,
    /// Of DATA and ACK.
    pub(super) block: Option<u16>,
    pub(super) client: std::net::SocketAddr,
    /// The file that the client port last asked for.
    pub(super) file: Option<&'a Name>,
}

impl FaultPlan {
    /// A plan without rules. `seed` decides whatever is left to chance.
    #[must_use]
    pub fn seeded(seed: u64) -> FaultPlan {
        FaultPlan { seed, rules: Vec::new() }
    }

    /// Adds a rule.
    #[must_use]
    pub fn on(mut self, packets: Packets, fault: Fault) -> FaultPlan {
        self.rules.push((packets, fault));
        self
    }
}

impl Fault {
    /// An ERROR for the client.
    pub fn error(code: u16, text: impl Into<String>) -> Fault {
        Fault::Error { code, text: text.into() }
    }
}

impl Packets {
    /// Every packet that the server sends.
    #[must_use]
    pub fn to_client() -> Packets {
        Packets::new(Direction::ToClient)
    }

    /// Every datagram that arrives at the server.
    #[must_use]
    pub fn from_client() -> Packets {
        Packets::new(Direction::FromClient)
    }

    fn new(direction: Direction) -> Packets {
        let which = Which::Every;
        Packets { direction, kind: None, block: None, client: None, port: None, file: None, which }
    }

    /// Only packets of this kind. [`Opcode::Read`] and [`Opcode::Write`] are the requests.
    #[must_use]
    pub fn kind(self, kind: Opcode) -> Packets {
        Packets { kind: Some(kind), ..self }
    }

    /// Only DATA and ACK with this block number, which starts again at 0 after 65535.
    #[must_use]
    pub fn block(self, block: u16) -> Packets {
        Packets { block: Some(block), ..self }
    }

    /// Only packets of clients with this address.
    #[must_use]
    pub fn client(self, address: IpAddr) -> Packets {
        Packets { client: Some(address), ..self }
    }

    /// Only packets of clients that use this port.
    #[must_use]
    pub fn client_port(self, port: u16) -> Packets {
        Packets { port: Some(port), ..self }
    }

    /// Only packets of transfers of this file, the request included. Spellings that mean the same
    /// file are the same; nothing is selected by what is no name.
    #[must_use]
    pub fn file(self, name: &str) -> Packets {
        Packets { file: Some(Name::parse(name.as_bytes()).ok()), ..self }
    }

    /// Only the `n`th of them, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Packets {
        Packets { which: Which::Nth(n), ..self }
    }

    /// Only the first `n` of them.
    #[must_use]
    pub fn first(self, n: u64) -> Packets {
        Packets { which: Which::First(n), ..self }
    }

    /// Each of them with this probability, 0 to 1.
    #[must_use]
    pub fn chance(self, probability: f64) -> Packets {
        Packets { which: Which::Chance(probability), ..self }
    }

    /// Whether all but the number is right.
    pub(super) fn select(&self, sight: &Sight<'_>) -> bool {
        self.direction == sight.direction
            && self.kind.is_none_or(|kind| sight.kind == Some(kind))
            && self.block.is_none_or(|block| sight.block == Some(block))
            && self.client.is_none_or(|address| sight.client.ip() == address)
            && self.port.is_none_or(|port| sight.client.port() == port)
            && self.file.as_ref().is_none_or(|name| name.is_some() && name.as_ref() == sight.file)
    }

    /// Whether the number is right, given `chance` from 0 to 1.
    pub(super) fn count(&self, number: u64, chance: f64) -> bool {
        match self.which {
            Which::Every => true,
            Which::Nth(n) => number == n,
            Which::First(n) => number <= n,
            Which::Chance(probability) => chance < probability,
        }
    }
}
