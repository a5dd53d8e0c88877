//! `memtftp serve`.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use memtftp_server::{Server, StartError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use thiserror::Error;

use crate::banner;
use crate::cli::{FlagError, ServeFlags};
use crate::service::{self, Watchdog};

/// Why the server did not run. The text says what to type.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Flags(#[from] FlagError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(
        "what the service manager hands over cannot be used: {0}; give it ListenDatagram= alone"
    )]
    Inherited(#[source] io::Error),
    #[error("cannot listen to signals: {0}")]
    Signals(#[from] io::Error),
}

/// Serves until a signal ends it.
pub(crate) fn run(flags: ServeFlags) -> Result<(), ServeError> {
    let plan = flags.plan()?;
    // Before the start, so that no signal finds the process without its handlers.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
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
    let served = Arc::clone(&server);
    let obeying = thread::Builder::new()
        .name("signals".into())
        .spawn(move || obey(signals, &served, plan.drain))?;
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

/// The first SIGTERM or Ctrl-C lets transfers finish, the second does not; SIGHUP reopens the
/// request log.
fn obey(mut signals: Signals, server: &Server, drain: Duration) {
    let mut stopping = false;
    for signal in signals.forever() {
        if signal == SIGHUP {
            tracing::debug!("opening the request log again");
            service::reloading();
            server.reopen_request_log();
            service::ready(server);
        } else if std::mem::replace(&mut stopping, true) {
            tracing::info!("stopping now");
            server.abort();
        } else {
            tracing::info!("stopping: transfers have {drain:?} to finish; again stops at once");
            service::stopping();
            server.drain(drain);
        }
    }
}
