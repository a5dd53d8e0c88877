//! The sockets of all workers.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use memtftp_proto::{SocketId, SocketRole};
use memtftp_udp::{BindError, BindOptions, Socket};
use thiserror::Error;

use crate::config::Config;
use crate::inherited::Inherited;

/// Transfer sockets of one worker for each address it listens on. Several make a TID harder to
/// guess and keep consecutive transfers of one client apart.
const POOL: usize = 4;

/// What a socket should hold: bursts of a thousand clients. The system may grant less.
const BUFFER: usize = 8 << 20;

/// Granted less than this, answers are lost when many clients start at once.
const BUFFER_WARNING: usize = 1 << 20;

/// The sockets of one worker; a [`SocketId`] is an index into them.
#[derive(Debug, Default)]
pub(crate) struct WorkerSockets {
    pub(crate) sockets: Vec<Arc<Socket>>,
    pub(crate) roles: Vec<SocketRole>,
}

/// A socket could not be had. The operator must act.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Someone else has the port.
    #[error(
        "port {port} of {address} is in use: stop the other server (ss -lunp 'sport = :{port}' \
         shows it) or choose another port with --port"
    )]
    InUse {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// Ports below 1024 need a right.
    #[error(
        "no right to use port {port}, which takes the capability cap_net_bind_service: run `sudo \
         setcap cap_net_bind_service+ep {program}` once, start as root with --user NAME, which gives \
         the rights of root up again, or choose a port above 1023 with --port"
    )]
    Denied {
        /// The port.
        port: u16,
        /// The program that runs.
        program: String,
    },
    /// No interface has that address.
    #[error(
        "no interface has the address {address}: `ip address` lists those that --listen can be given"
    )]
    NoSuchAddress {
        /// The address.
        address: IpAddr,
    },
    /// All ports of the range are taken.
    #[error("all ports of --transfer-ports {first}-{last} are in use: give a wider range")]
    RangeInUse {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// Anything else the system said.
    #[error("cannot open a socket on {address}: {source}")]
    System {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<BindError> for SocketError {
    fn from(error: BindError) -> SocketError {
        match error {
            BindError::InUse { address } => {
                SocketError::InUse { address: address.ip(), port: address.port() }
            }
            BindError::Denied { address } => {
                let program = std::env::current_exe().ok();
                let program = program.map_or("PROGRAM".into(), |path| path.display().to_string());
                SocketError::Denied { port: address.port(), program }
            }
            BindError::NoSuchAddress { address } => {
                SocketError::NoSuchAddress { address: address.ip() }
            }
            BindError::Other { address, source } => SocketError::System { address, source },
        }
    }
}

/// Binds the sockets of `workers` workers; those that were inherited are bound already.
///
/// # Errors
/// The first socket that could not be had.
pub(crate) fn bind(
    config: &Config,
    workers: usize,
    mut inherited: Inherited,
) -> Result<Vec<WorkerSockets>, SocketError> {
    let mut all: Vec<WorkerSockets> = (0..workers).map(|_| WorkerSockets::default()).collect();
    let mut ports = Ports::new(config);
    for address in &config.listen {
        let mut bound = None;
        for worker in &mut all {
            let listening = match (inherited.next(*address), bound) {
                (Some(given), _) => adopt(given, *address, config)?,
                (None, None) => bind_listening(*address, config, workers > 1)?,
                // The others join the port that the first was given.
                (None, Some(bound)) => Socket::bind(bound, &options(config, true))?,
            };
            bound = Some(listening.local_addr());
            worker.add(listening, config, &mut ports, workers)?;
        }
    }
    warn_of_small_buffers(&all);
    warn_of_absent_addresses(&all);
    Ok(all)
}

fn adopt(given: UdpSocket, address: SocketAddr, config: &Config) -> Result<Socket, SocketError> {
    let adopted = Socket::adopt(given, &options(config, false));
    adopted.map_err(|source| SocketError::System { address, source })
}

fn bind_listening(
    address: SocketAddr,
    config: &Config,
    shared: bool,
) -> Result<Socket, SocketError> {
    let bind = |options: &BindOptions| match address.ip() {
        IpAddr::V6(v6) if v6.is_unspecified() => Socket::bind_any(address.port(), options),
        _ => Socket::bind(address, options),
    };
    if shared && address.port() != 0 {
        // A port that is shared among our workers could be shared with another server, too, and
        // nobody would notice. So it is first taken alone.
        drop(bind(&options(config, false))?);
    }
    Ok(bind(&options(config, shared))?)
}

impl WorkerSockets {
    fn add(
        &mut self,
        listening: Socket,
        config: &Config,
        ports: &mut Ports,
        workers: usize,
    ) -> Result<(), SocketError> {
        let address = listening.local_addr();
        let listening_id = self.push(listening, SocketRole::Transfer);
        let mut transfers = Vec::new();
        if config.single_port {
            transfers.push(listening_id);
        } else {
            for _ in 0..ports.pool(workers * config.listen.len()) {
                let Some(socket) = ports.bind(address, config)? else { break };
                transfers.push(self.push(socket, SocketRole::Transfer));
            }
        }
        if transfers.is_empty() {
            return Err(ports.exhausted());
        }
        if let Some(role) = self.roles.get_mut(usize::from(listening_id.0)) {
            *role = SocketRole::Listening { transfers };
        }
        Ok(())
    }

    fn push(&mut self, socket: Socket, role: SocketRole) -> SocketId {
        let id = SocketId(u16::try_from(self.sockets.len()).unwrap_or(u16::MAX));
        self.sockets.push(Arc::new(socket));
        self.roles.push(role);
        id
    }

    /// The sockets that requests arrive on.
    pub(crate) fn listening(&self) -> impl Iterator<Item = &Arc<Socket>> {
        let both = self.sockets.iter().zip(&self.roles);
        both.filter(|(_, role)| matches!(role, SocketRole::Listening { .. }))
            .map(|(socket, _)| socket)
    }

    /// The sockets that only transfers use.
    pub(crate) fn transfers(&self) -> impl Iterator<Item = &Arc<Socket>> {
        let both = self.sockets.iter().zip(&self.roles);
        both.filter(|(_, role)| **role == SocketRole::Transfer).map(|(socket, _)| socket)
    }
}

/// The ports that transfer sockets may still take.
struct Ports {
    range: Option<(u16, u16)>,
    left: std::ops::RangeInclusive<u16>,
}

impl Ports {
    fn new(config: &Config) -> Ports {
        let range = config.transfer_ports.as_ref().map(|range| (*range.start(), *range.end()));
        let (first, last) = range.unwrap_or((0, 0));
        Ports { range, left: first..=last }
    }

    /// How many sockets each of `users` may have.
    fn pool(&self, users: usize) -> usize {
        match self.range {
            Some((first, last)) => (usize::from(last - first) + 1).div_euclid(users).clamp(1, POOL),
            None => POOL,
        }
    }

    /// A socket of `address` on the next free port; `None` when the range has none left.
    fn bind(
        &mut self,
        mut address: SocketAddr,
        config: &Config,
    ) -> Result<Option<Socket>, SocketError> {
        // The address is kept whole: a link-local one has a scope.
        if self.range.is_none() {
            address.set_port(0);
            return Ok(Some(Socket::bind(address, &options(config, false))?));
        }
        for port in self.left.by_ref() {
            address.set_port(port);
            match Socket::bind(address, &options(config, false)) {
                Ok(socket) => return Ok(Some(socket)),
                Err(BindError::InUse { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(None)
    }

    fn exhausted(&self) -> SocketError {
        let (first, last) = self.range.unwrap_or((0, 0));
        SocketError::RangeInUse { first, last }
    }
}

fn options(config: &Config, reuse_port: bool) -> BindOptions {
    let (io, gso, absent) = (config.io, config.gso, config.absent_addresses);
    BindOptions { io, reuse_port, absent, recv_buffer: BUFFER, send_buffer: BUFFER, gso, gro: true }
}

/// An address with a mistake in it looks like one that comes later.
fn warn_of_absent_addresses(all: &[WorkerSockets]) {
    let listening = all.first().into_iter().flat_map(WorkerSockets::listening);
    for socket in listening.filter(|socket| socket.is_absent()) {
        tracing::warn!(
            "no interface has the address {} yet: clients are served there as soon as one has it \
             (`ip address` lists those there are)",
            socket.local_addr().ip()
        );
    }
}

fn warn_of_small_buffers(all: &[WorkerSockets]) {
    let buffers = all.iter().flat_map(|worker| &worker.sockets).map(|socket| socket.buffers());
    let least = buffers.map(|buffers| buffers.recv.min(buffers.send)).min().unwrap_or(BUFFER);
    if least < BUFFER_WARNING {
        tracing::warn!(
            "socket buffers hold only {} KiB, packets will be lost when many clients start at \
             once: sysctl -w net.core.rmem_max={BUFFER} net.core.wmem_max={BUFFER}",
            least >> 10
        );
    }
}
