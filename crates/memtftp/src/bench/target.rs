//! The server under load: which one the URL means, and whether it may be loaded.

use std::ffi::OsStr;
use std::net::{SocketAddr, ToSocketAddrs};

use memtftp_client::{Mode, Url};
use memtftp_server::Access;
use thiserror::Error;

use crate::cli::{Address, AddressError};

/// Why there is no load.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("name the file, too: {0}/NAME, or names with --mix and {0}/")]
    NoFile(String),
    #[error("files are compared byte by byte: leave ;mode=netascii out of the URL")]
    Netascii,
    #[error("the file's name is not UTF-8, and a load has no other")]
    NotText,
    #[error("cannot find {host}: {error}")]
    Host { host: String, error: String },
    #[error(
        "{0} is a public address: a load can bring its server or network down. \
         Give --i-own-this-server if it is yours"
    )]
    Public(SocketAddr),
}

/// A server, and the URL of a file or directory there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) server: SocketAddr,
    pub(crate) url: Url,
}

impl Target {
    /// Understands `url`, looks its host up, and refuses a public address unless it is `owned`.
    pub(crate) fn find(url: &str, owned: bool) -> Result<Target, TargetError> {
        let address = Address::parse(OsStr::new(url))?;
        if address.is_bare {
            return Err(TargetError::NoFile(url.to_owned()));
        }
        let parsed = address.url;
        if parsed.mode() == Some(Mode::Netascii) {
            return Err(TargetError::Netascii);
        }
        if std::str::from_utf8(parsed.name()).is_err() {
            return Err(TargetError::NotText);
        }
        let server = look_up(parsed.host(), parsed.port())?;
        if !owned && !Access::private().allows(server.ip()) {
            return Err(TargetError::Public(server));
        }
        Ok(Target { server, url: parsed })
    }

    /// The name of the file at the server, or of the directory.
    pub(crate) fn path(&self) -> String {
        String::from_utf8_lossy(self.url.name()).into_owned()
    }
}

/// The first address of `host`, IPv4 if it has both: most TFTP servers know nothing else.
fn look_up(host: &str, port: u16) -> Result<SocketAddr, TargetError> {
    let failed = |error: String| TargetError::Host { host: host.to_owned(), error };
    let found = (host, port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let found: Vec<SocketAddr> = found.collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(|| failed("it has no address".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(url: &str) -> Result<String, TargetError> {
        Target::find(url, false).map(|target| format!("{} {}", target.server, target.path()))
    }

    #[test]
    fn hosts_ports_and_paths() {
        assert_eq!(find("tftp://127.0.0.1/a").unwrap(), "127.0.0.1:69 a");
        assert_eq!(find("tftp://127.0.0.1:6969/dir/a b").unwrap(), "127.0.0.1:6969 dir/a b");
        assert_eq!(find("tftp://[::1]:70/a;mode=octet").unwrap(), "[::1]:70 a");
        assert_eq!(find("127.0.0.1:6969/dir/a").unwrap(), "127.0.0.1:6969 dir/a");
        for wrong in ["/a", "http://127.0.0.1/a", "tftp:///a", "tftp://127.0.0.1:0/a"] {
            assert!(matches!(find(wrong), Err(TargetError::Address(_))), "{wrong}");
        }
        assert!(find("127.0.0.1").unwrap_err().to_string().contains("127.0.0.1/NAME"));
        let netascii = find("tftp://127.0.0.1/a;mode=netascii");
        assert!(matches!(netascii, Err(TargetError::Netascii)));
        assert!(matches!(find("tftp://127.0.0.1/%ff"), Err(TargetError::NotText)));
    }

    #[test]
    fn public_addresses_want_their_owner() {
        for public in ["192.0.2.1", "8.8.8.8", "172.32.0.1", "[2001:db8::1]", "[::ffff:8.8.8.8]"] {
            let url = format!("tftp://{public}/a");
            assert!(matches!(find(&url), Err(TargetError::Public(_))), "{public}");
            assert!(Target::find(&url, true).is_ok(), "{public}");
        }
        for private in
            ["127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "[fd00::1]"]
        {
            assert!(find(&format!("tftp://{private}/a")).is_ok(), "{private}");
        }
    }
}
