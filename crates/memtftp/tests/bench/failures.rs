//! Loads that fail, and how they are counted.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use testkit::{Memtftp, Raw, bytes};

use crate::{BINARY, bench, run, server_with};

#[test]
fn a_missing_file_is_not_found() {
    let server = Memtftp::serve(BINARY, &[]);
    let ran = bench(server.address(), "nothing", &["--clients", "7"]);
    assert_eq!(ran.failure(), ("not_found", 7));
    assert!(ran.stderr.contains("7 of 7 transfers failed"), "{}", ran.stderr);
}

#[test]
fn a_refusal_is_counted_by_its_code() {
    let server = Memtftp::serve(BINARY, &["--uploads", "off"]);
    let ran = bench(server.address(), "up", &["--clients", "5", "--put"]);
    assert_eq!(ran.failure(), ("refused_2", 5));
}

#[test]
fn a_part_of_a_mix_may_fail() {
    let server = server_with(&[("a", b"here")]);
    let ran = bench(server.address(), "", &["--transfers", "40", "--mix", "a,missing"]);
    let (kind, count) = ran.failure();
    assert_eq!((kind, count + ran.count("completed")), ("not_found", 40));
    assert!(count > 0 && ran.count("completed") > 0);
}

#[test]
fn silence_ends_the_patience() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let flags = ["--clients", "4", "--put", "--give-up", "300ms"];
    let ran = bench(silent.local_addr().unwrap(), "a", &flags);
    assert_eq!(ran.failure(), ("gave_up_before_answer", 4));
    assert!(ran.number("seconds") < 5.0);
}

#[test]
fn without_an_answer_there_is_nothing_to_compare_with() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ran = bench(silent.local_addr().unwrap(), "a", &["--give-up", "300ms"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("cannot read a, to compare with: no answer"), "{}", ran.stderr);
}

#[test]
fn other_bytes_than_the_given_file_are_bad_content() {
    let right = bytes(9_000);
    let mut wrong = right.clone();
    wrong[8_000] ^= 1;
    let server = server_with(&[("boot/a", &right)]);
    let cases: [(&[u8], bool); 4] = [
        (&right, true),
        (&wrong, false),
        (&right[..8_999], false),
        (&[&right[..], b"x"].concat(), false),
    ];
    for (known, same) in cases {
        fs::write(server.path("known"), known).unwrap();
        let flag = format!("a={}", server.path("known").display());
        let ran = bench(server.address(), "boot/a", &["--clients", "3", "--file", &flag]);
        if same {
            ran.all_completed(3);
        } else {
            assert_eq!(ran.failure(), ("bad_content", 3));
        }
    }
}

/// Transfers that began before the change get the old file, those after it the new one.
#[test]
fn a_file_that_changes_meanwhile_is_bad_content() {
    let server = server_with(&[("a", &bytes(1_000))]);
    let mut command = Command::new(BINARY);
    let url = format!("tftp://{}/a", server.address());
    command.args(["bench", "--json", &url, "--clients", "2", "--duration", "3s"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // Two reads to compare with, then the load: by the fourth it has begun.
    testkit::wait_for("the load to begin", || (server.log().len() > 4).then_some(()));
    Raw::new(server.address()).put("a", &bytes(1_001), &[]).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let bad = report["failures"]["bad_content"].as_u64().unwrap();
    assert!(bad > 0 && report["failed"].as_u64() == Some(bad), "{report:#}");
    assert!(report["completed"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn what_cannot_be_done_is_said_at_once() {
    let says = |url: &str, flags: &[&str], expected: &str| {
        let ran = run(Command::new(BINARY), url, flags);
        assert_eq!(ran.code, Some(1), "{url}");
        assert!(ran.stderr.contains(expected), "{url} {flags:?}: {}", ran.stderr);
    };
    says("tftp://192.0.2.1/a", &[], "192.0.2.1:69 is a public address");
    says("tftp://192.0.2.1/a", &[], "Give --i-own-this-server if it is yours");
    says("http://127.0.0.1/a", &[], "is a URL of another scheme");
    says("tftp://127.0.0.1/", &[], "the URL names no file");
    says("tftp://127.0.0.1/a;mode=netascii", &[], "leave ;mode=netascii out");
    says("tftp://10.0.0.1/a", &["--put", "--spread"], "10.0.0.1:69 is none: leave it out");
    says("tftp://127.0.0.1/a", &["--file", "b=c"], "--file b: the load has no file of that name");
    says(
        "tftp://127.0.0.1/a",
        &["--put", "--server-pid", "4000000"],
        "there is no process 4000000",
    );
}
