//! The flags of `memtftp bench`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::cli::values::{any_windowsize, blksize, count, duration, size, some_count, some_time};

/// Flags of `memtftp bench`.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchFlags {
    /// Server and file: `HOST[:PORT]/NAME` or `tftp://HOST[:PORT]/NAME`; port 69 without one
    #[arg(value_name = "HOST/NAME")]
    pub(crate) url: String,

    /// Clients at once; all begin together unless --ramp is given
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clients, help_heading = "Load")]
    pub(crate) clients: u32,

    /// Transfers of all clients together [default: one for each client]
    #[arg(long, value_name = "M", conflicts_with = "duration", value_parser = transfers, help_heading = "Load")]
    pub(crate) transfers: Option<NonZeroU64>,

    /// Each client begins again and again until this time is over; what runs then is cut off
    #[arg(long, value_name = "TIME", value_parser = some_time, help_heading = "Load")]
    pub(crate) duration: Option<Duration>,

    /// The clients begin one after the other, spread evenly over this time
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Load")]
    pub(crate) ramp: Option<Duration>,

    /// Give each client a loopback address of its own (127.1.0.1 and up); many then share a port
    #[arg(long, help_heading = "Load")]
    pub(crate) spread: bool,

    /// Seed of all that is random: the choice of files, what --loss drops, what --put writes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<u64>, help_heading = "Load")]
    pub(crate) seed: u64,

    /// Block size to ask for [default: do not ask, 512]
    #[arg(long, short, value_name = "BYTES", value_parser = blksize, help_heading = "Transfers")]
    pub(crate) blksize: Option<u16>,

    /// Window to ask for [default: do not ask, lock-step]
    #[arg(long, short, value_name = "BLOCKS", value_parser = any_windowsize, help_heading = "Transfers")]
    pub(crate) windowsize: Option<u16>,

    /// Write instead of read: client 7 writes NAME-7, and each file is read back in the end
    #[arg(long, help_heading = "Transfers")]
    pub(crate) put: bool,

    /// Size of the files that --put writes, like 64KiB
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = size, requires = "put", help_heading = "Transfers")]
    pub(crate) size: u64,

    /// Files below the URL instead of the one it names, each chosen as often as its weight says
    #[arg(long, value_name = "NAME[=WEIGHT]", value_delimiter = ',', help_heading = "Transfers")]
    pub(crate) mix: Vec<Share>,

    /// What NAME contains, to check reads against [default: what a first read gives, done twice]
    #[arg(long, value_name = "NAME=PATH", conflicts_with = "put", help_heading = "Transfers")]
    pub(crate) file: Vec<Known>,

    /// Drop this much of what is received, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent, help_heading = "Patience")]
    pub(crate) loss: f64,

    /// A client gives up after this long without an answer or a new block; boot firmware waits 4s
    /// [default: 16s for the first answer, 60s later]
    #[arg(long, value_name = "TIME", value_parser = some_time, help_heading = "Patience")]
    pub(crate) give_up: Option<Duration>,

    /// Measure the CPU and the memory of this process, too
    #[arg(long, value_name = "PID", value_parser = some_count::<u32>, help_heading = "Report")]
    pub(crate) server_pid: Option<u32>,

    /// Report as one JSON object
    #[arg(long, help_heading = "Report")]
    pub(crate) json: bool,

    /// Load a server with a public address
    #[arg(long)]
    pub(crate) i_own_this_server: bool,
}

/// A value of `--mix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The file, below the path of the URL.
    pub(crate) name: String,
    /// How often it is chosen, in proportion to the others; from 1.
    pub(crate) weight: u32,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let help = || "give names like kernel,initrd or with weights, kernel=1,config=9".to_owned();
        let (name, weight) = match text.rsplit_once('=') {
            Some((name, weight)) => (name, weight.parse().map_err(|_| help())?),
            None => (text, 1),
        };
        if name.is_empty() || weight == 0 {
            return Err(help());
        }
        Ok(Share { name: name.to_owned(), weight })
    }
}

/// A value of `--file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The file at the server, as `--mix` or the URL names it.
    pub(crate) name: String,
    /// Where its content lies on this host.
    pub(crate) path: PathBuf,
}

impl FromStr for Known {
    type Err = String;

    fn from_str(text: &str) -> Result<Known, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Known { name: name.to_owned(), path: path.into() })
            }
            _ => Err("give a name at the server and a path here, like boot.efi=./boot.efi".into()),
        }
    }
}

fn clients(text: &str) -> Result<u32, String> {
    let clients = text.parse().ok().filter(|clients| (1..=200_000).contains(clients));
    clients.ok_or_else(|| "give a number of clients from 1 to 200000".into())
}

fn transfers(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "give a number of transfers from 1".into())
}

fn percent(text: &str) -> Result<f64, String> {
    let parsed = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    parsed
        .filter(|percent| (0.0..100.0).contains(percent))
        .ok_or_else(|| "give percent like 5 or 0.1, below 100".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(flags: &[&str]) -> Result<BenchFlags, clap::Error> {
        let args = ["memtftp", "bench", "tftp://localhost/a"].iter().chain(flags);
        Cli::try_parse_from(args).map(|cli| match cli.command {
            Some(Command::Bench(flags)) => *flags,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_mix_has_names_and_weights() {
        let share = |name: &str, weight| Share { name: name.to_owned(), weight };
        let flags = parse(&["--mix", "kernel=3,etc/a=b=1", "--mix", "config"]).unwrap();
        assert_eq!(flags.mix, [share("kernel", 3), share("etc/a=b", 1), share("config", 1)]);
        for wrong in ["kernel=0", "=3", "kernel=x", "kernel=1,"] {
            assert!(parse(&["--mix", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn loss_is_a_percentage_below_100() {
        assert_eq!(parse(&["--loss", "0.5%"]).unwrap().loss, 0.5);
        for wrong in ["100", "-1", "x", "nan"] {
            assert!(parse(&[&format!("--loss={wrong}")]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_that_exclude_each_other() {
        assert!(parse(&["--transfers", "5", "--duration", "5s"]).is_err());
        assert!(parse(&["--put", "--file", "a=b"]).is_err());
        assert!(parse(&["--size", "5"]).is_err());
        assert!(parse(&["--clients", "0"]).is_err());
        assert!(parse(&["--give-up", "0s"]).is_err() && parse(&["--duration", "0s"]).is_err());
    }
}
