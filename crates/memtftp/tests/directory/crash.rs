//! The server is killed at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use testkit::{Raw, Signal, bytes, wait_for};

use crate::{Disk, get, put, temporary};

/// In one round several clients upload without a pause until the server is killed. More of them by
/// `MEMTFTP_CRASH_ROUNDS=200 cargo test -p memtftp --test directory crash`.
const ROUNDS: u64 = 12;

fn rounds() -> u64 {
    std::env::var("MEMTFTP_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

#[test]
fn after_a_kill_each_file_is_the_old_or_the_new_one_whole() {
    let disk = Disk::new();
    let mut versions: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for round in 0..rounds() {
        let server = disk.serve(&["--workers", "1"]);
        for (name, versions) in &versions {
            let got = get(&server, name).unwrap_or_default();
            assert!(versions.contains(&got), "{name}: {} bytes", got.len());
            assert!(got == fs::read(disk.path(name)).unwrap_or_default());
        }
        wait_for("the end of what is left", || temporary(&disk.served()).is_empty().then_some(()));
        let address = server.address();
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let name = format!("f{client}");
                let known = versions.entry(name.clone()).or_insert_with(|| vec![Vec::new()]);
                let sent: Vec<Vec<u8>> =
                    (1..=20).map(|n| bytes((round as usize * 977 + n * 1_531) % 30_000)).collect();
                known.extend(sent.iter().cloned());
                thread::spawn(move || {
                    for file in sent {
                        let mut client = Raw::new(address);
                        // A client whose server is gone waits for an answer that does not come.
                        let put = || client.put(&name, &file, &[("blksize", "1400")]);
                        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(put)).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        // As far as it happens to get: each round is another moment.
        let some = 3 + round % ROUNDS * 5;
        wait_for("some uploads", || (server.log().len() as u64 >= some).then_some(()));
        server.signal(Signal::KILL);
        drop(clients);
    }
    let server = disk.serve(&[]);
    put(&server, "last", b"works").unwrap();
}
