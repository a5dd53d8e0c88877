//! One file: the addresses of its server in turn, and again after a time-out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use memtftp_proto::{Ask, Client as Core, Failure, Mode, Silence, Timing};

use crate::client::Client;
use crate::driver::{Driver, Stop};
use crate::error::Error;
use crate::route::Route;
use crate::target::Target;
use crate::text::printable;
use crate::url::Url;

/// How long an address is waited for while there are others to try.
const FIRST_ADDRESS: Duration = Duration::from_secs(3);

/// Requests go out at 1, 2, 4 and 8 parts of so many that the time-out has: there is time for those
/// with options, and then for some without.
const PARTS: u32 = 16;

/// The wait before the second request, with a long time-out and with a short one.
const INITIAL: Duration = Duration::from_secs(1);
const SHORTEST_INITIAL: Duration = Duration::from_millis(50);

/// A window of more bytes is slower: they leave the processor's cache before they are copied again.
const WINDOW_BYTES: usize = 256 << 10;

/// What the kernel charges for a datagram that waits, besides its bytes.
const BOOKKEEPING: usize = 1_024;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that have arrived, or that the server has acknowledged, as they travelled.
    pub bytes: u64,
    /// Bytes of the whole file, if known. A server may be wrong about it.
    pub total: Option<u64>,
}

/// What a transfer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The server's address that answered, with the port that its answers came from.
    pub peer: SocketAddr,
    /// Bytes of the file as they travelled.
    pub bytes: u64,
    /// Bytes in a block, as agreed.
    pub blksize: u16,
    /// Blocks in a window, as agreed.
    pub windowsize: u16,
    /// Packets that this side sent again.
    pub retransmissions: u32,
    /// From the request of the attempt that succeeded to its end.
    pub duration: Duration,
}

/// What is to be done.
pub(crate) struct Job<'a> {
    pub(crate) client: &'a Client,
    pub(crate) url: &'a Url,
    /// What is put; a get has none.
    pub(crate) content: Option<&'a [u8]>,
    pub(crate) target: &'a mut dyn Target,
}

impl Job<'_> {
    /// Does it.
    pub(crate) fn run(self) -> Result<Report, Error> {
        let addresses = resolve(self.url)?;
        self.run_with(&addresses)
    }

    fn run_with(mut self, addresses: &[SocketAddr]) -> Result<Report, Error> {
        let mut attempts = 0..=self.client.retries;
        loop {
            attempts.next();
            let error = match self.each(addresses) {
                Ok(report) => return Ok(report),
                Err(error) => error,
            };
            let again = matches!(error, Error::TimedOut { .. }) && !attempts.is_empty();
            if !again || !self.restart()? {
                return Err(error);
            }
        }
    }

    /// Tries one address after the other until one answers.
    fn each(&mut self, addresses: &[SocketAddr]) -> Result<Report, Error> {
        let mut failed = None;
        for (index, address) in addresses.iter().enumerate() {
            let last = index + 1 == addresses.len();
            let patience = self.client.timeout;
            let patience = if last { patience } else { patience.min(FIRST_ADDRESS) };
            match self.attempt(*address, patience) {
                Err(error @ Error::TimedOut { silence: Silence::Unanswered { .. }, .. }) => {
                    failed = Some(error);
                }
                // Silence says more than that there is no way.
                Err(error @ Error::Unreachable { .. }) => failed = failed.or(Some(error)),
                result => return result,
            }
        }
        Err(failed.unwrap_or_else(|| no_address(self.url)))
    }

    fn restart(&mut self) -> Result<bool, Error> {
        let what = self.target.what();
        self.target.restart().map_err(|source| Error::Write { what, source })
    }

    fn attempt(&mut self, address: SocketAddr, patience: Duration) -> Result<Report, Error> {
        let unreachable = |source| Error::Unreachable { address, source };
        let route = Route::to(address).map_err(unreachable)?;
        let started = Instant::now();
        let mut driver = Driver::new(route.local)?;
        let _registered = self.client.cancel.register(driver.waker());
        let ask = self.ask(&route, driver.recv_buffer());
        let timing = timing(self.client.timeout, patience);
        let now = driver.now();
        let mut core = match self.content {
            None => Core::get(now, address, ask, &timing)?,
            Some(content) => Core::put(now, address, ask, content, &timing)?,
        };
        let known = self.content.map(|content| content.len() as u64);
        let report = self.client.progress.as_deref();
        let progress = |core: &Core<&[u8]>| {
            if let Some(report) = report {
                report(Progress { bytes: core.totals().bytes, total: core.announced().or(known) });
            }
        };
        let stopped = driver.run(&mut core, &mut *self.target, &self.client.cancel, progress);
        stopped.map_err(|stop| self.error(stop, address, &timing, &core))?;
        let (totals, agreed) = (core.totals(), core.agreed());
        Ok(Report {
            peer: core.peer().unwrap_or(address),
            bytes: totals.bytes,
            blksize: agreed.blksize,
            windowsize: agreed.windowsize,
            retransmissions: totals.retransmissions,
            duration: started.elapsed(),
        })
    }

    /// What is asked for: what the caller wants, else what suits the way.
    fn ask(&self, route: &Route, recv_buffer: usize) -> Ask {
        let client = self.client;
        let mode = client.mode.or(self.url.mode()).unwrap_or(Mode::Octet);
        let ask = Ask { mode, ..Ask::plain(self.url.name()) };
        if !client.options {
            return ask;
        }
        let blksize = client.blksize.unwrap_or(route.blksize);
        // A window that does not fit the socket's buffer loses its end, each time.
        let size = usize::from(blksize);
        let fits = (recv_buffer / (size + BOOKKEEPING)).min(WINDOW_BYTES / size.max(1));
        let fits = u16::try_from(fits).unwrap_or(u16::MAX).max(1);
        let windowsize = client.windowsize.unwrap_or(crate::DEFAULT_WINDOWSIZE.min(fits));
        Ask { blksize: Some(blksize), windowsize: Some(windowsize), tsize: true, ..ask }
    }

    fn error(&self, stop: Stop, address: SocketAddr, timing: &Timing, core: &Core<&[u8]>) -> Error {
        let failure = match stop {
            Stop::Cancelled => return Error::Cancelled,
            Stop::Target(source) => return Error::Write { what: self.target.what(), source },
            Stop::Unreachable(source) => return Error::Unreachable { address, source },
            Stop::System(error) => return Error::System(error),
            Stop::Failed(failure) => failure,
        };
        match failure {
            Failure::Refused { code, text } => match block_limit(core) {
                Some(block) => Error::BlockLimit { address, block, refused: true },
                None => refused(code, &text),
            },
            Failure::TimedOut(silence) => match block_limit(core) {
                Some(block) if silence == Silence::Midway => {
                    Error::BlockLimit { address, block, refused: false }
                }
                _ => {
                    let is_answered = silence.is_answered();
                    let after = if is_answered { timing.patience } else { timing.opening_patience };
                    Error::TimedOut { address, silence, after }
                }
            },
            Failure::Short { announced, received } => Error::Short { address, announced, received },
            Failure::Options(_) | Failure::TooLong => {
                Error::Protocol { address, reason: failure.to_string() }
            }
            Failure::Aborted => Error::Cancelled,
        }
    }
}

/// The block number at whose end the transfer is, if it is one at which devices stop: those that count
/// in 16 bits without going on from 0, and those that take the number for a signed one.
fn block_limit(core: &Core<&[u8]>) -> Option<u64> {
    let (blocks, window) = (core.totals().blocks, u64::from(core.agreed().windowsize));
    let is_at = |limit: &u64| blocks <= *limit && limit - blocks < window;
    [65_535, 32_767].into_iter().find(is_at)
}

fn refused(code: memtftp_proto::ErrorCode, text: &str) -> Error {
    let text = printable(text);
    match code {
        memtftp_proto::ErrorCode::NOT_FOUND => Error::NotFound { text },
        _ => Error::Refused { code, text },
    }
}

/// When to ask again and when to give up.
fn timing(timeout: Duration, opening_patience: Duration) -> Timing {
    let initial = (timeout / PARTS).clamp(SHORTEST_INITIAL, INITIAL);
    let usual = Timing::default();
    let ceiling = usual.ceiling.min(timeout / 2).max(initial);
    Timing { initial, ceiling, patience: timeout, opening_patience, ..usual }
}

/// The addresses of the server, each once, in the order of the system.
fn resolve(url: &Url) -> Result<Vec<SocketAddr>, Error> {
    let failed = |source| Error::Resolve { host: url.host().into(), source };
    let mut addresses = Vec::new();
    for address in (url.host(), url.port()).to_socket_addrs().map_err(failed)? {
        let address = reachable(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(no_address(url)) } else { Ok(addresses) }
}

fn no_address(url: &Url) -> Error {
    Error::Resolve { host: url.host().into(), source: io::ErrorKind::NotFound.into() }
}

/// As answers will come from it: IPv4 as IPv4, and this machine by its name for itself.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => return address,
        ip @ IpAddr::V4(_) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
