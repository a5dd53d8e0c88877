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
    /// The turn of a name, if nobody has it: for those who must not wait for a disk.
    pub(super) fn try_take<'a>(&'a self, name: &'a Name) -> Option<Turn<'a>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(name.clone()).then(|| Turn { turns: self, name })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_the_turn_of_a_name() {
        let turns = Turns::default();
        let name = |text: &str| Name::parse(text.as_bytes()).unwrap();
        let (f, g) = (name("f"), name("g"));
        let turn = turns.take(&f);
        assert!(turns.try_take(&f).is_none(), "taken");
        assert!(turns.try_take(&f).is_none(), "and still");
        assert!(turns.try_take(&g).is_some());
        drop(turn);
        assert!(turns.try_take(&f).is_some());
        let _waited_for = turns.take(&f);
    }
}
