//! What loss costs a transfer in lock-step.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{DEADLINE, Network, Packet, Raw, ack, bytes, rrq};

use crate::{KIB, serve};

const SIZE: usize = 64 * KIB;

/// Transfers at a time.
const CLIENTS: usize = 8;

/// An answer that comes sooner was not repeated by the server: it waits 30 ms at least.
const PROMPT: Duration = Duration::from_millis(20);

/// A client that repeats its request, but never an ACK: whatever is lost after the first answer,
/// it is the server that has to notice.
struct Reader {
    socket: UdpSocket,
    server: SocketAddr,
    /// Answers in a row that came at once. After two the server has measured the round trip: the
    /// first was sent once, and its ACK arrived.
    prompt: u32,
    /// How long each answer took from then on.
    waits: Vec<Duration>,
}

impl Reader {
    fn new(server: SocketAddr) -> Reader {
        let socket = UdpSocket::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)).unwrap();
        Reader { socket, server, prompt: 0, waits: Vec::new() }
    }

    /// Reads a file; gives the waits.
    fn read(mut self, name: &str, file: &[u8]) -> Vec<Duration> {
        let mut from = self.server;
        let mut message = rrq(name, &[]);
        for (index, block) in file.chunks(512).chain([&[][..]]).enumerate() {
            let number = (index + 1) as u16;
            let asked = Instant::now();
            from = self.ask(&message, from, &Packet::Data(number, block.to_vec()));
            self.note(asked.elapsed());
            message = ack(number);
        }
        self.socket.send_to(&message, from).unwrap();
        self.waits
    }

    /// Sends `message` and waits for `wanted`; says whence it came.
    fn ask(&self, message: &[u8], to: SocketAddr, wanted: &Packet) -> SocketAddr {
        let deadline = Instant::now() + DEADLINE;
        let first = to == self.server;
        let patience = if first { Duration::from_millis(100) } else { DEADLINE };
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 600];
        self.socket.send_to(message, to).unwrap();
        loop {
            assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {wanted:?}");
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) if Packet::decode(&buffer[..len]) == *wanted => return from,
                // The block before once more: our ACK was lost.
                Ok(_) => self.socket.send_to(message, to).unwrap(),
                Err(_) => self.socket.send_to(message, to).unwrap(),
            };
        }
    }

    fn note(&mut self, wait: Duration) {
        if self.prompt >= 2 {
            self.waits.push(wait);
        } else if wait < PROMPT {
            self.prompt += 1;
        } else {
            self.prompt = 0;
        }
    }
}

/// All waits of so many reads by each client through this loss, longest last, and how many packets
/// were lost.
fn waits(percent: u32, reads: usize) -> (Vec<Duration>, u64) {
    let network = Network::new();
    let server = serve(&network, &[]);
    let (address, file) = (server.address(), bytes(SIZE));
    let client = || (0..reads).flat_map(|_| Reader::new(address).read("file", &file)).collect();
    let mut waits: Vec<Duration> = network.client.enter(|| {
        Raw::new(address).put("file", &file, &[]).unwrap();
        network.lose(percent);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let waits = clients.into_iter().map(|client| client.join().unwrap());
            waits.collect::<Vec<Vec<Duration>>>().concat()
        })
    });
    waits.sort_unstable();
    let lost = network.lost();
    (waits, lost.to_server + lost.to_client)
}

fn show(waits: &[Duration], lost: u64) -> String {
    let at = |part: f64| waits[(waits.len() as f64 * part) as usize];
    let [half, most, nearly_all] = [0.5, 0.97, 0.999].map(at);
    let longest = waits.last().unwrap();
    format!(
        "{} waits, {lost} lost: {half:?}, 97 % {most:?}, 99.9 % {nearly_all:?}, {longest:?}",
        waits.len()
    )
}

/// For a wait of a second a packet would have to be lost five times in a row.
#[test]
fn one_percent_never_costs_a_second() {
    let (waits, lost) = waits(1, 16);
    let shown = show(&waits, lost);
    println!("{shown}");
    assert!(lost > 100, "{shown}");
    assert!(*waits.last().unwrap() < Duration::from_secs(1), "{shown}");
}

/// Here a packet is lost five times in a row now and then. A server that waited a second for each
/// would do so in one of five exchanges.
#[test]
fn ten_percent_hardly_ever_cost_a_second() {
    let (waits, lost) = waits(10, 4);
    let shown = show(&waits, lost);
    println!("{shown}");
    assert!(lost > 500, "{shown}");
    let seconds = waits.iter().filter(|wait| **wait >= Duration::from_secs(1)).count();
    assert!(seconds * 100 < waits.len(), "{seconds} of a second or more: {shown}");
}
