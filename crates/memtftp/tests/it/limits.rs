//! Budgets, caps and policy: each refusal names the flag, and room comes back.

use std::net::IpAddr;

use testkit::{Packet, Raw, bytes, data, error, rrq, wrq};

use crate::{serve, serve_in_order};

const KIB: usize = 1 << 10;

/// The client is refused with this code, and the text names what is to be changed.
fn assert_refused(answer: Packet, code: u16, names: &str) {
    let (got, text) = answer.refusal();
    assert_eq!(got, code, "{text}");
    assert!(text.contains(names), "{text}");
}

#[test]
fn a_file_larger_than_memory_is_refused_when_announced() {
    let server = serve(&["--memory", "1MiB", "--max-client-memory", "1GiB"]);
    let mut client = Raw::new(server.address());
    for size in ["1048577", "1073741824"] {
        assert_refused(client.ask(&wrq("file", &[("tsize", size)])), 3, "--memory");
    }
    client.put("file", &bytes(KIB * KIB), &[("tsize", "1048576"), ("blksize", "8192")]).unwrap();
}

#[test]
fn a_file_larger_than_memory_is_refused_as_it_arrives_and_gives_all_back() {
    let server = serve(&["--memory", "1MiB", "--max-client-memory", "1GiB"]);
    let mut client = Raw::new(server.address());
    for _ in 0..3 {
        let refused = client.put("large", &bytes(2 * KIB * KIB), &[("blksize", "8192")]);
        assert_refused(refused.unwrap_err(), 3, "--memory");
        assert_eq!(client.get("large", &[]).unwrap_err().refusal().0, 1);
    }
    let file = bytes(1_000 * KIB);
    client.put("file", &file, &[("blksize", "8192")]).unwrap();
    assert!(client.get("file", &[("blksize", "8192")]).unwrap() == file);
    assert_refused(client.put("more", &file, &[]).unwrap_err(), 3, "--memory");
}

#[test]
fn an_aborted_upload_gives_its_memory_back() {
    let server = serve_in_order(&["--memory", "1MiB", "--max-client-memory", "1GiB"]);
    let mut client = Raw::new(server.address());
    let size = ("tsize", "819200");
    client.ask(&wrq("first", &[size, ("blksize", "60000")]));
    client.say(&data(1, &[1; 60_000]));
    client.say(&data(2, &[1; 60_000]));
    let mut other = Raw::new(server.address());
    assert_refused(other.ask(&wrq("second", &[("tsize", "1000000")])), 3, "--memory");
    client.reply(&error(0, "changed my mind"));
    server.wait_for_log(2);
    other.put("second", &bytes(1_000_000), &[("tsize", "1000000"), ("blksize", "8192")]).unwrap();
}

#[test]
fn a_smaller_version_gives_memory_back() {
    let server = serve(&["--memory", "1MiB", "--max-client-memory", "1GiB"]);
    let mut client = Raw::new(server.address());
    client.put("file", &bytes(900 * KIB), &[("blksize", "8192")]).unwrap();
    assert_refused(client.ask(&wrq("other", &[("tsize", "500000")])), 3, "--memory");
    client.put("file", b"small", &[]).unwrap();
    client.put("other", &bytes(500_000), &[("blksize", "8192")]).unwrap();
}

#[test]
fn one_client_cannot_take_all_the_memory() {
    let server = serve(&["--memory", "1MiB"]);
    let mut client = Raw::new(server.address());
    let half = ("tsize", "524289");
    assert_refused(client.ask(&wrq("file", &[half])), 3, "--max-client-memory");
    let refused = client.put("file", &bytes(600 * KIB), &[("blksize", "8192")]);
    assert_refused(refused.unwrap_err(), 3, "--max-client-memory");
    client.put("file", &bytes(512 * KIB), &[("blksize", "8192")]).unwrap();
    // Another client has its own share.
    let other: IpAddr = "127.0.0.2".parse().unwrap();
    let mut other = Raw::from(other, server.address());
    other.put("other", &bytes(400 * KIB), &[("blksize", "8192")]).unwrap();
}

#[test]
fn max_file() {
    let server = serve(&["--max-file", "1000B"]);
    let mut client = Raw::new(server.address());
    client.put("file", &bytes(1_000), &[("tsize", "1000")]).unwrap();
    client.put("file", &bytes(1_000), &[]).unwrap();
    assert_refused(client.ask(&wrq("file", &[("tsize", "1001")])), 3, "--max-file");
    assert_refused(client.put("file", &bytes(1_001), &[]).unwrap_err(), 3, "--max-file");
    assert!(client.get("file", &[]).unwrap() == bytes(1_000));
}

#[test]
fn max_files() {
    let server = serve(&["--max-files", "2"]);
    let mut client = Raw::new(server.address());
    client.put("one", b"1", &[]).unwrap();
    client.put("two", b"2", &[]).unwrap();
    assert_refused(client.ask(&wrq("three", &[])), 3, "--max-files");
    client.put("two", b"another 2", &[]).unwrap();
    assert_eq!(client.get("two", &[]).unwrap(), b"another 2");
}

#[test]
fn max_blksize_and_max_windowsize() {
    let server = serve(&["--max-blksize", "1000", "--max-windowsize", "4"]);
    let mut client = Raw::new(server.address());
    client.put("file", &bytes(5_000), &[("blksize", "1428")]).unwrap();
    let asked = [("blksize", "1428"), ("windowsize", "8")];
    let answer = client.ask(&rrq("file", &asked));
    assert_eq!(answer, Packet::oack(&[("blksize", "1000"), ("windowsize", "4")]));
    client.reply(&error(8, ""));
    assert!(client.get("file", &[("blksize", "65464")]).unwrap() == bytes(5_000));
}

#[test]
fn sessions_of_one_client() {
    let server = serve_in_order(&["--max-client-sessions", "2"]);
    let begin = || {
        let mut client = Raw::new(server.address());
        let answer = client.ask(&wrq("file", &[]));
        (client, answer)
    };
    let begun = || {
        let (mut client, answer) = begin();
        assert_eq!(answer, Packet::Ack(0));
        assert_eq!(client.say(&data(1, &[0; 512])), Packet::Ack(1));
        client
    };
    let (mut first, second) = (begun(), begun());
    assert_refused(begin().1, 0, "busy");
    assert_eq!(first.say(&data(2, b"x")), Packet::Ack(2));
    let third = begun();
    for client in [second, third] {
        client.reply(&error(0, ""));
    }
}

#[test]
fn uploads_off() {
    let server = serve(&["--uploads", "off"]);
    assert!(server.banner("uploads").starts_with("off"), "{}", server.banner("uploads"));
    let mut client = Raw::new(server.address());
    assert_refused(client.ask(&wrq("file", &[])), 2, "--uploads");
    assert_eq!(client.get("file", &[]).unwrap_err().refusal().0, 1);
}

#[test]
fn uploads_create() {
    let server = serve(&["--uploads", "create"]);
    let mut client = Raw::new(server.address());
    client.put("file", b"first", &[]).unwrap();
    assert_refused(client.ask(&wrq("file", &[])), 6, "--uploads replace");
    assert_refused(client.ask(&wrq("//file", &[])), 6, "--uploads replace");
    client.put("other", b"second", &[]).unwrap();
    assert_eq!(client.get("file", &[]).unwrap(), b"first");
}

/// A repeat of a request is answered before anything is checked.
#[test]
fn a_repeated_request_is_not_refused_for_what_it_began() {
    let server = serve(&["--uploads", "create", "--max-sessions", "1", "--workers", "1"]);
    let mut client = Raw::new(server.address());
    let wanted = wrq("file", &[]);
    assert_eq!(client.ask(&wanted), Packet::Ack(0));
    client.send(&wanted);
    assert_eq!(client.receive_any(), Packet::Ack(0));
    client.put_from(Packet::Ack(0), b"content").unwrap();
    assert_eq!(client.get("file", &[]).unwrap(), b"content");
}
