//! The kinds of failure that are counted apart.

use std::fmt;

use memtftp_proto::{ErrorCode, Failure};

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// ERROR 1.
    NotFound,
    /// An ERROR with another code.
    Refused(u16),
    /// The patience of the protocol ended before anything came.
    TimeoutBeforeAnswer,
    /// The same later.
    TimeoutAfterAnswer,
    /// `--give-up` was over before anything came.
    GaveUpBeforeAnswer,
    /// The same later.
    GaveUpAfterAnswer,
    /// Bytes arrived that are not the file's, or they ended early or late.
    BadContent,
    /// The server ended the file before all bytes came that it had announced.
    Short,
    /// The server answered with options that were not asked for, or a longer block than agreed.
    Protocol,
}

impl Kind {
    /// What a failure counts as. `impatient`: the patience was that of `--give-up`.
    pub(crate) fn of(failure: &Failure, impatient: bool) -> Kind {
        match failure {
            Failure::Refused { code: ErrorCode::NOT_FOUND, .. } => Kind::NotFound,
            Failure::Refused { code, .. } => Kind::Refused(code.0),
            Failure::TimedOut(silence) => match (impatient, silence.is_answered()) {
                (false, false) => Kind::TimeoutBeforeAnswer,
                (false, true) => Kind::TimeoutAfterAnswer,
                (true, false) => Kind::GaveUpBeforeAnswer,
                (true, true) => Kind::GaveUpAfterAnswer,
            },
            Failure::Options(_) | Failure::TooLong => Kind::Protocol,
            // The only reason for which a client here aborts a transfer that counts.
            Failure::Aborted => Kind::BadContent,
            Failure::Short { .. } => Kind::Short,
        }
    }

    /// The key in JSON.
    pub(crate) fn key(self) -> String {
        match self {
            Kind::NotFound => "not_found".into(),
            Kind::Refused(code) => format!("refused_{code}"),
            Kind::TimeoutBeforeAnswer => "timeout_before_answer".into(),
            Kind::TimeoutAfterAnswer => "timeout_after_answer".into(),
            Kind::GaveUpBeforeAnswer => "gave_up_before_answer".into(),
            Kind::GaveUpAfterAnswer => "gave_up_after_answer".into(),
            Kind::BadContent => "bad_content".into(),
            Kind::Short => "short".into(),
            Kind::Protocol => "protocol".into(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NotFound => "not found",
            Kind::Refused(code) => return write!(f, "refused with code {code}"),
            Kind::TimeoutBeforeAnswer => "timed out, never answered",
            Kind::TimeoutAfterAnswer => "timed out after an answer",
            Kind::GaveUpBeforeAnswer => "gave up, never answered",
            Kind::GaveUpAfterAnswer => "gave up after an answer",
            Kind::BadContent => {
                "bad content: not what it is compared with, so it has changed or is damaged"
            }
            Kind::Short => "ended before the announced size",
            Kind::Protocol => "against the protocol",
        })
    }
}

#[cfg(test)]
mod tests {
    use memtftp_proto::Silence;

    use super::*;

    #[test]
    fn each_failure_has_its_kind() {
        let refused = |code| Failure::Refused { code: ErrorCode(code), text: String::new() };
        let timed_out = |answered| {
            Failure::TimedOut(match answered {
                true => Silence::Midway,
                false => Silence::Unanswered { elsewhere: None },
            })
        };
        let key = |failure, impatient| Kind::of(&failure, impatient).key();
        assert_eq!(key(refused(1), false), "not_found");
        assert_eq!(key(refused(3), false), "refused_3");
        assert_eq!(key(timed_out(false), false), "timeout_before_answer");
        assert_eq!(key(timed_out(true), false), "timeout_after_answer");
        assert_eq!(key(timed_out(false), true), "gave_up_before_answer");
        assert_eq!(key(timed_out(true), true), "gave_up_after_answer");
        assert_eq!(key(Failure::Aborted, false), "bad_content");
        assert_eq!(key(Failure::Short { announced: 2, received: 1 }, false), "short");
        assert_eq!(key(Failure::TooLong, false), "protocol");
    }
}
