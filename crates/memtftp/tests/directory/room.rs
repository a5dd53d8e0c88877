//! The memory is smaller than the disk.

use std::thread;

use testkit::{Raw, bytes, rrq};

use crate::{Disk, get, put};

const FILES: usize = 200;
const SIZE: usize = 50_000;

fn content(number: usize) -> Vec<u8> {
    let mut content = bytes(SIZE);
    content[..8].copy_from_slice(&(number as u64).to_be_bytes());
    content
}

fn full() -> Disk {
    let disk = Disk::new();
    for number in 0..FILES {
        disk.file(&format!("f{number}"), content(number));
    }
    disk
}

#[test]
fn two_hundred_clients_read_ten_times_the_memory_within_it() {
    let disk = full();
    let server = disk.serve(&["--memory", "1MB"]);
    thread::scope(|scope| {
        for client in 0..200_usize {
            let server = &server;
            scope.spawn(move || {
                for turn in 0..5 {
                    let number = (client * 31 + turn * 77) % FILES;
                    // What others read may leave no room: it is waited for until there is.
                    let got = get(server, &format!("f{number}"));
                    assert!(got.unwrap() == content(number));
                }
            });
        }
    });
    let used = server.peak_memory();
    println!("{} MiB at most", used >> 20);
    assert!(used < 64 << 20, "{used}");
}

#[test]
fn a_file_that_is_read_does_not_leave() {
    let disk = full();
    let server = disk.serve(&["--memory", "200kB"]);
    let mut reader = Raw::new(server.address());
    let first = reader.ask(&rrq("f0", &[]));
    for number in 1..50 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number));
    }
    assert!(reader.get_from(first).unwrap() == content(0));
}

#[test]
fn uploads_make_room_and_are_served_again_from_disk() {
    let disk = Disk::new();
    let server = disk.serve(&["--memory", "300kB", "--max-files", "5"]);
    for number in 0..20 {
        put(&server, &format!("f{number}"), &content(number)).unwrap();
    }
    for number in 0..20 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number), "{number}");
        assert!(disk.read(&format!("f{number}")) == content(number));
    }
}

#[test]
fn files_that_are_only_in_memory_stay() {
    let disk = full();
    let seed = tempfile::tempdir().unwrap();
    std::fs::write(seed.path().join("seed"), bytes(20_000)).unwrap();
    let preload = seed.path().to_str().unwrap();
    let server = disk.serve(&["--memory", "100kB", "--preload", preload]);
    for number in 0..20 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number));
    }
    assert!(get(&server, "seed").unwrap() == bytes(20_000));
}

#[test]
fn memory_that_is_all_being_read_is_a_refusal_that_passes() {
    let disk = full();
    let server = disk.serve(&["--memory", "100kB"]);
    let readers: Vec<Raw> = (0..2)
        .map(|number| {
            let mut reader = Raw::new(server.address());
            reader.ask(&rrq(format!("f{number}"), &[]));
            reader
        })
        .collect();
    let (code, text) = get(&server, "f5").unwrap_err().refusal();
    assert_eq!((code, text.as_str()), (0, "no memory left for the file, try again later"));
    for reader in &readers {
        reader.reply(&testkit::error(0, "enough"));
    }
    assert!(get(&server, "f5").unwrap() == content(5));
}
