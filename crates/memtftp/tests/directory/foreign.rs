//! Other people's clients, while files change on disk.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use testkit::{Client, Job, Memtftp, unprivileged, wait_for};

use crate::{BINARY, Disk, get, temporary, wait_until_served};

/// More than a client has read before the next version is there.
const LEN: usize = 400_000;

/// A version: the same byte throughout, so that a mixture of two can be told.
fn version(number: u8) -> Vec<u8> {
    vec![number; LEN + usize::from(number)]
}

/// Which version this is.
fn number_of(file: &[u8]) -> u8 {
    let number = *file.first().unwrap();
    assert!(file == version(number), "{} bytes that begin with {number}", file.len());
    number
}

fn read(client: Client, server: &Memtftp, name: &str) -> u8 {
    let local = server.path(&format!("{client:?}"));
    client.must(&Job::get(server.address(), name, &local));
    number_of(&fs::read(&local).unwrap())
}

/// All clients read at once while the file changes.
fn read_beside(server: &Memtftp, name: &str, change: impl FnOnce()) -> [u8; 4] {
    thread::scope(|scope| {
        let readers = Client::ALL.map(|client| scope.spawn(move || read(client, server, name)));
        change();
        readers.map(|reader| reader.join().unwrap())
    })
}

/// No client gets the file, and the server says why.
fn assert_refused(server: &Memtftp, name: &str, code: &str) {
    let refused = [("file", name), ("kind", "read"), ("outcome", "refused"), ("code", code)];
    let told = || server.log().iter().filter(|line| line.is(&refused)).count();
    let before = told();
    for client in Client::ALL {
        let done = client.run(&Job::get(server.address(), name, &server.path("none")));
        // tftp-hpa is content after an error.
        assert!(client == Client::TftpHpa || !done.status.success(), "{client:?}: {done:?}");
    }
    // Some ask again without options.
    wait_for("its lines", || (told() >= before + Client::ALL.len()).then_some(()));
}

#[test]
fn files_that_are_replaced_by_renaming_are_read_whole() {
    let disk = Disk::new();
    disk.file("d/f", version(0));
    let server = disk.serve(&[]);
    for round in 0..4 {
        let versions = 1 + 40 * round..=40 * (round + 1);
        let last = *versions.end();
        read_beside(&server, "d/f", || {
            for number in versions {
                disk.file("d/f", version(number));
            }
        });
        wait_until_served(&server, "d/f", &version(last));
        assert_eq!(Client::ALL.map(|client| read(client, &server, "d/f")), [last; 4]);
    }
}

#[test]
fn files_that_are_written_in_place_are_read_as_they_were_and_then_as_they_are() {
    let disk = Disk::new();
    disk.file("watched", "x").file("f", version(0));
    let server = crate::changes::watching(&disk);
    assert_eq!(read(Client::Curl, &server, "f"), 0);
    for number in 1..4 {
        let whole = version(number);
        let (half, rest) = whole.split_at(LEN / 2);
        let mut writer = File::create(disk.path("f")).unwrap();
        let seen = read_beside(&server, "f", || writer.write_all(half).unwrap());
        assert_eq!(seen, [number - 1; 4]);
        let seen = read_beside(&server, "f", || {
            writer.write_all(rest).unwrap();
            drop(writer);
        });
        assert!(seen.iter().all(|seen| [number - 1, number].contains(seen)), "{seen:?}");
        wait_until_served(&server, "f", &whole);
    }
}

#[test]
fn files_that_are_deleted_or_unreadable_are_refused_until_they_are_back() {
    let disk = Disk::new();
    disk.file("deleted", version(1)).file("unreadable", version(2));
    fs::set_permissions(disk.above.path(), Permissions::from_mode(0o755)).unwrap();
    let allow = |mode| fs::set_permissions(disk.path("unreadable"), Permissions::from_mode(mode));
    let served = disk.served();
    let flags = ["--dir", served.to_str().unwrap(), "--uploads", "off"];
    let server = Memtftp::start(unprivileged(BINARY, &disk.beside()), &flags);
    assert_eq!(read(Client::Curl, &server, "deleted"), 1);
    assert_eq!(read(Client::Curl, &server, "unreadable"), 2);
    fs::remove_file(disk.path("deleted")).unwrap();
    allow(0o000).unwrap();
    for name in ["deleted", "unreadable"] {
        wait_for("the end of a file", || get(&server, name).err());
    }
    assert_refused(&server, "deleted", "1");
    assert_refused(&server, "unreadable", "2");
    disk.file("deleted", version(3));
    allow(0o644).unwrap();
    wait_until_served(&server, "unreadable", &version(2));
    for client in Client::ALL {
        assert_eq!(read(client, &server, "deleted"), 3);
        assert_eq!(read(client, &server, "unreadable"), 2);
    }
}

/// Clients upload what somebody replaces on disk at the same time: the last one wins, everywhere.
#[test]
fn uploads_while_their_files_are_replaced_on_disk_are_whole() {
    let disk = Disk::new();
    let server = disk.serve(&["--durability", "rename"]);
    let name = |client: Client| format!("{client:?}");
    for round in 0..3 {
        thread::scope(|scope| {
            for client in Client::ALL {
                let (server, name) = (&server, name(client));
                let local = server.path(&format!("sent-{name}"));
                fs::write(&local, version(2 * round)).unwrap();
                scope.spawn(move || client.must(&Job::put(server.address(), &name, &local)));
            }
            for _ in 0..20 {
                for client in Client::ALL {
                    disk.file(&name(client), version(2 * round + 1));
                }
            }
        });
        for client in Client::ALL {
            let on_disk = disk.read(&name(client));
            assert!([2 * round, 2 * round + 1].contains(&number_of(&on_disk)));
            wait_until_served(&server, &name(client), &on_disk);
        }
    }
    assert_eq!(temporary(&disk.served()), [""; 0]);
}
