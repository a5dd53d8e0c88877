//! The settings of transfers, and the transfers.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memtftp_proto::Mode;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::target::{self, Nowhere, Stream, Target};
use crate::transfer::{Job, Progress, Report};
use crate::url::Url;

/// Silence after which a transfer is given up, without [`Client::timeout`].
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// Blocks in a window, without [`Client::windowsize`]. Fewer are asked for if they are more than 256
/// KiB, or more than the socket's buffer holds.
///
/// Twice as many bring a quarter on a perfect network, but double what one lost packet costs.
pub const DEFAULT_WINDOWSIZE: u16 = 32;

/// How files are fetched and sent.
#[derive(Clone)]
pub struct Client {
    pub(crate) blksize: Option<u16>,
    pub(crate) windowsize: Option<u16>,
    pub(crate) options: bool,
    pub(crate) mode: Option<Mode>,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) cancel: Cancel,
    pub(crate) progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl Client {
    /// The settings that suit most.
    pub fn new() -> Client {
        Client {
            blksize: None,
            windowsize: None,
            options: true,
            mode: None,
            timeout: DEFAULT_TIMEOUT,
            retries: 0,
            cancel: Cancel::new(),
            progress: None,
        }
    }

    /// Asks for blocks of so many bytes, 8 to 65464, instead of what travels to the server in one
    /// piece.
    #[must_use]
    pub fn blksize(self, bytes: u16) -> Client {
        Client { blksize: Some(bytes), ..self }
    }

    /// Asks for windows of so many blocks, from 1, instead of [`DEFAULT_WINDOWSIZE`].
    #[must_use]
    pub fn windowsize(self, blocks: u16) -> Client {
        Client { windowsize: Some(blocks), ..self }
    }

    /// Asks for no option at all: blocks of 512 bytes in lock-step, as in RFC 1350.
    #[must_use]
    pub fn without_options(self) -> Client {
        Client { options: false, ..self }
    }

    /// How the bytes travel, whatever the URL says.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Client {
        Client { mode: Some(mode), ..self }
    }

    /// Gives up after so much silence instead of [`DEFAULT_TIMEOUT`]. Addresses of a name that do
    /// not answer at all are given up after three seconds while there are others.
    #[must_use]
    pub fn timeout(self, silence: Duration) -> Client {
        Client { timeout: silence, ..self }
    }

    /// Starts over so often after a time-out: not at all, unless this is said. A get into a
    /// [`Write`] is started over only before its first byte.
    #[must_use]
    pub fn retries(self, times: u32) -> Client {
        Client { retries: times, ..self }
    }

    /// Lets `cancel` end the transfers.
    #[must_use]
    pub fn cancelled_by(self, cancel: &Cancel) -> Client {
        Client { cancel: cancel.clone(), ..self }
    }

    /// Tells `hear` how far a transfer is, after each batch of packets.
    #[must_use]
    pub fn on_progress(self, hear: impl Fn(Progress) + Send + Sync + 'static) -> Client {
        Client { progress: Some(Arc::new(hear)), ..self }
    }

    /// Fetches a file into `to`, which is flushed before the server hears that we have it.
    ///
    /// # Errors
    /// The transfer failed. `to` may have got a part of the file.
    pub fn get(&self, url: &Url, to: &mut impl Write) -> Result<Report, Error> {
        self.fetch(url, &mut Stream::new("the output", to))
    }

    /// Fetches a file into memory.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn get_bytes(&self, url: &Url) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.fetch(url, &mut bytes)?;
        Ok(bytes)
    }

    /// Fetches a file to `path`, where it appears when it is complete and replaces the file that
    /// was there. A device or pipe is written to directly.
    ///
    /// # Errors
    /// The transfer failed. What was at `path` is untouched.
    pub fn get_file(&self, url: &Url, path: &Path) -> Result<Report, Error> {
        let what = || path.display().to_string();
        let target = target::at(path).map_err(|source| Error::Write { what: what(), source });
        self.fetch(url, &mut *target?)
    }

    /// Sends all that `from` gives. It is read to its end first.
    ///
    /// # Errors
    /// The transfer failed. The server may have a part of the file, or all of it: only what it
    /// does then is known to it.
    pub fn put(&self, url: &Url, from: &mut impl Read) -> Result<Report, Error> {
        let mut content = Vec::new();
        let read = from.read_to_end(&mut content);
        read.map_err(|source| Error::Read { what: "the input".into(), source })?;
        self.put_bytes(url, &content)
    }

    /// Sends `content`.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn put_bytes(&self, url: &Url, content: &[u8]) -> Result<Report, Error> {
        Job { client: self, url, content: Some(content), target: &mut Nowhere }.run()
    }

    /// Sends the file at `path`, as it is now: it is read to its end first.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn put_file(&self, url: &Url, path: &Path) -> Result<Report, Error> {
        let what = || path.display().to_string();
        let content = std::fs::read(path);
        let content = content.map_err(|source| Error::Read { what: what(), source })?;
        self.put_bytes(url, &content)
    }

    fn fetch(&self, url: &Url, target: &mut dyn Target) -> Result<Report, Error> {
        Job { client: self, url, content: None, target }.run()
    }
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("blksize", &self.blksize)
            .field("windowsize", &self.windowsize)
            .field("options", &self.options)
            .field("mode", &self.mode)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
