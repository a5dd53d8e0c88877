//! Whether somebody writes to a file, as the system tells.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, linkat, mknodat, open};
use testkit::{Raw, bytes, rrq};

use crate::changes::watching;
use crate::fresh::unwatched;
use crate::{Disk, get, wait_until_served};

/// Longer than anybody waits for a file that is being written.
const PATIENCE: Duration = Duration::from_secs(8);

/// Makes both times those of a file that was complete long ago.
fn age(file: &File) {
    let then = SystemTime::now() - Duration::from_secs(3_600);
    file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
}

/// None of these is closed by anybody who could have written to it.
#[test]
fn a_file_that_is_cut_or_made_without_being_closed_is_served() {
    let disk = Disk::new();
    disk.file("in-memory", bytes(5_000)).file("asked-for-later", bytes(5_000));
    let server = watching(&disk);
    assert!(get(&server, "in-memory").unwrap() == bytes(5_000));
    let begun = Instant::now();
    for name in ["in-memory", "asked-for-later"] {
        nix::unistd::truncate(&disk.path(name), 1_000).unwrap();
        wait_until_served(&server, name, &bytes(5_000)[..1_000]);
    }
    let mode = Mode::from_raw_mode(0o644);
    mknodat(CWD, disk.path("node"), FileType::RegularFile, mode, 0).unwrap();
    wait_until_served(&server, "node", b"");
    let unnamed = open(disk.served(), OFlags::TMPFILE | OFlags::RDWR, mode).unwrap();
    let path = format!("/proc/self/fd/{}", unnamed.as_raw_fd());
    linkat(CWD, path, CWD, disk.path("linked"), AtFlags::SYMLINK_FOLLOW).unwrap();
    drop(unnamed);
    wait_until_served(&server, "linked", b"");
    assert!(begun.elapsed() < PATIENCE, "each is complete at once: {:?}", begun.elapsed());
}

#[test]
fn a_file_that_is_open_for_writing_is_not_served_half_though_nothing_tells_of_it() {
    let disk = Disk::new();
    disk.file("f", "old");
    let server = unwatched(&disk, &[]);
    assert_eq!(get(&server, "f").unwrap(), b"old");
    let [mut old, mut new] = ["f", "new"].map(|name| File::create(disk.path(name)).unwrap());
    for file in [&mut old, &mut new] {
        file.write_all(b"half").unwrap();
        age(file);
    }
    let mut reader = Raw::new(server.address());
    reader.send(&rrq("new", &[]));
    // For longer than a look holds.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(get(&server, "f").unwrap(), b"old");
    }
    assert!(!reader.has_packet(), "it is waited for");
    for file in [&mut old, &mut new] {
        file.write_all(b" and half").unwrap();
    }
    drop((old, new));
    let first = reader.receive();
    assert_eq!(reader.get_from(first).unwrap(), b"half and half");
    wait_until_served(&server, "f", b"half and half");
    assert_eq!(fs::read(disk.path("f")).unwrap(), b"half and half");
}
