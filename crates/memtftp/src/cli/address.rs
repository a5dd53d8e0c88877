//! Servers and files as people write them: `HOST/NAME`, `HOST:PORT/NAME`, `HOST:NAME`, a URL, or a
//! bare `HOST`.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use memtftp_client::{Url, UrlError};
use thiserror::Error;

/// What a command line says of a place at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) url: Url,
    /// There is a host, perhaps with a port, and nothing behind it, not even a slash.
    pub(crate) is_bare: bool,
}

/// Why a text is no place at a server. The user must change it.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum AddressError {
    #[error(
        "{text}: {scheme}:// is a URL of another scheme, and memtftp speaks TFTP alone: {tftp}"
    )]
    OtherScheme { text: String, scheme: String, tftp: String },
    #[error("{text} is no URL: {error}")]
    Url { text: String, error: UrlError },
    #[error("{0} names a file on this machine and no server: put HOST/ before its name")]
    Local(String),
    #[error("{text} names no server that can be: {error}; write HOST/NAME or HOST:PORT/NAME")]
    Host { text: String, error: UrlError },
}

impl Address {
    /// Reads what was typed. Only in a URL does `%` begin an escape.
    pub(crate) fn parse(typed: &OsStr) -> Result<Address, AddressError> {
        let bytes = typed.as_encoded_bytes();
        let text = typed.to_string_lossy();
        if text.contains("://") {
            return url(&text);
        }
        let (authority, name) = split(bytes);
        let authority = String::from_utf8_lossy(authority);
        if matches!(authority.as_ref(), "" | "." | ".." | "~") || authority.starts_with('-') {
            return Err(AddressError::Local(text.into()));
        }
        let server = match authority.parse::<Ipv6Addr>() {
            Ok(_) => format!("tftp://[{authority}]/"),
            // With the interface of a link-local address.
            Err(_) if is_scoped(&authority) => format!("tftp://[{authority}]/"),
            Err(_) => format!("tftp://{authority}/"),
        };
        let server = Url::from_str(&server)
            .map_err(|error| AddressError::Host { text: text.clone().into(), error })?;
        let is_bare = name.is_none();
        Ok(Address { url: server.join(name.unwrap_or_default()), is_bare })
    }

    /// Whether this names an address by its number, which no file is called.
    pub(crate) fn is_numeric(typed: &OsStr) -> bool {
        let text = typed.to_string_lossy();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        bare.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok()
    }
}

fn url(text: &str) -> Result<Address, AddressError> {
    let error = match text.parse::<Url>() {
        Ok(url) => return Ok(Address { url, is_bare: false }),
        Err(error) => error,
    };
    Err(match error {
        UrlError::OtherScheme(scheme) => {
            let rest = text.split_once("://").map_or("", |(_, rest)| rest);
            AddressError::OtherScheme { text: text.into(), scheme, tftp: format!("tftp://{rest}") }
        }
        error => AddressError::Url { text: text.into(), error },
    })
}

/// A host, perhaps with a port, and what follows the slash or the colon behind it.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = |place: usize| {
        let (host, rest) = text.split_at_checked(place).unwrap_or((text, &[]));
        (host, rest.get(1..))
    };
    let slash = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
    let before = text.get(..slash).unwrap_or(text);
    let host = String::from_utf8_lossy(before);
    if host.parse::<Ipv6Addr>().is_ok() || is_scoped(&host) {
        return at(slash);
    }
    // The colons of an address in brackets are its own.
    let closed = before.iter().position(|byte| *byte == b']').filter(|_| text.starts_with(b"["));
    let behind = before.get(closed.unwrap_or(0)..).unwrap_or_default();
    let Some(colon) = behind.iter().position(|byte| *byte == b':') else { return at(slash) };
    let colon = colon + closed.unwrap_or(0);
    let port = before.get(colon + 1..).unwrap_or_default();
    match !port.is_empty() && port.iter().all(u8::is_ascii_digit) {
        true => at(slash),
        false => at(colon),
    }
}

/// Whether this is `fe80::1%eth0`, without brackets.
fn is_scoped(text: &str) -> bool {
    text.split_once('%').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse(OsStr::new(text))
    }

    #[test]
    fn as_people_write_them() {
        for (text, url, is_bare) in [
            ("tftp://h/a%20b", "tftp://h/a%20b", false),
            ("tftp://h", "tftp://h/", false),
            ("h/a", "tftp://h/a", false),
            ("h/boot/a b%20", "tftp://h/boot/a%20b%2520", false),
            ("h:6969/a", "tftp://h:6969/a", false),
            ("h:6969", "tftp://h:6969/", true),
            ("h:6969/", "tftp://h:6969/", false),
            ("h:boot/a", "tftp://h/boot/a", false),
            ("h:/srv/tftp/a", "tftp://h//srv/tftp/a", false),
            ("h:1.img", "tftp://h/1.img", false),
            ("h:", "tftp://h/", false),
            ("h", "tftp://h/", true),
            ("192.0.2.1", "tftp://192.0.2.1/", true),
            ("::1", "tftp://[::1]/", true),
            ("::1/a:b", "tftp://[::1]/a:b", false),
            ("[::1]", "tftp://[::1]/", true),
            ("[::1]:70/a", "tftp://[::1]:70/a", false),
            ("[::1]:a", "tftp://[::1]/a", false),
            ("fe80::1%eth0/a", "tftp://[fe80::1%eth0]/a", false),
            ("h/a;mode=netascii", "tftp://h/a%3Bmode=netascii", false),
        ] {
            let address = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (address.url.to_string().as_str(), address.is_bare),
                (url, is_bare),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_none() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        let http = error("http://h:80/a");
        assert!(http.contains("http:// is a URL of another scheme"), "{http}");
        assert!(http.ends_with("tftp://h:80/a"), "{http}");
        for local in ["./a", "/boot/a", "../a", "", "~/a"] {
            assert!(error(local).contains("on this machine"), "{local}");
        }
        assert!(error("me@h/a").contains("HOST/NAME"));
        assert!(error("h:70000/a").contains("\"70000\" is no port"));
        assert!(error("tftp://h:0/a").contains("is no URL"));
    }

    #[test]
    fn numbers_are_no_file_names() {
        for text in ["192.0.2.1", "192.0.2.1:69", "::1", "[::1]", "[::1]:69"] {
            assert!(Address::is_numeric(OsStr::new(text)), "{text}");
        }
        assert!(!Address::is_numeric(OsStr::new("pxelinux.0")));
    }
}
