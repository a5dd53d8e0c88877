//! The flags of `memtftp serve`, and what they mean together.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use ipnet::IpNet;
use memtftp_server::{
    Access, Config, DEFAULT_MAX_CLIENT_SESSIONS, DEFAULT_MAX_FILES, DEFAULT_MAX_SESSIONS,
    DEFAULT_MAX_WINDOWSIZE, DEFAULT_PORT, Gso, Io, LogFormat, LogTarget, RequestLogConfig, RunAs,
    Uploads,
};
use thiserror::Error;

use crate::cli::values::{duration, size};

/// Flags of `memtftp serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeFlags {
    /// Answer on this address, with a port or without; repeatable [default: every address]
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    listen: Vec<Listen>,

    /// Answer on this port [default: 6969]; boot firmware wants 69
    #[arg(long, help_heading = "Network")]
    port: Option<u16>,

    /// Run transfers on these ports, for firewalls [default: any]
    #[arg(long, value_name = "FIRST-LAST", help_heading = "Network", value_parser = port_range)]
    transfer_ports: Option<RangeInclusive<u16>>,

    /// Run transfers on the listening port, for NAT and containers
    #[arg(long, help_heading = "Network")]
    single_port: bool,

    /// Serve clients of this network, or `any`; repeatable [default: loopback and private networks]
    #[arg(long, value_name = "CIDR", help_heading = "Policy")]
    allow: Vec<Allow>,

    /// What clients may upload
    #[arg(long, value_enum, default_value_t = UploadsFlag::Replace, help_heading = "Policy")]
    uploads: UploadsFlag,

    /// Load all files of this directory into memory at start, hidden ones too; repeatable
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    preload: Vec<PathBuf>,

    /// Memory for files, like 500M or 2GiB [default: a quarter of the machine's or container's]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Limits")]
    memory: Option<u64>,

    /// Largest file that a client may upload [default: what --memory has room for]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Limits")]
    max_file: Option<u64>,

    /// Memory that the uploads of one client may hold [default: half of --memory]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Limits")]
    max_client_memory: Option<u64>,

    /// Files that may be held
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_FILES, help_heading = "Limits")]
    max_files: usize,

    /// Transfers at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_SESSIONS, help_heading = "Limits")]
    max_sessions: usize,

    /// Transfers at once of one client address, on each worker
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_CLIENT_SESSIONS, help_heading = "Limits")]
    max_client_sessions: usize,

    /// Largest block agreed, in bytes [default: what fits the interface's MTU]
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u16).range(8..=65_464), help_heading = "Limits")]
    max_blksize: Option<u16>,

    /// Largest window agreed, in blocks
    #[arg(long, value_name = "BLOCKS", default_value_t = DEFAULT_MAX_WINDOWSIZE, value_parser = value_parser!(u16).range(1..=32_767), help_heading = "Limits")]
    max_windowsize: u16,

    /// Give a transfer up after this much silence
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, help_heading = "Limits")]
    give_up: Duration,

    /// Where each request leaves a line; `-` is standard output
    #[arg(
        long,
        value_name = "PATH",
        default_value = "memtftp-requests.log",
        help_heading = "Request log"
    )]
    request_log: PathBuf,

    /// How a line of the request log looks
    #[arg(long, value_enum, default_value_t = FormatFlag::Text, help_heading = "Request log")]
    request_log_format: FormatFlag,

    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Process")]
    workers: Option<NonZeroUsize>,

    /// Keep each worker on a core of its own
    #[arg(long, help_heading = "Process")]
    pin: bool,

    /// How datagrams are moved [default: batched on Linux, portable elsewhere]
    #[arg(long, value_enum, help_heading = "Process")]
    io: Option<IoFlag>,

    /// Whether a window leaves as one and is cut apart by the kernel or the network card (Linux)
    #[arg(long, value_enum, default_value_t = GsoFlag::Auto, help_heading = "Process")]
    gso: GsoFlag,

    /// Become this user once the ports are bound and the files loaded, if started as root
    #[arg(long, value_name = "NAME[:GROUP]", help_heading = "Process")]
    user: Option<RunAs>,

    /// Time that transfers get to finish after SIGTERM or Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Process")]
    drain: Duration,
}

/// Flags that contradict each other.
#[derive(Debug, Error)]
pub(crate) enum FlagError {
    #[error("--port and the port of --listen {0} contradict each other: remove one of them")]
    PortTwice(SocketAddr),
    #[error("--allow any and --allow CIDR contradict each other: remove one of them")]
    AnyAndMore,
}

/// What `memtftp serve` does, once the flags are understood.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) preload: Vec<PathBuf>,
    pub(crate) drain: Duration,
}

impl ServeFlags {
    /// What the flags mean together.
    pub(crate) fn plan(self) -> Result<Plan, FlagError> {
        let defaults = Config::default();
        let config = Config {
            listen: self.listen_addresses()?,
            single_port: self.single_port,
            transfer_ports: self.transfer_ports,
            workers: self.workers,
            pin_workers: self.pin,
            io: self.io.map_or(defaults.io, IoFlag::meaning),
            gso: self.gso.meaning(),
            access: access(&self.allow)?,
            uploads: self.uploads.meaning(),
            memory: self.memory.unwrap_or(defaults.memory),
            max_file: self.max_file,
            max_client_memory: self.max_client_memory,
            max_files: self.max_files,
            max_blksize: self.max_blksize,
            max_windowsize: self.max_windowsize,
            max_sessions: self.max_sessions,
            max_client_sessions: self.max_client_sessions,
            give_up: self.give_up,
            request_log: Some(RequestLogConfig {
                target: if self.request_log.as_os_str() == "-" {
                    LogTarget::Stdout
                } else {
                    LogTarget::File(self.request_log)
                },
                format: self.request_log_format.meaning(),
            }),
            user: self.user,
        };
        Ok(Plan { config, preload: self.preload, drain: self.drain })
    }

    fn listen_addresses(&self) -> Result<Vec<SocketAddr>, FlagError> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        if self.listen.is_empty() {
            return Ok(vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)]);
        }
        let one = |listen: &Listen| match *listen {
            Listen::Address(ip) => Ok(SocketAddr::new(ip, port)),
            Listen::WithPort(address) if self.port.is_some_and(|port| port != address.port()) => {
                Err(FlagError::PortTwice(address))
            }
            Listen::WithPort(address) => Ok(address),
        };
        self.listen.iter().map(one).collect()
    }
}

fn access(allow: &[Allow]) -> Result<Access, FlagError> {
    if allow.is_empty() {
        return Ok(Access::private());
    }
    let networks: Vec<IpNet> = allow.iter().filter_map(Allow::network).collect();
    match (networks.is_empty(), networks.len() == allow.len()) {
        (true, _) => Ok(Access::any()),
        (false, true) => Ok(Access::networks(networks)),
        (false, false) => Err(FlagError::AnyAndMore),
    }
}

/// A value of `--listen`.
#[derive(Clone, Copy, Debug)]
enum Listen {
    Address(IpAddr),
    WithPort(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match (bare.parse(), text.parse()) {
            (Ok(address), _) => Ok(Listen::Address(address)),
            (_, Ok(address)) => Ok(Listen::WithPort(address)),
            _ => Err("give an address like 192.0.2.1, 192.0.2.1:69, 2001:db8::1 or [::]:69".into()),
        }
    }
}

/// A value of `--allow`.
#[derive(Clone, Copy, Debug)]
enum Allow {
    Any,
    Network(IpNet),
}

impl Allow {
    fn network(&self) -> Option<IpNet> {
        match self {
            Allow::Any => None,
            Allow::Network(network) => Some(*network),
        }
    }
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Allow, String> {
        if text == "any" {
            return Ok(Allow::Any);
        }
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Allow::Network).map_err(|_| {
            "give a network like 192.0.2.0/24 or 2001:db8::/32, an address, or any".into()
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UploadsFlag {
    /// None
    Off,
    /// New files only
    Create,
    /// New files, and new versions of existing ones
    Replace,
}

impl UploadsFlag {
    fn meaning(self) -> Uploads {
        match self {
            UploadsFlag::Off => Uploads::Off,
            UploadsFlag::Create => Uploads::Create,
            UploadsFlag::Replace => Uploads::Replace,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatFlag {
    /// key=value pairs
    Text,
    /// One JSON object a line
    Json,
}

impl FormatFlag {
    fn meaning(self) -> LogFormat {
        match self {
            FormatFlag::Text => LogFormat::Text,
            FormatFlag::Json => LogFormat::Json,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IoFlag {
    /// Many datagrams a system call (Linux)
    Batched,
    /// One datagram a system call
    Portable,
}

impl IoFlag {
    fn meaning(self) -> Io {
        match self {
            IoFlag::Batched => Io::Batched,
            IoFlag::Portable => Io::Portable,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GsoFlag {
    /// Where it works
    Auto,
    /// Also where it seems not to
    On,
    /// Nowhere
    Off,
}

impl GsoFlag {
    fn meaning(self) -> Gso {
        match self {
            GsoFlag::Auto => Gso::Auto,
            GsoFlag::On => Gso::On,
            GsoFlag::Off => Gso::Off,
        }
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let help = || "give a range like 5000-5099".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(help)?;
    let parse = |port: &str| port.trim().parse::<u16>().map_err(|_| help());
    let (first, last) = (parse(first)?, parse(last)?);
    if first > last { Err(help()) } else { Ok(first..=last) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(flags: &[&str]) -> Result<Plan, FlagError> {
        let args = ["memtftp", "serve"].iter().chain(flags);
        match Cli::try_parse_from(args).unwrap().command {
            Command::Serve(flags) => flags.plan(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_and_ports() {
        let listen = |flags: &[&str]| {
            let addresses = plan(flags).unwrap().config.listen;
            addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(listen(&[]), "[::]:6969");
        assert_eq!(listen(&["--port", "69"]), "[::]:69");
        assert_eq!(listen(&["--listen", "127.0.0.1"]), "127.0.0.1:6969");
        assert_eq!(listen(&["--listen", "::1", "--port", "0"]), "[::1]:0");
        assert_eq!(
            listen(&["--listen", "[::]:69", "--listen", "127.0.0.1:70"]),
            "[::]:69 127.0.0.1:70"
        );
        let twice = plan(&["--listen", "127.0.0.1:70", "--port", "69"]);
        assert!(matches!(twice, Err(FlagError::PortTwice(_))));
    }

    #[test]
    fn allowed_networks() {
        let access = |flags: &[&str]| plan(flags).map(|plan| plan.config.access);
        assert_eq!(access(&[]).unwrap(), Access::private());
        assert_eq!(access(&["--allow", "any"]).unwrap(), Access::any());
        let one = access(&["--allow", "192.0.2.7"]).unwrap();
        assert_eq!(one, Access::networks(vec!["192.0.2.7/32".parse().unwrap()]));
        let both = access(&["--allow", "any", "--allow", "10.0.0.0/8"]);
        assert!(matches!(both, Err(FlagError::AnyAndMore)));
    }

    #[test]
    fn sizes_and_times() {
        let flags =
            ["--memory", "4GiB", "--max-file", "1MB", "--drain", "500ms", "--give-up", "2m"];
        let plan = plan(&flags).unwrap();
        assert_eq!((plan.config.memory, plan.config.max_file), (4 << 30, Some(1_000_000)));
        assert_eq!(plan.config.client_memory(), 2 << 30);
        assert_eq!((plan.drain.as_millis(), plan.config.give_up.as_secs()), (500, 120));
        assert_eq!(port_range("5000-5009"), Ok(5000..=5009));
        assert!(port_range("9-5").is_err());
    }
}
