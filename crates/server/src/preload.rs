//! Loads the files of directories into memory, and again what has changed there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use memtftp_store::{Name, NameError, Store, Version, VersionMark};
use thiserror::Error;
use walkdir::WalkDir;

use crate::config::Config;
use crate::directory::Directory;
use crate::own_files::OwnFiles;
use crate::stamp::Stamp;

/// A directory cannot be loaded. The operator must act.
#[derive(Debug, Error)]
pub enum PreloadError {
    /// It cannot be read, or a file in it.
    #[error("cannot read {}: {source}; check that it exists and that this user may read it", path.display())]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no directory.
    #[error("{} is no directory: give --preload a directory", path.display())]
    NotADirectory {
        /// What it is.
        path: PathBuf,
    },
    /// A link in it leads out of it.
    #[error("the link {} leads out of the directory: put a copy in its place or remove it", path.display())]
    LeavesDirectory {
        /// The link.
        path: PathBuf,
    },
    /// No client could ask for a file by this name.
    #[error("no client can ask for {}: {reason}; rename or remove it", path.display())]
    BadName {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        reason: NameError,
    },
    /// The budget is too small.
    #[error(
        "{} ({size} bytes) does not fit: {free} of {limit} bytes are left; give more with --memory",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What the budget has left, in bytes.
        free: u64,
        /// The budget, in bytes.
        limit: u64,
    },
    /// More files than allowed.
    #[error("{} holds more than {max} files: allow more with --max-files", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many are allowed.
        max: usize,
    },
}

/// The files below a directory that clients could ask for: their names, sorted, and where they are.
/// Links are followed as long as they stay inside, and once if they lead to a directory above; devices,
/// sockets and pipes are passed over with a warning, and the server's own files without.
///
/// # Errors
/// The first file that could not be served.
pub fn list_directory(
    directory: &Path,
    config: &Config,
) -> Result<Vec<(Name, PathBuf)>, PreloadError> {
    list_but(directory, &OwnFiles::of(config))
}

fn list_but(directory: &Path, own: &OwnFiles) -> Result<Vec<(Name, PathBuf)>, PreloadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| PreloadError::Unreadable { path, source }
    };
    let root = fs::canonicalize(directory).map_err(unreadable(directory))?;
    if !root.is_dir() {
        return Err(PreloadError::NotADirectory { path: directory.to_owned() });
    }
    let (mut files, mut loops) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(&root).follow_links(true).sort_by_file_name() {
        if let Err(error) = &entry
            && let (Some(link), Some(above)) = (error.path(), error.loop_ancestor())
        {
            loops.push((link.to_owned(), above.to_owned()));
            continue;
        }
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(directory).to_owned();
            PreloadError::Unreadable { path, source: error.into() }
        })?;
        let path = entry.path();
        if entry.path_is_symlink()
            && !fs::canonicalize(path).map_err(unreadable(path))?.starts_with(&root)
        {
            return Err(PreloadError::LeavesDirectory { path: path.to_owned() });
        }
        let kind = fs::metadata(path).map_err(unreadable(path))?;
        if kind.is_file() && (own.is_own(&kind) || own.is_log_name(path)) {
            tracing::info!("{} is the server's own and is not served", path.display());
        } else if kind.is_file() {
            files.push((name_of(&root, path)?, path.to_owned()));
        } else if !kind.is_dir() {
            tracing::warn!("{} is no regular file and is not served", path.display());
        }
    }
    add_looped(&root, &mut files, &loops)?;
    Ok(files)
}

/// Adds the names that files have through links to a directory above, such as `tftpboot -> .`: once
/// through each such link, since further rounds are names without end.
fn add_looped(
    root: &Path,
    files: &mut Vec<(Name, PathBuf)>,
    loops: &[(PathBuf, PathBuf)],
) -> Result<(), PreloadError> {
    let direct = files.len();
    for (link, above) in loops {
        for number in 0..direct {
            let Some((_, path)) = files.get(number) else { break };
            if let Ok(below) = path.strip_prefix(above)
                && !path.starts_with(link)
            {
                let looped = (name_of(root, &link.join(below))?, path.clone());
                files.push(looped);
            }
        }
    }
    files.sort();
    Ok(())
}

fn name_of(root: &Path, path: &Path) -> Result<Name, PreloadError> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    Name::parse(relative.as_os_str().as_encoded_bytes())
        .map_err(|reason| PreloadError::BadName { path: path.to_owned(), reason })
}

/// What was loaded from directories, to know later what has changed.
#[derive(Debug, Default)]
pub(crate) struct Preloaded {
    files: BTreeMap<Name, Loaded>,
    names: PreloadedNames,
}

/// The names under which files were loaded, for who must not wait while others are read.
pub(crate) type PreloadedNames = Arc<ArcSwap<HashSet<Name>>>;

/// One file as it was when it was loaded.
#[derive(Clone, Debug)]
struct Loaded {
    stamp: Stamp,
    /// What it became. It does not keep the bytes, should an upload have replaced them.
    version: VersionMark,
}

/// A directory is loaded in two steps, so that a file that cannot be read leaves all as it was.
pub(crate) struct Changes {
    loaded: Vec<(Name, Loaded, Version)>,
    gone: Vec<Name>,
}

impl Preloaded {
    /// Returns the names of what is loaded, now and later.
    pub(crate) fn names(&self) -> PreloadedNames {
        Arc::clone(&self.names)
    }

    /// Reads what is new or has changed on disk since it was last loaded. A file that is there under
    /// several names, by links, is held once.
    ///
    /// # Errors
    /// The first file that cannot be loaded.
    pub(crate) fn read(
        &self,
        store: &Store,
        directories: &[PathBuf],
        max_files: usize,
        behind: Option<&Directory>,
        own: &OwnFiles,
    ) -> Result<Changes, PreloadError> {
        let mut found = BTreeMap::new();
        for directory in directories {
            // Of two files of one name, that of the later directory is served.
            found.extend(list_but(directory, own)?);
            let fresh = found.keys().filter(|name| !store.contains(name)).count();
            // What is on disk, too, makes room.
            let leaving = behind.map_or(0, |b| b.count_but(|name| found.contains_key(name)));
            if (store.len() + fresh).saturating_sub(leaving) > max_files {
                return Err(PreloadError::TooMany { path: directory.clone(), max: max_files });
            }
        }
        let mut held: HashMap<Stamp, Version> = HashMap::new();
        for loaded in self.files.values().filter(|loaded| loaded.stamp.file.is_some()) {
            held.extend(loaded.version.version().map(|version| (loaded.stamp, version)));
        }
        let mut loaded = Vec::new();
        for (name, path) in &found {
            let unreadable = |source| PreloadError::Unreadable { path: path.clone(), source };
            let stamp = Stamp::of(&fs::metadata(path).map_err(unreadable)?);
            if self.files.get(name).is_some_and(|loaded| loaded.stamp == stamp) {
                continue;
            }
            let version = match held.get(&stamp) {
                Some(version) => version.clone(),
                None => {
                    if let Some(behind) = behind {
                        behind.make_room(stamp.len);
                    }
                    read_file(store, path, stamp.len)?
                }
            };
            if stamp.file.is_some() {
                held.insert(stamp, version.clone());
            }
            loaded.push((name.clone(), Loaded { stamp, version: version.mark() }, version));
        }
        let gone = self.files.keys().filter(|name| !found.contains_key(name)).cloned().collect();
        Ok(Changes { loaded, gone })
    }

    /// Makes what was read visible, each file at one moment. A file that is gone from the disk is
    /// taken out, unless an upload has replaced it. Gives how many were loaded and taken out.
    pub(crate) fn apply(
        &mut self,
        store: &Store,
        changes: Changes,
        behind: Option<&Directory>,
    ) -> (usize, usize) {
        let counts = (changes.loaded.len(), changes.gone.len());
        for (name, loaded, version) in changes.loaded {
            let _receipt = store.link(name.clone(), &version);
            behind.inspect(|behind| behind.let_go(&name));
            self.files.insert(name, loaded);
        }
        for name in changes.gone {
            let version = self.files.remove(&name).and_then(|loaded| loaded.version.version());
            if let Some(version) = version {
                store.remove_version(&name, &version);
            }
        }
        self.names.store(Arc::new(self.files.keys().cloned().collect()));
        counts
    }
}

fn read_file(store: &Store, path: &Path, len: u64) -> Result<Version, PreloadError> {
    let too_large = |size| PreloadError::TooLarge {
        path: path.to_owned(),
        size,
        free: store.budget().free(),
        limit: store.budget().limit(),
    };
    // Before reading: a file larger than memory must not be tried.
    if len > store.budget().free() {
        return Err(too_large(len));
    }
    let bytes = fs::read(path)
        .map_err(|source| PreloadError::Unreadable { path: path.to_owned(), source })?;
    let size = bytes.len() as u64;
    store.hold(bytes).map_err(|_| too_large(size))
}
