//! `memtftp bench` against the real server, and against other people's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod failures;
mod load;
mod others;

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Memtftp, Raw};

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// What a bench came to.
struct Ran {
    report: Value,
    code: Option<i32>,
    stderr: String,
}

impl Ran {
    /// A number of the report; the keys of objects in it are joined by a slash.
    fn number(&self, key: &str) -> f64 {
        self.report.pointer(&format!("/{key}")).and_then(Value::as_f64).unwrap_or_else(|| {
            panic!("no number {key} in {:#}, standard error {}", self.report, self.stderr)
        })
    }

    /// A count of the report.
    fn count(&self, key: &str) -> u64 {
        self.number(key) as u64
    }

    /// All of `transfers` completed, and nothing else happened.
    fn all_completed(&self, transfers: u64) {
        assert_eq!(self.code, Some(0), "{:#} {}", self.report, self.stderr);
        assert_eq!(self.count("completed"), transfers, "{:#}", self.report);
        assert_eq!((self.count("failed"), self.count("unfinished")), (0, 0), "{:#}", self.report);
    }

    /// The only kind of failure, and how many there were; the program has failed, too.
    fn failure(&self) -> (&str, u64) {
        assert_eq!(self.code, Some(1), "{:#}", self.report);
        let failures = self.report["failures"].as_object().unwrap();
        assert_eq!(failures.len(), 1, "{failures:?}");
        let (kind, count) = failures.iter().next().unwrap();
        (kind, count.as_u64().unwrap())
    }
}

/// Runs a command of the bench to its end.
fn run(mut command: Command, url: &str, flags: &[&str]) -> Ran {
    command.args(["bench", "--json", url]).args(flags);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    Ran { report: serde_json::from_slice(&stdout).unwrap_or_default(), code: status.code(), stderr }
}

/// Loads `server`.
fn bench(server: SocketAddr, path: &str, flags: &[&str]) -> Ran {
    run(Command::new(BINARY), &format!("tftp://{server}/{path}"), flags)
}

/// A server that holds these files.
fn server_with(files: &[(&str, &[u8])]) -> Memtftp {
    let server = Memtftp::serve(BINARY, &[]);
    for (name, file) in files {
        Raw::new(server.address()).put(name, file, &[]).unwrap();
    }
    server
}
