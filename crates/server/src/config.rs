//! What an operator may set, checked as a whole before anything starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use memtftp_udp::{Gso, Io};
use thiserror::Error;

use crate::access::Access;
use crate::privileges::RunAs;
use crate::request_log::RequestLogConfig;
use crate::rules::Rules;

/// The port without `--port`.
pub const DEFAULT_PORT: u16 = 6969;

/// Files without `--max-files`.
pub const DEFAULT_MAX_FILES: usize = 100_000;

/// The largest window without `--max-windowsize`, in blocks.
pub const DEFAULT_MAX_WINDOWSIZE: u16 = 64;

/// Transfers at once without `--max-sessions`.
pub const DEFAULT_MAX_SESSIONS: usize = 100_000;

/// Transfers at once of one client, on each worker, without `--max-client-sessions`.
pub const DEFAULT_MAX_CLIENT_SESSIONS: usize = 4_096;

/// Uploads in flight without `--max-uploads`.
pub const DEFAULT_MAX_UPLOADS: usize = 16_384;

/// Sessions that have not been answered, without `--max-half-open`.
pub const DEFAULT_MAX_HALF_OPEN: usize = 32_768;

/// Requests of one client a second, on each worker, without `--max-client-requests`.
pub const DEFAULT_MAX_CLIENT_REQUESTS: u32 = 5_000;

/// Log lines a second about datagrams that got no service, without `--max-unrecognized`.
pub const DEFAULT_MAX_UNRECOGNIZED: u32 = 100;

/// The settings of a running server, replaced as a whole.
pub(crate) type SharedConfig = Arc<ArcSwap<Config>>;

/// What clients may do with uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploads {
    /// Nothing: write requests are refused.
    Off,
    /// Add files that do not exist.
    Create,
    /// Add files and replace those that clients have uploaded; what was preloaded stays.
    KeepPreloaded,
    /// Add files and replace them.
    Replace,
}

/// A directory behind the memory. Linux only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Where it is.
    pub path: PathBuf,
    /// When an upload counts as stored.
    pub durability: Durability,
    /// Uploads make the directories that their names need.
    pub create_dirs: bool,
    /// Bits that new files and directories do not get, from 0 to 0o777.
    pub umask: u32,
}

/// When an upload counts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it would survive a power failure.
    Fsync,
    /// When it has its name: it survives the end of the server, not that of the machine.
    Rename,
}

/// Settings of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
pub struct Config {
    /// Where requests arrive. `[::]` is dual-stack, and IPv4 alone where there is no IPv6.
    pub listen: Vec<SocketAddr>,
    /// Listen on addresses, too, that no interface has yet, and answer there once one has. Without it,
    /// and on other systems than Linux, the server does not start.
    pub absent_addresses: bool,
    /// Answer from the listening port instead of another one for each transfer. For NAT and
    /// containers.
    pub single_port: bool,
    /// The ports that transfers use; any free ones without it. For firewalls.
    pub transfer_ports: Option<RangeInclusive<u16>>,
    /// Worker threads; one for each core without it.
    pub workers: Option<NonZeroUsize>,
    /// Each worker stays on one core, in turn of those that the process may use.
    pub pin_workers: bool,
    /// How datagrams are moved.
    pub io: Io,
    /// Whether the blocks of a window leave as one where the system can cut them apart.
    pub gso: Gso,
    /// Who is served.
    pub access: Access,
    /// What clients may do with uploads.
    pub uploads: Uploads,
    /// The directory behind the memory: what is there is served, and uploads go there.
    pub directory: Option<DirectoryConfig>,
    /// Who may read and write which file, under which name.
    pub rules: Rules,
    /// Bytes for all files, uploads in flight and replaced files that are still being read.
    pub memory: u64,
    /// Bytes of one file that a client may upload; what the budget has room for without it.
    pub max_file: Option<u64>,
    /// Bytes that the uploads of one client address may hold, in flight and committed; half of the
    /// memory without it.
    pub max_client_memory: Option<u64>,
    /// Files; an upload of a new name over it is refused.
    pub max_files: usize,
    /// The largest block size agreed; what fits the interface's MTU without it.
    pub max_blksize: Option<u16>,
    /// The largest window agreed, in blocks.
    pub max_windowsize: u16,
    /// Transfers at once. For a request over it the oldest ends whose client has not answered the
    /// first packet yet; if all have, it is refused as busy. Shared out among the workers.
    pub max_sessions: usize,
    /// Transfers at once of one client address, on each worker; the same happens at it among those.
    pub max_client_sessions: usize,
    /// Uploads in flight; the same happens at it among uploads, for a write request. Shared out among
    /// the workers.
    pub max_uploads: usize,
    /// Sessions whose client has not answered the first packet yet. For a request over it the
    /// oldest of them ends, and its client is not told. One client address may have a quarter.
    /// Shared out among the workers.
    pub max_half_open: usize,
    /// Requests of one client address a second, on each worker; those over it are dropped.
    pub max_client_requests: u32,
    /// Lines a second in the request log about datagrams that got no service: unrecognized or
    /// dropped ones. Those over it are counted in one line a second. Shared out among the workers.
    pub max_unrecognized: u32,
    /// How long a transfer may take; then it ends with an ERROR, up to 4 s late.
    pub max_transfer_time: Duration,
    /// Silence after which a transfer is given up.
    pub give_up: Duration,
    /// Requests to an IPv4 broadcast address are answered, from the address of the interface that
    /// they came by. Only who listens on every address gets them.
    pub answer_broadcast: bool,
    /// The path of a Unix socket that tells how the server is doing; none without it.
    pub status_socket: Option<PathBuf>,
    /// Files of the program around the server, such as its configuration, which no client may have,
    /// whatever name or link in a directory leads to them. The request log and the status socket are
    /// such files without being named here.
    pub own_files: Vec<PathBuf>,
    /// Where each request leaves a line; nowhere without it.
    pub request_log: Option<RequestLogConfig>,
    /// Whom the whole process becomes once its ports are bound and its files loaded; nobody else
    /// without it. Linux.
    pub user: Option<RunAs>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), DEFAULT_PORT)],
            absent_addresses: false,
            single_port: false,
            transfer_ports: None,
            workers: None,
            pin_workers: false,
            io: Io::best(),
            gso: Gso::Auto,
            access: Access::private(),
            uploads: Uploads::Replace,
            directory: None,
            rules: Rules::default(),
            memory: default_memory(),
            max_file: None,
            max_client_memory: None,
            max_files: DEFAULT_MAX_FILES,
            max_blksize: None,
            max_windowsize: DEFAULT_MAX_WINDOWSIZE,
            max_sessions: DEFAULT_MAX_SESSIONS,
            max_client_sessions: DEFAULT_MAX_CLIENT_SESSIONS,
            max_uploads: DEFAULT_MAX_UPLOADS,
            max_half_open: DEFAULT_MAX_HALF_OPEN,
            max_client_requests: DEFAULT_MAX_CLIENT_REQUESTS,
            max_unrecognized: DEFAULT_MAX_UNRECOGNIZED,
            max_transfer_time: Duration::from_secs(4 * 3_600),
            give_up: Duration::from_secs(60),
            answer_broadcast: false,
            status_socket: None,
            own_files: Vec::new(),
            request_log: None,
            user: None,
        }
    }
}

/// Settings that make no sense together. The operator must act.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nothing to listen on.
    #[error("there is no address to listen on: give --listen ADDRESS")]
    NoAddress,
    /// One address stands for another, or is the same.
    #[error("--listen {by} covers {address}: remove one of them")]
    Covered {
        /// The wider address.
        by: SocketAddr,
        /// The other.
        address: SocketAddr,
    },
    /// Nothing can be answered from such an address.
    #[error(
        "--listen {0}: nothing can be sent from a multicast or broadcast address: give the address of \
         an interface; --answer-broadcast answers requests to broadcast addresses"
    )]
    ListenOnGroup(SocketAddr),
    /// The system gives broadcasts to who listens on every address.
    #[error(
        "--answer-broadcast hears nothing on a --listen address: leave --listen out or give 0.0.0.0"
    )]
    BroadcastUnheard,
    /// Workers that share a port would each answer, or take each other's packets.
    #[error("--answer-broadcast with --single-port takes one worker: add --workers 1")]
    SinglePortBroadcast,
    /// Single-port operation has no transfer ports.
    #[error("--single-port and --transfer-ports contradict each other: remove one of them")]
    SinglePortRange,
    /// Not one port for each worker and address.
    #[error(
        "--transfer-ports holds {have} ports but {need} are needed: widen the range to at least \
         {need} or add --workers {workers}"
    )]
    TooFewPorts {
        /// Ports in the range.
        have: usize,
        /// Ports that are needed.
        need: usize,
        /// Workers that the range would do for.
        workers: usize,
    },
    /// A status socket is a Unix socket.
    #[error("this system has no Unix sockets: leave out --status-socket")]
    NoUnixSockets,
    /// A limit that would refuse everything.
    #[error("{flag} must be at least {min}")]
    TooSmall {
        /// The flag.
        flag: &'static str,
        /// The least it may be.
        min: u64,
    },
    /// A limit beyond what the protocol can do.
    #[error("{flag} must be at most {max}")]
    TooLarge {
        /// The flag.
        flag: &'static str,
        /// The most it may be.
        max: u64,
    },
}

impl ConfigError {
    /// The flags that it is about.
    pub fn flags(&self) -> Vec<&'static str> {
        match self {
            ConfigError::NoAddress
            | ConfigError::Covered { .. }
            | ConfigError::ListenOnGroup(_) => {
                vec!["--listen"]
            }
            ConfigError::BroadcastUnheard => vec!["--answer-broadcast", "--listen"],
            ConfigError::SinglePortBroadcast => vec!["--single-port", "--answer-broadcast"],
            ConfigError::NoUnixSockets => vec!["--status-socket"],
            ConfigError::SinglePortRange => vec!["--single-port", "--transfer-ports"],
            ConfigError::TooFewPorts { .. } => vec!["--transfer-ports", "--workers"],
            ConfigError::TooSmall { flag, .. } | ConfigError::TooLarge { flag, .. } => vec![flag],
        }
    }
}

impl Config {
    /// These settings, but with those of `running` that a running server cannot change. Gives the
    /// flags of the settings that would have been others.
    #[must_use]
    pub(crate) fn keeping_fixed(self, running: &Config) -> (Config, Vec<&'static str>) {
        let differs = [
            ("--listen", self.listen != running.listen),
            ("--single-port", self.single_port != running.single_port),
            ("--transfer-ports", self.transfer_ports != running.transfer_ports),
            ("--workers", self.workers != running.workers),
            ("--pin", self.pin_workers != running.pin_workers),
            ("--io", self.io != running.io),
            ("--gso", self.gso != running.gso),
            ("--dir", self.directory != running.directory),
            ("--memory", self.memory != running.memory),
            ("--max-client-memory", self.client_memory() != running.client_memory()),
            ("--answer-broadcast", self.answer_broadcast != running.answer_broadcast),
            ("--max-unrecognized", self.max_unrecognized != running.max_unrecognized),
            ("--status-socket", self.status_socket != running.status_socket),
            ("--user", self.user != running.user),
            ("--request-log", self.request_log != running.request_log),
        ];
        let fixed = running.clone();
        let config = Config {
            listen: fixed.listen,
            absent_addresses: fixed.absent_addresses,
            single_port: fixed.single_port,
            transfer_ports: fixed.transfer_ports,
            workers: fixed.workers,
            pin_workers: fixed.pin_workers,
            io: fixed.io,
            gso: fixed.gso,
            directory: fixed.directory,
            memory: fixed.memory,
            max_client_memory: fixed.max_client_memory,
            answer_broadcast: fixed.answer_broadcast,
            max_unrecognized: fixed.max_unrecognized,
            status_socket: fixed.status_socket,
            user: fixed.user,
            request_log: fixed.request_log,
            own_files: fixed.own_files,
            ..self
        };
        let kept = differs.into_iter().filter(|(_, differs)| *differs).map(|(flag, _)| flag);
        (config, kept.collect())
    }

    /// What the uploads of one client may hold.
    pub fn client_memory(&self) -> u64 {
        self.max_client_memory.unwrap_or(self.memory / 2)
    }

    /// The number of worker threads.
    pub fn worker_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or_else(cores, NonZeroUsize::get)
    }

    /// Checks everything that can be checked without the system.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        if let Some(group) = self.listen.iter().find(|address| is_group(address.ip())) {
            return Err(ConfigError::ListenOnGroup(*group));
        }
        for (at, address) in self.listen.iter().enumerate() {
            let others = self.listen.iter().enumerate().filter(|(other, _)| *other != at);
            if let Some((_, other)) = others.into_iter().find(|(_, other)| covers(address, other)) {
                return Err(ConfigError::Covered { by: *address, address: *other });
            }
        }
        self.check_all_but_addresses()
    }

    /// The same for addresses that are bound already.
    pub(crate) fn check_all_but_addresses(&self) -> Result<(), ConfigError> {
        self.check_ports()?;
        if cfg!(not(unix)) && self.status_socket.is_some() {
            return Err(ConfigError::NoUnixSockets);
        }
        let least = [
            ("--memory", self.memory, 2),
            ("--max-file", self.max_file.unwrap_or(1), 1),
            ("--max-client-memory", self.max_client_memory.unwrap_or(1), 1),
            ("--max-blksize", self.max_blksize.unwrap_or(512).into(), 8),
            ("--max-windowsize", self.max_windowsize.into(), 1),
            ("--max-sessions", self.max_sessions as u64, 1),
            ("--max-client-sessions", self.max_client_sessions as u64, 1),
            ("--max-uploads", self.max_uploads as u64, 1),
            ("--max-half-open", self.max_half_open as u64, 1),
            ("--max-client-requests", self.max_client_requests.into(), 1),
            ("--max-transfer-time (in seconds)", self.max_transfer_time.as_secs(), 1),
            ("--give-up (in seconds)", self.give_up.as_secs(), 1),
        ];
        if let Some((flag, _, min)) = least.into_iter().find(|(_, value, min)| value < min) {
            return Err(ConfigError::TooSmall { flag, min });
        }
        let most = [
            ("--max-blksize", self.max_blksize.unwrap_or(512), 65_464),
            ("--max-windowsize", self.max_windowsize, memtftp_proto::MAX_WINDOWSIZE),
        ];
        match most.into_iter().find(|(_, value, max)| value > max) {
            Some((flag, _, max)) => Err(ConfigError::TooLarge { flag, max: max.into() }),
            None => Ok(()),
        }
    }

    fn check_ports(&self) -> Result<(), ConfigError> {
        if self.answer_broadcast && !self.listen.iter().any(|address| address.ip().is_unspecified())
        {
            return Err(ConfigError::BroadcastUnheard);
        }
        if self.answer_broadcast && self.single_port && self.worker_count() > 1 {
            return Err(ConfigError::SinglePortBroadcast);
        }
        let Some(range) = &self.transfer_ports else { return Ok(()) };
        if self.single_port {
            return Err(ConfigError::SinglePortRange);
        }
        if *range.start() == 0 {
            return Err(ConfigError::TooSmall { flag: "--transfer-ports", min: 1 });
        }
        let (have, need) = (range.len(), self.worker_count() * self.listen.len());
        if have < need {
            let workers = (have / self.listen.len()).max(1);
            return Err(ConfigError::TooFewPorts { have, need, workers });
        }
        Ok(())
    }
}

/// Whether this is the address of many hosts.
fn is_group(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether who listens on `wide` has `address`, too.
fn covers(wide: &SocketAddr, address: &SocketAddr) -> bool {
    let every = wide.ip().is_unspecified() && (wide.is_ipv6() || address.is_ipv4());
    wide.port() != 0 && wide.port() == address.port() && (every || wide.ip() == address.ip())
}

/// What a system is taken to have that does not tell, such as an empty root without `/proc`.
const UNTOLD_MEMORY: u64 = 1 << 30;

/// A quarter of what this machine or container has.
fn default_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    if system.total_memory() == 0 {
        return UNTOLD_MEMORY / 4;
    }
    let container = system.cgroup_limits().map(|limits| limits.total_memory);
    let total = system.total_memory();
    container.filter(|limit| *limit > 0).map_or(total, |limit| limit.min(total)) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_found_and_say_what_to_type() {
        let good = || Config { workers: NonZeroUsize::new(2), ..Config::default() };
        assert_eq!(good().check(), Ok(()));
        let bad = Config { transfer_ports: Some(5000..=5009), single_port: true, ..good() };
        assert_eq!(bad.check(), Err(ConfigError::SinglePortRange));
        let bad = Config { transfer_ports: Some(5000..=5000), ..good() };
        let error = bad.check().unwrap_err();
        assert_eq!(error, ConfigError::TooFewPorts { have: 1, need: 2, workers: 1 });
        assert!(error.to_string().contains("--workers 1"));
        let bad = Config { max_blksize: Some(7), ..good() };
        assert_eq!(bad.check(), Err(ConfigError::TooSmall { flag: "--max-blksize", min: 8 }));
        let bad = Config { max_windowsize: 40_000, ..good() };
        let error = ConfigError::TooLarge { flag: "--max-windowsize", max: 32_767 };
        assert_eq!(bad.check(), Err(error));
        for group in ["239.1.2.3:69", "[ff02::1]:69", "255.255.255.255:69", "[::ffff:224.0.0.1]:69"]
        {
            let bad = Config { listen: vec![group.parse().unwrap()], ..good() };
            assert!(bad.check().unwrap_err().to_string().contains("interface"), "{group}");
        }
        let bad = Config { answer_broadcast: true, single_port: true, ..good() };
        assert_eq!(bad.check(), Err(ConfigError::SinglePortBroadcast));
        let listen = vec!["192.0.2.1:69".parse().unwrap()];
        let unheard = Config { answer_broadcast: true, listen, ..good() };
        assert_eq!(unheard.check(), Err(ConfigError::BroadcastUnheard));
        let alone = Config { workers: NonZeroUsize::new(1), ..bad };
        assert_eq!(alone.check(), Ok(()));
        let twice = Config { listen: vec!["[::1]:69".parse().unwrap(); 2], ..good() };
        assert!(matches!(twice.check(), Err(ConfigError::Covered { .. })));
        let both = |one: &str, two: &str| Config {
            listen: vec![one.parse().unwrap(), two.parse().unwrap()],
            ..good()
        };
        assert!(both("[::]:69", "0.0.0.0:69").check().is_err());
        assert!(both("192.0.2.1:69", "0.0.0.0:69").check().is_err());
        assert_eq!(both("[::1]:69", "0.0.0.0:69").check(), Ok(()));
        assert_eq!(both("[::]:69", "0.0.0.0:70").check(), Ok(()));
    }

    #[test]
    fn the_default_budget_is_part_of_the_memory() {
        assert!(default_memory() > 1 << 20);
    }
}
