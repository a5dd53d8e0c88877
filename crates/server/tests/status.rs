//! The status of an embedded server, and its socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use memtftp_server::{Config, Server, StartError, Status, StatusSocketError};
use testkit::{Raw, ack, rrq, wait_for};

fn config(status_socket: &Path) -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        memory: 1 << 20,
        status_socket: Some(status_socket.to_owned()),
        ..Config::default()
    }
}

fn path(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("status.sock")
}

#[test]
fn what_has_happened_is_counted_by_the_worker_that_saw_it() {
    let server = Server::builder().start().unwrap();
    server.put("file", "content").unwrap();
    let mut clients: Vec<Raw> = (0..20).map(|_| Raw::new(server.address())).collect();
    for client in &mut clients {
        assert_eq!(client.get("file", &[]).unwrap(), b"content");
        client.get("none", &[]).unwrap_err();
    }
    let status = wait_for("the last reads to end", || {
        Some(server.status()).filter(|status| status.open.sessions == 0)
    });
    assert_eq!((status.totals.outcomes["ok"], status.totals.outcomes["refused"]), (20, 20));
    assert_eq!((status.refused["not_found"], status.missed[0].count), (20, 20));
    assert_eq!((status.totals.requests, status.totals.bytes_sent), (40, 140));
    assert_eq!(status.workers_answered, status.workers);
}

#[test]
fn a_session_is_shown_while_it_lasts() {
    let server = Server::builder().start().unwrap();
    server.put("file", vec![0; 2_000]).unwrap();
    let mut client = Raw::new(server.address());
    client.ask(&rrq("file", &[]));
    assert!(server.status().sessions[0].half_open);
    client.say(&ack(1));
    let status = server.status();
    let session = &status.sessions[0];
    assert_eq!((session.file.as_str(), session.bytes, session.total), ("file", 512, Some(2_000)));
    assert!(!session.half_open && status.open.sessions == 1);
    server.abort();
    server.wait();
    let after = server.status();
    assert_eq!((after.workers_answered, after.sessions.len()), (0, 0));
    assert_eq!(after.refused["not_found"], 0, "every counter has its name all the same");
}

#[test]
fn the_socket_tells_the_same_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = path(&directory);
    let server = Server::builder().config(config(&path)).start().unwrap();
    server.put("file", "content").unwrap();
    let mut json = String::new();
    UnixStream::connect(&path).unwrap().read_to_string(&mut json).unwrap();
    let told: Status = serde_json::from_str(&json).unwrap();
    assert_eq!((told.memory, told.refused), (server.status().memory, server.status().refused));

    let second = Server::builder().config(config(&path)).start();
    let error = second.unwrap_err();
    assert!(matches!(error, StartError::StatusSocket(StatusSocketError::InUse(_))), "{error}");
    server.stop();
    assert!(!path.exists());
}

/// Whoever starts takes the file back when it fails later.
#[test]
fn a_start_that_fails_leaves_no_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = path(&directory);
    let builder = Server::builder().config(config(&path)).preload(directory.path().join("none"));
    assert!(matches!(builder.start(), Err(StartError::Preload(_))));
    assert!(!path.exists());
}
