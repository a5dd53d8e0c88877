//! Bytes equal, both ways, with the servers that people have: from nothing to more blocks than
//! block numbers, with options and without, also through loss.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use testkit::{Host, Network, bytes};

use crate::servers::{Kind, Server};
use crate::{BINARY, Done, KIB};

/// Around a block, and some hundred blocks.
const SIZES: [usize; 6] = [0, 1, 511, 512, 513, 200 * KIB + 1];

/// More blocks of 8 bytes than block numbers.
const PAST_THE_WRAP: usize = 65_600 * 8 + 1;

const SHAPES: [&[&str]; 4] = [
    &[],
    &["--no-options"],
    &["--blksize", "1428", "--windowsize", "1"],
    &["--blksize", "700", "--windowsize", "16"],
];

/// Runs the program on a host.
fn memtftp_on(host: &Host, arguments: &[&str]) -> Done {
    let mut command = host.command(BINARY);
    command.args(arguments).stdin(Stdio::null()).output().unwrap().into()
}

/// A server, and the program on a host that reaches it.
struct Pair<'a> {
    kind: Kind,
    server: &'a Server,
    client: &'a Host,
    address: &'a str,
}

impl Pair<'_> {
    fn get(&self, size: usize, flags: &[&str]) {
        let file = bytes(size);
        let name = format!("read-{size}");
        let there = self.server.directory().join(&name);
        fs::write(&there, &file).unwrap();
        let local = tempfile::tempdir().unwrap();
        let path = local.path().join("file");
        let url = format!("tftp://{}/{}", self.address, self.name(&there, &name));
        let done =
            memtftp_on(self.client, &[&["get"], flags, &[&url, path.to_str().unwrap()]].concat());
        done.quietly();
        assert!(fs::read(&path).unwrap() == file, "{:?} {size} {flags:?}", self.kind);
    }

    fn put(&self, size: usize, flags: &[&str]) {
        let file = bytes(size);
        let name = format!("written-{size}-{}", flags.join(""));
        let local = tempfile::tempdir().unwrap();
        let path = local.path().join("file");
        fs::write(&path, &file).unwrap();
        let there = self.server.directory().join(&name);
        let url = format!("tftp://{}/{}", self.address, self.name(&there, &name));
        let done =
            memtftp_on(self.client, &[&["put"], flags, &[path.to_str().unwrap(), &url]].concat());
        done.quietly();
        // The server may still be closing it.
        testkit::wait_for("the file at the server", || {
            fs::read(&there).ok().filter(|stored| *stored == file)
        });
    }

    /// As this server wants it; atftpd takes names in its directory and whole paths.
    fn name(&self, there: &Path, name: &str) -> String {
        match self.kind {
            Kind::Atftpd => there.display().to_string(),
            _ => name.to_owned(),
        }
    }
}

fn all_sizes(kind: Kind) {
    let host = Host::new();
    let server = Server::start(kind, &host);
    let pair = Pair { kind, server: &server, client: &host, address: "127.0.0.1" };
    for flags in SHAPES {
        for size in SIZES {
            pair.get(size, flags);
            if kind != Kind::Dnsmasq {
                pair.put(size, flags);
            }
        }
    }
    for windowsize in ["1", "16"] {
        let flags = ["--blksize", "8", "--windowsize", windowsize];
        pair.get(PAST_THE_WRAP, &flags);
        if kind != Kind::Dnsmasq {
            pair.put(PAST_THE_WRAP, &flags);
        }
    }
}

#[test]
fn tftpd_hpa_in_all_sizes() {
    all_sizes(Kind::TftpdHpa);
}

#[test]
fn atftpd_in_all_sizes() {
    all_sizes(Kind::Atftpd);
}

#[test]
fn dnsmasq_in_all_sizes() {
    all_sizes(Kind::Dnsmasq);
}

fn through_loss(kind: Kind) {
    let network = Network::new();
    let server = Server::start(kind, &network.server);
    network.lose(1);
    let address = Network::addresses()[0].to_string();
    let pair = Pair { kind, server: &server, client: &network.client, address: &address };
    for flags in [&[][..], &["--no-options"]] {
        pair.get(200 * KIB + 1, flags);
        if kind != Kind::Dnsmasq {
            pair.put(200 * KIB + 1, flags);
        }
    }
}

#[test]
fn tftpd_hpa_through_loss() {
    through_loss(Kind::TftpdHpa);
}

#[test]
fn atftpd_through_loss() {
    through_loss(Kind::Atftpd);
}

#[test]
fn dnsmasq_through_loss() {
    through_loss(Kind::Dnsmasq);
}

#[test]
fn what_a_server_has_not() {
    for kind in [Kind::TftpdHpa, Kind::Atftpd, Kind::Dnsmasq] {
        let host = Host::new();
        let _server = Server::start(kind, &host);
        let done = memtftp_on(&host, &["get", "tftp://127.0.0.1/none", "/dev/null"]);
        assert!(done.line(3).contains("no such file"), "{kind:?}: {done:?}");
    }
}
