//! The service manager: the sockets it hands over, what it is told, and its watchdog.
//!
//! Without one, as at a terminal, all of this does nothing.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use listenfd::ListenFd;
use memtftp_server::Server;
use sd_notify::NotifyState;

/// The sockets that are bound already (`sd_listen_fds(3)`).
///
/// # Errors
/// One of them is no UDP socket.
pub(crate) fn sockets() -> io::Result<Vec<UdpSocket>> {
    let mut given = ListenFd::from_env();
    let all = (0..given.len()).map(|at| given.take_udp_socket(at));
    all.filter_map(Result::transpose).collect()
}

/// Requests are answered from now on.
pub(crate) fn ready(server: &Server) {
    let addresses: Vec<String> = server.listening().iter().map(ToString::to_string).collect();
    let files = match server.names().len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let status = format!("serving {files} on {}", addresses.join(" "));
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// A SIGHUP is obeyed; [`ready`] follows.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("cannot read the clock for the service manager: {error}"),
    }
}

/// Running transfers have their last time.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("waiting for running transfers")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell the service manager how it goes: {error}");
    }
}

/// Tells the service manager that all workers go round, as long as they do.
#[derive(Debug)]
pub(crate) struct Watchdog {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Starts if the service manager wants it.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start(server: &Arc<Server>) -> io::Result<Option<Watchdog>> {
        let Some(patience) = sd_notify::watchdog_enabled() else { return Ok(None) };
        let (end, ended) = mpsc::channel();
        let server = Arc::clone(server);
        let work = move || watch(&server, patience / 2, &ended);
        let thread = thread::Builder::new().name("watchdog".into()).spawn(work)?;
        Ok(Some(Watchdog { end, thread }))
    }

    /// The server has ended.
    pub(crate) fn end(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("the watchdog ended early");
        }
    }
}

/// Looks twice in the time that the service manager waits: what was asked for at one look has to be
/// done at the next.
fn watch(server: &Server, every: Duration, ended: &Receiver<()>) {
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
