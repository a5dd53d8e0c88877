//! Becoming another user once the port is bound.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use testkit::{Host, Memtftp, Raw, Signal, unprivileged, wait_for};

use crate::BINARY;

/// What the system says of each thread of the server.
fn status(server: &Memtftp) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("status")).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
        pairs.map(|(key, value)| (key.to_owned(), words(value))).collect()
    };
    tasks.map(|task| read(task.unwrap().path())).collect()
}

/// Every thread is nobody, has no right of root, and cannot get any.
fn assert_powerless(server: &Memtftp, groups: &str) {
    let threads = status(server);
    assert!(threads.len() >= 3, "{threads:?}");
    for thread in threads {
        let is = |key: &str| thread[key].as_str();
        assert_eq!((is("Uid"), is("Gid")), ("65534 65534 65534 65534", "65534 65534 65534 65534"));
        assert_eq!((is("Groups"), is("NoNewPrivs")), (groups, "1"), "{}", is("Name"));
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(is(set), "0000000000000000", "{set} of {}", is("Name"));
        }
    }
}

/// Root with groups that must not stay, on a host of its own.
fn root(host: &Host, more: &[&str]) -> Command {
    let mut command = host.command("setpriv");
    command.arg("--groups=1,2,3").args(more).arg("--").arg(BINARY);
    command
}

#[test]
fn port_69_is_served_by_nobody() {
    let host = Host::new();
    let flags = ["--listen", "127.0.0.1:69", "--user", "nobody", "--workers", "2"];
    let server = Memtftp::start(root(&host, &[]), &flags);
    assert_powerless(&server, "65534");
    let mut client = host.enter(|| Raw::new(server.address()));
    client.put("file", b"x", &[]).unwrap();
    assert_eq!(client.get("file", &[]).unwrap(), b"x");

    // The log is nobody's, and can be opened again.
    let path = server.path("requests.log");
    assert_eq!(fs::metadata(&path).unwrap().uid(), 65_534);
    server.wait_for_log(2);
    fs::rename(&path, server.path("old.log")).unwrap();
    server.signal(Signal::HUP);
    wait_for("the new file", || path.exists().then_some(()));
    client.get("none", &[]).unwrap_err();
    assert_eq!(server.wait_for_log(1)[0].get("file"), "none");
    assert_eq!(fs::metadata(&path).unwrap().uid(), 65_534);
}

/// Whose parent has set that capabilities stay with who leaves root.
#[test]
fn capabilities_do_not_outlive_root_where_the_system_would_keep_them() {
    let host = Host::new();
    let keep = "--securebits=+no_setuid_fixup";
    let flags = ["--listen", "127.0.0.1:69", "--user", "nobody:nogroup"];
    let server = Memtftp::start(root(&host, &[keep]), &flags);
    assert_powerless(&server, "65534");
}

fn refused(command: Command, flags: &[&str]) -> String {
    let failed = Memtftp::fails_as(command, flags);
    assert_eq!((failed.code, failed.lines.len()), (Some(1), 1), "{failed:?}");
    failed.lines.into_iter().next().unwrap()
}

#[test]
fn whom_it_cannot_become() {
    for (user, says) in [
        ("root", "keeps the rights of root"),
        ("no-such-user", "useradd --system no-such-user"),
        ("nobody:no-such-group", "groupadd --system no-such-group"),
        (":nogroup", "give a user"),
    ] {
        let line = refused(Command::new(BINARY), &["--user", user]);
        assert!(line.contains(says) && line.contains("--user"), "{line}");
    }
}

#[test]
fn who_is_not_root_cannot_become_another() {
    let home = tempfile::tempdir().unwrap();
    let line = refused(unprivileged(BINARY, home.path()), &["--user", "daemon"]);
    assert!(line.contains("only root"), "{line}");
    // Itself it may be.
    let server = Memtftp::start(unprivileged(BINARY, home.path()), &["--user", "nobody"]);
    assert_powerless(&server, "");
}

#[test]
fn a_log_that_the_user_may_not_write_ends_the_start() {
    let closed = tempfile::tempdir().unwrap();
    let log = closed.path().join("requests.log");
    let flags = ["--user", "nobody", "--request-log", log.to_str().unwrap()];
    let line = refused(Command::new(BINARY), &flags);
    assert!(
        line.contains("Permission denied") && line.contains("the user of the server"),
        "{line}"
    );
    assert!(!log.exists());
}

#[test]
fn a_port_without_the_right_to_it_says_which_right_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let host = Host::new();
    let line = host.enter(|| refused(unprivileged(BINARY, home.path()), &["--port", "69"]));
    for words in ["cap_net_bind_service", "--user NAME", "--port"] {
        assert!(line.contains(words), "{line}");
    }
}
