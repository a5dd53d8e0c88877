//! SIGTERM and Ctrl-C while transfers run.

use testkit::{Line, Memtftp, Packet, Raw, Signal, ack, bytes, data, rrq, wait_for, wrq};

use crate::{only, serve, serve_in_order};

/// A reader and a writer in the middle of their files, and the packets they go on with.
struct Running {
    reader: Raw,
    second: Packet,
    writer: Raw,
    last: Vec<u8>,
}

fn running(server: &Memtftp) -> Running {
    let mut reader = Raw::new(server.address());
    reader.put("file", &bytes(3_000), &[]).unwrap();
    reader.ask(&rrq("file", &[]));
    let second = reader.say(&ack(1));
    assert!(matches!(second, Packet::Data(2, _)), "{second:?}");
    let mut writer = Raw::new(server.address());
    writer.ask(&wrq("new", &[]));
    assert_eq!(writer.say(&data(1, &[1; 512])), Packet::Ack(1));
    Running { reader, second, writer, last: data(2, b"end") }
}

impl Running {
    /// Both go on to the end.
    fn finish(&mut self) {
        let mut packet = self.second.clone();
        let mut file = bytes(3_000)[..512].to_vec();
        while let Packet::Data(block, bytes) = packet {
            file.extend_from_slice(&bytes);
            if bytes.len() < 512 {
                self.reader.reply(&ack(block));
                break;
            }
            packet = self.reader.say(&ack(block));
        }
        assert!(file == bytes(3_000));
        assert_eq!(self.writer.say(&self.last), Packet::Ack(2));
    }

    /// Both are told that it is over.
    fn are_told(&mut self) {
        for client in [&mut self.reader, &mut self.writer] {
            let (code, text) = client.receive().refusal();
            assert_eq!(code, 0, "{text}");
            assert!(text.contains("shutting down"), "{text}");
        }
    }
}

/// Asks until the server says that it is stopping.
fn wait_until_refused(server: &Memtftp) {
    wait_for("a refusal", || {
        let (code, text) = Raw::new(server.address()).ask(&rrq("none", &[])).refusal();
        if code == 1 {
            return None;
        }
        assert!(code == 0 && text.contains("shutting down"), "{code} {text}");
        Some(())
    });
}

/// The lines of the two transfers.
fn both(log: &[Line]) -> [&Line; 2] {
    [("read", "file"), ("write", "new")].map(|(kind, file)| {
        let same = |line: &&Line| line.is(&[("kind", kind), ("file", file)]);
        let lines: Vec<&Line> = log.iter().filter(same).collect();
        assert_eq!(lines.len(), 1, "{log:#?}");
        lines[0]
    })
}

fn transfers_may_finish(signal: Signal, flags: &[&str]) {
    let mut server = serve(flags);
    let mut transfers = running(&server);
    server.signal(signal);
    server.wait_for_stderr("stopping");
    wait_until_refused(&server);
    transfers.finish();
    assert!(server.wait_exit().success());
    let log = server.log();
    for (line, bytes) in both(&log).into_iter().zip(["3000", "515"]) {
        assert!(line.is(&[("outcome", "ok"), ("bytes", bytes)]), "{line:?}");
    }
    let refused = [("outcome", "refused"), ("code", "0"), ("file", "none")];
    assert!(log.iter().any(|line| line.is(&refused)), "{log:#?}");
}

#[test]
fn after_sigterm_transfers_may_finish() {
    transfers_may_finish(Signal::TERM, &[]);
}

#[test]
fn after_ctrl_c_transfers_may_finish() {
    transfers_may_finish(Signal::INT, &["--workers", "1"]);
}

#[test]
fn after_sigterm_transfers_on_a_single_port_may_finish() {
    transfers_may_finish(Signal::TERM, &["--single-port", "--workers", "4"]);
}

#[test]
fn new_requests_are_refused_whatever_they_are() {
    let mut server = serve_in_order(&[]);
    let mut transfers = running(&server);
    server.signal(Signal::TERM);
    wait_until_refused(&server);
    let mut client = Raw::new(server.address());
    for request in [rrq("file", &[]), wrq("other", &[]), rrq("none", &[])] {
        let (code, text) = client.ask(&request).refusal();
        assert!(code == 0 && text.contains("shutting down"), "{code} {text}");
    }
    transfers.finish();
    assert!(server.wait_exit().success());
    let log = server.log();
    only(&log, &[("kind", "write"), ("file", "other"), ("outcome", "refused"), ("code", "0")]);
}

fn assert_ended(mut server: Memtftp) {
    assert!(server.wait_exit().success());
    for (line, bytes) in both(&server.log()).into_iter().zip(["512", "512"]) {
        assert!(line.is(&[("outcome", "shutdown"), ("bytes", bytes)]), "{line:?}");
    }
}

#[test]
fn without_time_to_drain_transfers_end_at_once() {
    let server = serve(&["--drain", "0s"]);
    let mut transfers = running(&server);
    server.signal(Signal::TERM);
    transfers.are_told();
    assert_ended(server);
}

#[test]
fn when_the_time_to_drain_is_over_transfers_end() {
    let server = serve(&["--drain", "300ms"]);
    let mut transfers = running(&server);
    server.signal(Signal::TERM);
    transfers.are_told();
    assert_ended(server);
}

#[test]
fn a_second_signal_ends_transfers_at_once() {
    let server = serve(&["--drain", "1h"]);
    let mut transfers = running(&server);
    server.signal(Signal::TERM);
    wait_until_refused(&server);
    server.signal(Signal::INT);
    server.wait_for_stderr("stopping now");
    transfers.are_told();
    assert_ended(server);
}

#[test]
fn without_transfers_it_ends_at_once() {
    let mut server = serve(&["--drain", "1h"]);
    Raw::new(server.address()).put("file", b"x", &[]).unwrap();
    server.wait_for_log(1);
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_json_log_has_them_too() {
    let server = serve(&["--drain", "0s", "--request-log-format", "json"]);
    let mut transfers = running(&server);
    server.signal(Signal::TERM);
    transfers.are_told();
    assert_ended(server);
}
