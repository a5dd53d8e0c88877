//! What is served of a directory, and what is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use testkit::{Client, Job, Memtftp, Packet, Raw, STATUS_SOCKET, bytes, rrq, unprivileged};

use crate::{BINARY, Disk, get, refused};

#[test]
fn every_file_is_served_by_its_relative_name() {
    let disk = Disk::new();
    disk.file("a", "one").file("deep/er/b.bin", bytes(100_000)).file("empty", "");
    let server = disk.serve(&[]);
    assert_eq!(get(&server, "/a").unwrap(), b"one");
    assert!(get(&server, "deep\\er//b.bin").unwrap() == bytes(100_000));
    assert_eq!(get(&server, "empty").unwrap(), b"");
    assert_eq!(refused(get(&server, "none")), (1, "file not found".into()));
    assert_eq!(refused(get(&server, "none/a")), (1, "file not found".into()));
    assert_eq!(refused(get(&server, "a/none")), (1, "file not found".into()));
    let local = server.path("copy");
    Client::Curl.must(&Job::get(server.address(), "deep/er/b.bin", &local));
    assert!(fs::read(local).unwrap() == bytes(100_000));
}

#[test]
fn a_request_that_is_repeated_while_its_file_is_loaded_gets_one_answer() {
    let disk = Disk::new();
    let server = disk.serve(&[]);
    disk.file("large", bytes(50_000_000));
    let mut client = Raw::new(server.address());
    let request = rrq("large", &[]);
    client.send(&request);
    client.send(&request);
    client.send(&request);
    let first = client.receive();
    assert!(client.get_from(first).unwrap() == bytes(50_000_000));
    let log = server.stop();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert_eq!(log[0].get("outcome"), "ok");
}

#[test]
fn links_stay_inside_and_what_is_no_file_is_refused_and_named_in_the_log() {
    let disk = Disk::new();
    disk.file("real", "inside");
    fs::create_dir(disk.path("dir")).unwrap();
    fs::write(disk.beside().join("secret"), "outside").unwrap();
    symlink("real", disk.path("link")).unwrap();
    symlink("../beside/secret", disk.path("leaves")).unwrap();
    symlink(disk.beside(), disk.path("absolute")).unwrap();
    symlink("loop", disk.path("loop")).unwrap();
    let fifo = Command::new("mkfifo").arg(disk.path("fifo")).status().unwrap();
    assert!(fifo.success());
    let _socket = UnixListener::bind(disk.path("socket")).unwrap();
    let server = disk.serve(&["--workers", "1"]);
    assert_eq!(get(&server, "link").unwrap(), b"inside");
    let here = (2, "file cannot be read here".to_owned());
    for name in ["leaves", "absolute/secret", "loop", "fifo", "socket", "dir"] {
        assert_eq!(refused(get(&server, name)), here, "{name}");
    }
    assert_eq!(refused(get(&server, "../beside/secret")).0, 2);
    let log = server.stop();
    let reason = |name: &str| {
        let line = log.iter().find(|line| line.get("file") == name).unwrap();
        line.get("reason").to_owned()
    };
    assert_eq!(reason("leaves"), "leaves cannot be read: a link leads out of the directory");
    assert_eq!(reason("fifo"), "fifo cannot be read: it is no regular file");
}

#[test]
fn what_the_disk_refuses_is_counted() {
    let disk = Disk::new();
    disk.file("readable", "x").file("unreadable", "x");
    symlink("/etc/passwd", disk.path("leaves")).unwrap();
    for (name, kind) in [("device", &["c", "1", "3"][..]), ("fifo", &["p"])] {
        let made = Command::new("mknod").arg(disk.path(name)).args(kind).status().unwrap();
        assert!(made.success(), "mknod, which takes root");
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(disk.above.path(), 0o755);
    mode(&disk.path("unreadable"), 0o000);
    let served = disk.served();
    let flags = [
        "--dir",
        served.to_str().unwrap(),
        "--uploads",
        "replace",
        "--status-socket",
        STATUS_SOCKET,
    ];
    let server = Memtftp::start(unprivileged(BINARY, &disk.beside()), &flags);
    assert_eq!(refused(get(&server, "none")).0, 1);
    assert_eq!(get(&server, "readable").unwrap(), b"x");
    for (at, name) in ["leaves", "device", "fifo", "unreadable"].iter().enumerate() {
        let here = (2, "file cannot be read here".to_owned());
        assert_eq!(refused(get(&server, name)), here, "{name}");
        assert_eq!(server.status(BINARY)["refused"]["disk"], at + 1, "{name}");
    }
    let text = server.printed_status(BINARY, &[]);
    assert!(text.contains("refused      4 disk, 1 not_found\n"), "{text}");
}

#[test]
fn a_hundred_thousand_files_delay_nothing() {
    let disk = Disk::new();
    for directory in 0..100 {
        let directory = disk.path(&format!("d{directory}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..1_000 {
            fs::write(directory.join(format!("f{file}")), format!("{file}")).unwrap();
        }
    }
    let begun = std::time::Instant::now();
    let server = disk.serve(&["--max-files", "200000"]);
    let ready = begun.elapsed();
    assert_eq!(get(&server, "d99/f999").unwrap(), b"999");
    let first = begun.elapsed();
    println!("ready after {ready:?}, the first file after {first:?}");
    assert!(ready.as_secs() < 5 && first.as_secs() < 10, "{ready:?} {first:?}");
    for directory in [0, 50, 98] {
        assert_eq!(
            get(&server, &format!("d{directory}/f{directory}")).unwrap(),
            directory.to_string().as_bytes()
        );
    }
}

#[test]
fn a_file_of_two_gigabytes_is_served() {
    const SIZE: u64 = 2 << 30;
    let disk = Disk::new();
    disk.file("image", "");
    let file = fs::File::options().write(true).open(disk.path("image")).unwrap();
    file.set_len(SIZE).unwrap();
    // Open for writing, it would count as being written.
    drop(file);
    crate::age(&disk.path("image"));
    let server = disk.serve(&["--memory", "3GiB"]);
    // Loading it may take longer than a client asks with options.
    let loaded = Raw::new(server.address()).ask(&rrq("image", &[("tsize", "0")]));
    assert_eq!(loaded, Packet::oack(&[("tsize", &SIZE.to_string())]));
    let local = server.path("copy");
    let url = format!("tftp://{}/image", server.address());
    let status = Command::new(crate::BINARY).args(["get", "--quiet", &url]).arg(&local).status();
    assert!(status.unwrap().success());
    assert_eq!(fs::metadata(&local).unwrap().len(), SIZE);
    fs::remove_file(local).unwrap();
}

#[test]
fn a_file_that_is_larger_than_the_memory_is_refused_with_a_clear_text() {
    let disk = Disk::new();
    disk.file("large", bytes(2_000_000)).file("small", "small");
    let server = disk.serve(&["--memory", "1MB"]);
    server.wait_for_stderr("large (2000000 bytes) is larger than the memory");
    let (code, text) = refused(get(&server, "large"));
    assert_eq!((code, text.as_str()), (0, "file is larger than the server's memory, see --memory"));
    assert_eq!(get(&server, "small").unwrap(), b"small");
}

#[test]
fn a_directory_that_does_not_exist_is_an_error_that_says_what_to_type() {
    let failed = testkit::Memtftp::fails(crate::BINARY, &["--dir", "/nowhere/at/all"]);
    assert_eq!(failed.lines.len(), 1, "{failed:?}");
    assert!(failed.lines[0].contains("/nowhere/at/all") && failed.lines[0].contains("--dir"));
    let failed = testkit::Memtftp::fails(crate::BINARY, &["--umask", "077"]);
    assert!(failed.lines[0].contains("--umask means nothing without --dir"), "{failed:?}");
}
