//! Turns: of all uploads that give a name another content, one at a time.

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
    /// Whether somebody has the turn of a name at this moment.
    pub(super) fn is_taken(&self, name: &Name) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
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
        assert!(turns.is_taken(&f) && !turns.is_taken(&g));
        let _another = turns.take(&g);
        let (begun, begins) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = turns.take(&f);
                begun.send(()).unwrap();
            });
            assert!(begins.try_recv().is_err(), "the first has not ended");
            drop(turn);
            begins.recv().unwrap();
        });
        assert!(!turns.is_taken(&f));
    }
}
