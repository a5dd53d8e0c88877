//! What a wait for something that clients do can come to.

use std::time::Duration;

use memtftp_store::NameError;
use thiserror::Error;

use crate::watched::Unmet;

/// A wait ended without what it waited for. The caller must act.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It did not come in time.
    #[error("waited {timeout:?} for {what}")]
    TimedOut {
        /// What the wait was for.
        what: String,
        /// How long it lasted.
        timeout: Duration,
    },
    /// The server has ended, so it will not come.
    #[error("the server ended before {what}")]
    Ended {
        /// What the wait was for.
        what: String,
    },
    /// No client could use that name.
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    /// The server keeps no records.
    #[error("this server keeps no records: start it with Builder::keep_records")]
    NoRecords,
}

impl WaitError {
    pub(crate) fn new(unmet: Unmet, what: impl Into<String>, timeout: Duration) -> WaitError {
        let what = what.into();
        match unmet {
            Unmet::TimedOut => WaitError::TimedOut { what, timeout },
            Unmet::Ended => WaitError::Ended { what },
        }
    }
}
