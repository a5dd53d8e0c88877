//! `memtftp serve`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use memtftp_server::{LogTarget, Server, StartError};
use thiserror::Error;

use crate::banner;
use crate::cli::ServeFlags;
use crate::service::{self, Manager, Watchdog};
use crate::settings::{SettingsError, plan};
use crate::signals::{Commands, Early};
use crate::state;
use crate::stderr::StandardError;

/// Why the server did not run. The text says what to type.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(
        "what the service manager hands over cannot be used: {0}; give it ListenDatagram= alone"
    )]
    Inherited(#[source] io::Error),
    #[error(
        "cannot make the directory of the request log {}: {source}; choose another place with \
         --request-log PATH", log.display()
    )]
    State { log: PathBuf, source: io::Error },
    #[error("cannot listen to signals: {0}")]
    Signals(#[from] io::Error),
}

/// Serves until a signal ends it.
pub(crate) fn run(flags: ServeFlags, stderr: &StandardError) -> Result<(), ServeError> {
    let mut written = stderr.finish_later();
    let signals = Early::listen()?;
    let plan = plan(&flags.settings(), flags.config.as_deref())?;
    if plan.is_default_log
        && let Some(LogTarget::File(log)) = plan.config.request_log.as_ref().map(|log| &log.target)
    {
        state::make_directory(log, plan.config.user.as_ref())
            .map_err(|source| ServeError::State { log: log.clone(), source })?;
    }
    let inherited = service::sockets().map_err(ServeError::Inherited)?;
    let given = inherited.len();
    let mut builder = Server::builder().config(plan.config).inherit(inherited);
    for directory in plan.preload {
        builder = builder.preload(directory);
    }
    let server = Arc::new(builder.start()?);
    written.start_thread()?;
    if given > 0 {
        tracing::info!(
            "{given} listening sockets were handed over: --listen and --port do not count"
        );
    }
    stderr.say(banner::text(&server));

    let manager = Manager::start()?;
    let commands =
        Commands::new(flags, plan.drain, Arc::clone(&server), manager.clone(), stderr.clone())?;
    signals.obey(commands)?;
    let _watchdog = Watchdog::start(&server)?;
    manager.ready(&server);
    server.wait();
    manager.finish();
    Ok(())
}
