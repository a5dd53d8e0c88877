//! Exit codes, and what to do about each error.

use std::io::{self, Write};

use memtftp_client::{Error, ErrorCode, Silence};

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
/// The server ended a file before all the bytes came that it had announced.
pub(crate) const SHORT: u8 = 7;
/// Ended by a signal: this and its number, as shells do.
pub(crate) const SIGNAL: u8 = 128;
/// Whoever read our output has gone: as if SIGPIPE had ended us.
pub(crate) const PIPE: u8 = SIGNAL + 13;

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

/// Writes a line about what went wrong to standard error. Nobody is left to hear that this fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "memtftp: {}", plain(line));
}

/// Returns a message without the numbers that the system has for its errors.
pub(crate) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        plain.push_str(before);
        rest = match after.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
            _ => {
                plain.push_str(" (os error ");
                after
            }
        };
    }
    plain + rest
}

/// The exit code of a failed transfer.
pub(crate) fn code(error: &Error) -> u8 {
    match error {
        Error::NotFound { .. } => NOT_FOUND,
        Error::Refused { .. } | Error::BlockLimit { refused: true, .. } => REFUSED,
        Error::TimedOut { .. } | Error::BlockLimit { refused: false, .. } => TIMED_OUT,
        Error::Short { .. } => SHORT,
        Error::Protocol { .. } => PROTOCOL,
        _ => LOCAL,
    }
}

/// The error with what to try, in one line. `has_options`: the request has options, so one may try
/// without.
pub(crate) fn line(error: &Error, has_options: bool) -> String {
    match hint(error, has_options) {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    }
}

fn hint(error: &Error, has_options: bool) -> Option<&'static str> {
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
            ErrorCode::OPTIONS if has_options => "try --no-options",
            _ => return None,
        },
        Error::TimedOut { silence, .. } => match silence {
            Silence::Unanswered { elsewhere: None } => {
                "check that a server runs at this port, and that no firewall is in the way"
            }
            Silence::Unanswered { elsewhere: Some(_) } => {
                "ask that address itself, or let the server answer from the one that was asked"
            }
            Silence::NoBlock => {
                "large packets may get lost on the way: try --blksize 1024, then 512"
            }
            Silence::LastAck => "the server probably has the file: look before you send it again",
            Silence::Midway => "try again; --retries and --timeout have more patience",
        },
        Error::BlockLimit { .. } if has_options => {
            "ask for larger blocks with --blksize, or let the file be smaller"
        }
        Error::BlockLimit { .. } => {
            "leave --no-options out and ask for larger blocks with --blksize"
        }
        Error::Short { .. } => "try again, and look at the file on the server if it stays so",
        Error::Protocol { .. } if has_options => "try --no-options",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_of_errors_are_left_out() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(
            plain(&format!("a: {error}: b: {error}")),
            "a: No such file or directory: b: No such file or directory"
        );
        assert_eq!(plain("a (os error b) (os error 2"), "a (os error b) (os error 2");
    }

    #[test]
    fn each_kind_has_its_code_and_says_what_to_try() {
        let address = "192.0.2.1:69".parse().unwrap();
        let refused = |code| Error::Refused { code, text: String::new() };
        let timed_out = |silence| Error::TimedOut { address, silence, after: Duration::MAX };
        let limit = |refused| Error::BlockLimit { address, block: 65_535, refused };
        let elsewhere = Some("192.0.2.2:9".parse().unwrap());
        let write = |kind: io::ErrorKind| Error::Write { what: "a".into(), source: kind.into() };
        for (error, expected, words) in [
            (Error::NotFound { text: String::new() }, NOT_FOUND, "check the name"),
            (refused(ErrorCode::ACCESS), REFUSED, "operator"),
            (refused(ErrorCode::FULL), REFUSED, "make room"),
            (timed_out(Silence::Unanswered { elsewhere: None }), TIMED_OUT, "firewall"),
            (timed_out(Silence::Unanswered { elsewhere }), TIMED_OUT, "192.0.2.2:9"),
            (timed_out(Silence::NoBlock), TIMED_OUT, "--blksize"),
            (timed_out(Silence::LastAck), TIMED_OUT, "probably has the file"),
            (timed_out(Silence::Midway), TIMED_OUT, "--retries"),
            (limit(false), TIMED_OUT, "65535"),
            (limit(true), REFUSED, "--blksize"),
            (Error::Short { address, announced: 2, received: 1 }, SHORT, "try again"),
            (Error::Protocol { address, reason: "x".into() }, PROTOCOL, "--no-options"),
            (write(io::ErrorKind::StorageFull), LOCAL, "make room"),
            (write(io::ErrorKind::NotFound), LOCAL, "directory"),
        ] {
            assert_eq!(code(&error), expected, "{error}");
            assert!(line(&error, true).contains(words), "{}", line(&error, true));
            assert!(!line(&error, false).contains("try --no-options"), "{error}");
        }
    }
}
