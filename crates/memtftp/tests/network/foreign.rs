//! The clients that people have, through loss, over IPv4 and IPv6: bytes equal.

use std::fs;
use std::net::SocketAddr;
use std::thread;

use testkit::{Client, Job, Line, Memtftp, Network, bytes};

use crate::{KIB, MIB, serve};

/// Around a block, and some hundred blocks.
const SIZES: [usize; 6] = [0, 1, 511, 512, 513, 100 * KIB];

/// More blocks of 512 bytes than block numbers.
const PAST_THE_WRAP: usize = 65_600 * 512 + 1;

type Change = fn(Job<'_>) -> Job<'_>;

/// One client on one family: the clients differ in what they can and in how patient one must be.
#[derive(Clone, Copy)]
struct Case {
    client: Client,
    address: SocketAddr,
    size: usize,
    /// Adds options.
    change: Change,
}

impl Case {
    fn name(self) -> String {
        let Case { client, address, size, .. } = self;
        format!("{client:?}-{}-{size}", if address.is_ipv4() { "v4" } else { "v6" })
    }

    /// Writes a file, reads it back and compares.
    fn round_trip(self, server: &Memtftp, writer: Client) {
        let (name, file) = (self.name(), bytes(self.size));
        let (sent, received) = (server.path(&format!("{name}-sent")), server.path(&name));
        fs::write(&sent, &file).unwrap();
        writer.must(&(self.change)(Job::put(self.address, &name, &sent)));
        self.read((self.change)(Job::get(self.address, &name, &received)));
        // An empty file leaves no local file with some clients.
        let received = fs::read(&received).unwrap_or_default();
        assert!(received == file, "{name}: {} bytes came back", received.len());
    }

    /// Atftp gives up at an OACK that is repeated, since its ACK 0 was lost: then once more.
    fn read(self, job: Job<'_>) {
        let done = self.client.run(&job);
        if self.client == Client::Atftp && done.output.contains("unexpected OACK") {
            return self.read(job);
        }
        assert!(done.status.success(), "{job:?}: {done:?}");
    }

    /// The client, or another one where it would take minutes: tftp-hpa sends a lost block again
    /// after 5 s, and begins to wait anew at each ACK that repeats the last one.
    fn writer_through_loss(self) -> Client {
        match self.client {
            Client::TftpHpa if self.size > 4 * KIB => Client::Curl,
            client => client,
        }
    }

    /// The lines of the log show that the whole file was written, and that it was read.
    fn check(self, log: &[Line]) {
        let name = self.name();
        let written = [("kind", "write"), ("file", name.as_str()), ("outcome", "ok")];
        let lines: Vec<&Line> = log.iter().filter(|line| line.is(&written)).collect();
        assert_eq!(lines.len(), 1, "{name}: {log:#?}");
        assert_eq!(lines[0].number("bytes"), self.size as u64, "{name}");
        // A read may end in a time-out here: the last ACK was lost and the client gone.
        let read = [("kind", "read"), ("file", name.as_str())];
        assert!(log.iter().any(|line| line.is(&read)), "{name}: {log:#?}");
    }
}

/// These clients at once, each on IPv4 and on IPv6, through 1 % loss each way. Gives the log.
fn through_loss(flags: &[&str], clients: &[Client], sizes: &[usize], change: Change) -> Vec<Line> {
    let network = Network::lossy(1);
    let server = serve(&network, flags);
    let addresses = server.addresses();
    let cases = |client: Client, address| {
        sizes.iter().map(move |size| Case { client, address, size: *size, change })
    };
    let pairs = || clients.iter().flat_map(|client| addresses.iter().map(|ip| (*client, *ip)));
    network.client.enter(|| {
        thread::scope(|scope| {
            for (client, address) in pairs() {
                let server = &server;
                scope.spawn(move || {
                    cases(client, address)
                        .for_each(|case| case.round_trip(server, case.writer_through_loss()));
                });
            }
        });
    });
    let lost = network.lost();
    assert!(lost.to_server > 0 && lost.to_client > 0, "{lost:?}");
    let log = server.stop();
    pairs().flat_map(|(client, ip)| cases(client, ip)).for_each(|case| case.check(&log));
    log
}

/// The ports of ours that transfers ran on, and our listening ports.
fn ports(log: &[Line]) -> Vec<u16> {
    let local = log.iter().map(|line| line.get("local").parse::<SocketAddr>().unwrap().port());
    local.collect()
}

#[test]
fn everyone_through_loss() {
    through_loss(&[], &Client::ALL, &SIZES, |job| job);
}

#[test]
fn everyone_through_loss_on_a_range_of_ports() {
    // Both hosts are new, so these ports are free.
    let flags = ["--transfer-ports", "20000-20015"];
    let log = through_loss(&flags, &Client::ALL, &[1, 100 * KIB], |job| job);
    assert!(ports(&log).iter().all(|port| (20_000..=20_015).contains(port)), "{log:#?}");
}

#[test]
fn everyone_through_loss_on_a_single_port() {
    let log = through_loss(&["--single-port"], &Client::ALL, &[1, 100 * KIB], |job| job);
    let mut ports = ports(&log);
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 2, "one for each family: {log:#?}");
}

/// A client may take our OACK once more for the ACK of the block that was lost: curl then goes on
/// behind that block, and never sends it.
#[test]
fn an_upload_whose_first_block_is_lost_arrives_whole() {
    let clients = [Client::Atftp, Client::Curl, Client::Busybox];
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || first_block_lost(client));
        }
    });
}

fn first_block_lost(client: Client) {
    let network = Network::new();
    let server = serve(&network, &[]);
    let case =
        Case { client, address: server.address(), size: 1400, change: |job| job.blksize(600) };
    // The request comes first.
    network.lose_one(&network.server, 1);
    network.client.enter(|| case.round_trip(&server, client));
    assert_eq!(network.lost().to_server, 1);
    case.check(&server.stop());
}

#[test]
fn large_blocks_through_loss() {
    let clients = [Client::Atftp, Client::Curl, Client::Busybox];
    let log = through_loss(&[], &clients, &[MIB], |job| job.blksize(1428));
    assert!(log.iter().all(|line| line.get("granted").contains("blksize:1428")), "{log:#?}");
}

/// Lock-step would lose some 1,300 packets on the way to the wrap, and take a minute.
#[test]
fn windows_through_loss_past_the_last_block_number() {
    let sizes = [PAST_THE_WRAP];
    let log = through_loss(&[], &[Client::Atftp], &sizes, |job| job.windowsize(64));
    assert!(log.iter().all(|line| line.get("granted").contains("windowsize:64")), "{log:#?}");
    // The last ACK of a read may have been lost.
    let complete = log.iter().filter(|line| line.get("outcome") == "ok");
    complete.for_each(|line| assert_eq!(line.number("blocks"), 65_601, "{line:?}"));
}

#[test]
fn everyone_past_the_last_block_number() {
    let network = Network::new();
    let server = serve(&network, &[]);
    let [v4, v6]: [SocketAddr; 2] = server.addresses().try_into().unwrap();
    // Half of them each way suffices: in lock-step the family changes nothing.
    let pairs = Client::ALL.into_iter().zip([v4, v6, v6, v4]);
    let cases = pairs.map(|(client, address)| Case {
        client,
        address,
        size: PAST_THE_WRAP,
        change: |job| job,
    });
    network.client.enter(|| {
        cases.clone().for_each(|case| case.round_trip(&server, case.client));
    });
    let log = server.stop();
    for case in cases {
        case.check(&log);
    }
    assert!(log.iter().all(|line| line.number("blocks") == 65_601), "{log:#?}");
}
