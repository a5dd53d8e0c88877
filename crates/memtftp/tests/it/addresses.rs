//! Who is served, and from which address.

use std::net::{IpAddr, SocketAddr};

use testkit::{Packet, Raw, bytes, rrq};

use crate::{only, serve, serve_in_order};

/// The same port at another address.
fn at(ip: &str, address: SocketAddr) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), address.port())
}

#[test]
fn clients_of_other_networks_are_refused() {
    let server = serve(&["--allow", "10.0.0.0/8", "--allow", "127.0.0.2"]);
    assert!(server.banner("clients").contains("10.0.0.0/8"), "{}", server.banner("clients"));
    let mut client = Raw::new(server.address());
    for refused in [client.get("file", &[]), client.put("file", b"x", &[]).map(|()| vec![])] {
        let (code, text) = refused.unwrap_err().refusal();
        assert_eq!(code, 2);
        assert!(text.contains("--allow"), "{text}");
    }
    let allowed: IpAddr = "127.0.0.2".parse().unwrap();
    let mut client = Raw::from(allowed, server.address());
    client.put("file", b"x", &[]).unwrap();
    assert_eq!(server.stop().len(), 3);
}

/// Reads and writes at 127.0.0.9 and checks where every packet came from.
fn answers_from_the_address_asked(flags: &[&str]) {
    let server = serve(flags);
    let asked = at("127.0.0.9", server.address());
    let mut client = Raw::new(asked);
    let file = bytes(2_000);
    client.put("file", &file, &[]).unwrap();
    assert_eq!(client.tid().ip(), asked.ip());
    let mut packet = client.ask(&rrq("file", &[]));
    for block in 1..=4 {
        assert!(matches!(packet, Packet::Data(number, _) if number == block), "{packet:?}");
        assert_eq!(client.tid().ip(), asked.ip(), "block {block}");
        if block == 4 {
            client.reply(&testkit::ack(block));
        } else {
            packet = client.say(&testkit::ack(block));
        }
    }
    client.get("none", &[]).unwrap_err();
    assert_eq!(client.tid().ip(), asked.ip(), "refusals too");
    for line in server.stop() {
        assert!(line.get("local").starts_with("127.0.0.9:"), "{line:?}");
        assert!(line.get("client").starts_with("127.0.0.1:"), "{line:?}");
    }
}

#[test]
fn answers_from_the_address_asked_over_ipv4() {
    answers_from_the_address_asked(&["--listen", "0.0.0.0:0"]);
}

#[test]
fn answers_from_the_address_asked_over_both() {
    answers_from_the_address_asked(&["--listen", "[::]:0"]);
}

#[test]
fn answers_from_the_address_asked_on_a_single_port() {
    answers_from_the_address_asked(&["--listen", "[::]:0", "--single-port"]);
}

#[test]
fn answers_from_the_address_asked_with_portable_io() {
    answers_from_the_address_asked(&["--port", "0", "--io", "portable"]);
}

fn broadcasts_are_not_answered(flags: &[&str]) {
    let server = serve_in_order(flags);
    let mut client = Raw::new(server.address());
    let broadcast = at("127.255.255.255", server.address());
    client.send_to(&rrq("broadcast", &[]), broadcast);
    client.send_to(&[0, 1, b'x'], broadcast);
    let (_, text) = client.ask(&rrq("directed", &[])).refusal();
    assert_eq!(text, "file not found");
    assert_eq!(client.tid().ip().to_string(), "127.0.0.1");
    let log = server.stop();
    assert_eq!(log.len(), 3, "{log:#?}");
    let line = only(&log, &[("kind", "read"), ("outcome", "dropped"), ("file", "broadcast")]);
    assert!(line.get("reason").contains("broadcast"), "{line:?}");
    only(&log, &[("kind", "unrecognized"), ("outcome", "dropped")]);
    only(&log, &[("kind", "read"), ("outcome", "refused"), ("file", "directed")]);
}

#[test]
fn broadcasts_are_not_answered_over_ipv4() {
    broadcasts_are_not_answered(&["--listen", "0.0.0.0:0"]);
}

#[test]
fn broadcasts_are_not_answered_over_both() {
    broadcasts_are_not_answered(&["--listen", "[::]:0"]);
}

/// Packets of no transfer, to every port there is.
fn strays_to_a_broadcast_address_get_no_answer(flags: &[&str]) {
    let server = serve_in_order(flags);
    let mut client = Raw::new(server.address());
    client.get("none", &[]).unwrap_err();
    let transfers = server.banner("transfers").split([' ', ',']);
    let transfers: Vec<u16> = transfers.filter_map(|word| word.parse().ok()).collect();
    assert!(!transfers.is_empty(), "{}", server.banner("transfers"));
    let mut stranger = Raw::new(server.address());
    for port in transfers {
        for packet in [testkit::ack(7), testkit::data(1, b"x")] {
            stranger.send_to(&packet, SocketAddr::new("127.255.255.255".parse().unwrap(), port));
            // An answer would come before the answer to what is sent next.
            stranger.send_to(&packet, SocketAddr::new(server.address().ip(), port));
            assert!(matches!(stranger.receive_any(), Packet::Error(5, _)));
        }
    }
    assert!(!stranger.has_packet());
}

#[test]
fn strays_to_a_broadcast_address_get_no_answer_over_ipv4() {
    strays_to_a_broadcast_address_get_no_answer(&["--listen", "0.0.0.0:0"]);
}

#[test]
fn strays_to_a_broadcast_address_get_no_answer_where_requests_do() {
    let flags = ["--listen", "[::]:0", "--answer-broadcast"];
    strays_to_a_broadcast_address_get_no_answer(&flags);
}

#[test]
fn every_address_of_the_banner_answers() {
    let server = serve(&["--port", "0", "--allow", "any"]);
    let addresses = server.addresses();
    assert!(addresses.contains(&at("127.0.0.1", addresses[0])), "{addresses:?}");
    for address in &addresses {
        assert!(!address.ip().is_unspecified() && address.port() != 0, "{address}");
        let (code, text) = Raw::new(*address).ask(&rrq("none", &[])).refusal();
        assert_eq!(code, 1, "{address}: {text}");
    }
}

#[test]
fn several_addresses() {
    let flags = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.3:0", "--listen", "[::1]:0"];
    let server = serve(&flags);
    let addresses = server.addresses();
    let ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(ips, ["127.0.0.1", "127.0.0.3", "::1"]);
    Raw::new(addresses[0]).put("file", b"x", &[]).unwrap();
    for address in addresses {
        let mut client = Raw::new(address);
        assert_eq!(client.get("file", &[]).unwrap(), b"x");
        assert_eq!(client.tid().ip(), address.ip());
    }
}

/// The largest block there is fits loopback.
#[test]
fn the_largest_block_is_granted_on_loopback() {
    let server = serve(&["--listen", "[::]:0"]);
    for ip in ["127.0.0.1", "127.0.0.9", "::1"] {
        let mut client = Raw::new(at(ip, server.address()));
        let asked = [("blksize", "65464")];
        let answer = client.ask(&testkit::wrq("file", &asked));
        assert_eq!(answer, Packet::oack(&asked), "{ip}");
        let file = bytes(200_000);
        client.put_from(answer, &file).unwrap();
        assert!(client.get("file", &asked).unwrap() == file, "{ip}");
    }
}
