//! What a peer that never answers can make the server send. docs/operations.md has the numbers.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use testkit::{Host, Memtftp, ack, bytes, data, error, request, rrq, wrq};

use crate::{client, serve};

/// IP and UDP headers, which every datagram has.
const HEADERS: usize = 28;

/// Bytes sent for each byte received, headers included: for a read without options, whose answer is
/// a block of the file, and for all else.
const READ_FACTOR: f64 = 72.0;
const OTHER_FACTOR: f64 = 5.0;

/// A DATA packet without options.
const DATA: usize = 516;

/// A kind of request, and what comes of it.
struct Kind {
    name: &'static str,
    request: Vec<u8>,
    /// How often it is sent.
    times: usize,
    /// The size of each answer at most.
    answer: usize,
    /// How many answers there are at most.
    packets: usize,
    /// Whether it leaves a line in the log.
    logged: bool,
}

/// The first packet and four repeats.
const OPENING: usize = 5;

fn kinds() -> Vec<Kind> {
    let all = [("blksize", "65464"), ("windowsize", "64"), ("tsize", "0"), ("timeout", "1")];
    let read = |name, request, answer, packets| Kind {
        name,
        request,
        times: 1,
        answer,
        packets,
        logged: true,
    };
    vec![
        read("read", rrq("f", &[]), DATA, OPENING),
        read("read in netascii", request(1, "f", "netascii", &[]), DATA, OPENING),
        read("read with unknown options", rrq("f", &[("x", "1")]), DATA, OPENING),
        // A repeat brings one packet more.
        Kind { times: 50, ..read("read, repeated", rrq("f", &[]), DATA, 50 + OPENING) },
        read("read with a window", rrq("f", &[("windowsize", "64")]), 16, OPENING),
        read("read with a block size", rrq("f", &[("blksize", "65464")]), 16, OPENING),
        read("read with a size", rrq("f", &[("tsize", "0")]), 16, OPENING),
        read("read with all options", rrq("f", &all), 64, OPENING),
        // Its repeats come late: docs/protocol.md, time-outs.
        read("write", wrq("n1", &[]), 4, 3),
        read("write with all options", wrq("n2", &all), 64, 1),
        read("write of 2^63 bytes", wrq("n3", &[("tsize", "9223372036854775808")]), 128, 1),
        read("no such file", rrq("g", &[]), 128, 1),
        read("a bad name", rrq("../f", &[]), 128, 1),
        read("a bad mode", request(1, "f", "m", &[]), 128, 1),
        read("no end", b"\0\x01f".to_vec(), 128, 1),
        read("an ACK", ack(1), 0, 0),
        read("DATA", data(1, &[]), 0, 0),
        read("an ERROR", error(0, ""), 0, 0),
        read("nothing", vec![], 0, 0),
        // These go to a port of transfers.
        Kind { logged: false, ..read("a stray ACK", ack(1), 24, 1) },
        Kind { logged: false, ..read("stray DATA", data(1, &[]), 24, 1) },
        Kind { logged: false, ..read("a stray ERROR", error(0, ""), 0, 0) },
    ]
}

/// All datagrams that wait at a socket.
fn drain(socket: &UdpSocket) -> Vec<usize> {
    socket.set_nonblocking(true).unwrap();
    let mut sizes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(size) => sizes.push(size),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sizes,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A server with a file of 1 MiB, and the port of a transfer.
fn server_with_file(host: &Host) -> (Memtftp, SocketAddr) {
    // Long enough for all repeats.
    let flags = ["--workers", "1", "--max-blksize", "65464", "--give-up", "26s"];
    let server = serve(host, &flags);
    let mut client = client(host, &server);
    client.put("f", &bytes(1 << 20), &[("blksize", "8192")]).unwrap();
    (server, client.tid())
}

#[test]
fn a_peer_that_never_answers_gets_little() {
    let host = Host::new();
    let (server, transfers) = server_with_file(&host);
    let kinds = kinds();
    let victim = || host.enter(|| UdpSocket::bind("127.0.0.9:0")).unwrap();
    let victims: Vec<UdpSocket> = kinds.iter().map(|_| victim()).collect();
    for (kind, victim) in kinds.iter().zip(&victims) {
        let to = if kind.logged { server.address() } else { transfers };
        for _ in 0..kind.times {
            victim.send_to(&kind.request, to).unwrap();
        }
    }
    // Once all is over, nothing more will come.
    server.wait_for_log(1 + kinds.iter().filter(|kind| kind.logged).count());
    for (kind, victim) in kinds.iter().zip(&victims) {
        let sizes = drain(victim);
        let payload: usize = sizes.iter().sum();
        let bytes = payload + sizes.len() * HEADERS;
        let received = kind.times * (kind.request.len() + HEADERS);
        let factor = bytes as f64 / received as f64;
        let (name, request) = (kind.name, kind.request.len());
        println!("{name}, {request} bytes: {} packets, {payload} bytes, {factor:.1}", sizes.len());
        assert!(sizes.iter().all(|size| *size <= kind.answer), "{}: {sizes:?}", kind.name);
        assert!(sizes.len() <= kind.packets, "{}: {sizes:?}", kind.name);
        let limit = if kind.answer == DATA { READ_FACTOR } else { OTHER_FACTOR };
        assert!(factor <= limit, "{}: {factor} times", kind.name);
    }
}
