//! The Unix socket that tells the status: one JSON document for each connection.

use std::convert::Infallible;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use super::Gauge;

/// Connections that wait for their turn, at most; who comes then waits outside or is turned away.
const BACKLOG: i32 = 16;

/// How long one connection may take to read its document. They are served one after the other, and
/// no other part of the server waits for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the end waits for the thread. It answers nobody then, but may still be asking the workers.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// How long a document is told again.
const FRESH: Duration = Duration::from_millis(100);

/// The pause after an error that another client would meet, too.
const PAUSE: Duration = Duration::from_millis(100);

const READABLE: PollFlags = PollFlags::IN;

/// The owner and the group of the server may ask.
const MODE: u32 = 0o660;

/// The status socket cannot be had. The operator must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatusSocketError {
    /// Another server answers there.
    #[error(
        "a server that runs has the status socket {}: stop it, or choose another with \
         --status-socket PATH", .0.display()
    )]
    InUse(PathBuf),
    /// There is something else, which is not ours to remove.
    #[error(
        "{} is no socket: remove it, or choose another path with --status-socket PATH", .0.display()
    )]
    NotASocket(PathBuf),
    /// Anything else the system said.
    #[error(
        "cannot make the status socket {}: {source}; choose a path in a directory that this user may \
         write to with --status-socket PATH", path.display()
    )]
    System {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that clients can connect to, and its file.
#[derive(Debug)]
pub(crate) struct StatusSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// A socket whose clients are answered. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Serving {
    /// Closed to end the thread.
    end: Option<UnixStream>,
    /// Disconnected when the thread has ended.
    ended: Receiver<Infallible>,
}

/// Removed when dropped, if it is still this server's.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl StatusSocket {
    /// Takes the path. The socket of a server that is dead is replaced.
    ///
    /// # Errors
    /// The path cannot be had.
    pub(crate) fn open(path: &Path) -> Result<StatusSocket, StatusSocketError> {
        let failed = |source| StatusSocketError::System { path: path.to_owned(), source };
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
        let file = SocketFile::new(path).map_err(failed)?;
        // Nobody can connect before the rights are set.
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(StatusSocket { listener: UnixListener::from(OwnedFd::from(socket)), file })
    }

    /// Answers clients from now on, by a thread.
    ///
    /// # Errors
    /// There is no thread or no descriptor left.
    pub(crate) fn serve(self, gauge: Gauge) -> io::Result<Serving> {
        let (end, to_end) = UnixStream::pair()?;
        let (ending, ended) = crossbeam_channel::bounded(0);
        let serve = move || {
            let _ending: Sender<Infallible> = ending;
            if let Err(error) = answer_all(&self.listener, &to_end, &gauge) {
                tracing::error!("the status socket is answered no more: {error}");
            }
            // By this thread, since nobody waits for the disk that it lies on.
            drop(self.file);
        };
        std::thread::Builder::new().name("status".into()).spawn(serve)?;
        Ok(Serving { end: Some(end), ended })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.ended.recv_timeout(LAST_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the thread of the status socket has not ended in {LAST_WAIT:?}");
        }
    }
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = identity(&self.path).is_ok_and(|found| found == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the status socket {}: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes the socket of a server that is gone.
fn remove_stale(path: &Path) -> Result<(), StatusSocketError> {
    let failed = |source| StatusSocketError::System { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(StatusSocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match try_connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // One with too many clients to take one more.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(failed(error)),
        _ => Err(StatusSocketError::InUse(path.to_owned())),
    }
}

fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// Answers one client after the other until the other end of `ended` is closed.
fn answer_all(listener: &UnixListener, ended: &UnixStream, gauge: &Gauge) -> io::Result<()> {
    let mut document = Document::default();
    loop {
        let [end, _] = wait([(ended.as_fd(), READABLE), (listener.as_fd(), READABLE)], None)?;
        if end {
            return Ok(());
        }
        match listener.accept() {
            Ok((client, _)) => {
                let deadline = Instant::now() + PATIENCE;
                if let Err(error) = send(client, document.fresh(gauge), deadline, ended) {
                    // It has gone or reads too slowly: its own loss.
                    tracing::debug!("a client of the status socket was not answered: {error}");
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                // Such as no descriptor left: it would be tried again at once, and again.
                tracing::debug!("a client of the status socket was not heard: {error}");
                wait([(ended.as_fd(), READABLE)], Some(PAUSE))?;
            }
        }
    }
}

/// Waits until one of these is ready for what it is waited for; tells which are.
fn wait<const N: usize>(
    sockets: [(BorrowedFd<'_>, PollFlags); N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut ready = sockets.map(|(socket, events)| PollFd::from_borrowed_fd(socket, events));
    match poll(&mut ready, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(ready.map(|socket| !socket.revents().is_empty())),
        Err(error) => Err(error.into()),
    }
}

/// What clients are told. Who asks ever again gets the same for a moment: the workers have more to
/// do than to answer this.
#[derive(Debug, Default)]
struct Document {
    made: Option<Instant>,
    json: Vec<u8>,
}

impl Document {
    fn fresh(&mut self, gauge: &Gauge) -> &[u8] {
        if self.made.is_none_or(|made| made.elapsed() >= FRESH) {
            self.json.clear();
            if let Err(error) = serde_json::to_writer(&mut self.json, &gauge.status()) {
                tracing::error!("the status cannot be written as JSON: {error}");
            }
            self.json.push(b'\n');
            self.made = Some(Instant::now());
        }
        &self.json
    }
}

/// Writes a document until the deadline, or until the other end of `ended` is closed.
fn send(
    mut client: UnixStream,
    document: &[u8],
    deadline: Instant,
    ended: &UnixStream,
) -> io::Result<()> {
    client.set_nonblocking(true)?;
    let mut rest = document;
    while !rest.is_empty() {
        match client.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let sockets = [(ended.as_fd(), READABLE), (client.as_fd(), PollFlags::OUT)];
        if !rest.is_empty() && wait(sockets, Some(left))?[0] {
            return Err(ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any buffer of the system holds.
    const LARGE: usize = 64 << 20;

    #[test]
    fn a_client_that_does_not_read_is_left_when_its_time_is_over() {
        let (client, server) = UnixStream::pair().unwrap();
        let (_end, ended) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let error = send(server, &vec![0; LARGE], deadline, &ended).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(Instant::now() >= deadline);
        drop(client);
    }

    #[test]
    fn the_end_does_not_wait_for_a_client_that_does_not_read() {
        let (client, server) = UnixStream::pair().unwrap();
        let (end, ended) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_secs(3_600);
        let sending = std::thread::spawn(move || send(server, &vec![0; LARGE], deadline, &ended));
        drop(end);
        let error = sending.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}");
        drop(client);
    }

    #[test]
    fn a_client_that_reads_a_little_now_and_then_has_no_more_time() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let reading = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 12];
            let mut read = 0;
            while let Ok(count @ 1..) = io::Read::read(&mut client, &mut buffer) {
                read += count;
                std::thread::yield_now();
            }
            read
        });
        let (_end, ended) = UnixStream::pair().unwrap();
        let sent = send(server, &vec![0; LARGE], Instant::now() + Duration::from_millis(1), &ended);
        let read = reading.join().unwrap();
        assert!(sent.is_err() && read < LARGE, "{sent:?}, {read} bytes");
    }
}
