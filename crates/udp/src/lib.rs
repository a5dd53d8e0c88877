//! UDP sockets that move datagrams in batches and know the local address of each one.
//!
//! A server with many clients on one socket needs two things the standard library does not give:
//! many datagrams a system call, and the address a datagram was sent to, so that the reply can
//! leave from that same address on a host that has several. This crate gives both: it knows no
//! protocol, keeps no queue and starts no thread. Besides that it has the one other system call that
//! nobody wraps safely, [`writers`] on Linux.
//!
//! # Drive order
//!
//! One thread owns a [`Poller`], a [`RecvBatch`] and a [`SendBuffer`], and shares each [`Socket`]
//! with the poller. Round after round:
//!
//! 1. [`Poller::wait`] until a socket is ready, the deadline is over or a [`Waker`] was used.
//! 2. [`Socket::recv`] on each readable socket and look at [`RecvBatch::iter`]. A batch that was
//!    not full means the socket was empty; a full one means there may be more.
//! 3. [`SendBuffer::start`] a batch, push the answers, [`Socket::send`] it.
//! 4. When [`Sent::blocked`] is set, keep what was not accepted, ask
//!    [`Poller::set_writable`] for the socket and go on with the batch once it is writable.
//!
//! ```
//! use std::sync::Arc;
//! use memtftp_udp::{BindOptions, Destination, Poller, RecvBatch, SendBuffer, Socket};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = Arc::new(Socket::bind("127.0.0.1:0".parse()?, &BindOptions::default())?);
//! let client = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! client.send_to(b"question", socket.local_addr())?;
//!
//! let mut poller = Poller::new()?;
//! poller.add(&socket, 0)?;
//! let (mut arrived, mut buffer) = (RecvBatch::new(), SendBuffer::new());
//!
//! for _ready in poller.wait(None)? {
//!     socket.recv(&mut arrived)?;
//!     let mut answers = buffer.start();
//!     for datagram in arrived.iter() {
//!         let to = Destination { peer: datagram.peer, local: datagram.local };
//!         answers.push(to, [0, 3, 0, 1], datagram.payload);
//!     }
//!     socket.send(&mut answers);
//! }
//!
//! let mut answer = [0; 32];
//! let length = client.recv(&mut answer)?;
//! assert_eq!(&answer[..length], b"\0\x03\0\x01question");
//! # Ok(())
//! # }
//! ```
//!
//! # Platforms
//!
//! | | datagrams a call | local address learnt and chosen |
//! |---|---|---|
//! | Linux, Android | up to [`BATCH`] ([`Io::Batched`]) | yes |
//! | macOS, iOS | one | yes |
//! | other systems | one | no: [`Received::local`] is `None` on a wildcard socket |
//!
//! Every address that leaves this crate is canonical: an IPv4 peer of a dual-stack socket is shown
//! as IPv4, never as `::ffff:a.b.c.d`.

mod address;
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_vendor = "apple")),
    path = "cmsg_none.rs"
)]
mod cmsg;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod lease;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod name;
mod options;
mod poller;
mod portable;
mod recv;
mod segmentation;
mod send;
mod socket;
#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "epoll.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "poll_other.rs")]
mod system;

pub use address::Cast;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use lease::{Writers, writers};
pub use options::Buffers;
pub use poller::{Poller, Ready, Waker};
pub use recv::{Received, RecvBatch};
pub use segmentation::Gso;
pub use send::{COPY_LIMIT, Destination, SendBatch, SendBuffer, Sent};
pub use socket::{BindError, BindOptions, Io, Socket};

/// The most datagrams one [`SendBatch`] holds, and the most that one [`RecvBatch`] holds, where
/// datagrams that came as one ([`BindOptions::gro`]) count once.
pub const BATCH: usize = 64;
