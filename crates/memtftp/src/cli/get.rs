//! The arguments of `memtftp get`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use memtftp_client::Url;

use crate::cli::address::Address;
use crate::cli::transfer::{ArgumentError, EXIT_STATUS, TransferFlags};

/// Flags of `memtftp get`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, override_usage = "memtftp get [OPTIONS] HOST[:PORT]/NAME [FILE|-]\n       \
    memtftp get [OPTIONS] HOST[:PORT] NAME [FILE|-]\n       memtftp get [OPTIONS] HOST/NAME... DIRECTORY")]
pub(crate) struct GetFlags {
    /// What to fetch: HOST/NAME, HOST NAME, HOST:NAME, or a URL like
    /// `tftp://HOST[:PORT]/NAME[;mode=octet|netascii]`; and last, as with cp, where to: a file, a
    /// directory, or `-` for standard output. Without it: into this directory
    #[arg(value_name = "HOST/NAME", value_hint = ValueHint::FilePath)]
    arguments: Vec<OsString>,

    /// Write to this file, into this directory, or to standard output with `-`
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) transfer: TransferFlags,
}

/// Where a file goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Stdout,
    File(PathBuf),
}

impl GetFlags {
    /// What to fetch, and where each goes.
    pub(crate) fn files(&self) -> Result<Vec<(Url, Destination)>, ArgumentError> {
        let (urls, target) = self.sources()?;
        let target = target.as_deref().unwrap_or(Path::new("."));
        let several = urls.len() > 1;
        let into_directory = target.is_dir() || ends_with_slash(target);
        if several && !into_directory && !is_standard(target) {
            return Err(ArgumentError::NoDirectory(target.display().to_string()));
        }
        let one = |url: Url| {
            let url = self.transfer.with_port(url);
            let to = if is_standard(target) {
                Destination::Stdout
            } else if into_directory {
                let name = url.file_name().and_then(file_name);
                let name = name.ok_or_else(|| ArgumentError::NoName(url.to_string()))?;
                Destination::File(if target.as_os_str() == "." { name } else { target.join(name) })
            } else if url.is_directory() {
                return Err(ArgumentError::NoName(url.to_string()));
            } else {
                Destination::File(target.to_owned())
            };
            Ok((url, to))
        };
        urls.into_iter().map(one).collect()
    }

    /// What to fetch, and the target if one was named.
    fn sources(&self) -> Result<(Vec<Url>, Option<PathBuf>), ArgumentError> {
        let Some((first, rest)) = self.arguments.split_first() else {
            return Err(ArgumentError::NothingToGet);
        };
        let server = Address::parse(first)?;
        if server.is_bare {
            return self.names(first, &server, rest);
        }
        let (others, target) = match rest.split_last() {
            Some((last, others)) if self.output.is_none() && !is_url(last) => {
                self.check_target(first, &server, last)?;
                (others, Some(PathBuf::from(last)))
            }
            _ => (rest, self.output.clone()),
        };
        let mut urls = vec![server.url];
        for other in others {
            let address = Address::parse(other)?;
            if address.is_bare {
                return Err(ArgumentError::NoNameOf(text(other)));
            }
            urls.push(address.url);
        }
        Ok((urls, target))
    }

    /// `HOST NAME` and `HOST NAME FILE`, as TFTP clients have it.
    fn names(
        &self,
        host: &OsStr,
        server: &Address,
        rest: &[OsString],
    ) -> Result<(Vec<Url>, Option<PathBuf>), ArgumentError> {
        let (name, target) = match (rest, &self.output) {
            ([], _) => return Err(ArgumentError::NoNameOf(text(host))),
            ([name], output) => (name, output.clone()),
            ([name, target], None) => (name, Some(PathBuf::from(target))),
            (names, _) => {
                let paths = names.iter().map(|name| format!("{}/{}", text(host), text(name)));
                let paths = paths.collect::<Vec<_>>().join(" ");
                return Err(ArgumentError::SeveralNames { host: text(host), paths });
            }
        };
        if is_url(name) || (Address::is_numeric(name) && !Address::is_numeric(host)) {
            let server = text(name);
            let slash = if is_url(name) { " " } else { "/" };
            return Err(ArgumentError::ServerFirst(format!("{server}{slash}{}", text(host))));
        }
        Ok((vec![server.url.join(name.as_encoded_bytes())], target))
    }

    /// A last argument that looks like a second file of the same server is not taken for a place
    /// here, unless there is one.
    fn check_target(
        &self,
        first: &OsStr,
        server: &Address,
        last: &OsStr,
    ) -> Result<(), ArgumentError> {
        let path = Path::new(last);
        let place = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let is_here = path.exists() || place.is_none_or(Path::is_dir);
        let same = Address::parse(last).is_ok_and(|other| other.url.host() == server.url.host());
        match !is_here && same {
            true => Err(ArgumentError::Target { first: text(first), last: text(last) }),
            false => Ok(()),
        }
    }
}

fn text(argument: &OsStr) -> String {
    argument.to_string_lossy().into_owned()
}

/// Whether this stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(crate) fn is_url(argument: &OsStr) -> bool {
    argument.to_string_lossy().contains("://")
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
            Some(Command::Get(flags)) => flags.files()?,
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
        assert!(error(&["tftp://h/a/"]).contains("a name after the slash, as in tftp://h/a/NAME"));
        assert!(error(&["tftp://h/a/", "to"]).contains("a name after the slash"));
        assert!(error(&["tftp://h/.."]).contains("names no file"));
        assert!(error(&["h"]).contains("memtftp get h/NAME"));
        assert!(error(&["h/a", "h", "/tmp"]).contains("memtftp get h/NAME"));
        assert!(error(&["a", "tftp://h/a"]).contains("memtftp get tftp://h/a a"));
        assert!(error(&["a", "192.0.2.1"]).contains("memtftp get 192.0.2.1/a"));
        assert!(error(&["h", "a", "b", "c"]).contains("memtftp get h/a h/b h/c"));
        assert!(error(&["none/a", "none/b"]).contains("memtftp get none/a tftp://none/b"));
        assert!(error(&["http://h/a"]).contains("tftp://h/a"));
        assert!(error(&[]).contains("HOST/NAME"));
    }

    #[test]
    fn addresses_as_people_write_them() {
        let of = |url: &str, to| Ok(vec![(url.to_owned(), to)]);
        assert_eq!(files(&["h/x/a"]), of("tftp://h/x/a", file("a")));
        assert_eq!(files(&["h", "x/a"]), of("tftp://h/x/a", file("a")));
        assert_eq!(files(&["h:6969", "a", "to"]), of("tftp://h:6969/a", file("to")));
        assert_eq!(files(&["h", "a", "-"]), of("tftp://h/a", Destination::Stdout));
        assert_eq!(files(&["h:a", "to"]), of("tftp://h/a", file("to")));
        assert_eq!(files(&["-p", "70", "h/a", "-o", "to"]), of("tftp://h:70/a", file("to")));
        assert_eq!(files(&["-p70", "h:71/a"]), of("tftp://h:71/a", file("a")));
        assert_eq!(files(&["::1", "a", "-o", "/tmp"]), of("tftp://[::1]/a", file("/tmp/a")));
        let two =
            vec![("tftp://h/a".into(), file("/tmp/a")), ("tftp://i/b".into(), file("/tmp/b"))];
        assert_eq!(files(&["h/a", "i/b", "/tmp"]), Ok(two));
    }
}
