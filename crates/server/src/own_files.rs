//! Files of the server itself, which no client may have: its log, its configuration, its sockets.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;
use crate::request_log::LogTarget;

/// Logs that were rotated away and are still known by what they are, not by their names.
const MAX_LOGS: usize = 64;

/// Tells the server's own files from those to serve: by what they are, whatever name or link leads to
/// them, and rotated logs by their names too.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnFiles(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    log: Option<PathBuf>,
    others: Vec<PathBuf>,
    /// Files that have been the log, the latest last.
    logs: Mutex<VecDeque<Identity>>,
}

/// A file, apart from all others: numbers are given again when a file is gone, but not at the same
/// moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    created: Option<std::time::SystemTime>,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Option<Identity> {
        use std::os::unix::fs::MetadataExt;

        let (device, number) = (metadata.dev(), metadata.ino());
        Some(Identity { device, number, created: metadata.created().ok() })
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Option<Identity> {
        None
    }

    fn at(path: &Path) -> Option<Identity> {
        fs::metadata(path).ok().as_ref().and_then(Identity::of)
    }
}

impl OwnFiles {
    pub(crate) fn of(config: &Config) -> OwnFiles {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let log = match config.request_log.as_ref().map(|log| &log.target) {
            Some(LogTarget::File(path)) => Some(absolute(path)),
            Some(LogTarget::Stdout) | None => None,
        };
        let others = config.own_files.iter().chain(&config.status_socket).map(absolute).collect();
        let own = OwnFiles(Arc::new(Inner { log, others, logs: Mutex::default() }));
        own.note_log();
        own
    }

    /// Remembers which file the log is now, to know it again under another name.
    pub(crate) fn note_log(&self) {
        let Some(now) = self.0.log.as_deref().and_then(Identity::at) else { return };
        let mut logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if !logs.contains(&now) {
            logs.push_back(now);
            if logs.len() > MAX_LOGS {
                logs.pop_front();
            }
        }
    }

    /// Whether this is a file of the server. Looks at the disk, so it is not for a worker.
    pub(crate) fn is_own(&self, found: &Metadata) -> bool {
        let Some(found) = Identity::of(found) else { return false };
        self.note_log();
        let logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.contains(&found) || self.0.others.iter().any(|path| Identity::at(path) == Some(found))
    }

    /// Whether a file at `path`, there or not, is the log by its name or a rotated one: `requests.log.1`,
    /// `requests.log-20261128.gz`.
    pub(crate) fn is_log_name(&self, path: &Path) -> bool {
        let Some((log, name)) = self.0.log.as_deref().zip(path.file_name()) else { return false };
        let is_named = log.file_name().is_some_and(|log| begins(name, log));
        is_named
            && log.parent().zip(path.parent()).is_some_and(|(log, here)| {
                let log = Identity::at(log);
                log.is_some() && log == Identity::at(here)
            })
    }
}

/// Whether `name` is `log`, or goes on behind it with what programs that rotate logs put there.
fn begins(name: &OsStr, log: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(log.as_encoded_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'.' | b'-' | b'_')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_log::{LogFormat, RequestLogConfig};

    #[cfg(unix)]
    #[test]
    fn a_file_is_known_by_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["log", "config", "other"] {
            fs::write(path(name), name).unwrap();
        }
        fs::hard_link(path("log"), path("link")).unwrap();
        let target = LogTarget::File(path("log"));
        let own = OwnFiles::of(&Config {
            request_log: Some(RequestLogConfig { target, format: LogFormat::Text }),
            own_files: vec![path("config")],
            ..Config::default()
        });
        let is_own = |name: &str| own.is_own(&fs::metadata(path(name)).unwrap());
        assert!(is_own("log") && is_own("link") && is_own("config") && !is_own("other"));
        fs::rename(path("log"), path("renamed")).unwrap();
        fs::write(path("log"), "new").unwrap();
        assert!(is_own("log") && is_own("renamed") && is_own("link") && !is_own("other"));
        for name in ["log", "log.1", "log-20261128", "log.2.gz"] {
            assert!(own.is_log_name(&path(name)), "{name}");
        }
        for name in ["logo", "other", "deep/log"] {
            assert!(!own.is_log_name(&path(name)), "{name}");
        }
    }
}
