//! Values of settings: how they are written, and what they mean.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use ipnet::IpNet;
use jiff::SignedDuration;
use memtftp_server::{Durability, Gso, Io, LogFormat, RunAs, Uploads};
use serde::Serialize;
use serde_with::SerializeDisplay;

use crate::cli::{duration, size};

/// Whom the server becomes.
#[derive(Clone, Debug, SerializeDisplay)]
pub(super) struct User(pub(super) RunAs);

impl FromStr for User {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<User, &'static str> {
        text.parse().map(User)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, SerializeDisplay)]
pub(super) enum Listen {
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

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Address(address) => address.fmt(f),
            Listen::WithPort(address) => address.fmt(f),
        }
    }
}

/// Clients that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay)]
pub(super) enum Allow {
    Any,
    Network(IpNet),
}

impl Allow {
    pub(super) fn network(&self) -> Option<IpNet> {
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

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allow::Any => f.write_str("any"),
            Allow::Network(network) => network.fmt(f),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        size(text).map(Size)
    }
}

impl fmt::Display for Size {
    /// Exactly: with a unit only if that leaves nothing out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = units.into_iter().find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match unit {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", ByteSize::b(self.0).as_u64()),
        }
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay)]
pub(super) struct Time(pub(super) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        duration(text).map(Time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        write!(f, "{time:#}")
    }
}

/// Ports from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, SerializeDisplay)]
pub(super) struct PortRange(pub(super) RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<PortRange, String> {
        let help = || "give a range like 5000-5099".to_owned();
        let (first, last) = text.split_once('-').ok_or_else(help)?;
        let parse = |port: &str| port.trim().parse::<u16>().map_err(|_| help());
        let (first, last) = (parse(first)?, parse(last)?);
        if first > last { Err(help()) } else { Ok(PortRange(first..=last)) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

/// Bits of permission that are taken away, written in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay)]
pub(super) struct Umask(pub(super) u32);

impl FromStr for Umask {
    type Err = String;

    fn from_str(text: &str) -> Result<Umask, String> {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
        bits.map(Umask).ok_or_else(|| "give three octal digits like \"022\" or \"077\"".into())
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

/// A value that is one of a few words, each with its meaning.
macro_rules! words {
    ($(#[$about:meta])* $name:ident is $meaning:ident { $($(#[$doc:meta])* $word:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub(super) enum $name {
            $($(#[$doc])* $word,)*
        }

        impl $name {
            pub(super) fn meaning(self) -> $meaning {
                match self {
                    $($name::$word => $meaning::$word,)*
                }
            }

            pub(super) fn of(meaning: $meaning) -> $name {
                match meaning {
                    $($meaning::$word => $name::$word,)*
                }
            }
        }
    };
}

words! {
    /// What clients may do with uploads.
    UploadsMode is Uploads {
        /// None
        Off,
        /// New files only
        Create,
        /// New files, and new versions of uploaded ones: what was preloaded stays
        KeepPreloaded,
        /// New files, and new versions of existing ones
        Replace,
    }
}

words! {
    /// When an upload counts as stored.
    DurabilityMode is Durability {
        /// When it would survive a power failure
        Fsync,
        /// When it has its name
        Rename,
    }
}

words! {
    /// How a line of the request log looks.
    Format is LogFormat {
        /// key=value pairs
        Text,
        /// One JSON object a line
        Json,
    }
}

words! {
    /// How datagrams are moved.
    IoMode is Io {
        /// Many datagrams a system call (Linux)
        Batched,
        /// One datagram a system call
        Portable,
    }
}

words! {
    /// Whether windows leave as one.
    GsoMode is Gso {
        /// Where it works
        Auto,
        /// Also where it seems not to
        On,
        /// Nowhere
        Off,
    }
}
