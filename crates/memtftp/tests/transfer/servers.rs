//! The TFTP servers that people have, on the port of TFTP of a host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use testkit::{Host, wait_for};

/// A program that serves files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `in.tftpd` by H. Peter Anvin.
    TftpdHpa,
    /// `atftpd`.
    Atftpd,
    /// `dnsmasq`, which only lets read.
    Dnsmasq,
}

/// One of them, killed when dropped, and its directory.
pub(crate) struct Server {
    child: Child,
    directory: TempDir,
}

impl Server {
    /// Starts it on port 69 of `host` and waits until it is there.
    pub(crate) fn start(kind: Kind, host: &Host) -> Server {
        let directory = tempfile::tempdir().unwrap();
        // Whoever the server runs as may write.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (mut command, package) = kind.command(host, directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for(&format!("{kind:?} (apt-get install {package})"), || {
            assert_eq!(child.try_wait().unwrap(), None, "{kind:?}: apt-get install {package}");
            host.enter(is_listening).then_some(())
        });
        Server { child, directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kind {
    fn command(self, host: &Host, directory: &Path) -> (Command, &'static str) {
        let (program, package) = match self {
            Kind::TftpdHpa => ("/usr/sbin/in.tftpd".into(), "tftpd-hpa"),
            Kind::Atftpd => (atftpd(), "atftpd"),
            Kind::Dnsmasq => ("/usr/sbin/dnsmasq".into(), "dnsmasq-base"),
        };
        assert!(program.exists(), "{program:?} is missing: scripts/test gets it ({package})");
        let mut command = host.command(program);
        match self {
            Kind::TftpdHpa => {
                command.args(["--foreground", "--secure", "--create", "--permissive"]);
                // An address would be looked up, and a host without any but loopback finds none.
                command.args(["--user", "root", "--ipv4"]).arg(directory)
            }
            Kind::Atftpd => {
                command.args(["--daemon", "--no-fork", "--user", "root.root", "--logfile"]);
                command.args(["/dev/null", "--port", "69"]).arg(directory)
            }
            Kind::Dnsmasq => {
                command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"]);
                command.args(["--user=root", "--pid-file=", "--enable-tftp", "--tftp-no-fail"]);
                command.arg("--log-facility=/dev/null");
                command.arg(format!("--tftp-root={}", directory.display()))
            }
        };
        (command, package)
    }
}

/// Debian does not install atftpd beside tftpd-hpa, so `scripts/test` unpacks it here.
fn atftpd() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    workspace.join("target/atftpd/usr/sbin/atftpd")
}

/// Whether somebody on this host has the port.
fn is_listening() -> bool {
    let sockets = ["udp", "udp6"].map(|family| {
        fs::read_to_string(format!("/proc/thread-self/net/{family}")).unwrap_or_default()
    });
    // The local address ends in the port, 69 in hexadecimal.
    let local = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let mut locals = sockets.iter().flat_map(|list| list.lines()).filter_map(local);
    locals.any(|local| local.ends_with(":0045"))
}
