//! How many sessions there are, and which of them go first when a new one needs a place.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::record::Kind;
use crate::route::SessionId;

/// Stale entries in a queue of half-open sessions that are not worth a search.
const STALE: usize = 64;

/// Counts of live sessions, and the half-open ones among them, oldest first.
///
/// A session is half-open until its client has answered our first packet; one that waits for
/// storage is, too.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) live: usize,
    /// Live sessions of writes.
    pub(super) uploads: usize,
    half_open: HalfOpen,
    half_open_uploads: HalfOpen,
    clients: HashMap<IpAddr, OfClient, RandomState>,
}

/// Live sessions of one client address.
#[derive(Debug, Default)]
struct OfClient {
    live: usize,
    half_open: HalfOpen,
}

/// Whose place a new session may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Among {
    /// Any session's.
    All,
    /// That of an upload.
    Uploads,
    /// That of a session of this client address.
    Client(IpAddr),
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
        self.half_open.begin(id, &is_half_open);
        if kind == Kind::Write {
            self.uploads += 1;
            self.half_open_uploads.begin(id, &is_half_open);
        }
        let of_client = self.clients.entry(client).or_default();
        of_client.live += 1;
        of_client.half_open.begin(id, &is_half_open);
    }

    /// The client of a half-open session has answered, or the session ends.
    pub(super) fn answered(&mut self, client: IpAddr, kind: Kind) {
        self.half_open.count -= 1;
        if kind == Kind::Write {
            self.half_open_uploads.count -= 1;
        }
        if let Some(of_client) = self.clients.get_mut(&client) {
            of_client.half_open.count -= 1;
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

    /// Live sessions among these.
    pub(super) fn live(&self, among: Among) -> usize {
        match among {
            Among::All => self.live,
            Among::Uploads => self.uploads,
            Among::Client(client) => self.clients.get(&client).map_or(0, |of| of.live),
        }
    }

    /// Half-open sessions among these.
    pub(super) fn half_open(&self, among: Among) -> usize {
        match among {
            Among::All => self.half_open.count,
            Among::Uploads => self.half_open_uploads.count,
            Among::Client(client) => self.clients.get(&client).map_or(0, |of| of.half_open.count),
        }
    }

    /// Takes the oldest half-open session of these out of their queue.
    pub(super) fn take_oldest(
        &mut self,
        among: Among,
        is_half_open: impl Fn(SessionId) -> bool,
    ) -> Option<SessionId> {
        let half_open = match among {
            Among::All => &mut self.half_open,
            Among::Uploads => &mut self.half_open_uploads,
            Among::Client(client) => &mut self.clients.get_mut(&client)?.half_open,
        };
        std::iter::from_fn(|| half_open.queue.pop_front()).find(|id| is_half_open(*id))
    }
}

/// Half-open sessions, oldest first.
#[derive(Debug, Default)]
struct HalfOpen {
    count: usize,
    /// Some are gone or have been answered: at most as many as are not, and a few.
    queue: VecDeque<SessionId>,
}

impl HalfOpen {
    fn begin(&mut self, id: SessionId, is_half_open: impl Fn(SessionId) -> bool) {
        self.count += 1;
        let most = 2 * self.count + STALE;
        if self.queue.len() >= most {
            self.queue.retain(|id| is_half_open(*id));
            self.queue.shrink_to(most);
        }
        self.queue.push_back(id);
    }
}
