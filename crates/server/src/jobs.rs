//! What is asked of a directory behind the memory.

use std::time::Instant;

use memtftp_proto::SessionId;
use memtftp_store::{Existing, Name, Version};

use crate::grant::Grant;
use crate::later::Answers;
use crate::library::NamedUpload;

/// A request that waits for a file.
pub(crate) struct Waiter {
    pub(crate) id: SessionId,
    pub(crate) grant: Grant,
    pub(crate) since: Instant,
    pub(crate) answers: Answers,
}

/// An upload whose place on disk is to be looked at.
pub(crate) struct Begin {
    pub(crate) id: SessionId,
    pub(crate) upload: Box<NamedUpload>,
    pub(crate) existing: Existing,
    pub(crate) grant: Grant,
    pub(crate) answers: Answers,
}

/// An upload that is complete.
pub(crate) struct Commit {
    pub(crate) id: SessionId,
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) existing: Existing,
    pub(crate) answers: Answers,
}

/// There is too much to do already.
pub(crate) struct Busy;
