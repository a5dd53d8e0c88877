//! The built program under attack: forged addresses, floods, and peers that stop half-way.
//!
//! Each server runs on a host of its own, which takes root, so that addresses can be forged and what
//! it sends can be counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod amplification;
mod extremes;
mod floods;
mod spoofed;
mod stalls;

use std::fs;
use std::net::SocketAddr;

use testkit::{Host, Memtftp, Raw};

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// A server with these flags on `host`.
fn serve(host: &Host, flags: &[&str]) -> Memtftp {
    host.enter(|| Memtftp::serve(BINARY, flags))
}

/// A client of `server` on `host`.
fn client(host: &Host, server: &Memtftp) -> Raw {
    host.enter(|| Raw::new(server.address()))
}

/// All addresses on which it takes packets: the listening port and those of transfers.
fn ports(server: &Memtftp) -> Vec<SocketAddr> {
    let listening = server.address();
    let transfers = server.banner("transfers").split([' ', ',']);
    let transfers = transfers.filter_map(|word| word.parse().ok());
    let at = |port| SocketAddr::new(listening.ip(), port);
    let mut all: Vec<SocketAddr> =
        [listening.port()].into_iter().chain(transfers).map(at).collect();
    all.dedup();
    all
}

/// How many datagrams the programs of `host` have sent. What a spoofer sends is no datagram of its.
fn datagrams_sent(host: &Host) -> u64 {
    let table = host.enter(|| fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "OutDatagrams").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}
