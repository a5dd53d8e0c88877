//! `memtftp serve`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use memtftp_server::{LogTarget, ReloadError, Reloaded, Server, StartError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use thiserror::Error;

use crate::banner;
use crate::cli::ServeFlags;
use crate::service::{self, Watchdog};
use crate::settings::{Plan, SettingsError, plan};
use crate::state;

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

/// Why everything stays as it was.
#[derive(Debug, Error)]
enum NotReloaded {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Server(#[from] ReloadError),
}

/// Serves until a signal ends it.
pub(crate) fn run(flags: ServeFlags) -> Result<(), ServeError> {
    let plan = read(&flags)?;
    // Before the start, so that no signal finds the process without its handlers.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
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
    if given > 0 {
        tracing::info!(
            "{given} listening sockets were handed over: --listen and --port do not count"
        );
    }
    eprint!("{}", banner::text(&server));

    let handle = signals.handle();
    let commands = Commands { flags, server: Arc::clone(&server), drain: plan.drain };
    let obeying =
        thread::Builder::new().name("signals".into()).spawn(move || commands.obey(signals))?;
    let watchdog = Watchdog::start(&server)?;
    service::ready(&server);
    server.wait();
    handle.close();
    if let Some(watchdog) = watchdog {
        watchdog.end();
    }
    if obeying.join().is_err() {
        tracing::error!("the signal thread ended early");
    }
    Ok(())
}

fn read(flags: &ServeFlags) -> Result<Plan, SettingsError> {
    plan(&flags.settings(), flags.config.as_deref())
}

/// What signals make the server do.
struct Commands {
    flags: ServeFlags,
    server: Arc<Server>,
    drain: Duration,
}

impl Commands {
    /// The first SIGTERM or Ctrl-C lets transfers finish, the second does not; SIGHUP opens the request
    /// log again, and reads the configuration file and what has changed in the preloaded directories;
    /// SIGUSR1 prints the status.
    fn obey(mut self, mut signals: Signals) {
        let mut stopping = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                service::reloading();
                self.server.reopen_request_log();
                match self.reload() {
                    Ok(reloaded) => tell(&reloaded),
                    Err(error) => {
                        let why = error.to_string().replace('\n', "; ");
                        tracing::error!("not reloaded, all stays as it was: {why}");
                    }
                }
                service::ready(&self.server);
            } else if signal == SIGUSR1 {
                let _ = write!(io::stderr(), "{}", self.server.status());
            } else if std::mem::replace(&mut stopping, true) {
                tracing::info!("stopping now");
                self.server.abort();
            } else {
                let drain = self.drain;
                tracing::info!("stopping: transfers have {drain:?} to finish; again stops at once");
                service::stopping();
                self.server.drain(drain);
            }
        }
    }

    fn reload(&mut self) -> Result<Reloaded, NotReloaded> {
        let plan = read(&self.flags)?;
        let reloaded = self.server.reload(plan.config, &plan.preload)?;
        self.drain = plan.drain;
        Ok(reloaded)
    }
}

fn tell(reloaded: &Reloaded) {
    let Reloaded { loaded, gone, kept } = reloaded;
    tracing::info!("reloaded: {loaded} files loaded, {gone} gone");
    if !kept.is_empty() {
        tracing::warn!("not changed before the next start: {}", kept.join(", "));
    }
}
