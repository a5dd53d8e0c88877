//! Limits of what the server takes upon itself, each with what is done at it and its counter.

use std::net::IpAddr;
use std::process::Command;

use memtftp_server::Status;
use testkit::{Memtftp, Packet, Raw, ack, bytes, data, error, rrq, wait_for, wrq};

use crate::status::{SOCKET, status};
use crate::{BINARY, only, serve_in_order};

const BUSY: &str = "server is busy, try again later";

/// A server of one worker that can be asked for its status.
fn limited(flags: &[&str]) -> Memtftp {
    serve_in_order(&[&["--status-socket", SOCKET], flags].concat())
}

/// A client at an address of its own.
fn client(server: &Memtftp, last: u8) -> Raw {
    Raw::from(IpAddr::from([127, 0, 0, last]), server.address())
}

fn refused(server: &Memtftp, reason: &str) -> u64 {
    status(server).refused[reason]
}

fn dropped(server: &Memtftp, reason: &str) -> u64 {
    status(server).dropped[reason]
}

#[test]
fn max_uploads() {
    let server = limited(&["--max-uploads", "1"]);
    let mut first = client(&server, 2);
    first.ask(&wrq("one", &[]));
    assert_eq!(first.say(&data(1, &[1; 512])), Packet::Ack(1));
    let mut second = client(&server, 3);
    assert_eq!(second.ask(&wrq("two", &[])).refusal(), (0, BUSY.to_owned()));
    assert_eq!(second.get("two", &[]).unwrap_err().refusal().0, 1, "reads go on");
    assert_eq!((status(&server).open.uploads, refused(&server, "max_uploads")), (1, 1));
    assert_eq!(first.say(&data(2, b"1")), Packet::Ack(2));
    second.put("two", b"2", &[]).unwrap();
    let log = server.stop();
    let line = only(&log, &[("kind", "write"), ("outcome", "refused")]);
    assert_eq!(line.get("reason"), "limit of 1 uploads in flight reached");
}

/// The place of whoever has not answered longest is taken, and it is not told.
#[test]
fn max_half_open() {
    let server = limited(&["--max-half-open", "4"]);
    let file = bytes(2_000);
    client(&server, 9).put("file", &file, &[]).unwrap();
    let mut clients: Vec<Raw> = (2..7).map(|last| client(&server, last)).collect();
    let begun: Vec<Packet> = clients.iter_mut().map(|one| one.ask(&rrq("file", &[]))).collect();
    let log = server.wait_for_log(2);
    let line = only(&log, &[("outcome", "dropped"), ("kind", "read")]);
    assert_eq!(line.get("client"), format!("127.0.0.2:{}", clients[0].port()));
    assert!(line.get("reason").contains("not answered yet"), "{line:?}");
    let now = status(&server);
    assert_eq!((now.open.half_open, now.dropped["max_half_open"]), (4, 1));
    assert_eq!(clients[0].say(&ack(1)).refusal().0, 5, "it is no longer known");
    // All others have their file, and so has this one when it asks again.
    for (client, begun) in clients.iter_mut().zip(begun).skip(1) {
        assert!(client.get_from(begun).unwrap() == file);
    }
    assert!(clients[0].get("file", &[]).unwrap() == file);
}

#[test]
fn max_half_open_of_one_client() {
    let server = limited(&["--max-half-open", "8"]);
    client(&server, 9).put("file", b"x", &[]).unwrap();
    let mut clients: Vec<Raw> = (0..3).map(|_| client(&server, 2)).collect();
    let answers: Vec<Packet> = clients.iter_mut().map(|one| one.ask(&rrq("file", &[]))).collect();
    let first = Packet::Data(1, b"x".into());
    assert_eq!(answers, [first.clone(), first.clone(), first], "nobody is refused");
    assert_eq!(dropped(&server, "max_half_open"), 1, "a quarter is two");
    assert_eq!(client(&server, 3).get("file", &[]).unwrap(), b"x");
    for one in &clients {
        one.reply(&ack(1));
    }
    assert_eq!(clients[0].receive().refusal().0, 5, "the oldest made room");
    let log = server.stop();
    assert_eq!(
        log.iter().filter(|line| line.is(&[("kind", "read"), ("outcome", "ok")])).count(),
        3
    );
}

/// Who asks too often hears nothing, and is served when it asks again later.
#[test]
fn max_client_requests() {
    let server = limited(&["--max-client-requests", "2"]);
    client(&server, 9).put("file", b"x", &[]).unwrap();
    let mut clients: Vec<Raw> = (0..20).map(|_| client(&server, 1)).collect();
    clients.iter().for_each(|one| one.send(&rrq("none", &[])));
    // Another client is answered, whatever this one does.
    assert_eq!(client(&server, 3).get("file", &[]).unwrap(), b"x");
    let over = dropped(&server, "max_client_requests");
    // A new share comes every half a second.
    assert!((10..=18).contains(&over), "{over}");
    for one in clients.iter_mut().take(2) {
        assert_eq!(one.receive().refusal().0, 1);
    }
    let mut get = Command::new(BINARY);
    let url = format!("tftp://{}/file", server.address());
    let got = get.args(["get", "--quiet", &url, "-"]).output().unwrap();
    assert_eq!((got.status.code(), got.stdout), (Some(0), b"x".to_vec()), "it asks again");
    let line = server.stop().into_iter().find(|line| line.is(&[("outcome", "dropped")])).unwrap();
    assert!(line.get("reason").contains("too many requests"), "{line:?}");
}

/// A script that fetches file after file, and many machines behind one address.
#[test]
fn max_client_requests_hurts_no_busy_client() {
    let server = limited(&[]);
    let mut clients: Vec<Raw> = (0..100).map(|_| client(&server, 1)).collect();
    clients[0].put("file", b"x", &[]).unwrap();
    for _ in 0..200 {
        assert_eq!(clients[0].get("file", &[]).unwrap(), b"x");
    }
    for _ in 0..5 {
        clients.iter().for_each(|one| one.send(&rrq("file", &[])));
        for one in &mut clients {
            assert_eq!(one.receive_any(), Packet::Data(1, b"x".to_vec()));
            one.reply(&ack(1));
        }
    }
    assert_eq!(dropped(&server, "max_client_requests"), 0);
}

/// None is unaccounted for: what has no line is counted in one.
#[test]
fn max_unrecognized() {
    const SENT: u64 = 300;
    let server = limited(&["--max-unrecognized", "5"]);
    let mut client = client(&server, 1);
    (0..SENT).for_each(|_| client.send(&ack(1)));
    assert_eq!(client.ask(&rrq("none", &[])).refusal().0, 1);
    // The line comes within a second, also if nothing more is sent.
    wait_for("a summary", || {
        server.log().iter().any(|line| line.get("kind") == "summary").then_some(())
    });
    let summarized = status(&server).request_log.max_unrecognized;
    let log = server.stop();
    let lines = log.iter().filter(|line| line.get("kind") == "unrecognized").count() as u64;
    let summaries = log.iter().filter(|line| line.get("kind") == "summary");
    let counted: u64 = summaries.map(|line| line.number("lines")).sum();
    assert_eq!((lines + counted, counted), (SENT, summarized), "{log:#?}");
    assert!((5..=100).contains(&lines), "{lines}");
    only(&log, &[("kind", "read"), ("outcome", "refused")]);
}

#[test]
fn max_transfer_time() {
    let server = limited(&["--max-transfer-time", "1s"]);
    let mut reader = client(&server, 1);
    reader.put("file", &bytes(2_000), &[]).unwrap();
    reader.ask(&rrq("file", &[]));
    reader.say(&ack(1));
    let mut writer = client(&server, 1);
    writer.ask(&wrq("new", &[]));
    writer.say(&data(1, &[0; 512]));
    for one in [&mut reader, &mut writer] {
        assert_eq!(one.receive().refusal(), (0, "transfer took too long".to_owned()));
    }
    assert_eq!(refused(&server, "max_transfer_time"), 2);
    let log = server.stop();
    for kind in ["read", "write"] {
        let line = only(&log, &[("kind", kind), ("outcome", "refused"), ("blocks", "1")]);
        assert_eq!(line.get("reason"), "limit of 1s for one transfer reached");
    }
}

/// Each refusal in turn, and nothing but its own counter moves.
#[test]
fn every_refusal_has_its_counter() {
    let server = limited(&[
        "--memory=10KB",
        "--max-client-memory=8KB",
        "--max-file=6KB",
        "--max-files=2",
        "--max-sessions=3",
        "--max-client-sessions=2",
        "--uploads=create",
    ]);
    let mut one = client(&server, 1);
    one.put("first", &bytes(4_500), &[]).unwrap();
    let mut expected = status(&server).refused;
    let mut check = |reason: &str| {
        *expected.get_mut(reason).unwrap() += 1;
        assert_eq!(status(&server).refused, expected, "{reason}");
    };
    one.ask(&rrq("none", &[])).refusal();
    check("not_found");
    one.ask(&rrq("../none", &[])).refusal();
    check("not_allowed");
    one.ask(b"\0\x01cut").refusal();
    check("malformed");
    one.ask(&wrq("first", &[])).refusal();
    check("exists");
    one.ask(&wrq("new", &[("tsize", "6001")])).refusal();
    check("max_file");
    one.ask(&wrq("new", &[("tsize", "4000")])).refusal();
    check("max_client_memory");
    client(&server, 2).ask(&wrq("new", &[("tsize", "5999")])).refusal();
    check("memory");
    one.put("second", b"2", &[]).unwrap();
    one.ask(&wrq("third", &[])).refusal();
    check("max_files");
    let mut open: Vec<Raw> = [3, 3, 4].map(|last| client(&server, last)).into();
    for (at, client) in open.iter_mut().enumerate() {
        if at == 2 {
            // The third of one client, while there is room for one of another.
            let mut third = Raw::from(IpAddr::from([127, 0, 0, 3]), server.address());
            third.ask(&rrq("first", &[])).refusal();
            check("max_client_sessions");
        }
        client.ask(&rrq("first", &[]));
        client.say(&ack(1));
    }
    client(&server, 5).ask(&rrq("first", &[])).refusal();
    check("max_sessions");
    for client in &open {
        client.reply(&error(0, "enough"));
    }
    let Status { totals, .. } =
        wait_for("their end", || Some(status(&server)).filter(|status| status.open.sessions == 0));
    assert_eq!((totals.outcomes["aborted"], totals.outcomes["ok"]), (3, 2));
    assert_eq!(totals.outcomes["refused"], 9, "the malformed one was no request");
    assert_eq!(totals.requests, 14);
}
