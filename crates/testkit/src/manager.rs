//! What a service manager does for its service: hands over sockets and hears how it goes.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::DEADLINE;

/// Where a service tells how it goes (`sd_notify(3)`).
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    /// A manager that listens.
    #[expect(clippy::new_without_default, reason = "it makes something outside this program")]
    pub fn new() -> Manager {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Manager { socket, directory }
    }

    /// A command that runs `program` under this manager, with a watchdog of so much patience.
    pub fn command(&self, program: impl AsRef<Path>, watchdog: Option<Duration>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        if let Some(patience) = watchdog {
            command.env("WATCHDOG_USEC", patience.as_micros().to_string());
        }
        command
    }

    /// The next message with `text`.
    ///
    /// # Panics
    /// None comes.
    pub fn wait_for(&self, text: &str) -> String {
        loop {
            let message = self.next(DEADLINE);
            let message = message.unwrap_or_else(|| panic!("waited {DEADLINE:?} for {text}"));
            if message.contains(text) {
                return message;
            }
        }
    }

    /// The next message; `None` if there is none within `patience`.
    pub fn next(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(String::from_utf8(buffer[..length].to_vec()).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Manager {
    /// Reads nothing from now on: what the service tells finds no room.
    pub fn stall(&self) {
        let other = UnixDatagram::unbound().unwrap();
        other.set_nonblocking(true).unwrap();
        let path = self.directory.path().join("notify");
        while other.send_to(b"X_FILLER=1", &path).is_ok() {}
    }
}

/// So many sockets that share a free port of this address.
pub fn sharing(ip: &str, count: usize) -> Vec<UdpSocket> {
    let bind = |port: u16| {
        let address: SocketAddr = format!("{ip}:{port}").parse().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        UdpSocket::from(socket)
    };
    let first = bind(0);
    let port = first.local_addr().unwrap().port();
    std::iter::once(first).chain((1..count).map(|_| bind(port))).collect()
}

/// Gives `start` a command that runs `program` with these sockets as a service manager hands them over
/// (`sd_listen_fds(3)`).
///
/// # Panics
/// There are more than seven.
pub fn activated<T>(
    program: impl AsRef<Path>,
    sockets: &[UdpSocket],
    start: impl FnOnce(Command) -> T,
) -> T {
    // Copies that the shell inherits, out of the way of the numbers that they are to have.
    let inherit = |socket: &UdpSocket| {
        let copy = fcntl_dupfd_cloexec(socket, 10).unwrap();
        fcntl_setfd(&copy, FdFlags::empty()).unwrap();
        copy
    };
    assert!(sockets.len() <= 7, "the copies are not in the way");
    let copies: Vec<OwnedFd> = sockets.iter().map(inherit).collect();
    let moves =
        copies.iter().zip(3..).map(|(copy, to)| format!("exec {to}<&{}; ", copy.as_raw_fd()));
    let moves: String = moves.collect();
    // Other shells know the descriptors 0 to 9 only.
    let mut command = Command::new("bash");
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.arg("-c").arg(format!("{moves}export LISTEN_PID=$$; exec \"$0\" \"$@\""));
    command.arg(program.as_ref());
    start(command)
}
