//! The servers that are compared, each started anew for every run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use procfs::WithCurrentSystemInfo;
use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::cases::File;

/// The processor that servers run on.
pub(crate) const SERVER_CPU: &str = "0";

/// The processor that the load comes from.
pub(crate) const LOAD_CPU: &str = "1";

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// With its files preloaded.
    Memtftp,
    /// With a directory behind its memory. Compared with the first alone.
    Directory,
    Reference,
    Dnsmasq,
    TftpdHpa,
    Atftpd,
    /// `tftpd` of crates.io.
    Rtftpd,
}

impl Kind {
    /// Those that are compared with each other.
    pub(crate) const ALL: [Kind; 6] =
        [Kind::Memtftp, Kind::Reference, Kind::Dnsmasq, Kind::TftpdHpa, Kind::Atftpd, Kind::Rtftpd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Memtftp => "memtftp",
            Kind::Directory => "memtftp --dir",
            Kind::Reference => "reference",
            Kind::Dnsmasq => "dnsmasq",
            Kind::TftpdHpa => "tftpd-hpa",
            Kind::Atftpd => "atftpd",
            Kind::Rtftpd => "tftpd (Rust)",
        }
    }

    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Kind::Memtftp | Kind::Directory | Kind::Reference)
    }
}

/// Where the programs and the files are.
pub(crate) struct Places {
    /// Our programs.
    pub(crate) programs: PathBuf,
    /// The peers that no package installs.
    pub(crate) peers: PathBuf,
    /// The directory that is served.
    pub(crate) root: PathBuf,
}

impl Places {
    pub(crate) fn memtftp(&self) -> PathBuf {
        self.programs.join("memtftp")
    }

    fn command(&self, kind: Kind, file: File) -> Command {
        let program = match kind {
            Kind::Memtftp | Kind::Directory => self.memtftp(),
            Kind::Reference => self.programs.join("examples/reference"),
            Kind::Dnsmasq => "dnsmasq".into(),
            Kind::TftpdHpa => "in.tftpd".into(),
            Kind::Atftpd => self.peers.join("atftpd/usr/sbin/atftpd"),
            Kind::Rtftpd => self.peers.join("tftpd/bin/tftpd"),
        };
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", SERVER_CPU]).arg(program);
        let root = self.root.as_os_str();
        match kind {
            Kind::Memtftp | Kind::Directory => command
                .args(["serve", "--listen", "127.0.0.1:69", "--workers", "1"])
                .arg(if kind == Kind::Directory { "--dir" } else { "--preload" })
                .arg(root)
                .args(["--request-log", "/dev/null", "--uploads", "replace"])
                .args(["--max-sessions", "200000", "--max-half-open", "200000"]),
            Kind::Reference => command.arg("127.0.0.1:69").arg(self.root.join(file.name)),
            Kind::Dnsmasq => command
                .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"])
                .args(["--pid-file=", "--enable-tftp", "--tftp-no-fail", "--tftp-max=20000"])
                .arg("--log-facility=/dev/null")
                .arg(format!("--tftp-root={}", self.root.display())),
            Kind::TftpdHpa => command
                .args(["--foreground", "--secure", "--create", "--permissive"])
                .args(["--user", "root", "--ipv4"])
                .arg(root),
            Kind::Atftpd => command
                .args(["--daemon", "--no-fork", "--user", "root.root", "--maxthread", "20000"])
                .args(["--logfile", "/dev/null", "--port", "69"])
                .arg(root),
            Kind::Rtftpd => command
                .args(["--ip-address", "127.0.0.1", "--port", "69", "--overwrite", "--quiet"])
                .arg("--directory")
                .arg(root),
        };
        command
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts it and waits until it has the port.
    ///
    /// The reference loop has only `file`.
    pub(crate) fn start(places: &Places, kind: Kind, file: File) -> Result<Server, Error> {
        let mut command = places.command(kind, file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|source| Error::Program { name: "taskset", source })?;
        let mut server = Server { child };
        let begun = Instant::now();
        while !port_is_bound() {
            let ended = server.child.try_wait().ok().flatten().is_some();
            if ended || begun.elapsed() > PATIENCE {
                return Err(Error::Server { name: kind.name(), said: server.said() });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that are its own, of its children, too.
    pub(crate) fn memory(&self) -> u64 {
        let mut total = 0;
        for process in all_processes().into_iter().flatten().flatten() {
            let Ok(stat) = process.stat() else { continue };
            if process.pid.cast_unsigned() == self.pid() || stat.ppid.cast_unsigned() == self.pid()
            {
                let proportional = process.smaps_rollup().ok();
                let sum = proportional.map(|rollup| {
                    rollup
                        .memory_map_rollup
                        .iter()
                        .filter_map(|map| map.extension.map.get("Pss"))
                        .sum()
                });
                total += sum.unwrap_or_else(|| stat.rss_bytes().get());
            }
        }
        total
    }

    /// CPU seconds used so far, of children that have ended, too.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let stat = Process::new(i32::try_from(self.pid()).ok()?).ok()?.stat().ok()?;
        let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        Some((stat.utime + stat.stime + ended) as f64 / procfs::ticks_per_second() as f64)
    }

    /// What it wrote on standard error, once it has ended.
    fn said(&mut self) -> String {
        let _ = self.child.kill();
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        said
    }
}

impl Drop for Server {
    /// Ends it, and what it has started, and waits until the port is free.
    fn drop(&mut self) {
        for process in all_processes().into_iter().flatten().flatten() {
            let is_child = process.stat().is_ok_and(|stat| stat.ppid.cast_unsigned() == self.pid());
            if let Some(pid) = Pid::from_raw(process.pid).filter(|_| is_child) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let begun = Instant::now();
        while port_is_bound() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether port 69 is bound in this network.
fn port_is_bound() -> bool {
    let sockets = ["udp", "udp6"].map(|family| {
        fs::read_to_string(Path::new("/proc/thread-self/net").join(family)).unwrap_or_default()
    });
    let local = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let mut locals = sockets.iter().flat_map(|list| list.lines()).filter_map(local);
    locals.any(|local| local.ends_with(":0045"))
}
