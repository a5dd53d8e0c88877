//! The service manager: the sockets it hands over, what it is told, and its watchdog.
//!
//! Without one, as at a terminal, all of this does nothing.

use std::convert::Infallible;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, mem, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use listenfd::ListenFd;
use memtftp_server::Server;
use sd_notify::NotifyState;

/// News that wait to be told, at most.
const MAX_NEWS: usize = 64;

/// How long the end waits until the service manager has heard of it.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// The sockets that are bound already (`sd_listen_fds(3)`).
///
/// # Errors
/// One of them is no UDP socket.
pub(crate) fn sockets() -> io::Result<Vec<UdpSocket>> {
    let mut given = ListenFd::from_env();
    let all = (0..given.len()).map(|at| given.take_udp_socket(at));
    all.filter_map(Result::transpose).collect()
}

/// What the service manager is told.
enum News {
    /// Requests are answered from now on, and this is how it goes.
    Ready(String),
    /// A SIGHUP is obeyed; `Ready` follows.
    Reloading,
    /// Running transfers have their last time.
    Stopping,
    /// All before it was told when this is dropped.
    End(Sender<Infallible>),
}

/// The way to the service manager. A thread tells it, because its socket may have no room. A handle:
/// clones share it.
#[derive(Clone)]
pub(crate) struct Manager(Option<Sender<News>>);

impl Manager {
    /// Starts the thread if there is a service manager.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start() -> io::Result<Manager> {
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Manager(None));
        }
        let (sender, news) = crossbeam_channel::bounded(MAX_NEWS);
        thread::Builder::new().name("manager".into()).spawn(move || tell_all(&news))?;
        Ok(Manager(Some(sender)))
    }

    /// Requests are answered from now on.
    pub(crate) fn ready(&self, server: &Server) {
        if self.0.is_none() {
            return;
        }
        let addresses: Vec<String> = server.listening().iter().map(ToString::to_string).collect();
        let files = match server.names().len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        self.tell(News::Ready(format!("serving {files} on {}", addresses.join(" "))));
    }

    /// A SIGHUP is obeyed; [`Manager::ready`] follows.
    pub(crate) fn reloading(&self) {
        self.tell(News::Reloading);
    }

    /// Running transfers have their last time.
    pub(crate) fn stopping(&self) {
        self.tell(News::Stopping);
    }

    /// Waits until all is told, for a moment.
    pub(crate) fn finish(&self) {
        let Some(sender) = &self.0 else { return };
        let (ending, ended) = crossbeam_channel::bounded(0);
        if sender.try_send(News::End(ending)).is_ok() {
            let _ = ended.recv_timeout(LAST_WAIT);
        }
    }

    /// Never waits. A manager that has so much to read already hears nothing more.
    fn tell(&self, news: News) {
        if let Some(sender) = &self.0
            && sender.try_send(news).is_err()
        {
            tracing::warn!("the service manager does not listen, so it is not told how it goes");
        }
    }
}

fn tell_all(news: &Receiver<News>) {
    for news in news {
        match news {
            News::Ready(status) => tell(&[NotifyState::Ready, NotifyState::Status(&status)]),
            News::Reloading => match NotifyState::monotonic_usec_now() {
                Ok(now) => tell(&[NotifyState::Reloading, now]),
                Err(error) => {
                    tracing::debug!("cannot read the clock for the service manager: {error}");
                }
            },
            News::Stopping => {
                tell(&[
                    NotifyState::Stopping,
                    NotifyState::Status("waiting for running transfers"),
                ]);
            }
            News::End(_ended) => {}
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell the service manager how it goes: {error}");
    }
}

/// Tells the service manager that all workers go round, as long as they do. Dropping it ends that; a
/// thread that is telling it is not waited for.
#[derive(Debug)]
pub(crate) struct Watchdog {
    _end: Sender<Infallible>,
}

impl Watchdog {
    /// Starts if the service manager wants it.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start(server: &Arc<Server>) -> io::Result<Option<Watchdog>> {
        let Some(patience) = sd_notify::watchdog_enabled() else { return Ok(None) };
        let (end, ended) = crossbeam_channel::bounded(0);
        let server = Arc::clone(server);
        let work = move || watch(&server, patience / 2, &ended);
        thread::Builder::new().name("watchdog".into()).spawn(work)?;
        Ok(Some(Watchdog { _end: end }))
    }
}

/// Looks twice in the time that the service manager waits: what was asked for at one look has to be
/// done at the next.
fn watch(server: &Server, every: Duration, ended: &Receiver<Infallible>) {
    let mut hanging = false;
    while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let well = server.workers_go_round();
        if well {
            tell(&[NotifyState::Watchdog]);
        }
        if mem::replace(&mut hanging, !well) == well {
            match well {
                true => tracing::warn!("all workers work again"),
                false => tracing::error!("a worker hangs, so the watchdog is not fed"),
            }
        }
    }
}
