//! Files below one directory, and nothing else: every name is opened relative to its descriptor, by a
//! call that does not leave it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use memtftp_store::{Existing, Name};
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, ResolveFlags, fchmod, flock, fstat, fstatfs, fsync,
    mkdirat, openat, openat2, unlinkat,
};
use rustix::io::Errno;
use walkdir::WalkDir;

use super::backing::{About, Backing, BackingError, Change, Writers};
use super::root::Root;
use super::spelling;
use super::temporary::{Stored, is_temporary};
use super::watch::Watch;
use crate::config::{DirectoryConfig, Durability};
use crate::own_files::OwnFiles;
use crate::stamp::Stamp;

impl From<Errno> for BackingError {
    fn from(error: Errno) -> BackingError {
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => BackingError::NotFound,
            Errno::EXIST => BackingError::Exists,
            Errno::XDEV | Errno::LOOP => BackingError::Unusable(LEAVES),
            Errno::ISDIR | Errno::NXIO | Errno::NODEV => BackingError::Unusable(NOT_REGULAR),
            Errno::NOSPC | Errno::DQUOT => BackingError::Full,
            other => BackingError::System(other.into()),
        }
    }
}

impl From<io::Error> for BackingError {
    fn from(error: io::Error) -> BackingError {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => BackingError::System(error),
        }
    }
}

const LEAVES: &str = "a link leads out of the directory";
const OWN: &str = "it is a file of the server itself";
const NOT_REGULAR: &str = "it is no regular file";

/// How often a name is looked up again that the system could not tell to stay inside.
const RETRIES: usize = 16;

/// Who is told of changes.
type Tell = Arc<dyn Fn(Change) + Send + Sync>;

/// A directory.
pub(crate) struct Disk {
    root: Root,
    config: DirectoryConfig,
    own: OwnFiles,
    tell: Mutex<Option<Tell>>,
    started: SystemTime,
}

/// A regular file that was found.
#[derive(Debug)]
pub(crate) struct Found {
    file: File,
    stamp: Stamp,
    is_linked: bool,
    looked: Instant,
}

impl Disk {
    /// Opens the directory.
    pub(crate) fn open(config: &DirectoryConfig, own: OwnFiles) -> io::Result<Disk> {
        // As it was given: if it is a link, it may lead elsewhere later.
        let root = Root::open(std::path::absolute(&config.path)?)?;
        let (tell, started) = (Mutex::default(), SystemTime::now());
        let disk = Disk { root, config: config.clone(), own, tell, started };
        // Older kernels cannot tell a name that leaves the directory.
        let root = disk.root().map_err(io::Error::other)?;
        match disk.beneath(&root, Path::new("."), OFlags::PATH) {
            Ok(_) => Ok(disk),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the descriptor of the directory that is served at this moment.
    fn root(&self) -> Result<Arc<OwnedFd>, BackingError> {
        let (root, is_another) = self.root.current()?;
        // A renamed directory tells of itself, a mounted one does not.
        if is_another && let Some(tell) = &*self.tell.lock().unwrap_or_else(PoisonError::into_inner)
        {
            tell(Change::Lost);
        }
        Ok(root)
    }

    /// Opens a path below the root, and nothing else.
    fn beneath(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.open_beneath(root, path, flags) {
            // The system takes every absolute link for one that leads out.
            Err(Errno::XDEV) => match self.without_links(path) {
                Some(straight) => self.open_beneath(root, &straight, flags),
                None => Err(Errno::XDEV),
            },
            opened => opened,
        }
    }

    /// Returns the path below the root to which the links in `path` lead; `None` if they lead out.
    fn without_links(&self, path: &Path) -> Option<PathBuf> {
        let path = self.root.path().join(path);
        let real = std::fs::canonicalize(&path).or_else(|error| {
            // Of a file that is still to come, its directory decides.
            let above = path.parent().filter(|_| std::fs::symlink_metadata(&path).is_err());
            let (above, name) = above.zip(path.file_name()).ok_or(error)?;
            Ok::<_, io::Error>(std::fs::canonicalize(above)?.join(name))
        });
        let real = real.ok()?;
        let straight = real.strip_prefix(std::fs::canonicalize(self.root.path()).ok()?).ok()?;
        let is_root = straight.as_os_str().is_empty();
        Some(if is_root { PathBuf::from(".") } else { straight.to_owned() })
    }

    fn open_beneath(&self, root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let stay = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), stay);
        let mut opened = open();
        for _ in 0..RETRIES {
            // The system gives up on a link with `..` while anything is renamed.
            if !matches!(opened, Err(Errno::AGAIN)) {
                break;
            }
            opened = open();
        }
        opened
    }

    fn look_below(&self, root: &OwnedFd, name: &Name) -> Result<Stamp, BackingError> {
        let there = File::from(self.beneath(root, path_of(name), OFlags::PATH)?);
        let metadata = there.metadata()?;
        match metadata.is_file() {
            true if self.own.is_own(&metadata) => Err(BackingError::Unusable(OWN)),
            true => Ok(Stamp::of(&metadata)),
            false => Err(BackingError::Unusable(NOT_REGULAR)),
        }
    }

    fn directory_of(&self, name: &Name) -> Result<OwnedFd, BackingError> {
        let (root, parent) = (self.root()?, parent_of(name));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.beneath(&root, parent, flags) {
            Err(Errno::NOENT) if self.config.create_dirs => self.create(&root, parent),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(BackingError::NoDirectory),
            opened => Ok(opened?),
        }
    }

    fn create(&self, root: &OwnedFd, path: &Path) -> Result<OwnedFd, BackingError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mode = Mode::from_raw_mode(0o777 & !self.config.umask);
        let mut made = PathBuf::new();
        let mut above = self.beneath(root, Path::new("."), flags)?;
        for part in path {
            made.push(part);
            let is_new = match mkdirat(&above, part, mode) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            above = self.beneath(root, &made, flags)?;
            if is_new {
                fchmod(&above, mode)?;
            }
        }
        Ok(above)
    }

    /// Gives a file that is stored the rights of the one that has its name now.
    fn give_rights(&self, stored: &Stored, name: &Name) -> Result<(), BackingError> {
        let root = self.root()?;
        let there = self.beneath(&root, path_of(name), OFlags::PATH).ok().map(File::from);
        if let Some(there) = &there
            && self.own.is_own(&there.metadata()?)
        {
            return Err(BackingError::Unusable(OWN));
        }
        let mode = Mode::from_raw_mode(0o666 & !self.config.umask);
        Ok(stored.take_rights(there.as_ref(), mode)?)
    }

    /// Fails if the directory in which a file was stored is no longer the one of its name.
    fn check_place(&self, stored: &Stored, name: &Name) -> Result<(), BackingError> {
        let (root, flags) = (self.root()?, OFlags::PATH | OFlags::DIRECTORY);
        let there = match self.beneath(&root, parent_of(name), flags) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(BackingError::Moved),
            there => fstat(there?)?,
        };
        let stored_in = fstat(&stored.directory)?;
        match (there.st_dev, there.st_ino) == (stored_in.st_dev, stored_in.st_ino) {
            true => Ok(()),
            false => Err(BackingError::Moved),
        }
    }

    /// Removes a temporary file if no running server has it; true if so.
    fn remove_left(&self, path: &Path) -> Result<bool, BackingError> {
        let relative = path.strip_prefix(self.root.path()).unwrap_or(path);
        let (Some(parent), Some(name)) = (relative.parent(), relative.file_name()) else {
            return Ok(false);
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let root = self.root()?;
        let directory = self.beneath(&root, parent, OFlags::RDONLY | OFlags::DIRECTORY)?;
        // What was there a moment ago may be something else by now.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&directory, name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        // Not one of our own, which may have no lock yet.
        let is_old = metadata.modified().is_ok_and(|modified| modified < self.started);
        if !metadata.is_file()
            || !is_old
            || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return Ok(false);
        }
        unlinkat(&directory, name, AtFlags::empty())?;
        Ok(true)
    }
}

impl Backing for Disk {
    type Mark = Stamp;
    type Found = Found;
    type Stored = Stored;
    type Watch = Watch;

    fn title(&self) -> String {
        self.root.path().display().to_string()
    }

    fn find(&self, name: &Name) -> Result<Found, BackingError> {
        if is_reserved(name) {
            return Err(BackingError::NotFound);
        }
        if self.own.is_log_name(&self.root.path().join(path_of(name))) {
            return Err(BackingError::Unusable(OWN));
        }
        let (looked, root) = (Instant::now(), self.root()?);
        // Opening a device may do something, so it is looked at first.
        self.look_below(&root, name)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.beneath(&root, path_of(name), flags)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(BackingError::Unusable(NOT_REGULAR));
        }
        let is_linked = metadata.nlink() > 1 || has_links(&root, name);
        Ok(Found { stamp: Stamp::of(&metadata), file, is_linked, looked })
    }

    fn look(&self, name: &Name) -> Result<Stamp, BackingError> {
        let root = self.root()?;
        self.look_below(&root, name)
    }

    fn about(&self, found: &Found) -> About<Stamp> {
        let Found { stamp, is_linked, looked, .. } = *found;
        About { is_linked, looked: Some(looked), ..About::of(stamp) }
    }

    fn writers(&self, found: &Found) -> Writers {
        match memtftp_udp::writers(&found.file) {
            Writers::Some if is_remote(&found.file) => Writers::Unknown,
            writers => writers,
        }
    }

    fn load(&self, mut found: Found) -> Result<Vec<u8>, BackingError> {
        let len = usize::try_from(found.stamp.len).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(len);
        reserved.map_err(|_| BackingError::System(io::ErrorKind::OutOfMemory.into()))?;
        (&mut found.file).take(found.stamp.len).read_to_end(&mut bytes)?;
        let after = Stamp::of(&found.file.metadata()?);
        if bytes.len() != len || after != found.stamp {
            return Err(BackingError::Changing);
        }
        Ok(bytes)
    }

    fn spelling(&self, name: &Name) -> Option<Name> {
        let root = self.root().ok()?;
        spelling::find(name, |path| self.beneath(&root, path, OFlags::RDONLY | OFlags::DIRECTORY))
    }

    fn spelling_for_upload(&self, name: &Name) -> Option<Name> {
        let (root, flags) = (self.root().ok()?, OFlags::RDONLY | OFlags::DIRECTORY);
        spelling::find_place(name, |path| self.beneath(&root, path, flags))
    }

    fn may_store(&self, name: &Name, existing: Existing) -> Result<(), BackingError> {
        if is_reserved(name) {
            return Err(BackingError::Unusable(NOT_REGULAR));
        }
        match self.find(name) {
            Ok(_) if existing == Existing::Refuse => Err(BackingError::Exists),
            Ok(_) => Ok(()),
            Err(BackingError::NotFound) if self.config.create_dirs => Ok(()),
            Err(BackingError::NotFound) => self.directory_of(name).map(drop),
            Err(error) => Err(error),
        }
    }

    fn store(&self, name: &Name, bytes: &[u8]) -> Result<Stored, BackingError> {
        let mut stored = Stored::create(self.directory_of(name)?)?;
        stored.file.write_all(bytes)?;
        self.give_rights(&stored, name)?;
        if self.config.durability == Durability::Fsync {
            stored.file.sync_all()?;
        }
        Ok(stored)
    }

    fn publish(
        &self,
        stored: &mut Stored,
        name: &Name,
        existing: Existing,
    ) -> Result<About<Stamp>, BackingError> {
        self.check_place(stored, name)?;
        // They may have been changed while it was written.
        self.give_rights(stored, name)?;
        stored.take_name(path_of(name).file_name().unwrap_or_default(), existing)?;
        // Since the look before.
        self.check_place(stored, name)?;
        let stamp = Stamp::of(&stored.file.metadata()?);
        let is_linked = self.root().is_ok_and(|root| has_links(&root, name));
        // The directory may have another name by now.
        Ok(About { age: None, is_linked, looked: None, ..About::of(stamp) })
    }

    fn settle(&self, stored: &Stored, name: &Name) -> Result<(), BackingError> {
        if self.config.durability == Durability::Rename {
            return Ok(());
        }
        fsync(&stored.directory)?;
        if self.config.create_dirs {
            // Any of those above may be new, and made by another upload that has not come so far.
            let root = self.root()?;
            for above in path_of(name).ancestors().skip(2) {
                let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
                fsync(self.beneath(&root, above, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
            }
        }
        Ok(())
    }

    fn clear(&self) {
        for entry in WalkDir::new(self.root.path()).into_iter().flatten() {
            if !is_temporary(entry.file_name()) || !entry.file_type().is_file() {
                continue;
            }
            match self.remove_left(entry.path()) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(
                        "removed {}, of a server that has ended",
                        entry.path().display()
                    );
                }
                Err(error) => tracing::warn!("cannot remove {}: {error}", entry.path().display()),
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = Name> {
        // Below it: it may be a link itself, which is no file.
        let entries = WalkDir::new(self.root.path()).min_depth(1).into_iter().flatten();
        let files =
            entries.filter(|entry| !entry.file_type().is_dir() && !is_temporary(entry.file_name()));
        files.filter_map(|entry| {
            let name = name_of(self.root.path(), entry.path());
            if name.is_none() {
                tracing::warn!(
                    "{} cannot be served: no client can ask for such a name",
                    entry.path().display()
                );
            }
            name
        })
    }

    fn watch(&self, tell: impl Fn(Change) + Send + Sync + 'static, before: Option<Watch>) -> Watch {
        let tell: Tell = Arc::new(tell);
        *self.tell.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tell));
        Watch::start(self.root.path(), move |change| tell(change), before)
    }
}

impl About<Stamp> {
    fn of(stamp: Stamp) -> About<Stamp> {
        About {
            mark: stamp,
            len: stamp.len,
            age: stamp.age(),
            unchanged_for: stamp.unchanged_for(),
            file: stamp.file,
            is_linked: false,
            looked: None,
        }
    }
}

/// Whether a file is on another machine: then ours does not know who writes to it.
fn is_remote(file: &File) -> bool {
    /// NFS, and the three of SMB (`linux/magic.h`).
    const REMOTE: [u32; 4] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42];
    // The type has another width on some machines, and these numbers fit the lower half of all.
    fstatfs(file).is_ok_and(|system| REMOTE.contains(&(system.f_type as u32)))
}

/// Whether a name leads to its file through links.
fn has_links(root: &OwnedFd, name: &Name) -> bool {
    let straight = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, path_of(name), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), straight).is_err()
}

fn path_of(name: &Name) -> &Path {
    Path::new(OsStr::from_bytes(name.as_bytes()))
}

/// The path of the directory that a name is in.
fn parent_of(name: &Name) -> &Path {
    let parent = path_of(name).parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The name of a path below a directory.
pub(super) fn name_of(directory: &Path, path: &Path) -> Option<Name> {
    let relative = path.strip_prefix(directory).ok()?;
    let name = Name::parse(relative.as_os_str().as_bytes()).ok()?;
    (!is_reserved(&name)).then_some(name)
}

fn is_reserved(name: &Name) -> bool {
    path_of(name).file_name().is_some_and(is_temporary)
}
