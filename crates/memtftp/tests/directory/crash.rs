//! The server is killed at any moment.

use std::fs;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use testkit::{Raw, Signal, bytes, wait_for};

use crate::{Disk, get, put, temporary};

/// In one round several clients upload without a pause until the server is killed. More rounds by
/// `MEMTFTP_CRASH_ROUNDS=200 cargo test -p memtftp --test directory crash`.
const ROUNDS: usize = 12;

const CLIENTS: usize = 4;

/// Uploads of a client in one round, at most.
const UPLOADS: usize = 20;

fn rounds() -> usize {
    std::env::var("MEMTFTP_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// What a client has uploaded to its file, all rounds together.
#[derive(Default)]
struct Uploads {
    sent: Vec<Vec<u8>>,
    /// How many of them the client was told are stored.
    stored: Arc<AtomicUsize>,
}

impl Uploads {
    /// The file is one that was sent, and none before the last that was said to be stored.
    fn assert_kept(&self, name: &str, content: Option<&[u8]>) {
        let stored = self.stored.load(Ordering::Relaxed);
        let which = content.map(|content| self.sent.iter().rposition(|sent| sent == content));
        match which {
            None => assert_eq!(stored, 0, "{name} is lost"),
            Some(None) => {
                panic!("{name} is no file that was sent: {:?} bytes", content.map(<[u8]>::len))
            }
            Some(Some(which)) => {
                assert!(which + 1 >= stored, "{name} is {which}, {stored} were stored");
            }
        }
    }

    /// Uploads more until the server does not answer.
    fn go_on(&mut self, name: String, server: SocketAddr) {
        let first = self.sent.len();
        let more = (first..first + UPLOADS).map(|n| bytes(1 + n * 1_531 % 30_011));
        self.sent.extend(more);
        let (sent, stored) = (self.sent[first..].to_vec(), Arc::clone(&self.stored));
        thread::spawn(move || {
            for (number, file) in sent.iter().enumerate() {
                let put = || Raw::new(server).put(&name, file, &[("blksize", "1400")]);
                // A client whose server is gone waits for an answer that does not come.
                if !catch_unwind(AssertUnwindSafe(put)).is_ok_and(|done| done.is_ok()) {
                    break;
                }
                stored.store(first + number + 1, Ordering::Relaxed);
            }
        });
    }
}

#[test]
fn after_a_kill_each_file_is_the_old_or_the_new_one_whole() {
    let disk = Disk::new();
    let mut clients: Vec<Uploads> = (0..CLIENTS).map(|_| Uploads::default()).collect();
    let name = |client: usize| format!("d{client}/f");
    for round in 0..rounds() {
        let workers = ["1", "2"][round % 2];
        let server = disk.serve(&["--workers", workers, "--create-dirs"]);
        for (client, uploads) in clients.iter().enumerate() {
            let on_disk = fs::read(disk.path(&name(client))).ok();
            uploads.assert_kept(&name(client), on_disk.as_deref());
            assert!(get(&server, &name(client)).ok() == on_disk, "{client}");
        }
        let left = || (0..CLIENTS).filter(|c| disk.path(&format!("d{c}")).exists());
        let clean = || left().all(|c| temporary(&disk.path(&format!("d{c}"))).is_empty());
        wait_for("the end of what is left", || clean().then_some(()));
        for (client, uploads) in clients.iter_mut().enumerate() {
            uploads.go_on(name(client), server.address());
        }
        // As far as it happens to get: each round is another moment.
        let some = CLIENTS + 1 + round % ROUNDS * 5;
        wait_for("some uploads", || (server.log().len() >= some).then_some(()));
        server.signal(Signal::KILL);
    }
    let server = disk.serve(&[]);
    put(&server, "last", b"works").unwrap();
}
