//! Why a client's transfer failed.

use std::net::SocketAddr;

use thiserror::Error;

use crate::negotiate::OptionError;
use crate::packet::ErrorCode;

/// Why a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The server said no, or ended it. The text is the server's: anything may be in it.
    #[error("the server refuses with code {code}: {text}")]
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its text, with what is no UTF-8 replaced.
        text: String,
    },
    /// The server was silent for too long.
    #[error("no answer from the server{}", if .0.is_answered() { " any more" } else { "" })]
    TimedOut(Silence),
    /// The server ended a file in octet mode before all the bytes came that it had announced, and was
    /// told so.
    #[error("the server announced {announced} bytes and ended the file after {received}")]
    Short {
        /// The size in the server's OACK (RFC 2349), in bytes.
        announced: u64,
        /// The bytes that came.
        received: u64,
    },
    /// The server's OACK cannot be accepted.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The server sent more in a block than was agreed.
    #[error("the server sent a longer block than was agreed")]
    TooLong,
    /// [`Client::abort`](super::Client::abort) was called, or `store` failed.
    #[error("the transfer was aborted")]
    Aborted,
}

/// How far a transfer had come when the server fell silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing had come from the server's address.
    Unanswered {
        /// Another host that sent packets to our port meanwhile: the server, perhaps, which must not
        /// answer from there (RFC 1350 section 4).
        elsewhere: Option<SocketAddr>,
    },
    /// The request was answered. No block came after that, or none was acknowledged.
    NoBlock,
    /// Blocks had travelled.
    Midway,
    /// Of a put: all blocks were sent, and only the ACK of the last window is missing.
    LastAck,
}

impl Silence {
    /// Whether anything had come before.
    pub fn is_answered(self) -> bool {
        !matches!(self, Silence::Unanswered { .. })
    }
}
