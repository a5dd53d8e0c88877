//! How a request ended, in the words of the request log.

use memtftp_proto::Outcome;

/// How a request ended, as the request log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// The whole file travelled; an upload is committed.
    Ok,
    /// The client asked for the size and left.
    Probe,
    /// The client ended it.
    Aborted,
    /// The client fell silent.
    Timeout,
    /// We said no.
    Refused,
    /// We said nothing.
    Dropped,
    /// The server stopped.
    Shutdown,
}

impl Ending {
    /// Every ending, in the order of a summary.
    pub const ALL: [Ending; 7] = [
        Ending::Ok,
        Ending::Probe,
        Ending::Aborted,
        Ending::Timeout,
        Ending::Refused,
        Ending::Dropped,
        Ending::Shutdown,
    ];

    /// The value of `outcome` in the request log.
    pub fn word(self) -> &'static str {
        match self {
            Ending::Ok => "ok",
            Ending::Probe => "probe",
            Ending::Aborted => "aborted",
            Ending::Timeout => "timeout",
            Ending::Refused => "refused",
            Ending::Dropped => "dropped",
            Ending::Shutdown => "shutdown",
        }
    }

    /// Whether the client did not get what it asked for by its doing or ours.
    pub fn is_failure(self) -> bool {
        !matches!(self, Ending::Ok | Ending::Probe | Ending::Shutdown)
    }
}

impl From<&Outcome> for Ending {
    fn from(outcome: &Outcome) -> Ending {
        match outcome {
            Outcome::Complete => Ending::Ok,
            Outcome::Probe { .. } => Ending::Probe,
            Outcome::Aborted { .. } | Outcome::Superseded => Ending::Aborted,
            Outcome::TimedOut => Ending::Timeout,
            Outcome::Refused(_) => Ending::Refused,
            Outcome::Dropped(_) => Ending::Dropped,
            Outcome::Shutdown => Ending::Shutdown,
        }
    }
}
