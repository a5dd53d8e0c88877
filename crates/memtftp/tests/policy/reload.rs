//! SIGHUP: what changes, what does not, and what it costs those who are being served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testkit::{Memtftp, Packet, Raw, Signal, ack, bytes, data, rrq, wait_for, wrq};

use crate::{Place, assert_refused};

/// Reloads, and waits until that has been said as often as this.
pub(crate) fn reload(server: &Memtftp, times: usize) -> String {
    server.signal(Signal::HUP);
    wait_for("the end of the reload", || {
        let said = |line: &String| line.contains(" reloaded");
        let lines: Vec<String> = server.stderr().into_iter().filter(said).collect();
        (lines.len() >= times).then(|| lines.last().cloned().unwrap())
    })
}

#[test]
fn new_rules_hold_for_new_requests_and_running_transfers_keep_the_old() {
    let place = Place::new();
    place.file("f", bytes(2_000)).configure("preload = [\"FILES\"]\n");
    let server = place.serve(&[]);
    let mut reader = Raw::new(server.address());
    let first = reader.ask(&rrq("f", &[]));
    let mut writer = Raw::new(server.address());
    writer.ask(&wrq("new", &[]));
    let refuse = "uploads = \"off\"\n[[rule]]\naction = { refuse = \"closed\" }\n";
    place.configure(refuse);
    reload(&server, 1);
    assert_refused(Raw::new(server.address()).get("f", &[]), 2, "closed");
    assert!(reader.get_from(first).unwrap() == bytes(2_000));
    assert_eq!(writer.say(&data(1, b"whole")), Packet::Ack(1));
    place.configure("");
    reload(&server, 2);
    assert_eq!(Raw::new(server.address()).get("new", &[]).unwrap(), b"whole");
}

#[test]
fn a_bad_file_keeps_the_old_settings_and_says_why() {
    let place = Place::new();
    place.configure("uploads = \"create\"\n");
    let server = place.serve(&[]);
    let mut client = Raw::new(server.address());
    client.put("f", b"one", &[]).unwrap();
    place.configure("uploads = \"replace\"\nport = \"none\"\n");
    let said = reload(&server, 1);
    assert!(said.contains("not reloaded, all stays as it was"), "{said}");
    assert!(said.contains("memtftp.toml:2:8: port = \"none\": give a port"), "{said}");
    let refused = client.put("f", b"two", &[]).unwrap_err().refusal();
    assert_eq!(refused.0, 6, "{refused:?}");
}

#[test]
fn settings_that_need_a_start_are_named() {
    let place = Place::new();
    place.configure("workers = 1\nmax-windowsize = 4\n");
    let server = place.serve(&[]);
    place.configure("workers = 2\nmemory = 5000\nmax-windowsize = 8\n");
    reload(&server, 1);
    server.wait_for_stderr("not changed before the next start: --workers, --memory");
    let asked = [("windowsize", "16")];
    let granted = Packet::oack(&[("windowsize", "8")]);
    assert_eq!(Raw::new(server.address()).ask(&wrq("f", &asked)), granted);
}

#[test]
fn limits_of_sessions_follow_a_reload() {
    let place = Place::new();
    place.configure("workers = 1\nmax-client-sessions = 1\n");
    let server = place.serve(&[]);
    let mut one = Raw::new(server.address());
    one.ask(&wrq("one", &[]));
    assert_eq!(one.say(&data(1, &[0; 512])), Packet::Ack(1));
    let (code, text) = Raw::new(server.address()).ask(&wrq("two", &[])).refusal();
    assert_eq!(code, 0, "{text}");
    place.configure("workers = 1\nmax-client-sessions = 2\n");
    reload(&server, 1);
    let mut two = Raw::new(server.address());
    // A worker takes its new settings a moment after the reload is announced.
    wait_for("the new limit", || (two.ask(&wrq("two", &[])) == Packet::Ack(0)).then_some(()));
    assert_eq!(one.say(&data(2, b"x")), Packet::Ack(2));
}

#[test]
fn what_has_changed_on_disk_is_loaded_and_uploads_stay() {
    let place = Place::new();
    place.file("kept", "kept").file("changed", "old").file("gone", "gone").file("taken", "disk");
    place.configure("preload = [\"FILES\"]\n");
    let server = place.serve(&["--uploads", "replace"]);
    let mut client = Raw::new(server.address());
    client.put("kept", b"uploaded over it", &[]).unwrap();
    client.put("taken", b"uploaded over it, too", &[]).unwrap();
    client.put("only in memory", b"here", &[]).unwrap();
    let mut reader = Raw::new(server.address());
    let first = reader.ask(&rrq("changed", &[("blksize", "8")]));
    place.file("changed", "new").file("added", "added");
    std::fs::remove_file(place.files().join("gone")).unwrap();
    std::fs::remove_file(place.files().join("taken")).unwrap();
    let said = reload(&server, 1);
    assert!(said.contains("2 files loaded, 2 gone"), "{said}");
    let content = |name: &str| Raw::new(server.address()).get(name, &[]);
    assert_eq!(content("changed").unwrap(), b"new");
    assert_eq!(content("added").unwrap(), b"added");
    assert_refused(content("gone"), 1, "file not found");
    for (name, bytes) in [
        ("kept", &b"uploaded over it"[..]),
        ("taken", b"uploaded over it, too"),
        ("only in memory", b"here"),
    ] {
        assert_eq!(content(name).unwrap(), bytes, "{name}");
    }
    assert_eq!(reader.get_from(first).unwrap(), b"old", "a reader keeps the version it opened");
    let said = reload(&server, 2);
    assert!(said.contains("0 files loaded, 0 gone"), "{said}");
}

#[test]
fn a_file_that_cannot_be_loaded_leaves_all_as_it_was() {
    let place = Place::new();
    place.file("small", "small").configure("preload = [\"FILES\"]\nmemory = 10000\n");
    let server = place.serve(&[]);
    place.file("large", bytes(20_000)).file("small", "changed");
    let said = reload(&server, 1);
    assert!(said.contains("does not fit") && said.contains("--memory"), "{said}");
    assert_eq!(Raw::new(server.address()).get("small", &[]).unwrap(), b"small");
}

/// Clients read and write without a pause while the server reloads again and again.
#[test]
fn a_reload_under_load_drops_no_transfer_and_no_log_line() {
    const RELOADS: usize = 30;
    let place = Place::new();
    let versions = [bytes(30_000), bytes(40_000)];
    place.file("f", &versions[0]).configure("preload = [\"FILES\"]\n");
    let server = place.serve(&[]);
    let going = AtomicBool::new(true);
    let load = |number: usize| {
        let mut transfers = 0;
        while going.load(Ordering::Relaxed) {
            let mut client = Raw::new(server.address());
            let read = client.get("f", &[("blksize", "1000")]).unwrap();
            assert!(versions.contains(&read), "{} bytes", read.len());
            client.put(&format!("own-{number}"), &read, &[("blksize", "8000")]).unwrap();
            transfers += 2;
        }
        transfers
    };
    let transfers: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|number| scope.spawn(move || load(number))).collect();
        for times in 1..=RELOADS {
            place.file("f", &versions[times % 2]);
            let cap = ["max-file = 50000\n", "max-blksize = 900\n"][times % 2];
            place.configure(&format!("preload = [\"FILES\"]\n{cap}"));
            let said = reload(&server, times);
            assert!(said.contains("1 files loaded"), "{said}");
        }
        going.store(false, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(transfers > RELOADS, "{transfers}");
    let log = server.stop();
    assert_eq!(log.len(), transfers);
    assert!(log.iter().all(|line| line.get("outcome") == "ok"), "{log:#?}");
}

#[test]
fn the_acknowledged_block_of_a_reader_survives_ten_reloads() {
    let place = Place::new();
    place.file("f", bytes(512 * 11)).configure("preload = [\"FILES\"]\n");
    let server = place.serve(&[]);
    let mut reader = Raw::new(server.address());
    reader.ask(&rrq("f", &[]));
    for block in 1..=10_u16 {
        reload(&server, block.into());
        let expected = bytes(512 * 11)[512 * usize::from(block)..][..512].to_vec();
        assert_eq!(reader.say(&ack(block)), Packet::Data(block + 1, expected));
    }
}
