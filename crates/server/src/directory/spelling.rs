//! Finding a file of a directory under another spelling of its name.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memtftp_store::Name;
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

/// Directories that are read for one name, at most: a tree may have many spellings of each part.
const MAX_READS: usize = 64;

/// Returns the name of the file that differs from `name` in the case of ASCII letters only. Of
/// several, that with the most of `name`'s own spelling in front is taken, then the first in order.
/// `open` opens a directory, given by its path below the root.
pub(super) fn find(name: &Name, open: impl Fn(&Path) -> Result<OwnedFd, Errno>) -> Option<Name> {
    let mut search = Search::new(name, open);
    let found = search.descend(Path::new(""), 0)?;
    Name::parse(found.as_os_str().as_bytes()).ok()
}

/// Returns the name under which a new file belongs: that of the file [`find`] finds, else `name`
/// with as many of its directories as there are spelled like those.
pub(super) fn find_place(
    name: &Name,
    open: impl Fn(&Path) -> Result<OwnedFd, Errno>,
) -> Option<Name> {
    let mut search = Search::new(name, open);
    let found = search.descend(Path::new(""), 0).or_else(|| {
        let (depth, mut path) = search.deepest.take()?;
        path.extend(search.parts.iter().skip(depth));
        Some(path)
    })?;
    Name::parse(found.as_os_str().as_bytes()).ok()
}

/// A search through all spellings of the directories on the way, depth first.
struct Search<'a, O> {
    parts: Vec<&'a OsStr>,
    open: O,
    reads_left: usize,
    /// The directory that goes furthest along the name, and how many parts of it those are.
    deepest: Option<(usize, PathBuf)>,
}

impl<'a, O: Fn(&Path) -> Result<OwnedFd, Errno>> Search<'a, O> {
    fn new(name: &'a Name, open: O) -> Search<'a, O> {
        let parts = Path::new(OsStr::from_bytes(name.as_bytes())).iter().collect();
        Search { parts, open, reads_left: MAX_READS, deepest: None }
    }

    /// Returns the path of the file below `here`, which spells the first `depth` parts.
    fn descend(&mut self, here: &Path, depth: usize) -> Option<PathBuf> {
        let is_last = depth + 1 == self.parts.len();
        for entry in self.candidates(here, depth, is_last) {
            let path = here.join(OsStr::from_bytes(&entry));
            if is_last {
                return Some(path);
            }
            let found = self.descend(&path, depth + 1);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Entries of a directory that spell the part of the name at `depth`, its own spelling first.
    fn candidates(&mut self, here: &Path, depth: usize, is_last: bool) -> Vec<Vec<u8>> {
        let (Some(part), Some(left)) = (self.parts.get(depth), self.reads_left.checked_sub(1))
        else {
            return Vec::new();
        };
        self.reads_left = left;
        let root = if here.as_os_str().is_empty() { Path::new(".") } else { here };
        let Ok(directory) = (self.open)(root).and_then(Dir::read_from) else { return Vec::new() };
        if self.deepest.as_ref().is_none_or(|(deepest, _)| depth > *deepest) {
            self.deepest = Some((depth, here.to_owned()));
        }
        let part = part.as_bytes();
        let mut entries: Vec<Vec<u8>> = directory
            .flatten()
            .filter(|entry| !is_last || entry.file_type() != FileType::Directory)
            .map(|entry| entry.file_name().to_bytes().to_vec())
            .filter(|entry| entry.eq_ignore_ascii_case(part))
            .collect();
        entries.sort_by(|a, b| (a != part, a).cmp(&(b != part, b)));
        entries
    }
}
