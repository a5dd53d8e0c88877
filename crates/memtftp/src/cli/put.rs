//! The arguments of `memtftp put`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use memtftp_client::Url;

use crate::cli::address::Address;
use crate::cli::get::{is_standard, is_url};
use crate::cli::transfer::{ArgumentError, EXIT_STATUS, TransferFlags};

/// Flags of `memtftp put`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, override_usage = "memtftp put [OPTIONS] FILE|- HOST[:PORT]/NAME\n       \
    memtftp put [OPTIONS] FILE... HOST[:PORT][/DIRECTORY/]")]
pub(crate) struct PutFlags {
    /// What to send, `-` for standard input, and last, as with cp, where to: HOST/NAME, HOST:NAME, a
    /// bare HOST, or a URL like `tftp://HOST[:PORT]/NAME[;mode=octet|netascii]`; a NAME that ends
    /// with a slash is a directory
    #[arg(value_names = ["FILE", "HOST/NAME"], num_args = 1.., value_hint = ValueHint::FilePath)]
    arguments: Vec<OsString>,

    #[command(flatten)]
    pub(crate) transfer: TransferFlags,
}

/// Where the bytes come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Stdin,
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Stdin => f.write_str("-"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl PutFlags {
    /// What to send, and where each goes.
    pub(crate) fn files(&self) -> Result<Vec<(Origin, Url)>, ArgumentError> {
        let (last, files) = match self.arguments.split_last() {
            None => return Err(ArgumentError::NothingToPut),
            Some((only, [])) => return Err(ArgumentError::Half(text(only), is_url(only))),
            Some(both) => both,
        };
        let is_here = |file: &OsStr| Path::new(file).exists() || is_standard(Path::new(file));
        if let [file, host] = files
            && Address::is_numeric(host)
            && !is_here(host)
        {
            let to = format!("{} {}/{}", text(file), text(host), text(last));
            return Err(ArgumentError::ServerLast(to));
        }
        if let [first] = files
            && (is_url(first) || (is_here(last) && !is_here(first) && !is_url(last)))
        {
            return Err(ArgumentError::ServerLast(format!("{} {}", text(last), text(first))));
        }
        let to = self.transfer.with_port(Address::parse(last)?.url);
        if files.len() > 1 && !to.is_directory() {
            let files = files.iter().map(|file| text(file)).collect::<Vec<_>>().join(" ");
            return Err(ArgumentError::NoSlash { files, to: text(last) });
        }
        let one = |file: &OsString| {
            let path = Path::new(file);
            let stdin = is_standard(path);
            let name = path.file_name().filter(|_| !stdin);
            let url = match name.map(OsStr::as_encoded_bytes) {
                _ if !to.is_directory() => to.clone(),
                Some(name) => to.join(name),
                None => {
                    let what =
                        if stdin { "standard input".into() } else { path.display().to_string() };
                    return Err(ArgumentError::NoNameThere(what, to.to_string()));
                }
            };
            Ok((if stdin { Origin::Stdin } else { Origin::File(path.to_owned()) }, url))
        };
        files.iter().map(one).collect()
    }
}

fn text(argument: &OsStr) -> String {
    argument.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn files(arguments: &[&str]) -> Result<Vec<(Origin, String)>, ArgumentError> {
        let args = ["memtftp", "put"].iter().chain(arguments);
        let files = match Cli::try_parse_from(args).unwrap().command {
            Some(Command::Put(flags)) => flags.files()?,
            other => panic!("{other:?}"),
        };
        Ok(files.into_iter().map(|(from, url)| (from, url.to_string())).collect())
    }

    fn file(path: &str, url: &str) -> (Origin, String) {
        (Origin::File(path.into()), url.to_owned())
    }

    #[test]
    fn where_files_go() {
        assert_eq!(files(&["x/a", "tftp://h/b"]), Ok(vec![file("x/a", "tftp://h/b")]));
        assert_eq!(files(&["x/a b", "tftp://h/d/"]), Ok(vec![file("x/a b", "tftp://h/d/a%20b")]));
        assert_eq!(files(&["a", "tftp://h"]), Ok(vec![file("a", "tftp://h/a")]));
        let both = vec![file("a", "tftp://h/d/a"), file("x/b", "tftp://h/d/b")];
        assert_eq!(files(&["a", "x/b", "tftp://h/d/"]), Ok(both));
        assert_eq!(files(&["-", "tftp://h/a"]), Ok(vec![(Origin::Stdin, "tftp://h/a".into())]));
    }

    #[test]
    fn what_does_not_go_together() {
        let error = |arguments: &[&str]| files(arguments).unwrap_err().to_string();
        assert!(error(&["a", "b", "tftp://h/c"]).contains("tftp://h/c/"));
        assert!(error(&["-", "tftp://h/d/"]).contains("tftp://h/d/NAME"));
        assert!(error(&["..", "tftp://h/d/"]).contains("needs a name"));
        assert!(error(&[]).contains("memtftp put FILE HOST"));
        assert!(error(&["a"]).contains("memtftp put a HOST"));
        assert!(error(&["tftp://h/a"]).contains("memtftp put FILE tftp://h/a"));
        assert!(error(&["tftp://h/a", "a"]).contains("memtftp put a tftp://h/a"));
        assert!(error(&["h", "/dev/null"]).contains("memtftp put /dev/null h"));
        assert!(error(&["a", "192.0.2.1", "b"]).contains("memtftp put a 192.0.2.1/b"));
        assert!(error(&["a", "b", "h/c"]).contains("memtftp put a b h/c/"));
        assert!(error(&["a", "http://h/"]).contains("tftp://h/"));
    }

    #[test]
    fn addresses_as_people_write_them() {
        assert_eq!(files(&["x/a", "h"]), Ok(vec![file("x/a", "tftp://h/a")]));
        assert_eq!(files(&["a", "h:6969"]), Ok(vec![file("a", "tftp://h:6969/a")]));
        assert_eq!(files(&["a", "h:6969/b"]), Ok(vec![file("a", "tftp://h:6969/b")]));
        assert_eq!(files(&["a", "h:b"]), Ok(vec![file("a", "tftp://h/b")]));
        assert_eq!(files(&["-p", "70", "a", "h"]), Ok(vec![file("a", "tftp://h:70/a")]));
        let both = vec![file("a", "tftp://h/a"), file("b", "tftp://h/b")];
        assert_eq!(files(&["a", "b", "h"]), Ok(both));
    }
}
