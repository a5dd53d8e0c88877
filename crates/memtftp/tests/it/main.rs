//! The built program under the clients that people have, and under odd ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod addresses;
mod counted;
mod foreign;
mod limits;
mod log;
mod many;
mod outcomes;
mod ports;
mod requests;
mod start;
mod status;
mod stop;
mod strangers;
mod uploads;

use testkit::{Failed, Line, Memtftp};

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// A server with these flags.
fn serve(flags: &[&str]) -> Memtftp {
    Memtftp::serve(BINARY, flags)
}

/// A server whose one worker takes requests and writes log lines in the order they come.
fn serve_in_order(flags: &[&str]) -> Memtftp {
    serve(&[&["--workers", "1"], flags].concat())
}

/// What the server says when it cannot start with these flags.
fn refuses_to_start(flags: &[&str]) -> String {
    one_line(Memtftp::fails(BINARY, flags))
}

/// The only line of a server that did not start.
fn one_line(failed: Failed) -> String {
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert_eq!(failed.lines.len(), 1, "{failed:#?}");
    failed.lines.into_iter().next().unwrap()
}

/// The only line of the log that has these values.
fn only<'a>(log: &'a [Line], pairs: &[(&str, &str)]) -> &'a Line {
    let found: Vec<&Line> = log.iter().filter(|line| line.is(pairs)).collect();
    assert_eq!(found.len(), 1, "{pairs:?}: {found:#?} in {log:#?}");
    found[0]
}
