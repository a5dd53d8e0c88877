//! Clients that use one port again at once: tftp-hpa within a session, U-Boot, the Raspberry Pi.
//!
//! The last packet of a transfer and the next request arrive on two sockets of the server. It is
//! held while both are sent, so that it finds both at the same time.

use testkit::{Line, Memtftp, Packet, Raw, Signal, ack, error, rrq};

use crate::{serve, serve_in_order};

/// How often each case is tried: which of two sockets is looked at first varies.
const ROUNDS: usize = 10;

/// Runs `case` with clients that have read the only block of the file `one` and have not said so;
/// gives the log of their reads of `one`, of which each has to be complete.
fn behind_a_read(case: impl Fn(&Memtftp, &mut Raw)) -> Vec<Line> {
    let server = serve_in_order(&[]);
    let mut client = Raw::new(server.address());
    client.put("one", b"first", &[]).unwrap();
    client.put("two", b"second", &[]).unwrap();
    for _ in 0..ROUNDS {
        let mut client = Raw::new(server.address());
        assert_eq!(client.ask(&rrq("one", &[])), Packet::Data(1, b"first".to_vec()));
        case(&server, &mut client);
    }
    server.stop()
}

/// Sends `last` to the transfer and `request` behind it, both before the server looks; gives the
/// first answer.
fn at_once(server: &Memtftp, client: &mut Raw, last: &[u8], request: &[u8]) -> Packet {
    server.hold();
    client.reply(last);
    client.send(request);
    server.signal(Signal::CONT);
    client.receive_any()
}

/// The outcomes of the reads of `file`.
fn outcomes<'a>(log: &'a [Line], file: &str) -> Vec<&'a str> {
    let lines = log.iter().filter(|line| line.is(&[("kind", "read"), ("file", file)]));
    lines.map(|line| line.get("outcome")).collect()
}

#[test]
fn another_file_behind_the_last_ack() {
    let log = behind_a_read(|server, client| {
        let answer = at_once(server, client, &ack(1), &rrq("two", &[]));
        assert_eq!(answer, Packet::Data(1, b"second".to_vec()));
        client.reply(&ack(1));
    });
    assert_eq!(outcomes(&log, "one"), ["ok"; ROUNDS]);
    assert_eq!(outcomes(&log, "two"), ["ok"; ROUNDS]);
}

#[test]
fn the_same_file_behind_the_last_ack() {
    let log = behind_a_read(|server, client| {
        let first = client.tid();
        let answer = at_once(server, client, &ack(1), &rrq("one", &[]));
        assert_eq!(answer, Packet::Data(1, b"first".to_vec()));
        assert_ne!(client.tid(), first, "it is a new transfer, not a repeat of the old");
        client.reply(&ack(1));
    });
    assert_eq!(outcomes(&log, "one"), ["ok"; 2 * ROUNDS]);
}

#[test]
fn a_missing_file_behind_the_last_ack() {
    let log = behind_a_read(|server, client| {
        let answer = at_once(server, client, &ack(1), &rrq("missing", &[]));
        assert_eq!(answer.refusal(), (1, "file not found".to_owned()));
    });
    assert_eq!(outcomes(&log, "one"), ["ok"; ROUNDS]);
    assert_eq!(outcomes(&log, "missing"), ["refused"; ROUNDS]);
}

/// As boot firmware does: it asks for the size, leaves, and asks for the file.
#[test]
fn a_read_behind_a_probe() {
    let log = behind_a_read(|server, client| {
        client.reply(&ack(1));
        assert_eq!(client.ask(&rrq("two", &[("tsize", "0")])), Packet::oack(&[("tsize", "6")]));
        let leaving = error(8, "User aborted the transfer");
        let answer = at_once(server, client, &leaving, &rrq("two", &[]));
        assert_eq!(answer, Packet::Data(1, b"second".to_vec()));
        client.reply(&ack(1));
    });
    assert_eq!(outcomes(&log, "two"), [["probe", "ok"]; ROUNDS].concat());
}

/// Without any help of the test: many small files, one behind the other, from one port.
#[test]
fn many_small_files_from_one_port() {
    const FILES: usize = 300;
    let server = serve(&[]);
    let mut client = Raw::new(server.address());
    for file in ["one", "two", "three"] {
        client.put(file, file.as_bytes(), &[]).unwrap();
    }
    for _ in 0..FILES {
        for file in ["one", "two", "three"] {
            assert_eq!(client.get(file, &[]).unwrap(), file.as_bytes());
        }
        assert_eq!(client.get("none", &[]).unwrap_err().refusal().0, 1);
    }
    let log = server.stop();
    for file in ["one", "two", "three"] {
        let outcomes = outcomes(&log, file);
        let ok = outcomes.iter().filter(|outcome| **outcome == "ok").count();
        assert_eq!((outcomes.len(), ok), (FILES, FILES), "of {file} are ok in the log");
    }
}
