//! Loads the files of a directory into memory.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use memtftp_store::{AppendError, Name, NameError, Store};
use thiserror::Error;
use walkdir::WalkDir;

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

/// Loads every regular file below `directory` under its relative name. Links are followed as long
/// as they stay inside; devices, sockets and pipes are passed over with a warning.
///
/// # Errors
/// The first file that cannot be loaded.
pub(crate) fn load(store: &Store, directory: &Path, max_files: usize) -> Result<(), PreloadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| PreloadError::Unreadable { path, source }
    };
    let root = fs::canonicalize(directory).map_err(unreadable(directory))?;
    if !root.is_dir() {
        return Err(PreloadError::NotADirectory { path: directory.to_owned() });
    }
    for entry in WalkDir::new(&root).follow_links(true).sort_by_file_name() {
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
        let metadata = fs::metadata(path).map_err(unreadable(path))?;
        if metadata.is_file() {
            if store.len() >= max_files {
                return Err(PreloadError::TooMany { path: directory.to_owned(), max: max_files });
            }
            load_file(store, &root, path, &metadata)?;
        } else if !metadata.is_dir() {
            tracing::warn!("{} is no regular file and is not served", path.display());
        }
    }
    Ok(())
}

fn load_file(
    store: &Store,
    root: &Path,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), PreloadError> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let name = Name::parse(relative.as_os_str().as_encoded_bytes())
        .map_err(|reason| PreloadError::BadName { path: path.to_owned(), reason })?;
    let too_large = |size| PreloadError::TooLarge {
        path: path.to_owned(),
        size,
        free: store.budget().free(),
        limit: store.budget().limit(),
    };
    // Before reading: a file larger than memory must not be tried.
    if metadata.len() > store.budget().free() {
        return Err(too_large(metadata.len()));
    }
    let bytes = fs::read(path)
        .map_err(|source| PreloadError::Unreadable { path: path.to_owned(), source })?;
    let size = bytes.len() as u64;
    match store.put(name, bytes) {
        Ok(_) => Ok(()),
        Err(
            AppendError::OverBudget(_) | AppendError::TooLong { .. } | AppendError::OutOfMemory,
        ) => Err(too_large(size)),
    }
}
