//! Puts.

use std::net::SocketAddr;

use memtftp_client::{Cancel, Error, ErrorCode, Silence};
use testkit::{Packet, ack, bytes, error, wrq};

use crate::{Odd, against, client, oack, patient};

/// What [`client`] asks for when it puts so many bytes.
fn asked(size: &str) -> [(&str, &str); 3] {
    [("tsize", size), ("blksize", "512"), ("windowsize", "4")]
}

/// Takes `file` in lock-step from block 1 on, when ACK 0 has been sent.
fn lock_step(odd: &Odd, to: SocketAddr, file: &[u8]) {
    for index in 0..=file.len() / 512 {
        let block = index as u16 + 1;
        let end = file.len().min(index * 512 + 512);
        assert_eq!(odd.next(), Packet::Data(block, file[index * 512..end].to_vec()));
        odd.send(to, &ack(block));
    }
}

#[test]
fn options_that_are_ignored() {
    for size in [0, 1, 511, 512, 1024, 1500] {
        let file = bytes(size);
        let serve = |odd: &Odd| {
            let (request, to) = odd.request();
            assert_eq!(request, wrq("dir/file", &asked(&size.to_string())));
            odd.send(to, &ack(0));
            lock_step(odd, to, &file);
        };
        let report = against(serve, |url| patient().put(&url, &mut file.as_slice())).unwrap();
        assert_eq!((report.bytes, report.blksize, report.windowsize), (size as u64, 512, 1));
    }
}

#[test]
fn options_that_are_refused() {
    let file = bytes(700);
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &error(8, "no options"));
        let (request, to) = odd.request();
        assert_eq!(request, wrq("dir/file", &[]));
        odd.send(to, &ack(0));
        lock_step(odd, to, &file);
    };
    against(serve, |url| patient().put_bytes(&url, &file)).unwrap();
}

#[test]
fn a_window_comes_at_once() {
    let file = bytes(5 * 512);
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &oack(&asked("2560")));
        for (window, last) in [(1..=4, 4), (5..=6, 6)] {
            for block in window {
                let start = (block - 1) * 512;
                let end = file.len().min(start + 512);
                assert_eq!(odd.next(), Packet::Data(block as u16, file[start..end].to_vec()));
            }
            odd.send(to, &ack(last));
        }
    };
    let report = against(serve, |url| patient().put_bytes(&url, &file)).unwrap();
    assert_eq!((report.windowsize, report.bytes), (4, 2560));
}

#[test]
fn refusals() {
    for code in [2, 3, 6] {
        let serve = |odd: &Odd| {
            let (_, to) = odd.request();
            odd.send(to, &error(code, "no"));
        };
        let error = against(serve, |url| client().put_bytes(&url, b"x")).unwrap_err();
        assert!(matches!(&error, Error::Refused { code: found, .. } if *found == ErrorCode(code)));
    }
}

#[test]
fn a_server_that_stops_before_the_last_ack_has_failed() {
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &ack(0));
        assert_eq!(odd.next(), Packet::Data(1, b"x".to_vec()));
    };
    let error = against(serve, |url| client().put_bytes(&url, b"x")).unwrap_err();
    assert!(matches!(error, Error::TimedOut { silence: Silence::LastAck, .. }), "{error}");
}

#[test]
fn a_cancelled_put_tells_the_server() {
    let cancel = Cancel::new();
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &ack(0));
        assert!(matches!(odd.next(), Packet::Data(1, _)));
        cancel.cancel();
        assert_eq!(odd.next().refusal().0, 0);
    };
    let client = patient().cancelled_by(&cancel);
    let error = against(serve, |url| client.put_bytes(&url, &bytes(2_000))).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
}
