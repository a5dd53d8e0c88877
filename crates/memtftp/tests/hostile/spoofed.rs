//! Packets with another's address on them: they must make nobody answer for ever.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use testkit::{
    Host, Line, Memtftp, Packet, Raw, Spoofer, ack, bytes, data, error, request, rrq, wrq,
};

use crate::{client, datagrams_sent, ports, serve};

/// Ports of services that answer whatever they get, and port 0, which nobody can answer.
const SERVICES: [u16; 10] = [0, 7, 11, 13, 17, 19, 37, 53, 111, 123];

const FILE_BLOCKS: usize = 500;

/// Each packet there is, and some that are none.
fn packets() -> Vec<Vec<u8>> {
    vec![
        rrq("file", &[]),
        rrq("file", &[("blksize", "1400"), ("windowsize", "16"), ("timeout", "1")]),
        rrq("no such file", &[]),
        wrq("new", &[]),
        wrq("new", &[("tsize", "1000"), ("blksize", "1400")]),
        request(1, "file", "mail", &[]),
        b"\0\x01unterminated".to_vec(),
        data(1, &[0; 512]),
        data(1, b"short"),
        ack(0),
        ack(1),
        error(0, "loop"),
        error(5, "unknown transfer ID"),
        b"\0\x06blksize\x00512\0".to_vec(),
        vec![],
        bytes(1_000),
    ]
}

/// How many of them are requests, good or bad.
const REQUESTS: usize = 7;

/// When this returns, the worker has handled what was sent before. It may look at its sockets in any
/// order, so asking once is not enough.
fn settle(client: &mut Raw) -> u64 {
    let asked = 3;
    for _ in 0..asked {
        assert_eq!(client.get("nothing", &[]).unwrap_err().refusal().0, 1);
    }
    // Its question and the answer.
    2 * asked
}

/// A server of one worker with one file.
fn server_on(host: &Host, flags: &[&str]) -> Memtftp {
    let always = ["--workers", "1", "--give-up", "1s", "--max-unrecognized", "10000"];
    let server = serve(host, &[&always, flags].concat());
    let file = bytes(FILE_BLOCKS * 512 - 1);
    client(host, &server).put("file", &file, &[]).unwrap();
    server
}

fn other_services_get_no_answer(flags: &[&str]) {
    let host = Host::new();
    let server = server_on(&host, flags);
    let spoofer = Spoofer::new(&host);
    let mut client = client(&host, &server);
    let before = datagrams_sent(&host);
    for service in SERVICES {
        let from = SocketAddr::from(([127, 0, 0, 2], service));
        for to in ports(&server) {
            packets().iter().for_each(|packet| spoofer.send(from, to, packet));
        }
    }
    let asked = settle(&mut client);
    assert_eq!(datagrams_sent(&host), before + asked);
    let log = server.stop();
    let dropped = |line: &&Line| line.is(&[("outcome", "dropped"), ("hint", "service-port")]);
    assert_eq!(log.iter().filter(dropped).count(), SERVICES.len() * REQUESTS, "{log:#?}");
}

#[test]
fn other_services_get_no_answer_from_any_port() {
    other_services_get_no_answer(&[]);
}

#[test]
fn other_services_get_no_answer_from_a_single_port() {
    other_services_get_no_answer(&["--single-port"]);
}

#[test]
fn other_services_get_no_answer_with_portable_io() {
    other_services_get_no_answer(&["--io", "portable"]);
}

/// Firmware that asks from the port of TFTP itself.
fn a_client_on_port_69_is_served(flags: &[&str]) {
    let host = Host::new();
    let server = server_on(&host, flags);
    let socket = host.enter(|| UdpSocket::bind("127.0.0.9:69")).unwrap();
    let mut buffer = [0; 1_024];
    socket.send_to(&rrq("file", &[]), server.address()).unwrap();
    let (_, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(buffer[..4], data(1, b""));
    socket.send_to(&ack(1), from).unwrap();
    socket.recv_from(&mut buffer).unwrap();
    assert_eq!(buffer[..4], data(2, b""));
}

#[test]
fn a_client_on_port_69_is_served_from_any_port() {
    a_client_on_port_69_is_served(&[]);
}

#[test]
fn a_client_on_port_69_is_served_from_a_single_port() {
    a_client_on_port_69_is_served(&["--single-port"]);
}

/// Sends everything from each port of one server to each port of another, which may be the same.
fn cross(spoofer: &Spoofer, from: &Memtftp, to: &Memtftp) -> u64 {
    let mut sent = 0;
    for from in ports(from) {
        for to in ports(to) {
            packets().iter().for_each(|packet| spoofer.send(from, to, packet));
            sent += packets().len() as u64;
        }
    }
    sent
}

/// The servers talk to each other no more: while a client reads, nobody else sends much. A loop of
/// two packets would turn as often as the client and the server do.
fn assert_quiet(host: &Host, server: &Memtftp) {
    // The read, block by block, and the ACKs. What is still being given up is sent again meanwhile.
    let (read, repeats) = (2 * FILE_BLOCKS as u64 + 1, 200);
    let before = datagrams_sent(host);
    client(host, server).get("file", &[]).unwrap();
    let sent = datagrams_sent(host) - before;
    assert!(sent <= read + repeats, "{sent} datagrams beside a read of {read}");
}

fn nobody_is_made_to_loop(flags: &[&str]) {
    let host = Host::new();
    let (one, two) = (server_on(&host, flags), server_on(&host, flags));
    let spoofer = Spoofer::new(&host);
    let before = datagrams_sent(&host);
    let mut forged = 0;
    for (from, to) in [(&one, &one), (&one, &two), (&two, &one), (&two, &two)] {
        forged += cross(&spoofer, from, to);
    }
    assert_quiet(&host, &one);
    assert_quiet(&host, &two);
    // All transfers that were begun so have ended.
    drop((one.stop(), two.stop()));
    let own = 2 * (2 * FILE_BLOCKS as u64 + 1);
    let sent = datagrams_sent(&host) - before - own;
    assert!(sent <= 2 * forged, "{sent} datagrams for {forged}");
}

/// CVE-2024-2169.
#[test]
fn servers_answer_neither_each_other_nor_themselves_for_ever() {
    nobody_is_made_to_loop(&[]);
}

#[test]
fn servers_on_a_single_port_do_not_either() {
    nobody_is_made_to_loop(&["--single-port"]);
}

/// Addresses that nobody can have. Loopback lets them in, and one of them means this host.
#[test]
fn impossible_addresses() {
    let host = Host::new();
    let server = server_on(&host, &["--allow", "any"]);
    let spoofer = Spoofer::new(&host);
    let mut client = client(&host, &server);
    let before = datagrams_sent(&host);
    let mut forged = 0;
    for address in ["0.0.0.0", "255.255.255.255", "127.255.255.255", "224.0.0.1", "240.0.0.1"] {
        let from = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 2_000);
        for to in ports(&server) {
            packets().iter().for_each(|packet| spoofer.send(from, to, packet));
            forged += packets().len() as u64;
        }
    }
    let asked = settle(&mut client);
    assert!(datagrams_sent(&host) <= before + asked + forged);
    assert_quiet(&host, &server);
}

/// Whoever knows a client's address and port, but not ours, cannot end its transfer.
fn forged_requests_end_no_transfer(flags: &[&str], packets: &[Vec<u8>]) {
    let host = Host::new();
    let server = server_on(&host, flags);
    let spoofer = Spoofer::new(&host);
    let mut other = client(&host, &server);
    let file = bytes(FILE_BLOCKS * 512 - 1);
    let mut reader = client(&host, &server);
    reader.ask(&rrq("file", &[]));
    let mut writer = client(&host, &server);
    writer.ask(&wrq("up", &[]));
    let (from, to) = (reader.tid(), writer.tid());
    // The first steps are undisturbed: then both have answered.
    let nothing: &[u8] = &[];
    let packets = [nothing].into_iter().chain(packets.iter().map(Vec::as_slice));
    let mut last = 0;
    for packet in packets {
        for client in [&reader, &writer].into_iter().filter(|_| last > 0) {
            let victim = ([127, 0, 0, 1], client.port());
            spoofer.send(victim.into(), server.address(), packet);
        }
        settle(&mut other);
        last += 1;
        reader.send_to(&ack(last), from);
        let next = file.chunks(512).nth(last.into()).unwrap();
        reader.expect(from, &Packet::Data(last + 1, next.into()));
        writer.send_to(&data(last, &[7; 512]), to);
        writer.expect(to, &Packet::Ack(last));
    }
    writer.send_to(&data(last + 1, b"end"), to);
    writer.expect(to, &Packet::Ack(last + 1));
    reader.send_to(&error(0, "enough"), from);
    let log = server.stop();
    for (kind, file, outcome, blocks) in
        [("read", "file", "aborted", last), ("write", "up", "ok", last + 1)]
    {
        let pairs = [("kind", kind), ("file", file), ("outcome", outcome)];
        let ends = log.iter().filter(|line| line.is(&pairs));
        assert_eq!(ends.map(|line| line.number("blocks")).max(), Some(blocks.into()), "{log:#?}");
    }
}

#[test]
fn packets_to_the_listening_port_end_no_transfer() {
    forged_requests_end_no_transfer(&[], &packets());
}

#[test]
fn requests_to_a_single_port_end_no_transfer() {
    forged_requests_end_no_transfer(&["--single-port"], &packets()[..REQUESTS]);
}

/// An ERROR from elsewhere, to every port: it is not answered, and ends nobody's transfer.
#[test]
fn errors_to_every_port() {
    let host = Host::new();
    let server = server_on(&host, &[]);
    let spoofer = Spoofer::new(&host);
    let mut reader = client(&host, &server);
    let begun = reader.ask(&rrq("file", &[]));
    let mut client = client(&host, &server);
    let before = datagrams_sent(&host);
    for to in ports(&server) {
        for code in [0, 1, 5, 8, u16::MAX] {
            let reader = reader.port();
            for from in [([127, 0, 0, 1], reader ^ 1), ([127, 0, 0, 2], reader), ([10, 0, 0, 1], 9)]
            {
                spoofer.send(from.into(), to, &error(code, "so there"));
                spoofer.send(from.into(), to, &[0, 5, 0]);
            }
        }
    }
    let asked = settle(&mut client);
    let opening_again = 1;
    assert!(datagrams_sent(&host) <= before + asked + opening_again);
    assert_eq!(reader.get_from(begun).unwrap().len(), FILE_BLOCKS * 512 - 1);
}
