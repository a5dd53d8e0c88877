//! A client's transfer, step by step in virtual time: what goes well, and what a wrong server does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::SocketAddr;

use common::{ack, bytes, data, encode, error};
use memtftp_proto::*;

const SERVER: &str = "192.0.2.1:69";
const TID: &str = "192.0.2.1:5000";

/// The client under test, and what it has stored.
struct Guest {
    client: Client<Vec<u8>>,
    stored: Vec<u8>,
    full: bool,
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> Time {
    Time::from_micros(millis * 1_000)
}

fn oack(pairs: &[(&str, &str)]) -> Vec<u8> {
    let fields = pairs.iter().flat_map(|(name, value)| [*name, *value]);
    [b"\0\x06".to_vec(), fields.flat_map(|field| [field.as_bytes(), &[0]].concat()).collect()]
        .concat()
}

impl Guest {
    fn get(ask: Ask) -> Guest {
        let client = Client::get(Time::ZERO, addr(SERVER), ask, &Timing::default()).unwrap();
        Guest { client, stored: Vec::new(), full: false }
    }

    fn put(ask: Ask, content: &[u8]) -> Guest {
        let (content, timing) = (content.to_vec(), Timing::default());
        let client = Client::put(Time::ZERO, addr(SERVER), ask, content, &timing).unwrap();
        Guest { client, stored: Vec::new(), full: false }
    }

    /// What it sends now, and where to.
    fn sent(&mut self, millis: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some((to, offer)) = self.client.poll_transmit(at(millis), 16) {
            match offer {
                ClientOffer::Request => sent.push((to, self.client.request().to_vec())),
                ClientOffer::Control(packet) => sent.push((to, packet.as_bytes().to_vec())),
                ClientOffer::Run { first, blocks } => {
                    let run = self.client.datagrams(first, blocks).unwrap();
                    sent.extend(run.map(|(head, payload)| (to, [&head[..], payload].concat())));
                }
            }
        }
        sent
    }

    /// What it answers to the server's transfer port.
    fn hears(&mut self, millis: u64, datagram: &[u8]) -> Vec<Vec<u8>> {
        let sent = self.hears_from(millis, TID, datagram);
        assert!(sent.iter().all(|(to, _)| *to == addr(TID)), "{sent:?}");
        sent.into_iter().map(|(_, datagram)| datagram).collect()
    }

    fn hears_from(
        &mut self,
        millis: u64,
        from: &str,
        datagram: &[u8],
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let (stored, full) = (&mut self.stored, self.full);
        let store = |part: &[u8]| {
            stored.extend_from_slice(part);
            if full { Err("full") } else { Ok(()) }
        };
        let result = self.client.handle_datagram(at(millis), addr(from), datagram, store);
        assert_eq!(result.is_err(), full && self.client.outcome().is_some());
        self.sent(millis)
    }

    /// Moves the clock to its next timer and gives that with what is sent then.
    fn waits(&mut self) -> (u64, Vec<(SocketAddr, Vec<u8>)>) {
        let deadline = self.client.poll_timeout().unwrap();
        self.client.handle_timeout(deadline);
        let millis = deadline.as_micros() / 1_000;
        (millis, self.sent(millis))
    }

    fn failure(&self) -> &Failure {
        self.client.outcome().unwrap().as_ref().unwrap_err()
    }
}

fn windowed() -> Ask {
    Ask { blksize: Some(8), windowsize: Some(2), tsize: true, ..Ask::plain("f") }
}

#[test]
fn a_get_with_options_is_acknowledged_to_the_end_only_after_the_commit() {
    let file = bytes(20);
    let mut guest = Guest::get(windowed());
    let request = b"\0\x01f\0octet\0tsize\x000\0blksize\x008\0windowsize\x002\0".to_vec();
    assert_eq!(guest.sent(0), [(addr(SERVER), request)]);
    assert_eq!((guest.client.agreed(), guest.client.first_answer()), (&Agreed::PLAIN, None));
    let opening = oack(&[("tsize", "20"), ("blksize", "8"), ("windowsize", "2")]);
    assert_eq!(guest.hears(10, &opening), [encode(&ack(0))]);
    assert_eq!(guest.client.announced(), Some(20));
    assert_eq!((guest.client.agreed().blksize, guest.client.agreed().windowsize), (8, 2));
    assert_eq!(guest.client.first_answer(), Some(at(10).since(Time::ZERO)));
    assert_eq!(guest.client.peer(), Some(addr(TID)));
    assert!(guest.hears(20, &encode(&data(1, &file[..8]))).is_empty());
    assert_eq!(guest.hears(20, &encode(&data(2, &file[8..16]))), [encode(&ack(2))]);
    assert!(guest.hears(30, &encode(&data(3, &file[16..]))).is_empty());
    assert!(guest.client.is_received() && guest.client.outcome().is_none());
    guest.client.commit(at(30));
    assert_eq!(guest.sent(30), [(addr(TID), encode(&ack(3)))]);
    assert_eq!(guest.client.outcome(), Some(&Ok(())));
    assert_eq!((&guest.stored, guest.client.out_of_order()), (&file, 0));
    assert_eq!(guest.client.totals(), Totals { blocks: 3, bytes: 20, retransmissions: 0 });
    // Nothing was lost, so it does not stay.
    guest.waits();
    assert_eq!(guest.client.poll_timeout(), None);
}

#[test]
fn after_a_lossy_get_the_last_ack_is_given_again_for_a_moment() {
    let mut guest = Guest::get(Ask::plain("f"));
    guest.sent(0);
    assert_eq!(guest.hears(10, &encode(&data(1, &[7; 512]))), [encode(&ack(1))]);
    assert_eq!(guest.hears(20, &encode(&data(1, &[7; 512]))), [encode(&ack(1))]);
    guest.hears(30, &encode(&data(2, b"end")));
    guest.client.commit(at(30));
    assert_eq!(guest.sent(30), [(addr(TID), encode(&ack(2)))]);
    assert_eq!(guest.hears(40, &encode(&data(2, b"end"))), [encode(&ack(2))]);
    // What the server says now changes nothing any more.
    assert!(guest.hears(50, &encode(&error(0, "late"))).is_empty());
    assert_eq!(guest.waits(), (280, Vec::new()));
    assert_eq!((guest.client.out_of_order(), guest.client.outcome()), (1, Some(&Ok(()))));
    assert!(guest.hears(290, &encode(&data(2, b"end"))).is_empty());
}

#[test]
fn a_second_answer_to_a_repeated_request_is_told_so_without_harm() {
    let mut guest = Guest::get(Ask::plain("f"));
    guest.sent(0);
    let (_, again) = guest.waits();
    assert_eq!(again[0].0, addr(SERVER));
    guest.hears(1_010, &encode(&data(1, &[7; 512])));
    let other = "192.0.2.1:5001";
    let told = guest.hears_from(1_020, other, &encode(&data(1, &[7; 512])));
    assert_eq!(told, [(addr(other), encode(&error(5, "unknown transfer ID")))]);
    // An ERROR is never answered, nor is another host.
    assert_eq!(guest.hears_from(1_030, other, &encode(&error(0, ""))), []);
    assert_eq!(guest.hears_from(1_030, "192.0.2.9:5000", &encode(&data(2, b"x"))), []);
    guest.hears(1_040, &encode(&data(2, b"end")));
    guest.client.commit(at(1_040));
    assert_eq!((guest.stored.len(), guest.client.outcome()), (515, Some(&Ok(()))));
}

#[test]
fn what_is_no_first_answer_is_ignored() {
    let mut guest = Guest::get(Ask::plain("f"));
    guest.sent(0);
    assert_eq!(guest.hears_from(1, "192.0.2.9:5000", &encode(&data(1, b"forged"))), []);
    for odd in [&b"\0"[..], b"\0\x09\0\0", &encode(&ack(0)), &encode(&data(2, b"x"))] {
        assert_eq!(guest.hears_from(1, TID, odd), [], "{odd:?}");
    }
    assert_eq!((guest.client.peer(), guest.stored.len()), (None, 0));
    assert_eq!(guest.hears(2, &encode(&data(1, b"true"))).len(), 0);
    assert!(guest.client.is_received());
}

#[test]
fn a_copy_of_the_oack_brings_the_first_packet_again_and_a_late_one_nothing() {
    let opening = oack(&[("blksize", "8"), ("windowsize", "2")]);
    let mut guest = Guest::get(windowed());
    guest.sent(0);
    for millis in [10, 20] {
        assert_eq!(guest.hears(millis, &opening), [encode(&ack(0))]);
    }
    guest.hears(30, &encode(&data(1, &[7; 8])));
    assert!(guest.hears(40, &opening).is_empty());

    let mut guest = Guest::put(windowed(), &[7; 40]);
    guest.sent(0);
    let window = [1, 2].map(|block| encode(&data(block, &[7; 8])));
    for millis in [10, 20] {
        assert_eq!(guest.hears(millis, &opening), window);
    }
    assert_eq!(guest.hears(30, &encode(&ack(2))).len(), 2);
    assert!(guest.hears(40, &opening).is_empty());
}

#[test]
fn options_that_were_not_asked_for_end_the_transfer_with_error_8() {
    let cases = [
        (&[("blksize", "9")][..], OptionError::BadValue(TftpOption::Blksize)),
        (&[("timeout", "1")], OptionError::NotAsked),
    ];
    for (pairs, why) in cases {
        let mut guest = Guest::put(windowed(), b"content");
        guest.sent(0);
        assert_eq!(guest.hears(10, &oack(pairs)), [encode(&error(8, &why.to_string()))]);
        assert_eq!(guest.failure(), &Failure::Options(why));
        assert_eq!(guest.client.poll_timeout(), None);
    }
}

#[test]
fn a_server_that_refuses_options_is_asked_once_without_them() {
    for code in [8, 4] {
        let mut guest = Guest::put(windowed(), b"content");
        guest.sent(0);
        guest.hears_from(10, TID, &encode(&error(code, "no options")));
        // At once or after a wait, but plain.
        let plain = (addr(SERVER), b"\0\x02f\0octet\0".to_vec());
        assert_eq!(guest.client.request(), plain.1);
        assert_eq!(guest.client.outcome(), None);
        // The answer to the first request is late, and means nothing now.
        assert_eq!(guest.hears_from(20, TID, &oack(&[("blksize", "8")])), []);
        assert_eq!(guest.hears(30, &encode(&ack(0))), [encode(&data(1, b"content"))]);
        guest.hears(40, &encode(&ack(1)));
        assert_eq!(guest.client.outcome(), Some(&Ok(())), "code {code}");
    }
}

#[test]
fn a_refusal_that_has_nothing_to_do_with_options_is_final() {
    let mut guest = Guest::get(windowed());
    guest.sent(0);
    assert_eq!(guest.hears_from(10, TID, &encode(&error(1, "file not found"))), []);
    let text = "file not found".to_owned();
    assert_eq!(guest.failure(), &Failure::Refused { code: ErrorCode::NOT_FOUND, text });
    assert_eq!(guest.client.poll_timeout(), None);
}

#[test]
fn a_block_longer_than_agreed_ends_a_get_with_error_4() {
    let mut guest = Guest::get(windowed());
    guest.sent(0);
    guest.hears(10, &oack(&[("blksize", "8")]));
    let told = guest.hears(20, &encode(&data(1, &[0; 9])));
    assert_eq!(told, [encode(&error(4, "DATA is longer than the block size agreed"))]);
    assert_eq!((guest.failure(), guest.stored.len()), (&Failure::TooLong, 0));
}

#[test]
fn a_client_that_cannot_store_tells_the_server_and_so_does_one_that_gives_up() {
    let mut guest = Guest::get(Ask::plain("f"));
    guest.sent(0);
    guest.full = true;
    let told = guest.hears(10, &encode(&data(1, &[7; 512])));
    assert_eq!(told, [encode(&error(3, "the client cannot store the file"))]);
    assert_eq!(guest.failure(), &Failure::Aborted);

    let mut guest = Guest::put(Ask::plain("f"), &[7; 600]);
    guest.sent(0);
    assert_eq!(guest.hears(10, &encode(&ack(0))).len(), 1);
    guest.client.abort(ErrorCode::UNDEFINED, "interrupted");
    assert_eq!(guest.sent(20), [(addr(TID), encode(&error(0, "interrupted")))]);
    assert_eq!(guest.failure(), &Failure::Aborted);
    guest.client.abort(ErrorCode::UNDEFINED, "again");
    assert_eq!(guest.sent(20), []);
}

#[test]
fn a_server_that_never_answers_is_asked_without_options_and_then_given_up() {
    let mut guest = Guest::get(windowed());
    let mut requests: Vec<_> = guest.sent(0).into_iter().map(|(_, request)| (0, request)).collect();
    while guest.client.poll_timeout().is_some() {
        let (millis, sent) = guest.waits();
        requests.extend(sent.into_iter().map(|(_, request)| (millis, request)));
    }
    let plain = b"\0\x01f\0octet\0";
    let with_options = requests.iter().filter(|(_, request)| request != plain).count();
    assert!(with_options == 3 && requests.len() > 3, "{requests:?}");
    assert!(requests.iter().all(|(millis, _)| *millis < 16_000), "{requests:?}");
    assert_eq!(guest.failure(), &Failure::TimedOut { answered: false });
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let get = (Guest::get(Ask::plain("f")), data(1, &[7; 512]), 60_010);
    // No block of a put is acknowledged yet, so it waits no longer than at the opening.
    let put = (Guest::put(Ask::plain("f"), &[7; 600]), ack(0), 16_010);
    for (mut guest, first, expected) in [get, put] {
        guest.sent(0);
        guest.hears(10, &encode(&first));
        let mut last = 0;
        while guest.client.poll_timeout().is_some() {
            last = guest.waits().0;
        }
        assert_eq!(guest.failure(), &Failure::TimedOut { answered: true });
        assert_eq!(last, expected);
    }
}

/// RFC 1123 section 4.2.3.1: the Sorcerer's Apprentice.
#[test]
fn acks_that_come_twice_bring_nothing_twice() {
    let file = bytes(1_500);
    let mut guest = Guest::put(Ask::plain("a"), &file);
    guest.sent(0);
    for (block, part) in file.chunks(512).enumerate() {
        let block = block as u16;
        assert_eq!(guest.hears(1, &encode(&ack(block))), [encode(&data(block + 1, part))]);
        assert!(guest.hears(1, &encode(&ack(block))).is_empty());
    }
    assert!(guest.hears(2, &encode(&ack(3))).is_empty());
    assert_eq!(guest.client.outcome(), Some(&Ok(())));
}
