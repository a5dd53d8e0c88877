//! All sessions of an endpoint, and which of them are of one client.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use slotmap::SlotMap;

use super::session::Session;
use crate::files::Files;
use crate::route::{Route, SessionId};

/// Sessions by their id and by their client: its address and port, and the address of ours that it
/// talks to. A client may have several, live and finished ones, mostly on different ports of ours.
///
/// The index holds ids alone, and looks at the sessions to tell clients of one hash apart. A route kept
/// in it, too, would be a fifth of all memory of a session.
#[derive(Debug)]
pub(super) struct Table<F: Files> {
    sessions: SlotMap<SessionId, Session<F>>,
    by_client: HashTable<SessionId>,
    hasher: RandomState,
}

impl<F: Files> Table<F> {
    pub(super) fn new() -> Table<F> {
        let (sessions, by_client) = (SlotMap::with_key(), HashTable::new());
        Table { sessions, by_client, hasher: RandomState::default() }
    }

    pub(super) fn insert(&mut self, session: Session<F>) -> SessionId {
        let hash = hash(&self.hasher, &session.route);
        let id = self.sessions.insert(session);
        let (sessions, hasher) = (&self.sessions, &self.hasher);
        self.by_client.insert_unique(hash, id, |other| {
            sessions.get(*other).map_or(0, |session| self::hash(hasher, &session.route))
        });
        id
    }

    /// The sessions of the client of this route, on whichever port of ours.
    pub(super) fn of_client(
        &self,
        route: &Route,
    ) -> impl Iterator<Item = (SessionId, &Session<F>)> {
        let ids = self.by_client.iter_hash(hash(&self.hasher, route));
        let sessions = ids.filter_map(|id| Some((*id, self.sessions.get(*id)?)));
        sessions.filter(|(_, session)| is_same_client(&session.route, route))
    }

    /// The sessions of this route.
    pub(super) fn at(&self, route: &Route) -> impl Iterator<Item = (SessionId, &Session<F>)> {
        self.of_client(route).filter(|(_, session)| session.route.socket == route.socket)
    }

    /// A session of the client of this route that is so, on whichever port of ours.
    pub(super) fn find_of_client(
        &self,
        route: &Route,
        is_so: impl Fn(SessionId, &Session<F>) -> bool,
    ) -> Option<SessionId> {
        self.of_client(route).find(|(id, session)| is_so(*id, session)).map(|(id, _)| id)
    }

    /// A session of this route that is so.
    pub(super) fn find_at(
        &self,
        route: &Route,
        is_so: impl Fn(SessionId, &Session<F>) -> bool,
    ) -> Option<SessionId> {
        self.at(route).find(|(id, session)| is_so(*id, session)).map(|(id, _)| id)
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(id) else { return };
        let hash = hash(&self.hasher, &session.route);
        if let Ok(entry) = self.by_client.find_entry(hash, |other| *other == id) {
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

fn is_same_client(one: &Route, other: &Route) -> bool {
    one.peer == other.peer && one.local == other.local
}
