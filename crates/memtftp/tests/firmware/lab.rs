//! A network with a boot server and one machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use testkit::{Daemon, Host, Line, Memtftp};

/// The address of the server in the network of the test, which has no other way out.
const SERVER: &str = "10.9.0.1";

/// How long a machine may run. It takes half a minute on an idle computer.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Files to boot from, and the network that the machine will be in.
pub(crate) struct Lab {
    files: TempDir,
    scratch: TempDir,
    host: Host,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        make_tun_device();
        let host = Host::new();
        host.ip("tuntap add tap0 mode tap");
        host.ip(&format!("addr add {SERVER}/24 dev tap0"));
        host.ip("link set tap0 up");
        Lab { files: tempfile::tempdir().unwrap(), scratch: tempfile::tempdir().unwrap(), host }
    }

    /// Serves a file.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) {
        fs::write(self.files.path().join(name), content).unwrap();
    }

    /// The size of a file served.
    pub(crate) fn size(&self, name: &str) -> usize {
        fs::metadata(self.files.path().join(name)).unwrap().len() as usize
    }

    /// Lets a machine boot `file`, waits until it has turned itself off, and gives the request log.
    pub(crate) fn boot(&self, file: &str, machine: &[&str]) -> Vec<Line> {
        let server = self.serve();
        let dnsmasq = self.answer_dhcp(file);
        let mut qemu = self.start_machine(machine);
        let status = qemu.wait_exit(BOOT_LIMIT);
        assert!(status.success(), "{status}");
        drop((qemu, dnsmasq));
        server.stop()
    }

    /// ROMs know no other port than 69.
    fn serve(&self) -> Memtftp {
        let listen = format!("{SERVER}:69");
        let files = self.files.path().to_str().unwrap();
        let command = self.host.command(crate::BINARY);
        Memtftp::start(command, &["--listen", &listen, "--preload", files, "--uploads", "off"])
    }

    fn answer_dhcp(&self, file: &str) -> Daemon {
        let leases = self.scratch.path().join("leases");
        let words = format!(
            "--conf-file=/dev/null --no-daemon --user=root --port=0 \
             --interface=tap0 --bind-interfaces --dhcp-authoritative --no-ping \
             --dhcp-range=10.9.0.10,10.9.0.50 --dhcp-leasefile={} \
             --dhcp-match=set:ipxe,175 --dhcp-boot=tag:!ipxe,{file},,{SERVER} \
             --dhcp-boot=tag:ipxe,boot.ipxe,,{SERVER} --log-dhcp",
            leases.display()
        );
        let words: Vec<&str> = words.split_whitespace().collect();
        let dnsmasq = Daemon::start(&self.host, "dnsmasq", "dnsmasq-base", &words);
        dnsmasq.wait_for_stderr("DHCP, IP range");
        dnsmasq
    }

    /// A machine without disks, screen or keyboard, whose serial line is standard output.
    fn start_machine(&self, machine: &[&str]) -> Daemon {
        let words = "-accel tcg -m 256 -nodefaults -no-user-config -display none -no-reboot \
                     -serial stdio -netdev tap,id=net,ifname=tap0,script=no,downscript=no";
        let words: Vec<&str> = words.split_whitespace().chain(machine.iter().copied()).collect();
        let packages = "qemu-system-x86 ipxe-qemu ovmf";
        Daemon::start(&self.host, "qemu-system-x86_64", packages, &words)
    }
}

/// iPXE as a program for UEFI.
pub(crate) fn ipxe_for_uefi() -> Vec<u8> {
    let path = "/usr/lib/ipxe/snponly.efi";
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error} (apt-get install ipxe)"))
}

/// Containers often lack it.
fn make_tun_device() {
    if !Path::new("/dev/net/tun").exists() {
        fs::create_dir_all("/dev/net").unwrap();
        let made = Command::new("mknod").args(["/dev/net/tun", "c", "10", "200"]).status();
        // Another test may have been faster.
        let there = Path::new("/dev/net/tun").exists();
        assert!(there, "no /dev/net/tun, and mknod gives {made:?}: this takes root");
    }
}
