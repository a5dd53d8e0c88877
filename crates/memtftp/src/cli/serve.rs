//! The flags of `memtftp serve`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::settings::Settings;

/// Flags of `memtftp serve`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeFlags {
    /// Serve the files of this directory, as --dir does
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "dir")]
    directory: Option<PathBuf>,

    /// Read settings from this TOML file; a flag goes before what it says
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

impl ServeFlags {
    /// What the flags set, apart from the file.
    pub(crate) fn settings(&self) -> Settings {
        match &self.directory {
            Some(directory) => self.settings.clone().with_directory(directory.clone()),
            None => self.settings.clone(),
        }
    }
}
