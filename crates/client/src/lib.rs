//! A TFTP client, to run or to embed: whole files, whole or not there.
//!
//! ```
//! use memtftp_client::{Client, Url};
//!
//! # let server = memtftp_server::Server::builder().start()?;
//! # let port = server.address().port();
//! let url: Url = format!("tftp://127.0.0.1:{port}/boot/config.txt").parse()?;
//! let client = Client::new();
//! client.put(&url, &mut "timeout 50\n".as_bytes())?;
//! assert_eq!(client.get_bytes(&url)?, b"timeout 50\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Client`] is settings and no more: it may serve any number of transfers, from any thread.
//! Each call blocks until the transfer has ended, and [`Cancel`] ends it from elsewhere.
//!
//! * It asks for `tsize`, `blksize` and `windowsize`, and takes less, or none of them.
//! * A file is written beside its target and renamed when it is complete. Only then does the server
//!   get the last ACK; if that fails it gets an ERROR.
//! * What is put is held in memory, whole: a window may have to be sent again, and the size is told
//!   first.

mod cancel;
mod client;
mod driver;
mod error;
mod route;
mod target;
mod text;
mod transfer;
mod url;

pub use cancel::Cancel;
pub use client::{Client, DEFAULT_TIMEOUT, DEFAULT_WINDOWSIZE};
pub use error::Error;
pub use memtftp_proto::{AskError, ErrorCode, Failure, Mode, Silence};
pub use transfer::{Progress, Report};
pub use url::{DEFAULT_PORT, Url, UrlError};

/// The example of the README is true.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
