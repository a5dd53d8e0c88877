//! The command line.

mod address;
mod bench;
mod check;
mod get;
mod log;
mod manual;
mod mistake;
mod nearly;
mod put;
mod serve;
mod status;
mod transfer;
mod values;

use clap::{ArgAction, Parser, Subcommand};

pub(crate) use address::{Address, AddressError};
pub(crate) use bench::{BenchFlags, Known, Share};
pub(crate) use check::CheckFlags;
pub(crate) use get::{Destination, GetFlags};
pub(crate) use log::LogFlags;
pub(crate) use manual::{CompletionsFlags, ManFlags};
pub(crate) use mistake::words;
pub(crate) use nearly::did_you_mean;
pub(crate) use put::{Origin, PutFlags};
pub(crate) use serve::ServeFlags;
pub(crate) use status::{StatusFlags, of_service};
pub(crate) use transfer::TransferFlags;
pub(crate) use values::{blksize, boolean, count, duration, port, size, windowsize};

/// A TFTP server that keeps its files in memory, and a client.
///
/// `MEMTFTP_LOG` in the environment says how much goes to standard error: off, error, warn, info
/// (the default), debug or trace.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    /// Say more; twice says most
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve files to TFTP clients
    Serve(Box<ServeFlags>),
    /// Check a configuration file: print what it means, or what would become of a request
    Check(CheckFlags),
    /// Show what a server on this machine is doing
    Status(StatusFlags),
    /// Load a server with many clients, and check every byte
    Bench(Box<BenchFlags>),
    /// Fetch files from a TFTP server
    Get(GetFlags),
    /// Send files to a TFTP server
    Put(PutFlags),
    /// Say what went wrong, from the request log
    Log(LogFlags),
    /// Print completions for a shell, as in `source <(memtftp completions bash)`
    Completions(CompletionsFlags),
    /// Write the manual pages into a directory
    Man(ManFlags),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
