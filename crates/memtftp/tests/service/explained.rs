//! `memtftp log`, and the hint on each line of the log: each situation is made to happen.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use testkit::{Memtftp, Packet, Raw, ack, bytes, data, error, rrq, wrq};

use crate::{BINARY, explain};

/// A server with these flags and one worker, with one file of 1000 bytes.
fn serve(flags: &[&str]) -> (Memtftp, Raw) {
    let server = Memtftp::serve(BINARY, &[&["--workers", "1"], flags].concat());
    let mut client = Raw::new(server.address());
    client.put("file", &[7; 1000], &[]).unwrap();
    (server, client)
}

/// The last of so many lines has this hint, and `memtftp log` explains it with these words.
fn assert_explained(server: &Memtftp, lines: usize, hint: &str, words: &[&str]) {
    let log = server.wait_for_log(lines);
    assert_eq!(log[lines - 1].find("hint"), Some(hint), "{log:#?}");
    let summary = explain(&[], &server.path("requests.log"));
    let flat = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [&[&format!("{hint}: ")[..], "127.0.0.1"], words].concat() {
        assert!(flat.contains(word), "no {word} in {summary}");
    }
}

#[test]
fn a_client_that_never_hears_us() {
    let (server, mut client) = serve(&["--give-up", "1s"]);
    let wanted = rrq("file", &[]);
    client.ask(&wanted);
    client.send(&wanted);
    assert_explained(&server, 2, "reply-lost", &["--single-port"]);
    // Another client of the same address has been served, so this one is not hopeless.
    let summary = explain(&[], &server.path("requests.log"));
    assert!(!summary.contains("no transfer of it"), "{summary}");
}

#[test]
fn a_client_that_no_transfer_ever_worked_for() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), b"x").unwrap();
    let preload = directory.path().to_str().unwrap();
    let server = Memtftp::serve(BINARY, &["--preload", preload, "--give-up", "1s"]);
    let wanted = rrq("file", &[]);
    let mut client = Raw::new(server.address());
    client.ask(&wanted);
    client.send(&wanted);
    assert_explained(&server, 1, "reply-lost", &["127.0.0.1, no transfer of it ever"]);
}

#[test]
fn a_client_that_is_gone_at_once() {
    let (server, mut client) = serve(&["--give-up", "1s"]);
    client.ask(&rrq("file", &[]));
    assert_explained(&server, 2, "no-answer", &["--single-port"]);
}

/// Its options came back; the first block, which is larger, did not arrive.
#[test]
fn a_client_that_gets_small_packets_only() {
    let (server, mut client) = serve(&["--give-up", "1s"]);
    client.ask(&rrq("file", &[("blksize", "900")]));
    client.say(&ack(0));
    assert_explained(&server, 2, "no-block", &["--max-blksize 1024"]);
}

#[test]
fn an_upload_that_is_shorter_than_announced() {
    let (server, mut client) = serve(&[]);
    client.ask(&wrq("cut", &[("tsize", "30000")]));
    assert_eq!(client.say(&data(1, &[7; 300])), Packet::Ack(1));
    assert_explained(&server, 2, "short-upload", &["cut", "announced"]);
}

#[test]
fn a_client_that_goes_in_the_middle() {
    let (server, mut client) = serve(&["--give-up", "1s"]);
    client.ask(&rrq("file", &[]));
    client.say(&ack(1));
    assert_explained(&server, 2, "went-silent", &["console"]);
}

/// It takes block 65,536, which has the number 0 on the wire, for something else.
#[test]
fn firmware_that_cannot_count_past_65535() {
    const WINDOW: u16 = 64;
    let (server, mut client) = serve(&[]);
    let options = [("blksize", "8"), ("windowsize", "64")];
    client.put("large", &bytes(70_000 * 8), &[("blksize", "1024")]).unwrap();
    assert_eq!(client.ask(&rrq("large", &options)), Packet::oack(&options));
    client.reply(&ack(0));
    let mut last = 0;
    while last < u16::MAX {
        match client.receive() {
            Packet::Data(block, _) if block == last + 1 => last = block,
            // Sent again, because this took too long.
            Packet::Data(..) => continue,
            other => panic!("{other:?} after {last}"),
        }
        if last.is_multiple_of(WINDOW) {
            client.reply(&ack(last));
        }
    }
    client.reply(&ack(last));
    client.reply(&error(4, "unexpected block"));
    assert_explained(&server, 3, "block-limit", &["larger blksize", "large"]);
}

#[test]
fn a_client_that_does_not_want_the_options() {
    let (server, mut client) = serve(&[]);
    client.ask(&rrq("file", &[("blksize", "1024")]));
    client.reply(&error(8, "no"));
    assert_explained(&server, 2, "options-refused", &["--max-blksize 512"]);
}

#[test]
fn names_that_are_not_there() {
    let (server, mut client) = serve(&[]);
    for name in ["pxelinux.0", "other", "pxelinux.0"] {
        client.get(name, &[]).unwrap_err();
    }
    let words = ["files pxelinux.0 (2 times); other", "--preload"];
    assert_explained(&server, 4, "missing-file", &words);
}

#[test]
fn uploads_that_a_flag_would_allow() {
    let limits = ["--memory", "1MiB", "--max-client-memory", "9500B", "--max-file", "9kB"];
    for (flags, name, size, hint, words) in [
        (&["--uploads", "create"][..], "file", 1, "no-replace", "--uploads replace"),
        (&["--max-files", "1"], "new", 1, "too-many-files", "--max-files"),
        (&limits, "new", 9_001, "file-too-large", "--max-file"),
        (&limits, "new", 9_000, "client-memory-full", "--max-client-memory"),
        (
            &["--memory", "10kB", "--max-client-memory", "1MB"],
            "new",
            9_500,
            "memory-full",
            "--memory",
        ),
    ] {
        let (server, mut client) = serve(flags);
        let refused = client.ask(&wrq(name, &[("tsize", &size.to_string())]));
        assert!(matches!(refused, Packet::Error(..)), "{hint}: {refused:?}");
        assert_explained(&server, 2, hint, &[words]);
    }
    let server = Memtftp::serve(BINARY, &["--uploads", "off"]);
    Raw::new(server.address()).ask(&wrq("new", &[])).refusal();
    assert_explained(&server, 1, "uploads-off", &["--uploads create"]);
}

#[test]
fn clients_that_are_not_served() {
    let server = Memtftp::serve(BINARY, &["--allow", "192.0.2.0/24"]);
    Raw::new(server.address()).ask(&rrq("file", &[])).refusal();
    assert_explained(&server, 1, "not-served", &["--allow CIDR"]);
}

#[test]
fn more_transfers_than_may_be() {
    let (server, mut client) = serve(&["--max-client-sessions", "1"]);
    client.ask(&rrq("file", &[]));
    client.say(&ack(1));
    Raw::new(server.address()).ask(&rrq("file", &[])).refusal();
    assert_explained(&server, 2, "busy", &["--max-client-sessions"]);
}

#[test]
fn what_is_no_request() {
    let (server, client) = serve(&[]);
    client.send(b"GET / HTTP/1.1\r\n");
    assert_explained(&server, 2, "not-a-request", &["no TFTP request"]);
}

/// The first window comes twice before it is acknowledged.
#[test]
fn a_client_that_loses_much() {
    let (server, mut client) = serve(&[]);
    client.put("more", &bytes(40 * 512), &[("blksize", "1024")]).unwrap();
    let options = [("windowsize", "32")];
    assert_eq!(client.ask(&rrq("more", &options)), Packet::oack(&options));
    client.reply(&ack(0));
    for _ in 0..64 {
        assert!(matches!(client.receive_any(), Packet::Data(1..=32, _)));
    }
    client.reply(&ack(32));
    while !matches!(client.receive(), Packet::Data(41, _)) {}
    client.reply(&ack(41));
    assert_explained(&server, 3, "loss", &["cable", "packets sent again for 41 blocks"]);
}

#[test]
fn a_large_file_in_small_blocks() {
    let (server, mut client) = serve(&[]);
    client.put("large", &bytes(1 << 20), &[("blksize", "1024")]).unwrap();
    client.get("large", &[("tsize", "0")]).unwrap();
    assert_explained(&server, 3, "small-blocks", &["blksize 1468"]);
}

/// What a client says when it ends a transfer is shown, without a hint.
#[test]
fn what_clients_say() {
    let (server, mut client) = serve(&[]);
    client.ask(&wrq("new", &[]));
    client.say(&data(1, &[1; 512]));
    client.reply(&error(3, "disk full"));
    assert_eq!(server.wait_for_log(2)[1].find("hint"), None);
    let summary = explain(&[], &server.path("requests.log"));
    assert!(summary.contains("error 3: disk full"), "{summary}");
}

#[test]
fn when_all_is_well_it_is_short() {
    for format in ["text", "json"] {
        let (server, mut client) = serve(&["--request-log-format", format]);
        client.get("file", &[]).unwrap();
        server.wait_for_log(2);
        let summary = explain(&[], &server.path("requests.log"));
        let lines: Vec<&str> = summary.lines().collect();
        assert_eq!(lines.len(), 3, "{summary}");
        assert!(lines[0].starts_with("2 requests of 1 client, "), "{summary}");
        assert_eq!(lines[2], "Nothing went wrong.");
    }
}

#[test]
fn json_has_what_the_words_have() {
    let (server, mut client) = serve(&[]);
    client.get("none", &[]).unwrap_err();
    server.wait_for_log(2);
    let summary = explain(&["--json"], &server.path("requests.log"));
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["requests"], &summary["outcomes"]["ok"]), (&2.into(), &1.into()));
    let finding = &summary["findings"][0];
    assert_eq!(finding["hint"], "missing-file");
    assert_eq!(finding["files"]["most"][0]["name"], "none");
    assert_eq!(summary["failed_clients"]["most"][0]["requests"], 1);
    assert_eq!(summary["bytes_written"], 1000);
}

/// What `memtftp log` says of this input, in no more than so many KiB of address space.
fn explain_input(arguments: &[&str], kib: u64, input: impl Fn(&mut dyn Write) + Sync) -> String {
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {kib}; exec \"$0\" log \"$@\"");
    command.args(["-c", &script, BINARY]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = &input;
    let mut stdin = std::io::BufWriter::new(child.stdin.take().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || input(&mut stdin));
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    })
}

const SOME: u64 = 200 << 10;

#[test]
fn old_lines_are_passed_over() {
    let line = |time: &str| {
        format!(
            "time={time} kind=read outcome=refused client=192.0.2.1:2000 file=a mode=octet bytes=0 \
             blocks=0 duration_ms=0.1 retransmissions=0 repeats=0 code=1 reason=\"file not found\"\n"
        )
    };
    let lines = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2099-01-01T00:00:00Z"].map(line);
    for (since, count) in [("2026-01-01T12:00:00Z", 2), ("1h", 1), ("200000d", 3)] {
        let summary = explain_input(&["--since", since, "-"], SOME, |log| {
            lines.iter().for_each(|line| log.write_all(line.as_bytes()).unwrap());
        });
        assert!(summary.starts_with(&format!("{count} request")), "{since}: {summary}");
    }
}

#[test]
fn several_logs_and_standard_input_count_together() {
    let (server, _) = serve(&[]);
    server.wait_for_log(1);
    let path = server.path("requests.log");
    let path = path.to_str().unwrap();
    let text = fs::read(path).unwrap();
    let summary = explain_input(&[path, "-", path], SOME, |log| log.write_all(&text).unwrap());
    assert!(summary.starts_with("3 requests of 1 client"), "{summary}");
}

#[test]
fn a_log_that_is_not_there_is_one_line_that_names_it() {
    let done = Command::new(BINARY).args(["log", "/none/requests.log"]).output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("cannot read /none/requests.log"), "{stderr}");
}

/// Every line has another client and another long name, and some are nothing at all.
#[test]
fn memory_is_bounded_whatever_the_log_holds() {
    const LINES: u32 = 100_000;
    let summary = explain_input(&["-"], 64 << 10, |log| {
        for number in 0..LINES {
            let ip = std::net::Ipv4Addr::from(number);
            let line = format!(
                "time=2026-01-01T00:00:00Z kind=read outcome=aborted client={ip}:2000 \
                 file={number:0>500} mode=octet bytes=0 blocks=0 duration_ms=0.1 \
                 retransmissions=0 repeats=0 code=0 text={number:0>100}\n{number:0>300}\n"
            );
            log.write_all(line.as_bytes()).unwrap();
        }
        log.write_all(&vec![b'x'; 100 << 20]).unwrap();
    });
    assert!(summary.starts_with("100000 requests of "), "{summary}");
    assert!(summary.contains("100001 lines passed over, no line of a request log"), "{summary}");
}
