//! Where the program keeps what outlives it, without being told.

use std::env;
use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use memtftp_server::RunAs;

/// The name of the request log in the state directory.
const LOG: &str = "requests.log";

/// Where root, and services without a home, keep logs.
const OF_SYSTEM: &str = "/var/log/memtftp";

/// Returns where the request log is without `--request-log`: `/var/log/memtftp` for root, else
/// `memtftp` in `$XDG_STATE_HOME`, which is `~/.local/state` if it is not set.
pub(crate) fn default_log() -> PathBuf {
    directory(is_root(), |name| env::var_os(name).map(PathBuf::from)).join(LOG)
}

/// Returns the request log to read if none is named: the user's own if it is there, else the system's.
pub(crate) fn log_to_read() -> PathBuf {
    let own = default_log();
    let of_system = Path::new(OF_SYSTEM).join(LOG);
    if !own.exists() && of_system.exists() { of_system } else { own }
}

/// Makes the directory of a log in the default place, for its user alone and its group to read.
/// `user` is whom the server becomes later.
pub(crate) fn make_directory(log: &Path, user: Option<&RunAs>) -> io::Result<()> {
    let Some(directory) = log.parent().filter(|directory| !directory.exists()) else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
    builder.create(directory)?;
    user.map_or(Ok(()), |user| user.give(directory)).map_err(io::Error::other)
}

fn directory(is_root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    // The specification has relative paths ignored.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    match state {
        Some(state) if !is_root => state.join("memtftp"),
        _ => OF_SYSTEM.into(),
    }
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_log_is() {
        let at = |is_root, variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
            directory(is_root, |name| find(name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/a");
        assert_eq!(at(false, &[home]), Path::new("/home/a/.local/state/memtftp"));
        assert_eq!(at(false, &[home, ("XDG_STATE_HOME", "/s")]), Path::new("/s/memtftp"));
        assert_eq!(
            at(false, &[home, ("XDG_STATE_HOME", "s")]),
            Path::new("/home/a/.local/state/memtftp")
        );
        assert_eq!(at(true, &[home]), Path::new(OF_SYSTEM));
        assert_eq!(at(false, &[]), Path::new(OF_SYSTEM));
    }
}
