//! `memtftp status`, its socket, and SIGUSR1.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};

use memtftp_server::Status;
use memtftp_server::status::MAX_STATUS_SESSIONS;
pub(crate) use testkit::STATUS_SOCKET as SOCKET;
use testkit::{Memtftp, Raw, Signal, ack, bytes, data, rrq, wait_for, wrq};

use crate::{BINARY, refuses_to_start, serve, serve_in_order};

/// Runs `memtftp status`.
fn ask(socket: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("status").arg("--status-socket").arg(socket).args(flags).output().unwrap()
}

/// What it prints.
fn printed(server: &Memtftp, flags: &[&str]) -> String {
    server.printed_status(BINARY, flags)
}

/// What a server with the status socket [`SOCKET`] says now.
pub(crate) fn status(server: &Memtftp) -> Status {
    serde_json::from_value(server.status(BINARY)).unwrap()
}

/// One worker, with a file of 5,000 bytes, a read of it and an upload under way, and one name missed
/// twice.
fn busy_server() -> (Memtftp, [Raw; 2]) {
    let server = serve_in_order(&["--status-socket", SOCKET, "--memory", "1MiB"]);
    let client = || Raw::new(server.address());
    let (mut reader, mut writer) = (client(), client());
    reader.put("boot/file", &bytes(5_000), &[]).unwrap();
    for _ in 0..2 {
        client().get("pxelinux.cfg/a\u{202e}b", &[]).unwrap_err();
    }
    reader.ask(&rrq("boot/file", &[]));
    reader.say(&ack(1));
    writer.ask(&wrq("new", &[("tsize", "3000")]));
    writer.say(&data(1, &[1; 512]));
    (server, [reader, writer])
}

#[test]
fn json() {
    let (server, [reader, _writer]) = busy_server();
    let status = status(&server);
    assert_eq!((status.workers, status.workers_answered), (1, 1));
    let open = status.open;
    assert_eq!((open.sessions, open.half_open, open.uploads, open.lingering), (2, 0, 1, 3));
    let [read, write] = &status.sessions[..] else { panic!("{status:#?}") };
    assert_eq!((read.kind.as_str(), read.file.as_str()), ("read", "boot/file"));
    assert_eq!(read.client, format!("127.0.0.1:{}", reader.port()));
    assert_eq!((read.bytes, read.total), (512, Some(5_000)));
    assert_eq!((write.kind.as_str(), write.bytes, write.total), ("write", 512, Some(3_000)));
    assert_eq!(status.more_sessions, 0);
    let totals = &status.totals;
    assert_eq!((totals.requests, totals.outcomes["ok"], totals.outcomes["refused"]), (5, 1, 2));
    assert_eq!((totals.bytes_sent, totals.bytes_received), (512, 5_000 + 512));
    let [missed] = &status.missed[..] else { panic!("{status:#?}") };
    assert_eq!((missed.file.as_str(), missed.count), ("pxelinux.cfg/a\\xe2\\x80\\xaeb", 2));
    let memory = status.memory;
    assert_eq!((memory.budget, memory.files, memory.file_count), (1 << 20, 5_000, 1));
    assert_eq!((memory.uploads, memory.replaced), (memory.used - 5_000, 0));
    assert!(memory.uploads >= 512, "{memory:?}");
    assert!(status.rates.requests > 0.0 && status.rates.over_ms > 0, "{:?}", status.rates);
    // The names of the keys are what others rely on.
    let json: serde_json::Value = serde_json::from_str(&printed(&server, &["--json"])).unwrap();
    assert_eq!(json["open"]["half_open"], 0);
    assert_eq!(json["refused"]["not_found"], 2);
    assert_eq!(json["sessions"][0]["age_ms"].as_u64().map(|age| age < 60_000), Some(true));
}

#[test]
fn text() {
    let (server, _clients) = busy_server();
    let text = printed(&server, &[]);
    for part in [
        "2 sessions: 0 half-open, 1 uploads",
        "2 refused",
        "refused      2 not_found",
        "1 files 4.9 KiB",
        "2  pxelinux.cfg/a\\xe2\\x80\\xaeb",
        "512 B of 4.9 KiB",
        "512 B of 2.9 KiB",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}

#[test]
fn sigusr1_prints_the_same() {
    let (server, _clients) = busy_server();
    server.signal(Signal::USR1);
    server.wait_for_stderr("refused      2 not_found");
    server.wait_for_stderr("512 B of 2.9 KiB");
    // Also without a socket.
    let server = serve(&[]);
    server.signal(Signal::USR1);
    server.wait_for_stderr("open         0 sessions");
}

#[test]
fn a_replaced_file_that_is_still_read_is_shown() {
    let (server, [reader, _writer]) = busy_server();
    Raw::new(server.address()).put("boot/file", b"new", &[]).unwrap();
    let memory = status(&server).memory;
    assert_eq!((memory.files, memory.replaced), (3, 5_000));
    reader.reply(&testkit::error(0, "enough"));
    wait_for("its memory", || (status(&server).memory.replaced == 0).then_some(()));
}

#[test]
fn the_longest_running_sessions_are_shown_and_the_others_counted() {
    let server = serve(&["--status-socket", SOCKET, "--workers", "2"]);
    Raw::new(server.address()).put("file", b"x", &[]).unwrap();
    let mut clients: Vec<Raw> = (0..70).map(|_| Raw::new(server.address())).collect();
    clients.iter_mut().for_each(|client| drop(client.ask(&rrq("file", &[]))));
    let status = status(&server);
    assert_eq!((status.open.sessions, status.open.half_open, status.workers_answered), (70, 70, 2));
    assert_eq!((status.sessions.len(), status.more_sessions), (MAX_STATUS_SESSIONS, 6));
    assert_eq!(status.sessions[0].client, format!("127.0.0.1:{}", clients[0].port()));
    assert!(status.sessions.windows(2).all(|pair| pair[0].age_ms >= pair[1].age_ms));
    assert!(printed(&server, &[]).contains("\n  and 6 more\n"));
}

#[test]
fn the_socket_is_for_the_owner_and_the_group_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET);
    let server = serve(&["--status-socket", path.to_str().unwrap()]);
    assert_eq!(server.banner("status"), format!("at {}", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_dead_server_is_replaced_and_that_of_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET);
    let flags = ["--status-socket", path.to_str().unwrap()];
    let mut dead = serve(&flags);
    dead.signal(Signal::KILL);
    assert!(!dead.wait_exit().success());
    assert!(path.exists());
    let living = serve(&flags);
    let line = refuses_to_start(&flags);
    assert!(line.contains(flags[1]) && line.contains("--status-socket PATH"), "{line}");
    assert!(ask(&path, &[]).status.success(), "the living one still answers");
    living.stop();
    assert!(!path.exists());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    fs::write(&path, "precious").unwrap();
    let line = refuses_to_start(&["--status-socket", path.to_str().unwrap()]);
    assert!(line.contains("is no socket") && line.contains("--status-socket PATH"), "{line}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let none = directory.path().join("none").join(SOCKET);
    let line = refuses_to_start(&["--status-socket", none.to_str().unwrap()]);
    assert!(line.contains("--status-socket PATH"), "{line}");
}

/// Clients of the socket that read nothing, more than may wait for their turn.
#[test]
fn a_client_that_stalls_holds_up_nothing() {
    let (server, [reader, _writer]) = busy_server();
    let path = server.path(SOCKET);
    let _stalled: Vec<UnixStream> = (0..10).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(status(&server).open.sessions, 2);
    reader.reply(&ack(2));
    Raw::new(server.address()).put("other", &bytes(100_000), &[]).unwrap();
    let mut last = String::new();
    UnixStream::connect(&path).unwrap().read_to_string(&mut last).unwrap();
    assert!(last.starts_with('{') && last.ends_with("}\n"), "{last}");
    server.signal(Signal::TERM);
    server.wait_for_stderr("stopping: ");
    server.signal(Signal::TERM);
    server.wait_for_stderr("stopping now");
    wait_for("the end of the socket", || (!path.exists()).then_some(()));
}

#[test]
fn without_a_server_it_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET);
    let check = |words: &str| {
        let output = ask(&path, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(words) && said.contains(path.to_str().unwrap()), "{said}");
    };
    check("--status-socket PATH");
    drop(UnixListener::bind(&path).unwrap());
    check("--status-socket PATH");
    fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || drop(listener.accept()));
    check("try again");
    thread.join().unwrap();
}

/// systemd sets it for a unit with `RuntimeDirectory=`.
#[test]
fn a_service_has_its_socket_in_its_runtime_directory() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    command.env("RUNTIME_DIRECTORY", directory.path());
    let server = Memtftp::start(command, &[]);
    let path = directory.path().join("memtftp.sock");
    assert_eq!(server.banner("status"), format!("at {}", path.display()));
    let mut command = Command::new(BINARY);
    let output = command.arg("status").env("RUNTIME_DIRECTORY", directory.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
