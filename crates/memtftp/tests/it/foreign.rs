//! The clients that people have: bytes equal, one line of the log for each transfer.

use std::fs;
use std::net::{SocketAddr, UdpSocket};

use testkit::{Client, Job, Line, Memtftp, Raw, bytes};

use crate::{only, serve};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Sizes around a block, and some hundred blocks.
const SIZES: [usize; 7] = [0, 1, 511, 512, 513, 64 * KIB, MIB];

/// Writes a file of `size` bytes with `client`, reads it back and compares. `change` adds options.
fn round_trip(server: &Memtftp, client: Client, size: usize, change: fn(Job<'_>) -> Job<'_>) {
    let name = format!("{client:?}-{size}");
    let (sent, received) = (server.path("sent"), server.path("received"));
    let file = bytes(size);
    fs::write(&sent, &file).unwrap();
    client.must(&change(Job::put(server.address(), &name, &sent)));
    client.must(&change(Job::get(server.address(), &name, &received)));
    // An empty file leaves no local file with some clients.
    let received_file = fs::read(&received).unwrap_or_default();
    assert!(received_file == file, "{name}: {} bytes came back", received_file.len());
    let _ = fs::remove_file(received);
}

/// The lines of that round trip.
fn lines_of(log: &[Line], client: Client, size: usize) -> [&Line; 2] {
    let name = format!("{client:?}-{size}");
    ["write", "read"].map(|kind| {
        let line = only(log, &[("kind", kind), ("file", &name)]);
        assert!(line.is(&[("outcome", "ok"), ("mode", "octet")]), "{line:?}");
        assert_eq!(line.number("bytes"), size as u64, "{line:?}");
        line
    })
}

fn all_sizes(client: Client) {
    let server = serve(&[]);
    for size in SIZES {
        round_trip(&server, client, size, |job| job);
    }
    let log = server.stop();
    assert_eq!(log.len(), 2 * SIZES.len());
    for size in SIZES {
        lines_of(&log, client, size);
    }
}

#[test]
fn tftp_hpa_in_all_sizes() {
    all_sizes(Client::TftpHpa);
}

#[test]
fn atftp_in_all_sizes() {
    all_sizes(Client::Atftp);
}

#[test]
fn curl_in_all_sizes() {
    all_sizes(Client::Curl);
}

#[test]
fn busybox_in_all_sizes() {
    all_sizes(Client::Busybox);
}

/// More blocks than block numbers, both ways.
#[test]
fn tftp_hpa_wraps_the_block_number() {
    let server = serve(&[]);
    round_trip(&server, Client::TftpHpa, 40 * MIB, |job| job);
    let log = server.stop();
    for line in lines_of(&log, Client::TftpHpa, 40 * MIB) {
        assert_eq!(line.number("blocks"), 40 * 2048 + 1);
    }
}

#[test]
fn atftp_moves_forty_mebibytes_in_windows() {
    let server = serve(&[]);
    round_trip(&server, Client::Atftp, 40 * MIB, |job| job.blksize(1428).windowsize(16));
    let log = server.stop();
    for line in lines_of(&log, Client::Atftp, 40 * MIB) {
        for option in ["blksize:1428", "windowsize:16"] {
            assert!(line.get("granted").contains(option), "{line:?}");
        }
    }
}

#[test]
fn curl_moves_forty_mebibytes() {
    let server = serve(&[]);
    round_trip(&server, Client::Curl, 40 * MIB, |job| job.blksize(1428));
    let log = server.stop();
    for line in lines_of(&log, Client::Curl, 40 * MIB) {
        let granted = format!("tsize:{},blksize:1428,timeout:6", 40 * MIB);
        assert_eq!(line.get("granted"), granted);
        assert!(line.get("asked").ends_with(",blksize:1428,timeout:6"), "{line:?}");
    }
}

#[test]
fn busybox_moves_forty_mebibytes() {
    let server = serve(&[]);
    round_trip(&server, Client::Busybox, 40 * MIB, |job| job.blksize(1428));
    let log = server.stop();
    for line in lines_of(&log, Client::Busybox, 40 * MIB) {
        assert!(line.get("granted").contains("blksize:1428"), "{line:?}");
    }
}

/// A text that has all that netascii changes, also across the border of two blocks.
fn text() -> Vec<u8> {
    let mut text = b"line\nbare\rcr\r\ncrlf\n\n\r\r\n".to_vec();
    for len in 490..520 {
        text.extend(std::iter::repeat_n(b'.', len));
        text.extend_from_slice(b"\n\r");
    }
    text
}

/// As it travels.
fn netascii(text: &[u8]) -> Vec<u8> {
    let encode = |byte: &u8| match byte {
        b'\n' => b"\r\n".to_vec(),
        b'\r' => b"\r\0".to_vec(),
        other => vec![*other],
    };
    text.iter().flat_map(encode).collect()
}

#[test]
fn tftp_hpa_in_ascii() {
    let server = serve(&[]);
    let (sent, received) = (server.path("sent"), server.path("received"));
    fs::write(&sent, text()).unwrap();
    Client::TftpHpa.must(&Job::put(server.address(), "text", &sent).netascii());
    assert_eq!(Raw::new(server.address()).get("text", &[]).unwrap(), text(), "as it is stored");
    Client::TftpHpa.must(&Job::get(server.address(), "text", &received).netascii());
    assert_eq!(fs::read(received).unwrap(), text());
    let log = server.stop();
    for kind in ["write", "read"] {
        let line = only(&log, &[("kind", kind), ("mode", "netascii"), ("outcome", "ok")]);
        assert_eq!(line.number("bytes"), netascii(&text()).len() as u64);
    }
}

/// curl sends and shows netascii as it travels.
#[test]
fn curl_in_netascii() {
    let server = serve(&[]);
    let (sent, received) = (server.path("sent"), server.path("received"));
    fs::write(&sent, netascii(&text())).unwrap();
    Client::Curl.must(&Job::put(server.address(), "text", &sent).netascii());
    assert_eq!(Raw::new(server.address()).get("text", &[]).unwrap(), text(), "as it is stored");
    Client::Curl.must(&Job::get(server.address(), "text", &received).netascii());
    assert_eq!(fs::read(received).unwrap(), netascii(&text()));
    let log = server.stop();
    for kind in ["write", "read"] {
        only(&log, &[("kind", kind), ("mode", "netascii"), ("outcome", "ok")]);
    }
}

#[test]
fn curl_over_ipv6() {
    let server = serve(&["--listen", "[::1]:0"]);
    round_trip(&server, Client::Curl, 100 * KIB, |job| job);
    let log = server.stop();
    for line in lines_of(&log, Client::Curl, 100 * KIB) {
        for key in ["client", "local"] {
            assert!(line.get(key).starts_with("[::1]:"), "{line:?}");
        }
    }
}

/// All clients on a server with these flags; gives the port of ours of each transfer.
fn ports_of_all_clients(flags: &[&str]) -> (Vec<u16>, SocketAddr) {
    let server = serve(flags);
    let address = server.address();
    for client in Client::ALL {
        round_trip(&server, client, 100 * KIB, |job| job);
    }
    let log = server.stop();
    assert_eq!(log.len(), 2 * Client::ALL.len(), "{log:#?}");
    let lines = Client::ALL.into_iter().flat_map(|client| lines_of(&log, client, 100 * KIB));
    let local = lines.map(|line| line.get("local").parse::<SocketAddr>().unwrap().port());
    (local.collect(), address)
}

#[test]
fn everyone_on_a_single_port() {
    let (ports, address) = ports_of_all_clients(&["--single-port"]);
    assert!(ports.iter().all(|port| *port == address.port()), "{ports:?}");
}

#[test]
fn everyone_on_a_range_of_ports() {
    let (first, last) = free_range(16);
    let (ports, _) =
        ports_of_all_clients(&["--transfer-ports", &format!("{first}-{last}"), "--workers", "2"]);
    assert!(ports.iter().all(|port| (first..=last).contains(port)), "{first}-{last}: {ports:?}");
}

#[test]
fn everyone_with_portable_io() {
    let (ports, address) = ports_of_all_clients(&["--io", "portable"]);
    assert!(ports.iter().all(|port| *port != address.port()), "{ports:?}");
}

#[test]
fn atftp_in_windows_with_portable_io() {
    let server = serve(&["--io", "portable"]);
    round_trip(&server, Client::Atftp, 4 * MIB, |job| job.blksize(1428).windowsize(32));
    lines_of(&server.stop(), Client::Atftp, 4 * MIB);
}

/// Consecutive ports that nobody has now, below those that systems give out by themselves.
fn free_range(len: u16) -> (u16, u16) {
    let start = std::process::id() as u16 % 1_000;
    let free = |first: &u16| {
        (*first..first + len).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
    };
    let first = (0..1_000).map(|step| 12_000 + (start + step) % 1_000 * len).find(free).unwrap();
    (first, first + len - 1)
}
