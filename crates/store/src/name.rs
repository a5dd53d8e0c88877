//! Names of files, in the one form the store keeps.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The normalised name of a file.
///
/// [`Name::parse`] is the only way to get one, so two spellings of a path that mean the same file
/// are equal, and no name can climb out of the tree. A name is bytes, not text: it need not be UTF-8.
/// Cloning is cheap.
///
/// Names are sorted as if they were in lower case (ASCII), and those that are then equal by their
/// bytes: all spellings of a name stand together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

/// Why some bytes are not the name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing is left once separators are taken away.
    #[error("the name is empty")]
    Empty,
    /// The normalised name has more than [`Name::MAX`] bytes.
    #[error("the name is longer than {} bytes", Name::MAX)]
    TooLong,
    /// One of the parts is `..`, or `.` where it is more than the `./` in front of a name.
    #[error("the name has a part that is '.' or '..'")]
    Dots,
    /// There is a NUL or another ASCII control character.
    #[error("the name has a control character")]
    Control,
    /// The name ends with a separator, so it asks for a directory.
    #[error("the name is that of a directory")]
    Directory,
}

impl Name {
    /// The most bytes a normalised name can have.
    pub const MAX: usize = 255;

    /// Normalises a name as a client spells it.
    ///
    /// Backslashes become slashes, runs of slashes become one, and leading slashes go, as does `./` in
    /// front, where some clients and menus say that a name is relative. Case stays, and so do bytes from
    /// 0x80 up. The result has 1 to [`Name::MAX`] bytes.
    ///
    /// # Errors
    ///
    /// One [`NameError`] per rule; a name that breaks several rules gets the first of `Control`,
    /// `Dots`, `Empty`, `Directory` and `TooLong`.
    pub fn parse(raw: &[u8]) -> Result<Self, NameError> {
        if raw.iter().any(u8::is_ascii_control) {
            return Err(NameError::Control);
        }
        let mut parts: Vec<&[u8]> =
            raw.split(|byte| is_separator(*byte)).filter(|part| !part.is_empty()).collect();
        let leading = parts.iter().take_while(|part| **part == b".").count();
        if leading < parts.len() {
            parts.drain(..leading);
        }
        if parts.iter().any(|part| matches!(*part, b"." | b"..")) {
            return Err(NameError::Dots);
        }
        if parts.is_empty() {
            return Err(NameError::Empty);
        }
        if raw.last().copied().is_some_and(is_separator) {
            return Err(NameError::Directory);
        }
        let name = parts.join(&b'/');
        if name.len() > Self::MAX {
            return Err(NameError::TooLong);
        }
        Ok(Self(name.into()))
    }

    /// The normalised bytes, without a leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first of all names that differ from this one in the case of ASCII letters only.
    pub(crate) fn first_spelling(&self) -> Name {
        // By their bytes, capitals come first.
        Name(self.0.to_ascii_uppercase().into())
    }

    /// Whether this one begins with the bytes of the other.
    pub(crate) fn begins_ignoring_case(&self, other: &Name) -> bool {
        self.0.get(..other.0.len()).is_some_and(|start| start.eq_ignore_ascii_case(&other.0))
    }

    pub(crate) fn eq_ignoring_case(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        match self.0.iter().zip(other.0.iter()).find(|(a, b)| !a.eq_ignore_ascii_case(b)) {
            Some((a, b)) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()),
            None => self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0)),
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Prints UTF-8 as it is and every other byte as `\xNN`.
///
/// Characters that act on the screen instead of showing there are escaped too. The output is
/// lossless, because a backslash is never part of a name.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for shown in chunk.valid().split_inclusive(is_unseen) {
                let visible = shown.trim_end_matches(is_unseen);
                f.write_str(visible)?;
                escape(shown.bytes().skip(visible.len()), f)?;
            }
            escape(chunk.invalid().iter().copied(), f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// True for what would let a name forge a log line: the C1 controls, which some terminals obey, and
/// the marks that join, hide or reorder the text around them.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn escape(bytes: impl Iterator<Item = u8>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(f, "\\x{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_normalised() {
        let table: &[(&[u8], &[u8])] = &[
            (b"a", b"a"),
            (b"/pxelinux.0", b"pxelinux.0"),
            (b"\\Boot\\BCD", b"Boot/BCD"),
            (b"//a///b", b"a/b"),
            (b"\\/a\\/\\b", b"a/b"),
            (b"./a", b"a"),
            (b".\\Boot\\BCD", b"Boot/BCD"),
            (b"/./a", b"a"),
            (b".//././a", b"a"),
            (b"./.a", b".a"),
            (b"C:\\x", b"C:/x"),
            (b"....//x", b"..../x"),
            (b"...", b"..."),
            (b".hidden/..x/x..", b".hidden/..x/x.."),
            (b"a b ~*?%2e%2e", b"a b ~*?%2e%2e"),
            (b"CASE/case", b"CASE/case"),
            (b"tail\xff", b"tail\xff"),
            (b"\xff", b"\xff"),
            ("grün".as_bytes(), "grün".as_bytes()),
        ];
        for (raw, want) in table {
            let name = Name::parse(raw).unwrap();
            assert_eq!(name.as_bytes(), *want, "{}", raw.escape_ascii());
            assert_eq!(Name::parse(name.as_bytes()), Ok(name), "parsing twice changes nothing");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let table: &[(&[u8], NameError)] = &[
            (b"", NameError::Empty),
            (b"/", NameError::Empty),
            (b"\\\\//", NameError::Empty),
            (b".", NameError::Dots),
            (b"..", NameError::Dots),
            (b"../x", NameError::Dots),
            (b"..\\x", NameError::Dots),
            (b"a/../b", NameError::Dots),
            (b"a/./b", NameError::Dots),
            (b"a/.", NameError::Dots),
            (b"./", NameError::Dots),
            (b"././.", NameError::Dots),
            (b"./..", NameError::Dots),
            (b"./../x", NameError::Dots),
            (b"./a/./b", NameError::Dots),
            (b"./a/", NameError::Directory),
            (b"a\\..", NameError::Dots),
            (b"/..", NameError::Dots),
            (b"../", NameError::Dots),
            (b"a/", NameError::Directory),
            (b"a/b//", NameError::Directory),
            (b"a\\", NameError::Directory),
            (b"a\0b", NameError::Control),
            (b"\0", NameError::Control),
            (b"a\nb", NameError::Control),
            (b"\x1b[2J", NameError::Control),
            (b"a\x1f", NameError::Control),
            (b"a\x7f", NameError::Control),
            (b"../\0", NameError::Control),
        ];
        for (raw, want) in table {
            assert_eq!(Name::parse(raw), Err(*want), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn the_length_that_counts_is_the_normalised_one() {
        assert_eq!(Name::parse(&[b'n'; 255]).unwrap().as_bytes().len(), Name::MAX);
        assert_eq!(Name::parse(&[b'n'; 256]), Err(NameError::TooLong));

        let mut raw = vec![b'/'; 1000];
        raw.extend([b'n'; 255]);
        assert!(Name::parse(&raw).is_ok());
        raw.push(b'n');
        assert_eq!(Name::parse(&raw), Err(NameError::TooLong));
    }

    #[test]
    fn printing_is_lossless_and_safe() {
        let table: &[(&[u8], &str)] = &[
            (b"boot/BCD", "boot/BCD"),
            ("grün".as_bytes(), "grün"),
            (b"a\xffb\xc3", "a\\xffb\\xc3"),
            ("a\u{9b}\u{85}b".as_bytes(), "a\\xc2\\x9b\\xc2\\x85b"),
            ("x\u{202e}gpj".as_bytes(), "x\\xe2\\x80\\xaegpj"),
            ("\u{feff}".as_bytes(), "\\xef\\xbb\\xbf"),
            (b"quote'\"", "quote'\""),
        ];
        for (raw, want) in table {
            let name = Name::parse(raw).unwrap();
            assert_eq!(name.to_string(), *want);
            assert_eq!(format!("{name:?}"), format!("Name({want})"));
        }
    }
}
