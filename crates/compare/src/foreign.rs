//! A cross-check with clients that nobody here wrote.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Error;
use crate::cases::LARGE;
use crate::servers::{Kind, LOAD_CPU, Places, Server};

/// Transfers of one run.
const TRANSFERS: u32 = 5;

/// A client, and how it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Lock-step, 1428 bytes.
    Curl,
    /// A window of 16, 1428 bytes.
    Atftp,
}

impl Client {
    pub(crate) const ALL: [Client; 2] = [Client::Curl, Client::Atftp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Curl => "curl, lock-step x 1428",
            Client::Atftp => "atftp, window 16 x 1428",
        }
    }

    fn command(self, to: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", LOAD_CPU]);
        match self {
            Client::Curl => command
                .args(["curl", "--silent", "--tftp-blksize", "1428", "--output"])
                .arg(to)
                .arg("tftp://127.0.0.1/large"),
            Client::Atftp => command
                .args(["atftp", "--get", "--option", "blksize 1428", "--option", "windowsize 16"])
                .args(["--remote-file", "large", "--local-file"])
                .arg(to)
                .args(["127.0.0.1", "69"]),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Seconds a transfer, and the server's CPU a block in microseconds. `None` if a transfer failed.
pub(crate) fn run(
    places: &Places,
    kind: Kind,
    client: Client,
) -> Result<Option<(f64, f64)>, Error> {
    let server = Server::start(places, kind, LARGE)?;
    let to = tempfile::tempdir().map_err(Error::Socket)?;
    let (begun, before) = (Instant::now(), server.cpu());
    for _ in 0..TRANSFERS {
        let mut command = client.command(&to.path().join("copy"));
        let status = command.status();
        let status = status.map_err(|source| Error::Program { name: "taskset", source })?;
        if !status.success() {
            return Ok(None);
        }
    }
    let seconds = begun.elapsed().as_secs_f64() / f64::from(TRANSFERS);
    let blocks = f64::from(TRANSFERS) * (LARGE.size / 1428 + 1) as f64;
    // What the processes of tftpd-hpa use is counted nowhere, see `measure`.
    let counted = server.cpu().zip(before).filter(|_| kind != Kind::TftpdHpa);
    let used = counted.map_or(f64::NAN, |(after, before)| after - before);
    Ok(Some((seconds, used * 1e6 / blocks)))
}
