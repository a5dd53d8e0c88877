//! Option negotiation as it shows on the wire.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::{
    Asked, ControlPacket, ErrorCode, Limits, Outcome, Packet, TftpOption, negotiate,
};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const NAMES: [&str; 11] = [
    "blksize",
    "BLKSIZE",
    "timeout",
    "tsize",
    "TSize",
    "windowsize",
    "WindowSize",
    "multicast",
    "utimeout",
    "rollover",
    "blksize2",
];

const VALUES: [&str; 14] = [
    "0",
    "1",
    "7",
    "8",
    "255",
    "256",
    "512",
    "1428",
    "65464",
    "65465",
    "65536",
    "-1",
    "",
    "18446744073709551616",
];

fn size_of(options: &[(&str, &str)], name: &str) -> Option<u64> {
    let named = |pair: &&(&str, &str)| pair.0.eq_ignore_ascii_case(name);
    // Of several the first that is valid counts; `answer` is no more than the largest.
    options.iter().filter(named).filter_map(|(_, value)| value.parse().ok()).max()
}

#[test]
fn of_500_requests_none_is_answered_with_what_it_did_not_ask() {
    let mut dice = Dice(1);
    let mut agreed = 0;
    for round in 0..500 {
        let asked: Vec<_> =
            (0..dice.roll(6)).map(|_| (dice.pick(&NAMES), dice.pick(&VALUES))).collect();
        let mut server = Server::new().file("f", &bytes(3_000));
        let sent = match round % 2 {
            0 => server.request(&rrq("f", &asked)),
            _ => server.request(&wrq("g", &asked)),
        };
        let [Say::Oack(answers)] = &sent[..] else {
            assert!(matches!(&sent[..], [Say::Data(1, _) | Say::Ack(0)]), "{asked:?}: {sent:?}");
            continue;
        };
        assert!(!answers.is_empty(), "{asked:?}");
        agreed += 1;
        let mut names: Vec<&String> = answers.iter().map(|(name, _)| name).collect();
        for (name, value) in answers {
            let most = size_of(&asked, name);
            let value: u64 = value.parse().unwrap();
            assert!(most.is_some(), "{name} was not asked: {asked:?}");
            let is_size_of_read = name == "tsize" && round % 2 == 0;
            assert!(is_size_of_read || Some(value) <= most, "{name}={value}: {asked:?}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), answers.len(), "one answer each: {answers:?}");
    }
    assert!(agreed > 200, "only {agreed} were answered with an OACK");
}

#[test]
fn the_order_of_options_changes_nothing_but_the_order_of_the_answer() {
    let options = [("blksize", "1428"), ("timeout", "3"), ("tsize", "0"), ("windowsize", "8")];
    for round in 0..24 {
        let asked = in_order(&options, round);
        let mut answers = asked.clone();
        answers.iter_mut().filter(|pair| pair.0 == "tsize").for_each(|pair| pair.1 = "3000");
        let mut server = Server::new().file("f", &bytes(3_000));
        assert_eq!(server.request(&rrq("f", &asked)), [oack(&answers)]);
        assert_eq!(server.says(&ack(0)).len(), 3, "{asked:?}");
    }
}

#[test]
fn a_window_of_one_block_is_plain_lock_step_on_the_wire() {
    let steps = [(2, 0), (4, 1), (4, 1), (5, 0), (6, 2), (90, 2), (91, 3), (92, 1), (95, 4)];
    let trace = |options: &[(&str, &str)]| {
        let mut server = Server::new().file("f", &bytes(8 * 4 + 3));
        let mut wire: Vec<(u64, Say)> = Vec::new();
        assert_eq!(server.request(&rrq("f", options)), [oack(options)]);
        for (at, block) in steps {
            wire.extend(server.run_until(at));
            wire.extend(server.says(&ack(block)).into_iter().map(|say| (at, say)));
        }
        wire.extend(server.run_until(400));
        server.says(&error(0, ""));
        wire
    };
    let plain = trace(&[("blksize", "8")]);
    assert_eq!(plain, trace(&[("blksize", "8"), ("windowsize", "1")]));
    assert!(plain.len() > 8, "with repeats: {plain:?}");
}

#[test]
fn a_read_that_fills_its_last_block_ends_with_an_empty_one() {
    for blksize in [8, 512, 1428, 65464] {
        let file = bytes(2 * blksize);
        let mut server = Server::new().file("f", &file);
        server.request(&rrq("f", &[("blksize", &blksize.to_string())]));
        assert_eq!(server.says(&ack(0)), [data(1, &file[..blksize])]);
        assert_eq!(server.says(&ack(1)), [data(2, &file[blksize..])]);
        assert_eq!(server.says(&ack(2)), [data(3, b"")]);
        assert_eq!(server.says(&ack(3)), []);
        assert_eq!(server.record().outcome, Outcome::Complete);
        server.ends_clean();
    }
}

#[test]
fn an_upload_that_fills_its_last_block_waits_for_an_empty_one() {
    for blksize in [8, 512, 1428, 65464] {
        let file = bytes(2 * blksize);
        let mut server = Server::new();
        server.request(&wrq("f", &[("blksize", &blksize.to_string())]));
        assert_eq!(server.says(&data(1, &file[..blksize])), [ack(1)]);
        assert_eq!(server.says(&data(2, &file[blksize..])), [ack(2)]);
        assert_eq!(server.content("f"), None);
        assert_eq!(server.says(&data(3, b"")), [ack(3)]);
        assert_eq!(server.content("f").unwrap(), file);
        server.ends_clean();
    }
}

#[test]
fn the_size_of_a_read_is_the_real_one_whatever_was_sent_with_the_question() {
    for sent in ["0", "5", "1000000000000"] {
        let mut server = Server::new().file("f", &bytes(3_000));
        assert_eq!(server.request(&rrq("f", &[("tsize", sent)])), [oack(&[("tsize", "3000")])]);
    }
}

#[test]
fn sizes_beyond_4_gib_are_answered() {
    let asked = Packet::parse(b"\0\x01f\0octet\0tsize\x000\0").unwrap();
    let Packet::Read(request) = asked else { panic!("{asked:?}") };
    let asked = Asked::new(request.options);
    let agreed = negotiate(&asked, &Limits::NONE, Some((1 << 32) + 1));
    assert_eq!(agreed.option_ack().unwrap().as_bytes(), b"\0\x06tsize\x004294967297\0");
    assert_eq!(agreed.options().next(), Some((TftpOption::Tsize, 4_294_967_297)));
}

#[test]
fn a_netascii_file_of_line_ends_is_announced_as_it_travels() {
    let file = b"\n".repeat(1_000);
    let mut server = Server::new().file("f", &file);
    let opening = [oack(&[("tsize", "2000")])];
    assert_eq!(server.request(&request(1, "f", "netascii", &[("tsize", "0")])), opening);
    let mut sent = server.says(&ack(0));
    let mut received = 0;
    while let [Say::Data(block, payload)] = &sent[..] {
        received += payload.len();
        sent = server.says(&ack(*block));
    }
    assert_eq!(received, 2_000);
}

#[test]
fn a_size_announced_by_a_writer_binds_nothing() {
    for announced in ["0", "3", "100", "512", "100000"] {
        for len in [0, 3, 512, 600] {
            let mut server = Server::new();
            let opening = [("tsize", announced)];
            assert_eq!(server.request(&wrq("f", &opening)), [oack(&opening)]);
            let file = bytes(len);
            for block in 0..=len / 512 {
                let end = len.min(block * 512 + 512);
                server.says(&data(block as u16 + 1, &file[block * 512..end]));
            }
            assert_eq!(server.content("f").unwrap(), file, "{announced} announced, {len} came");
            server.ends_clean();
        }
    }
}

#[test]
fn a_client_that_rejects_the_options_may_ask_again_without() {
    for port in [2000, 2001] {
        let file = bytes(600);
        let mut server = Server::new().file("f", &file);
        server.request(&rrq("f", &[("blksize", "8"), ("windowsize", "4")]));
        assert_eq!(server.says(&error(8, "no options, please")), []);
        let text = b"no options, please".to_vec();
        let ended = Outcome::Aborted { code: ErrorCode::OPTIONS, text };
        assert_eq!(server.record().outcome, ended);
        server.peer.set_port(port);
        assert_eq!(server.request(&rrq("f", &[])), [data(1, &file[..512])]);
        assert_eq!(server.says(&ack(1)), [data(2, &file[512..])]);
        assert_eq!(server.says(&ack(2)), []);
        assert_eq!(server.record().outcome, Outcome::Complete);
        server.ends_clean();
    }
}

#[test]
fn a_request_of_512_octets_is_read_whole() {
    for len in [511, 512, 513, 516] {
        let mut server = Server::new().file("f", b"x");
        let mut asked = rrq("f", &[("x", "")]);
        asked.pop();
        asked.resize(len - b"\0blksize\x008\0".len(), b'1');
        asked.extend_from_slice(b"\0blksize\x008\0");
        assert_eq!(asked.len(), len);
        assert_eq!(server.request(&asked), [oack(&[("blksize", "8")])], "{len} octets");
    }
}

#[test]
fn an_error_is_printable_and_ends_with_a_nul() {
    let packet = ControlPacket::error(ErrorCode::FULL, "no room:\r\n\u{fc}\0");
    assert_eq!(packet.as_bytes(), b"\0\x05\0\x03no room:?????\0");
    let long = ControlPacket::error(ErrorCode::UNDEFINED, &"x".repeat(500));
    assert_eq!((long.as_bytes().len(), long.as_bytes().last()), (4 + 127 + 1, Some(&0)));
    assert_eq!(ControlPacket::error(ErrorCode::ACCESS, "").as_bytes(), b"\0\x05\0\x02\0");
}
