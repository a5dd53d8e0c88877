//! Other settings for a running server.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use thiserror::Error;

use super::Server;
use super::workers::endpoint_config;
use crate::config::{Config, ConfigError};
use crate::preload::PreloadError;

/// What a reload has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Files that were loaded, because they are new or have changed on disk.
    pub loaded: usize,
    /// Files that are gone from the disk, and so from memory unless an upload had replaced them.
    pub gone: usize,
    /// Flags of settings that take effect at the next start only.
    pub kept: Vec<&'static str>,
}

/// A running server goes on as it was. The operator must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A directory cannot be loaded.
    #[error(transparent)]
    Preload(#[from] PreloadError),
    /// A thread that the rules need could not be made.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Server {
    /// Takes other settings, and loads again what has changed in these directories since it was last
    /// loaded. Transfers that run go on with what they began with. Blocks while files are read.
    ///
    /// An upload stays, unless the file of its name on disk has changed since that was loaded.
    ///
    /// # Errors
    /// The settings make no sense or a file cannot be loaded. All stays as it was.
    pub fn reload(
        &self,
        mut config: Config,
        directories: &[PathBuf],
    ) -> Result<Reloaded, ReloadError> {
        if self.inherited {
            // The sockets have decided these, whatever the settings say.
            let running = self.config.load();
            config.listen.clone_from(&running.listen);
            config.workers = running.workers;
            config.check_all_but_addresses()?;
        } else {
            config.check()?;
        }
        let mut preloaded = self.preloaded.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, kept) = config.keeping_fixed(&self.config.load());
        let directory = self.directory.as_ref();
        let files =
            preloaded.read(&self.store, directories, config.max_files, directory, &self.own)?;
        self.library.prepare(&config.rules).map_err(ReloadError::Thread)?;
        let count = self.workers.len();
        for (number, worker) in self.workers.iter().enumerate() {
            worker.configure(endpoint_config(&config, Vec::new(), count, number));
        }
        let max_files = config.max_files;
        self.config.store(Arc::new(config));
        let (loaded, gone) = preloaded.apply(&self.store, files, directory);
        if let Some(directory) = &self.directory {
            directory.rescan(max_files);
        }
        Ok(Reloaded { loaded, gone, kept })
    }
}
