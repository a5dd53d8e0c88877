//! A server that is killed while it writes its log.

use std::fs;
use std::process::Command;

use testkit::{Line, Memtftp, Raw, Signal, rrq, wait_for};

use crate::{BINARY, explain};

/// How often it is killed.
const TIMES: usize = 5;

/// Lines that are not whole.
fn torn(text: &str) -> usize {
    let whole = |line: &str| line.contains(" hint=missing-file");
    text.lines().filter(|line| !whole(line)).count()
}

#[test]
fn a_killed_server_leaves_one_torn_line_at_most_and_the_next_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.log");
    let flags = ["--request-log", path.to_str().unwrap()];
    let read = || String::from_utf8(fs::read(&path).unwrap_or_default()).unwrap();
    for killed in 1..=TIMES {
        let before = read().len();
        let mut server = Memtftp::start(Command::new(BINARY), &flags);
        let client = Raw::new(server.address());
        // It is killed in the middle: more requests are on their way than lines are written.
        wait_for("lines in the log", || {
            (0..200).for_each(|_| client.send(&rrq("none", &[])));
            (read().len() > before + 100_000).then_some(())
        });
        server.signal(Signal::KILL);
        assert!(!server.wait_exit().success());
        assert!(torn(&read()) <= killed, "{} of {killed}", torn(&read()));
    }
    let server = Memtftp::start(Command::new(BINARY), &flags);
    Raw::new(server.address()).get("last", &[]).unwrap_err();
    server.stop();
    let text = read();
    let last = Line::parse(text.lines().last().unwrap());
    assert_eq!((last.get("file"), text.ends_with('\n')), ("last", true));
    assert!(torn(&text) <= TIMES);
    let summary = explain(&["--json"], &path);
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    // Of a line that is cut in its last word enough is left to be understood.
    let unread = summary["torn_lines"]["lines"].as_u64().unwrap();
    assert!(unread <= torn(&text) as u64, "{summary:#}");
    assert_eq!(summary["foreign_lines"]["lines"], 0);
    assert_eq!(summary["requests"], text.lines().count() as u64 - unread);
}
