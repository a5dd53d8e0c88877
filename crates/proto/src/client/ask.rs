//! The request of a client.

use thiserror::Error;

use crate::negotiate::{Asked, TftpOption};
use crate::packet::{Opcode, Packet};
use crate::request::{Mode, Request};

/// The longest request that a server has to read, in bytes (RFC 2347).
const MAX_LENGTH: usize = 512;

/// What a client asks for. An option that is `None` is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The file's name at the server.
    pub name: Vec<u8>,
    /// How its bytes travel.
    pub mode: Mode,
    /// Bytes in a block, 8 to 65464 (RFC 2348).
    pub blksize: Option<u16>,
    /// Blocks in a window, from 1 (RFC 7440).
    pub windowsize: Option<u16>,
    /// Seconds before the server sends again, from 1 (RFC 2349). Most servers adapt better alone.
    pub timeout: Option<u8>,
    /// Whether to ask for the size of the file, or to tell it (RFC 2349).
    pub tsize: bool,
}

/// Why something cannot be asked for. The caller must change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// The name cannot travel: it is empty or contains a NUL.
    #[error("the file name is empty or contains a NUL")]
    Name,
    /// The request is longer than any server has to read.
    #[error("the request is {0} bytes long, and a server reads {MAX_LENGTH}: shorten the name")]
    TooLong(usize),
    /// An option is out of the range that its RFC allows.
    #[error("{name} is out of range", name = .0.name())]
    OutOfRange(TftpOption),
}

impl Ask {
    /// For `name` in octet mode, without options: RFC 1350.
    pub fn plain(name: impl Into<Vec<u8>>) -> Ask {
        let (blksize, windowsize, timeout) = (None, None, None);
        Ask { name: name.into(), mode: Mode::Octet, blksize, windowsize, timeout, tsize: false }
    }

    /// The same without options.
    pub(super) fn without_options(self) -> Ask {
        Ask { mode: self.mode, ..Ask::plain(self.name) }
    }

    /// The request as it travels. `tsize` is the value of that option.
    pub(super) fn encode(&self, opcode: Opcode, tsize: u64) -> Result<Vec<u8>, AskError> {
        if self.name.is_empty() || self.name.contains(&0) {
            return Err(AskError::Name);
        }
        let mode: &[u8] = match self.mode {
            Mode::Octet => b"octet",
            Mode::Netascii => b"netascii",
        };
        let mut datagram = (opcode as u16).to_be_bytes().to_vec();
        for field in [&self.name, mode] {
            datagram.extend_from_slice(field);
            datagram.push(0);
        }
        let options = [
            (TftpOption::Tsize, self.tsize.then_some(tsize)),
            (TftpOption::Blksize, self.blksize.map(u64::from)),
            (TftpOption::Timeout, self.timeout.map(u64::from)),
            (TftpOption::Windowsize, self.windowsize.map(u64::from)),
        ];
        for (option, value) in options {
            let Some(value) = value else { continue };
            if !option.allows(value) {
                return Err(AskError::OutOfRange(option));
            }
            datagram.extend_from_slice(format!("{}\0{value}\0", option.name()).as_bytes());
        }
        if datagram.len() > MAX_LENGTH {
            return Err(AskError::TooLong(datagram.len()));
        }
        Ok(datagram)
    }
}

/// The options of a request that [`Ask::encode`] has made.
pub(super) fn asked_in(datagram: &[u8]) -> Asked {
    match Packet::parse(datagram) {
        Ok(Packet::Read(Request { options, .. }) | Packet::Write(Request { options, .. })) => {
            Asked::new(options)
        }
        _ => Asked::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_request() {
        let request = Ask::plain("boot.bin").encode(Opcode::Read, 0).unwrap();
        assert_eq!(request, b"\0\x01boot.bin\0octet\0");
    }

    #[test]
    fn a_request_with_all_options() {
        let (blksize, windowsize) = (Some(1428), Some(16));
        let ask = Ask { blksize, windowsize, timeout: Some(2), tsize: true, ..Ask::plain("a") };
        let ask = Ask { mode: Mode::Netascii, ..ask };
        let expected =
            "\0\x02a\0netascii\0tsize\x007\0blksize\x001428\0timeout\x002\0windowsize\x0016\0";
        assert_eq!(ask.encode(Opcode::Write, 7).unwrap(), expected.as_bytes());
    }

    #[test]
    fn what_cannot_be_asked() {
        let encode = |ask: Ask| ask.encode(Opcode::Read, 0);
        assert_eq!(encode(Ask::plain("")), Err(AskError::Name));
        assert_eq!(encode(Ask::plain("a\0b")), Err(AskError::Name));
        assert_eq!(encode(Ask::plain([b'x'; 510])), Err(AskError::TooLong(519)));
        let out_of_range = |option| Err(AskError::OutOfRange(option));
        let blksize = Ask { blksize: Some(7), ..Ask::plain("a") };
        assert_eq!(encode(blksize), out_of_range(TftpOption::Blksize));
        let windowsize = Ask { windowsize: Some(0), ..Ask::plain("a") };
        assert_eq!(encode(windowsize), out_of_range(TftpOption::Windowsize));
        let timeout = Ask { timeout: Some(0), ..Ask::plain("a") };
        assert_eq!(encode(timeout), out_of_range(TftpOption::Timeout));
    }
}
