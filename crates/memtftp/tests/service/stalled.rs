//! Whoever takes what the server says stalls or goes: a reader of the request log or of standard error, the
//! service manager, a disk. Transfers go on, and signals are obeyed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use testkit::{
    Frozen, Line, Manager, Memtftp, Packet, Raw, STATUS_SOCKET, Signal, rrq, signal, wait_for,
};

use crate::BINARY;

/// A named pipe that somebody may read, or not.
struct Pipe {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Pipe {
    fn new() -> Pipe {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        mkfifoat(CWD, &path, Mode::from_raw_mode(0o666)).unwrap();
        Pipe { path, _directory: directory }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// An end of it that waits for nothing.
    fn open(&self, options: &mut OpenOptions) -> std::io::Result<File> {
        let flags = OFlags::NONBLOCK.bits().try_into().unwrap();
        options.custom_flags(flags).open(&self.path)
    }

    /// All that is in it.
    fn content(reader: &mut File) -> String {
        let mut content = Vec::new();
        match reader.read_to_end(&mut content) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => drop(other.unwrap()),
        }
        String::from_utf8(content).unwrap()
    }

    /// Waits until another process opens it to read, and lets that wait for ever.
    fn hold_reader(&self) -> File {
        wait_for("a reader of the pipe", || self.open(OpenOptions::new().write(true)).ok())
    }
}

/// Sends requests that cannot be served until their lines have filled pipe and queue.
fn fill_log(server: &Memtftp) {
    let client = Raw::new(server.address());
    wait_for("a full queue", || {
        (0..5_000).for_each(|_| client.send(&[9; 4]));
        (server.status(BINARY)["request_log"]["lost"] != 0).then_some(())
    });
}

/// A reader in the middle of its file, which is over if it hears no more.
fn begin(server: &Memtftp) -> Raw {
    let mut client = Raw::new(server.address());
    client.put("file", &[7; 2_000], &[]).unwrap();
    client.ask(&rrq("file", &[]));
    client
}

fn assert_told(client: &mut Raw) {
    let (code, text) = client.receive().refusal();
    assert!(code == 0 && text.contains("shutting down"), "{code} {text}");
}

/// Serves still, whatever does not take what it says.
fn assert_serves(server: &Memtftp) {
    let mut client = Raw::new(server.address());
    client.put("served", b"content", &[]).unwrap();
    assert_eq!(client.get("served", &[]).unwrap(), b"content");
}

/// The number of lines that the server left unwritten at its end.
fn left(server: &Memtftp) -> u64 {
    let said = server.wait_for_stderr("the request log is not taken");
    let words = said.split(' ').skip_while(|word| *word != "last").nth(1);
    words.unwrap().parse().unwrap()
}

#[test]
fn the_end_does_not_wait_for_a_log_that_nobody_reads_and_counts_what_is_left() {
    let pipe = Pipe::new();
    let mut reader = pipe.open(OpenOptions::new().read(true)).unwrap();
    let mut server = Memtftp::serve(BINARY, &["--request-log", pipe.name(), "--drain", "100ms"]);
    let mut client = Raw::new(server.address());
    let requests = 1_500;
    for _ in 0..requests {
        client.get("missing", &[]).unwrap_err();
    }
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let content = Pipe::content(&mut reader);
    assert!(content.ends_with('\n'), "the last line is whole: {content:?}");
    let lines = content.lines().map(Line::parse).filter(|line| line.is(&[("kind", "read")]));
    assert_eq!(lines.count() as u64 + left(&server), requests);
}

#[test]
fn signals_are_obeyed_when_the_queue_of_the_log_is_full() {
    let pipe = Pipe::new();
    let flags = ["--max-unrecognized", "1000000", "--status-socket", STATUS_SOCKET];
    let log = ["--request-log", pipe.name(), "--drain", "1h"];
    let mut server = Memtftp::serve(BINARY, &[&flags[..], &log].concat());
    let mut client = begin(&server);
    fill_log(&server);
    server.signal(Signal::HUP);
    server.wait_for_stderr("reloaded: ");
    server.signal(Signal::USR1);
    server.wait_for_stderr("  request log  ");
    assert_serves(&server);
    server.signal(Signal::TERM);
    server.wait_for_stderr("stopping: ");
    server.signal(Signal::TERM);
    assert_told(&mut client);
    assert!(server.wait_exit().success());
    assert!(left(&server) > 32_768);
}

#[test]
fn a_named_pipe_without_a_reader_gets_its_lines_when_one_comes() {
    let pipe = Pipe::new();
    let mut server = Memtftp::serve(BINARY, &["--request-log", pipe.name()]);
    assert_serves(&server);
    server.signal(Signal::HUP);
    server.wait_for_stderr("reloaded: ");
    let mut reader = pipe.open(OpenOptions::new().read(true)).unwrap();
    let mut content = String::new();
    wait_for("both lines", || {
        content.push_str(&Pipe::content(&mut reader));
        (content.matches('\n').count() == 2).then_some(())
    });
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
}

#[test]
fn a_log_that_reaches_the_limit_on_files_ends_nothing() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\"", BINARY]);
    let server = Memtftp::start(command, &[]);
    let mut client = Raw::new(server.address());
    for _ in 0..20 {
        client.get("missing", &[]).unwrap_err();
    }
    let told = server.wait_for_stderr("cannot write the request log");
    assert!(told.contains("File too large"), "{told}");
    assert_serves(&server);
}

/// The signals that have an effect to be seen without standard error.
fn assert_signals_are_obeyed(mut server: Memtftp, config: &Path) {
    assert_serves(&server);
    for (uploads, code) in [("off", 2), ("create", 6), ("off", 2)] {
        fs::write(config, format!("uploads = \"{uploads}\"\ndrain = \"1h\"\n")).unwrap();
        server.signal(Signal::USR1);
        server.signal(Signal::HUP);
        wait_for("the reload", || {
            let put = Raw::new(server.address()).put("served", b"content", &[]);
            put.is_err_and(|refused| refused.refusal().0 == code).then_some(())
        });
    }
    let mut client = Raw::new(server.address());
    client.ask(&rrq("file", &[]));
    server.signal(Signal::TERM);
    wait_for("a refusal", || {
        let answer = Raw::new(server.address()).ask(&rrq("file", &[]));
        matches!(answer, Packet::Error(0, _)).then_some(())
    });
    server.signal(Signal::INT);
    assert_told(&mut client);
    assert!(server.wait_exit().success());
}

fn configured() -> (Memtftp, tempfile::NamedTempFile) {
    let config = tempfile::NamedTempFile::new().unwrap();
    let server = Memtftp::serve(BINARY, &["--config", config.path().to_str().unwrap()]);
    Raw::new(server.address()).put("file", &[7; 2_000], &[]).unwrap();
    (server, config)
}

#[test]
fn signals_are_obeyed_when_nobody_reads_standard_error() {
    let (server, config) = configured();
    server.stall_stderr();
    assert_signals_are_obeyed(server, config.path());
}

#[test]
fn signals_are_obeyed_when_the_reader_of_standard_error_has_gone() {
    let (server, config) = configured();
    server.close_stderr();
    assert_signals_are_obeyed(server, config.path());
}

#[test]
fn the_watchdog_waits_for_no_reader_of_standard_error() {
    let manager = Manager::new();
    let patience = Duration::from_millis(200);
    let server = Memtftp::start(manager.command(BINARY, Some(patience)), &["--workers", "1"]);
    server.stall_stderr();
    // Tells on standard error that a worker hangs, and that it does no longer.
    let frozen = Frozen::thread(server.pid(), "worker-0");
    wait_for("the watchdog to starve", || manager.next(patience * 4).is_none().then_some(()));
    drop(frozen);
    manager.wait_for("WATCHDOG=1");
    assert_serves(&server);
}

#[test]
fn a_start_that_hangs_ends_at_once() {
    let pipe = Pipe::new();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--listen", "127.0.0.1:0", "--config", pipe.name()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    let _writer = pipe.hold_reader();
    signal(&server, Signal::TERM);
    assert!(server.wait().unwrap().success());
}

/// The disk with the configuration hangs.
#[test]
fn a_reload_that_hangs_keeps_no_signal_from_being_obeyed() {
    let (pipe, directory) = (Pipe::new(), tempfile::tempdir().unwrap());
    let config = directory.path().join("memtftp.toml");
    fs::write(&config, "drain = \"1h\"\n").unwrap();
    let mut server = Memtftp::serve(BINARY, &["--config", config.to_str().unwrap()]);
    let mut client = begin(&server);
    fs::rename(&pipe.path, &config).unwrap();
    let pipe = Pipe { path: config, ..pipe };
    server.signal(Signal::HUP);
    let writer = pipe.hold_reader();
    let rotated = server.path("requests.log.1");
    fs::rename(server.path("requests.log"), rotated).unwrap();
    server.signal(Signal::HUP);
    wait_for("the log to be opened again", || server.path("requests.log").exists().then_some(()));
    server.signal(Signal::USR1);
    server.wait_for_stderr("  request log  ");
    assert_serves(&server);
    server.signal(Signal::TERM);
    server.wait_for_stderr("stopping: transfers have 3600s");
    server.signal(Signal::TERM);
    assert_told(&mut client);
    assert!(server.wait_exit().success());
    drop(writer);
}

#[test]
fn signals_are_obeyed_when_the_service_manager_does_not_listen() {
    let manager = Manager::new();
    let command = manager.command(BINARY, Some(Duration::from_millis(100)));
    let mut server = Memtftp::start(command, &["--drain", "1h"]);
    manager.wait_for("READY=1");
    manager.stall();
    let mut client = begin(&server);
    server.signal(Signal::HUP);
    server.wait_for_stderr("reloaded: ");
    server.signal(Signal::TERM);
    server.wait_for_stderr("stopping: ");
    server.signal(Signal::TERM);
    assert_told(&mut client);
    assert!(server.wait_exit().success());
}

#[test]
fn a_worker_that_hangs_does_not_outlive_the_second_signal() {
    let mut server = Memtftp::serve(BINARY, &["--workers", "2", "--drain", "1h"]);
    let frozen = Frozen::thread(server.pid(), "worker-1");
    server.signal(Signal::HUP);
    server.wait_for_stderr("reloaded: ");
    server.signal(Signal::TERM);
    server.wait_for_stderr("stopping: ");
    server.signal(Signal::TERM);
    frozen.wait_for_end();
    assert_eq!(server.wait_exit().code(), Some(1));
}
