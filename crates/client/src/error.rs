//! Why a transfer failed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use memtftp_proto::{AskError, ErrorCode};
use thiserror::Error;

/// Why a get or a put failed.
///
/// Text of the server is fit for a terminal: what one would obey is escaped, and it is short.
#[derive(Debug, Error)]
pub enum Error {
    /// The host's name has no address. The caller must change it, or the operator of its network.
    #[error("cannot find the host {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// This cannot be asked for. The caller must change it.
    #[error("cannot ask for it: {0}")]
    Ask(#[from] AskError),
    /// There is no way to the server from this machine.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// The server.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The content of a put could not be read.
    #[error("cannot read {what}: {source}")]
    Read {
        /// The file, or what it is instead.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// What was got could not be written. The server was told; nothing of it stays.
    #[error("cannot write {what}: {source}")]
    Write {
        /// The file, or what it is instead.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server has no such file.
    #[error("the server has no such file{}", said(.text))]
    NotFound {
        /// What the server said.
        text: String,
    },
    /// The server said no, or ended the transfer.
    #[error("the server refuses with code {code}{}", said(.text))]
    Refused {
        /// Its code.
        code: ErrorCode,
        /// What it said.
        text: String,
    },
    /// The server was silent.
    #[error("no answer from {address}{} for {after:?}", if *.answered { " any more" } else { "" })]
    TimedOut {
        /// The server.
        address: SocketAddr,
        /// It had answered before.
        answered: bool,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server broke the protocol, and was told so.
    #[error("{address} breaks the protocol: {reason}")]
    Protocol {
        /// The server.
        address: SocketAddr,
        /// How.
        reason: String,
    },
    /// [`Cancel::cancel`](crate::Cancel::cancel) was called.
    #[error("cancelled")]
    Cancelled,
    /// This machine has no socket or memory left.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (it says: {text})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each() {
        let refused = |text: &str| Error::Refused { code: ErrorCode(2), text: text.into() };
        assert_eq!(refused("").to_string(), "the server refuses with code 2");
        assert_eq!(refused("no").to_string(), "the server refuses with code 2 (it says: no)");
        let timed_out = |answered| {
            let address = "192.0.2.1:69".parse().unwrap();
            Error::TimedOut { address, answered, after: Duration::from_secs(20) }.to_string()
        };
        assert_eq!(timed_out(false), "no answer from 192.0.2.1:69 for 20s");
        assert_eq!(timed_out(true), "no answer from 192.0.2.1:69 any more for 20s");
    }
}
