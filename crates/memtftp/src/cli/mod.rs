//! The command line.

mod serve;
mod values;

use clap::{Parser, Subcommand};

pub(crate) use serve::{FlagError, ServeFlags};

/// A TFTP server that keeps its files in memory.
///
/// `MEMTFTP_LOG` in the environment says how much goes to standard error: off, error, warn, info
/// (the default), debug or trace.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve files to TFTP clients
    Serve(Box<ServeFlags>),
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
