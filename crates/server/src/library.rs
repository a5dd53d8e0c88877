//! The files and the policy behind every worker's endpoint.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;
use memtftp_proto::{
    Answer, ErrorCode, FileRequest, Files, Limits, Mode, Refusal, RefusalReason, SessionId,
};
use memtftp_store::{
    AppendError, Budget, CommitError, Existing, Name, NameError, Receipt, Store, Upload, Version,
};

use crate::arrivals::Arrivals;
use crate::config::{Config, Uploads};
use crate::interfaces::Interfaces;

/// A window that is agreed holds this much at most, in bytes: a burst that sockets can hold.
const MAX_WINDOW_BYTES: u32 = 4 << 20;

/// One worker's way to the files that all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    store: Store,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    arrivals: Arrivals,
    interfaces: Interfaces,
    shares: Mutex<HashMap<IpAddr, Arc<Budget>, RandomState>>,
}

/// An upload and the name it is for.
#[derive(Debug)]
pub(crate) struct NamedUpload {
    name: Name,
    upload: Upload,
    /// Held so that the table keeps it while the upload lasts.
    _share: Arc<Budget>,
}

impl NamedUpload {
    /// Bytes that it holds of the budget.
    pub(crate) fn charged(&self) -> u64 {
        self.upload.charged()
    }
}

impl Library {
    /// `arrivals` is told of every upload that is committed.
    pub(crate) fn new(
        store: Store,
        arrivals: Arrivals,
        config: Arc<Config>,
        interfaces: Interfaces,
    ) -> Library {
        let shared = Shared { config, arrivals, interfaces, shares: Mutex::default() };
        Library { store, shared: Arc::new(shared) }
    }

    fn try_open(&self, request: &FileRequest<'_>) -> Result<Version, Refusal> {
        let name = Name::parse(request.name).map_err(bad_name)?;
        self.store.open(&name).ok_or(Refusal::new(ErrorCode::NOT_FOUND, "file not found"))
    }

    fn try_begin(&self, request: &FileRequest<'_>) -> Result<NamedUpload, Refusal> {
        let config = &self.shared.config;
        let name = Name::parse(request.name).map_err(bad_name)?;
        let exists = self.store.contains(&name);
        match config.uploads {
            Uploads::Off => {
                let text = "uploads are off, the server needs --uploads create or replace";
                return Err(Refusal::new(ErrorCode::ACCESS, text));
            }
            Uploads::Create if exists => return Err(already_exists()),
            Uploads::Create | Uploads::Replace => {}
        }
        self.check_count(&name)?;
        let share = self.share_of(request.peer.ip());
        let mut upload = self.store.begin_charged_to(&share, config.max_file.unwrap_or(u64::MAX));
        // In netascii the size announced is that on the wire, and the file may be smaller.
        if let Some(announced) = request.announced.filter(|_| request.mode == Mode::Octet) {
            upload.announce(announced).map_err(no_room)?;
        }
        Ok(NamedUpload { name, upload, _share: share })
    }

    /// Whether there may be a file of this name. Checked again at the commit, since many uploads may
    /// be under way; workers that commit in the same moment may exceed it by one file each.
    fn check_count(&self, name: &Name) -> Result<(), Refusal> {
        if self.store.len() < self.shared.config.max_files || self.store.contains(name) {
            return Ok(());
        }
        let refusal = Refusal::new(ErrorCode::FULL, "too many files, see --max-files");
        Err(refusal.counted_as(RefusalReason::Files))
    }

    /// The part of the budget that uploads of one client may use.
    ///
    /// Before the table grows, shares of clients without files and uploads are dropped, so it
    /// holds few more clients than have either.
    fn share_of(&self, client: IpAddr) -> Arc<Budget> {
        let mut shares = self.shared.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&client) {
            return Arc::clone(share);
        }
        if shares.len() == shares.capacity() {
            shares.retain(|_, share| share.used() > 0 || Arc::strong_count(share) > 1);
        }
        let share = Arc::new(self.store.budget().child(self.shared.config.client_memory()));
        shares.insert(client, Arc::clone(&share));
        share
    }
}

impl Files for Library {
    type Content = Version;
    type Upload = NamedUpload;
    type Receipt = Receipt;

    fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        if self.shared.config.access.allows(client) {
            return Ok(());
        }
        let text = "clients from this network are not served, see --allow";
        Err(Refusal::new(ErrorCode::ACCESS, text))
    }

    fn limits(&self, request: &FileRequest<'_>) -> Limits {
        let config = &self.shared.config;
        let fitting = || self.shared.interfaces.max_blksize(request.local);
        Limits {
            max_blksize: config.max_blksize.unwrap_or_else(fitting),
            max_windowsize: config.max_windowsize,
            max_window_bytes: MAX_WINDOW_BYTES,
        }
    }

    fn open(&mut self, _: SessionId, request: &FileRequest<'_>) -> Answer<Version> {
        Answer::Now(self.try_open(request))
    }

    fn begin(&mut self, _: SessionId, request: &FileRequest<'_>) -> Answer<NamedUpload> {
        Answer::Now(self.try_begin(request))
    }

    fn append(&mut self, upload: &mut NamedUpload, bytes: &[u8]) -> Result<(), Refusal> {
        upload.upload.append(bytes).map_err(no_room)
    }

    fn commit(&mut self, _: SessionId, upload: NamedUpload) -> Answer<Receipt> {
        let existing = match self.shared.config.uploads {
            Uploads::Replace => Existing::Replace,
            Uploads::Create | Uploads::Off => Existing::Refuse,
        };
        if let Err(refusal) = self.check_count(&upload.name) {
            return Answer::Now(Err(refusal));
        }
        let committed = self.store.commit(upload.name.clone(), upload.upload, existing);
        if committed.is_ok() {
            self.shared.arrivals.add(upload.name);
        }
        Answer::Now(committed.map_err(|CommitError::Exists| already_exists()))
    }
}

fn already_exists() -> Refusal {
    Refusal::new(ErrorCode::EXISTS, "file exists, the server needs --uploads replace")
}

/// U-Boot stops at codes 1 and 2 and tries again for ever at any other.
fn bad_name(error: NameError) -> Refusal {
    let text = match error {
        NameError::Empty => "file name is empty",
        NameError::TooLong => "file name is longer than 255 bytes",
        NameError::Dots => "file name has a part . or ..",
        NameError::Control => "file name has a control character",
        NameError::Directory => "file name ends with a slash",
    };
    Refusal::new(ErrorCode::ACCESS, text)
}

fn no_room(error: AppendError) -> Refusal {
    let (text, reason) = match error {
        AppendError::TooLong { .. } => {
            ("file is too large, see --max-file", RefusalReason::FileSize)
        }
        AppendError::OverBudget(over) if over.depth == 0 => (
            "this client's uploads hold too much, see --max-client-memory",
            RefusalReason::ClientMemory,
        ),
        AppendError::OverBudget(_) => {
            ("no memory left for files, see --memory", RefusalReason::Memory)
        }
        AppendError::OutOfMemory => ("the server is out of memory", RefusalReason::Memory),
    };
    let refusal = Refusal::new(ErrorCode::FULL, text);
    refusal.because(format!("{text}: {error}")).counted_as(reason)
}
