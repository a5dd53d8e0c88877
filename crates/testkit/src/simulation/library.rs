//! The real store behind a simulated server, with a memory of all it ever held.

use std::net::IpAddr;

use memtftp_proto::{
    Answer, ErrorCode, FileRequest, Files, Limits, Mode, Refusal, SessionId, Time,
};
use memtftp_store::{Budget, Existing, Name, Receipt, Store, Upload, Version};

#[derive(Debug)]
pub(crate) struct Library {
    store: Store,
    /// Every version ever committed: when, under which name, with which bytes.
    history: Vec<(Time, Name, Version)>,
    commits: usize,
    /// The driver's clock.
    pub(crate) now: Time,
}

impl Library {
    pub(crate) fn new(memory: u64) -> Library {
        let store = Store::new(Budget::new(memory));
        Library { store, history: Vec::new(), commits: 0, now: Time::ZERO }
    }

    /// Puts a file in before the clients come, if there is room.
    pub(crate) fn seed(&mut self, now: Time, name: &str, bytes: Vec<u8>) {
        if let Ok(name) = Name::parse(name.as_bytes())
            && self.store.put(name.clone(), bytes).is_ok()
        {
            self.remember(now, name);
        }
    }

    fn remember(&mut self, now: Time, name: Name) {
        if let Some(version) = self.store.open(&name) {
            // A copy outside the budget: a pinned version would count against it.
            let outside = Store::new(Budget::new(u64::MAX));
            if outside.put(name.clone(), version.as_ref()).is_ok()
                && let Some(copy) = outside.open(&name)
            {
                self.history.push((now, name, copy));
            }
        }
    }

    /// Whether `name` held `bytes` at any moment from `from` to `to`.
    pub(crate) fn was_current(&self, name: &str, bytes: &[u8], from: Time, to: Time) -> bool {
        let versions: Vec<_> =
            self.history.iter().filter(|(_, held, _)| held.as_bytes() == name.as_bytes()).collect();
        versions.iter().enumerate().any(|(at, (since, _, version))| {
            let until = versions.get(at + 1).map(|(until, _, _)| *until);
            version.as_ref() == bytes && *since <= to && until.is_none_or(|until| until >= from)
        })
    }

    /// Whether each name still holds what was last committed under it.
    pub(crate) fn is_intact(&self) -> bool {
        self.history.iter().rev().enumerate().all(|(at, (_, name, version))| {
            let newer = self.history.iter().rev().take(at).any(|(_, other, _)| other == name);
            newer || self.store.open(name).is_some_and(|held| held.as_ref() == version.as_ref())
        })
    }

    pub(crate) fn budget_used(&self) -> u64 {
        self.store.budget().used()
    }

    pub(crate) fn budget_limit(&self) -> u64 {
        self.store.budget().limit()
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.store.entries().map(|(_, len)| len).sum()
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits
    }
}

impl Files for Library {
    type Content = Version;
    type Upload = (Name, Upload);
    type Receipt = Receipt;

    fn admit(&self, _: IpAddr) -> Result<(), Refusal> {
        Ok(())
    }

    fn read_limits(&self, _: &FileRequest<'_>, _: &Version) -> Limits {
        Limits::NONE
    }

    fn write_limits(&self, _: &FileRequest<'_>, _: &(Name, Upload)) -> Limits {
        Limits::NONE
    }

    fn open(&mut self, _: SessionId, request: &FileRequest<'_>) -> Answer<Version> {
        let found = Name::parse(request.name).ok().and_then(|name| self.store.open(&name));
        Answer::Now(found.ok_or(Refusal::new(ErrorCode::NOT_FOUND, "file not found")))
    }

    fn begin(&mut self, _: SessionId, request: &FileRequest<'_>) -> Answer<(Name, Upload)> {
        let Ok(name) = Name::parse(request.name) else {
            return Answer::Now(Err(Refusal::new(ErrorCode::ACCESS, "bad name")));
        };
        let mut upload = self.store.begin();
        let announced = request.announced.filter(|_| request.mode == Mode::Octet);
        let fits = announced.map_or(Ok(()), |len| upload.announce(len));
        Answer::Now(fits.map(|()| (name, upload)).map_err(|_| no_room()))
    }

    fn append(&mut self, upload: &mut (Name, Upload), bytes: &[u8]) -> Result<(), Refusal> {
        upload.1.append(bytes).map_err(|_| no_room())
    }

    fn commit(&mut self, _: SessionId, (name, upload): (Name, Upload)) -> Answer<Receipt> {
        let committed = self.store.commit(name.clone(), upload, Existing::Replace);
        self.commits += 1;
        self.remember(self.now, name);
        Answer::Now(committed.map_err(|_| Refusal::new(ErrorCode::EXISTS, "exists")))
    }
}

fn no_room() -> Refusal {
    Refusal::new(ErrorCode::FULL, "no room")
}
