//! The built program on a network of its own, which loses packets: hosts are network namespaces.
//! That takes root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod broadcast;
mod foreign;
mod late;
mod lockstep;
mod peers;
mod prompt;

use std::net::SocketAddr;

use testkit::{Memtftp, Network};

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A server with these flags on its host of the network, over IPv4 and IPv6. It does not wait long
/// at its end: a client that is gone may have lost its last ACK.
fn serve(network: &Network, flags: &[&str]) -> Memtftp {
    let [v4, v6] = Network::addresses().map(|ip| SocketAddr::new(ip, 0).to_string());
    let always = ["--listen", &v4, "--listen", &v6, "--drain", "100ms"];
    Memtftp::start(network.server.command(BINARY), &[&always, flags].concat())
}
