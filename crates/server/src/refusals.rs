//! What requests are refused with.

use std::borrow::Cow;

use memtftp_proto::{ErrorCode, Refusal, RefusalReason};
use memtftp_store::{AppendError, NameError};

use crate::grant::Grant;

pub(crate) fn not_found(grant: &Grant) -> Refusal {
    let (refusal, name) = (Refusal::new(ErrorCode::NOT_FOUND, "file not found"), grant.name());
    match grant.asked() == name {
        true => refusal,
        false => refusal.because(format!("file not found: by the rules it is {name}")),
    }
}

pub(crate) fn busy(reason: &str) -> Refusal {
    let refusal = Refusal::new(ErrorCode::UNDEFINED, "server is busy, try again later");
    refusal.because(reason).counted_as(RefusalReason::Lookups)
}

pub(crate) fn by_rule(text: impl Into<Cow<'static, str>>, reason: String) -> Refusal {
    let refusal = Refusal::new(ErrorCode::ACCESS, text).because(reason);
    refusal.counted_as(RefusalReason::Rule)
}

pub(crate) fn already_exists() -> Refusal {
    Refusal::new(ErrorCode::EXISTS, "file exists, the server needs --uploads replace")
}

/// U-Boot stops at codes 1 and 2 and tries again for ever at any other.
pub(crate) fn bad_name(error: NameError) -> Refusal {
    let text = match error {
        NameError::Empty => "file name is empty",
        NameError::TooLong => "file name is longer than 255 bytes",
        NameError::Dots => "file name has a part . or ..",
        NameError::Control => "file name has a control character",
        NameError::Directory => "file name ends with a slash",
    };
    Refusal::new(ErrorCode::ACCESS, text)
}

pub(crate) fn no_room(error: AppendError) -> Refusal {
    let (text, reason) = match error {
        AppendError::TooLong { .. } => {
            ("file is too large, see --max-file", RefusalReason::FileSize)
        }
        AppendError::OverBudget(over) if over.depth == 0 => (
            "this client's uploads hold too much, see --max-client-memory",
            RefusalReason::ClientMemory,
        ),
        AppendError::OverBudget(_) => {
            ("no memory left for files, see --memory", RefusalReason::Memory)
        }
        AppendError::OutOfMemory => ("the server is out of memory", RefusalReason::Memory),
    };
    let refusal = Refusal::new(ErrorCode::FULL, text);
    refusal.because(format!("{text}: {error}")).counted_as(reason)
}
