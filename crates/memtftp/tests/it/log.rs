//! The request log as a file: its formats, what peers cannot do to it, rotation, where it goes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use testkit::{Line, Raw, Signal, ack, error, read_log, request, rrq, wait_for, wrq};

use crate::{refuses_to_start, serve, serve_in_order};

/// One request of each sort.
fn all_sorts(format: &str) -> Vec<Line> {
    let server = serve_in_order(&["--request-log-format", format, "--max-file", "1000B"]);
    let mut client = Raw::new(server.address());
    client.put("a \"file\"", &[7; 1000], &[("tsize", "1000")]).unwrap();
    client.get("a \"file\"", &[("blksize", "600"), ("x y", "=")]).unwrap();
    client.get("none\\", &[]).unwrap_err();
    client.ask(&wrq("large", &[("tsize", "1001")]));
    client.ask(&rrq("a \"file\"", &[("tsize", "0")]));
    // To the listening port, so that it comes before the next request.
    client.send(&error(0, ""));
    client.ask(&rrq("a \"file\"", &[]));
    client.say(&ack(1));
    client.reply(&error(3, "\"\\\n\u{e9}\u{2028}"));
    client.ask(&[0, 1, b'f']);
    // Unanswered, so only its line tells that it has arrived.
    client.send(b"\x00\x09 \"=\\\n\xff");
    server.wait_for_log(8);
    server.stop()
}

#[test]
fn both_formats_say_the_same() {
    let (text, json) = (all_sorts("text"), all_sorts("json"));
    assert_eq!((text.len(), json.len()), (8, 8));
    for (text, json) in text.iter().zip(&json) {
        let mut keys = text.keys().to_vec();
        keys.sort();
        assert_eq!(keys, json.keys());
        let same = |key: &&String| {
            !["time", "client", "local", "duration_ms", "retransmissions"].contains(&key.as_str())
        };
        let values = |line: &Line| -> BTreeMap<String, String> {
            keys.iter().filter(same).map(|key| (key.clone(), line.get(key).to_owned())).collect()
        };
        assert_eq!(values(text), values(json));
    }
}

#[test]
fn a_json_log_has_one_object_a_line() {
    let server = serve(&["--request-log-format", "json"]);
    Raw::new(server.address()).get("none\n\"}", &[]).unwrap_err();
    server.wait_for_log(1);
    let text = fs::read_to_string(server.path("requests.log")).unwrap();
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["file"], "none\\x0a\"}");
    assert_eq!(object["code"], 2);
    assert_eq!(text.lines().count(), 1);
}

/// Names, modes, options and texts that would like to be a line of their own.
const FORGERIES: [&[u8]; 15] = [
    b"a\ntime=1 kind=read outcome=ok",
    b"a\r\nb",
    b"q\"uote",
    b"\" kind=write",
    b"a\\\" kind=write",
    b"back\\slash\\",
    b"\\x0a",
    b"\xff\xfe",
    b"\x1b[2J\x07\x7f",
    b"sp ace",
    b"a=b",
    b"{\"kind\":\"read\"},",
    b"",
    "grüße\u{85}\u{9b}".as_bytes(),
    "\u{202e}\u{2028}\u{feff}".as_bytes(),
];

fn nobody_forges(format: &str) {
    let server = serve_in_order(&["--request-log-format", format]);
    let mut client = Raw::new(server.address());
    client.put("file", b"x", &[]).unwrap();
    for forgery in FORGERIES {
        client.ask(&request(1, forgery, "octet", &[])).refusal();
        client.ask(&request(2, "file", forgery, &[])).refusal();
        let option = [&rrq("none", &[])[..], b"o", forgery, b"\0", forgery, b"\0"].concat();
        client.ask(&option).refusal();
        client.ask(&rrq("file", &[]));
        client.send(&error(9, forgery));
    }
    let log = server.stop();
    assert_eq!(log.len(), 1 + 4 * FORGERIES.len());
    for (lines, forgery) in log[1..].chunks(4).zip(FORGERIES) {
        assert_eq!(lines[0].bytes("file"), forgery);
        assert_eq!(lines[1].bytes("mode"), forgery.to_ascii_lowercase());
        assert_eq!(lines[2].bytes("asked"), [b"o", forgery, b":", forgery].concat());
        assert_eq!(lines[3].bytes("text"), forgery);
        assert!(lines[3].is(&[("kind", "read"), ("outcome", "aborted"), ("code", "9")]));
    }
}

#[test]
fn nobody_forges_a_text_line() {
    nobody_forges("text");
}

#[test]
fn nobody_forges_a_json_line() {
    nobody_forges("json");
}

#[test]
fn what_peers_send_is_bounded() {
    let server = serve_in_order(&[]);
    let mut client = Raw::new(server.address());
    client.ask(&request(1, [0xff; 500], "octet", &[])).refusal();
    client.ask(&rrq("none", &[("o", &"\u{1}".repeat(400))])).refusal();
    client.ask(&wrq("file", &[]));
    client.send(&error(0, [b'\n'; 60_000]));
    client.send(&[9; 60_000]);
    let log = server.stop();
    assert_eq!(log.len(), 4);
    for (line, key) in log.iter().zip(["file", "asked", "text", "start"]) {
        assert!(line.get(key).len() < 2_100, "{line:?}");
    }
    assert_eq!(log[3].number("size"), 60_000);
}

#[test]
fn sighup_opens_the_file_again() {
    let server = serve_in_order(&[]);
    let mut client = Raw::new(server.address());
    client.get("before", &[]).unwrap_err();
    server.wait_for_log(1);
    let (path, rotated) = (server.path("requests.log"), server.path("requests.log.1"));
    fs::rename(&path, &rotated).unwrap();
    client.get("between", &[]).unwrap_err();
    let both = || Some(read_log(&rotated)).filter(|lines| lines.len() == 2);
    wait_for("the line in the renamed file", both);
    server.signal(Signal::HUP);
    wait_for("the new file", || path.exists().then_some(()));
    client.get("after", &[]).unwrap_err();
    let log = server.wait_for_log(1);
    assert_eq!(log[0].get("file"), "after");
    let old: Vec<Line> = both().unwrap();
    assert!(old[0].is(&[("file", "before")]) && old[1].is(&[("file", "between")]));
    assert_eq!(server.stop(), log);
}

#[test]
fn a_log_that_cannot_be_opened_again_is_kept_and_told() {
    let server = serve_in_order(&[]);
    let mut client = Raw::new(server.address());
    client.get("before", &[]).unwrap_err();
    server.wait_for_log(1);
    let rotated = server.path("requests.log.1");
    fs::rename(server.path("requests.log"), &rotated).unwrap();
    fs::create_dir(server.path("requests.log")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for_stderr("cannot reopen the request log");
    client.get("after", &[]).unwrap_err();
    let both = || Some(read_log(&rotated)).filter(|lines| lines.len() == 2);
    assert_eq!(wait_for("the line in the old file", both)[1].get("file"), "after");
}

#[test]
fn a_log_is_continued_behind_a_line_that_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.log");
    fs::write(&path, "time=1 kind=read\ntime=2 ki").unwrap();
    let server = serve(&["--request-log", path.to_str().unwrap()]);
    Raw::new(server.address()).get("none", &[]).unwrap_err();
    server.stop();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["time=1 kind=read", "time=2 ki"]);
    assert_eq!((lines.len(), Line::parse(lines[2]).get("file")), (3, "none"));
}

#[test]
fn standard_output_has_the_log_and_nothing_else() {
    let mut server = serve(&["--request-log", "-", "--workers", "1"]);
    assert_eq!(server.banner("request log"), "standard output");
    let mut client = Raw::new(server.address());
    client.put("file", b"x", &[]).unwrap();
    client.get("none", &[]).unwrap_err();
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let log: Vec<Line> = server.stdout().iter().map(|line| Line::parse(line)).collect();
    assert_eq!(log.len(), 2, "{log:#?}");
    assert!(log[0].is(&[("kind", "write"), ("file", "file"), ("outcome", "ok")]));
    assert!(log[1].is(&[("kind", "read"), ("file", "none"), ("outcome", "refused")]));
    assert!(server.stderr().iter().all(|line| !line.contains("kind=")), "{:?}", server.stderr());
    assert_eq!(server.log(), [], "no file is made");
}

#[test]
fn a_log_that_cannot_be_opened_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("none").join("requests.log"), directory.path().to_owned()] {
        let path = path.to_str().unwrap();
        let line = refuses_to_start(&["--request-log", path]);
        assert!(line.contains(path) && line.contains("--request-log"), "{line}");
    }
}

/// Writing fails on this device as on a full disk.
#[test]
fn a_log_that_cannot_be_written_is_told_and_the_server_goes_on() {
    let server = serve(&["--request-log", "/dev/full"]);
    let mut client = Raw::new(server.address());
    client.put("file", b"x", &[]).unwrap();
    let told = server.wait_for_stderr("cannot write the request log");
    assert!(told.contains("No space left"), "{told}");
    assert_eq!(client.get("file", &[]).unwrap(), b"x");
}

#[test]
fn without_a_place_of_its_own_it_is_in_the_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let program = testkit::unprivileged(crate::BINARY, directory.path());
    let command = |arguments: &[&str]| {
        let mut command = Command::new(program.get_program());
        command.args(program.get_args()).args(arguments).current_dir(directory.path());
        command.env("XDG_STATE_HOME", &state).stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut server = command(&["serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let log = state.join("memtftp/requests.log");
    wait_for("the log", || log.exists().then_some(()));
    let made = fs::metadata(log.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(made & 0o777, 0o750);
    testkit::signal(&server, Signal::TERM);
    assert!(server.wait().unwrap().success());
    let said = command(&["log"]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "no request\n");
}
