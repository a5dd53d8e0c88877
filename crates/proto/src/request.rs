//! Requests and their options (RFC 1350 section 5, RFC 2347).

use thiserror::Error;

/// The longest request that is read, in bytes of the whole datagram.
///
/// RFC 2347 sets 512. Old firmware pads its requests to the size of a DATA packet, so that much is
/// let through.
pub const MAX_REQUEST: usize = 516;

/// What follows the opcode of RRQ and WRQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The file name as it came, without its NUL. May be empty, may be anything.
    pub name: &'a [u8],
    /// The mode as it came, without its NUL.
    pub mode: &'a [u8],
    /// The options, in the order they came.
    pub options: Options<'a>,
}

/// Why an RRQ or WRQ is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Longer than [`MAX_REQUEST`].
    #[error("request of {0} bytes is longer than {MAX_REQUEST}")]
    TooLong(usize),
    /// The file name has no end.
    #[error("file name is not terminated")]
    UnterminatedName,
    /// The mode is missing or has no end.
    #[error("mode is missing or not terminated")]
    UnterminatedMode,
}

/// How the bytes of a file travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Byte for byte.
    Octet,
    /// Lines end in CR LF, a bare CR is CR NUL (RFC 764).
    Netascii,
}

/// Pairs of option name and value, in wire form and well-formed to the last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Request<'a> {
    /// Reads what follows the opcode.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Request<'a>, RequestError> {
        if bytes.len() + 2 > MAX_REQUEST {
            return Err(RequestError::TooLong(bytes.len() + 2));
        }
        let (name, rest) = split_string(bytes).ok_or(RequestError::UnterminatedName)?;
        let (mode, rest) = split_string(rest).ok_or(RequestError::UnterminatedMode)?;
        Ok(Request { name, mode, options: Options::parse(rest) })
    }

    /// The transfer mode; `None` for `mail` and for everything unknown. Case does not matter.
    pub fn transfer_mode(&self) -> Option<Mode> {
        if self.mode.eq_ignore_ascii_case(b"octet") {
            Some(Mode::Octet)
        } else if self.mode.eq_ignore_ascii_case(b"netascii") {
            Some(Mode::Netascii)
        } else {
            None
        }
    }
}

impl<'a> Options<'a> {
    /// Keeps the pairs up to the first that is unterminated or nameless. Firmware pads requests
    /// with NULs or leaves garbage behind them; what came before is still meant.
    pub(crate) fn parse(bytes: &'a [u8]) -> Options<'a> {
        let mut rest = bytes;
        while let Some((_, after)) = split_pair(rest) {
            rest = after;
        }
        let used = bytes.len() - rest.len();
        Options(bytes.get(..used).unwrap_or_default())
    }

    /// The pairs as `(name, value)`, in the order they came. A value may be empty.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (pair, after) = split_pair(rest)?;
            rest = after;
            Some(pair)
        })
    }

    /// The wire form.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn split_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (name, rest) = split_string(bytes)?;
    let (value, rest) = split_string(rest)?;
    (!name.is_empty()).then_some(((name, value), rest))
}

fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}
