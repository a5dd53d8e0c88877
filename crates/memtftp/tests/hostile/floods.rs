//! Tens of thousands of datagrams at once. Others are served meanwhile, and memory has its bound.

use std::fs;
use std::net::SocketAddr;
use std::thread;

use testkit::{
    Client, Host, Job, Line, Memtftp, Packet, Spoofer, ack, bytes, data, error, rrq, wait_for, wrq,
};

use crate::{client, ports, serve};

const MIB: usize = 1 << 20;

/// How often the packets of a flood are sent at least; it goes on until the transfers beside it are
/// done.
const FLOOD: u32 = 20_000;

/// Where it ends in any case.
const FLOOD_LIMIT: u32 = 60_000;

/// How much of it comes in one go.
const TURN: u32 = 64;

/// `--memory` of the servers.
const BUDGET: usize = 64 * MIB;

/// What a server may take beside the budget: its program, buffers, and the sessions of a flood.
const OVERHEAD: usize = 96 * MIB;

fn server_with_file(host: &Host, flags: &[&str]) -> Memtftp {
    let common = ["--memory", "64MiB", "--max-client-memory", "64MiB", "--give-up", "10s"];
    let server = serve(host, &[&common, flags].concat());
    client(host, &server).put("file", &bytes(MIB), &[("blksize", "8192")]).unwrap();
    server
}

/// The sender of a flood's datagram: always the same host, or ever another one.
#[derive(Clone, Copy)]
enum Source {
    OneAddress,
    ManyAddresses,
}

impl Source {
    fn of(self, number: u32) -> SocketAddr {
        let [_, _, high, low] = (number % 0xfff0 + 1).to_be_bytes();
        match self {
            Source::OneAddress => ([127, 6, 6, 6], 1_024 + (number % 60_000) as u16).into(),
            Source::ManyAddresses => ([127, 66, high, low], 2_000 + (number >> 16) as u16).into(),
        }
    }
}

/// A transfer by a client who has no part in the flood.
fn must(host: &Host, server: &Memtftp, job: &Job<'_>) {
    let done = host.enter(|| Client::Busybox.run(job));
    let own = |line: &Line| line.get("client").starts_with("127.0.0.1:");
    let log = || server.log().into_iter().filter(own).collect::<Vec<Line>>();
    assert!(done.status.success(), "{job:?}: {done:?} {:#?}", log());
}

/// Waits until the server gets to new requests again: this client asks until it is heard.
fn calm(host: &Host, server: &Memtftp) {
    let received = server.path("calm");
    let job = Job::get(server.address(), "file", &received).blksize(8192);
    must(host, server, &job);
    assert!(fs::read(&received).unwrap() == bytes(MIB));
}

/// Someone else writes a file and reads it back while the flood goes on.
fn transfers_succeed_beside(host: &Host, server: &Memtftp, flood: impl Fn(u32)) {
    thread::scope(|scope| {
        let good = scope.spawn(|| {
            let (sent, received) = (server.path("sent"), server.path("received"));
            let file = bytes(MIB + 1);
            fs::write(&sent, &file).unwrap();
            must(host, server, &Job::put(server.address(), "good", &sent).blksize(1428));
            must(host, server, &Job::get(server.address(), "good", &received).blksize(1428));
            assert!(fs::read(&received).unwrap() == file);
        });
        for number in 0..FLOOD_LIMIT {
            if number >= FLOOD && good.is_finished() {
                break;
            }
            flood(number);
            // All share the cores of one machine: who is attacked gets its turn, too.
            if number % TURN == 0 {
                thread::yield_now();
            }
        }
        good.join().unwrap();
    });
}

/// All memory is there again: one file takes nearly the whole budget.
fn assert_budget_is_back(host: &Host, server: &Memtftp) {
    let mut client = client(host, server);
    let file = bytes(BUDGET - 8 * MIB);
    let options = [("blksize", "65464"), ("tsize", &file.len().to_string())];
    wait_for("room for a file of nearly the budget", || client.put("large", &file, &options).ok());
    assert!(client.get("large", &options[..1]).unwrap() == file);
}

fn flood(flags: &[&str], source: Source, packets: impl Fn(u32) -> Vec<Vec<u8>>) {
    let host = Host::new();
    let server = server_with_file(&host, flags);
    let spoofer = Spoofer::new(&host);
    let ports = ports(&server);
    transfers_succeed_beside(&host, &server, |number| {
        for packet in packets(number) {
            // Requests go to the listening port, all else to any.
            let to = if packet[1] < 3 { ports[0] } else { ports[number as usize % ports.len()] };
            spoofer.send(source.of(number), to, &packet);
        }
    });
    calm(&host, &server);
    assert_budget_is_back(&host, &server);
    let peak = server.peak_memory();
    println!("{} MiB at most", peak / MIB);
    assert!(peak <= BUDGET + OVERHEAD, "{} MiB", peak / MIB);
}

#[test]
fn reads_from_one_address() {
    flood(&[], Source::OneAddress, |_| vec![rrq("file", &[])]);
}

#[test]
fn reads_from_many_addresses() {
    let options = [("blksize", "65464"), ("windowsize", "64"), ("tsize", "0"), ("timeout", "255")];
    flood(&[], Source::ManyAddresses, |_| vec![rrq("file", &options)]);
}

/// Whoever answers before that many others have asked keeps its place; those that never answer lose
/// theirs.
#[test]
fn reads_from_far_more_addresses_than_may_be_half_open() {
    let host = Host::new();
    let server = server_with_file(&host, &["--workers", "1", "--max-half-open", "500"]);
    let spoofer = Spoofer::new(&host);
    let mut forged = 0..u32::MAX;
    let mut ask_from_fewer_than_may_be_half_open = || {
        for number in forged.by_ref().take(400) {
            spoofer.send(Source::ManyAddresses.of(number), server.address(), &rrq("file", &[]));
        }
    };
    let (mut reader, mut writer) = (client(&host, &server), client(&host, &server));
    let blksize = [("blksize", "32768")];
    let granted = Packet::Oack(vec![("blksize".into(), "32768".into())]);
    assert_eq!(reader.ask(&rrq("file", &blksize)), granted);
    assert_eq!(writer.ask(&wrq("good", &blksize)), granted);
    for (block, bytes) in (1..).zip(bytes(MIB).chunks(32_768)) {
        ask_from_fewer_than_may_be_half_open();
        assert_eq!(reader.say(&ack(block - 1)), Packet::Data(block, bytes.into()));
        assert_eq!(writer.say(&data(block, bytes)), Packet::Ack(block));
    }
    calm(&host, &server);
    let pushed_out = [("kind", "read"), ("outcome", "dropped")];
    let lost = server.log().into_iter().filter(|line| line.is(&pushed_out)).count();
    assert!(lost >= 100, "{lost}: the log takes so many a second of more than ten thousand");
}

#[test]
fn writes_from_one_address() {
    flood(&[], Source::OneAddress, |number| vec![wrq(format!("new-{number}"), &[])]);
}

/// They announce all the memory there is, and send nothing.
#[test]
fn writes_from_many_addresses() {
    let options = [("tsize", "60000000"), ("blksize", "65464")];
    flood(&[], Source::ManyAddresses, |number| vec![wrq(format!("new-{number}"), &options)]);
}

/// More than there may be uploads, each from a port of its own, and none of them is ever answered. A
/// real one has its place all the same, at once, and keeps it while they go on.
#[test]
fn writes_that_never_send_a_block_keep_no_upload_out() {
    let host = Host::new();
    let server = server_with_file(&host, &["--workers", "1", "--max-uploads", "1000"]);
    let spoofer = Spoofer::new(&host);
    let mut forged = 0..u32::MAX;
    let mut flood = |count: usize| {
        for number in forged.by_ref().take(count) {
            let source = ([127, 5, 0, 1 + (number % 3) as u8], 1_024 + (number / 3) as u16);
            let name = format!("new-{number}");
            spoofer.send(source.into(), server.address(), &wrq(name, &[("tsize", "60000000")]));
        }
        calm(&host, &server);
    };
    flood(3_000);
    let mut writer = client(&host, &server);
    let options = [("blksize", "32768"), ("tsize", "1048576")];
    assert_eq!(writer.ask(&wrq("good", &options)), Packet::oack(&options));
    for (block, bytes) in (1..).zip(bytes(MIB).chunks(32_768)) {
        flood(900);
        assert_eq!(writer.say(&data(block, bytes)), Packet::Ack(block));
    }
    assert_eq!(writer.say(&data(33, b"")), Packet::Ack(33));
    let refused = |line: &Line| line.is(&[("outcome", "refused")]);
    assert!(!server.log().iter().any(refused));
}

/// Each takes a little memory: 4 KiB. Few enough that there is room for others.
#[test]
fn begun_uploads_from_many_addresses() {
    flood(&["--single-port"], Source::ManyAddresses, |number| match number % 8 {
        0 => begun_upload(number),
        _ => vec![data(2, &[7; 512])],
    });
}

/// On a single port whoever begins an upload knows where to go on.
fn begun_upload(number: u32) -> Vec<Vec<u8>> {
    vec![wrq(format!("new-{number}"), &[]), data(1, &[7; 512])]
}

/// All together want more than there is: the rest is refused, reads go on, and it all comes back.
#[test]
fn begun_uploads_beyond_the_budget() {
    let host = Host::new();
    let memory = ["--memory", "4MiB", "--max-client-memory", "4MiB"];
    let server = serve(&host, &[&memory[..], &["--single-port", "--give-up", "2s"]].concat());
    let mut good = client(&host, &server);
    good.put("file", &bytes(MIB), &[("blksize", "8192")]).unwrap();
    let spoofer = Spoofer::new(&host);
    for number in 0..FLOOD {
        for packet in begun_upload(number) {
            spoofer.send(Source::ManyAddresses.of(number), server.address(), &packet);
        }
    }
    calm(&host, &server);
    wait_for("the memory to come back", || good.put("more", &bytes(3 * MIB), &[]).ok());
    let refused = [("kind", "write"), ("outcome", "refused"), ("code", "3")];
    assert!(server.log().iter().any(|line| line.is(&refused)));
    assert!(server.peak_memory() <= 4 * MIB + OVERHEAD, "{}", server.peak_memory());
}

#[test]
fn acks_and_data_from_one_address() {
    flood(&[], Source::OneAddress, |number| vec![ack(number as u16), data(1, &[0; 512])]);
}

#[test]
fn all_packets_from_many_addresses() {
    flood(&[], Source::ManyAddresses, |number| {
        vec![error(5, "no"), ack(0), rrq("gone", &[]), data(number as u16, b""), b"\0\x09x".into()]
    });
}
