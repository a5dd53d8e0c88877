//! `memtftp status`.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use memtftp_server::Status;
use thiserror::Error;

use crate::cli::StatusFlags;

/// How long the server may say nothing. It asks its workers for a second at most, for one who asks
/// after the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no status. The text says what to type.
#[derive(Debug, Error)]
pub(crate) enum StatusError {
    #[error(
        "no server has the status socket {}: start one with --status-socket PATH, or name its socket \
         here with --status-socket PATH", .0.display()
    )]
    NoServer(PathBuf),
    #[error(
        "no right to use the status socket {}: run as the user of the server, as one of its group, or \
         as root", .0.display()
    )]
    Denied(PathBuf),
    #[error("the server at {} did not answer: {source}; try again", path.display())]
    Broken { path: PathBuf, source: io::Error },
    #[error("cannot understand the server at {}: {source}; use its version of this program", path.display())]
    Strange { path: PathBuf, source: serde_json::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Asks a server and prints what it says.
pub(crate) fn run(flags: &StatusFlags) -> Result<(), StatusError> {
    let path = flags.socket();
    let document = match ask(&path) {
        Ok(document) => document,
        Err(error) => return Err(explain(error, path)),
    };
    let status: Status = serde_json::from_slice(&document)
        .map_err(|source| StatusError::Strange { path, source })?;
    let mut out = io::stdout().lock();
    // A reader that has gone, like `head`, has what it wanted.
    let printed = if flags.json { out.write_all(&document) } else { write!(out, "{status}") };
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(StatusError::Output(error)),
        _ => Ok(()),
    }
}

fn ask(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut server = UnixStream::connect(path)?;
    server.set_read_timeout(Some(PATIENCE))?;
    let mut document = Vec::new();
    server.read_to_end(&mut document)?;
    if document.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(document) }
}

fn explain(source: io::Error, path: PathBuf) -> StatusError {
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => StatusError::NoServer(path),
        ErrorKind::PermissionDenied => StatusError::Denied(path),
        _ => StatusError::Broken { path, source },
    }
}
