//! Where the bytes of a get go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

/// How many links in a row are followed, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Takes the bytes of one file, possibly of several attempts at it.
pub(crate) trait Target {
    /// What it is, for messages.
    fn what(&self) -> String;

    /// Forgets what was written; false if that cannot be undone.
    fn restart(&mut self) -> io::Result<bool>;

    /// Takes the next bytes, many at a time.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// All is there: keeps it for good.
    fn keep(&mut self) -> io::Result<()>;
}

/// Nothing: of a put.
pub(crate) struct Nowhere;

impl Target for Nowhere {
    fn what(&self) -> String {
        "nothing".into()
    }

    fn restart(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn keep(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Vec<u8> {
    fn what(&self) -> String {
        "to memory".into()
    }

    fn restart(&mut self) -> io::Result<bool> {
        self.clear();
        Ok(true)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.try_reserve(bytes.len())?;
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn keep(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Something that only goes forward, such as a pipe or a device.
pub(crate) struct Stream<W: Write> {
    what: String,
    writer: W,
    started: bool,
}

impl<W: Write> Stream<W> {
    pub(crate) fn new(what: impl Into<String>, writer: W) -> Stream<W> {
        Stream { what: what.into(), writer, started: false }
    }
}

impl<W: Write> Target for Stream<W> {
    fn what(&self) -> String {
        self.what.clone()
    }

    fn restart(&mut self) -> io::Result<bool> {
        Ok(!self.started)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.started |= !bytes.is_empty();
        self.writer.write_all(bytes)
    }

    fn keep(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A file that appears under its name once it is complete.
///
/// Its bytes are given to the system, which writes them to the disk when it likes, as with `cp`.
pub(crate) struct Beside {
    path: PathBuf,
    file: File,
    /// The file's name until then, in the same directory, so that renaming is possible. The file is
    /// removed when this is dropped; `None` once it has its name.
    part: Option<TempPath>,
}

/// The target for a path: beside a file, but right into a device or a pipe.
///
/// # Errors
/// It is a directory, or its directory cannot be written to.
pub(crate) fn at(path: &Path) -> io::Result<Box<dyn Target>> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let device: File = OpenOptions::new().write(true).open(path)?;
            Ok(Box::new(Stream::new(path.display().to_string(), device)))
        }
        // What a link points to is replaced, not the link.
        Ok(_) => Ok(Box::new(Beside::new(fs::canonicalize(path)?)?)),
        Err(_) => Ok(Box::new(Beside::new(follow(path)?)?)),
    }
}

/// Where a file that is not there yet will be: where the links lead.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(to) = fs::read_link(&path) else { return Ok(path) };
        // A link is relative to its own directory, an absolute one replaces the path.
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    Err(io::Error::other("too many links"))
}

impl Beside {
    fn new(path: PathBuf) -> io::Result<Beside> {
        if path.file_name().is_none() {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // Opened here: the errors of a `NamedTempFile` tell its name, which would only confuse.
        // What replaces a file is nobody else's to read until it has that file's rights.
        let is_private = path.exists();
        let open = |part: &Path| part_options(is_private).open(part);
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".memtftp-").suffix(".part");
        let (file, part) = builder.make_in(parent.unwrap_or(Path::new(".")), open)?.into_parts();
        Ok(Beside { path, file, part: Some(part) })
    }
}

fn part_options(is_private: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, memtftp_rights::PRIVATE);
    }
    #[cfg(not(unix))]
    let _ = is_private;
    options
}

impl Target for Beside {
    fn what(&self) -> String {
        self.path.display().to_string()
    }

    fn restart(&mut self) -> io::Result<bool> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        Ok(true)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn keep(&mut self) -> io::Result<()> {
        if let Ok(old) = memtftp_rights::open(&self.path) {
            memtftp_rights::inherit(&self.file, &old)?;
        }
        match self.part.take() {
            Some(part) => part.persist(&self.path).map_err(|error| error.error),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    #[test]
    fn an_old_file_stays_until_the_new_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut target = at(&path).unwrap();
        target.write(b"half").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(target);
        assert_eq!(
            (fs::read(&path).unwrap(), names(directory.path())),
            (b"old".into(), vec!["a".into()])
        );
        let mut target = at(&path).unwrap();
        target.write(b"first attempt").unwrap();
        assert!(target.restart().unwrap());
        target.write(b"new").unwrap();
        target.keep().unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), names(directory.path())),
            (b"new".into(), vec!["a".into()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_and_rights_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        symlink("a", &link).unwrap();
        let mut target = at(&link).unwrap();
        target.write(b"new").unwrap();
        target.keep().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn what_replaces_a_file_is_never_more_open_than_it() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let mut target = at(&path).unwrap();
        target.write(b"new secret").unwrap();
        let part = names(directory.path()).into_iter().find(|name| name != "a").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&directory.path().join(part)), 0o600);
        target.keep().unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"new secret".to_vec()));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_whose_file_is_still_to_come_is_followed() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("real")).unwrap();
        symlink("second", path("first")).unwrap();
        symlink(path("real/file"), path("second")).unwrap();
        let mut target = at(&path("first")).unwrap();
        target.write(b"new").unwrap();
        assert_eq!(names(&path("real")).len(), 1, "the part lies beside the file to come");
        target.keep().unwrap();
        assert!(fs::symlink_metadata(path("first")).unwrap().is_symlink());
        assert_eq!(fs::read(path("real/file")).unwrap(), b"new");
        symlink("loop", path("loop")).unwrap();
        assert!(at(&path("loop")).is_err());
        symlink("none/file", path("lost")).unwrap();
        assert_eq!(at(&path("lost")).map(drop).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(fs::symlink_metadata(path("lost")).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let error = |path: &Path| at(path).map(|_| ()).unwrap_err().kind();
        assert_eq!(error(directory.path()), io::ErrorKind::IsADirectory);
        assert_eq!(error(&directory.path().join("no/a")), io::ErrorKind::NotFound);
        let text = at(&directory.path().join("no/a")).map(drop).unwrap_err().to_string();
        assert!(!text.contains(".part"), "{text}");
    }

    #[test]
    fn a_stream_starts_over_only_before_its_first_byte() {
        let mut out = Vec::new();
        let mut target = Stream::new("it", &mut out);
        target.write(b"").unwrap();
        assert!(target.restart().unwrap());
        target.write(b"x").unwrap();
        assert!(!target.restart().unwrap());
    }
}
