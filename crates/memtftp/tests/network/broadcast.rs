//! Requests to addresses of many hosts: switches without a configuration ask everybody.

use std::net::{IpAddr, SocketAddr};

use testkit::{Line, Memtftp, Network, Packet, Raw, bytes, rrq, wait_for};

use crate::BINARY;

/// A server on every address of its host.
fn serve(network: &Network, flags: &[&str]) -> Memtftp {
    let always = ["--listen", "[::]:0", "--workers", "2", "--drain", "100ms"];
    Memtftp::start(network.server.command(BINARY), &[&always, flags].concat())
}

/// A client that sends its requests to this address.
fn asking(network: &Network, server: &Memtftp, to: &str) -> Raw {
    let [own, _]: [IpAddr; 2] = ["192.168.77.2", "fd77::2"].map(|ip| ip.parse().unwrap());
    let to = SocketAddr::new(to.parse().unwrap(), server.address().port());
    network.client.enter(|| Raw::from(own, to))
}

/// The port of a server is told with an address that is only its own host's.
fn directly(network: &Network, server: &Memtftp) -> Raw {
    asking(network, server, &Network::addresses()[0].to_string())
}

fn dropped(server: &Memtftp) -> Vec<Line> {
    let mut log = server.log();
    log.retain(|line| line.is(&[("outcome", "dropped")]));
    log
}

/// By one worker alone, though each gets a copy, and from the address that clients can reach.
#[test]
fn broadcasts_are_answered_from_the_address_of_the_interface_if_wanted() {
    let network = Network::new();
    let server = serve(&network, &["--answer-broadcast"]);
    let file = bytes(5_000);
    network.client.enter(|| directly(&network, &server).put("network-confg", &file, &[]).unwrap());
    for everybody in ["255.255.255.255", "192.168.77.255"] {
        let mut client = asking(&network, &server, everybody);
        assert!(client.get("network-confg", &[]).unwrap() == file, "{everybody}");
        assert_eq!(client.tid().ip(), Network::addresses()[0], "{everybody}");
        let (code, _) = client.ask(&rrq("router-confg", &[])).refusal();
        assert_eq!(code, 1, "{everybody}");
    }
    let log = server.stop();
    let reads = log.iter().filter(|line| line.get("kind") == "read");
    let outcomes: Vec<&str> = reads.map(|line| line.get("outcome")).collect();
    assert_eq!(outcomes, ["ok", "refused", "ok", "refused"], "{log:#?}");
}

#[test]
fn broadcasts_are_dropped_once_if_not() {
    let network = Network::new();
    let server = serve(&network, &[]);
    let client = asking(&network, &server, "255.255.255.255");
    client.send(&rrq("network-confg", &[]));
    wait_for("its line in the log", || (!dropped(&server).is_empty()).then_some(()));
    let answer = directly(&network, &server).ask(&rrq("none", &[]));
    assert!(matches!(answer, Packet::Error(1, _)), "{answer:?}");
    let log = server.stop();
    assert_eq!(log.len(), 2, "{log:#?}");
}

#[test]
fn multicasts_are_never_answered() {
    let network = Network::new();
    let server = serve(&network, &["--answer-broadcast"]);
    // Every host is a member of this one.
    let client = asking(&network, &server, "224.0.0.1");
    client.send(&rrq("network-confg", &[]));
    wait_for("its line in the log", || (!dropped(&server).is_empty()).then_some(()));
    assert_eq!(dropped(&server).len(), 1);
    assert_eq!(network.came().to_client, 0);
}
