//! The flags of `memtftp serve`.

use std::path::PathBuf;

use clap::Args;

use crate::settings::Settings;

/// Flags of `memtftp serve`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeFlags {
    /// Read settings from this TOML file; a flag goes before what it says
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: Settings,
}
