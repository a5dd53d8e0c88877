//! How soon the first answer comes, and how many packets it takes.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Counts, DEADLINE, Network, Packet, Raw, ack, bytes, rrq};

use crate::{KIB, serve};

const CLIENTS: usize = 64;
const ASKED: usize = 200;

/// Asks so many times for a file of one block, each time from another port; gives the times to the
/// answers, longest last.
fn first_answers(server: SocketAddr) -> Vec<Duration> {
    let ask = |_| {
        let mut client = Raw::new(server);
        let asked = Instant::now();
        assert_eq!(client.ask(&rrq("small", &[])), Packet::Data(1, b"small".to_vec()));
        let time = asked.elapsed();
        client.reply(&ack(1));
        time
    };
    let mut times: Vec<Duration> = (0..ASKED).map(ask).collect();
    times.sort_unstable();
    times
}

/// The busy ones read in lock-step without a pause.
#[test]
fn the_first_answer_comes_at_once_under_sixty_four_busy_clients() {
    let network = Network::new();
    let server = serve(&network, &[]);
    let (address, large) = (server.address(), bytes(256 * KIB));
    let (asking, begin, deadline) =
        (AtomicBool::new(true), Barrier::new(CLIENTS + 1), Instant::now() + DEADLINE);
    let read = || {
        begin.wait();
        while asking.load(Ordering::Relaxed) && Instant::now() < deadline {
            assert!(Raw::new(address).get("large", &[]).unwrap() == large);
        }
    };
    let times = network.client.enter(|| {
        Raw::new(address).put("large", &large, &[]).unwrap();
        Raw::new(address).put("small", b"small", &[]).unwrap();
        thread::scope(|scope| {
            (0..CLIENTS).for_each(|_| drop(scope.spawn(read)));
            begin.wait();
            let times = first_answers(address);
            asking.store(false, Ordering::Relaxed);
            times
        })
    });
    let [half, nearly_all] = [times[ASKED / 2], times[ASKED * 99 / 100]];
    println!("half within {half:?}, 99 % within {nearly_all:?}, all within {:?}", times[ASKED - 1]);
    assert!(half < Duration::from_millis(10), "half of them within {half:?}");
    // All these clients share the machine with the server and with other tests.
    assert!(nearly_all < Duration::from_millis(500), "99 % within {nearly_all:?}");
}

/// An answer that says no is sent once, and no socket or transfer is left behind that would send more.
#[test]
fn a_missing_file_costs_one_packet() {
    let network = Network::new();
    let server = serve(&network, &[]);
    let address = server.address();
    let answer = network.client.enter(|| Raw::new(address).ask(&rrq("missing", &[])));
    assert_eq!(answer, Packet::Error(1, "file not found".to_owned()));
    server.stop();
    assert_eq!(network.came(), Counts { to_server: 1, to_client: 1 });
}
