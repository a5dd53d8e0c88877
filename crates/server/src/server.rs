//! A running server, for programs and tests.

mod observe;
mod reload;
mod workers;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::Receiver;
use memtftp_store::{AppendError, Budget, Name, NameError, Store, Version};
use memtftp_udp::Socket;
use thiserror::Error;

pub use self::reload::{ReloadError, Reloaded};
use self::workers::{Running, WorkerHandle};
use crate::arrivals::Arrivals;
use crate::builder::{Builder, StartError};
use crate::config::{Config, SharedConfig};
use crate::directory::Directory;
use crate::faults::Rules;
use crate::inherited::Inherited;
use crate::interfaces::Interfaces;
use crate::library::Library;
use crate::own_files::OwnFiles;
use crate::preload::Preloaded;
use crate::privileges::RunAs;
use crate::records::Records;
use crate::request_log::{LogSender, RequestLog};
use crate::sockets::{self, WorkerSockets};
#[cfg(unix)]
use crate::status::socket::{Serving, StatusSocket};
use crate::status::{Gauge, Status};
use crate::worker::Command;

/// A file was not put into the server. The caller must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PutError {
    /// No client could ask for that name.
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    /// The memory budget has no room for it.
    #[error(transparent)]
    Room(#[from] AppendError),
}

/// A running server. Dropping it ends every transfer at once.
///
/// It can be shared between threads; every call takes `&self`.
pub struct Server {
    store: Store,
    config: SharedConfig,
    library: Library,
    preloaded: Mutex<Preloaded>,
    own: OwnFiles,
    directory: Option<Directory>,
    interfaces: Interfaces,
    arrivals: Arrivals,
    records: Option<Records>,
    faults: Option<Arc<Rules>>,
    listening: Vec<SocketAddr>,
    /// Those among them that no interface had at the start.
    absent: Vec<SocketAddr>,
    /// Its listening sockets were handed over.
    inherited: bool,
    transfer_ports: Vec<u16>,
    workers: Vec<WorkerHandle>,
    /// Disconnected once every worker has ended.
    ended: Receiver<Infallible>,
    gauge: Gauge,
    /// `None` once the server has ended.
    #[cfg(unix)]
    status: Mutex<Option<Serving>>,
    log: Option<RequestLog>,
    /// Whoever ends it does not want to wait.
    is_hurried: AtomicBool,
}

impl Server {
    /// Settings for a server inside a program or a test.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(builder: Builder) -> Result<Server, StartError> {
        let Builder { mut config, preload, keep_records, faults, inherited } = builder;
        let inherited = Inherited::new(&inherited, &mut config)?;
        let handed_over = !inherited.is_empty();
        if handed_over {
            config.check_all_but_addresses()?;
        } else {
            config.check()?;
        }
        let count = config.worker_count();
        let config = Arc::new(config);
        // The port first: it is the likeliest to fail, and loading may take long.
        let sockets = sockets::bind(&config, count, inherited)?;
        let store = Store::new(Budget::new(config.memory));
        let mut preloaded = Preloaded::default();
        let own = OwnFiles::of(&config);
        let files = preloaded.read(&store, &preload, config.max_files, None, &own)?;
        preloaded.apply(&store, files, None);
        // What follows is opened by who has to open it again after a rotation and to remove it at the
        // end, and threads inherit what is left of the rights.
        config.user.as_ref().map(RunAs::drop_privileges).transpose()?;
        #[cfg(unix)]
        let status_socket = config.status_socket.as_deref().map(StatusSocket::open).transpose()?;
        let log = config.request_log.as_ref().map(RequestLog::start).transpose()?;
        own.note_log();
        let (log, sender) = log.map_or_else(|| (None, LogSender::none()), |(l, s)| (Some(l), s));
        let interfaces = Interfaces::read();
        let arrivals = Arrivals::default();
        let shared = Arc::new(ArcSwap::new(Arc::clone(&config)));
        let directory = config.directory.as_ref().map(|directory| {
            let unusable = |source| StartError::Directory { path: directory.path.clone(), source };
            let (store, arrivals) = (store.clone(), arrivals.clone());
            Directory::start(directory, own.clone(), config.max_files, store, arrivals)
                .map_err(unusable)
        });
        let directory = directory.transpose()?;
        let library = Library::new(
            store.clone(),
            arrivals.clone(),
            Arc::clone(&shared),
            interfaces.clone(),
            directory.clone(),
            preloaded.names(),
        );
        library.prepare(&config.rules)?;
        let records = (keep_records > 0).then(|| Records::new(keep_records));
        let (running, ended) = Running::new(arrivals.clone(), records.clone());
        let unwritten = sender.unwritten();
        let sender = sender.keeping(records.clone()).allowing(share_of_lines(&config));
        let mut server = Server {
            gauge: Gauge::new(Vec::new(), store.clone(), Arc::clone(&unwritten)),
            #[cfg(unix)]
            status: Mutex::default(),
            listening: sockets.first().map(|all| addresses(all, |_| true)).unwrap_or_default(),
            absent: sockets
                .first()
                .map(|all| addresses(all, Socket::is_absent))
                .unwrap_or_default(),
            inherited: handed_over,
            transfer_ports: sockets.iter().flat_map(transfer_ports).collect(),
            workers: Vec::with_capacity(count),
            store,
            config: shared,
            library,
            preloaded: Mutex::new(preloaded),
            own,
            directory,
            interfaces,
            arrivals,
            records,
            faults: faults.map(|plan| Arc::new(Rules::new(plan))),
            ended,
            log,
            is_hurried: AtomicBool::new(false),
        };
        server.start_workers(sockets, &config, &running, &sender)?;
        if let Some(directory) = &server.directory {
            directory.warm_up()?;
        }
        let handles = server.workers.iter();
        let workers = handles.map(|worker| (worker.commands.clone(), worker.waker.clone()));
        server.gauge = Gauge::new(workers.collect(), server.store.clone(), unwritten);
        #[cfg(unix)]
        if let Some(socket) = status_socket {
            server.status = Mutex::new(Some(socket.serve(server.gauge.clone())?));
        }
        Ok(server)
    }

    /// The addresses that requests go to, as they were bound: `[::]` is every address.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Those of [`Server::listening`] that no interface had at the start
    /// ([`Config::absent_addresses`]).
    pub fn absent(&self) -> &[SocketAddr] {
        &self.absent
    }

    /// The first address, in a form that a client on this machine can use.
    pub fn address(&self) -> SocketAddr {
        let first = self.listening.first().copied();
        let mut address = first.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
        if address.ip().is_unspecified() {
            // `[::]` answers on IPv4 too, and more clients speak it.
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        address
    }

    /// Every address that clients can use, wildcards replaced by what the interfaces have.
    pub fn reachable(&self) -> Vec<SocketAddr> {
        let own = self.interfaces.addresses();
        let expand = |listening: &SocketAddr| match listening.ip() {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => own.clone(),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                own.iter().copied().filter(IpAddr::is_ipv4).collect()
            }
            one => vec![one],
        };
        let with_port = |listening: &SocketAddr| {
            let port = listening.port();
            expand(listening).into_iter().map(move |ip| SocketAddr::new(ip, port))
        };
        self.listening.iter().flat_map(with_port).collect()
    }

    /// The ports that transfers run on; empty in single-port operation.
    pub fn transfer_ports(&self) -> &[u16] {
        &self.transfer_ports
    }

    /// The settings it runs with.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Adds a file, or replaces it for transfers that begin from now on. It is in memory alone, also with
    /// a directory behind it, and stays there.
    ///
    /// # Errors
    /// The name is bad or the budget has no room.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<(), PutError> {
        let (name, bytes) = (Name::parse(name.as_bytes())?, bytes.into());
        if let Some(directory) = &self.directory {
            // What is on disk, too, makes room, if there is need and it can.
            directory.make_room(bytes.len() as u64);
        }
        let _receipt = self.store.put(name.clone(), bytes)?;
        if let Some(directory) = &self.directory {
            directory.let_go(&name);
        }
        Ok(())
    }

    /// A file as it is now; `None` if there is none in memory. An upload is there once its client has
    /// been told that it is complete; with a directory behind the memory it may leave it again.
    pub fn get(&self, name: &str) -> Option<Version> {
        self.store.open(&Name::parse(name.as_bytes()).ok()?)
    }

    /// Takes a file out of the server. Transfers of it go on. Its uploads so far are no longer
    /// waited for. A file of a directory behind the memory stays there, and is loaded again when asked for.
    pub fn take(&self, name: &str) -> Option<Version> {
        let name = Name::parse(name.as_bytes()).ok()?;
        match &self.directory {
            Some(directory) => directory.take(&name),
            None => self.arrivals.take(&self.store, &name),
        }
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<Name> {
        self.store.names()
    }

    /// Bytes that files, uploads and replaced files still being read hold.
    pub fn memory_used(&self) -> u64 {
        self.store.budget().used()
    }

    /// What the server is doing and has done. Blocks until its workers have answered, up to a
    /// second; those that have not are not in the numbers.
    ///
    /// ```
    /// use memtftp_server::Server;
    ///
    /// let server = Server::builder().start()?;
    /// server.put("boot/a", vec![0; 1_000])?;
    /// let status = server.status();
    /// assert_eq!((status.open.sessions, status.totals.requests), (0, 0));
    /// assert_eq!((status.memory.files, status.memory.file_count), (1_000, 1));
    /// assert_eq!(status.refused["max_uploads"], 0);
    /// println!("{status}");    // as `memtftp status` prints it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status(&self) -> Status {
        self.gauge.status()
    }

    /// Opens the request log again by its name, after a rotation. Returns at once: the log's thread does
    /// it when it has written what it is writing.
    pub fn reopen_request_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Refuses new requests from now on and ends when the last transfer has ended, at the latest
    /// after `patience`. Returns at once; [`Server::wait`] waits.
    pub fn drain(&self, patience: Duration) {
        self.tell(&Command::Drain(patience));
    }

    /// Ends every transfer now and tells its client. Returns at once; [`Server::wait`] waits, and for a
    /// request log that takes no line a quarter of a second only.
    pub fn abort(&self) {
        self.is_hurried.store(true, Ordering::Relaxed);
        self.tell(&Command::Stop);
    }

    /// Waits until the server has ended by [`Server::drain`] or [`Server::abort`], and its request log
    /// is written. Blocks. A log that takes no line for a second, because nobody reads the pipe or its
    /// disk hangs, is waited for no longer.
    pub fn wait(&self) {
        let _ = self.ended.recv();
        self.finish();
    }

    /// Ends every transfer, tells its client, and returns when the request log is written, or takes
    /// nothing for a second. Blocks for that moment, as dropping the server does.
    pub fn stop(self) {
        drop(self);
    }

    fn tell(&self, command: &Command) {
        for worker in &self.workers {
            // A worker that has ended needs no telling, and one that has not read the last few
            // commands is already told to end: other commands leave room for this.
            let _ = worker.commands.try_send(command.clone());
            worker.waker.wake();
        }
    }

    /// Ends what is left when the workers have ended. Waits for no peer, and for the log within reason.
    fn finish(&self) {
        // Locked to the end, so that all who wait do.
        #[cfg(unix)]
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(unix)]
        drop(status.take());
        if let Some(log) = &self.log {
            log.finish(&self.is_hurried);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell(&Command::Stop);
        for worker in self.workers.drain(..) {
            if worker.thread.join().is_err() {
                tracing::error!("a worker ended by a defect in the server");
            }
        }
        self.finish();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listening", &self.listening).finish_non_exhaustive()
    }
}

/// The lines a second that each worker may write about datagrams that got no service.
fn share_of_lines(config: &Config) -> u32 {
    let workers = u32::try_from(config.worker_count()).unwrap_or(u32::MAX);
    config.max_unrecognized.div_ceil(workers.max(1))
}

fn addresses(sockets: &WorkerSockets, wanted: impl Fn(&Socket) -> bool) -> Vec<SocketAddr> {
    let wanted = sockets.listening().filter(|socket| wanted(socket));
    wanted.map(|socket| socket.local_addr()).collect()
}

fn transfer_ports(sockets: &WorkerSockets) -> Vec<u16> {
    sockets.transfers().map(|socket| socket.local_addr().port()).collect()
}
