//! `tftp://host[:port]/file[;mode=octet|netascii]` (RFC 3617).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use memtftp_proto::Mode;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use thiserror::Error;

/// The port of a URL that names none.
pub const DEFAULT_PORT: u16 = 69;

/// Where a file lies: a server and the file's name there.
///
/// The name is what follows the slash behind the host: `tftp://host/boot/a` is `boot/a`, and
/// `tftp://host//srv/tftp/a` is `/srv/tftp/a`.
#[derive(Clone, Debug)]
pub struct Url {
    host: String,
    /// None if the text names none.
    port: Option<u16>,
    name: Vec<u8>,
    mode: Option<Mode>,
}

/// Why a text is no URL of a file. The caller must change it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It begins with something else than `tftp://`.
    #[error("it does not begin with tftp://, as in tftp://192.0.2.1/boot/kernel")]
    Scheme,
    /// It is a URL of another scheme.
    #[error("{0}:// is another scheme, and only tftp:// is spoken here")]
    OtherScheme(String),
    /// Nothing stands where the host should.
    #[error("the host is missing, as in tftp://192.0.2.1/boot/kernel")]
    NoHost,
    /// The host is no name and no address.
    #[error("{0:?} is no host name or address; an IPv6 address stands in brackets")]
    Host(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// `;mode=` is followed by something else than `octet` or `netascii`.
    #[error("mode {0:?} is unknown: give octet or netascii")]
    Mode(String),
}

impl Url {
    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that requests go to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }

    /// The same URL with this port if it names none.
    #[must_use]
    pub fn or_port(self, port: u16) -> Url {
        Url { port: self.port.or(Some(port)), ..self }
    }

    /// The file's name at the server, as it travels.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How its bytes travel, if the URL says so.
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Whether it names a directory: the name is empty or ends with a slash.
    pub fn is_directory(&self) -> bool {
        self.name.is_empty() || self.name.ends_with(b"/")
    }

    /// The last part of the name, to keep the file under; `None` if it is nothing that a file can
    /// be called.
    pub fn file_name(&self) -> Option<&[u8]> {
        let last = self.name.rsplit(|byte| *byte == b'/').next()?;
        let usable = !matches!(last, b"" | b"." | b"..") && !last.contains(&0);
        usable.then_some(last)
    }

    /// The URL of `name` in the directory that this one names.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Url {
        Url { name: [&self.name, name].concat(), ..self.clone() }
    }
}

/// Equal URLs ask the same: one may leave out the port that the other names.
impl PartialEq for Url {
    fn eq(&self, other: &Url) -> bool {
        let key = |url: &Url| (url.port(), url.mode);
        (&self.host, &self.name, key(self)) == (&other.host, &other.name, key(other))
    }
}

impl Eq for Url {}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tftp") => rest,
            Some((scheme, _)) if is_scheme(scheme) => {
                return Err(UrlError::OtherScheme(scheme.to_ascii_lowercase()));
            }
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(authority)?;
        let (path, mode) = match path.rsplit_once(MODE) {
            // A slash behind it: then it is a part of the name.
            Some((path, mode)) if !mode.contains('/') => (path, Some(parse_mode(mode)?)),
            _ => (path, None),
        };
        Ok(Url { host, port, name: percent_decode_str(path).collect(), mode })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = self.host.contains(':');
        match brackets {
            true => write!(f, "{SCHEME}[{}]", self.host)?,
            false => write!(f, "{SCHEME}{}", self.host)?,
        }
        if self.port() != DEFAULT_PORT {
            write!(f, ":{}", self.port())?;
        }
        write!(f, "/{}", percent_encode(&self.name, ESCAPED))?;
        match self.mode {
            None => Ok(()),
            Some(Mode::Octet) => write!(f, "{MODE}octet"),
            Some(Mode::Netascii) => write!(f, "{MODE}netascii"),
        }
    }
}

/// Whether this can be what a URL begins with (RFC 3986 section 3.1).
fn is_scheme(text: &str) -> bool {
    let within = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(within)
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => {
            // The zone of a link-local address follows its `%`, which RFC 6874 wants escaped.
            let host = host.replacen("%25", "%", 1);
            let address = host.split('%').next().unwrap_or_default();
            if address.parse::<Ipv6Addr>().is_err() {
                return Err(UrlError::Host(host));
            }
            let port = port.strip_prefix(':').or(port.is_empty().then_some(""));
            (host, port.ok_or_else(|| UrlError::Host(authority.into()))?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            let host = percent_decode_str(host).decode_utf8_lossy().into_owned();
            let odd = |c: char| c.is_whitespace() || c.is_control() || "@[]%;?#".contains(c);
            if host.contains(odd) || port.contains(':') {
                return Err(UrlError::Host(authority.into()));
            }
            (host, port)
        }
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let number = port.parse().ok().filter(|number| *number > 0);
    Ok((host, Some(number.ok_or_else(|| UrlError::Port(port.into()))?)))
}

fn parse_mode(text: &str) -> Result<Mode, UrlError> {
    match text.to_ascii_lowercase().as_str() {
        "octet" => Ok(Mode::Octet),
        "netascii" => Ok(Mode::Netascii),
        _ => Err(UrlError::Mode(text.into())),
    }
}

const SCHEME: &str = "tftp://";
const MODE: &str = ";mode=";

/// What does not stand for itself in a URL that we show.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b';').add(b'<').add(b'>').add(b'?');

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Url {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parts() {
        let parts = |text: &str| {
            let url = parse(text);
            let name = String::from_utf8_lossy(url.name()).into_owned();
            (url.host().to_owned(), url.port(), name, url.mode())
        };
        let of =
            |host: &str, port, name: &str, mode| (host.to_owned(), port, name.to_owned(), mode);
        assert_eq!(parts("tftp://h/a"), of("h", 69, "a", None));
        assert_eq!(parts("TFTP://h:6969/a/b"), of("h", 6969, "a/b", None));
        assert_eq!(parts("tftp://h//srv/a"), of("h", 69, "/srv/a", None));
        assert_eq!(parts("tftp://h"), of("h", 69, "", None));
        assert_eq!(parts("tftp://h:/a?b#c"), of("h", 69, "a?b#c", None));
        assert_eq!(parts("tftp://[::1]:70/a"), of("::1", 70, "a", None));
        assert_eq!(parts("tftp://[fe80::1%25eth0]/a"), of("fe80::1%eth0", 69, "a", None));
        assert_eq!(parts("tftp://h/a%20b%2f%3Bmode=c"), of("h", 69, "a b/;mode=c", None));
        assert_eq!(parts("tftp://h/a;mode=octet"), of("h", 69, "a", Some(Mode::Octet)));
        let netascii = Some(Mode::Netascii);
        assert_eq!(parts("tftp://h/a;b;mode=NetASCII"), of("h", 69, "a;b", netascii));
        assert_eq!(parts("tftp://h/a;mode=x/b"), of("h", 69, "a;mode=x/b", None));
        assert_eq!(parts("tftp://h/100%"), of("h", 69, "100%", None));
    }

    #[test]
    fn a_port_of_the_url_goes_before_another() {
        assert_eq!(parse("tftp://h/a").or_port(6969).port(), 6969);
        assert_eq!(parse("tftp://h:69/a").or_port(6969).port(), 69);
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert_eq!(parse("tftp://h/%ff%00").name(), b"\xff\0");
    }

    #[test]
    fn what_is_no_url() {
        let error = |text: &str| text.parse::<Url>().unwrap_err();
        assert_eq!(error("HTTP://h/a"), UrlError::OtherScheme("http".into()));
        assert_eq!(error("://h/a"), UrlError::Scheme);
        assert_eq!(error("h:a"), UrlError::Scheme);
        assert_eq!(error("tftp:///a"), UrlError::NoHost);
        assert_eq!(error("tftp://:69/a"), UrlError::NoHost);
        assert_eq!(error("tftp://me@h/a"), UrlError::Host("me@h".into()));
        assert_eq!(error("tftp://::1/a"), UrlError::Host("::1".into()));
        assert_eq!(error("tftp://[h]/a"), UrlError::Host("h".into()));
        assert_eq!(error("tftp://[::1]x/a"), UrlError::Host("[::1]x".into()));
        assert_eq!(error("tftp://h;mode=octet"), UrlError::Host("h;mode=octet".into()));
        assert_eq!(error("tftp://h:0/a"), UrlError::Port("0".into()));
        assert_eq!(error("tftp://h:65536/a"), UrlError::Port("65536".into()));
        assert_eq!(error("tftp://h/a;mode=mail"), UrlError::Mode("mail".into()));
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        for text in [
            "tftp://h/a",
            "tftp://h:6969//srv/a%20b",
            "tftp://[fe80::1%eth0]:70/%FF%00",
            "tftp://h/a%3Bmode=octet;mode=netascii",
            "tftp://h/%251",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn names_for_a_local_file() {
        let name = |text: &str| parse(text).file_name().map(<[u8]>::to_vec);
        assert_eq!(name("tftp://h/boot/kernel").as_deref(), Some(&b"kernel"[..]));
        assert_eq!(name("tftp://h/a%2F..%2Fb").as_deref(), Some(&b"b"[..]));
        for nothing in ["tftp://h", "tftp://h/", "tftp://h/a/", "tftp://h/..", "tftp://h/a%2F.."] {
            assert_eq!(name(nothing), None, "{nothing}");
        }
        assert!(parse("tftp://h").is_directory() && parse("tftp://h/a/").is_directory());
        assert_eq!(parse("tftp://h/a/").join(b"b c"), parse("tftp://h/a/b%20c"));
    }
}
