//! What a process writes, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::DEADLINE;

/// Lines of one stream of a running process, collected by a thread.
#[derive(Clone)]
pub(crate) struct Output(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

impl Output {
    /// Collects all that comes from `stream`.
    pub(crate) fn collect(stream: impl Read + Send + 'static) -> Output {
        let output = Output(Arc::default());
        let shared = Arc::clone(&output.0);
        thread::spawn(move || {
            let (collected, changed) = &*shared;
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                locked(collected).lines.push(text);
                changed.notify_all();
                line.clear();
            }
            locked(collected).ended = true;
            changed.notify_all();
        });
        output
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        locked(&self.0.0).lines.clone()
    }

    /// The first line that `wanted` likes, as soon as it is there; `None` if the stream ends
    /// without it.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.wait(what, |collected| {
            let found = collected.lines.iter().find(|line| wanted(line)).cloned();
            (found.is_some() || collected.ended).then_some(found)
        })
    }

    /// All lines, once the process has closed the stream.
    pub(crate) fn wait_for_end(&self, what: &str) -> Vec<String> {
        self.wait(what, |collected| collected.ended.then(|| collected.lines.clone()))
    }

    fn wait<T>(&self, what: &str, look: impl Fn(&Collected) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let (collected, changed) = &*self.0;
        let mut guard = locked(collected);
        loop {
            if let Some(found) = look(&guard) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {DEADLINE:?} for {what}: {:#?}", guard.lines);
            guard = changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Also after a wait has failed: what was collected is shown then.
fn locked(collected: &Mutex<Collected>) -> MutexGuard<'_, Collected> {
    collected.lock().unwrap_or_else(PoisonError::into_inner)
}
