//! What the service manager is told, and its watchdog.

use std::fs;
use std::time::Duration;

use testkit::{Frozen, Manager, Memtftp, Raw, Signal, thread};

use crate::BINARY;

/// Long enough for a busy machine, short enough for a test.
const PATIENCE: Duration = Duration::from_millis(600);

#[test]
fn it_is_told_of_the_start_a_reload_and_the_end() {
    let manager = Manager::new();
    let mut server = Memtftp::start(manager.command(BINARY, None), &["--drain", "1h"]);
    let ready = manager.wait_for("READY=1");
    let address = server.address().to_string();
    assert!(ready.contains("STATUS=serving 0 files on ") && ready.contains(&address), "{ready}");
    server.signal(Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1");
    server.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert!(server.wait_exit().success());
}

#[test]
fn without_a_manager_there_is_nobody_to_tell() {
    let server = Memtftp::serve(BINARY, &[]);
    Raw::new(server.address()).put("file", b"x", &[]).unwrap();
    let stderr = server.stderr();
    assert!(stderr.iter().all(|line| !line.contains("service manager")), "{stderr:?}");
    server.stop();
}

#[test]
fn a_worker_that_hangs_starves_the_watchdog() {
    let manager = Manager::new();
    let server = Memtftp::start(manager.command(BINARY, Some(PATIENCE)), &["--workers", "2"]);
    manager.wait_for("WATCHDOG=1");
    let frozen = Frozen::thread(server.pid(), "worker-1");
    server.wait_for_stderr("a worker hangs");
    // What was sent before, and one sign at most for the round that it had just begun.
    while manager.next(Duration::from_millis(1)).is_some() {}
    let late = (0..2).filter(|_| manager.next(PATIENCE).is_some()).count();
    assert!(late <= 1, "it is fed");
    drop(frozen);
    manager.wait_for("WATCHDOG=1");
    server.wait_for_stderr("all workers work again");
}

/// A worker that has nothing to do is woken once for each sign of life, and not otherwise.
#[test]
fn the_watchdog_lets_an_idle_worker_sleep() {
    const SIGNS: u64 = 8;
    let manager = Manager::new();
    let flags = ["--workers", "1"];
    let server = Memtftp::start(manager.command(BINARY, Some(PATIENCE / 4)), &flags);
    manager.wait_for("WATCHDOG=1");
    let worker = thread(server.pid(), "worker-0");
    let sleeps = || {
        let path = format!("/proc/{}/task/{worker}/status", server.pid());
        let status = fs::read_to_string(path).unwrap();
        let found = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        found.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = sleeps();
    (0..SIGNS).for_each(|_| drop(manager.wait_for("WATCHDOG=1")));
    let slept = sleeps() - before;
    assert!((SIGNS - 2..=SIGNS * 2).contains(&slept), "{slept} times in {SIGNS} signs");
}

/// With systemd's usual limit, a few seconds without an address or a disk are for ever.
#[test]
fn the_unit_has_no_limit_on_starts() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/debian/memtftp.service");
    let unit = fs::read_to_string(unit).unwrap();
    let (general, service) = unit.split_once("[Service]").unwrap();
    assert!(general.lines().any(|line| line == "StartLimitIntervalSec=0"), "{general}");
    assert!(service.lines().any(|line| line == "Restart=on-failure"), "{service}");
}
