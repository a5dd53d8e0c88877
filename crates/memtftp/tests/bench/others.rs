//! Servers of other people, each on port 69 of a host of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use testkit::{Daemon, Host, bytes, wait_for};

use crate::{BINARY, Ran, run};

const FILE: usize = 60_000;

/// A directory that any user may read and write, with a file in it.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("boot");
    fs::write(&file, bytes(FILE)).unwrap();
    for path in [root.path(), &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    root
}

/// Starts a server and waits until port 69 of the host is bound.
fn start(host: &Host, program: &str, package: &str, args: &[&str]) -> Daemon {
    let server = Daemon::start(host, program, package, args);
    let bound = || {
        // The port is hexadecimal.
        let sockets = fs::read_to_string("/proc/thread-self/net/udp").unwrap();
        sockets.contains(":0045 ").then_some(())
    };
    wait_for("port 69 to be bound", || host.enter(bound));
    server
}

fn bench(host: &Host, flags: &[&str]) -> Ran {
    run(host.command(BINARY), "tftp://127.0.0.1/boot", flags)
}

#[test]
fn dnsmasq() {
    let (host, root) = (Host::new(), root());
    let directory = format!("--tftp-root={}", root.path().display());
    let quiet = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file"];
    let tftp = ["--enable-tftp", "--user=root", "--tftp-max=1000", &directory];
    let _server = start(&host, "dnsmasq", "dnsmasq-base", &[&quiet[..], &tftp].concat());
    let ran = bench(&host, &["--clients", "100", "--blksize", "1428", "--spread"]);
    ran.all_completed(100);
    assert_eq!((ran.count("bytes"), ran.count("agreed/0/blksize")), (100 * FILE as u64, 1_428));
    // It knows no windows.
    let ran = bench(&host, &["--clients", "20", "--windowsize", "8"]);
    ran.all_completed(20);
    assert_eq!(ran.count("agreed/0/windowsize"), 1);
}

#[test]
fn tftpd_hpa() {
    let (host, root) = (Host::new(), root());
    let directory = root.path().to_str().unwrap();
    // With an address it would want a network besides the loopback device.
    let flags = ["--foreground", "--ipv4", "--create", "--secure", "--user", "root", directory];
    let _server = start(&host, "in.tftpd", "tftpd-hpa", &flags);
    bench(&host, &["--clients", "50", "--blksize", "1428"]).all_completed(50);
    let ran = bench(&host, &["--clients", "10", "--put", "--size", "30000"]);
    ran.all_completed(10);
    assert_eq!(ran.count("read_back/same"), 10);
}
