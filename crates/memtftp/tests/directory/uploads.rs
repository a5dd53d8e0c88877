//! Uploads are on disk before their client is told.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use testkit::{Client, Job, Packet, Raw, bytes, data, wrq};

use crate::{Disk, get, put, refused, temporary};

#[test]
fn an_upload_is_on_disk_when_its_client_is_told() {
    let disk = Disk::new();
    disk.file("old", "old");
    for durability in ["fsync", "rename"] {
        let server = disk.serve(&["--durability", durability]);
        for (name, content) in [("new", bytes(100_000)), ("old", bytes(5)), ("empty", Vec::new())] {
            put(&server, name, &content).unwrap();
            assert!(disk.read(name) == content, "{name}");
            assert!(get(&server, name).unwrap() == content, "{name}");
        }
        assert_eq!(temporary(&disk.served()), [""; 0]);
        let local = server.path("local");
        fs::write(&local, bytes(70_000)).unwrap();
        Client::TftpHpa.must(&Job::put(server.address(), "hpa", &local));
        assert!(disk.read("hpa") == bytes(70_000));
    }
    let server = disk.serve(&[]);
    assert!(get(&server, "new").unwrap() == bytes(100_000), "after a restart");
}

#[test]
fn an_upload_that_is_not_completed_leaves_nothing_on_disk() {
    let disk = Disk::new();
    let server = disk.serve(&[]);
    let mut client = Raw::new(server.address());
    assert_eq!(client.ask(&wrq("half", &[])), Packet::Ack(0));
    client.say(&data(1, &[1; 512]));
    assert_eq!(fs::read_dir(disk.served()).unwrap().count(), 0);
    assert_eq!(refused(get(&server, "half")).0, 1);
    drop(server);
    assert_eq!(fs::read_dir(disk.served()).unwrap().count(), 0);
}

#[test]
fn directories_are_made_only_if_wanted_and_modes_follow_umask() {
    let disk = Disk::new();
    let server = disk.serve(&[]);
    let (code, text) = refused(put(&server, "a/b/c", b"x"));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("--create-dirs"), "{text}");
    let server = disk.serve(&["--create-dirs", "--umask", "027"]);
    put(&server, "a/b/c", b"x").unwrap();
    let mode = |name: &str| fs::metadata(disk.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a"), mode("a/b"), mode("a/b/c")), (0o750, 0o750, 0o640));
    assert_eq!(get(&server, "a/b/c").unwrap(), b"x");
}

#[test]
fn existing_files_on_disk_are_kept_where_uploads_only_create() {
    let disk = Disk::new();
    disk.file("there", "first");
    let server = disk.serve(&["--uploads", "create"]);
    assert_eq!(refused(put(&server, "there", b"second")).0, 6);
    put(&server, "new", b"first").unwrap();
    assert_eq!(refused(put(&server, "new", b"second")).0, 6);
    // Two that begin before either ends: one of them wins.
    let mut first = Raw::new(server.address());
    let mut second = Raw::new(server.address());
    assert_eq!(first.ask(&wrq("race", &[])), Packet::Ack(0));
    assert_eq!(second.ask(&wrq("race", &[])), Packet::Ack(0));
    assert_eq!(first.say(&data(1, b"first")), Packet::Ack(1));
    assert_eq!(second.say(&data(1, b"second")).refusal().0, 6);
    assert_eq!((disk.read("there"), disk.read("race")), (b"first".to_vec(), b"first".to_vec()));
    assert_eq!(temporary(&disk.served()), [""; 0]);
}

#[test]
fn an_upload_does_not_follow_a_link_out() {
    let disk = Disk::new();
    let secret = disk.beside().join("secret");
    fs::write(&secret, "outside").unwrap();
    symlink(disk.beside(), disk.path("out")).unwrap();
    symlink(&secret, disk.path("leaves")).unwrap();
    fs::create_dir(disk.path("dir")).unwrap();
    let server = disk.serve(&["--create-dirs"]);
    for name in ["out/secret", "out/new", "leaves", "dir", ".memtftp-1-1.tmp"] {
        assert_eq!(refused(put(&server, name, b"x")).0, 2, "{name}");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"outside");
    assert_eq!(fs::read_dir(disk.beside()).unwrap().count(), 1);
}

#[test]
fn an_upload_keeps_the_rights_of_the_file_that_it_replaces() {
    let disk = Disk::new();
    let server = disk.serve(&["--umask", "022"]);
    for (name, mode) in [("a", 0o640), ("b", 0o600), ("c", 0o666), ("d", 0o440)] {
        disk.file(name, "old");
        fs::set_permissions(disk.path(name), PermissionsExt::from_mode(mode)).unwrap();
        put(&server, name, b"new").unwrap();
        let found = fs::metadata(disk.path(name)).unwrap();
        assert_eq!((disk.read(name), found.mode() & 0o7777), (b"new".to_vec(), mode), "{name}");
    }
    // A network test runs as root anyway: only root may give a file away.
    disk.file("e", "old");
    if chown(disk.path("e"), Some(12_345), Some(23_456)).is_ok() {
        put(&server, "e", b"new").unwrap();
        let found = fs::metadata(disk.path("e")).unwrap();
        assert_eq!((found.uid(), found.gid()), (12_345, 23_456));
    } else {
        println!("NOT CHECKED: owner and group, which takes root");
    }
}
