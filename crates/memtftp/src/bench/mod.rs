//! `memtftp bench`: many clients at once, from one thread.
//!
//! ```text
//! target   which server, and may it be loaded?
//! content  what the files contain: read before the load, given, or made from the seed
//! load     what the clients are to do
//! pool     their sockets, and which client a datagram is for
//! fleet    the loop: begin, receive, visit, send
//! member   one client: its transfer, and the check of what it receives
//! outbox   what waits to leave by one socket
//! tally    what it came to; failure: the kinds of failure
//! process  CPU and memory; report: all of it, for people and programs
//! ```
//!
//! A member is the same [`Client`](memtftp_proto::Client) that `memtftp get` is made of. Datagrams
//! move in batches over all clients of a socket, so the cost of a block is that of the server: the
//! kernel's share, and little more.

mod content;
mod deadlines;
mod failure;
mod fleet;
mod load;
mod member;
mod outbox;
mod pool;
mod process;
mod report;
mod tally;
mod target;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use memtftp_client::{Cancel, Client, Error, Url};
use thiserror::Error;

use crate::cli::{Address, BenchFlags, Known, Share};
use crate::exit::{self, Failure};
use crate::interrupt::Interrupt;

use self::content::File;
use self::fleet::{Fleet, FleetError};
use self::load::Load;
use self::pool::{Pool, PoolError};
use self::process::Usage;
use self::report::{Back, Report};
use self::target::{Target, TargetError};

/// Why there was no load, or that some of it failed. The text says what to type.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("the URL names no file: give tftp://HOST/NAME, or names with --mix")]
    NoFile,
    #[error("--file {0}: the load has no file of that name")]
    NotInLoad(String),
    #[error("cannot read {path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("--size is too large")]
    Size,
    #[error("cannot read {name}, to compare with: {}", exit::line(.error, true))]
    Reference { name: String, error: Error },
    #[error("{0} was not the same when read twice: give --file {0}=PATH to say what it contains")]
    Changes(String),
    #[error("there is no process {0}: give the PID of the server, or leave --server-pid out")]
    NoProcess(u32),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error("cannot write the report: {0}")]
    Report(io::Error),
    #[error("{failed} of {all} transfers failed")]
    Failed { failed: u64, all: u64 },
    #[error("{0} of the files written were not the same when read back")]
    NotStored(u64),
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    #[error("interrupted: the load was cut off")]
    Interrupted(u8),
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        let code = match error {
            BenchError::Interrupted(signal) => exit::SIGNAL + signal,
            _ => exit::LOCAL,
        };
        Failure { code, line: Some(error.to_string()) }
    }
}

/// Loads a server and reports. A signal ends the load early, and what it came to is told.
pub(crate) fn run(flags: &BenchFlags) -> Result<(), BenchError> {
    let target = Target::find(&flags.url, flags.i_own_this_server)?;
    let interrupt = Interrupt::listen().map_err(BenchError::Signals)?;
    let files = match files(flags, &target, interrupt.cancel()) {
        Err(BenchError::Reference { error: Error::Cancelled, .. }) => {
            return Err(BenchError::Interrupted(interrupt.signal().unwrap_or_default()));
        }
        files => files?,
    };
    process::raise_descriptors();
    let pool = Pool::open(target.server, flags.clients, flags.spread)?;
    let load = Load::new(flags, target.server, files);
    let report = measure(flags, &load, &pool, interrupt.cancel())?;
    let text = if flags.json { format!("{}\n", report.json()) } else { report.table() };
    io::stdout().write_all(text.as_bytes()).map_err(BenchError::Report)?;
    if let Some(signal) = interrupt.signal() {
        return Err(BenchError::Interrupted(signal));
    }
    let (failed, all) = (report.tally.failed(), report.tally.completed + report.tally.failed());
    if failed > 0 {
        return Err(BenchError::Failed { failed, all });
    }
    match report.back {
        Some(Back { wrong, .. }) if wrong > 0 => Err(BenchError::NotStored(wrong)),
        _ => Ok(()),
    }
}

fn measure<'a>(
    flags: &'a BenchFlags,
    load: &'a Load,
    pool: &'a Pool,
    cancel: &'a Cancel,
) -> Result<Report<'a>, BenchError> {
    let no_process = |pid: u32| BenchError::NoProcess(pid);
    let look = |pid: u32| Usage::of(pid).ok_or(no_process(pid));
    let mut fleet = Fleet::new(load, pool, cancel).map_err(FleetError::Wait)?;
    let server = flags.server_pid.map(look).transpose()?;
    let (own, overflows) = (Usage::own(), process::overflows());
    let (tally, time) = fleet.run()?;
    let used = |before: Option<Usage>, pid| Some(Usage::of(pid)?.since(&before?));
    Ok(Report {
        flags,
        sockets: pool.sockets().len(),
        tally,
        time,
        own: used(own, std::process::id()),
        server: flags.server_pid.and_then(|pid| used(server, pid)),
        overflows: process::overflows().zip(overflows).map(|(after, before)| after - before),
        back: match load.put && !cancel.is_cancelled() {
            true => Some(read_back(load, pool, fleet.written(), cancel)?),
            false => None,
        },
    })
}

/// Reads each file that was written, once, and compares.
fn read_back(
    load: &Load,
    pool: &Pool,
    written: Vec<Option<usize>>,
    cancel: &Cancel,
) -> Result<Back, FleetError> {
    let wanted = written.iter().flatten().count() as u64;
    let load = load.back();
    let (tally, _) = Fleet::new(&load, pool, cancel)?.ordered(written).run()?;
    Ok(Back { same: tally.completed, wrong: wanted.saturating_sub(tally.completed) })
}

/// The files of the load, and what they contain.
fn files(flags: &BenchFlags, target: &Target, cancel: &Cancel) -> Result<Vec<File>, BenchError> {
    let client = reference_client(flags, cancel);
    let path = target.path();
    let shares = if flags.mix.is_empty() {
        if target.url.is_directory() {
            return Err(BenchError::NoFile);
        }
        vec![Share { name: path, weight: 1 }]
    } else {
        // The URL names their directory, with a slash or without.
        let below = if path.is_empty() || path.ends_with('/') { path } else { path + "/" };
        let named = |share: &Share| Share { name: format!("{below}{}", share.name), ..*share };
        flags.mix.iter().map(named).collect()
    };
    if flags.put {
        let size = usize::try_from(flags.size).map_err(|_| BenchError::Size)?;
        return Ok(shares.into_iter().map(|share| File::made(share, size, flags.seed)).collect());
    }
    let known = |known: &Known| !shares.iter().any(|share| is_named(share, known));
    if let Some(stray) = flags.file.iter().find(|file| known(file)) {
        return Err(BenchError::NotInLoad(stray.name.clone()));
    }
    let file = |share: Share| {
        let content = match flags.file.iter().find(|known| is_named(&share, known)) {
            Some(Known { path, .. }) => Some(
                fs::read(path).map_err(|error| BenchError::File { path: path.clone(), error })?,
            ),
            None => reference(&client, target, &share.name)?,
        };
        Ok(File::known(share, content))
    };
    shares.into_iter().map(file).collect()
}

/// Whether a `--file` means this one: by its whole name or by that in `--mix`.
fn is_named(share: &Share, known: &Known) -> bool {
    let rest = share.name.strip_suffix(&known.name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Reads what the load is compared with.
fn reference_client(flags: &BenchFlags, cancel: &Cancel) -> Client {
    let client = Client::new().cancelled_by(cancel);
    let client = match flags.blksize {
        Some(blksize) => client.blksize(blksize),
        None => client,
    };
    match flags.give_up {
        Some(patience) => client.timeout(patience),
        None => client,
    }
}

/// What the server gives for `name`, read twice; `None` if it refuses: then the load shows how.
fn reference(client: &Client, target: &Target, name: &str) -> Result<Option<Vec<u8>>, BenchError> {
    let server = target.server.to_string();
    let url: Url = Address::parse(OsStr::new(&server)).map_err(TargetError::from)?.url;
    let url = url.join(name.as_bytes());
    let failed = |error| BenchError::Reference { name: name.to_owned(), error };
    let first = match client.get_bytes(&url) {
        Ok(bytes) => bytes,
        Err(error @ (Error::NotFound { .. } | Error::Refused { .. })) => {
            tracing::warn!("cannot read {name}: {error}");
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut second = Compared { rest: &first, same: true };
    client.get(&url, &mut second).map_err(failed)?;
    let same = second.same && second.rest.is_empty();
    if same { Ok(Some(first)) } else { Err(BenchError::Changes(name.to_owned())) }
}

/// Compares what is written to it. A second copy of a large file would be most of our memory.
struct Compared<'a> {
    rest: &'a [u8],
    same: bool,
}

impl Write for Compared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.same = false,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
