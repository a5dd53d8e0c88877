//! Following what changes, and looking again at what could not be told at once.

use std::sync::Weak;
use std::time::{Duration, Instant};

use memtftp_store::Name;

use super::backing::{Backing, BackingError, Change};
use super::{AGAIN, Inner, LONGEST_REST, Look, REST};

impl<B: Backing> Inner<B> {
    /// Before work that may take long: another thread is to keep the time.
    pub(super) fn pass_on(&self) {
        if !self.again().is_empty() {
            let _ = self.wake.try_send(());
        }
    }

    /// Looks at one thing that is due. Before the next comes what was asked for.
    pub(super) fn look_again(&self) {
        let Some(look) = self.due() else { return };
        self.pass_on();
        let begun = Instant::now();
        match &look {
            Look::Load(name) => return self.load(name),
            Look::Check(name) => return self.check_below(name),
            Look::Linked => {
                let linked = self.held().linked();
                self.check_each(&linked);
            }
            Look::All => self.check_all(),
            Look::Watch => self.watch_anew(),
        }
        self.efforts().insert(look, begun.elapsed());
    }

    fn due(&self) -> Option<Look> {
        let (now, mut again) = (Instant::now(), self.again());
        let look = again.iter().find(|(_, at)| **at <= now).map(|(look, _)| look.clone())?;
        again.remove(&look);
        Some(look)
    }

    /// Looks a moment later, or after a rest if it took long the last time.
    pub(super) fn later(&self, look: Look) {
        let effort = self.efforts().get(&look).copied().unwrap_or_default();
        let wait = effort.saturating_mul(REST).clamp(AGAIN, LONGEST_REST);
        self.after(wait, look);
    }

    pub(super) fn after(&self, wait: Duration, look: Look) {
        let at = Instant::now() + wait;
        let mut again = self.again();
        let due = again.entry(look).or_insert(at);
        *due = at.min(*due);
        drop(again);
        // Full means that a thread will look.
        let _ = self.wake.try_send(());
    }

    /// Watches, and sees to what has changed before.
    pub(super) fn watch_anew(&self) {
        // One at a time; those who tell of changes do not take it.
        let Ok(mut watch) = self.watch.try_lock() else { return self.later(Look::Watch) };
        let me = Weak::clone(&self.me);
        let tell = move |change| {
            if let Some(inner) = me.upgrade() {
                inner.changed(change);
            }
        };
        let before = watch.take();
        *watch = Some(self.backing.watch(tell, before));
        self.check_all();
    }

    /// Looks at a file, or at those below a directory.
    fn check_below(&self, name: &Name) {
        self.check(name);
        self.check_each(&self.store.names_below(name));
    }

    /// Looks at all files in memory.
    fn check_all(&self) {
        self.check_each(&self.store.names());
    }

    fn check_each(&self, names: &[Name]) {
        for name in names {
            self.check(name);
        }
    }

    /// Acts on what has changed.
    fn changed(&self, change: Change) {
        match change {
            Change::Lost => return self.later(Look::Watch),
            Change::Unknown => return self.later(Look::All),
            Change::Created(name) => {
                self.created(&name);
                // It may be a link to another directory than before.
                self.check_below(&name);
            }
            Change::At(name) => {
                self.held().closed(&name);
                self.check_below(&name);
                // A new directory is watched a moment later, and may have changed before.
                if matches!(self.backing.find(&name), Err(BackingError::Unusable(_))) {
                    self.later(Look::Check(name));
                }
            }
            Change::Touched(name) => {
                self.check(&name);
            }
            Change::Written(name) => self.written(name),
            Change::Closed(name) => {
                self.held().closed(&name);
                self.check(&name);
            }
        }
        // It may have been one of these under another name.
        if self.held().has_linked() {
            self.later(Look::Linked);
        }
    }

    fn created(&self, name: &Name) {
        let Ok(found) = self.backing.find(name) else { return };
        match self.backing.about(&found) {
            // A file in memory may have got another name, under which it can be changed.
            about if about.is_linked => self.later(Look::All),
            // Whoever has made it is about to write to it.
            about if about.len == 0 => {
                let mut held = self.held();
                held.written(name, Instant::now());
                held.writes_to(name, about.file);
            }
            _ => {}
        }
    }

    fn written(&self, name: Name) {
        let is_news = self.held().written(&name, Instant::now());
        if is_news && let Ok(found) = self.backing.find(&name) {
            let file = self.backing.about(&found).file;
            self.held().writes_to(&name, file);
        }
        if self.held().mark(&name).is_some() {
            self.later(Look::Check(name));
        }
    }
}
