//! A disk that is full under the request log.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Memtftp, Raw, read_log, wait_for};

use crate::{BINARY, explain};

/// A server whose log lies on a disk of 64 KiB, and the path of that disk. Takes root.
fn on_small_disk(disk: &Path) -> (Memtftp, PathBuf) {
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=64k tmpfs \"$DISK\" && exec \"$0\" \"$@\"";
    command.args(["--mount", "sh", "-c", mount, BINARY]).env("DISK", disk);
    let log = disk.join("requests.log");
    let server = Memtftp::start(command, &["--request-log", log.to_str().unwrap()]);
    // Only the server sees what is mounted.
    let seen = format!("/proc/{}/root{}", server.pid(), disk.display());
    (server, seen.into())
}

#[test]
fn a_full_disk_is_told_once_and_counted_and_transfers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (server, disk) = on_small_disk(directory.path());
    let mut client = Raw::new(server.address());
    client.put("file", b"content", &[]).unwrap();
    wait_for("the first line", || (!read_log(&disk.join("requests.log")).is_empty()).then_some(()));

    let filler = disk.join("filler");
    let mut file = OpenOptions::new().create(true).append(true).open(&filler).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    // The last page of the log has room for a few lines yet.
    let requests = 40;
    for _ in 0..requests {
        assert_eq!(client.get("file", &[]).unwrap(), b"content");
    }
    server.wait_for_stderr("cannot write the request log");

    fs::remove_file(&filler).unwrap();
    drop(file);
    assert_eq!(client.get("file", &[]).unwrap(), b"content");
    server.wait_for_stderr("the request log is being written again");
    let told = server.stderr();
    let times = told.iter().filter(|line| line.contains("cannot write the request log")).count();
    assert_eq!(times, 1, "{told:#?}");

    // Kept, because what is mounted goes with the server.
    let copy = directory.path().join("copy.log");
    fs::copy(disk.join("requests.log"), &copy).unwrap();
    let text = fs::read_to_string(&copy).unwrap();
    let (torn, whole): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| !line.contains("kind=lost") && !line.contains("repeats="));
    assert!(torn.len() <= 1, "{torn:?}");
    let lost = whole.iter().filter_map(|line| line.split_once("kind=lost lines="));
    let lost: u64 = lost.map(|(_, lines)| lines.parse::<u64>().unwrap()).sum();
    let written = whole.iter().filter(|line| line.contains("kind=read")).count() as u64;
    assert_eq!(written + lost, requests + 1, "{text}");
    if torn.is_empty() {
        assert_eq!(read_log(&copy).len(), whole.len());
    }
    let summary = explain(&[], &copy);
    assert!(summary.contains(&format!("{lost} lines could not be written")), "{summary}");
}
