//! What a server before has left on disk.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};
use testkit::{Fault, Packet, Raw, data, wait_for, wrq};

use crate::{Disk, get, refused, temporary, threads};

const LEFT: [&str; 2] = [".memtftp-0123456789abcdef.tmp", "deep/er/.memtftp-fedcba9876543210.tmp"];

/// Another server, which runs, stores it now.
const LOCKED: &str = ".memtftp-00000000000000ff.tmp";

/// Names of users' files that only look alike.
const SIMILAR: [&str; 3] = ["memtftp-x.tmp", ".memtftp-notes", "deep/notes.tmp"];

#[test]
fn only_temporary_files_of_servers_that_have_ended_are_removed_at_start_and_none_is_served() {
    let disk = Disk::new();
    for name in LEFT.iter().chain(&[LOCKED]).chain(&SIMILAR) {
        disk.file(name, "content");
    }
    let lock = File::open(disk.path(LOCKED)).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    disk.file("large", vec![0; 2_000_000]);
    let server = disk.serve(&["--memory", "1MB"]);
    for name in LEFT.iter().chain(&[LOCKED]) {
        assert_eq!(refused(get(&server, name)).0, 1, "{name}");
    }
    // It says so when it has removed all it will.
    server.wait_for_stderr("large (2000000 bytes) is larger than the memory");
    for name in LEFT {
        assert!(!disk.path(name).exists(), "{name}");
        server.wait_for_stderr(&format!("removed {}", disk.path(name).display()));
    }
    drop(server);
    drop(lock);
    for name in SIMILAR.iter().chain(&[LOCKED]) {
        assert_eq!(disk.read(name), b"content", "{name}");
    }
    // Nobody holds it any more.
    let server = disk.serve(&[]);
    wait_for("its end", || (!disk.path(LOCKED).exists()).then_some(()));
    for name in SIMILAR {
        assert_eq!(get(&server, name).unwrap(), b"content", "{name}");
    }
    assert_eq!(refused(get(&server, LOCKED)).0, 1);
}

#[test]
fn what_a_running_server_stores_is_left_to_it_by_another_that_starts() {
    let disk = Disk::new();
    disk.file("large", vec![0; 2_000_000]);
    let running = disk.serve(&[]);
    let hangs = Fault::hang(&threads(&running, "store"), "fsync");
    let mut client = Raw::new(running.address());
    assert_eq!(client.ask(&wrq("f", &[])), Packet::Ack(0));
    client.reply(&data(1, b"whole"));
    let written = || temporary(&disk.served()).first().map(|name| disk.read(name) == b"whole");
    wait_for("it to be written", || written().filter(|written| *written));
    let other = disk.serve(&["--memory", "1MB"]);
    other.wait_for_stderr("large (2000000 bytes) is larger than the memory");
    assert_eq!(temporary(&disk.served()).len(), 1);
    drop(hangs);
    assert_eq!(client.receive_any(), Packet::Ack(1));
    assert_eq!(disk.read("f"), b"whole");
}
