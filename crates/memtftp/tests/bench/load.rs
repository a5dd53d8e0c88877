//! Loads that succeed.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{Line, Memtftp, Raw, Signal, bytes, signal, wait_for};

use crate::{BINARY, bench, server_with};

/// Files of a mix, small enough for lock-step.
fn mixed() -> Memtftp {
    server_with(&[("dir/a", &bytes(30_000)), ("dir/b", &bytes(5_000)), ("dir/empty", b"")])
}

/// The server is the process that works in its directory.
fn pid_of(server: &Memtftp) -> String {
    let works_there = |entry: &fs::DirEntry| {
        fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == server.directory())
    };
    let mut processes = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    processes.find(works_there).unwrap().file_name().into_string().unwrap()
}

#[test]
fn every_field_of_the_report() {
    let server = mixed();
    let pid = pid_of(&server);
    let flags = ["--clients", "20", "--transfers", "50", "--blksize", "1000", "--server-pid", &pid];
    let ran = bench(server.address(), "dir/a", &flags);
    ran.all_completed(50);
    assert_eq!((ran.count("clients"), ran.count("sockets")), (20, 20));
    assert_eq!((ran.count("blocks"), ran.count("bytes")), (50 * 31, 50 * 30_000));
    assert_eq!(ran.count("agreed/0/blksize"), 1_000);
    assert_eq!((ran.count("agreed/0/windowsize"), ran.count("agreed/0/transfers")), (1, 50));
    for times in ["completion_seconds", "first_answer_seconds"] {
        let time = |name| ran.number(&format!("{times}/{name}"));
        assert!(0.0 < time("p50") && time("p50") <= time("p99") && time("p99") <= time("max"));
    }
    assert!(ran.number("first_answer_seconds/p50") <= ran.number("completion_seconds/p50"));
    let rate = ran.number("blocks") / ran.number("seconds");
    assert!((ran.number("blocks_per_second") / rate - 1.0).abs() < 0.01);
    for process in ["bench", "server"] {
        assert!(ran.count(&format!("{process}/memory_bytes")) > 1 << 20);
        assert!(ran.number(&format!("{process}/cpu_microseconds_per_block")) >= 0.0);
    }
    for field in ["retransmissions", "out_of_order", "dropped_by_loss", "unsent", "kernel_drops"] {
        ran.number(field);
    }
    let log = server.stop();
    let reads = log.iter().filter(|line| line.is(&[("kind", "read"), ("outcome", "ok")]));
    // Two before the load, to know what is right.
    assert_eq!(reads.filter(|line| line.is(&[("bytes", "30000")])).count(), 52);
}

#[test]
fn two_thousand_clients_with_addresses_of_their_own() {
    let server = server_with(&[("boot", &bytes(20_000))]);
    let flags = ["--clients", "2000", "--spread", "--blksize", "1428", "--windowsize", "4"];
    let ran = bench(server.address(), "boot", &flags);
    ran.all_completed(2_000);
    assert_eq!((ran.count("sockets"), ran.count("bytes")), (16, 2_000 * 20_000));
    assert!(ran.count("bench/peak_memory_bytes") < 200 << 20);
    let log = server.stop();
    let clients: BTreeSet<_> =
        log.iter().filter(|line| line.get("client").starts_with("127.1.")).map(ip_of).collect();
    assert_eq!(clients.len(), 2_000);
}

fn ip_of(line: &Line) -> String {
    line.get("client").split(':').next().unwrap().to_owned()
}

#[test]
fn two_thousand_clients_with_ports_of_their_own() {
    let server = server_with(&[("boot", &bytes(3_000))]);
    let ran = bench(server.address(), "boot", &["--clients", "2000", "--ramp", "200ms"]);
    ran.all_completed(2_000);
    assert_eq!(ran.count("sockets"), 2_000);
    // The last one begins just before the end of the ramp.
    assert!(ran.number("seconds") > 0.19);
}

#[test]
fn a_mix_that_follows_from_the_seed() {
    let server = mixed();
    let flags = ["--clients", "30", "--transfers", "30", "--mix", "a=1,b=5,empty=2", "--seed"];
    let count = |seed| {
        let ran = bench(server.address(), "dir/", &[&flags[..], &[seed]].concat());
        ran.all_completed(30);
        ran.count("bytes")
    };
    assert_eq!(count("1"), count("1"));
    let different: BTreeSet<u64> = ["1", "2", "3", "4"].map(count).into();
    assert!(different.len() > 1);
}

#[test]
fn five_percent_loss_and_every_transfer_completes() {
    let server = server_with(&[("boot", &bytes(40_000))]);
    for window in ["1", "8"] {
        let flags = ["--clients", "50", "--spread", "--loss", "5", "--windowsize", window];
        let ran = bench(server.address(), "boot", &flags);
        ran.all_completed(50);
        assert_eq!(ran.count("bytes"), 50 * 40_000);
        assert!(ran.count("dropped_by_loss") > 50);
        // In lock-step, what comes again is what was lost, and so in order.
        assert!(window == "1" || ran.count("out_of_order") > 0);
    }
}

#[test]
fn a_duration_cuts_off_what_runs() {
    let server = server_with(&[("boot", &bytes(2_000_000))]);
    let ran = bench(server.address(), "boot", &["--clients", "20", "--duration", "200ms"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!((ran.count("failed"), ran.count("unfinished")), (0, 20));
    assert!((0.2..10.0).contains(&ran.number("seconds")));
    assert!(ran.count("blocks") > 0);
    // The server was told.
    let log = server.stop();
    let ended = log.iter().filter(|line| line.is(&[("kind", "read"), ("outcome", "aborted")]));
    assert!(ended.count() > 0);
}

#[test]
fn a_signal_cuts_off_what_runs_and_the_report_comes_all_the_same() {
    let server = server_with(&[("boot", &bytes(1_000))]);
    let url = format!("tftp://{}/boot", server.address());
    let mut command = Command::new(BINARY);
    command.args(["bench", "--json", &url, "--clients", "20", "--duration", "1h"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The upload, two reads before the load, and one of the load.
    wait_for("a transfer of the load", || (server.log().len() >= 4).then_some(()));
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failed"], 0);
    assert!(report["completed"].as_u64().unwrap() > 0 && report["unfinished"].as_u64() <= Some(20));
}

#[test]
fn what_is_put_is_stored_and_read_back() {
    let server = Memtftp::serve(BINARY, &[]);
    let flags = ["--put", "--size", "20000", "--clients", "40", "--spread", "--windowsize", "4"];
    let ran = bench(server.address(), "up/cfg", &flags);
    ran.all_completed(40);
    assert_eq!((ran.count("read_back/same"), ran.count("read_back/wrong")), (40, 0));
    assert_eq!(ran.count("bytes"), 40 * 20_000);
    let read = |name| Raw::new(server.address()).get(name, &[]).unwrap();
    let (first, other) = (read("up/cfg-0"), read("up/cfg-39"));
    assert_eq!((first.len(), other.len()), (20_000, 20_000));
    assert_ne!(first, other);
    let log = server.stop();
    assert_eq!(
        log.iter().filter(|line| line.is(&[("kind", "write"), ("outcome", "ok")])).count(),
        40
    );
}
