//! A TFTP server that keeps its files in memory, to run or to embed.
//!
//! ```
//! use memtftp_server::Server;
//!
//! let server = Server::builder().start()?;          // a free port of 127.0.0.1
//! server.put("boot/config.txt", "timeout 50\n")?;   // clients can read it now
//! println!("serving on {}", server.address());
//! // ... a client uploads switch.cfg ...
//! let uploaded = server.take("switch.cfg");         // Some once it is complete
//! # assert!(uploaded.is_none());
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Server`] is a few threads: one worker for each core, which owns its sockets and its share of
//! the clients and never waits for anything but them, and one that writes the request log. There is
//! no thread, task, socket or file descriptor for a client.

mod access;
mod config;
mod interfaces;
mod library;
mod outbox;
mod preload;
mod request_log;
mod server;
mod sockets;
mod worker;

pub use access::Access;
pub use config::{
    Config, ConfigError, DEFAULT_MAX_CLIENT_SESSIONS, DEFAULT_MAX_FILES, DEFAULT_MAX_SESSIONS,
    DEFAULT_MAX_WINDOWSIZE, DEFAULT_PORT, Uploads,
};
pub use memtftp_store::{AppendError, Name, NameError, Version};
pub use memtftp_udp::{Gso, Io};
pub use preload::PreloadError;
pub use request_log::{LogError, LogFormat, LogTarget, RequestLogConfig};
pub use server::{Builder, PutError, Server, StartError};
pub use sockets::SocketError;
