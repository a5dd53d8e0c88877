//! What an operator may set, on the command line and in the configuration file: one table for both.

mod file;
mod rule;
mod value;

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use memtftp_server::rules::{RuleError, Rules};
use memtftp_server::{
    Access, Config, ConfigError, DEFAULT_MAX_FILES, DEFAULT_PORT, DirectoryConfig, Durability,
    LogTarget, RequestLogConfig, Uploads,
};
use serde::Serialize;
use thiserror::Error;
use toml::Spanned;

use crate::cli::{blksize, boolean, count, of_service, port, windowsize};
use crate::state;

pub(crate) use self::file::FileError;
use self::file::Source;
use self::rule::RuleEntry;
use self::value::{
    Allow, DurabilityMode, Format, GsoMode, IoMode, Listen, PortRange, Size, Time, Umask,
    UploadsMode, User,
};

/// How long transfers may go on after SIGTERM without `--drain`.
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// What new files are without `--umask`: readable by all, written by their owner.
const DEFAULT_UMASK: u32 = 0o022;

/// Every setting. What is not given has its default.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// Answer on this address, with a port or without; repeatable [default: every address]
    #[arg(long, short, value_name = "ADDRESS", help_heading = "Network")]
    listen: Option<Vec<Listen>>,

    /// Answer on this port [default: 6969]; boot firmware wants 69
    #[arg(long, short, value_parser = port, help_heading = "Network")]
    port: Option<u16>,

    /// Run transfers on these ports, for firewalls [default: any]
    #[arg(long, value_name = "FIRST-LAST", help_heading = "Network")]
    transfer_ports: Option<PortRange>,

    /// Run transfers on the listening port, for NAT and containers
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = "Network")]
    single_port: Option<bool>,

    /// Answer requests to IPv4 broadcast addresses, too, as switches send that have no configuration
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = "Network")]
    answer_broadcast: Option<bool>,

    /// Serve clients of this network, or `any`; repeatable [default: loopback and private networks]
    #[arg(long, value_name = "CIDR", help_heading = "Policy")]
    allow: Option<Vec<Allow>>,

    /// What clients may upload [default: off with --dir, keep-preloaded with --preload, else replace]
    #[arg(long, value_enum, help_heading = "Policy")]
    uploads: Option<UploadsMode>,

    /// Load all files of this directory into memory at start, hidden ones too; repeatable
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    preload: Option<Vec<PathBuf>>,

    /// Serve the files of this directory, and store uploads there before they are served
    #[arg(long, short, value_name = "DIR", help_heading = "Files")]
    dir: Option<PathBuf>,

    /// When an upload to --dir counts as stored [default: fsync]
    #[arg(long, value_enum, help_heading = "Files")]
    durability: Option<DurabilityMode>,

    /// Make the directories below --dir that uploads need
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = "Files")]
    create_dirs: Option<bool>,

    /// Bits that new files below --dir do not get, in octal [default: 022]
    #[arg(long, value_name = "BITS", help_heading = "Files")]
    umask: Option<Umask>,

    /// Memory for files, like 500M or 2GiB [default: a quarter of the machine's or container's]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    memory: Option<Size>,

    /// Largest file that a client may upload [default: what --memory has room for]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_file: Option<Size>,

    /// Memory that the uploads of one client may hold [default: half of --memory]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_client_memory: Option<Size>,

    /// Files that may be held [default: 100000]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Limits")]
    max_files: Option<usize>,

    /// Transfers at once [default: 100000]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Limits")]
    max_sessions: Option<usize>,

    /// Transfers at once of one client address, on each worker [default: 4096]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Limits")]
    max_client_sessions: Option<usize>,

    /// Uploads in flight [default: 16384]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Limits")]
    max_uploads: Option<usize>,

    /// Transfers whose client has not answered yet; over it the oldest of them end unanswered
    /// [default: 32768]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Limits")]
    max_half_open: Option<usize>,

    /// Requests of one client address a second, on each worker; over it they get no answer
    /// [default: 5000]
    #[arg(long, value_name = "N", value_parser = count::<u32>, help_heading = "Limits")]
    max_client_requests: Option<u32>,

    /// End a transfer that takes longer than this [default: 4h]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    max_transfer_time: Option<Time>,

    /// Largest block agreed, in bytes [default: what fits the interface's MTU]
    #[arg(long, value_name = "BYTES", value_parser = blksize, help_heading = "Limits")]
    max_blksize: Option<u16>,

    /// Largest window agreed, in blocks [default: 64]
    #[arg(long, value_name = "BLOCKS", value_parser = windowsize, help_heading = "Limits")]
    max_windowsize: Option<u16>,

    /// Give a transfer up after this much silence [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    give_up: Option<Time>,

    /// Where each request leaves a line; `-` is standard output [default: requests.log in
    /// /var/log/memtftp for root, else in ~/.local/state/memtftp]
    #[arg(long, value_name = "PATH", help_heading = "Request log")]
    request_log: Option<PathBuf>,

    /// How a line of the request log looks [default: text]
    #[arg(long, value_enum, help_heading = "Request log")]
    request_log_format: Option<Format>,

    /// Lines a second about datagrams that get no service; one line counts the others [default: 100]
    #[arg(long, value_name = "N", value_parser = count::<u32>, help_heading = "Request log")]
    max_unrecognized: Option<u32>,

    /// Unix socket for `memtftp status` [default: memtftp.sock in $RUNTIME_DIRECTORY, if that is set]
    #[arg(long, value_name = "PATH", help_heading = "Process")]
    status_socket: Option<PathBuf>,

    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = workers, help_heading = "Process")]
    workers: Option<NonZeroUsize>,

    /// Keep each worker on a core of its own
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = "Process")]
    pin: Option<bool>,

    /// How datagrams are moved [default: batched on Linux, portable elsewhere]
    #[arg(long, value_enum, help_heading = "Process")]
    io: Option<IoMode>,

    /// Whether a window leaves as one and is cut apart by the kernel or the network card (Linux)
    /// [default: auto]
    #[arg(long, value_enum, help_heading = "Process")]
    gso: Option<GsoMode>,

    /// Become this user once the ports are bound and the files loaded, if started as root
    #[arg(long, value_name = "NAME[:GROUP]", help_heading = "Process")]
    user: Option<User>,

    /// Time that transfers get to finish after SIGTERM or Ctrl-C [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Process")]
    drain: Option<Time>,

    /// Rules, in order; in the file alone.
    #[arg(skip)]
    rule: Vec<Spanned<RuleEntry>>,

    /// Other names of files, each with the name of the file; in the file alone.
    #[arg(skip)]
    aliases: BTreeMap<String, String>,
}

/// Settings as `memtftp serve` and `memtftp check` use them.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    /// The request log is where it is without being told, in a directory that may have to be made.
    pub(crate) is_default_log: bool,
    pub(crate) preload: Vec<PathBuf>,
    pub(crate) drain: Duration,
    rules: Vec<Spanned<RuleEntry>>,
    aliases: BTreeMap<String, String>,
}

/// Settings that make no sense. The operator must act.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("--port and the port of --listen {0} contradict each other: remove one of them")]
    PortTwice(SocketAddr),
    #[error("--allow any and --allow CIDR contradict each other: remove one of them")]
    AnyAndMore,
    #[error("{0} means nothing without --dir: add it, or remove {0}")]
    WithoutDir(&'static str),
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// One of the others, with the lines of the file that it is about.
    #[error("{place}: {error}")]
    At { place: String, error: Box<SettingsError> },
}

impl SettingsError {
    fn flags(&self) -> Vec<&'static str> {
        match self {
            SettingsError::PortTwice(_) => vec!["--port", "--listen"],
            SettingsError::AnyAndMore => vec!["--allow"],
            SettingsError::WithoutDir(flag) => vec![flag],
            SettingsError::Config(error) => error.flags(),
            SettingsError::Rule(RuleError::Rule { .. }) => Vec::new(),
            SettingsError::Rule(RuleError::TooMany { .. }) => vec!["--rule"],
            SettingsError::Rule(_) => vec!["--aliases"],
            SettingsError::File(_) | SettingsError::At { .. } => Vec::new(),
        }
    }
}

/// What a command line and a file mean together: what the command line gives goes before what the
/// file gives.
pub(crate) fn plan(flags: &Settings, file: Option<&Path>) -> Result<Plan, SettingsError> {
    let Some(path) = file else { return flags.clone().understand() };
    let source = Source::read(path)?;
    let settings = flags.clone().over(source.settings()?);
    let mut plan =
        settings.understand().map_err(|error| match source.places_of(&error.flags()) {
            Some(place) => SettingsError::At { place, error: Box::new(error) },
            None => error,
        })?;
    plan.config.own_files.push(path.to_owned());
    Ok(plan)
}

impl Settings {
    /// These, and from `file` what is not given here.
    fn over(self, file: Settings) -> Settings {
        macro_rules! first_of {
            ($($setting:ident),* $(,)?) => {
                Settings {
                    $($setting: self.$setting.or(file.$setting),)*
                    rule: [self.rule, file.rule].concat(),
                    aliases: self.aliases.into_iter().chain(file.aliases).collect(),
                }
            };
        }
        first_of!(
            listen,
            port,
            transfer_ports,
            single_port,
            answer_broadcast,
            allow,
            uploads,
            preload,
            dir,
            durability,
            create_dirs,
            umask,
            memory,
            max_file,
            max_client_memory,
            max_files,
            max_sessions,
            max_client_sessions,
            max_uploads,
            max_half_open,
            max_client_requests,
            max_transfer_time,
            max_blksize,
            max_windowsize,
            give_up,
            request_log,
            request_log_format,
            max_unrecognized,
            status_socket,
            workers,
            pin,
            io,
            gso,
            user,
            drain,
        )
    }

    /// These with files that are served from `directory`.
    pub(crate) fn with_directory(self, directory: PathBuf) -> Settings {
        Settings { dir: Some(directory), ..self }
    }

    fn understand(self) -> Result<Plan, SettingsError> {
        let defaults = Config::default();
        let (directory, is_default_log) = (self.directory()?, self.request_log.is_none());
        let uploads = self.uploads();
        let rules = self.rule.iter().map(|rule| rule.get_ref().meaning()).collect();
        let aliases: Vec<_> = self.aliases.clone().into_iter().collect();
        let config = Config {
            listen: self.listen_addresses()?,
            absent_addresses: true,
            single_port: self.single_port.unwrap_or(defaults.single_port),
            transfer_ports: self.transfer_ports.map(|range| range.0),
            workers: self.workers,
            pin_workers: self.pin.unwrap_or(defaults.pin_workers),
            io: self.io.map_or(defaults.io, IoMode::meaning),
            gso: self.gso.map_or(defaults.gso, GsoMode::meaning),
            user: self.user.map(|user| user.0),
            access: access(&self.allow.unwrap_or_default())?,
            uploads,
            directory,
            rules: Rules::new(rules, &aliases)?,
            memory: self.memory.map_or(defaults.memory, |size| size.0),
            max_file: self.max_file.map(|size| size.0),
            max_client_memory: self.max_client_memory.map(|size| size.0),
            max_files: self.max_files.unwrap_or(DEFAULT_MAX_FILES),
            max_blksize: self.max_blksize,
            max_windowsize: self.max_windowsize.unwrap_or(defaults.max_windowsize),
            max_sessions: self.max_sessions.unwrap_or(defaults.max_sessions),
            max_client_sessions: self.max_client_sessions.unwrap_or(defaults.max_client_sessions),
            max_uploads: self.max_uploads.unwrap_or(defaults.max_uploads),
            max_half_open: self.max_half_open.unwrap_or(defaults.max_half_open),
            max_client_requests: self.max_client_requests.unwrap_or(defaults.max_client_requests),
            max_unrecognized: self.max_unrecognized.unwrap_or(defaults.max_unrecognized),
            max_transfer_time: self
                .max_transfer_time
                .map_or(defaults.max_transfer_time, |time| time.0),
            answer_broadcast: self.answer_broadcast.unwrap_or(defaults.answer_broadcast),
            status_socket: self.status_socket.or_else(of_service),
            give_up: self.give_up.map_or(defaults.give_up, |time| time.0),
            own_files: Vec::new(),
            request_log: Some(RequestLogConfig {
                target: match self.request_log.unwrap_or_else(state::default_log) {
                    path if path.as_os_str() == "-" => LogTarget::Stdout,
                    path => LogTarget::File(path),
                },
                format: self.request_log_format.unwrap_or(Format::Text).meaning(),
            }),
        };
        config.check()?;
        Ok(Plan {
            config,
            is_default_log,
            preload: self.preload.unwrap_or_default(),
            drain: self.drain.map_or(DEFAULT_DRAIN, |time| time.0),
            rules: self.rule,
            aliases: self.aliases,
        })
    }

    /// What the operator has put there is not replaced unless that is said.
    fn uploads(&self) -> Uploads {
        match (self.uploads, &self.dir, &self.preload) {
            (Some(mode), ..) => mode.meaning(),
            (None, Some(_), _) => Uploads::Off,
            (None, None, Some(preload)) if !preload.is_empty() => Uploads::KeepPreloaded,
            (None, None, _) => Uploads::Replace,
        }
    }

    fn directory(&self) -> Result<Option<DirectoryConfig>, SettingsError> {
        let Some(path) = self.dir.clone() else {
            let meaningless = [
                ("--durability", self.durability.is_some()),
                ("--create-dirs", self.create_dirs.is_some()),
                ("--umask", self.umask.is_some()),
            ];
            let given = meaningless.into_iter().find(|(_, given)| *given);
            return given.map_or(Ok(None), |(flag, _)| Err(SettingsError::WithoutDir(flag)));
        };
        Ok(Some(DirectoryConfig {
            path,
            durability: self.durability.map_or(Durability::Fsync, DurabilityMode::meaning),
            create_dirs: self.create_dirs.unwrap_or(false),
            umask: self.umask.map_or(DEFAULT_UMASK, |umask| umask.0),
        }))
    }

    fn listen_addresses(&self) -> Result<Vec<SocketAddr>, SettingsError> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        let Some(listen) = &self.listen else {
            return Ok(vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)]);
        };
        let one = |listen: &Listen| match *listen {
            Listen::Address(ip) => Ok(SocketAddr::new(ip, port)),
            Listen::WithPort(address) if self.port.is_some_and(|port| port != address.port()) => {
                Err(SettingsError::PortTwice(address))
            }
            Listen::WithPort(address) => Ok(address),
        };
        listen.iter().map(one).collect()
    }
}

impl Plan {
    /// All settings as the configuration file that would make them, defaults and all.
    pub(crate) fn effective(&self) -> Settings {
        let config = &self.config;
        let (log, directory) = (config.request_log.as_ref(), config.directory.as_ref());
        Settings {
            listen: Some(config.listen.iter().copied().map(Listen::WithPort).collect()),
            port: None,
            transfer_ports: config.transfer_ports.clone().map(PortRange),
            single_port: Some(config.single_port),
            answer_broadcast: Some(config.answer_broadcast),
            allow: Some(config.access.iter().map(Allow::Network).collect()),
            uploads: Some(UploadsMode::of(config.uploads)),
            preload: Some(self.preload.clone()),
            dir: directory.map(|directory| directory.path.clone()),
            durability: directory.map(|directory| DurabilityMode::of(directory.durability)),
            create_dirs: directory.map(|directory| directory.create_dirs),
            umask: directory.map(|directory| Umask(directory.umask)),
            memory: Some(Size(config.memory)),
            max_file: config.max_file.map(Size),
            max_client_memory: Some(Size(config.client_memory())),
            max_files: Some(config.max_files),
            max_sessions: Some(config.max_sessions),
            max_client_sessions: Some(config.max_client_sessions),
            max_uploads: Some(config.max_uploads),
            max_half_open: Some(config.max_half_open),
            max_client_requests: Some(config.max_client_requests),
            max_transfer_time: Some(Time(config.max_transfer_time)),
            max_blksize: config.max_blksize,
            max_windowsize: Some(config.max_windowsize),
            give_up: Some(Time(config.give_up)),
            request_log: log.map(|log| match &log.target {
                LogTarget::File(path) => path.clone(),
                LogTarget::Stdout => "-".into(),
            }),
            request_log_format: log.map(|log| Format::of(log.format)),
            max_unrecognized: Some(config.max_unrecognized),
            status_socket: config.status_socket.clone(),
            workers: NonZeroUsize::new(config.worker_count()),
            pin: Some(config.pin_workers),
            io: Some(IoMode::of(config.io)),
            gso: Some(GsoMode::of(config.gso)),
            user: config.user.clone().map(User),
            drain: Some(Time(self.drain)),
            rule: self.rules.clone(),
            aliases: self.aliases.clone(),
        }
    }
}

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "give a number of threads from 1".into())
}

fn access(allow: &[Allow]) -> Result<Access, SettingsError> {
    if allow.is_empty() {
        return Ok(Access::private());
    }
    let networks: Vec<_> = allow.iter().filter_map(Allow::network).collect();
    match (networks.is_empty(), networks.len() == allow.len()) {
        (true, _) => Ok(Access::any()),
        (false, true) => Ok(Access::networks(networks)),
        (false, false) => Err(SettingsError::AnyAndMore),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
