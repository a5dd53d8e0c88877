//! Turns: of all that gives a name another content, one at a time.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use memtftp_store::Name;

/// The names that somebody is at work on.
#[derive(Default)]
pub(super) struct Turns {
    taken: Mutex<HashSet<Name>>,
    freed: Condvar,
}

/// A turn, until it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    name: &'a Name,
}

impl Turns {
    /// Waits for the turn of a name. Not from a thread that has it.
    pub(super) fn take<'a>(&'a self, name: &'a Name) -> Turn<'a> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(name.clone()) {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { turns: self, name }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(self.name);
        self.turns.freed.notify_all();
    }
}
