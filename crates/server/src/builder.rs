//! What is set before a server starts.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::config::{Config, ConfigError, Uploads};
use crate::faults::FaultPlan;
use crate::inherited::InheritedError;
use crate::preload::PreloadError;
use crate::privileges::PrivilegeError;
use crate::request_log::{LogError, RequestLogConfig};
use crate::server::Server;
use crate::sockets::SocketError;
#[cfg(unix)]
use crate::status::socket::StatusSocketError;

/// Settings of a server that is about to start.
///
/// Unlike the program, an embedded server listens on a free port of 127.0.0.1 and keeps no request
/// log unless it is told to.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) config: Config,
    pub(crate) preload: Vec<PathBuf>,
    pub(crate) keep_records: usize,
    pub(crate) faults: Option<FaultPlan>,
    pub(crate) inherited: Vec<Arc<UdpSocket>>,
}

impl Builder {
    /// A server on a free port of 127.0.0.1.
    pub(crate) fn new() -> Builder {
        let listen = vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)];
        let config = Config { listen, ..Config::default() };
        Builder {
            config,
            preload: Vec::new(),
            keep_records: 0,
            faults: None,
            inherited: Vec::new(),
        }
    }

    /// Replaces all settings.
    #[must_use]
    pub fn config(mut self, config: Config) -> Builder {
        self.config = config;
        self
    }

    /// Listens on this address alone. Port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Builder {
        self.config.listen = vec![address];
        self
    }

    /// What clients may do with uploads; they may replace files by default.
    #[must_use]
    pub fn uploads(mut self, uploads: Uploads) -> Builder {
        self.config.uploads = uploads;
        self
    }

    /// Writes one line a request there.
    #[must_use]
    pub fn request_log(mut self, config: RequestLogConfig) -> Builder {
        self.config.request_log = Some(config);
        self
    }

    /// Loads the files of a directory under their relative names before the first request.
    #[must_use]
    pub fn preload(mut self, directory: impl Into<PathBuf>) -> Builder {
        self.preload.push(directory.into());
        self
    }

    /// Keeps the records of the last `count` requests for [`Server::records`]: none by default. When
    /// there is no room the oldest goes. Each takes up to 2 KiB.
    #[must_use]
    pub fn keep_records(mut self, count: usize) -> Builder {
        self.keep_records = count;
        self
    }

    /// Lets packets meet faults, for tests of clients. A server with a plan is slow: it moves one
    /// datagram at a time.
    #[must_use]
    pub fn faults(mut self, plan: FaultPlan) -> Builder {
        self.faults = Some(plan);
        self
    }

    /// Takes requests on these bound sockets, as a service manager hands them over, in the place of
    /// [`Config::listen`]. Each is for one worker, so an address that several workers are to share
    /// has several sockets, all bound with `SO_REUSEPORT`, and each address has as many.
    #[must_use]
    pub fn inherit(mut self, sockets: impl IntoIterator<Item = UdpSocket>) -> Builder {
        self.inherited.extend(sockets.into_iter().map(Arc::new));
        self
    }

    /// Starts the server. It answers when this returns. Blocks while the directories are loaded.
    ///
    /// # Errors
    /// What the operator has to change.
    pub fn start(self) -> Result<Server, StartError> {
        Server::start(self)
    }
}

/// A server did not start. The operator must act, as the text says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The sockets that were handed over do not fit the settings.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// The rights of root cannot be given up.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// A directory cannot be loaded.
    #[error(transparent)]
    Preload(#[from] PreloadError),
    /// The directory behind the memory cannot be used.
    #[error("cannot use the directory {}: {source}; give --dir one that this user may read and write", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The request log cannot be opened.
    #[error(transparent)]
    RequestLog(#[from] LogError),
    /// The status socket cannot be had.
    #[cfg(unix)]
    #[error(transparent)]
    StatusSocket(#[from] StatusSocketError),
    /// A thread or its poller could not be made.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] std::io::Error),
}
