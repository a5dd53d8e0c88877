//! Saying no.

use std::borrow::Cow;

use crate::packet::ErrorCode;

/// We say no: a code and a text for the peer, a reason for the request log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What travels.
    pub code: ErrorCode,
    /// What the peer reads: printable ASCII, up to 127 bytes, nothing internal.
    pub text: Cow<'static, str>,
    /// What the operator reads, if it says more than the text.
    pub reason: Option<String>,
    /// Where it is counted.
    pub counted: RefusalReason,
}

impl Refusal {
    /// A refusal whose text says it all. It is counted by its code.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code, text: text.into(), reason: None, counted: RefusalReason::of(code) }
    }

    /// The same, with more for the operator.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Refusal {
        self.reason = Some(reason.into());
        self
    }

    /// The same, counted more closely than by its code.
    #[must_use]
    pub fn counted_as(mut self, reason: RefusalReason) -> Refusal {
        self.counted = reason;
        self
    }

    /// What the operator reads.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(&self.text)
    }
}

/// Why we said no, for [`Counters`](crate::Counters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// There is no such file.
    NotFound,
    /// The client or what it asks for is not allowed.
    NotAllowed,
    /// A rule of the operator says no.
    Rule,
    /// The disk behind the memory cannot read or store the file.
    Disk,
    /// Too many requests wait for something that has to be looked up.
    Lookups,
    /// It is no valid request, or the transfer broke the protocol.
    Malformed,
    /// The file exists and may not be replaced.
    Exists,
    /// The server ends.
    ShuttingDown,
    /// Too many sessions.
    Sessions,
    /// Too many sessions of this client.
    ClientSessions,
    /// Too many uploads in flight.
    Uploads,
    /// The transfer took too long.
    TransferTime,
    /// No memory left for files.
    Memory,
    /// The files of this client hold too much.
    ClientMemory,
    /// The file is too large.
    FileSize,
    /// Too many files.
    Files,
    /// Anything else.
    Other,
}

impl RefusalReason {
    /// Every reason, in the order of [`Counters`](crate::Counters).
    pub const ALL: [RefusalReason; 17] = [
        RefusalReason::NotFound,
        RefusalReason::NotAllowed,
        RefusalReason::Rule,
        RefusalReason::Disk,
        RefusalReason::Lookups,
        RefusalReason::Malformed,
        RefusalReason::Exists,
        RefusalReason::ShuttingDown,
        RefusalReason::Sessions,
        RefusalReason::ClientSessions,
        RefusalReason::Uploads,
        RefusalReason::TransferTime,
        RefusalReason::Memory,
        RefusalReason::ClientMemory,
        RefusalReason::FileSize,
        RefusalReason::Files,
        RefusalReason::Other,
    ];

    /// The name of its counter. A limit that can be set has the name of its flag.
    pub fn name(self) -> &'static str {
        match self {
            RefusalReason::NotFound => "not_found",
            RefusalReason::NotAllowed => "not_allowed",
            RefusalReason::Rule => "rule",
            RefusalReason::Disk => "disk",
            RefusalReason::Lookups => "lookups",
            RefusalReason::Malformed => "malformed",
            RefusalReason::Exists => "exists",
            RefusalReason::ShuttingDown => "shutting_down",
            RefusalReason::Sessions => "max_sessions",
            RefusalReason::ClientSessions => "max_client_sessions",
            RefusalReason::Uploads => "max_uploads",
            RefusalReason::TransferTime => "max_transfer_time",
            RefusalReason::Memory => "memory",
            RefusalReason::ClientMemory => "max_client_memory",
            RefusalReason::FileSize => "max_file",
            RefusalReason::Files => "max_files",
            RefusalReason::Other => "other",
        }
    }

    fn of(code: ErrorCode) -> RefusalReason {
        match code {
            ErrorCode::NOT_FOUND => RefusalReason::NotFound,
            ErrorCode::ACCESS => RefusalReason::NotAllowed,
            ErrorCode::FULL => RefusalReason::Memory,
            ErrorCode::ILLEGAL => RefusalReason::Malformed,
            ErrorCode::EXISTS => RefusalReason::Exists,
            _ => RefusalReason::Other,
        }
    }
}
