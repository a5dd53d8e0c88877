//! Waiting: for datagrams, for room, for a deadline, for another thread.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod common;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{BOTH, DEADLINE, bind, client};
use memtftp_udp::{Io, Poller, Ready, RecvBatch};

fn wait(poller: &mut Poller, timeout: Duration) -> Vec<Ready> {
    let mut ready: Vec<_> = poller.wait(Some(timeout)).unwrap().collect();
    ready.sort_by_key(|ready| ready.key);
    ready
}

#[test]
fn a_socket_stays_ready_until_it_is_read() {
    for io in BOTH {
        let socket = bind("127.0.0.1:0", io);
        let mut poller = Poller::new().unwrap();
        poller.add(&socket, 3).unwrap();
        client("127.0.0.1").send_to(b"x", socket.local_addr()).unwrap();
        let expected = [Ready { key: 3, readable: true, writable: false }];
        for _ in 0..3 {
            assert_eq!(wait(&mut poller, DEADLINE), expected);
        }
        assert_eq!(socket.recv(&mut RecvBatch::new()).unwrap(), 1);
        assert_eq!(wait(&mut poller, Duration::ZERO), []);
    }
}

#[test]
fn sockets_are_told_apart_by_their_keys() {
    let (first, second) = (bind("127.0.0.1:0", Io::best()), bind("[::1]:0", Io::best()));
    let mut poller = Poller::new().unwrap();
    poller.add(&first, 0).unwrap();
    poller.add(&second, 1).unwrap();
    client("::1").send_to(b"x", second.local_addr()).unwrap();
    assert_eq!(wait(&mut poller, DEADLINE), [Ready { key: 1, readable: true, writable: false }]);
    client("127.0.0.1").send_to(b"x", first.local_addr()).unwrap();
    let keys: Vec<_> = wait(&mut poller, DEADLINE).iter().map(|ready| ready.key).collect();
    assert_eq!(keys, [0, 1]);
}

#[test]
fn room_to_send_is_reported_only_while_asked_for() {
    let socket = bind("127.0.0.1:0", Io::best());
    let mut poller = Poller::new().unwrap();
    poller.add(&socket, 5).unwrap();
    assert_eq!(wait(&mut poller, Duration::ZERO), []);
    poller.set_writable(5, true).unwrap();
    for _ in 0..2 {
        let expected = [Ready { key: 5, readable: false, writable: true }];
        assert_eq!(wait(&mut poller, DEADLINE), expected);
    }
    client("127.0.0.1").send_to(b"x", socket.local_addr()).unwrap();
    assert_eq!(wait(&mut poller, DEADLINE), [Ready { key: 5, readable: true, writable: true }]);
    poller.set_writable(5, false).unwrap();
    assert_eq!(wait(&mut poller, DEADLINE), [Ready { key: 5, readable: true, writable: false }]);
}

#[test]
fn a_waker_ends_a_wait_without_a_deadline() {
    let mut poller = Poller::new().unwrap();
    let waker = poller.waker();
    let thread = std::thread::spawn(move || waker.wake());
    assert_eq!(poller.wait(None).unwrap().count(), 0);
    thread.join().unwrap();
}

#[test]
fn a_wake_before_the_wait_is_kept_and_many_are_one() {
    let mut poller = Poller::new().unwrap();
    let waker = poller.waker();
    for _ in 0..10 {
        waker.clone().wake();
    }
    assert_eq!(poller.wait(None).unwrap().count(), 0);
    // The ten are used up: the next wait lasts its full time.
    let (start, timeout) = (Instant::now(), Duration::from_millis(5));
    assert_eq!(wait(&mut poller, timeout), []);
    assert!(start.elapsed() >= timeout);
}

#[test]
fn a_wake_does_not_hide_a_socket() {
    let socket = bind("127.0.0.1:0", Io::best());
    let mut poller = Poller::new().unwrap();
    poller.add(&socket, 1).unwrap();
    client("127.0.0.1").send_to(b"x", socket.local_addr()).unwrap();
    poller.waker().wake();
    assert_eq!(wait(&mut poller, DEADLINE).len(), 1);
}

#[test]
fn a_short_timeout_waits_and_does_not_spin() {
    let mut poller = Poller::new().unwrap();
    let timeout = Duration::from_micros(300);
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(wait(&mut poller, timeout), []);
    }
    assert!(start.elapsed() >= 20 * timeout, "{:?}", start.elapsed());
}

#[test]
fn an_endless_timeout_is_no_deadline() {
    let mut poller = Poller::new().unwrap();
    poller.waker().wake();
    assert_eq!(wait(&mut poller, Duration::MAX), []);
}

#[test]
fn a_socket_outlives_its_other_owners_while_it_is_waited_for() {
    let socket = bind("127.0.0.1:0", Io::best());
    let (address, watch) = (socket.local_addr(), Arc::downgrade(&socket));
    let mut poller = Poller::new().unwrap();
    poller.add(&socket, 9).unwrap();
    drop(socket);
    client("127.0.0.1").send_to(b"x", address).unwrap();
    assert_eq!(wait(&mut poller, DEADLINE).len(), 1);
    let waker = poller.waker();
    drop(poller);
    assert!(watch.upgrade().is_none());
    waker.wake();
}

#[test]
fn wrong_keys_are_refused() {
    let (first, second) = (bind("127.0.0.1:0", Io::best()), bind("127.0.0.1:0", Io::best()));
    let mut poller = Poller::new().unwrap();
    poller.add(&first, 1).unwrap();
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(poller.add(&second, 1)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(poller.add(&first, 2)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(poller.add(&second, usize::MAX)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(poller.set_writable(2, true)), io::ErrorKind::NotFound);
    // None of that left a trace.
    poller.add(&second, 2).unwrap();
}
