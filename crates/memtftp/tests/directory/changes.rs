//! Files change on disk while they are served.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use testkit::{Memtftp, Raw, Signal, bytes, rrq, unprivileged, wait_for};

use crate::{BINARY, Disk, get, put, refused, wait_until_gone, wait_until_served};

/// A server that hears of changes by now: a moment after its start.
pub(crate) fn watching(disk: &Disk) -> Memtftp {
    let server = disk.serve(&[]);
    disk.file("watched", "not yet");
    get(&server, "watched").unwrap();
    wait_for("the first change that is heard", || {
        disk.file("watched", "now");
        get(&server, "watched").is_ok_and(|got| got == b"now").then_some(())
    });
    server
}

#[test]
fn a_renamed_file_is_a_new_version_and_readers_keep_the_old() {
    let disk = Disk::new();
    let [old, new] = [bytes(3_000), vec![7; 4_000]];
    disk.file("f", &old).file("unrelated", "x");
    let server = disk.serve(&[]);
    let mut reader = Raw::new(server.address());
    let first = reader.ask(&rrq("f", &[]));
    disk.file("f", &new);
    wait_until_served(&server, "f", &new);
    assert!(reader.get_from(first).unwrap() == old);
    fs::rename(disk.path("f"), disk.path("g")).unwrap();
    wait_until_gone(&server, "f");
    assert!(get(&server, "g").unwrap() == new);
}

#[test]
fn a_deleted_file_and_a_moved_directory_are_followed() {
    let disk = Disk::new();
    disk.file("f", "x").file("d/e/f", "deep").file("d/g", "less");
    let server = disk.serve(&[]);
    for name in ["f", "d/e/f", "d/g"] {
        get(&server, name).unwrap();
    }
    fs::remove_file(disk.path("f")).unwrap();
    wait_until_gone(&server, "f");
    fs::rename(disk.path("d"), disk.path("moved")).unwrap();
    wait_until_gone(&server, "d/e/f");
    wait_until_gone(&server, "d/g");
    assert_eq!(get(&server, "moved/e/f").unwrap(), b"deep");
    // Directories that came later are watched, too.
    fs::create_dir(disk.path("later")).unwrap();
    disk.file("later/f", "one");
    wait_until_served(&server, "later/f", b"one");
    disk.file("later/f", "two");
    wait_until_served(&server, "later/f", b"two");
}

#[test]
fn a_file_that_is_written_in_place_is_not_served_half() {
    let disk = Disk::new();
    disk.file("f", bytes(10_000));
    let server = watching(&disk);
    assert!(get(&server, "f").unwrap() == bytes(10_000));
    let mut writer = File::create(disk.path("f")).unwrap();
    let whole = vec![9; 50_000];
    for part in whole.chunks(10_000) {
        writer.write_all(part).unwrap();
        let got = get(&server, "f");
        assert!(got.is_ok_and(|got| got == bytes(10_000)), "the old one, whole, while it is open");
    }
    drop(writer);
    wait_until_served(&server, "f", &whole);
    // A new one is waited for.
    let mut writer = File::create(disk.path("new")).unwrap();
    writer.write_all(&whole[..20_000]).unwrap();
    let mut reader = Raw::new(server.address());
    reader.send(&rrq("new", &[("blksize", "1400")]));
    writer.write_all(&whole[20_000..]).unwrap();
    drop(writer);
    let first = reader.receive();
    assert!(reader.get_from(first).unwrap() == whole);
}

/// Long enough ago that nobody would think that somebody still writes to it. Of both times, since the system
/// tells of a change of one as of a write.
fn age_both(file: &File) {
    let then = SystemTime::now() - Duration::from_secs(3_600);
    file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
}

#[test]
fn a_new_file_that_nobody_has_written_to_yet_is_waited_for() {
    let disk = Disk::new();
    let server = watching(&disk);
    let mut writer = File::create(disk.path("new")).unwrap();
    age_both(&writer);
    // News comes in order.
    disk.file("watched", "after it");
    wait_until_served(&server, "watched", b"after it");
    let mut reader = Raw::new(server.address());
    reader.send(&rrq("new", &[]));
    // What is asked for later is loaded later.
    for other in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        disk.file(other, other);
        assert_eq!(get(&server, other).unwrap(), other.as_bytes());
    }
    assert!(!reader.has_packet());
    writer.write_all(b"whole").unwrap();
    drop(writer);
    let first = reader.receive();
    assert_eq!(reader.get_from(first).unwrap(), b"whole");
}

#[test]
fn a_file_that_is_written_in_place_is_not_served_half_under_its_other_names() {
    let disk = Disk::new();
    disk.file("release-1/f", "old").file("real", "one");
    symlink("release-1", disk.path("current")).unwrap();
    symlink("real", disk.path("link")).unwrap();
    fs::hard_link(disk.path("release-1/f"), disk.path("hard")).unwrap();
    let server = watching(&disk);
    for name in ["current/f", "hard"] {
        assert_eq!(get(&server, name).unwrap(), b"old");
    }
    assert_eq!(get(&server, "link").unwrap(), b"one");
    let mut writer = File::create(disk.path("release-1/f")).unwrap();
    writer.write_all(b"half").unwrap();
    age_both(&writer);
    // When this is seen, all other links have been looked at.
    disk.file("real", "two");
    wait_until_served(&server, "link", b"two");
    for name in ["current/f", "hard"] {
        assert_eq!(get(&server, name).unwrap(), b"old", "{name}");
    }
    writer.write_all(b" and half").unwrap();
    drop(writer);
    for name in ["current/f", "hard", "release-1/f"] {
        wait_until_served(&server, name, b"half and half");
    }
}

#[test]
fn a_link_that_leads_to_another_directory_is_followed_there() {
    let disk = Disk::new();
    disk.file("release-1/f", "one").file("release-2/f", "two").file("release-3/f", "three");
    let lead_to = |release| symlink(release, disk.path("new")).unwrap();
    lead_to("release-1");
    fs::rename(disk.path("new"), disk.path("current")).unwrap();
    let server = watching(&disk);
    assert_eq!(get(&server, "current/f").unwrap(), b"one");
    lead_to("release-2");
    fs::rename(disk.path("new"), disk.path("current")).unwrap();
    wait_until_served(&server, "current/f", b"two");
    // Or, for a moment, there is none.
    fs::remove_file(disk.path("current")).unwrap();
    symlink("release-3", disk.path("current")).unwrap();
    wait_until_served(&server, "current/f", b"three");
}

#[test]
fn a_file_that_gets_another_name_later_is_followed_under_both() {
    let disk = Disk::new();
    disk.file("real", "one");
    let server = watching(&disk);
    assert_eq!(get(&server, "real").unwrap(), b"one");
    fs::hard_link(disk.path("real"), disk.path("other")).unwrap();
    fs::write(disk.path("other"), "two").unwrap();
    wait_until_served(&server, "real", b"two");
}

#[test]
fn a_change_is_seen_under_every_name_of_a_file() {
    let disk = Disk::new();
    disk.file("real", "one").file("release-1/f", "one");
    symlink("real", disk.path("link")).unwrap();
    symlink("release-1", disk.path("current")).unwrap();
    fs::hard_link(disk.path("real"), disk.path("hard")).unwrap();
    let server = disk.serve(&[]);
    for name in ["real", "link", "hard", "current/f", "release-1/f"] {
        assert_eq!(get(&server, name).unwrap(), b"one", "{name}");
    }
    disk.file("real", "two").file("release-1/f", "two");
    for name in ["real", "link", "current/f", "release-1/f"] {
        wait_until_served(&server, name, b"two");
    }
    assert_eq!(get(&server, "hard").unwrap(), b"one", "it is another file now");
    fs::hard_link(disk.path("real"), disk.path("other")).unwrap();
    assert_eq!(get(&server, "other").unwrap(), b"two");
    fs::write(disk.path("real"), "in place").unwrap();
    for name in ["real", "link", "other"] {
        wait_until_served(&server, name, b"in place");
    }
}

#[test]
fn a_change_of_mode_does_not_end_the_writing() {
    let disk = Disk::new();
    disk.file("f", "old");
    let server = watching(&disk);
    assert_eq!(get(&server, "f").unwrap(), b"old");
    let mut writer = File::create(disk.path("f")).unwrap();
    writer.write_all(b"half").unwrap();
    writer.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    writer.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    for _ in 0..20 {
        assert_eq!(get(&server, "f").unwrap(), b"old");
    }
    writer.write_all(b" and half").unwrap();
    drop(writer);
    wait_until_served(&server, "f", b"half and half");
}

#[test]
fn a_file_that_becomes_unreadable_is_refused_and_comes_back() {
    let disk = Disk::new();
    disk.file("f", "x");
    fs::set_permissions(disk.above.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let served = disk.served();
    let flags = ["--dir", served.to_str().unwrap(), "--uploads", "off"];
    let server = Memtftp::start(unprivileged(BINARY, &disk.beside()), &flags);
    assert_eq!(get(&server, "f").unwrap(), b"x");
    fs::set_permissions(disk.path("f"), fs::Permissions::from_mode(0o000)).unwrap();
    let unreadable = || (get(&server, "f").err()?.refusal().0 == 2).then_some(());
    wait_for("the refusal", unreadable);
    fs::set_permissions(disk.path("f"), fs::Permissions::from_mode(0o644)).unwrap();
    wait_until_served(&server, "f", b"x");
}

#[test]
fn a_directory_that_vanishes_and_comes_back_is_served_again() {
    let disk = Disk::new();
    disk.file("f", "first");
    let server = disk.serve(&[]);
    assert_eq!(get(&server, "f").unwrap(), b"first");
    let away = disk.above.path().join("away");
    fs::rename(disk.served(), &away).unwrap();
    fs::create_dir(disk.served()).unwrap();
    disk.file("f", "second");
    wait_until_served(&server, "f", b"second");
    // The new one is watched, too.
    disk.file("f", "third").file("g", "one");
    wait_until_served(&server, "f", b"third");
    assert_eq!(get(&server, "g").unwrap(), b"one");
    disk.file("g", "two");
    wait_until_served(&server, "g", b"two");
    put(&server, "up", b"loaded").unwrap();
    assert_eq!(disk.read("up"), b"loaded");
    fs::remove_dir_all(disk.served()).unwrap();
    let (code, text) = refused(put(&server, "up", b"nowhere"));
    assert!(code == 0 || code == 2, "{code} {text}");
}

/// How many changes the system remembers for one who does not listen.
fn queue_length() -> usize {
    let length = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    length.trim().parse().unwrap()
}

#[test]
fn more_changes_than_the_system_remembers_are_seen_all_the_same() {
    let disk = Disk::new();
    disk.file("f", "old").file("gone", "old");
    let server = watching(&disk);
    for name in ["f", "gone"] {
        assert_eq!(get(&server, name).unwrap(), b"old");
    }
    server.hold();
    // Each is more than one change, so what comes after them is forgotten.
    for number in 0..queue_length() {
        let path = disk.path(&format!("crowd-{number}"));
        fs::write(&path, "").unwrap();
        fs::remove_file(&path).unwrap();
    }
    disk.file("f", "new");
    fs::remove_file(disk.path("gone")).unwrap();
    server.signal(Signal::CONT);
    wait_until_served(&server, "f", b"new");
    wait_until_gone(&server, "gone");
}
