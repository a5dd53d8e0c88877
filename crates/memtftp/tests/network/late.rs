//! Addresses that come after the server: a VPN, a virtual address that moves, an adapter that is plugged in.

use std::net::{IpAddr, SocketAddr};

use testkit::{Host, Memtftp, Raw, bytes, rrq};

use crate::BINARY;

/// Addresses that the server does not have yet, those of its client, and the lengths of the networks'
/// prefixes. Tailscale and carriers use the first (RFC 6598).
const LATE: [[&str; 3]; 2] =
    [["100.64.7.1", "100.64.7.2", "24"], ["fd64::1", "fd64::2", "64 nodad"]];

/// A server without a network, and the client that it will have.
struct Place {
    server: Host,
    client: Host,
    process: Memtftp,
}

impl Place {
    fn new(flags: &[&str]) -> Place {
        let (server, client) = (Host::new(), Host::new());
        let listen = LATE.map(|[ip, ..]| SocketAddr::new(ip.parse().unwrap(), 69).to_string());
        let always = ["--listen", &listen[0], "--listen", &listen[1], "--listen", "127.0.0.1:69"];
        let process = Memtftp::start(server.command(BINARY), &[&always, flags].concat());
        Place { server, client, process }
    }

    fn plug_in(&self) {
        self.server.join("late", &self.client, "late");
        for [own, other, prefix] in LATE {
            self.server.ip(&format!("address add {own}/{prefix} dev late"));
            self.client.ip(&format!("address add {other}/{prefix} dev late"));
        }
    }

    /// Stores a file and reads it, and looks where the packets come from.
    fn assert_served(&self, own: &str, client: &str) {
        let [own, client] = [own, client].map(|ip| ip.parse::<IpAddr>().unwrap());
        let mut raw = self.client.enter(|| Raw::from(client, SocketAddr::new(own, 69)));
        let file = bytes(20_000);
        for options in [&[][..], &[("blksize", "1400")]] {
            raw.put("file", &file, options).unwrap();
            assert_eq!(raw.tid().ip(), own);
        }
        assert!(raw.get("file", &[("blksize", "1400")]).unwrap() == file);
        assert_eq!(raw.tid().ip(), own);
        assert_eq!(raw.ask(&rrq("none", &[])).refusal().0, 1);
        assert_eq!(raw.tid().ip(), own);
    }
}

fn addresses_that_come_later_are_served(flags: &[&str]) {
    let place = Place::new(flags);
    for [own, ..] in LATE {
        let told = format!("no interface has the address {own} yet");
        assert!(place.process.stderr().iter().any(|line| line.contains(&told)));
        let shown =
            format!("{} (no interface has it yet)", SocketAddr::new(own.parse().unwrap(), 69));
        assert!(place.process.banner("listening").contains(&shown));
    }
    assert!(place.process.banner("listening").ends_with(" 127.0.0.1:69"));
    place.plug_in();
    LATE.iter().for_each(|[own, client, _]| place.assert_served(own, client));
    // It goes to another machine and comes back.
    for [own, client, prefix] in LATE {
        place.server.ip(&format!("address delete {own}/{} dev late", &prefix[..2]));
        place.server.ip(&format!("address add {own}/{prefix} dev late"));
        place.assert_served(own, client);
    }
    let log = place.process.stop();
    assert!(log.iter().any(|line| line.get("local").starts_with("100.64.7.1:")), "{log:#?}");
}

#[test]
fn addresses_that_come_later_are_served_on_ports_of_transfers() {
    addresses_that_come_later_are_served(&["--transfer-ports", "5000-5099", "--workers", "2"]);
}

#[test]
fn addresses_that_come_later_are_served_on_a_single_port() {
    addresses_that_come_later_are_served(&["--single-port", "--workers", "2"]);
}

#[test]
fn addresses_that_come_later_are_served_with_portable_io() {
    addresses_that_come_later_are_served(&["--io", "portable", "--workers", "1"]);
}

/// Only that it is not there yet is forgiven.
#[test]
fn a_port_of_an_address_that_comes_later_is_nobody_elses() {
    let place = Place::new(&[]);
    let failed = Memtftp::fails_as(
        place.server.command(BINARY),
        &["--listen", "100.64.7.1:69", "--single-port"],
    );
    assert!(failed.lines[0].contains("port 69 of 100.64.7.1 is in use"), "{failed:#?}");
}
