//! What the store costs a request: a file opened, a file replaced, also while others do.
#![allow(missing_docs, clippy::unwrap_used, reason = "not reached by any peer")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use memtftp_store::{Budget, Name, Store};

fn store_of(files: usize) -> (Store, Vec<Name>) {
    let store = Store::new(Budget::new(1 << 30));
    let names: Vec<Name> = (0..files)
        .map(|number| Name::parse(format!("pxelinux.cfg/{number:08X}").as_bytes()).unwrap())
        .collect();
    for name in &names {
        let _ = store.put(name.clone(), vec![7; 1_000]).unwrap();
    }
    (store, names)
}

fn store(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    for files in [1, 1_000, 100_000] {
        let (store, names) = store_of(files);
        let mut turn = names.iter().cycle();
        group.bench_function(BenchmarkId::new("alone, files", files), |b| {
            b.iter(|| turn.next().and_then(|name| store.open(name)).unwrap().len());
        });
    }
    let (store, names) = store_of(1_000);
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for name in names.iter().cycle() {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let _ = store.put(name.clone(), vec![8; 1_000]).unwrap();
            }
        });
        let mut turn = names.iter().cycle();
        group.bench_function("while another thread replaces files", |b| {
            b.iter(|| turn.next().and_then(|name| store.open(name)).unwrap().len());
        });
        ends.store(true, Ordering::Relaxed);
    });
    group.finish();

    let mut group = c.benchmark_group("replace a file of 1,000 bytes");
    for files in [1, 1_000, 100_000] {
        let (store, names) = store_of(files);
        let mut turn = names.iter().cycle();
        group.bench_function(BenchmarkId::new("files", files), |b| {
            b.iter(|| {
                let name = turn.next().unwrap().clone();
                store.put(name, vec![9; 1_000]).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
