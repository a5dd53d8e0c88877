//! The six packets (RFC 1350 section 5, RFC 2347).

use std::fmt;

use thiserror::Error;

use crate::block::{BlockIndex, on_the_wire};
use crate::request::{Options, Request, RequestError};

/// The first two bytes of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Opcode {
    /// RRQ: a client asks to read a file.
    Read = 1,
    /// WRQ: a client asks to write a file.
    Write = 2,
    /// DATA: one block.
    Data = 3,
    /// ACK: all blocks up to this one arrived.
    Ack = 4,
    /// ERROR: the sender of it has ended the transfer.
    Error = 5,
    /// OACK: the options that the server agreed to (RFC 2347).
    OptionAck = 6,
}

impl Opcode {
    fn from_wire(value: u16) -> Option<Opcode> {
        Some(match value {
            1 => Opcode::Read,
            2 => Opcode::Write,
            3 => Opcode::Data,
            4 => Opcode::Ack,
            5 => Opcode::Error,
            6 => Opcode::OptionAck,
            _ => return None,
        })
    }
}

/// An error code as it travels. Codes that no RFC defines are kept as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// Not defined: the text says what happened.
    pub const UNDEFINED: ErrorCode = ErrorCode(0);
    /// File not found.
    pub const NOT_FOUND: ErrorCode = ErrorCode(1);
    /// Access violation.
    pub const ACCESS: ErrorCode = ErrorCode(2);
    /// Disk full or allocation exceeded.
    pub const FULL: ErrorCode = ErrorCode(3);
    /// Illegal TFTP operation.
    pub const ILLEGAL: ErrorCode = ErrorCode(4);
    /// Unknown transfer ID.
    pub const UNKNOWN_TID: ErrorCode = ErrorCode(5);
    /// File already exists.
    pub const EXISTS: ErrorCode = ErrorCode(6);
    /// The client rejects the options (RFC 2347).
    pub const OPTIONS: ErrorCode = ErrorCode(8);
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One datagram, understood. Borrows from the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// RRQ.
    Read(Request<'a>),
    /// WRQ.
    Write(Request<'a>),
    /// DATA: `payload` may be empty.
    Data {
        /// The block number on the wire.
        block: u16,
        /// The bytes of the block.
        payload: &'a [u8],
    },
    /// ACK. Bytes behind the block number are ignored: some clients add one.
    Ack {
        /// The block number on the wire.
        block: u16,
    },
    /// ERROR. The text may be missing or unterminated.
    Error {
        /// The error code.
        code: ErrorCode,
        /// The text up to its NUL, not necessarily UTF-8.
        text: &'a [u8],
    },
    /// OACK.
    OptionAck(Options<'a>),
}

/// Why a datagram is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Too short to hold what every packet of its kind holds.
    #[error("{0} bytes are too short for a packet")]
    TooShort(usize),
    /// No RFC defines this opcode.
    #[error("opcode {0} is unknown")]
    UnknownOpcode(u16),
    /// RRQ or WRQ, but not well-formed.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl<'a> Packet<'a> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// Only where the packet means nothing; unknown options and odd option values are data.
    pub fn parse(datagram: &'a [u8]) -> Result<Packet<'a>, ParseError> {
        let too_short = ParseError::TooShort(datagram.len());
        let (opcode, rest) = split_u16(datagram).ok_or(too_short)?;
        let opcode = Opcode::from_wire(opcode).ok_or(ParseError::UnknownOpcode(opcode))?;
        Ok(match opcode {
            Opcode::Read => Packet::Read(Request::parse(rest)?),
            Opcode::Write => Packet::Write(Request::parse(rest)?),
            Opcode::Data => {
                let (block, payload) = split_u16(rest).ok_or(too_short)?;
                Packet::Data { block, payload }
            }
            Opcode::Ack => Packet::Ack { block: split_u16(rest).ok_or(too_short)?.0 },
            Opcode::Error => {
                let (code, text) = split_u16(rest).ok_or(too_short)?;
                let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
                Packet::Error { code: ErrorCode(code), text }
            }
            Opcode::OptionAck => Packet::OptionAck(Options::parse(rest)),
        })
    }

    /// Appends the packet as it travels.
    pub fn encode(&self, out: &mut impl Extend<u8>) {
        let mut put = |bytes: &[u8]| out.extend(bytes.iter().copied());
        put(&(self.opcode() as u16).to_be_bytes());
        match self {
            Packet::Read(request) | Packet::Write(request) => {
                for field in [request.name, request.mode] {
                    put(field);
                    put(&[0]);
                }
                put(request.options.as_bytes());
            }
            Packet::Data { block, payload } => {
                put(&block.to_be_bytes());
                put(payload);
            }
            Packet::Ack { block } => put(&block.to_be_bytes()),
            Packet::Error { code, text } => {
                put(&code.0.to_be_bytes());
                put(text);
                put(&[0]);
            }
            Packet::OptionAck(options) => put(options.as_bytes()),
        }
    }

    /// The opcode of this packet.
    pub fn opcode(&self) -> Opcode {
        match self {
            Packet::Read(_) => Opcode::Read,
            Packet::Write(_) => Opcode::Write,
            Packet::Data { .. } => Opcode::Data,
            Packet::Ack { .. } => Opcode::Ack,
            Packet::Error { .. } => Opcode::Error,
            Packet::OptionAck(_) => Opcode::OptionAck,
        }
    }
}

/// Cuts `bytes` into the DATA packets of `blocks` blocks, as header and payload.
pub(crate) fn data_packets(
    first: BlockIndex,
    blocks: u16,
    blksize: u16,
    bytes: &[u8],
) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let blksize = usize::from(blksize);
    (0..usize::from(blocks)).map(move |step| {
        let [high, low] = on_the_wire(first + step as u64).to_be_bytes();
        let start = (step * blksize).min(bytes.len());
        let end = (start + blksize).min(bytes.len());
        ([0, Opcode::Data as u8, high, low], bytes.get(start..end).unwrap_or_default())
    })
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (u16::from_be_bytes(*head), rest))
}
