//! The flags of `memtftp status`, and where the status socket is.

use std::env;
use std::path::PathBuf;

use clap::Args;

/// What a service manager gives a service for files like the status socket: systemd does, with
/// `RuntimeDirectory=` in the unit. Several directories are separated by colons.
const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";

/// The status socket of a service called memtftp.
const OF_SERVICE: &str = "/run/memtftp/memtftp.sock";

/// Flags of `memtftp status`.
#[derive(Debug, Args)]
pub(crate) struct StatusFlags {
    /// The socket that the server was given [default: memtftp.sock in $RUNTIME_DIRECTORY, or else in
    /// /run/memtftp]
    #[arg(long, value_name = "PATH")]
    status_socket: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl StatusFlags {
    /// Where the server is asked.
    pub(crate) fn socket(&self) -> PathBuf {
        let given = self.status_socket.clone();
        given.or_else(of_service).unwrap_or_else(|| OF_SERVICE.into())
    }
}

/// The status socket of this process, if it was started by a service manager.
pub(crate) fn of_service() -> Option<PathBuf> {
    let directories = env::var(RUNTIME_DIRECTORY).ok()?;
    let first = directories.split(':').next().filter(|first| !first.is_empty())?;
    Some(PathBuf::from(first).join("memtftp.sock"))
}
