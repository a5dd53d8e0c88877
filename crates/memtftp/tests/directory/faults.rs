//! Disks that hang, and disks that fail.
//!
//! System calls of the threads that load, or of those that store, hang or fail while the server runs.

use std::fs;
use std::path::Path;

use testkit::{
    Fault, Memtftp, Packet, Raw, Signal, bytes, data, error, faulty, rrq, wait_for, wrq,
};

use crate::{
    BINARY, Disk, THREADS, get, put, refused, temporary, threads, wait_until_gone,
    wait_until_served,
};

/// Reads of a file in memory while the disk hangs.
const READS: usize = 50;

/// A server that has `held` in memory, and answers requests in the order they come.
fn holding(disk: &Disk) -> Memtftp {
    disk.file("held", "in memory");
    let server = disk.serve(&["--workers", "1"]);
    assert_eq!(get(&server, "held").unwrap(), b"in memory");
    server
}

/// Names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_disk_that_hangs_on_reading_delays_only_those_who_want_what_it_has() {
    const FILES: usize = 2 * THREADS;
    let disk = Disk::new();
    let server = holding(&disk);
    let readers = [threads(&server, "load"), threads(&server, "look")].concat();
    let hangs = Fault::hang(&readers, "openat2");
    let content = |file: usize| bytes(1_000 + file);
    let mut waiting: Vec<(usize, Raw)> = Vec::new();
    for file in 0..FILES {
        let name = format!("f{file}");
        disk.file(&name, content(file));
        for client in [Raw::new(server.address()), Raw::new(server.address())] {
            (0..3).for_each(|_| client.send(&rrq(&name, &[])));
            waiting.push((file, client));
        }
    }
    for _ in 0..READS {
        assert_eq!(get(&server, "held").unwrap(), b"in memory");
    }
    put(&server, "up", b"by other threads").unwrap();
    assert_eq!(disk.read("up"), b"by other threads");
    assert_eq!(get(&server, "up").unwrap(), b"by other threads");
    assert!(waiting.iter().all(|(_, client)| !client.has_packet()), "they wait");
    drop(hangs);
    for (file, client) in &mut waiting {
        let first = client.receive();
        assert!(client.get_from(first).unwrap() == content(*file), "{file}");
    }
    let log = server.stop();
    assert_eq!(log.len(), 1 + READS + 2 + waiting.len(), "a line for each: {log:#?}");
    assert!(log.iter().all(|line| line.get("outcome") == "ok"), "{log:#?}");
}

#[test]
fn a_disk_that_hangs_on_an_upload_delays_only_its_client_whose_repeats_are_absorbed() {
    let disk = Disk::new();
    let server = holding(&disk);
    let hangs = Fault::hang(&threads(&server, "store"), "fsync");
    let [mut first, mut second] = [(); 2].map(|()| Raw::new(server.address()));
    assert_eq!(first.ask(&wrq("first", &[])), Packet::Ack(0));
    first.reply(&data(1, b"whole"));
    wait_for("it to be written", || (temporary(&disk.served()).len() == 1).then_some(()));
    // In lock-step up to its last block.
    assert_eq!(second.ask(&wrq("second", &[])), Packet::Ack(0));
    for block in 1..=20 {
        assert_eq!(second.say(&data(block, &[9; 512])), Packet::Ack(block));
    }
    second.reply(&data(21, b"end"));
    wait_for("both to be written", || (temporary(&disk.served()).len() == 2).then_some(()));
    for _ in 0..READS {
        first.reply(&data(1, b"whole"));
        assert_eq!(get(&server, "held").unwrap(), b"in memory");
    }
    disk.file("new", "on disk");
    assert_eq!(get(&server, "new").unwrap(), b"on disk", "loading waits for no storing");
    assert!(![&first, &second].iter().any(|client| client.has_packet()), "nothing is durable");
    assert!(!disk.path("first").exists() && !disk.path("second").exists());
    assert_eq!(refused(get(&server, "first")).0, 1, "not before its client is told");
    drop(hangs);
    assert_eq!((first.receive_any(), second.receive_any()), (Packet::Ack(1), Packet::Ack(21)));
    let whole = [&[9; 20 * 512][..], b"end"].concat();
    assert!(disk.read("first") == b"whole" && disk.read("second") == whole);
    assert!(get(&server, "first").unwrap() == b"whole" && get(&server, "second").unwrap() == whole);
    assert!(![&first, &second].iter().any(|client| client.has_packet()), "one answer each");
    // A repeat that comes now asks for the answer that was lost.
    first.reply(&data(1, b"whole"));
    assert_eq!(first.receive_any(), Packet::Ack(1));
    let log = server.stop();
    let writes = log.iter().filter(|line| line.is(&[("kind", "write"), ("outcome", "ok")]));
    assert_eq!(writes.count(), 2, "{log:#?}");
}

/// They take each other's places, and the newest has one.
#[test]
fn write_requests_that_nobody_follows_up_keep_no_upload_out_while_the_disk_hangs() {
    /// More than may wait to begin.
    const REQUESTS: usize = 4_096 + 200;
    let disk = Disk::new();
    let server = holding(&disk);
    let hangs = Fault::hang(&threads(&server, "store"), "openat2");
    for number in 0..REQUESTS {
        // From ever another port.
        Raw::new(server.address()).send(&wrq(format!("new-{number}"), &[]));
        if number % 64 == 0 {
            assert_eq!(get(&server, "held").unwrap(), b"in memory", "all were heard");
        }
    }
    let mut client = Raw::new(server.address());
    client.send(&wrq("up", &[]));
    assert_eq!(get(&server, "held").unwrap(), b"in memory");
    assert!(!client.has_packet(), "it waits like the others");
    drop(hangs);
    let begun = client.receive();
    assert_eq!(begun, Packet::Ack(0));
    client.put_from(begun, b"content").unwrap();
    assert_eq!(disk.read("up"), b"content");
    let log = server.log();
    assert!(!log.iter().any(|line| line.get("outcome") == "refused"), "{log:#?}");
    let evicted = [("kind", "write"), ("outcome", "dropped")];
    assert!(log.iter().any(|line| line.is(&evicted)), "the oldest made room");
}

/// It may have stored another one since, which must not be lost.
#[test]
fn an_upload_whose_client_has_left_while_the_disk_hangs_is_not_stored_late() {
    let disk = Disk::new();
    let server = holding(&disk);
    let hangs = Fault::hang(&threads(&server, "store"), "fsync");
    let mut client = Raw::new(server.address());
    assert_eq!(client.ask(&wrq("held", &[])), Packet::Ack(0));
    client.reply(&data(1, b"late"));
    wait_for("it to be written", || (temporary(&disk.served()).len() == 1).then_some(()));
    client.reply(&error(0, "enough"));
    let aborted = [("kind", "write"), ("outcome", "aborted")];
    wait_for("its line", || server.log().iter().any(|line| line.is(&aborted)).then_some(()));
    drop(hangs);
    wait_for("its end", || temporary(&disk.served()).is_empty().then_some(()));
    assert_eq!(disk.read("held"), b"in memory");
    assert_eq!(get(&server, "held").unwrap(), b"in memory");
    put(&server, "held", b"next").unwrap();
    assert_eq!(disk.read("held"), b"next");
}

#[test]
fn uploads_that_wait_for_the_disk_count_as_their_clients() {
    let disk = Disk::new();
    let server = disk.serve(&["--workers", "1", "--max-client-memory", "100kB"]);
    let hangs = Fault::hang(&threads(&server, "store"), "fsync");
    let options = [("blksize", "60000")];
    let mut waiting = Raw::new(server.address());
    waiting.ask(&wrq("first", &options));
    assert_eq!(waiting.say(&data(1, &[1; 60_000])), Packet::Ack(1));
    waiting.reply(&data(2, &[1; 20_000]));
    wait_for("it to be written", || (temporary(&disk.served()).len() == 1).then_some(()));
    let mut more = Raw::new(server.address());
    more.ask(&wrq("second", &options));
    assert_eq!(more.say(&data(1, &[2; 60_000])).refusal().0, 3);
    drop(hangs);
    assert_eq!(waiting.receive(), Packet::Ack(2));
    more.put("second", &[2; 80_000], &options).unwrap();
    assert_eq!(disk.read("second"), [2; 80_000]);
}

#[test]
fn a_disk_that_fails_takes_nothing_out_of_memory() {
    let disk = Disk::new();
    let server = holding(&disk);
    let fault = Fault::start(&threads(&server, "load"), "openat2", "error=EIO");
    server.signal(Signal::HUP);
    server.wait_for_stderr("cannot tell whether held has changed: Input/output error");
    for _ in 0..READS {
        assert_eq!(get(&server, "held").unwrap(), b"in memory");
    }
    assert_eq!(refused(get(&server, "other")).0, 2);
    drop(fault);
    disk.file("held", "new");
    wait_until_served(&server, "held", b"new");
}

#[test]
fn a_disk_that_hangs_on_a_look_delays_a_file_in_memory_once_and_the_log_says_so() {
    let disk = Disk::new();
    let server = holding(&disk);
    let hangs = Fault::hang(&threads(&server, "look"), "openat2");
    // The first that waits for a look is answered without it, and so are those that come then.
    wait_for("the warning", || {
        assert_eq!(get(&server, "held").unwrap(), b"in memory");
        let warning = "cannot tell whether held has changed: no answer in 2 s";
        server.stderr().iter().any(|line| line.contains(warning)).then_some(())
    });
    let begun = std::time::Instant::now();
    for _ in 0..READS {
        assert_eq!(get(&server, "held").unwrap(), b"in memory");
    }
    assert!(begun.elapsed().as_secs() < 2, "they do not wait: {:?}", begun.elapsed());
    // Other threads load.
    disk.file("other", "on disk");
    assert_eq!(get(&server, "other").unwrap(), b"on disk");
    drop(hangs);
    disk.file("held", "new");
    wait_until_served(&server, "held", b"new");
    fs::remove_file(disk.path("held")).unwrap();
    wait_until_gone(&server, "held");
}

#[test]
fn an_upload_that_the_disk_does_not_take_is_refused_and_leaves_nothing() {
    let broken = (0, "the server cannot store the file".to_owned());
    let full = (3, "the server's disk is full".to_owned());
    let disk = Disk::new();
    let server = holding(&disk);
    for (calls, error, refusal) in [
        ("openat", "EIO", &broken),
        ("write", "EIO", &broken),
        ("write", "EDQUOT", &full),
        ("fsync", "EIO", &broken),
        ("fsync", "ENOSPC", &full),
        ("/^renameat", "EIO", &broken),
    ] {
        let fault = Fault::start(&threads(&server, "store"), calls, &format!("error={error}"));
        for name in ["held", "new"] {
            assert_eq!(refused(put(&server, name, b"new")), *refusal, "{calls} {error}");
        }
        drop(fault);
        assert_eq!(names(&disk.served()), ["held"], "{calls} {error}");
        assert_eq!(disk.read("held"), b"in memory");
        assert_eq!(get(&server, "held").unwrap(), b"in memory");
        assert_eq!(refused(get(&server, "new")).0, 1);
    }
    for name in ["held", "new"] {
        put(&server, name, b"new").unwrap();
        assert_eq!((disk.read(name), get(&server, name).unwrap()), (b"new".into(), b"new".into()));
    }
    let log = server.stop();
    let reason = "held cannot be stored: Input/output error (os error 5)";
    assert_eq!(log.iter().filter(|line| line.find("reason") == Some(reason)).count(), 4);
}

/// The file has its name by then, and which one is there after a crash is for the disk to say. With
/// the system's news of changes and without.
#[test]
fn an_upload_whose_name_is_not_durable_is_refused_and_what_is_on_disk_is_served() {
    let directory_fails = ("fsync", "error=EIO:when=2");
    for faults in [&[directory_fails][..], &[directory_fails, ("inotify_init1", "error=EMFILE")]] {
        let disk = Disk::new();
        disk.file("f", "old");
        let served = disk.served();
        let flags = ["--dir", served.to_str().unwrap(), "--uploads", "replace"];
        let server = Memtftp::start(faulty(BINARY, faults), &flags);
        assert_eq!(get(&server, "f").unwrap(), b"old");
        let broken = (0, "the server cannot store the file".to_owned());
        assert_eq!(refused(put(&server, "f", b"new")), broken);
        assert_eq!(names(&disk.served()), ["f"], "nothing is left behind");
        let there = disk.read("f");
        assert!(there == b"old" || there == b"new", "{there:?}");
        assert_eq!(get(&server, "f").unwrap(), there, "{faults:?}");
        // It fails once in each thread.
        assert!((0..=THREADS).any(|_| put(&server, "f", b"newer").is_ok()));
        assert_eq!(
            (disk.read("f"), get(&server, "f").unwrap()),
            (b"newer".into(), b"newer".into())
        );
    }
}

/// Some file systems cannot.
#[test]
fn a_disk_that_cannot_rename_without_replacing_keeps_what_is_there_all_the_same() {
    let disk = Disk::new();
    let server = disk.serve(&["--uploads", "create"]);
    let _fault = Fault::start(&threads(&server, "store"), "/^renameat", "error=EINVAL");
    let mut clients = [(); 2].map(|()| Raw::new(server.address()));
    for client in &mut clients {
        assert_eq!(client.ask(&wrq("f", &[])), Packet::Ack(0));
    }
    let [first, second] = &mut clients;
    assert_eq!(first.say(&data(1, b"first")), Packet::Ack(1));
    assert_eq!(second.say(&data(1, b"second")).refusal().0, 6);
    assert_eq!(names(&disk.served()), ["f"], "nothing is left behind");
    assert_eq!((disk.read("f"), get(&server, "f").unwrap()), (b"first".into(), b"first".into()));
}

#[test]
fn a_file_that_cannot_be_read_is_refused_and_is_served_when_it_can_be() {
    let disk = Disk::new();
    let server = holding(&disk);
    let fault = Fault::start(&threads(&server, "load"), "read", "error=EIO");
    disk.file("f", bytes(5_000));
    for _ in 0..3 {
        assert_eq!(refused(get(&server, "f")), (2, "file cannot be read here".to_owned()));
    }
    assert_eq!(get(&server, "held").unwrap(), b"in memory");
    drop(fault);
    assert!(get(&server, "f").unwrap() == bytes(5_000));
    let log = server.stop();
    let reason = "f cannot be read: Input/output error (os error 5)";
    let named = log.iter().filter(|line| line.is(&[("file", "f"), ("reason", reason)]));
    assert_eq!(named.count(), 3, "{log:#?}");
}
