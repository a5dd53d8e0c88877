use std::net::UdpSocket;
use std::thread;

use super::*;
use crate::target::Nowhere;

/// A server of one file that answers one request, then ends.
fn one_answer(socket: UdpSocket) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut request = [0; 600];
        let (_, peer) = socket.recv_from(&mut request).unwrap();
        socket.send_to(b"\0\x03\0\x01hello", peer).unwrap();
        assert_eq!(socket.recv(&mut request).unwrap(), 4);
    })
}

fn loopback() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn addresses_are_tried_in_turn() {
    let (_silent, first) = loopback();
    let (socket, second) = loopback();
    // Nobody can send to a port of 0.
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let server = one_answer(socket);
    let client = Client::new().timeout(Duration::from_millis(200));
    let url: Url = "tftp://several/a".parse().unwrap();
    let mut target = Vec::new();
    let job = Job { client: &client, url: &url, content: None, target: &mut target };
    let report = job.run_with(&[nowhere, first, second]).unwrap();
    assert_eq!((report.peer, report.bytes), (second, 5));
    assert_eq!(target, b"hello");
    server.join().unwrap();
}

#[test]
fn silence_says_more_than_no_way() {
    let (_silent, first) = loopback();
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let client = Client::new().timeout(Duration::from_millis(100));
    let url: Url = "tftp://several/a".parse().unwrap();
    let run = |addresses: &[SocketAddr]| {
        let job = Job { client: &client, url: &url, content: None, target: &mut Nowhere };
        job.run_with(addresses).unwrap_err()
    };
    let error = run(&[first, nowhere]);
    assert!(
        matches!(error, Error::TimedOut { address, silence: Silence::Unanswered { .. }, .. } if address == first)
    );
    assert!(matches!(run(&[nowhere]), Error::Unreachable { .. }));
}

#[test]
fn a_time_out_starts_over_as_often_as_is_said() {
    let (socket, address) = loopback();
    let client = Client::new().timeout(Duration::from_millis(100)).retries(2);
    let url: Url = "tftp://one/a".parse().unwrap();
    let job = Job { client: &client, url: &url, content: None, target: &mut Nowhere };
    let error = job.run_with(&[address]).unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { silence: Silence::Unanswered { .. }, .. }),
        "{error}"
    );
    socket.set_nonblocking(true).unwrap();
    let mut ports = Vec::new();
    while let Ok((_, peer)) = socket.recv_from(&mut [0; 600]) {
        ports.push(peer);
    }
    ports.dedup();
    assert_eq!(ports.len(), 3, "{ports:?}");
}

#[test]
fn times_follow_the_time_out() {
    let twenty = timing(Duration::from_secs(20), Duration::from_secs(3));
    assert_eq!((twenty.initial, twenty.ceiling), (INITIAL, Duration::from_secs(8)));
    assert_eq!((twenty.patience.as_secs(), twenty.opening_patience.as_secs()), (20, 3));
    let one = timing(Duration::from_secs(1), Duration::from_secs(1));
    assert_eq!((one.initial.as_micros(), one.ceiling.as_millis()), (62_500, 500));
}

#[test]
fn addresses_as_answers_show_them() {
    let shown = |text: &str| reachable(text.parse().unwrap()).to_string();
    assert_eq!(shown("0.0.0.0:69"), "127.0.0.1:69");
    assert_eq!(shown("[::]:69"), "[::1]:69");
    assert_eq!(shown("[::ffff:192.0.2.1]:69"), "192.0.2.1:69");
    assert_eq!(shown("[fe80::1%7]:69"), "[fe80::1%7]:69");
}
