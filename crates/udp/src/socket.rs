//! Binding, and the choice between the two ways to move datagrams.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Type};

use crate::address::canonical;
use crate::cmsg::Arrival;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::linux;
use crate::options::{self, Buffers};
use crate::portable;
use crate::recv::RecvBatch;
use crate::segmentation::{Gso, Segmentation};
use crate::send::{SendBatch, Sent};

/// How datagrams are moved between a [`Socket`] and the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// A whole batch a system call. Linux and Android; elsewhere the same as `Portable`.
    Batched,
    /// One datagram a system call.
    Portable,
}

impl Io {
    /// The fastest way this system has.
    pub fn best() -> Io {
        if cfg!(any(target_os = "linux", target_os = "android")) {
            Io::Batched
        } else {
            Io::Portable
        }
    }
}

impl fmt::Display for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Io::Batched => "batched",
            Io::Portable => "portable",
        })
    }
}

/// How a [`Socket`] is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindOptions {
    /// How datagrams are moved.
    pub io: Io,
    /// Several sockets may be bound to the address, and share its datagrams by peer. All of them
    /// must ask for it. Off, a second socket gets [`BindError::InUse`].
    pub reuse_port: bool,
    /// The address may be one that no interface has yet (`IP_FREEBIND`, `IPV6_FREEBIND`): datagrams
    /// arrive and leave once one has it. [`Socket::is_absent`] tells. Linux and Android; off, or
    /// elsewhere, such an address gets [`BindError::NoSuchAddress`].
    pub absent: bool,
    /// Bytes of kernel memory asked for datagrams that wait to be read; 0 leaves the system's
    /// size. What was granted is in [`Socket::buffers`].
    pub recv_buffer: usize,
    /// Bytes of kernel memory asked for datagrams that wait to leave; 0 leaves the system's size.
    ///
    /// Datagrams to a peer on the local network that does not answer address resolution wait here
    /// for seconds, a few hundred KiB of them on Linux. A buffer smaller than that lets one absent
    /// peer block the socket for all others.
    pub send_buffer: usize,
    /// Whether runs of equal datagrams to one peer leave as one. Only with [`Io::Batched`].
    pub gso: Gso,
    /// Whether such runs may arrive as one, which saves time when peers send windows. Only with
    /// [`Io::Batched`], and where the kernel can.
    pub gro: bool,
}

impl Default for BindOptions {
    /// The best [`Io`], an address of its own, buffers of the system's size, runs sent as one.
    fn default() -> BindOptions {
        let (recv_buffer, send_buffer) = (0, 0);
        let (io, gso) = (Io::best(), Gso::Auto);
        let (reuse_port, absent, gro) = (false, false, false);
        BindOptions { io, reuse_port, absent, recv_buffer, send_buffer, gso, gro }
    }
}

/// Why a [`Socket`] could not be bound. Each one is for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has the address and port.
    #[error("{address} is already in use")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system does not let this user have the port, as with ports below 1024.
    #[error("no permission to use {address}")]
    Denied {
        /// The address asked for.
        address: SocketAddr,
    },
    /// This host does not have the address.
    #[error("this host does not have the address of {address}")]
    NoSuchAddress {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else, such as a family the system does not support.
    #[error("cannot bind {address}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> BindError {
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            io::ErrorKind::PermissionDenied => BindError::Denied { address },
            io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress { address },
            _ => BindError::Other { address, source },
        }
    }

    /// Whether an IPv6 address failed because there is no IPv6 here.
    fn without_ipv6(&self) -> bool {
        match self {
            BindError::NoSuchAddress { .. } => true,
            BindError::Other { source, .. } => source.raw_os_error() == Some(NO_FAMILY),
            BindError::InUse { .. } | BindError::Denied { .. } => false,
        }
    }
}

/// A bound UDP socket that never blocks.
#[derive(Debug)]
pub struct Socket {
    pub(crate) inner: socket2::Socket,
    /// An IPv6 socket, which wants IPv4 peers in mapped form.
    pub(crate) v6: bool,
    /// What is known of every arriving datagram. `None` on a wildcard socket, where each one has
    /// to tell, and where a reply has to name its source.
    pub(crate) fixed: Option<Arrival>,
    /// Several datagrams may come as one.
    pub(crate) coalesced: bool,
    pub(crate) segmentation: Segmentation,
    io: Io,
    local: SocketAddr,
    absent: bool,
    buffers: Buffers,
}

impl Socket {
    /// Binds a socket to `address`; port 0 lets the system choose one.
    ///
    /// The IPv6 wildcard takes IPv4 peers as well; other IPv6 addresses take IPv6 peers only.
    /// Datagrams may be fragmented on their way, and cannot be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The address is taken, forbidden or not of this host, or the system refused the socket.
    pub fn bind(address: SocketAddr, options: &BindOptions) -> Result<Socket, BindError> {
        let address = canonical(address);
        Self::set_up(address, options).map_err(|source| BindError::new(address, source))
    }

    /// Binds `port` on every address of this host: `[::]` for both families, or `0.0.0.0` where
    /// there is no IPv6.
    ///
    /// # Errors
    ///
    /// As [`Socket::bind`], with the address of the last attempt.
    pub fn bind_any(port: u16, options: &BindOptions) -> Result<Socket, BindError> {
        match Self::bind((Ipv6Addr::UNSPECIFIED, port).into(), options) {
            Err(error) if error.without_ipv6() => {
                Self::bind((Ipv4Addr::UNSPECIFIED, port).into(), options)
            }
            result => result,
        }
    }

    /// Takes a socket over that is bound already, as a service manager hands it over, and sets it up
    /// as [`Socket::bind`] would. Whether it shares its address was decided when it was bound, so
    /// [`BindOptions::reuse_port`] is not looked at, and a buffer that is larger than asked stays.
    ///
    /// Datagrams that came before this call may lack the address they were sent to, if who bound the
    /// socket did not ask the system for it.
    ///
    /// # Errors
    ///
    /// The system refused, or it is no socket with an address of this host.
    pub fn adopt(socket: UdpSocket, options: &BindOptions) -> io::Result<Socket> {
        let inner = socket2::Socket::from(socket);
        let bound = inner.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        let present = options::buffers(&inner)?;
        let unless_there = |asked: usize, there: usize| if there >= asked { 0 } else { asked };
        let options = BindOptions {
            recv_buffer: unless_there(options.recv_buffer, present.recv),
            send_buffer: unless_there(options.send_buffer, present.send),
            ..options.clone()
        };
        let set = Settings::of(&inner, bound.is_ipv6(), bound.ip().is_unspecified(), &options)?;
        Ok(Socket::new(inner, bound.is_ipv6(), canonical(bound), set, options.io, false))
    }

    /// The bound address, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether no interface had the address when it was bound ([`BindOptions::absent`]).
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    /// The kernel buffers granted when the socket was bound.
    pub fn buffers(&self) -> Buffers {
        self.buffers
    }

    /// Whether runs of equal datagrams leave as one.
    pub fn is_segmenting(&self) -> bool {
        self.segmentation.is_on()
    }

    /// Sends each datagram by itself from now on, unless [`Gso::On`] was asked for. For a caller
    /// who notices that runs get lost on their way.
    pub fn stop_segmenting(&self) {
        self.segmentation.turn_off();
    }

    /// Puts the datagrams that wait, up to [`BATCH`](crate::BATCH), into `batch` in place of those
    /// it held, and returns their number. Never blocks: 0 when nothing waits.
    ///
    /// # Errors
    ///
    /// The system is out of memory, or the socket is broken. `batch` is empty then.
    pub fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.clear();
        match self.io {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Io::Batched => linux::recv(self, batch),
            _ => portable::recv(self, batch),
        }
    }

    /// Sends the datagrams of `batch` in order and takes those that were dealt with out of it.
    ///
    /// Never blocks. A datagram the system refuses is skipped and counted, and the rest goes on.
    /// After [`Sent::blocked`], calling this again with the same batch goes on where it stopped.
    pub fn send(&self, batch: &mut SendBatch<'_>) -> Sent {
        let sent = match self.io {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Io::Batched => linux::send(self, batch),
            _ => portable::send(self, batch),
        };
        batch.advance(sent.accepted);
        sent
    }

    fn set_up(address: SocketAddr, options: &BindOptions) -> io::Result<Socket> {
        let v6 = address.is_ipv6();
        let wildcard = address.ip().is_unspecified();
        let domain = Domain::for_address(address);
        let inner = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if v6 {
            inner.set_only_v6(!wildcard)?;
        }
        if options.reuse_port {
            reuse_port(&inner)?;
        }
        let set = Settings::of(&inner, v6, wildcard, options)?;
        let absent = bind(&inner, address, options.absent && !wildcard)?;
        // A datagram may arrive from here on, so everything has to be set by now.
        let local = inner.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Socket::new(inner, v6, local, set, options.io, absent))
    }

    fn new(
        inner: socket2::Socket,
        v6: bool,
        local: SocketAddr,
        set: Settings,
        io: Io,
        absent: bool,
    ) -> Socket {
        let Settings { coalesced, segmentation, buffers } = set;
        let fixed = (!local.ip().is_unspecified()).then(|| Arrival::at(local.ip()));
        Socket { inner, v6, fixed, coalesced, segmentation, io, local, absent, buffers }
    }
}

/// Binds a socket; with `absent` also to an address that no interface has. Returns whether none has.
fn bind(socket: &socket2::Socket, address: SocketAddr, absent: bool) -> io::Result<bool> {
    match socket.bind(&address.into()) {
        Err(error) if absent && error.kind() == io::ErrorKind::AddrNotAvailable => {
            // Asked for only now, because with it the system does not tell.
            options::allow_absent(socket, address.is_ipv6())?;
            socket.bind(&address.into()).map(|()| true)
        }
        result => result.map(|()| false),
    }
}

/// What every socket is set to, be it bound by us or not, and what the system made of it.
struct Settings {
    coalesced: bool,
    segmentation: Segmentation,
    buffers: Buffers,
}

impl Settings {
    fn of(
        socket: &socket2::Socket,
        v6: bool,
        wildcard: bool,
        options: &BindOptions,
    ) -> io::Result<Settings> {
        socket.set_nonblocking(true)?;
        if wildcard {
            options::report_local(socket, v6)?;
        }
        options::allow_fragments(socket, v6)?;
        let batched = options.io == Io::Batched;
        let coalesced = batched && options.gro && options::coalesce(socket);
        let segmentation = Segmentation::new(options.gso, batched && options::can_segment(socket));
        let buffers = options::set_buffers(socket, options.recv_buffer, options.send_buffer)?;
        Ok(Settings { coalesced, segmentation, buffers })
    }
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
fn reuse_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
fn reuse_port(_socket: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The system's code for an address family it does not have.
#[cfg(unix)]
const NO_FAMILY: i32 = libc::EAFNOSUPPORT;
#[cfg(not(unix))]
const NO_FAMILY: i32 = 10047;

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind_or_code: impl Into<io::Error>) -> BindError {
        BindError::new("[::]:69".parse().unwrap(), kind_or_code.into())
    }

    #[test]
    fn only_a_missing_family_falls_back_to_ipv4() {
        assert!(error(io::Error::from_raw_os_error(NO_FAMILY)).without_ipv6());
        assert!(error(io::ErrorKind::AddrNotAvailable).without_ipv6());
        assert!(!error(io::ErrorKind::AddrInUse).without_ipv6());
        assert!(!error(io::ErrorKind::PermissionDenied).without_ipv6());
        assert!(!error(io::ErrorKind::OutOfMemory).without_ipv6());
    }

    #[cfg(unix)]
    #[test]
    fn both_codes_for_no_permission_are_denied() {
        for code in [libc::EACCES, libc::EPERM] {
            let error = error(io::Error::from_raw_os_error(code));
            assert!(matches!(error, BindError::Denied { .. }), "{error:?}");
        }
    }
}
