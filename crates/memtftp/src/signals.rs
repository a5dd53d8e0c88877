//! Signals to a server. The thread that hears them never waits for a disk, a log, a worker or a peer:
//! what may take its time is done by threads of their own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use memtftp_server::{ReloadError, Reloaded, Server};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};
use thiserror::Error;

use crate::cli::ServeFlags;
use crate::service::Manager;
use crate::settings::{Plan, SettingsError, plan};
use crate::stderr::StandardError;

/// How long the process goes on after the second signal to end. It takes a moment to tell clients and to
/// write the last lines; this is for what hangs.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Signals from the first moment of the process on.
pub(crate) struct Early {
    signals: Signals,
    /// A signal to end is obeyed by the handler itself.
    is_starting: Arc<AtomicBool>,
}

impl Early {
    /// Begins to listen, so that no signal finds the process without its handlers. Until
    /// [`Early::obey`] a signal to end ends the process where it is: nobody is served yet, and the start
    /// may hang at a disk.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn listen() -> io::Result<Early> {
        let is_starting = Arc::new(AtomicBool::new(true));
        for signal in [SIGTERM, SIGINT] {
            flag::register_conditional_shutdown(signal, 0, Arc::clone(&is_starting))?;
        }
        // A log that has reached the limit on the size of files is a log that cannot be written, and no
        // reason to die.
        flag::register(SIGXFSZ, Arc::default())?;
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
        Ok(Early { signals, is_starting })
    }

    /// Obeys signals from now on, by a thread.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn obey(self, commands: Commands) -> io::Result<()> {
        let Early { signals, is_starting } = self;
        is_starting.store(false, Ordering::SeqCst);
        thread::Builder::new().name("signals".into()).spawn(move || commands.obey(signals))?;
        Ok(())
    }
}

/// What signals make the server do.
pub(crate) struct Commands {
    server: Arc<Server>,
    manager: Manager,
    drain: Arc<Mutex<Duration>>,
    reload: Chore,
    print_status: Chore,
}

impl Commands {
    /// Starts the threads that do what takes its time.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn new(
        flags: ServeFlags,
        drain: Duration,
        server: Arc<Server>,
        manager: Manager,
        stderr: StandardError,
    ) -> io::Result<Commands> {
        let drain = Arc::new(Mutex::new(drain));
        let reloading = Reloading {
            flags,
            drain: Arc::clone(&drain),
            server: Arc::clone(&server),
            manager: manager.clone(),
        };
        let asked = Arc::clone(&server);
        Ok(Commands {
            reload: Chore::start("reload", move || reloading.reload())?,
            print_status: Chore::start("print-status", move || {
                stderr.say(asked.status().to_string());
            })?,
            server,
            manager,
            drain,
        })
    }

    /// The first SIGTERM or Ctrl-C lets transfers finish, the second does not; SIGHUP opens the request
    /// log again, and reads the configuration file and what has changed in the preloaded directories;
    /// SIGUSR1 prints the status.
    fn obey(self, mut signals: Signals) {
        let mut stopping = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => {
                    self.manager.reloading();
                    self.server.reopen_request_log();
                    self.reload.ask();
                }
                SIGUSR1 => self.print_status.ask(),
                _ if std::mem::replace(&mut stopping, true) => self.end_at_once(),
                _ => {
                    let drain = *self.drain.lock().unwrap_or_else(PoisonError::into_inner);
                    tracing::info!(
                        "stopping: transfers have {drain:?} to finish; again stops at once"
                    );
                    self.manager.stopping();
                    self.server.drain(drain);
                }
            }
        }
    }

    /// Ends all transfers; the main thread ends the process then. If anything is in its way, this does.
    fn end_at_once(&self) {
        tracing::info!("stopping now");
        self.server.abort();
        thread::sleep(AT_ONCE);
        low_level::exit(1);
    }
}

/// A thread that does one thing, one time after the other.
struct Chore(Sender<()>);

impl Chore {
    fn start(name: &str, work: impl Fn() + Send + 'static) -> io::Result<Chore> {
        let (ask, asked) = crossbeam_channel::bounded(1);
        let work = move || asked.iter().for_each(|()| work());
        thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Chore(ask))
    }

    /// Asks for it. Never waits: what was asked for and has not begun serves for this, too.
    fn ask(&self) {
        let _ = self.0.try_send(());
    }
}

/// Why everything stays as it was.
#[derive(Debug, Error)]
enum NotReloaded {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Server(#[from] ReloadError),
}

/// Reading the settings again.
struct Reloading {
    flags: ServeFlags,
    drain: Arc<Mutex<Duration>>,
    server: Arc<Server>,
    manager: Manager,
}

impl Reloading {
    fn reload(&self) {
        match self.try_reload() {
            Ok(reloaded) => tell(&reloaded),
            Err(error) => {
                let why = error.to_string().replace('\n', "; ");
                tracing::error!("not reloaded, all stays as it was: {why}");
            }
        }
        self.manager.ready(&self.server);
    }

    fn try_reload(&self) -> Result<Reloaded, NotReloaded> {
        let Plan { config, preload, drain, .. } =
            plan(&self.flags.settings(), self.flags.config.as_deref())?;
        let reloaded = self.server.reload(config, &preload)?;
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = drain;
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
