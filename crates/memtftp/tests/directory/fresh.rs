//! What is served is what is on disk, whatever the system tells of changes.

use std::fs;

use testkit::{Memtftp, Signal, faulty};

use crate::disks::Mount;
use crate::{BINARY, Disk, get, put, refused, wait_until_gone, wait_until_served};

/// A server to which the system tells of no change.
pub(crate) fn unwatched(disk: &Disk, flags: &[&str]) -> Memtftp {
    let command = faulty(BINARY, &[("inotify_init1", "error=EMFILE")]);
    let served = disk.served();
    let taking: &[&str] =
        if flags.contains(&"--uploads") { &[] } else { &["--uploads", "replace"] };
    Memtftp::start(command, &[&["--dir", served.to_str().unwrap()], taking, flags].concat())
}

#[test]
fn without_news_of_changes_they_are_found_within_a_second_and_the_log_says_so() {
    let disk = Disk::new();
    disk.file("f", "old").file("gone", "old").file("d/f", "old");
    let server = unwatched(&disk, &[]);
    let warning = server.wait_for_stderr("cannot watch");
    for part in [disk.served().to_str().unwrap(), "up to a second", "fs.inotify.max_user_instances"]
    {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    for name in ["f", "gone", "d/f"] {
        assert_eq!(get(&server, name).unwrap(), b"old");
    }
    assert_eq!(refused(get(&server, "new")).0, 1);
    disk.file("f", "new").file("new", "it appears");
    fs::remove_file(disk.path("gone")).unwrap();
    fs::rename(disk.path("d"), disk.path("e")).unwrap();
    // That there was none is not remembered.
    assert_eq!(get(&server, "new").unwrap(), b"it appears");
    assert_eq!(get(&server, "e/f").unwrap(), b"old");
    wait_until_served(&server, "f", b"new");
    wait_until_gone(&server, "gone");
    wait_until_gone(&server, "d/f");
    fs::write(disk.path("f"), "in place").unwrap();
    wait_until_served(&server, "f", b"in place");
    put(&server, "f", b"uploaded").unwrap();
    assert_eq!(get(&server, "f").unwrap(), b"uploaded");
    disk.file("f", "after it");
    server.signal(Signal::HUP);
    wait_until_served(&server, "f", b"after it");
}

#[test]
fn a_file_that_is_gone_from_disk_does_not_exist_for_uploads_either() {
    let disk = Disk::new();
    disk.file("f", "old");
    let server = unwatched(&disk, &["--uploads", "create"]);
    assert_eq!(get(&server, "f").unwrap(), b"old");
    assert_eq!(refused(put(&server, "f", b"new")).0, 6);
    fs::remove_file(disk.path("f")).unwrap();
    put(&server, "f", b"new").unwrap();
    assert_eq!((disk.read("f"), get(&server, "f").unwrap()), (b"new".into(), b"new".into()));
}

#[test]
fn a_file_that_is_written_by_a_name_outside_is_served_anew() {
    let disk = Disk::new();
    let outside = disk.beside().join("repository");
    fs::write(&outside, "one").unwrap();
    fs::create_dir(disk.path("images")).unwrap();
    fs::hard_link(&outside, disk.path("images/kernel")).unwrap();
    let server = disk.serve(&[]);
    wait_until_served(&server, "images/kernel", b"one");
    fs::write(&outside, "two, longer").unwrap();
    wait_until_served(&server, "images/kernel", b"two, longer");
}

/// As netbooted boards have it, which write to their own boot directory.
#[test]
fn a_directory_that_is_bound_under_two_names_is_followed_under_both() {
    let disk = Disk::new();
    let boot = disk.beside().join("boot");
    fs::create_dir(&boot).unwrap();
    fs::write(boot.join("kernel"), "one").unwrap();
    let boards = ["board-1", "board-2"];
    let _mounts = boards.map(|board| {
        fs::create_dir(disk.path(board)).unwrap();
        Mount::bind(&boot, disk.path(board))
    });
    let server = disk.serve(&[]);
    let kernels = boards.map(|board| format!("{board}/kernel"));
    kernels.iter().for_each(|name| wait_until_served(&server, name, b"one"));
    fs::write(boot.join("kernel"), "two, in place").unwrap();
    kernels.iter().for_each(|name| wait_until_served(&server, name, b"two, in place"));
    fs::write(boot.join("new"), "three, renamed").unwrap();
    fs::rename(boot.join("new"), boot.join("kernel")).unwrap();
    kernels.iter().for_each(|name| wait_until_served(&server, name, b"three, renamed"));
    fs::remove_file(boot.join("kernel")).unwrap();
    kernels.iter().for_each(|name| wait_until_gone(&server, name));
}

#[test]
fn what_a_mount_hides_is_gone_and_what_it_shows_is_served_until_it_goes() {
    let disk = Disk::new();
    disk.file("image/kernel", "below").file("image/hidden", "below").file("other/kernel", "other");
    let server = disk.serve(&[]);
    for name in ["image/kernel", "image/hidden"] {
        assert_eq!(get(&server, name).unwrap(), b"below");
    }
    let first = Mount::bind(&disk.path("other"), disk.path("image"));
    wait_until_served(&server, "image/kernel", b"other");
    wait_until_gone(&server, "image/hidden");
    drop(first);
    wait_until_served(&server, "image/kernel", b"below");
    wait_until_served(&server, "image/hidden", b"below");
    // The next in its place.
    let _next = Mount::over(disk.path("image"));
    wait_until_gone(&server, "image/kernel");
    fs::write(disk.path("image/kernel"), "next").unwrap();
    wait_until_served(&server, "image/kernel", b"next");
}

#[test]
fn one_file_that_is_bound_is_followed_there() {
    let disk = Disk::new();
    let elsewhere = disk.beside().join("config");
    fs::write(&elsewhere, "one").unwrap();
    disk.file("config", "");
    let _mount = Mount::bind(&elsewhere, disk.path("config"));
    let server = disk.serve(&[]);
    wait_until_served(&server, "config", b"one");
    fs::write(&elsewhere, "two, longer").unwrap();
    wait_until_served(&server, "config", b"two, longer");
}
