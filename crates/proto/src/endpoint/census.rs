//! How many sessions there are: in all, of each client, and of those that have not been answered.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::record::Kind;
use crate::route::SessionId;

/// Stale entries in the queue of half-open sessions that are not worth a search.
const STALE: usize = 64;

/// Counts of live sessions.
///
/// A session is half-open until its client has answered our first packet; one that waits for
/// storage is, too.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) live: usize,
    pub(super) half_open: usize,
    /// Live sessions of writes.
    pub(super) uploads: usize,
    clients: HashMap<IpAddr, OfClient, RandomState>,
    /// Half-open sessions, oldest first. Some are gone or have been answered: at most as many as
    /// are not, and a few.
    queue: VecDeque<SessionId>,
}

/// Live sessions of one client address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfClient {
    pub(super) live: u32,
    pub(super) half_open: u32,
}

impl Census {
    /// A session has begun. `is_half_open` tells of one that began before whether it still is.
    pub(super) fn begin(
        &mut self,
        id: SessionId,
        client: IpAddr,
        kind: Kind,
        is_half_open: impl Fn(SessionId) -> bool,
    ) {
        self.live += 1;
        self.half_open += 1;
        self.uploads += usize::from(kind == Kind::Write);
        let of_client = self.clients.entry(client).or_default();
        of_client.live += 1;
        of_client.half_open += 1;
        if self.queue.len() >= 2 * self.half_open + STALE {
            self.queue.retain(|id| is_half_open(*id));
            self.queue.shrink_to(2 * self.half_open + STALE);
        }
        self.queue.push_back(id);
    }

    /// The client of a half-open session has answered, or the session ends.
    pub(super) fn answered(&mut self, client: IpAddr) {
        self.half_open -= 1;
        if let Some(of_client) = self.clients.get_mut(&client) {
            of_client.half_open -= 1;
        }
    }

    /// A live session has ended that is no longer half-open.
    pub(super) fn end(&mut self, client: IpAddr, kind: Kind) {
        self.live -= 1;
        self.uploads -= usize::from(kind == Kind::Write);
        if let Some(of_client) = self.clients.get_mut(&client) {
            of_client.live -= 1;
            if of_client.live == 0 {
                self.clients.remove(&client);
            }
        }
    }

    pub(super) fn of_client(&self, client: IpAddr) -> OfClient {
        self.clients.get(&client).copied().unwrap_or_default()
    }

    /// Takes the oldest half-open session out of the queue.
    pub(super) fn take_oldest(
        &mut self,
        is_half_open: impl Fn(SessionId) -> bool,
    ) -> Option<SessionId> {
        std::iter::from_fn(|| self.queue.pop_front()).find(|id| is_half_open(*id))
    }
}
