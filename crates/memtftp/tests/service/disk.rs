//! A disk that is full under the request log.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Line, Memtftp, Raw, STATUS_SOCKET, Signal, read_log, wait_for};

use crate::{BINARY, explain};

/// A server whose log lies on a disk of 64 KiB, and the path of that disk. Takes root.
fn on_small_disk(disk: &Path) -> (Memtftp, PathBuf) {
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=64k tmpfs \"$DISK\" && exec \"$0\" \"$@\"";
    command.args(["--mount", "sh", "-c", mount, BINARY]).env("DISK", disk);
    let log = disk.join("requests.log");
    let flags = ["--request-log", log.to_str().unwrap(), "--status-socket", STATUS_SOCKET];
    let server = Memtftp::start(command, &flags);
    // Only the server sees what is mounted.
    let seen = format!("/proc/{}/root{}", server.pid(), disk.display());
    (server, seen.into())
}

/// A file that takes all that is left of a disk; its path.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    path
}

/// Uploads a file and waits for the line.
fn upload(server: &Memtftp, disk: &Path) -> Raw {
    let mut client = Raw::new(server.address());
    client.put("file", b"content", &[]).unwrap();
    wait_for("the first line", || (!read_log(&disk.join("requests.log")).is_empty()).then_some(()));
    client
}

/// Waits until the server knows that it has lost lines.
fn wait_for_loss(server: &Memtftp) {
    server.wait_for_stderr("cannot write the request log");
    wait_for("lost lines", || (server.status(BINARY)["request_log"]["lost"] != 0).then_some(()));
}

fn read(client: &mut Raw, times: usize) {
    for _ in 0..times {
        assert_eq!(client.get("file", &[]).unwrap(), b"content");
    }
}

/// Waits until so many reads are in the logs, be it by their own lines or counted as lost, and returns
/// how many are lost.
fn account(logs: &[PathBuf], reads: usize) -> u64 {
    let lines = || logs.iter().flat_map(|log| read_log(log)).collect::<Vec<Line>>();
    let count = |lines: &[Line]| {
        let lost = lines.iter().filter(|line| line.is(&[("kind", "lost")]));
        let lost: u64 = lost.map(|line| line.number("lines")).sum();
        (lines.iter().filter(|line| line.is(&[("kind", "read")])).count() as u64, lost)
    };
    let (written, lost) = wait_for("all reads in the log", || {
        Some(count(&lines())).filter(|(written, lost)| written + lost >= reads as u64)
    });
    assert_eq!(written + lost, reads as u64, "{:#?}", lines());
    assert!(written > 0 && lost > 0, "{written} written, {lost} lost");
    lost
}

#[test]
fn a_full_disk_is_told_once_and_counted_and_transfers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (server, disk) = on_small_disk(directory.path());
    let log = disk.join("requests.log");
    let mut client = upload(&server, &disk);
    let filler = fill(&disk);
    // The last page of the log has room for a few lines yet.
    read(&mut client, 40);
    wait_for_loss(&server);
    fs::remove_file(filler).unwrap();
    read(&mut client, 1);
    server.wait_for_stderr("the request log is being written again");
    let told = server.stderr();
    let times = told.iter().filter(|line| line.contains("cannot write the request log")).count();
    assert_eq!(times, 1, "{told:#?}");

    // Reading it is strict: the line that was cut has been continued.
    let lost = account(std::slice::from_ref(&log), 41);
    // Kept, because what is mounted goes with the server.
    let copy = directory.path().join("copy.log");
    fs::copy(&log, &copy).unwrap();
    let summary = explain(&[], &copy);
    let counted = if lost == 1 { "1 line".to_owned() } else { format!("{lost} lines") };
    assert!(summary.contains(&format!("{counted} could not be written")), "{summary}");
    assert!(!summary.contains("cut short"), "{summary}");
}

#[test]
fn a_log_that_is_rotated_while_the_disk_is_full_loses_no_count() {
    let directory = tempfile::tempdir().unwrap();
    let (server, disk) = on_small_disk(directory.path());
    let [log, rotated] = ["requests.log", "requests.log.1"].map(|name| disk.join(name));
    let mut client = upload(&server, &disk);
    let filler = fill(&disk);
    read(&mut client, 40);
    wait_for_loss(&server);
    fs::rename(&log, &rotated).unwrap();
    server.signal(Signal::HUP);
    wait_for("the new log", || log.exists().then_some(()));
    read(&mut client, 3);
    fs::remove_file(filler).unwrap();
    // Without another request: it is tried again by itself.
    account(&[rotated, log], 43);
}
