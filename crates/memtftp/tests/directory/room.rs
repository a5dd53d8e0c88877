//! The memory is smaller than the disk.

use std::thread;

use testkit::{Raw, STATUS_SOCKET, Signal, bytes, rrq, wait_for, wrq};

use crate::{BINARY, Disk, get, put, wait_until_served};

const FILES: usize = 200;
const SIZE: usize = 50_000;

fn content(number: usize) -> Vec<u8> {
    content_of(SIZE, number)
}

fn content_of(size: usize, number: usize) -> Vec<u8> {
    let mut content = bytes(size);
    content[..8].copy_from_slice(&(number as u64).to_be_bytes());
    content
}

fn full() -> Disk {
    full_of(SIZE)
}

fn full_of(size: usize) -> Disk {
    let disk = Disk::new();
    for number in 0..FILES {
        disk.file(&format!("f{number}"), content_of(size, number));
    }
    disk
}

#[test]
fn two_hundred_clients_read_ten_times_the_memory_within_it() {
    const LARGE: usize = 10 * SIZE;
    const MEMORY: usize = FILES * LARGE / 10;
    /// What the program takes beside its files.
    const OVERHEAD: usize = 32 << 20;
    let disk = full_of(LARGE);
    let memory = MEMORY.to_string();
    let server = disk.serve(&["--memory", &memory, "--status-socket", STATUS_SOCKET]);
    thread::scope(|scope| {
        for client in 0..200_usize {
            let server = &server;
            scope.spawn(move || {
                for turn in 0..5 {
                    let number = (client * 31 + turn * 77) % FILES;
                    // What others read may leave no room: it is waited for until there is.
                    let mut client = Raw::new(server.address());
                    let got = client.get(&format!("f{number}"), &[("blksize", "60000")]);
                    assert!(got.unwrap() == content_of(LARGE, number));
                }
            });
        }
    });
    let used = server.peak_memory();
    println!("{} MB at most", used / 1_000_000);
    assert!(used < MEMORY + OVERHEAD, "{used}, with {} on disk", FILES * LARGE);
    let files = server.status(BINARY)["memory"]["files"].as_u64().unwrap();
    assert!((MEMORY / 2..=MEMORY).contains(&(files as usize)), "{files} bytes in memory");
}

/// Whoever announces much and sends nothing has no effect on others.
#[test]
fn an_announced_upload_takes_nothing_out_of_memory_before_it_comes() {
    let disk = full();
    let flags = ["--memory", "100kB", "--max-client-memory", "1MB"];
    let server = disk.serve(&[&flags[..], &["--status-socket", STATUS_SOCKET]].concat());
    for number in 0..2 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number));
    }
    // Both have been read to the end, so they may leave.
    server.wait_for_log(2);
    let options = [("tsize", "90000"), ("blksize", "60000")];
    let mut client = Raw::new(server.address());
    let first = client.ask(&wrq("new", &options));
    assert_eq!(server.status(BINARY)["memory"]["file_count"], 2);
    client.put_from(first, &[7; 90_000]).unwrap();
    assert!(get(&server, "new").unwrap() == [7; 90_000]);
    let larger = [("tsize", "100001")];
    assert_eq!(client.ask(&wrq("new", &larger)).refusal().0, 3);
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
fn files_that_are_seeded_later_find_room() {
    let disk = full();
    let seed = tempfile::tempdir().unwrap();
    let preload = seed.path().to_str().unwrap();
    let server = disk.serve(&["--memory", "100kB", "--max-files", "2", "--preload", preload]);
    for number in 0..2 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number));
    }
    std::fs::write(seed.path().join("seed"), bytes(90_000)).unwrap();
    // What is still being read or loaded makes no room, and then nothing is seeded.
    wait_for("the seed", || {
        server.signal(Signal::HUP);
        get(&server, "seed").is_ok_and(|got| got == bytes(90_000)).then_some(())
    });
}

/// What they replace makes no room for others.
#[test]
fn more_seeded_files_than_there_may_be_are_refused_and_nothing_changes() {
    let disk = full();
    let seed = tempfile::tempdir().unwrap();
    let preload = seed.path().to_str().unwrap();
    let server = disk.serve(&["--memory", "200kB", "--max-files", "2", "--preload", preload]);
    for number in 0..2 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number));
    }
    for name in ["f0", "f1", "a", "b"] {
        std::fs::write(seed.path().join(name), name).unwrap();
    }
    server.signal(Signal::HUP);
    server.wait_for_stderr("--max-files");
    for number in 0..4 {
        assert!(get(&server, &format!("f{number}")).unwrap() == content(number));
    }
    // One of them, in place of the one on disk.
    for name in ["f1", "a", "b"] {
        std::fs::remove_file(seed.path().join(name)).unwrap();
    }
    server.signal(Signal::HUP);
    wait_until_served(&server, "f0", b"f0");
    assert!(get(&server, "f5").unwrap() == content(5), "there is room for another");
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
