//! The flags of `memtftp check`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use memtftp_server::HardwareAddress;

/// Flags of `memtftp check`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("request").args(["read", "write"]).requires("from"))]
pub(crate) struct CheckFlags {
    /// The configuration file
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,

    /// Say what would happen to a request of this client
    #[arg(
        long = "as",
        id = "from",
        value_name = "ADDRESS",
        requires = "request",
        help_heading = "A request"
    )]
    pub(crate) from: Option<IpAddr>,

    /// The hardware address that this client has
    #[arg(long, value_name = "ADDRESS", requires = "from", help_heading = "A request")]
    pub(crate) mac: Option<HardwareAddress>,

    /// It reads this file
    #[arg(long, value_name = "NAME", help_heading = "A request")]
    pub(crate) read: Option<String>,

    /// It writes this file
    #[arg(long, value_name = "NAME", help_heading = "A request")]
    pub(crate) write: Option<String>,
}
