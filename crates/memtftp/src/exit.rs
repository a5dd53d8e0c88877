//! Exit codes, and what to do about each error.

use std::io;

use memtftp_client::{Error, ErrorCode};

/// A flag, a file, or this machine: nothing that another server would change.
pub(crate) const LOCAL: u8 = 1;
/// The server has no such file.
pub(crate) const NOT_FOUND: u8 = 3;
/// The server said no.
pub(crate) const REFUSED: u8 = 4;
/// Nobody answered, or no longer.
pub(crate) const TIMED_OUT: u8 = 5;
/// The server broke the protocol.
pub(crate) const PROTOCOL: u8 = 6;
/// Ended by a signal: this and its number, as shells do.
pub(crate) const SIGNAL: u8 = 128;

/// Why the program ends early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// The one line about it; `None` when all has been said.
    pub(crate) line: Option<String>,
}

impl From<String> for Failure {
    fn from(line: String) -> Failure {
        Failure { code: LOCAL, line: Some(line) }
    }
}

/// The exit code of a failed transfer.
pub(crate) fn code(error: &Error) -> u8 {
    match error {
        Error::NotFound { .. } => NOT_FOUND,
        Error::Refused { .. } => REFUSED,
        Error::TimedOut { .. } => TIMED_OUT,
        Error::Protocol { .. } => PROTOCOL,
        _ => LOCAL,
    }
}

/// The error with what to try, in one line.
pub(crate) fn line(error: &Error) -> String {
    match hint(error) {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    }
}

fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Resolve { .. } => "check the name, or give an address",
        Error::Unreachable { .. } => "check the address and the network of this machine",
        Error::Write { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => "make its directory first",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
            io::ErrorKind::PermissionDenied => "choose a place that you may write to",
            _ => return None,
        },
        Error::NotFound { .. } => {
            "check the name; some servers want it from their root, as in tftp://HOST//srv/tftp/NAME"
        }
        Error::Refused { code, .. } => match *code {
            ErrorCode::ACCESS => "the server's operator has to allow it",
            ErrorCode::FULL => "make room at the server",
            ErrorCode::EXISTS => "choose another name",
            ErrorCode::OPTIONS => "try --no-options",
            _ => return None,
        },
        Error::TimedOut { answered: false, .. } => {
            "check that a server runs at this port, and that no firewall is in the way"
        }
        Error::TimedOut { .. } => "try again; --retries and --timeout have more patience",
        Error::Protocol { .. } => "try --no-options",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_has_its_code_and_says_what_to_try() {
        let address = "192.0.2.1:69".parse().unwrap();
        let refused = |code| Error::Refused { code, text: String::new() };
        let timed_out = |answered| Error::TimedOut { address, answered, after: Duration::MAX };
        let write = |kind: io::ErrorKind| Error::Write { what: "a".into(), source: kind.into() };
        for (error, expected, words) in [
            (Error::NotFound { text: String::new() }, NOT_FOUND, "check the name"),
            (refused(ErrorCode::ACCESS), REFUSED, "operator"),
            (refused(ErrorCode::FULL), REFUSED, "make room"),
            (timed_out(false), TIMED_OUT, "firewall"),
            (timed_out(true), TIMED_OUT, "--retries"),
            (Error::Protocol { address, reason: "x".into() }, PROTOCOL, "--no-options"),
            (write(io::ErrorKind::StorageFull), LOCAL, "make room"),
            (write(io::ErrorKind::NotFound), LOCAL, "directory"),
        ] {
            assert_eq!(code(&error), expected, "{error}");
            assert!(line(&error).contains(words), "{}", line(&error));
        }
    }
}
