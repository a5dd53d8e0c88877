//! The files and the policy behind every worker's endpoint.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use foldhash::quality::RandomState;
use memtftp_proto::{
    Answer, ErrorCode, FileRequest, Files, Limits, Mode, Refusal, RefusalReason, SessionId,
};
use memtftp_store::{
    AppendError, Budget, CommitError, Existing, Name, Receipt, Store, Upload, Version,
};

use crate::arrivals::Arrivals;
use crate::config::{Config, SharedConfig, Uploads};
use crate::directory::Directory;
use crate::grant::{Denied, Grant};
use crate::interfaces::Interfaces;
use crate::jobs::{Begin, Busy, Commit, Waiter};
use crate::later::{Answers, HardwareDesk};
use crate::preload::PreloadedNames;
use crate::refusals::{already_exists, bad_name, busy, no_room, not_found};
use crate::rules::{Caps, Direction, Hardware, Rules};

/// A window that is agreed holds this much at most, in bytes: a burst that sockets can hold.
const MAX_WINDOW_BYTES: u32 = 4 << 20;

/// The least room that is made at once for an upload, in bytes.
const MIN_ROOM: u64 = 64 << 10;

/// One worker's way to the files that all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    store: Store,
    shared: Arc<Shared>,
    /// Where answers that come later go; nowhere before there is a worker.
    answers: Option<Answers>,
}

#[derive(Debug)]
struct Shared {
    config: SharedConfig,
    arrivals: Arrivals,
    interfaces: Interfaces,
    shares: Mutex<HashMap<IpAddr, Arc<Budget>, RandomState>>,
    /// What stands behind the memory.
    directory: Option<Directory>,
    /// What uploads may not replace, if the settings say so.
    preloaded: PreloadedNames,
    /// Started when a rule first needs it.
    hardware: OnceLock<HardwareDesk>,
}

/// A file that is read.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    version: Version,
    caps: Caps,
}

impl Opened {
    pub(crate) fn new(version: Version, caps: Caps) -> Opened {
        Opened { version, caps }
    }
}

impl AsRef<[u8]> for Opened {
    fn as_ref(&self) -> &[u8] {
        self.version.as_ref()
    }
}

/// An upload and the name it is for. Sessions box it: inside, each read would be larger by it, too.
#[derive(Debug)]
pub(crate) struct NamedUpload {
    name: Name,
    upload: Upload,
    caps: Caps,
    /// What it began with, whatever is set meanwhile.
    config: Arc<Config>,
    /// Held so that the table keeps it while the upload lasts.
    _share: Arc<Budget>,
}

impl NamedUpload {
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Makes it the upload of the file that `grant` names, within its limits.
    pub(crate) fn retarget(&mut self, grant: &Grant) {
        self.name = grant.name().clone();
        self.caps = grant.caps();
    }

    fn existing(&self, preloaded: &PreloadedNames) -> Existing {
        match self.config.uploads {
            Uploads::KeepPreloaded if preloaded.load().contains(&self.name) => Existing::Refuse,
            Uploads::KeepPreloaded | Uploads::Replace => Existing::Replace,
            Uploads::Create | Uploads::Off => Existing::Refuse,
        }
    }

    /// Bytes that it holds of the budget.
    pub(crate) fn charged(&self) -> u64 {
        self.upload.charged()
    }
}

/// Where a file that is read may be.
enum Place {
    Memory(Opened),
    Disk(Grant),
}

impl Library {
    /// `arrivals` is told of every upload that is committed.
    pub(crate) fn new(
        store: Store,
        arrivals: Arrivals,
        config: SharedConfig,
        interfaces: Interfaces,
        directory: Option<Directory>,
        preloaded: PreloadedNames,
    ) -> Library {
        let (shares, hardware) = (Mutex::default(), OnceLock::new());
        let shared =
            Shared { config, arrivals, interfaces, shares, directory, preloaded, hardware };
        Library { store, shared: Arc::new(shared), answers: None }
    }

    /// The same for a worker, with the way by which its answers come later.
    pub(crate) fn with_answers(&self, answers: Answers) -> Library {
        Library { answers: Some(answers), ..self.clone() }
    }

    /// Makes sure that what `rules` need is there.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn prepare(&self, rules: &Rules) -> std::io::Result<()> {
        if rules.need_hardware() && self.shared.hardware.get().is_none() {
            let _ = self.shared.hardware.set(HardwareDesk::start()?);
        }
        Ok(())
    }

    /// Opens a file for a client of which so much is known.
    pub(crate) fn open_with(
        &self,
        id: SessionId,
        request: &FileRequest<'_>,
        hardware: Hardware,
    ) -> Answer<Opened> {
        match self.try_open(request, hardware) {
            Ok(Place::Memory(opened)) => Answer::Now(Ok(opened)),
            Ok(Place::Disk(grant)) => self.ask_disk(id, grant),
            Err(Denied::Refused(refusal)) => Answer::Now(Err(refusal)),
            Err(Denied::HardwareNeeded) => self.ask_hardware(id, Direction::Read, request),
        }
    }

    /// Begins an upload for a client of which so much is known.
    pub(crate) fn begin_with(
        &self,
        id: SessionId,
        request: &FileRequest<'_>,
        hardware: Hardware,
    ) -> Answer<Box<NamedUpload>> {
        match self.try_begin(request, hardware) {
            Ok((upload, grant)) => self.look_at_disk(id, upload, grant),
            Err(Denied::HardwareNeeded) => self.ask_hardware(id, Direction::Write, request),
            Err(Denied::Refused(refusal)) => Answer::Now(Err(refusal)),
        }
    }

    /// Loads a file from the directory, after which the answer comes.
    fn ask_disk(&self, id: SessionId, grant: Grant) -> Answer<Opened> {
        if let (Some(directory), Some(answers)) = (&self.shared.directory, &self.answers) {
            let (since, answers) = (Instant::now(), answers.clone());
            if directory.load(Waiter { id, grant, since, answers }).is_ok() {
                return Answer::Later;
            }
        }
        Answer::Now(Err(busy("the disk hangs on this file")))
    }

    /// With a directory, an upload begins when it is known that it could be stored.
    fn look_at_disk(
        &self,
        id: SessionId,
        upload: Box<NamedUpload>,
        grant: Grant,
    ) -> Answer<Box<NamedUpload>> {
        let (Some(directory), Some(answers)) = (&self.shared.directory, &self.answers) else {
            return Answer::Now(Ok(upload));
        };
        let (existing, answers) = (upload.existing(&self.shared.preloaded), answers.clone());
        directory.begin(Begin { id, upload, existing, grant, answers });
        Answer::Later
    }

    fn try_open(&self, request: &FileRequest<'_>, hardware: Hardware) -> Result<Place, Denied> {
        let config = self.shared.config.load();
        let grant = self.grant(&config, request, hardware, Direction::Read)?;
        let directory = self.shared.directory.as_ref();
        // Asked first, so that what is opened is not older than what was looked at.
        let is_servable = directory.is_none_or(|directory| directory.is_servable(grant.name()));
        let version = is_servable.then(|| self.store.open(grant.name())).flatten();
        match (version, directory) {
            (Some(version), _) => Ok(Place::Memory(Opened { version, caps: grant.caps() })),
            (None, Some(_)) => Ok(Place::Disk(grant)),
            (None, None) => Err(not_found(&grant).into()),
        }
    }

    fn try_begin(
        &self,
        request: &FileRequest<'_>,
        hardware: Hardware,
    ) -> Result<(Box<NamedUpload>, Grant), Denied> {
        let config = self.shared.config.load_full();
        let grant = self.grant(&config, request, hardware, Direction::Write)?;
        let (name, caps) = (grant.name().clone(), grant.caps());
        match config.uploads {
            Uploads::Off => {
                let text = "uploads are off, the server needs --uploads create or replace";
                return Err(Refusal::new(ErrorCode::ACCESS, text).into());
            }
            Uploads::Create if self.is_only_in_memory(&name) => return Err(already_exists().into()),
            Uploads::KeepPreloaded if self.shared.preloaded.load().contains(&name) => {
                return Err(already_exists().into());
            }
            Uploads::Create | Uploads::KeepPreloaded | Uploads::Replace => {}
        }
        self.check_count(&config, &name)?;
        let share = self.share_of(&config, request.peer.ip());
        let mut upload = self.store.begin_charged_to(&share, config.max_file.unwrap_or(u64::MAX));
        // In netascii the size announced is that on the wire, and the file may be smaller.
        if let Some(announced) = request.announced.filter(|_| request.mode == Mode::Octet) {
            match upload.announce(announced) {
                // What is on disk, too, makes room as the bytes come.
                Err(AppendError::OverBudget(over))
                    if over.depth > 0 && self.fits_alone(announced) => {}
                announced => announced.map_err(no_room)?,
            }
        }
        Ok((Box::new(NamedUpload { name, upload, caps, config, _share: share }), grant))
    }

    /// Whether a file is in memory and, as far as is known, nowhere else. Of what is on disk, too, the disk
    /// tells whether it is there.
    fn is_only_in_memory(&self, name: &Name) -> bool {
        let is_on_disk = || self.shared.directory.as_ref().is_some_and(|disk| disk.has(name));
        self.store.contains(name) && !is_on_disk()
    }

    /// Asks the rules, and looks for the spelling of the name that there is.
    fn grant(
        &self,
        config: &Config,
        request: &FileRequest<'_>,
        hardware: Hardware,
        direction: Direction,
    ) -> Result<Grant, Denied> {
        let name = Name::parse(request.name).map_err(bad_name)?;
        let mut grant = Grant::decide(&config.rules, request.peer, hardware, direction, name)?;
        // With a directory, what is in memory is not all: the spelling is looked for on disk.
        while grant.ignores_case()
            && self.shared.directory.is_none()
            && let Some(found) = self.store.spelling(grant.name())
            && found != *grant.name()
        {
            grant.respell(found)?;
        }
        Ok(grant)
    }

    /// Asks for the client's hardware address, after which the answer comes.
    fn ask_hardware<T>(
        &self,
        id: SessionId,
        direction: Direction,
        request: &FileRequest<'_>,
    ) -> Answer<T> {
        if let (Some(desk), Some(answers)) = (self.shared.hardware.get(), &self.answers) {
            // The desk must not keep alive what keeps the desk alive, so the question takes all along.
            desk.ask(id, direction, request, self.clone(), answers.clone());
            return Answer::Later;
        }
        Answer::Now(Err(busy("nobody looks hardware addresses up yet")))
    }

    /// Whether a file of so many bytes could be in memory if all that is on disk, too, left it.
    fn fits_alone(&self, len: u64) -> bool {
        self.shared.directory.is_some() && len <= self.store.budget().limit()
    }

    /// Adds bytes to an upload. Files that are on disk, too, make room for them.
    fn append_with_room(&self, upload: &mut Upload, bytes: &[u8]) -> Result<(), AppendError> {
        let len = bytes.len() as u64;
        match (upload.append(bytes), &self.shared.directory) {
            (Err(AppendError::OverBudget(over)), Some(directory))
                if over.depth > 0
                    && (directory.make_room(len.max(MIN_ROOM)) || directory.make_room(len)) =>
            {
                upload.append(bytes)
            }
            (result, _) => result,
        }
    }

    fn limits(&self, request: &FileRequest<'_>, caps: Caps) -> Limits {
        let config = self.shared.config.load();
        let fitting = || self.shared.interfaces.max_blksize(request.local);
        Limits {
            max_blksize: config.max_blksize.unwrap_or_else(fitting).min(caps.blksize),
            max_windowsize: config.max_windowsize.min(caps.windowsize),
            max_window_bytes: MAX_WINDOW_BYTES,
        }
    }

    /// Whether there may be a file of this name. Checked again at the commit, since many uploads may
    /// be under way; workers that commit in the same moment may exceed it by one file each.
    fn check_count(&self, config: &Config, name: &Name) -> Result<(), Refusal> {
        // What is on disk makes room.
        if self.shared.directory.is_some() {
            return Ok(());
        }
        if self.store.len() < config.max_files || self.store.contains(name) {
            return Ok(());
        }
        let refusal = Refusal::new(ErrorCode::FULL, "too many files, see --max-files");
        Err(refusal.counted_as(RefusalReason::Files))
    }

    /// The part of the budget that uploads of one client may use.
    ///
    /// Before the table grows, shares of clients without files and uploads are dropped, so it
    /// holds few more clients than have either.
    fn share_of(&self, config: &Config, client: IpAddr) -> Arc<Budget> {
        let mut shares = self.shared.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&client) {
            return Arc::clone(share);
        }
        if shares.len() == shares.capacity() {
            shares.retain(|_, share| share.used() > 0 || Arc::strong_count(share) > 1);
        }
        let share = Arc::new(self.store.budget().child(config.client_memory()));
        shares.insert(client, Arc::clone(&share));
        share
    }
}

impl Files for Library {
    type Content = Opened;
    type Upload = Box<NamedUpload>;
    type Receipt = Receipt;

    fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        if self.shared.config.load().access.allows(client) {
            return Ok(());
        }
        let text = "clients from this network are not served, see --allow";
        Err(Refusal::new(ErrorCode::ACCESS, text))
    }

    fn open(&mut self, id: SessionId, request: &FileRequest<'_>) -> Answer<Opened> {
        self.open_with(id, request, Hardware::NotAsked)
    }

    fn read_limits(&self, request: &FileRequest<'_>, content: &Opened) -> Limits {
        self.limits(request, content.caps)
    }

    fn begin(&mut self, id: SessionId, request: &FileRequest<'_>) -> Answer<Box<NamedUpload>> {
        self.begin_with(id, request, Hardware::NotAsked)
    }

    fn write_limits(&self, request: &FileRequest<'_>, upload: &Self::Upload) -> Limits {
        self.limits(request, upload.caps)
    }

    fn append(&mut self, upload: &mut Self::Upload, bytes: &[u8]) -> Result<(), Refusal> {
        self.append_with_room(&mut upload.upload, bytes).map_err(no_room)
    }

    fn commit(&mut self, id: SessionId, upload: Self::Upload) -> Answer<Receipt> {
        let existing = upload.existing(&self.shared.preloaded);
        let NamedUpload { name, upload, config, .. } = *upload;
        if let (Some(directory), Some(answers)) = (&self.shared.directory, &self.answers) {
            let (version, answers) = (self.store.seal(upload), answers.clone());
            answers.begin_commit(id);
            return match directory.commit(Commit { id, name, version, existing, answers }) {
                Ok(()) => Answer::Later,
                Err(Busy) => Answer::Now(Err(busy("too many clients wait for the disk"))),
            };
        }
        if let Err(refusal) = self.check_count(&config, &name) {
            return Answer::Now(Err(refusal));
        }
        let committed = self.store.commit(name.clone(), upload, existing);
        if committed.is_ok() {
            self.shared.arrivals.add(name);
        }
        Answer::Now(committed.map_err(|CommitError::Exists| already_exists()))
    }

    fn withdraw(&mut self, id: SessionId) -> bool {
        // Whoever stores ends it right before the file gets its name.
        self.answers.as_ref().is_none_or(|answers| answers.end_commit(id))
    }
}
