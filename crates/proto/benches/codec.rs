//! What parsing and writing a packet costs.
#![allow(missing_docs, clippy::unwrap_used, reason = "not reached by any peer")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use memtftp_proto::{Asked, Limits, Packet, negotiate};

const REQUEST: &[u8] =
    b"\0\x01pxelinux.cfg/01-52-54-00-12-34-56\0octet\0tsize\x000\0blksize\x001428\0windowsize\x0016\0";

fn codec(c: &mut Criterion) {
    c.bench_function("parse an ACK", |b| b.iter(|| Packet::parse(black_box(b"\0\x04\x12\x34"))));
    let data = [&b"\0\x03\x12\x34"[..], &[0; 1428]].concat();
    c.bench_function("parse DATA", |b| b.iter(|| Packet::parse(black_box(&data))));
    c.bench_function("parse a request", |b| b.iter(|| Packet::parse(black_box(REQUEST))));
    let Ok(Packet::Read(request)) = Packet::parse(REQUEST) else { return };
    c.bench_function("negotiate options and write the OACK", |b| {
        b.iter(|| {
            let asked = Asked::new(black_box(request.options));
            negotiate(&asked, &Limits::NONE, Some(65_536)).option_ack()
        });
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
