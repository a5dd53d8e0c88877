//! Flags that `memtftp get` and `memtftp put` share.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use memtftp_client::{Client, DEFAULT_WINDOWSIZE, Mode, Url, UrlError};
use thiserror::Error;

use crate::cli::values::some_time;

/// What the help and the manual pages of both commands end with.
pub(crate) const EXIT_STATUS: &str = "Exit status: 0 done, 1 wrong usage or a local error, 3 no \
    such file, 4 refused, 5 no answer, 6 the server broke the protocol, 7 the file ended before the \
    announced size, 130 interrupted (143 by \
    SIGTERM). Of several files that fail, the first decides.";

/// How files travel.
#[derive(Debug, Args)]
pub(crate) struct TransferFlags {
    /// Block size to ask for, in bytes [default: what travels to the server in one piece]
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u16).range(8..=65_464))]
    blksize: Option<u16>,

    /// Window to ask for, in blocks [default: 32, or as many as 256 KiB hold]
    #[arg(long, value_name = "BLOCKS", value_parser = value_parser!(u16).range(1..=32_767))]
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
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,

    /// Show no progress; without a terminal there is none anyway
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Arguments that do not go together.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ArgumentError {
    #[error("{0} is no URL: {1}")]
    Url(String, UrlError),
    #[error("{0} names no file: give a target, as in memtftp get {0} FILE")]
    NoName(String),
    #[error("several files need a directory, and {0} is none: make it with mkdir -p {0}")]
    NoDirectory(String),
    #[error("several files need a URL that ends with a slash, as in {0}/")]
    NoSlash(String),
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

    /// Whether requests have options.
    pub(crate) fn has_options(&self) -> bool {
        !self.no_options
    }
}

pub(crate) fn url(text: &str) -> Result<Url, ArgumentError> {
    text.parse().map_err(|error| ArgumentError::Url(text.into(), error))
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
