//! With our own server: every way to name what goes where.

use std::fs;
use std::net::SocketAddr;

use testkit::{Memtftp, Network, bytes};

use crate::{BINARY, KIB, MIB, memtftp, memtftp_with_input, names};

fn serve(flags: &[&str]) -> Memtftp {
    Memtftp::serve(BINARY, flags)
}

fn url(server: &Memtftp, name: &str) -> String {
    format!("tftp://{}/{name}", server.address())
}

#[test]
fn all_sizes_and_shapes() {
    let (server, local) = (serve(&[]), tempfile::tempdir().unwrap());
    for flags in [&[][..], &["--no-options"], &["--blksize", "1428", "--windowsize", "64"]] {
        for size in [0, 1, 511, 512, 513, 1428, MIB, 34 * MIB] {
            let file = bytes(size);
            fs::write(local.path().join("sent"), &file).unwrap();
            let url = url(&server, &size.to_string());
            memtftp(local.path(), &[&["put"], flags, &["sent", &url]].concat()).quietly();
            memtftp(local.path(), &[&["get"], flags, &[&url, "received"]].concat()).quietly();
            assert!(fs::read(local.path().join("received")).unwrap() == file, "{size} {flags:?}");
        }
    }
    let log = server.stop();
    assert!(log.iter().all(|line| line.is(&[("outcome", "ok")])), "{log:#?}");
    let granted = log.iter().filter_map(|line| line.find("granted"));
    let windows = granted.filter(|granted| granted.contains("windowsize:64"));
    assert_eq!(windows.count(), 16);
}

#[test]
fn standard_input_and_output() {
    let (server, local) = (serve(&[]), tempfile::tempdir().unwrap());
    let (file, url) = (bytes(100 * KIB), url(&server, "piped"));
    memtftp_with_input(local.path(), &["put", "-", &url], &file).quietly();
    let done = memtftp(local.path(), &["get", &url, "-"]);
    done.quietly();
    assert!(done.stdout == file);
    let log = server.stop();
    let size = format!("tsize:{}", 100 * KIB);
    assert!(log[0].get("asked").contains(&size), "{log:#?}");
}

#[test]
fn several_files() {
    let (server, local) = (serve(&[]), tempfile::tempdir().unwrap());
    for name in ["a", "b c"] {
        fs::write(local.path().join(name), name).unwrap();
    }
    let directory = url(&server, "boot/");
    memtftp(local.path(), &["put", "a", "b c", &directory]).quietly();
    let urls = [url(&server, "boot/a"), url(&server, "boot/b%20c")];
    fs::create_dir(local.path().join("to")).unwrap();
    memtftp(local.path(), &["get", &urls[0], &urls[1], "to"]).quietly();
    assert_eq!(names(&local.path().join("to")), ["a", "b c"]);
    assert_eq!(fs::read(local.path().join("to/b c")).unwrap(), b"b c");
    let done = memtftp(local.path(), &["get", &urls[0], &urls[1], "-"]);
    assert_eq!(done.stdout, b"ab c");
}

#[test]
fn the_others_come_when_one_fails() {
    let (server, local) = (serve(&[]), tempfile::tempdir().unwrap());
    memtftp_with_input(local.path(), &["put", "-", &url(&server, "a")], b"x").quietly();
    let none = url(&server, "none");
    let done = memtftp(local.path(), &["get", &none, &url(&server, "a")]);
    let line = done.line(3);
    assert!(line.contains(&none) && line.contains("check the name"), "{line}");
    assert_eq!(names(local.path()), ["a"]);
}

#[test]
fn netascii_by_url_and_by_flag() {
    let (server, local) = (serve(&[]), tempfile::tempdir().unwrap());
    let (plain, text) = (url(&server, "text"), url(&server, "text;mode=netascii"));
    memtftp_with_input(local.path(), &["put", "-", &text], b"one\ntwo\r\n").quietly();
    assert_eq!(memtftp(local.path(), &["get", &plain, "-"]).stdout, b"one\ntwo\r\n");
    assert_eq!(memtftp(local.path(), &["get", &text, "-"]).stdout, b"one\ntwo\r\n");
    memtftp(local.path(), &["get", "--mode", "netascii", &plain, "-"]).quietly();
    memtftp(local.path(), &["get", "--mode", "octet", &text, "-"]).quietly();
    let log = server.stop();
    let modes: Vec<&str> = log.iter().map(|line| line.get("mode")).collect();
    assert_eq!(modes, ["netascii", "octet", "netascii", "netascii", "octet"]);
}

#[test]
fn ipv6_in_brackets() {
    let (server, local) = (serve(&["--listen", "[::1]:0"]), tempfile::tempdir().unwrap());
    let file = bytes(100 * KIB);
    memtftp_with_input(local.path(), &["put", "-", &url(&server, "a")], &file).quietly();
    let done = memtftp(local.path(), &["get", &url(&server, "a"), "-"]);
    assert!(done.stdout == file);
}

#[test]
fn a_single_port() {
    let (server, local) = (serve(&["--single-port"]), tempfile::tempdir().unwrap());
    let file = bytes(100 * KIB);
    memtftp_with_input(local.path(), &["put", "-", &url(&server, "a")], &file).quietly();
    let done = memtftp(local.path(), &["get", &url(&server, "a"), "-"]);
    assert!(done.stdout == file);
}

/// Blocks fit the wire, and lost ones come again.
#[test]
fn through_loss() {
    let network = Network::lossy(1);
    let file = bytes(4 * MIB);
    for ip in Network::addresses() {
        let listen = SocketAddr::new(ip, 0).to_string();
        let flags = ["--listen", &listen, "--drain", "100ms"];
        let server = Memtftp::start(network.server.command(BINARY), &flags);
        let (sent, received) = (server.path("sent"), server.path("received"));
        fs::write(&sent, &file).unwrap();
        let url = url(&server, "file");
        let run = |arguments: &[&str]| {
            let done: crate::Done =
                network.client.command(BINARY).args(arguments).output().unwrap().into();
            done.quietly();
        };
        run(&["put", sent.to_str().unwrap(), &url]);
        run(&["get", &url, received.to_str().unwrap()]);
        assert!(fs::read(received).unwrap() == file);
        let log = server.log();
        let fits = if ip.is_ipv4() { "blksize:1468" } else { "blksize:1448" };
        assert!(log.iter().all(|line| line.get("granted").contains(fits)), "{log:#?}");
    }
}
