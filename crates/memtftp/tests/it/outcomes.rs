//! One line of the log for each outcome that a request can have.

use testkit::{Line, Memtftp, Packet, Raw, ack, data, error, request, rrq, wrq};

use crate::{only, serve_in_order};

/// A client of a server with one file of 1000 bytes.
fn with_file(flags: &[&str]) -> (Memtftp, Raw) {
    let server = serve_in_order(flags);
    let mut client = Raw::new(server.address());
    client.put("file", &[7; 1000], &[]).unwrap();
    (server, client)
}

/// The line of the log behind that of the first upload, and there is no other.
fn second(server: Memtftp) -> Line {
    let mut log = server.stop();
    assert_eq!(log.len(), 2, "{log:#?}");
    log.remove(1)
}

#[test]
fn ok() {
    let (server, mut client) = with_file(&[]);
    let port = client.port();
    client.get("file", &[("blksize", "600"), ("foo", "bar"), ("tsize", "0")]).unwrap();
    let line = second(server);
    assert!(
        line.is(&[
            ("kind", "read"),
            ("outcome", "ok"),
            ("client", &format!("127.0.0.1:{port}")),
            ("file", "file"),
            ("mode", "octet"),
            ("asked", "blksize:600,foo:bar,tsize:0"),
            ("granted", "blksize:600,tsize:1000"),
            ("bytes", "1000"),
            ("blocks", "2"),
            ("repeats", "0"),
        ]),
        "{line:?}"
    );
    assert!(line.get("local").starts_with("127.0.0.1:"), "{line:?}");
    assert!(line.get("duration_ms").parse::<f64>().unwrap() > 0.0);
    line.number("retransmissions");
    let time = line.get("time");
    // 2026-03-01T12:00:00.500Z
    assert_eq!((time.len(), &time[10..11], &time[19..20], &time[23..]), (24, "T", ".", "Z"));
}

#[test]
fn probe() {
    let (server, mut client) = with_file(&[]);
    client.ask(&rrq("file", &[("tsize", "0")]));
    client.reply(&error(8, "User aborted the transfer"));
    let line = second(server);
    assert!(line.is(&[("kind", "read"), ("outcome", "probe"), ("bytes", "0")]), "{line:?}");
}

#[test]
fn aborted_with_the_code_and_the_text_of_the_client() {
    let (server, mut client) = with_file(&[]);
    client.ask(&rrq("file", &[]));
    client.say(&ack(1));
    client.reply(&error(3, "disk \"full\"\nkind=read"));
    let line = second(server);
    assert!(line.is(&[("outcome", "aborted"), ("code", "3"), ("bytes", "512")]), "{line:?}");
    assert_eq!(line.bytes("text"), b"disk \"full\"\nkind=read");
}

/// curl sends no text at all.
#[test]
fn an_upload_aborted_without_a_text() {
    let (server, mut client) = with_file(&[]);
    client.ask(&wrq("new", &[]));
    client.say(&data(1, &[1; 512]));
    client.reply(&[0, 5, 0, 0]);
    let line = second(server);
    let values = [("kind", "write"), ("outcome", "aborted"), ("code", "0"), ("text", "")];
    assert!(line.is(&values), "{line:?}");
}

#[test]
fn a_request_given_up_for_another_from_the_same_port() {
    let (server, mut client) = with_file(&[]);
    client.ask(&rrq("file", &[]));
    client.get("other", &[]).unwrap_err();
    let log = server.stop();
    let line = only(&log, &[("file", "file"), ("kind", "read")]);
    assert!(line.is(&[("outcome", "aborted")]), "{line:?}");
    assert!(line.get("reason").contains("new request"), "{line:?}");
    assert_eq!(log.len(), 3);
}

#[test]
fn timeout_says_how_far_it_got() {
    let (server, mut reader) = with_file(&["--give-up", "1s"]);
    reader.ask(&rrq("file", &[]));
    reader.say(&ack(1));
    let mut writer = Raw::new(server.address());
    writer.ask(&wrq("new", &[]));
    writer.say(&data(1, &[1; 512]));
    writer.say(&data(2, &[1; 512]));
    let log = server.wait_for_log(3);
    let read = only(&log, &[("kind", "read")]);
    let far = [("outcome", "timeout"), ("bytes", "512"), ("blocks", "1")];
    assert!(read.is(&far) && read.number("retransmissions") > 0, "{read:?}");
    let write = only(&log, &[("kind", "write"), ("file", "new")]);
    assert!(write.is(&[("outcome", "timeout"), ("bytes", "1024"), ("blocks", "2")]), "{write:?}");
    assert_eq!(server.stop().len(), 3);
}

/// The line of a refused request, checked against what the client was told.
fn refused(flags: &[&str], request: &[u8], code: u16, says: &str) -> Line {
    let (server, mut client) = with_file(flags);
    let (got, text) = client.ask(request).refusal();
    assert_eq!(got, code, "{text}");
    assert!(text.contains(says), "{text}");
    let line = second(server);
    assert!(line.is(&[("outcome", "refused"), ("code", &code.to_string())]), "{line:?}");
    assert!(line.get("reason").contains(says), "{line:?}");
    line
}

#[test]
fn refused_because_there_is_no_such_file() {
    let line = refused(&[], &rrq("none", &[]), 1, "not found");
    assert!(line.is(&[("kind", "read"), ("file", "none"), ("mode", "octet")]), "{line:?}");
}

#[test]
fn refused_by_a_bad_name() {
    refused(&[], &rrq("../etc/passwd", &[]), 2, "..");
}

#[test]
fn refused_because_a_file_is_too_large() {
    let announced = wrq("large", &[("tsize", "1001")]);
    let line = refused(&["--max-file", "1000B"], &announced, 3, "--max-file");
    assert!(line.is(&[("kind", "write"), ("asked", "tsize:1001")]), "{line:?}");
}

#[test]
fn refused_in_another_mode() {
    let line = refused(&[], &request(1, "file", "mail", &[]), 4, "octet or netascii");
    assert_eq!(line.get("mode"), "mail");
}

#[test]
fn refused_because_the_file_exists() {
    refused(&["--uploads", "create"], &wrq("file", &[]), 6, "--uploads replace");
}

#[test]
fn refused_because_uploads_are_off() {
    let server = serve_in_order(&["--uploads", "off"]);
    let mut client = Raw::new(server.address());
    let (code, text) = client.ask(&wrq("file", &[])).refusal();
    assert_eq!(code, 2);
    assert!(text.contains("--uploads"), "{text}");
    let log = server.stop();
    only(&log, &[("kind", "write"), ("outcome", "refused"), ("code", "2")]);
    assert_eq!(log.len(), 1);
}

#[test]
fn refused_because_it_is_busy() {
    let (server, mut first) = with_file(&["--max-sessions", "1"]);
    first.ask(&rrq("file", &[("blksize", "8")]));
    let begun = first.say(&ack(0));
    let mut second = Raw::new(server.address());
    let (code, text) = second.ask(&rrq("file", &[])).refusal();
    assert_eq!(code, 0);
    assert!(text.contains("busy"), "{text}");
    first.reply(&error(0, "enough"));
    assert!(matches!(begun, Packet::Data(1, _)), "{begun:?}");
    let log = server.stop();
    let line = only(&log, &[("kind", "read"), ("outcome", "refused"), ("code", "0")]);
    assert!(line.get("reason").contains("1 sessions"), "{line:?}");
    only(&log, &[("kind", "read"), ("outcome", "aborted")]);
    assert_eq!(log.len(), 3);
}

#[test]
fn what_is_no_request() {
    let (server, mut client) = with_file(&[]);
    client.send(&[0, 9, 1, 2]);
    client.ask(&[0, 1, b'f']).refusal();
    let log = server.stop();
    assert_eq!(log.len(), 3, "{log:#?}");
    let dropped = only(&log, &[("kind", "unrecognized"), ("outcome", "dropped")]);
    assert_eq!((dropped.number("size"), dropped.bytes("start")), (4, vec![0, 9, 1, 2]));
    let refused = only(&log, &[("kind", "unrecognized"), ("outcome", "refused")]);
    assert!(refused.is(&[("code", "4"), ("size", "3")]), "{refused:?}");
    assert_eq!(refused.get("client"), dropped.get("client"));
}

#[test]
fn repeats_are_counted_on_the_line_and_not_logged_again() {
    let (server, mut client) = with_file(&[]);
    let wanted = rrq("file", &[]);
    let begun = client.ask(&wanted);
    for _ in 0..3 {
        client.send(&wanted);
        assert_eq!(client.receive_any(), begun);
    }
    client.get_from(begun).unwrap();
    let line = second(server);
    assert!(line.is(&[("outcome", "ok"), ("repeats", "3"), ("bytes", "1000")]), "{line:?}");
}

#[test]
fn repeats_of_an_upload_are_counted_too() {
    let (server, mut client) = with_file(&[]);
    let wanted = wrq("new", &[("tsize", "600")]);
    let begun = client.ask(&wanted);
    for _ in 0..2 {
        client.send(&wanted);
        assert_eq!(client.receive_any(), begun);
    }
    client.put_from(begun, &[1; 600]).unwrap();
    let line = second(server);
    assert!(line.is(&[("kind", "write"), ("outcome", "ok"), ("repeats", "2")]), "{line:?}");
}
