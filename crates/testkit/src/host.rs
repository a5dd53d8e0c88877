//! Hosts of a network that the test makes itself: network namespaces.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::clients;

/// A network namespace, removed when dropped. Making one takes root, and Debian's `iproute2`.
#[derive(Debug)]
pub struct Host {
    name: String,
}

impl Host {
    /// A host without any network but its loopback device.
    ///
    /// # Panics
    /// It cannot be made: not root, or `ip` is missing.
    #[expect(clippy::new_without_default, reason = "it makes something outside this program")]
    pub fn new() -> Host {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("memtftp-{}-{next}", std::process::id());
        let mut add = Command::new("ip");
        add.args(["netns", "add", &name]);
        must("iproute2", add);
        let host = Host { name };
        host.ip("link set lo up");
        host
    }

    /// A command that runs `program` on this host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `ip` with these words on this host.
    ///
    /// # Panics
    /// It fails.
    pub fn ip(&self, words: &str) {
        let mut ip = Command::new("ip");
        ip.args(["-n", &self.name]).args(words.split(' '));
        must("iproute2", ip);
    }

    /// Adds rules of `nft` to this host, a line each.
    ///
    /// # Panics
    /// It fails.
    pub fn nft(&self, rules: &str) {
        let mut nft = self.command("nft");
        nft.arg(rules);
        must("nftables", nft);
    }

    /// Lays a wire to `other`: `device` here, `other_device` there, both up.
    ///
    /// # Panics
    /// It fails.
    pub fn join(&self, device: &str, other: &Host, other_device: &str) {
        let peer = &other.name;
        self.ip(&format!("link add {device} type veth peer name {other_device} netns {peer}"));
        self.ip(&format!("link set {device} up"));
        other.ip(&format!("link set {other_device} up"));
    }

    /// Runs `task` in a thread whose new sockets belong to this host.
    ///
    /// # Panics
    /// The task does.
    pub fn enter<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let inside = || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).unwrap();
            task()
        };
        let joined = thread::scope(|scope| scope.spawn(inside).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn must(package: &str, command: Command) {
    let shown = format!("{command:?}");
    let done = clients::finish(command, package);
    assert!(done.status.success(), "{shown}, which takes root: {done:?}");
}
