//! Flags that `memtftp get` and `memtftp put` share.

use std::time::Duration;

use clap::{Args, ValueEnum};
use memtftp_client::{Client, DEFAULT_WINDOWSIZE, Mode, Url};
use thiserror::Error;

use crate::cli::address::AddressError;
use crate::cli::values::{blksize, count, some_port, some_time, windowsize};

/// What the help and the manual pages of both commands end with.
pub(crate) const EXIT_STATUS: &str = "Exit status: 0 done, 1 wrong usage or a local error, 3 no \
    such file, 4 refused, 5 no answer, 6 the server broke the protocol, 7 the file ended before the \
    announced size, 130 interrupted (143 by \
    SIGTERM). Of several files that fail, the first decides.";

/// How files travel.
#[derive(Debug, Args)]
pub(crate) struct TransferFlags {
    /// Port of a server that is named without one [default: 69]; memtftp serves 6969 unless told
    #[arg(long, short, value_name = "PORT", value_parser = some_port)]
    port: Option<u16>,

    /// Block size to ask for, in bytes [default: what travels to the server in one piece]
    #[arg(long, short, value_name = "BYTES", value_parser = blksize)]
    blksize: Option<u16>,

    /// Window to ask for, in blocks [default: 32, or as many as 256 KiB hold]
    #[arg(long, short, value_name = "BLOCKS", value_parser = windowsize)]
    windowsize: Option<u16>,

    /// Ask for no option at all, for servers that cannot bear one
    #[arg(long, conflicts_with_all = ["blksize", "windowsize"])]
    no_options: bool,

    /// How the bytes travel [default: what the URL says, else octet]
    #[arg(long, value_enum)]
    mode: Option<ModeFlag>,

    /// Give up after this much silence
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = some_time)]
    timeout: Duration,

    /// Start over this often after a time-out
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<u32>)]
    retries: u32,

    /// Show no progress; without a terminal there is none anyway
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Arguments that do not go together.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ArgumentError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("say what to fetch: memtftp get HOST/NAME, or HOST NAME, or tftp://HOST/NAME")]
    NothingToGet,
    #[error("say what to send, and where to: memtftp put FILE HOST, or HOST/NAME")]
    NothingToPut,
    #[error("{}", half(.0, *.1))]
    Half(String, bool),
    #[error("name a file of the server, too: memtftp get {0}/NAME")]
    NoNameOf(String),
    #[error("the server comes first, and where to last: memtftp get {0}")]
    ServerFirst(String),
    #[error("the server comes last: memtftp put {0}")]
    ServerLast(String),
    #[error(
        "which are files of {host}, and is the last a place here? give memtftp get {paths}, with a \
         directory behind them"
    )]
    SeveralNames { host: String, paths: String },
    #[error(
        "is {last} a file of the server, or a place here? give memtftp get {first} tftp://{last} for \
         both files, or make the directory first"
    )]
    Target { first: String, last: String },
    #[error("{}", no_name(.0))]
    NoName(String),
    #[error("several files need a directory, and {0} is none: make it with mkdir -p {0}")]
    NoDirectory(String),
    #[error("several files need a directory, which ends with a slash: memtftp put {files} {to}/")]
    NoSlash { files: String, to: String },
    #[error("{0} needs a name at the server, as in {1}NAME")]
    NoNameThere(String, String),
}

impl TransferFlags {
    /// What the flags mean together.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::new().timeout(self.timeout).retries(self.retries);
        if let Some(bytes) = self.blksize {
            client = client.blksize(bytes);
        }
        if let Some(blocks) = self.windowsize {
            client = client.windowsize(blocks);
        }
        if let Some(mode) = self.mode {
            client = client.mode(mode.meaning());
        }
        if self.no_options { client.without_options() } else { client }
    }

    /// The URL with the port of `--port` if it names none.
    pub(crate) fn with_port(&self, url: Url) -> Url {
        self.port.map_or(url.clone(), |port| url.or_port(port))
    }

    /// Whether requests have options.
    pub(crate) fn has_options(&self) -> bool {
        !self.no_options
    }
}

/// One of the two that a put needs.
fn half(only: &str, is_server: bool) -> String {
    match is_server {
        true => format!("say what to send: memtftp put FILE {only}"),
        false => format!("say where to: memtftp put {only} HOST, or HOST/NAME"),
    }
}

fn no_name(url: &str) -> String {
    match url.ends_with('/') {
        true => format!("give a name after the slash, as in {url}NAME"),
        false => format!("{url} names no file: give a target, as in memtftp get {url} FILE"),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeFlag {
    /// As they are
    Octet,
    /// As text: lines end in CR LF on the way
    Netascii,
}

impl ModeFlag {
    fn meaning(self) -> Mode {
        match self {
            ModeFlag::Octet => Mode::Octet,
            ModeFlag::Netascii => Mode::Netascii,
        }
    }
}

// The help says it, too.
const _: () = assert!(DEFAULT_WINDOWSIZE == 32);
