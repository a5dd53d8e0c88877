//! Writers and readers at the same names from many threads.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use memtftp_store::{Budget, Existing, Name, Store, Version};

const FILES: u8 = 3;
const WRITERS: u8 = 4;
const READERS: u8 = 4;
const ROUNDS: u32 = 4_000;

/// The length follows from the byte that fills a file, so every file can be checked alone.
fn content(fill: u8) -> Vec<u8> {
    vec![fill; len(fill)]
}

fn len(fill: u8) -> usize {
    1 + usize::from(fill) * 97
}

fn check(version: &Version) {
    let bytes = version.as_ref();
    let fill = *bytes.first().unwrap();
    assert_eq!(bytes.len(), len(fill));
    assert!(bytes.iter().all(|byte| *byte == fill), "a mix of versions");
}

fn name(file: u8) -> Name {
    Name::parse(&[b'f', b'0' + file]).unwrap()
}

fn write(store: &Store, id: u8) {
    let share = store.budget().child(1 << 20);
    for round in 0..ROUNDS {
        let fill = (round as u8).wrapping_mul(31).wrapping_add(id.wrapping_mul(67));
        let name = name(fill % FILES);
        let content = content(fill);
        match round % 8 {
            0 => drop(store.remove(&name)),
            1 | 2 => drop(store.put(name, content).unwrap()),
            kind => {
                let mut upload = store.begin_charged_to(&share, u64::MAX);
                for block in content.chunks(1428) {
                    upload.append(block).unwrap();
                }
                match kind {
                    3 => drop(upload),
                    4 => drop(store.commit(name, upload, Existing::Refuse)),
                    _ => drop(store.commit(name, upload, Existing::Replace).unwrap()),
                }
            }
        }
    }
}

/// Reads until the writers are done; holds on to some versions for a while.
fn read(store: &Store, done: &AtomicBool) {
    let mut pinned = Vec::new();
    while !done.load(Ordering::Acquire) {
        for file in 0..FILES {
            if let Some(version) = store.open(&name(file)) {
                check(&version);
                pinned.push(version);
            }
        }
        if pinned.len() > 20 {
            pinned.drain(..).for_each(|version| check(&version));
        }
        assert!(store.entries().len() <= usize::from(FILES));
        assert!(store.budget().used() <= store.budget().limit());
    }
}

#[test]
fn readers_never_see_a_mix_and_no_byte_is_lost() {
    let store = Store::new(Budget::new(64 << 20));
    let done = AtomicBool::new(false);
    let start = Barrier::new(usize::from(READERS + WRITERS));
    thread::scope(|scope| {
        let (store, done, start) = (&store, &done, &start);
        for _ in 0..READERS {
            scope.spawn(move || {
                start.wait();
                read(store, done);
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|id| {
                scope.spawn(move || {
                    start.wait();
                    write(store, id);
                })
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        // Before the results are looked at, or a writer that failed would leave the readers at
        // work for ever.
        done.store(true, Ordering::Release);
        results.into_iter().for_each(Result::unwrap);
    });

    let live: u64 = store.entries().map(|(_, len)| len).sum();
    assert_eq!(store.budget().used(), live);
    for name in store.names() {
        check(&store.remove(&name).unwrap());
    }
    assert_eq!(store.budget().used(), 0);
}
