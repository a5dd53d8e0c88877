//! One record a request, made when its outcome is known.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::counters::DropReason;
use crate::negotiate::Agreed;
use crate::packet::{ErrorCode, Packet};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::route::SocketId;

/// What kind of request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RRQ.
    Read,
    /// WRQ.
    Write,
    /// A datagram on a listening socket that is no valid request.
    Unrecognized,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole file travelled; an upload is committed.
    Complete,
    /// The client asked for the size and then answered with an ERROR.
    Probe {
        /// The client's error code.
        code: ErrorCode,
        /// The client's text, cut to 128 bytes; any bytes.
        text: Vec<u8>,
    },
    /// The client ended it with an ERROR.
    Aborted {
        /// The client's error code.
        code: ErrorCode,
        /// The client's text, cut to 128 bytes; any bytes.
        text: Vec<u8>,
    },
    /// The client sent a new request from the same port and has answered that, or had not answered
    /// this one: it has given it up.
    Superseded,
    /// The client fell silent.
    TimedOut,
    /// We said no.
    Refused(Refusal),
    /// We said nothing, or nothing more.
    Dropped(DropReason),
    /// The server stopped.
    Shutdown,
}

impl Outcome {
    /// The names of all outcomes. A request that its client gave up by a new one counts as aborted.
    pub const NAMES: [&'static str; 7] =
        ["ok", "probe", "aborted", "timeout", "refused", "dropped", "shutdown"];

    /// Its name, as in a log.
    pub fn name(&self) -> &'static str {
        Outcome::NAMES.get(self.index()).copied().unwrap_or_default()
    }

    /// Its place in [`Outcome::NAMES`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Outcome::Complete => 0,
            Outcome::Probe { .. } => 1,
            Outcome::Aborted { .. } | Outcome::Superseded => 2,
            Outcome::TimedOut => 3,
            Outcome::Refused(_) => 4,
            Outcome::Dropped(_) => 5,
            Outcome::Shutdown => 6,
        }
    }
}

/// What happened to one request.
#[derive(Clone, Debug)]
pub struct Record {
    /// The kind of request.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// Who asked.
    pub peer: SocketAddr,
    /// The address of ours that was asked, if the driver knows it.
    pub local: Option<IpAddr>,
    /// The socket that answered, or that got the request if none did.
    pub socket: SocketId,
    /// The start of the datagram that asked, up to [`MAX_REQUEST`](crate::MAX_REQUEST) bytes.
    pub request: Box<[u8]>,
    /// The length of that datagram.
    pub request_len: usize,
    /// The options agreed; `None` if it did not come to that.
    pub agreed: Option<Agreed>,
    /// Bytes of blocks that arrived at the other end, as they travelled.
    pub bytes: u64,
    /// Blocks that arrived at the other end.
    pub blocks: u64,
    /// From the request to its outcome.
    pub duration: Duration,
    /// Packets that we sent again.
    pub retransmissions: u32,
    /// Times the client repeated the request while it was served.
    pub repeats: u32,
    /// The client answered our first packet: an OACK with an ACK or a block, a first block with its ACK.
    pub answered: bool,
}

impl Record {
    /// The request, if it is a well-formed one.
    pub fn parse_request(&self) -> Option<Request<'_>> {
        match Packet::parse(&self.request) {
            Ok(Packet::Read(request) | Packet::Write(request)) => Some(request),
            _ => None,
        }
    }
}
