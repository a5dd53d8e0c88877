//! No directory behind the memory: what it needs of the system is Linux's.

use memtftp_store::{Name, Store, Version};

use crate::arrivals::Arrivals;
use crate::config::{Config, DirectoryConfig};
use crate::jobs::{Begin, Busy, Commit, Waiter};
use crate::own_files::OwnFiles;
use crate::rules::Direction;

/// There is none.
#[derive(Clone, Debug)]
pub(crate) enum Directory {}

impl Directory {
    pub(crate) fn start(
        _: &DirectoryConfig,
        _: OwnFiles,
        _: usize,
        _: Store,
        _: Arrivals,
    ) -> std::io::Result<Directory> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn warm_up(&self) -> std::io::Result<()> {
        match *self {}
    }

    pub(crate) fn is_servable(&self, _: &Name) -> bool {
        match *self {}
    }

    pub(crate) fn has(&self, _: &Name) -> bool {
        match *self {}
    }

    pub(crate) fn make_room(&self, _: u64) -> bool {
        match *self {}
    }

    pub(crate) fn load(&self, _: Waiter) -> Result<(), Busy> {
        match *self {}
    }

    pub(crate) fn begin(&self, _: Begin) {
        match *self {}
    }

    pub(crate) fn commit(&self, _: Commit) -> Result<(), Busy> {
        match *self {}
    }

    pub(crate) fn rescan(&self, _: usize) {
        match *self {}
    }

    pub(crate) fn take(&self, _: &Name) -> Option<Version> {
        match *self {}
    }

    pub(crate) fn let_go(&self, _: &Name) {
        match *self {}
    }

    pub(crate) fn count_but(&self, _: impl Fn(&Name) -> bool) -> usize {
        match *self {}
    }
}

/// Says that there is no directory behind the memory on this system.
///
/// # Errors
/// Always.
pub fn spelling_in_directory(
    _: &Config,
    _: &Name,
    _: Direction,
    _: bool,
) -> std::io::Result<Option<Name>> {
    Err(std::io::ErrorKind::Unsupported.into())
}
