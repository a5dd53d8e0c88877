//! Ending transfers from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memtftp_udp::Waker;

/// Ends the transfers of every [`Client`](crate::Client) that holds a clone of it, now and later.
///
/// The server is told, and no partial file stays.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// Of the transfers that are waiting.
    wakers: Mutex<Vec<(u64, Waker)>>,
}

/// Takes the waker back when its transfer has ended.
pub(crate) struct Registered<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Ends the transfers. For good: there is no way back.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        let wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.iter().for_each(|(_, waker)| waker.wake());
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Wakes this, too. To be called before the first look at [`Cancel::is_cancelled`].
    pub(crate) fn register(&self, waker: Waker) -> Registered<'_> {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let id = wakers.last().map_or(0, |(id, _)| id + 1);
        wakers.push((id, waker));
        Registered { shared: &self.0, id }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut wakers = self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.retain(|(id, _)| *id != self.id);
    }
}
