//! Why a client's transfer failed.

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
    #[error("no answer from the server{}", if *answered { " any more" } else { "" })]
    TimedOut {
        /// It had answered before.
        answered: bool,
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
