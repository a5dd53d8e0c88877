//! The arguments of `memtftp get`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use memtftp_client::Url;

use crate::cli::transfer::{ArgumentError, EXIT_STATUS, TransferFlags, url};

/// Flags of `memtftp get`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, override_usage = "memtftp get [OPTIONS] URL [FILE|-]\n       memtftp get [OPTIONS] URL... [DIRECTORY]")]
pub(crate) struct GetFlags {
    /// What to fetch, `tftp://HOST[:PORT]/NAME[;mode=octet|netascii]`, and last, as with cp, where
    /// to: a file, a directory, or `-` for standard output. Without it: into this directory
    #[arg(required = true, value_name = "URL", value_hint = ValueHint::FilePath)]
    arguments: Vec<OsString>,

    #[command(flatten)]
    pub(crate) transfer: TransferFlags,
}

/// Where a file goes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Destination {
    Stdout,
    File(PathBuf),
}

impl GetFlags {
    /// What to fetch, and where each goes.
    pub(crate) fn files(&self) -> Result<Vec<(Url, Destination)>, ArgumentError> {
        let (urls, target) = match self.arguments.split_last() {
            Some((last, urls)) if !urls.is_empty() && !is_url(last) => (urls, Path::new(last)),
            _ => (self.arguments.as_slice(), Path::new(".")),
        };
        let several = urls.len() > 1;
        let into_directory = target.is_dir() || ends_with_slash(target);
        if several && !into_directory && !is_standard(target) {
            return Err(ArgumentError::NoDirectory(target.display().to_string()));
        }
        let one = |argument: &OsString| {
            let url = url(&argument.to_string_lossy())?;
            let to = if is_standard(target) {
                Destination::Stdout
            } else if into_directory {
                let name = url.file_name().and_then(file_name);
                let name = name.ok_or_else(|| ArgumentError::NoName(url.to_string()))?;
                Destination::File(if target.as_os_str() == "." { name } else { target.join(name) })
            } else {
                Destination::File(target.to_owned())
            };
            Ok((url, to))
        };
        urls.iter().map(one).collect()
    }
}

/// Whether this stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(crate) fn is_url(argument: &OsStr) -> bool {
    let scheme = argument.as_encoded_bytes().get(..7);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tftp://"))
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

#[cfg(unix)]
fn file_name(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;

    Some(OsStr::from_bytes(bytes).into())
}

/// Where a name is text; one with a separator of the system would lead elsewhere.
#[cfg(not(unix))]
fn file_name(bytes: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains(['\\', ':'])).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn files(arguments: &[&str]) -> Result<Vec<(String, Destination)>, ArgumentError> {
        let args = ["memtftp", "get"].iter().chain(arguments);
        let files = match Cli::try_parse_from(args).unwrap().command {
            Command::Get(flags) => flags.files()?,
            other => panic!("{other:?}"),
        };
        Ok(files.into_iter().map(|(url, to)| (url.to_string(), to)).collect())
    }

    fn file(path: &str) -> Destination {
        Destination::File(path.into())
    }

    #[test]
    fn where_files_go() {
        let (a, b) = ("tftp://h/x/a", "tftp://h/b%20c");
        let of = |url: &str, to| (url.to_owned(), to);
        assert_eq!(files(&[a]), Ok(vec![of(a, file("a"))]));
        assert_eq!(files(&[a, "to"]), Ok(vec![of(a, file("to"))]));
        assert_eq!(files(&[a, "-"]), Ok(vec![of(a, Destination::Stdout)]));
        assert_eq!(files(&[a, "/tmp"]), Ok(vec![of(a, file("/tmp/a"))]));
        assert_eq!(files(&[a, "new/"]), Ok(vec![of(a, file("new/a"))]));
        assert_eq!(files(&[a, b]), Ok(vec![of(a, file("a")), of(b, file("b c"))]));
        assert_eq!(
            files(&[a, b, "/tmp"]),
            Ok(vec![of(a, file("/tmp/a")), of(b, file("/tmp/b c"))])
        );
        let both = files(&[a, b, "-"]).unwrap();
        assert!(both.iter().all(|(_, to)| *to == Destination::Stdout));
    }

    #[test]
    fn what_does_not_go_together() {
        let error = |arguments: &[&str]| files(arguments).unwrap_err().to_string();
        assert!(error(&["tftp://h/a", "tftp://h/b", "none"]).contains("mkdir -p none"));
        assert!(error(&["tftp://h/a/"]).contains("names no file"));
        assert!(error(&["tftp://h/.."]).contains("names no file"));
        assert!(error(&["h/a"]).contains("begin with tftp://"));
        assert!(error(&["a", "tftp://h/a"]).contains("a is no URL"));
    }
}
