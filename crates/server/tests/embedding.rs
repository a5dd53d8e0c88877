//! The server as a library.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use memtftp_server::{
    Access, Config, ConfigError, LogFormat, LogTarget, NameError, PreloadError, PutError,
    RequestLogConfig, Server, SocketError, StartError, Uploads,
};
use rustix::fs::{CWD, Mode, mkfifoat};
use testkit::{Packet, Raw, ack, bytes, data, rrq, wait_for, wrq};

#[test]
fn files_go_in_and_uploads_come_out() {
    let server = Server::builder().start().unwrap();
    server.put("boot//config.txt", "timeout 50\n").unwrap();
    let mut client = Raw::new(server.address());
    assert_eq!(client.get("boot/config.txt", &[]).unwrap(), b"timeout 50\n");

    let file = bytes(100_000);
    Raw::new(server.address()).put("switch.cfg", &file, &[("blksize", "1428")]).unwrap();
    assert_eq!(server.get("/switch.cfg").unwrap().as_ref(), file);
    assert_eq!(server.names().len(), 2);
    let taken = server.take("switch.cfg").unwrap();
    assert_eq!((taken.as_ref(), server.get("switch.cfg").is_none()), (&file[..], true));
    server.stop();
}

/// A pipe that nobody reads stands for any log that takes nothing, such as a file on a disk that hangs.
#[test]
fn the_end_waits_for_no_log_that_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ends: [fn(Server); 3] = [drop, Server::stop, |server| {
        server.drain(Duration::ZERO);
        server.wait();
    }];
    for (number, end) in ends.into_iter().enumerate() {
        let pipe = directory.path().join(number.to_string());
        mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
        let log = RequestLogConfig { target: LogTarget::File(pipe), format: LogFormat::Text };
        let server = Server::builder().request_log(log).start().unwrap();
        let mut client = Raw::new(server.address());
        for _ in 0..1_000 {
            client.get("missing", &[]).unwrap_err();
        }
        server.reopen_request_log();
        let (ended, end_of_it) = mpsc::channel();
        thread::spawn(move || {
            end(server);
            ended.send(()).unwrap();
        });
        end_of_it.recv_timeout(testkit::DEADLINE).unwrap();
    }
}

#[test]
fn memory_is_given_back() {
    let server = Server::builder().start().unwrap();
    server.put("f", bytes(5_000)).unwrap();
    Raw::new(server.address()).put("f", &bytes(70_000), &[]).unwrap();
    assert_eq!(server.memory_used(), 70_000);
    let mut reader = Raw::new(server.address());
    reader.ask(&rrq("f", &[]));
    drop(server.take("f"));
    assert_eq!(server.memory_used(), 70_000, "a reader still has it");
    reader.reply(&testkit::error(0, "enough"));
    wait_for("the memory to be given back", || (server.memory_used() == 0).then_some(()));
}

#[test]
fn names_and_room_are_checked() {
    let config = Config { memory: 1_000, ..Config::default() };
    let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], ..config };
    let server = Server::builder().config(config).start().unwrap();
    assert_eq!(server.put("../etc/passwd", "x"), Err(PutError::Name(NameError::Dots)));
    assert!(matches!(server.put("f", bytes(1_001)), Err(PutError::Room(_))));
    server.put("f", bytes(1_000)).unwrap();
}

#[test]
fn a_drained_server_ends_with_its_last_transfer() {
    let server = Server::builder().start().unwrap();
    server.put("f", bytes(600)).unwrap();
    let mut client = Raw::new(server.address());
    let first = client.ask(&rrq("f", &[]));
    server.drain(Duration::from_secs(600));
    let text = wait_for("the server to drain", || {
        let (code, text) = Raw::new(server.address()).ask(&rrq("missing", &[])).refusal();
        (code == 0).then_some(text)
    });
    assert_eq!(text, "server is shutting down");
    assert_eq!(client.get_from(first).unwrap(), bytes(600));
    server.wait();
}

#[test]
fn an_abort_tells_clients() {
    let server = Server::builder().start().unwrap();
    let mut client = Raw::new(server.address());
    assert_eq!(client.ask(&wrq("f", &[])), Packet::Ack(0));
    assert_eq!(client.say(&data(1, &[0; 512])), Packet::Ack(1));
    server.abort();
    server.wait();
    let told = Packet::Error(0, "server is shutting down".into());
    assert_eq!(client.receive(), told);
}

#[test]
fn what_keeps_a_server_from_starting_is_told_apart() {
    let first = Server::builder().start().unwrap();
    let taken = Server::builder().listen(first.address()).start();
    assert!(matches!(taken, Err(StartError::Socket(SocketError::InUse { .. }))), "{taken:?}");
    let nowhere = Server::builder().listen("203.0.113.9:0".parse().unwrap()).start();
    let no_address = |error| matches!(error, StartError::Socket(SocketError::NoSuchAddress { .. }));
    assert!(nowhere.is_err_and(no_address));
    let config =
        Config { single_port: true, transfer_ports: Some(5000..=5009), ..Config::default() };
    let contradiction = Server::builder().config(config).start();
    assert!(matches!(contradiction, Err(StartError::Config(ConfigError::SinglePortRange))));
}

#[test]
fn a_directory_is_loaded_with_the_links_that_stay_inside() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("sub/a"), "a").unwrap();
    symlink("sub/a", root.join("link")).unwrap();
    let server = Server::builder().preload(root).start().unwrap();
    let names: Vec<String> = server.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["link", "sub/a"]);

    symlink("/etc/hostname", root.join("leaves")).unwrap();
    let error = Server::builder().preload(root).start().map(drop);
    assert!(
        matches!(&error, Err(StartError::Preload(PreloadError::LeavesDirectory { path }))
            if path.ends_with("leaves")),
        "{error:?}"
    );
    let missing = Server::builder().preload(root.join("missing")).start().map(drop);
    assert!(matches!(missing, Err(StartError::Preload(PreloadError::Unreadable { .. }))));
}

#[test]
fn policy_is_the_callers() {
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        access: Access::networks(vec!["10.0.0.0/8".parse().unwrap()]),
        ..Config::default()
    };
    let server = Server::builder().config(config).start().unwrap();
    let (code, text) = Raw::new(server.address()).ask(&rrq("f", &[])).refusal();
    assert_eq!((code, text.contains("--allow")), (2, true), "{text}");
    let server = Server::builder().uploads(Uploads::Off).start().unwrap();
    let (code, text) = Raw::new(server.address()).ask(&wrq("f", &[])).refusal();
    assert_eq!((code, text.contains("--uploads")), (2, true), "{text}");
}

#[test]
fn it_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let server = Server::builder().start().unwrap();
    shared(&server);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let name = format!("file-{number}");
                server.put(&name, bytes(1_000 * number)).unwrap();
                let got = Raw::new(server.address()).get(&name, &[("blksize", "64")]);
                assert_eq!(got.unwrap(), bytes(1_000 * number));
            });
        }
    });
    let mut client = Raw::new(server.address());
    client.ask(&rrq("file-1", &[]));
    client.reply(&ack(1));
}
