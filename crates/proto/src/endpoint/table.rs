//! All sessions of an endpoint, and which one a datagram belongs to.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use slotmap::SlotMap;

use super::session::Session;
use crate::files::Files;
use crate::route::{Route, SessionId};

/// Sessions by their id and by their route: the client's address and port, and our address.
///
/// The index holds ids alone, and looks at the sessions to tell two of one hash apart. A route kept
/// in it, too, would be a fifth of all memory of a session.
#[derive(Debug)]
pub(super) struct Table<F: Files> {
    sessions: SlotMap<SessionId, Session<F>>,
    by_route: HashTable<SessionId>,
    hasher: RandomState,
}

impl<F: Files> Table<F> {
    pub(super) fn new() -> Table<F> {
        let (sessions, by_route) = (SlotMap::with_key(), HashTable::new());
        Table { sessions, by_route, hasher: RandomState::default() }
    }

    /// Adds a session; there must be none of its route.
    pub(super) fn insert(&mut self, session: Session<F>) -> SessionId {
        let hash = hash(&self.hasher, &session.route);
        let id = self.sessions.insert(session);
        let (sessions, hasher) = (&self.sessions, &self.hasher);
        self.by_route.insert_unique(hash, id, |other| {
            sessions.get(*other).map_or(0, |session| self::hash(hasher, &session.route))
        });
        id
    }

    /// The session that datagrams of this route belong to.
    pub(super) fn find(&self, route: &Route) -> Option<SessionId> {
        let is_meant = |id: &SessionId| {
            let session = self.sessions.get(*id);
            session.is_some_and(|session| is_same(&session.route, route))
        };
        self.by_route.find(hash(&self.hasher, route), is_meant).copied()
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(id) else { return };
        let hash = hash(&self.hasher, &session.route);
        if let Ok(entry) = self.by_route.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session<F>> {
        self.sessions.get(id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session<F>> {
        self.sessions.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session<F>)> {
        self.sessions.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }
}

fn hash(hasher: &RandomState, route: &Route) -> u64 {
    hasher.hash_one((route.peer, route.local))
}

fn is_same(one: &Route, other: &Route) -> bool {
    one.peer == other.peer && one.local == other.local
}
