//! What an operator may set, checked as a whole before anything starts.

use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use memtftp_udp::{Gso, Io};
use thiserror::Error;

use crate::access::Access;
use crate::privileges::RunAs;
use crate::request_log::RequestLogConfig;

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

/// What clients may do with uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploads {
    /// Nothing: write requests are refused.
    Off,
    /// Add files that do not exist.
    Create,
    /// Add files and replace them.
    Replace,
}

/// Settings of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
pub struct Config {
    /// Where requests arrive. `[::]` is dual-stack, and IPv4 alone where there is no IPv6.
    pub listen: Vec<SocketAddr>,
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
    /// Transfers at once.
    pub max_sessions: usize,
    /// Transfers at once of one client address, on each worker.
    pub max_client_sessions: usize,
    /// Silence after which a transfer is given up.
    pub give_up: Duration,
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
            single_port: false,
            transfer_ports: None,
            workers: None,
            pin_workers: false,
            io: Io::best(),
            gso: Gso::Auto,
            access: Access::private(),
            uploads: Uploads::Replace,
            memory: default_memory(),
            max_file: None,
            max_client_memory: None,
            max_files: DEFAULT_MAX_FILES,
            max_blksize: None,
            max_windowsize: DEFAULT_MAX_WINDOWSIZE,
            max_sessions: DEFAULT_MAX_SESSIONS,
            max_client_sessions: DEFAULT_MAX_CLIENT_SESSIONS,
            give_up: Duration::from_secs(60),
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

impl Config {
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
        let least = [
            ("--memory", self.memory, 2),
            ("--max-file", self.max_file.unwrap_or(1), 1),
            ("--max-client-memory", self.max_client_memory.unwrap_or(1), 1),
            ("--max-blksize", self.max_blksize.unwrap_or(512).into(), 8),
            ("--max-windowsize", self.max_windowsize.into(), 1),
            ("--max-sessions", self.max_sessions as u64, 1),
            ("--max-client-sessions", self.max_client_sessions as u64, 1),
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
