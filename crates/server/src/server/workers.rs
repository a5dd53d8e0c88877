//! The threads of a server that serve.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use memtftp_proto::{Endpoint, SocketRole, Timing};
use memtftp_udp::{Poller, Waker};

use super::Server;
use crate::arrivals::Arrivals;
use crate::config::Config;
use crate::faults::Faults;
use crate::later::Answers;
use crate::records::Records;
use crate::request_log::LogSender;
use crate::sockets::WorkerSockets;
use crate::worker::{Broadcasts, Command, MAX_COMMANDS, Parts, Unfinished, Worker};

/// One client address may have this part of all half-open sessions.
const CLIENT_SHARE: usize = 4;

/// Held by every worker. The last one to end ends all waits.
pub(super) struct Running {
    arrivals: Arrivals,
    records: Option<Records>,
    _ended: Sender<Infallible>,
}

impl Running {
    /// With what is disconnected at the end.
    pub(super) fn new(
        arrivals: Arrivals,
        records: Option<Records>,
    ) -> (Arc<Running>, Receiver<Infallible>) {
        let (sender, ended) = crossbeam_channel::bounded(0);
        (Arc::new(Running { arrivals, records, _ended: sender }), ended)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.arrivals.end();
        if let Some(records) = &self.records {
            records.end();
        }
    }
}

pub(super) struct WorkerHandle {
    pub(super) settings: Arc<Mutex<Option<Box<memtftp_proto::Config>>>>,
    pub(super) commands: Sender<Command>,
    pub(super) waker: Waker,
    pub(super) alive: Arc<AtomicBool>,
    pub(super) thread: JoinHandle<()>,
}

impl WorkerHandle {
    /// Gives the worker other settings. Never waits: a worker that does not get to it finds the last
    /// that it was given.
    pub(super) fn configure(&self, settings: memtftp_proto::Config) {
        let mut slot = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Box::new(settings));
        drop(slot);
        // It looks there after any command, and a worker that has ended needs no settings.
        if self.commands.len() < MAX_COMMANDS / 2 {
            let _ = self.commands.try_send(Command::Configure);
        }
        self.waker.wake();
    }
}

impl Server {
    pub(super) fn start_workers(
        &mut self,
        sockets: Vec<WorkerSockets>,
        config: &Config,
        running: &Arc<Running>,
        log: &LogSender,
    ) -> std::io::Result<()> {
        let count = sockets.len();
        let unfinished = Unfinished::new(count);
        for (number, sockets) in sockets.into_iter().enumerate() {
            let poller = Poller::new()?;
            let (answers, resolutions) = Answers::new(poller.waker());
            let roles = sockets.roles.clone();
            let settings = endpoint_config(config, roles, count, number);
            let endpoint = Endpoint::new(settings, self.library.with_answers(answers));
            let faults = self.faults.clone().map(Faults::new);
            let log = log.clone();
            let (unfinished, broadcasts) = (unfinished.clone(), broadcasts(config, number));
            let parts = Parts { poller, resolutions, faults, log, unfinished, broadcasts };
            let worker = Worker::new(endpoint, sockets, parts)?;
            let pin = config.pin_workers.then_some(number);
            self.workers.push(spawn(number, pin, worker, Arc::clone(running))?);
        }
        Ok(())
    }
}

/// Starts a worker's thread. `running` is held as long as it works.
fn spawn(
    number: usize,
    pin: Option<usize>,
    worker: (Worker, Sender<Command>),
    running: Arc<Running>,
) -> std::io::Result<WorkerHandle> {
    let (worker, commands) = worker;
    let (waker, alive, settings) = (worker.waker(), worker.alive(), worker.settings());
    let work = move || {
        let _running = running;
        if let Some(turn) = pin {
            pin_to_core(turn);
        }
        worker.run();
    };
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
    Ok(WorkerHandle { settings, commands, waker, alive, thread })
}

/// Keeps this thread on one of the cores that the process may use.
fn pin_to_core(turn: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = cores.get(turn % cores.len().max(1));
    if !core.is_some_and(|core| core_affinity::set_for_current(*core)) {
        tracing::warn!("the system does not let a worker stay on one core: start without --pin");
    }
}

/// The first worker alone sees to broadcasts, of which each worker gets a copy.
fn broadcasts(config: &Config, number: usize) -> Broadcasts {
    match (number, config.answer_broadcast) {
        (0, true) => Broadcasts::Answer,
        (0, false) => Broadcasts::Drop,
        _ => Broadcasts::Ignore,
    }
}

/// What a worker's share of these settings is.
pub(super) fn endpoint_config(
    config: &Config,
    sockets: Vec<SocketRole>,
    workers: usize,
    number: usize,
) -> memtftp_proto::Config {
    let max_half_open = config.max_half_open.div_ceil(workers);
    memtftp_proto::Config {
        sockets,
        timing: Timing::of_server(config.give_up),
        max_sessions: config.max_sessions.div_ceil(workers),
        max_sessions_per_client: config.max_client_sessions,
        max_uploads: config.max_uploads.div_ceil(workers),
        max_half_open,
        max_half_open_per_client: max_half_open.div_ceil(CLIENT_SHARE),
        max_requests_per_client: config.max_client_requests,
        max_transfer_time: config.max_transfer_time,
        seed: RandomState::new().hash_one(number),
        ..memtftp_proto::Config::default()
    }
}
