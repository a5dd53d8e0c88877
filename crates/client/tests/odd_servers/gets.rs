//! Gets: the first answer, the options, the packets on the way.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use memtftp_client::{Error, ErrorCode, Mode, Progress};
use testkit::{Packet, ack, bytes, data, error, rrq};

use crate::{ASKED, Odd, against, client, oack, patient, reason};

/// Serves `file` in blocks of 512 bytes in lock-step, from block 1 on.
fn lock_step(odd: &crate::Odd, to: std::net::SocketAddr, file: &[u8]) {
    for index in 0..=file.len() / 512 {
        let block = index as u16 + 1;
        let end = file.len().min(index * 512 + 512);
        odd.send(to, &data(block, &file[index * 512..end]));
        assert_eq!(odd.next(), Packet::Ack(block));
    }
}

#[test]
fn options_that_are_ignored() {
    for size in [0, 1, 511, 512, 1024, 1500] {
        let file = bytes(size);
        let serve = |odd: &crate::Odd| {
            let (request, to) = odd.request();
            assert_eq!(request, rrq("dir/file", ASKED));
            lock_step(odd, to, &file);
        };
        assert_eq!(against(serve, |url| patient().get_bytes(&url)).unwrap(), file);
    }
}

#[test]
fn options_that_are_refused() {
    for code in [8, 4] {
        let file = bytes(700);
        let serve = |odd: &crate::Odd| {
            let (request, to) = odd.request();
            assert_eq!(request, rrq("dir/file", ASKED));
            odd.send(to, &error(code, "no options"));
            let (request, to) = odd.request();
            assert_eq!(request, rrq("dir/file", &[]));
            lock_step(odd, to, &file);
        };
        assert_eq!(against(serve, |url| patient().get_bytes(&url)).unwrap(), file);
    }
}

#[test]
fn options_that_are_met_with_silence() {
    let serve = |odd: &crate::Odd| {
        for _ in 0..3 {
            assert_eq!(odd.request().0, rrq("dir/file", ASKED));
        }
        let (request, to) = odd.request();
        assert_eq!(request, rrq("dir/file", &[]));
        lock_step(odd, to, b"small");
    };
    let client = client().timeout(Duration::from_secs(4));
    assert_eq!(against(serve, |url| client.get_bytes(&url)).unwrap(), b"small");
}

#[test]
fn no_options_at_all() {
    let serve = |odd: &crate::Odd| {
        let (request, to) = odd.request();
        assert_eq!(request, rrq("dir/file", &[]));
        lock_step(odd, to, b"small");
    };
    let client = patient().without_options();
    assert_eq!(against(serve, |url| client.get_bytes(&url)).unwrap(), b"small");
}

#[test]
fn options_in_an_oack() {
    let file = bytes(5 * 256 + 7);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&heard);
    let serve = |odd: &crate::Odd| {
        let (_, to) = odd.request();
        let size = file.len().to_string();
        odd.send(to, &oack(&[("tsize", &size), ("blksize", "256"), ("windowsize", "3")]));
        assert_eq!(odd.next(), Packet::Ack(0));
        for window in [1..=3, 4..=6] {
            for block in window.clone() {
                let start = (block - 1) * 256;
                odd.send(to, &data(block as u16, &file[start..file.len().min(start + 256)]));
            }
            // A client that did not get all of it in time says how far it is.
            while odd.next() != Packet::Ack(*window.end() as u16) {}
        }
    };
    let client = patient().on_progress(move |progress| hear.lock().unwrap().push(progress));
    let mut got = Vec::new();
    let report = against(serve, |url| client.get(&url, &mut got)).unwrap();
    assert_eq!(got, file);
    assert_eq!((report.blksize, report.windowsize, report.bytes), (256, 3, file.len() as u64));
    let (bytes, total) = (file.len() as u64, Some(file.len() as u64));
    assert_eq!(heard.lock().unwrap().last(), Some(&Progress { bytes, total }));
}

#[test]
fn oacks_that_go_too_far() {
    for (answer, words) in [
        (&[("blksize", "1024")][..], "blksize"),
        (&[("windowsize", "5")], "windowsize"),
        (&[("timeout", "3")], "not asked for"),
        (&[("multicast", "")], "not asked for"),
    ] {
        let serve = |odd: &crate::Odd| {
            let (_, to) = odd.request();
            odd.send(to, &oack(answer));
            assert_eq!(odd.next().refusal().0, 8);
        };
        let error = against(serve, |url| client().get_bytes(&url)).unwrap_err();
        let reason = reason(error);
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_block_that_is_too_long() {
    let serve = |odd: &crate::Odd| {
        let (_, to) = odd.request();
        odd.send(to, &data(1, &bytes(513)));
        assert_eq!(odd.next().refusal().0, 4);
    };
    let error = against(serve, |url| client().get_bytes(&url)).unwrap_err();
    assert!(reason(error).contains("longer block"));
}

#[test]
fn strangers_are_sent_away_and_change_nothing() {
    let serve = |odd: &crate::Odd| {
        let (_, to) = odd.request();
        odd.send(to, &data(1, &bytes(512)));
        assert_eq!(odd.next(), Packet::Ack(1));
        for packet in [data(2, b"wrong"), ack(1), oack(&[])] {
            odd.stranger.send_to(&packet, to).unwrap();
            let answer = Packet::decode(&crate::receive(&odd.stranger).0);
            assert_eq!(answer.refusal().0, 5);
        }
        odd.stranger.send_to(&error(0, "go away"), to).unwrap();
        odd.send(to, b"\0\x09");
        odd.send(to, &data(2, b"right"));
        assert_eq!(odd.next(), Packet::Ack(2));
    };
    let expected = [bytes(512), b"right".to_vec()].concat();
    assert_eq!(against(serve, |url| patient().get_bytes(&url)).unwrap(), expected);
}

/// The answer comes from another port, but never from another host.
#[cfg(target_os = "linux")]
#[test]
fn answers_of_another_host_are_none() {
    let serve = |odd: &crate::Odd| {
        let (_, to) = odd.request();
        let elsewhere = UdpSocket::bind("127.0.0.2:0").unwrap();
        elsewhere.send_to(&data(1, b"forged"), to).unwrap();
        elsewhere.send_to(&error(1, "forged"), to).unwrap();
        lock_step(odd, to, b"real");
    };
    assert_eq!(against(serve, |url| patient().get_bytes(&url)).unwrap(), b"real");
}

#[test]
fn packets_that_come_twice() {
    let file = bytes(3 * 512 + 100);
    let serve = |odd: &crate::Odd| {
        let (_, to) = odd.request();
        let twice = |packet: &[u8]| {
            odd.send(to, packet);
            odd.send(to, packet);
        };
        twice(&oack(&[("blksize", "512")]));
        assert_eq!(odd.next(), Packet::Ack(0));
        for block in 1..=4 {
            let start = (block - 1) * 512;
            twice(&data(block as u16, &file[start..file.len().min(start + 512)]));
            assert_eq!(odd.next(), Packet::Ack(block as u16));
        }
    };
    assert_eq!(against(serve, |url| patient().get_bytes(&url)).unwrap(), file);
}

#[test]
fn refusals_have_a_code_and_a_text_for_a_terminal() {
    for (code, text) in [(1, "no \x1b[31msuch\n"), (2, "secret"), (77, "")] {
        let serve = |odd: &crate::Odd| {
            let (_, to) = odd.request();
            odd.send(to, &error(code, text));
        };
        let error = against(serve, |url| client().get_bytes(&url)).unwrap_err();
        match (code, error) {
            (1, Error::NotFound { text }) => assert_eq!(text, "no \\u{1b}[31msuch"),
            (_, Error::Refused { code: found, text: said }) => {
                assert_eq!((found, said.as_str()), (ErrorCode(code), text));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn netascii_comes_as_text() {
    let serve = |odd: &crate::Odd| {
        let (request, to) = odd.request();
        assert_eq!(request, b"\0\x01dir/file\0netascii\0");
        lock_step(odd, to, b"one\r\ntwo\r\0three");
    };
    let client = patient().without_options().mode(Mode::Netascii);
    assert_eq!(against(serve, |url| client.get_bytes(&url)).unwrap(), b"one\ntwo\rthree");
}

#[test]
fn a_file_that_ends_before_the_announced_size_leaves_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "old and whole").unwrap();
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &oack(&[("tsize", "100000"), ("blksize", "512")]));
        assert_eq!(odd.next(), Packet::Ack(0));
        odd.send(to, &data(1, b"0123456789"));
        let (code, text) = odd.next().refusal();
        assert_eq!((code, text.as_str()), (0, "fewer bytes came than were announced"));
    };
    let error = against(serve, |url| client().get_file(&url, &path)).unwrap_err();
    assert!(matches!(error, Error::Short { announced: 100_000, received: 10, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old and whole");
}

#[test]
fn a_server_that_cannot_count_past_16_bits_is_told_apart() {
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &oack(&[("blksize", "8")]));
        for number in 0..=u16::MAX {
            assert_eq!(odd.next(), Packet::Ack(number));
            if number < u16::MAX {
                odd.send(to, &data(number + 1, b"12345678"));
            }
        }
    };
    let error = against(serve, |url| client().get(&url, &mut io::sink())).unwrap_err();
    assert!(matches!(error, Error::BlockLimit { block: 65_535, refused: false, .. }), "{error}");
}
