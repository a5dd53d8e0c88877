//! Waiting for what clients do, from threads and beside a runtime.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use memtftp_server::{Kind, NameError, Outcome, Server, Uploads, WaitError};
use testkit::{Packet, Raw, ack, bytes, rrq, wrq};

const SOON: Duration = Duration::from_secs(30);

/// For waits that are to find nothing.
const NOW: Duration = Duration::ZERO;

fn upload(server: &Server, name: &str, content: &[u8]) {
    Raw::new(server.address()).put(name, content, &[]).unwrap();
}

fn timed_out<T>(waited: &Result<T, WaitError>) -> bool {
    matches!(waited, Err(WaitError::TimedOut { .. }))
}

#[test]
fn an_upload_that_is_complete_is_there_at_once() {
    let server = Server::builder().start().unwrap();
    for content in [&b"first"[..], b"second"] {
        upload(&server, "/f", content);
        assert_eq!(server.wait_for_upload("f", NOW).unwrap().as_ref(), content);
        assert!(timed_out(&server.wait_for_upload("f", NOW)), "each upload ends one wait");
    }
}

#[test]
fn the_second_wait_is_for_the_second_upload() {
    let server = Server::builder().start().unwrap();
    upload(&server, "f", b"first");
    upload(&server, "f", b"second");
    assert_eq!(server.wait_for_upload("f", NOW).unwrap().as_ref(), b"second");
    assert_eq!(server.wait_for_upload("f", NOW).unwrap().as_ref(), b"second");
    assert!(timed_out(&server.wait_for_upload("f", NOW)));
}

#[test]
fn a_wait_ends_when_the_last_block_is_there() {
    let server = Server::builder().start().unwrap();
    thread::scope(|scope| {
        let waits = ["f", "g"].map(|name| {
            let server = &server;
            scope.spawn(move || server.wait_for_upload(name, SOON).unwrap())
        });
        let [f, g] = waits;
        let mut half = Raw::new(server.address());
        half.ask(&wrq("f", &[]));
        half.say(&testkit::data(1, &[0; 512]));
        upload(&server, "g", b"another");
        assert_eq!(g.join().unwrap().as_ref(), b"another");
        assert!(!f.is_finished(), "half a file is no upload");
        half.say(&testkit::data(2, b"end"));
        assert_eq!(f.join().unwrap().len(), 515);
    });
}

#[test]
fn only_uploads_by_clients_count() {
    let server = Server::builder().start().unwrap();
    server.put("f", "ours").unwrap();
    assert!(timed_out(&server.wait_for_upload("f", NOW)));
    upload(&server, "f", b"theirs");
    assert_eq!(server.take("f").unwrap().as_ref(), b"theirs");
    assert!(timed_out(&server.wait_for_upload("f", NOW)), "what is taken is dealt with");
    assert_eq!(server.wait_for_upload("../f", SOON).unwrap_err(), NameError::Dots.into());
}

#[test]
fn a_wait_ends_with_the_server() {
    let server = Server::builder().keep_records(10).start().unwrap();
    thread::scope(|scope| {
        let upload = scope.spawn(|| server.wait_for_upload("f", Duration::MAX));
        let record = scope.spawn(|| server.wait_for_record(Duration::MAX, |_| false).map(drop));
        server.abort();
        assert!(matches!(upload.join().unwrap(), Err(WaitError::Ended { .. })));
        assert!(matches!(record.join().unwrap(), Err(WaitError::Ended { .. })));
    });
}

#[test]
fn a_record_tells_what_happened() {
    let server = Server::builder().uploads(Uploads::Create).keep_records(10).start().unwrap();
    server.put("boot/a", bytes(3_000)).unwrap();
    let mut client = Raw::new(server.address());
    client.get("\\boot\\a", &[("blksize", "1000"), ("multicast", "")]).unwrap();
    let read = server.wait_for_record(SOON, |record| record.kind() == Kind::Read).unwrap();
    assert_eq!((read.outcome(), read.file()), (&Outcome::Complete, "\\boot\\a".into()));
    assert_eq!(read.name(), server.names().first().cloned());
    assert_eq!((read.bytes(), read.blocks(), read.repeats()), (3_000, 4, 0));
    assert_eq!(read.granted(), [("blksize", 1_000)]);
    assert_eq!(read.asked().len(), 2);
    assert_eq!(read.client().port(), client.port());
    assert_eq!(read.local(), Some(client.tid()));

    let (code, _) = client.ask(&wrq("boot/a", &[])).refusal();
    let refused = server.wait_for_record(SOON, |record| record.kind() == Kind::Write).unwrap();
    let Outcome::Refused(refusal) = refused.outcome() else { panic!("{refused}") };
    assert_eq!((refusal.code.0, code), (6, 6));
    assert!(refused.ended() >= read.ended());
    assert_eq!(server.records().len(), 2);
    assert_eq!(server.take_records().len(), 2);
    assert!(server.records().is_empty());
}

#[test]
fn records_are_kept_when_asked_for_and_in_bounds() {
    let none = Server::builder().start().unwrap();
    assert!(none.records().is_empty());
    assert_eq!(none.wait_for_record(SOON, |_| true).unwrap_err(), WaitError::NoRecords);

    let two = Server::builder().keep_records(2).start().unwrap();
    for name in ["a", "b", "c"] {
        Raw::new(two.address()).ask(&rrq(name, &[]));
        two.wait_for_record(SOON, |record| record.file() == name).unwrap();
    }
    let kept: Vec<_> = two.records().iter().map(|record| record.file().into_owned()).collect();
    assert_eq!(kept, ["b", "c"]);
}

#[test]
fn a_url_names_a_file() {
    let server = Server::builder().start().unwrap();
    let port = server.address().port();
    let url = server.url("/boot/größe 100%.cfg");
    assert_eq!(url, format!("tftp://127.0.0.1:{port}/boot/gr%C3%B6%C3%9Fe%20100%25.cfg"));
}

#[test]
fn it_can_be_shared_and_sent() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Server>();
    check::<memtftp_server::Builder>();
    check::<memtftp_server::RequestRecord>();
    check::<WaitError>();
}

/// Everything on the one thread of a runtime: what blocks runs apart from it.
#[tokio::test(flavor = "current_thread")]
async fn it_works_beside_tokio() {
    let server = Server::builder().keep_records(10).start().unwrap();
    let server = Arc::new(server);
    server.put("hello", "world").unwrap();
    let upload = tokio::task::spawn_blocking({
        let server = Arc::clone(&server);
        move || server.wait_for_upload("up", SOON)
    });

    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // Sends a packet and gives the port that this answer comes from.
    let exchange = async |to: SocketAddr, packet: Vec<u8>, wanted: Packet| {
        let mut answer = [0; 600];
        client.send_to(&packet, to).await.unwrap();
        loop {
            let (length, from) = client.recv_from(&mut answer).await.unwrap();
            if Packet::decode(&answer[..length]) == wanted {
                break from;
            }
        }
    };
    let transfers = async {
        let block = Packet::Data(1, b"world".to_vec());
        let tid = exchange(server.address(), rrq("hello", &[]), block).await;
        client.send_to(&ack(1), tid).await.unwrap();
        let tid = exchange(server.address(), wrq("up", &[]), Packet::Ack(0)).await;
        exchange(tid, testkit::data(1, b"load"), Packet::Ack(1)).await;
    };
    tokio::time::timeout(SOON, transfers).await.unwrap();
    assert_eq!(upload.await.unwrap().unwrap().as_ref(), b"load");

    let server = Arc::into_inner(server).unwrap();
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
}
