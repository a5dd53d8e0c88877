//! Why a transfer failed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use memtftp_proto::{AskError, ErrorCode, Silence};
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
    #[error("no answer from {address}{} for {after:?}{}", any_more(.silence), how_far(.silence))]
    TimedOut {
        /// The server.
        address: SocketAddr,
        /// How far the transfer had come.
        silence: Silence,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server ended the transfer, or fell silent, at a block number behind which devices are that
    /// cannot count on.
    #[error("{address} stops at block {block}, as devices do that cannot count further")]
    BlockLimit {
        /// The server.
        address: SocketAddr,
        /// 65,535 or 32,767.
        block: u64,
        /// The server said so by an ERROR.
        refused: bool,
    },
    /// The server ended a file before all the bytes came that it had announced. Nothing of it stays.
    #[error("{address} announced {announced} bytes and ended the file after {received}")]
    Short {
        /// The server.
        address: SocketAddr,
        /// The size it had announced, in bytes.
        announced: u64,
        /// The bytes that came.
        received: u64,
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

fn any_more(silence: &Silence) -> &'static str {
    if silence.is_answered() { " any more" } else { "" }
}

fn how_far(silence: &Silence) -> String {
    match silence {
        Silence::Unanswered { elsewhere: Some(elsewhere) } => {
            format!(", but {elsewhere} sent an answer, which is another address")
        }
        Silence::Unanswered { elsewhere: None } | Silence::Midway => String::new(),
        Silence::NoBlock => ", since it accepted the request: no block arrived".into(),
        Silence::LastAck => ", and only its last acknowledgement is missing".into(),
    }
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
        let timed_out = |silence| {
            let address = "192.0.2.1:69".parse().unwrap();
            Error::TimedOut { address, silence, after: Duration::from_secs(20) }.to_string()
        };
        let unanswered = |elsewhere| timed_out(Silence::Unanswered { elsewhere });
        assert_eq!(unanswered(None), "no answer from 192.0.2.1:69 for 20s");
        let elsewhere = unanswered(Some("192.0.2.2:7".parse().unwrap()));
        assert!(elsewhere.contains("192.0.2.2:7 sent an answer"), "{elsewhere}");
        assert_eq!(timed_out(Silence::Midway), "no answer from 192.0.2.1:69 any more for 20s");
    }
}
