//! How gets end: on disk, half-way, too early.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use memtftp_client::{Cancel, Error, Silence};
use testkit::{Packet, bytes, data};

use crate::{Odd, against, client, names, oack, patient};

/// A directory with an old file, which the get is to replace.
fn old_file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "old").unwrap();
    (directory, path)
}

/// Sends the first block of two.
fn first_block(odd: &Odd) -> std::net::SocketAddr {
    let (_, to) = odd.request();
    odd.send(to, &data(1, &bytes(512)));
    assert_eq!(odd.next(), Packet::Ack(1));
    to
}

#[test]
fn the_last_ack_comes_when_the_file_is_there() {
    let (directory, path) = old_file();
    let serve = |odd: &Odd| {
        let to = first_block(odd);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        odd.send(to, &data(2, b"end"));
        assert_eq!(odd.next(), Packet::Ack(2));
        assert_eq!(fs::read(&path).unwrap(), [bytes(512), b"end".to_vec()].concat());
    };
    against(serve, |url| patient().get_file(&url, &path)).unwrap();
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn a_server_that_dies_leaves_the_old_file() {
    let (directory, path) = old_file();
    let serve = |odd: &Odd| {
        first_block(odd);
    };
    let error = against(serve, |url| client().get_file(&url, &path)).unwrap_err();
    assert!(matches!(error, Error::TimedOut { silence: Silence::Midway, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn a_get_that_starts_over_has_every_byte_once() {
    let (directory, path) = old_file();
    let serve = |odd: &Odd| {
        first_block(odd);
        // The next request is of the second attempt: it comes from another port.
        let (_, to) = odd.request();
        let second = Odd::new();
        second.send(to, &data(1, b"whole"));
        assert_eq!(second.next(), Packet::Ack(1));
    };
    against(serve, |url| client().retries(1).get_file(&url, &path)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn a_stream_does_not_start_over_once_it_has_a_byte() {
    let (mut got, block) = (Vec::new(), vec![b'x'; 40_000]);
    let serve = |odd: &Odd| {
        let (_, to) = odd.request();
        odd.send(to, &oack(&[("blksize", "40000")]));
        assert_eq!(odd.next(), Packet::Ack(0));
        for number in 1..=2 {
            odd.send(to, &data(number, &block));
            assert_eq!(odd.next(), Packet::Ack(number));
        }
    };
    let client = client().blksize(40_000).windowsize(1).retries(5);
    let error = against(serve, |url| client.get(&url, &mut got)).unwrap_err();
    assert!(matches!(error, Error::TimedOut { silence: Silence::Midway, .. }), "{error}");
    assert_eq!(got, [block.clone(), block].concat());
}

/// A disk with room for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_server_hears_of_a_full_disk() {
    let serve = |odd: &Odd| {
        let to = first_block(odd);
        odd.send(to, &data(2, b"end"));
        assert_eq!(odd.next().refusal().0, 3);
    };
    let error = against(serve, |url| patient().get(&url, &mut Full(10))).unwrap_err();
    match error {
        Error::Write { source, .. } => assert_eq!(source.kind(), io::ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_server_hears_that_the_file_cannot_be_renamed() {
    let (directory, path) = old_file();
    let serve = |odd: &Odd| {
        let to = first_block(odd);
        fs::remove_dir_all(directory.path()).unwrap();
        odd.send(to, &data(2, b"end"));
        assert_eq!(odd.next().refusal().0, 3);
    };
    let error = against(serve, |url| patient().get_file(&url, &path)).unwrap_err();
    let shown = path.display().to_string();
    assert!(matches!(&error, Error::Write { what, .. } if *what == shown), "{error}");
}

#[test]
fn a_cancelled_get_tells_the_server_and_leaves_nothing() {
    let (directory, path) = old_file();
    let cancel = Cancel::new();
    let serve = |odd: &Odd| {
        first_block(odd);
        cancel.cancel();
        assert_eq!(odd.next().refusal().0, 0);
    };
    let client = patient().cancelled_by(&cancel);
    let error = against(serve, |url| client.get_file(&url, &path)).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn what_is_cancelled_before_it_begins_asks_for_nothing_more() {
    let cancel = Cancel::new();
    cancel.cancel();
    let client = patient().cancelled_by(&cancel);
    let error = against(|_| (), |url| client.get_bytes(&url)).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
}
