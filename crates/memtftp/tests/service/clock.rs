//! A wall clock that jumps. Debian's `libfaketime` changes what the program sees of it; the clock that
//! time-outs go by, which nobody can set, stays the system's.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Memtftp, Packet, Raw, ack, bytes, data, rrq, wrq};

use crate::BINARY;

/// Where Debian puts it, for each architecture.
const LIBRARY: &str = "/usr/lib/*/faketime/libfaketime.so.1";

/// A server whose wall clock is off by what the file says, such as `+1d`.
fn serve(offset: &Path, flags: &[&str]) -> Memtftp {
    let found = Command::new("sh").args(["-c", &format!("ls {LIBRARY}")]).output().unwrap();
    let library = String::from_utf8(found.stdout).unwrap();
    assert!(!library.is_empty(), "libfaketime is missing: apt-get install libfaketime");
    let mut command = Command::new(BINARY);
    command.env("LD_PRELOAD", library.trim()).env("FAKETIME_TIMESTAMP_FILE", offset);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.env("DONT_FAKE_MONOTONIC", "1");
    Memtftp::start(command, flags)
}

/// The day of the last line.
fn day(server: &Memtftp, lines: usize) -> String {
    server.wait_for_log(lines)[lines - 1].get("time")[..10].to_owned()
}

/// Sets the clock back or forth while a reader and a writer are at work and another is silent.
fn jump(to: &str) {
    let directory = tempfile::tempdir().unwrap();
    let offset = directory.path().join("offset");
    fs::write(&offset, "+0\n").unwrap();
    let server = serve(&offset, &["--workers", "1", "--give-up", "4s"]);
    let mut reader = Raw::new(server.address());
    reader.put("file", &bytes(3_000), &[]).unwrap();
    let today = day(&server, 1);
    let first = reader.ask(&rrq("file", &[]));
    let mut writer = Raw::new(server.address());
    writer.ask(&wrq("new", &[]));
    let mut silent = Raw::new(server.address());
    silent.ask(&rrq("file", &[]));
    silent.say(&ack(1));
    let since = Instant::now();

    fs::write(&offset, format!("{to}\n")).unwrap();
    // Nothing ends, nothing is sent again out of turn, and files arrive whole.
    assert_eq!(reader.get_from(first).unwrap(), bytes(3_000));
    assert_eq!(writer.say(&data(1, b"end")), Packet::Ack(1));
    assert_ne!(day(&server, 3), today, "the jump was not seen");
    let log = server.wait_for_log(3);
    for line in &log[1..] {
        assert!(line.is(&[("outcome", "ok")]), "{line:?}");
        assert!(line.get("duration_ms").parse::<f64>().unwrap() < 10_000.0, "{line:?}");
    }
    // Who is silent is given up after the time that was set, neither now nor tomorrow.
    let log = server.wait_for_log(4);
    assert!(log[3].is(&[("outcome", "timeout"), ("blocks", "1")]), "{log:#?}");
    let took = since.elapsed();
    assert!(took >= Duration::from_millis(3_900) && took < Duration::from_secs(20), "{took:?}");
    let logged = log[3].get("duration_ms").parse::<f64>().unwrap();
    assert!((3_900.0..20_000.0).contains(&logged), "{logged}");
}

#[test]
fn a_clock_that_jumps_ahead_changes_no_time_out() {
    jump("+2d");
}

#[test]
fn a_clock_that_jumps_back_changes_no_time_out() {
    jump("-2d");
}
