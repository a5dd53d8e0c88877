//! Servers made by hand that do what servers should not, and some that only do little.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod endings;
mod gets;
mod puts;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use memtftp_client::{Client, Error, Url};
use testkit::{DEADLINE, Packet};

/// A server whose test says what it does, packet by packet.
struct Odd {
    listening: UdpSocket,
    transfer: UdpSocket,
    stranger: UdpSocket,
    /// What [`Odd::next`] gave.
    seen: Mutex<Vec<Packet>>,
}

impl Odd {
    fn new() -> Odd {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket
        };
        Odd { listening: socket(), transfer: socket(), stranger: socket(), seen: Mutex::default() }
    }

    /// The next request, and who sent it.
    fn request(&self) -> (Vec<u8>, SocketAddr) {
        receive(&self.listening)
    }

    /// Sends from the port of the transfer.
    fn send(&self, to: SocketAddr, packet: &[u8]) {
        self.transfer.send_to(packet, to).unwrap();
    }

    /// The next packet at the port of the transfer that has not been there before: where the
    /// processor is busy, a client may send again at any time.
    fn next(&self) -> Packet {
        let mut seen = self.seen.lock().unwrap();
        loop {
            let next = Packet::decode(&receive(&self.transfer).0);
            if !seen.contains(&next) {
                seen.push(next.clone());
                return next;
            }
        }
    }
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let (len, from) = socket.recv_from(&mut buffer).expect("the client sends something");
    buffer.truncate(len);
    (buffer, from)
}

/// Runs a server and its user side by side; gives what the user gives.
fn against<T>(script: impl FnOnce(&Odd) + Send, user: impl FnOnce(Url) -> T) -> T {
    let odd = Odd::new();
    let url = format!("tftp://{}/dir/file", odd.listening.local_addr().unwrap()).parse().unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(|| script(&odd));
        let result = user(url);
        server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result
    })
}

/// Blocks of 512 bytes, windows of 4, and little patience.
fn client() -> Client {
    Client::new().blksize(512).windowsize(4).timeout(Duration::from_millis(800))
}

/// The same with patience, for transfers that end.
fn patient() -> Client {
    client().timeout(DEADLINE)
}

/// What [`client`] asks for when it gets.
const ASKED: &[(&str, &str)] = &[("tsize", "0"), ("blksize", "512"), ("windowsize", "4")];

/// An OACK as it travels.
fn oack(pairs: &[(&str, &str)]) -> Vec<u8> {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}\0{value}\0"));
    [b"\0\x06".to_vec(), pairs.collect::<String>().into_bytes()].concat()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn reason(error: Error) -> String {
    match error {
        Error::Protocol { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}
