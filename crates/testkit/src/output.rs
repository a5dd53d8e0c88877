//! What a process writes, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::DEADLINE;

/// Lines of one stream of a running process, collected by a thread.
#[derive(Clone)]
pub(crate) struct Output(Arc<(Mutex<Collected>, Condvar)>);

type Stream = Box<dyn Read + Send>;

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    /// Nothing more is collected.
    ended: bool,
    /// The thread is to stop after the next line.
    leave: Option<Leave>,
    /// What is not read any more, but open.
    left: Option<Stream>,
}

/// How a reader leaves a stream that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It reads no more.
    Stalled,
    /// It closes its end.
    Gone,
}

impl Output {
    /// Collects all that comes from `stream`.
    pub(crate) fn collect(stream: impl Read + Send + 'static) -> Output {
        let output = Output(Arc::default());
        let shared = Arc::clone(&output.0);
        thread::spawn(move || {
            let (collected, changed) = &*shared;
            let mut reader = BufReader::new(Box::new(stream) as Stream);
            let mut line = Vec::new();
            let left = loop {
                if !reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                    break None;
                }
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                let mut collected = locked(collected);
                collected.lines.push(text);
                changed.notify_all();
                line.clear();
                if let Some(leave) = collected.leave {
                    break (leave == Leave::Stalled).then(|| reader.into_inner());
                }
            };
            let mut collected = locked(collected);
            (collected.left, collected.ended) = (left, true);
            changed.notify_all();
        });
        output
    }

    /// Makes the thread leave after the next line that comes.
    pub(crate) fn leave(&self, leave: Leave) {
        locked(&self.0.0).leave = Some(leave);
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
