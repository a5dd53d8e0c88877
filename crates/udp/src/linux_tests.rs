use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{BindOptions, Destination, Gso, Poller, SendBuffer};

fn bind(address: &str, options: &BindOptions) -> Arc<Socket> {
    Arc::new(Socket::bind(address.parse().unwrap(), options).unwrap())
}

/// Datagrams of these lengths to `peer`; how many messages they were to the system, and the bytes
/// that came out at `receiver`.
fn pass(sender: &Socket, receiver: &Arc<Socket>, lengths: &[usize]) -> (Sent, Vec<Vec<u8>>) {
    let payloads: Vec<_> = lengths.iter().map(|length| vec![*length as u8; length - 4]).collect();
    let to = Destination { peer: receiver.local_addr(), local: None };
    let mut buffer = SendBuffer::new();
    let mut batch = buffer.start();
    for (index, payload) in payloads.iter().enumerate() {
        assert!(batch.push(to, [0, 3, 0, index as u8], payload));
    }
    let sent = send(sender, &mut batch);
    let mut poller = Poller::new().unwrap();
    poller.add(receiver, 0).unwrap();
    let mut arrived = Vec::new();
    let mut batch = RecvBatch::new();
    while arrived.len() < lengths.len() {
        assert_eq!(poller.wait(Some(Duration::from_secs(10))).unwrap().count(), 1, "{arrived:?}");
        receiver.recv(&mut batch).unwrap();
        arrived.extend(batch.iter().map(|datagram| datagram.payload.to_vec()));
    }
    (sent, arrived)
}

fn expect_in_order(lengths: &[usize], arrived: &[Vec<u8>]) {
    assert_eq!(arrived.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
    for (index, (datagram, length)) in arrived.iter().zip(lengths).enumerate() {
        assert_eq!(datagram[..4], [0, 3, 0, index as u8]);
        assert!(datagram[4..].iter().all(|byte| *byte == *length as u8));
    }
}

/// Equal ones, a shorter one, others, and more bytes than one message holds.
const LENGTHS: [usize; 60] = {
    let mut lengths = [1432; 60];
    lengths[3] = 100;
    lengths[4] = 600;
    lengths[5] = 600;
    lengths[6] = 4;
    lengths
};

#[test]
fn runs_arrive_as_the_datagrams_they_are_of() {
    for gro in [false, true] {
        for (from, to) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::]:0", "[::1]:0")] {
            let recv_buffer = 1 << 20;
            let receiver = bind(to, &BindOptions { gro, recv_buffer, ..BindOptions::default() });
            let sender = bind(from, &BindOptions::default());
            assert!(sender.is_segmenting());
            let (sent, arrived) = pass(&sender, &receiver, &LENGTHS);
            assert_eq!(sent, Sent { accepted: LENGTHS.len(), ..Sent::default() });
            expect_in_order(&LENGTHS, &arrived);
        }
    }
}

#[test]
fn runs_are_as_long_as_they_may_be() {
    let sender = bind("127.0.0.1:0", &BindOptions::default());
    let joined = |lengths: &[usize]| {
        let payloads: Vec<_> = lengths.iter().map(|length| vec![0; length - 4]).collect();
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut buffer = SendBuffer::new();
        let mut batch = buffer.start();
        for payload in &payloads {
            batch.push(Destination { peer, local: None }, [0; 4], payload);
        }
        let (datagrams, arrays) = batch.parts(0);
        let count = arrays.point_to(datagrams, &sender);
        arrays.joined[..count].to_vec()
    };
    assert_eq!(joined(&LENGTHS), [3, 1, 2, 1, 45, 8]);
    assert_eq!(joined(&[4; 64]), [64]);
    assert_eq!(joined(&[32_753; 4]), [2, 2]);
    assert_eq!(joined(&[32_754; 3]), [1, 1, 1]);
    sender.stop_segmenting();
    assert_eq!(joined(&[516; 3]), [1, 1, 1]);
}

/// What a device without checksums does to runs, a socket without checksums does, too.
fn refuse_runs(socket: &Socket) {
    let off: libc::c_int = 1;
    // SAFETY: the option's value is an integer that outlives the call.
    let code = unsafe {
        libc::setsockopt(
            socket.inner.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const off).cast(),
            size_of_val(&off) as libc::socklen_t,
        )
    };
    assert_eq!(code, 0);
}

#[test]
fn a_refused_run_leaves_at_once_one_by_one() {
    for (gso, goes_on) in [(Gso::Auto, false), (Gso::On, true)] {
        let receiver = bind("127.0.0.1:0", &BindOptions::default());
        let sender = bind("127.0.0.1:0", &BindOptions { gso, ..BindOptions::default() });
        refuse_runs(&sender);
        for _ in 0..2 {
            let lengths = [516, 516, 516, 100, 200, 200];
            let (sent, arrived) = pass(&sender, &receiver, &lengths);
            assert_eq!(sent, Sent { accepted: lengths.len(), ..Sent::default() });
            expect_in_order(&lengths, &arrived);
            assert_eq!(sender.is_segmenting(), goes_on);
        }
    }
}
