//! Directories that are renamed, replaced or taken away while they are served.

use std::fs;
use std::os::unix::fs::symlink;

use testkit::{Fault, Memtftp, Packet, Raw, Signal, data, wait_for, wrq};

use crate::{
    BINARY, Disk, THREADS, get, put, refused, temporary, threads, wait_until_gone,
    wait_until_served,
};

/// Begins an upload that is written and not durable yet.
fn begin_upload(server: &Memtftp, disk: &Disk, name: &str) -> (Raw, Fault) {
    let hangs = Fault::hang(&threads(server, "store"), "fsync");
    let mut client = Raw::new(server.address());
    assert_eq!(client.ask(&wrq(name, &[])), Packet::Ack(0));
    client.reply(&data(1, b"uploaded"));
    let directory = disk.path(name).parent().unwrap().to_owned();
    wait_for("it to be written", || (temporary(&directory).len() == 1).then_some(()));
    (client, hangs)
}

#[test]
fn an_upload_whose_directory_is_another_by_then_is_refused_and_served_nowhere() {
    let disk = Disk::new();
    disk.file("d/f", "old");
    let server = disk.serve(&[]);
    assert_eq!(get(&server, "d/f").unwrap(), b"old");
    let (mut client, hangs) = begin_upload(&server, &disk, "d/f");
    fs::rename(disk.path("d"), disk.path("e")).unwrap();
    disk.file("d/f", "of another directory");
    drop(hangs);
    let refusal = (0, "the server cannot store the file".to_owned());
    assert_eq!(client.receive_any().refusal(), refusal);
    wait_until_served(&server, "d/f", b"of another directory");
    wait_until_served(&server, "e/f", b"old");
    assert!(temporary(&disk.path("e")).is_empty() && temporary(&disk.path("d")).is_empty());
    put(&server, "d/f", b"again").unwrap();
    assert_eq!((disk.read("d/f"), disk.read("e/f")), (b"again".to_vec(), b"old".to_vec()));
    let log = server.stop();
    let reason = "d/f cannot be stored: its directory was renamed or replaced meanwhile";
    assert!(log.iter().any(|line| line.find("reason") == Some(reason)), "{log:#?}");
}

#[test]
fn without_the_directory_nothing_is_served_or_stored_until_it_is_back() {
    let disk = Disk::new();
    disk.file("f", "old");
    let server = disk.serve(&[]);
    assert_eq!(get(&server, "f").unwrap(), b"old");
    let (mut client, hangs) = begin_upload(&server, &disk, "f");
    let away = disk.above.path().join("away");
    fs::rename(disk.served(), &away).unwrap();
    wait_until_gone(&server, "f");
    server.wait_for_stderr(&format!("there is no directory at {}", disk.served().display()));
    drop(hangs);
    assert_eq!(client.receive_any().refusal().0, 0);
    server.signal(Signal::HUP);
    assert_eq!(refused(put(&server, "f", b"lost")).0, 0);
    assert_eq!(refused(get(&server, "f")), (1, "file not found".to_owned()));
    assert_eq!(fs::read(away.join("f")).unwrap(), b"old");
    assert!(temporary(&away).is_empty());
    fs::rename(&away, disk.served()).unwrap();
    wait_until_served(&server, "f", b"old");
    put(&server, "f", b"new").unwrap();
    assert_eq!(disk.read("f"), b"new");
    let log = server.stop();
    let reason = format!("f cannot be read: there is no directory at {}", disk.served().display());
    assert!(log.iter().any(|line| line.find("reason") == Some(&reason)), "{log:#?}");
}

#[test]
fn a_thread_that_hangs_where_the_directory_is_looked_for_stops_no_other() {
    let disk = Disk::new();
    let server = disk.serve(&[]);
    let hanging = [threads(&server, "load")[0], threads(&server, "store")[0]];
    let hangs = Fault::hang(&hanging, "newfstatat,statx,fstat,openat2");
    // One of these meets it, those that come after do not.
    let name = |number| format!("f{number}");
    let mut clients: Vec<Raw> = (0..4 * THREADS)
        .map(|number| {
            disk.file(&name(number), name(number));
            let client = Raw::new(server.address());
            client.send(&testkit::rrq(name(number), &[]));
            client
        })
        .collect();
    let answered = || {
        (clients.iter().filter(|client| client.has_packet()).count() + 1 >= 4 * THREADS)
            .then_some(())
    };
    wait_for("all but one", answered);
    let mut writers: Vec<Raw> = (0..4 * THREADS)
        .map(|number| {
            let client = Raw::new(server.address());
            client.send(&wrq(format!("up{number}"), &[]));
            client
        })
        .collect();
    let begun = || {
        (writers.iter().filter(|client| client.has_packet()).count() + 1 >= 4 * THREADS)
            .then_some(())
    };
    wait_for("all but one", begun);
    drop(hangs);
    for (number, client) in clients.iter_mut().enumerate() {
        let first = client.receive();
        assert_eq!(client.get_from(first).unwrap(), name(number).as_bytes());
    }
    for client in &mut writers {
        assert_eq!(client.receive(), Packet::Ack(0));
    }
}

#[test]
fn a_link_to_the_directory_is_no_file_that_cannot_be_served() {
    let disk = Disk::new();
    disk.file("f", "x").file("large", testkit::bytes(2_000_000));
    let link = disk.above.path().join("link");
    symlink("served", &link).unwrap();
    let server = Memtftp::serve(
        BINARY,
        &["--dir", link.to_str().unwrap(), "--uploads", "replace", "--memory", "1MB"],
    );
    assert_eq!(get(&server, "f").unwrap(), b"x");
    // Said when all names are listed, the link's before them.
    server.wait_for_stderr("large (2000000 bytes) is larger than the memory");
    let said = server.stderr();
    assert!(!said.iter().any(|line| line.contains("cannot be served: no client")), "{said:#?}");
}
