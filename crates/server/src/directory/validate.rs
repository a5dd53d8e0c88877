//! Files in memory are compared with the disk before they are served.
//!
//! News of changes can be missed: of a file that was written by a name outside, of a mount, of a directory
//! that may not be read. So they only make things faster, and what is served does not depend on them: a
//! file in memory is served if it was seen on disk within the last second, under its name as it leads now.
//! Else the request waits for a look, one for all who ask. Threads that do nothing else look, so that no
//! look waits for a file that is being read; and one more, which touches no disk, answers for a disk that hangs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use memtftp_store::{Name, Version};

use super::Inner;
use super::backing::{Backing, BackingError};
use super::held::Freshness;
use super::looks::{Joined, LOOK_PATIENCE};
use super::work::give_up;
use crate::jobs::Waiter;
use crate::later::Resolution;
use crate::library::Opened;
use crate::refusals::busy;

/// How often it is seen to that no request waits too long, as long as any waits.
const OVERDUE_CHECK: Duration = Duration::from_millis(250);

/// How often it is said that the disk does not tell whether files have changed.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Where looks are asked for.
#[derive(Clone)]
pub(super) struct LookQueue {
    /// Read by the threads that look.
    pub(super) names: Sender<Name>,
    /// Wakes the thread that answers for a disk that hangs.
    pub(super) timer: Sender<()>,
}

impl<B: Backing> Inner<B> {
    /// Whether the file in memory, if there is one of that name, may be served at this moment. It then
    /// counts as used.
    pub(super) fn is_servable(&self, name: &Name, now: Instant) -> bool {
        let mut held = self.held();
        match held.freshness(name, now) {
            Freshness::Fresh | Freshness::Unbacked => true,
            Freshness::Stale => held.looks.is_overdue(name, now),
        }
    }

    /// Lets a request wait until the file in memory was looked at on disk.
    pub(super) fn join_look(&self, name: &Name, waiter: Waiter, queue: &LookQueue) {
        let mut held = self.held();
        let unanswered = match held.looks.join(name, waiter, Instant::now()) {
            Joined::Waits => return,
            Joined::First => match queue.names.try_send(name.clone()) {
                Ok(()) => {
                    drop(held);
                    return self.wake_timer(queue);
                }
                // As many looks wait as may: the disk is too slow for what is asked of it.
                Err(_) => held.looks.end(name),
            },
            Joined::Refused(waiter) => vec![waiter],
        };
        drop(held);
        self.serve_unseen(name, unanswered);
    }

    fn wake_timer(&self, queue: &LookQueue) {
        if !self.looks_are_timed.swap(true, Ordering::AcqRel) {
            // Full means that it is about to wake.
            let _ = queue.timer.try_send(());
        }
    }

    /// The loop of a thread that looks. Those that load are told by `asked`.
    pub(super) fn look_at_all(&self, looks: &Receiver<Name>, asked: &Sender<()>) {
        while let Ok(name) = looks.recv() {
            self.answer_after_look(&name, asked);
        }
    }

    fn answer_after_look(&self, name: &Name, asked: &Sender<()>) {
        let is_current = self.check(name);
        let mut held = self.held();
        let waiters = held.looks.end(name);
        let version = is_current.then(|| self.store.open(name)).flatten();
        if let Some(version) = version {
            held.used(name);
            drop(held);
            return answer_all(waiters, &version);
        }
        let (mut evicted, mut refused) = (Vec::new(), Vec::new());
        for waiter in waiters {
            match held.loads.ask(name, waiter) {
                Ok(oldest) => evicted.extend(oldest),
                Err(waiter) => refused.push(waiter),
            }
        }
        drop(held);
        let _ = asked.try_send(());
        evicted.iter().for_each(give_up);
        refuse_all(refused);
    }

    /// Compares a file in memory with the one on disk. If that is another, it leaves memory, and this
    /// returns false: the next request loads it.
    pub(super) fn check(&self, name: &Name) -> bool {
        let Some(mark) = self.held().mark(name) else { return true };
        let begun = Instant::now();
        let is_current = match self.backing.look(name) {
            Ok(now) => now == mark || self.is_being_written_now(name),
            Err(error) => self.is_kept_despite(name, &error),
        };
        let mut held = self.held();
        // Meanwhile another content may have come, or be about to: until then the one before holds.
        if held.mark(name) != Some(mark) || !is_current && self.turns.is_taken(name) {
            return true;
        }
        if is_current {
            held.looked(name, begun);
        } else {
            // Freed without the lock: workers wait for what is held.
            let freed = held.forget(name);
            drop(held);
            drop(freed);
        }
        is_current
    }

    /// Returns the file in memory once it is known to be the one on disk.
    pub(super) fn current(&self, name: &Name) -> Option<Version> {
        let freshness = self.held().freshness(name, Instant::now());
        let is_current = freshness != Freshness::Stale || self.check(name);
        is_current.then(|| self.store.open(name)).flatten()
    }

    /// A file that somebody writes in place is served as it was before.
    fn is_being_written_now(&self, name: &Name) -> bool {
        let found = self.backing.find(name);
        found.is_ok_and(|found| self.is_being_written(name, &found))
    }

    /// What is in memory may be all that is left of the file, if the error does not say that it is gone.
    fn is_kept_despite(&self, name: &Name, error: &BackingError) -> bool {
        let is_kept = !error.is_final();
        if is_kept {
            self.warn_unseen(name, &error.to_string());
        }
        is_kept
    }

    /// The loop of the thread that answers requests whose looks take too long. It touches no disk.
    pub(super) fn time_looks(&self, wakes: &Receiver<()>) {
        while wakes.recv().is_ok() {
            while !matches!(wakes.recv_timeout(OVERDUE_CHECK), Err(RecvTimeoutError::Disconnected))
            {
                self.answer_overdue(Instant::now());
                if !self.held().looks.is_idle() {
                    continue;
                }
                self.looks_are_timed.store(false, Ordering::Release);
                // A look may have begun just before, and have woken nobody.
                if self.held().looks.is_idle() || self.looks_are_timed.swap(true, Ordering::AcqRel)
                {
                    break;
                }
            }
        }
    }

    pub(super) fn answer_overdue(&self, now: Instant) {
        let overdue = self.held().looks.take_overdue(now);
        for (name, waiters) in overdue {
            self.serve_unseen(&name, waiters);
        }
    }

    /// Answers with what is in memory, although the disk has not told whether it has changed.
    fn serve_unseen(&self, name: &Name, waiters: Vec<Waiter>) {
        self.warn_unseen(name, &format!("no answer in {} s", LOOK_PATIENCE.as_secs()));
        match self.store.open(name) {
            Some(version) => answer_all(waiters, &version),
            None => refuse_all(waiters),
        }
    }

    fn warn_unseen(&self, name: &Name, why: &str) {
        let mut last = self.last_warning();
        if last.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            *last = Some(Instant::now());
            tracing::warn!(
                "{}: cannot tell whether {name} has changed: {why}; until the disk tells, what is in \
                 memory is served",
                self.backing.title()
            );
        }
    }
}

fn answer_all(waiters: Vec<Waiter>, version: &Version) {
    for waiter in waiters {
        let opened = Opened::new(version.clone(), waiter.grant.caps());
        waiter.answers.give(Resolution::Opened(waiter.id, Ok(opened)));
    }
}

fn refuse_all(waiters: Vec<Waiter>) {
    for waiter in waiters {
        let refusal = busy("the disk hangs on this file");
        waiter.answers.give(Resolution::Opened(waiter.id, Err(refusal)));
    }
}
