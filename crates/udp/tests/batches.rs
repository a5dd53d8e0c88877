//! Order, bytes and the account of a batch.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod common;

use common::{BOTH, DEADLINE, bind, client, receive, to};
use memtftp_udp::{BATCH, RecvBatch, SendBuffer, Sent};

#[test]
fn a_full_batch_keeps_order_and_bytes() {
    for io in BOTH {
        let paths =
            [("0.0.0.0:0", "127.0.0.1:0"), ("[::]:0", "127.0.0.1:0"), ("[::]:0", "[::1]:0")];
        for (from, to_address) in paths {
            let (sender, receiver) = (bind(from, io), bind(to_address, io));
            // Sizes from nothing to larger than a copied one, each byte telling its datagram.
            let payloads: Vec<Vec<u8>> =
                (0..BATCH).map(|index| vec![index as u8; index * 37]).collect();
            let mut buffer = SendBuffer::new();
            let mut batch = buffer.start();
            for (index, payload) in payloads.iter().enumerate() {
                let header = [0, 3, 0, index as u8];
                assert!(batch.push(to(receiver.local_addr(), None), header, payload));
            }
            assert!(!batch.push(to(receiver.local_addr(), None), [0; 4], b"one too many"));
            let sent = sender.send(&mut batch);
            assert_eq!(sent, Sent { accepted: BATCH, ..Sent::default() });
            assert!(batch.is_empty());

            let received = receive(&receiver, BATCH);
            assert_eq!(received.len(), BATCH);
            for (index, (datagram, payload)) in received.iter().zip(&payloads).enumerate() {
                assert_eq!(datagram.payload[..4], [0, 3, 0, index as u8], "{io} {from}");
                assert_eq!(datagram.payload[4..], payload[..], "{io} {from}");
            }
        }
    }
}

#[test]
fn the_smallest_and_the_largest_datagram_pass() {
    for io in BOTH {
        let (sender, receiver) = (bind("127.0.0.1:0", io), bind("127.0.0.1:0", io));
        let to = to(receiver.local_addr(), None);
        let largest: Vec<u8> = (0..65_507_u32 - 4).map(|index| (index % 251) as u8).collect();
        let mut buffer = SendBuffer::new();
        let mut batch = buffer.start();
        assert!(batch.push_copied(to, b""));
        assert!(batch.push(to, [1, 2, 3, 4], &largest));
        assert!(batch.push(to, [5, 6, 7, 8], b""));
        assert_eq!(sender.send(&mut batch).accepted, 3);

        let received = receive(&receiver, 3);
        assert_eq!(received[0].payload, b"");
        assert_eq!(received[1].payload.len(), 65_507);
        assert_eq!(received[1].payload[..4], [1, 2, 3, 4]);
        assert_eq!(received[1].payload[4..], largest);
        assert_eq!(received[2].payload, [5, 6, 7, 8]);
    }
}

#[test]
fn a_refused_datagram_is_skipped_wherever_it_stands() {
    for io in BOTH {
        for bad in [vec![0], vec![4], vec![9], vec![0, 1, 5, 9], (0..10).collect()] {
            let (sender, receiver) = (bind("[::]:0", io), bind("127.0.0.1:0", io));
            let mut buffer = SendBuffer::new();
            let mut batch = buffer.start();
            for index in 0..10 {
                let mut peer = receiver.local_addr();
                if bad.contains(&index) {
                    peer.set_port(0);
                }
                assert!(batch.push_copied(to(peer, None), &[index]));
            }
            let sent = sender.send(&mut batch);
            assert_eq!((sent.accepted, sent.failed), (10, bad.len()), "{io} {bad:?}");
            assert!(!sent.blocked);
            assert!(sent.last_error.is_some());

            let good: Vec<u8> = (0..10).filter(|index| !bad.contains(index)).collect();
            let received = receive(&receiver, good.len());
            let bytes: Vec<u8> = received.iter().map(|datagram| datagram.payload[0]).collect();
            assert_eq!(bytes, good, "{io}");
        }
    }
}

#[test]
fn each_way_to_be_refused_costs_only_its_own_datagram() {
    for io in BOTH {
        let (sender, receiver) = (bind("0.0.0.0:0", io), bind("127.0.0.1:0", io));
        let good = to(receiver.local_addr(), None);
        let oversized = vec![0; 65_508];
        let mut buffer = SendBuffer::new();
        let mut batch = buffer.start();
        assert!(batch.push_copied(to("[::1]:9".parse().unwrap(), None), b"wrong family"));
        assert!(batch.push(good, [0; 4], &oversized));
        assert!(batch.push_copied(to("255.255.255.255:9".parse().unwrap(), None), b"broadcast"));
        // A documentation address, which no host has.
        assert!(batch.push_copied(to(receiver.local_addr(), Some("203.0.113.77")), b"source"));
        assert!(batch.push_copied(good, b"good"));
        let sent = sender.send(&mut batch);
        assert_eq!((sent.accepted, sent.failed, sent.blocked), (5, 4, false), "{io} {sent:?}");
        assert_eq!(receive(&receiver, 1)[0].payload, b"good");
    }
}

#[test]
fn a_batch_that_was_sent_sends_nothing_again() {
    for io in BOTH {
        let (sender, receiver) = (bind("127.0.0.1:0", io), bind("127.0.0.1:0", io));
        let to = to(receiver.local_addr(), None);
        let mut buffer = SendBuffer::new();
        let mut batch = buffer.start();
        assert!(batch.push_copied(to, b"first"));
        assert_eq!(sender.send(&mut batch).accepted, 1);
        assert_eq!(sender.send(&mut batch), Sent::default());
        assert!(batch.push_copied(to, b"second"));
        assert_eq!(sender.send(&mut batch).accepted, 1);
        let payloads: Vec<_> = receive(&receiver, 2).into_iter().map(|d| d.payload).collect();
        assert_eq!(payloads, [b"first".to_vec(), b"second".to_vec()]);
    }
}

#[test]
fn nobody_at_the_other_end_is_no_error() {
    for io in BOTH {
        let socket = bind("0.0.0.0:0", io);
        let (gone, here) = (client("127.0.0.1").local_addr().unwrap(), client("127.0.0.1"));
        let mut buffer = SendBuffer::new();
        let mut received = RecvBatch::new();
        for _ in 0..3 {
            let mut batch = buffer.start();
            assert!(batch.push_copied(to(gone, None), b"lost"));
            assert!(batch.push_copied(to(here.local_addr().unwrap(), None), b"found"));
            assert_eq!(socket.send(&mut batch), Sent { accepted: 2, ..Sent::default() });
            assert_eq!(socket.recv(&mut received).unwrap(), 0);
        }
        let mut bytes = [0; 16];
        assert_eq!(here.recv(&mut bytes).unwrap(), 5);
    }
}

#[test]
fn receiving_from_an_empty_socket_gives_nothing_and_empties_the_batch() {
    for io in BOTH {
        let socket = bind("127.0.0.1:0", io);
        let client = client("127.0.0.1");
        client.send_to(b"one", socket.local_addr()).unwrap();
        let mut poller = memtftp_udp::Poller::new().unwrap();
        poller.add(&socket, 0).unwrap();
        assert_eq!(poller.wait(Some(DEADLINE)).unwrap().count(), 1);

        let mut batch = RecvBatch::new();
        assert_eq!(socket.recv(&mut batch).unwrap(), 1);
        assert_eq!((batch.len(), batch.is_empty(), batch.is_full()), (1, false, false));
        assert_eq!(socket.recv(&mut batch).unwrap(), 0);
        assert_eq!(batch.iter().count(), 0);
        assert!(batch.is_empty());
    }
}

#[test]
fn more_than_a_batch_comes_in_several() {
    for io in BOTH {
        let socket = bind("[::]:0", io);
        let client = client("::1");
        let target = common::at("::1", &socket);
        for index in 0..BATCH as u8 + 10 {
            client.send_to(&[index], target).unwrap();
        }
        let mut batch = RecvBatch::new();
        assert_eq!(socket.recv(&mut batch).unwrap(), BATCH);
        assert!(batch.is_full());
        let last = batch.iter().last().unwrap().payload[0];
        assert_eq!(usize::from(last), BATCH - 1);
        assert_eq!(socket.recv(&mut batch).unwrap(), 10);
        // Nothing of the first batch shows through in the second.
        assert!(batch.iter().all(|d| d.payload.len() == 1 && usize::from(d.payload[0]) >= BATCH));
        assert!(batch.iter().all(|d| d.peer == client.local_addr().unwrap()));
    }
}
