//! Which uploads were completed and not waited for yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use memtftp_store::{Name, Store, Version};

use crate::watched::{Unmet, Watched};

/// How many uploads of each name no wait has been given yet. Names without are not in the table,
/// and a file taken out of the server takes its uploads along, so it holds no more names than the
/// store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<Watched<Counts>>);

type Counts = HashMap<Name, u64, RandomState>;

impl Arrivals {
    /// Counts an upload that was committed.
    pub(crate) fn add(&self, name: Name) {
        self.0.change(|counts| *counts.entry(name).or_default() += 1);
    }

    /// A file has left the store: its uploads are no longer waited for.
    pub(crate) fn forget(&self, name: &Name) {
        self.0.change(|counts| counts.remove(name));
    }

    /// Takes a file out of the store, and what was counted for it.
    pub(crate) fn take(&self, store: &Store, name: &Name) -> Option<Version> {
        // At one moment, or a commit in between would be forgotten.
        self.0.change(|counts| {
            counts.remove(name);
            store.remove(name)
        })
    }

    /// Waits for an upload that no wait has been given yet, and gives the file as it is then.
    pub(crate) fn wait(
        &self,
        store: &Store,
        name: &Name,
        timeout: Duration,
    ) -> Result<Version, Unmet> {
        self.0.wait(timeout, |counts| {
            let count = counts.get_mut(name)?;
            let version = store.open(name);
            *count -= 1;
            // Without a file it was committed, taken and only then counted.
            if *count == 0 || version.is_none() {
                counts.remove(name);
            }
            version
        })
    }

    /// No upload will follow.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use memtftp_store::Budget;

    use super::*;

    fn unawaited(arrivals: &Arrivals) -> usize {
        arrivals.0.change(|counts| counts.len())
    }

    #[test]
    fn each_upload_is_given_to_one_wait() {
        let (arrivals, store) = (Arrivals::default(), Store::new(Budget::new(100)));
        let name = Name::parse(b"f").unwrap();
        let now = || arrivals.wait(&store, &name, Duration::ZERO).map(|file| file.len());
        for content in ["one", "second"] {
            let _ = store.put(name.clone(), content).unwrap();
            arrivals.add(name.clone());
        }
        assert_eq!((now(), now(), now()), (Ok(6), Ok(6), Err(Unmet::TimedOut)));
        assert_eq!(unawaited(&arrivals), 0);
    }

    #[test]
    fn what_is_taken_is_not_waited_for() {
        let (arrivals, store) = (Arrivals::default(), Store::new(Budget::new(100)));
        let name = Name::parse(b"f").unwrap();
        let _ = store.put(name.clone(), "one").unwrap();
        arrivals.add(name.clone());
        assert_eq!(arrivals.take(&store, &name).unwrap().as_ref(), b"one");
        assert_eq!(unawaited(&arrivals), 0);
        // A worker that counts only now.
        arrivals.add(name.clone());
        let found = arrivals.wait(&store, &name, Duration::ZERO);
        assert_eq!((found.err(), unawaited(&arrivals)), (Some(Unmet::TimedOut), 0));
    }
}
