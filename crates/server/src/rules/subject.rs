//! Names as the expressions of rules see them.

use std::borrow::Cow;

use memtftp_store::Name;

/// A name as text, in which each byte that is not part of UTF-8 counts as one character.
///
/// An expression thus sees every byte of a name: what is for every name is for a name with such a
/// byte, too. A name that is UTF-8 costs no copy.
pub(super) struct Subject<'a> {
    bytes: &'a [u8],
    text: Cow<'a, str>,
    /// Where in the text a byte stands for another character: offset in the text, ascending.
    replaced: Vec<usize>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(name: &'a Name) -> Subject<'a> {
        let bytes = name.as_bytes();
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Subject { bytes, text: Cow::Borrowed(text), replaced: Vec::new() };
        }
        let (mut text, mut replaced) = (String::new(), Vec::new());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for _ in chunk.invalid() {
                replaced.push(text.len());
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Subject { bytes, text: Cow::Owned(text), replaced }
    }

    /// What expressions are matched against.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The whole name.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of the name between two offsets in the text that stand between characters.
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(self.byte_offset(start)..self.byte_offset(end)).unwrap_or_default()
    }

    fn byte_offset(&self, offset: usize) -> usize {
        let before = self.replaced.partition_point(|&replaced| replaced < offset);
        offset - before * (char::REPLACEMENT_CHARACTER.len_utf8() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_the_text_are_offsets_of_the_name() {
        let name = Name::parse(b"a\xffb\xc3\xa4\xc3/\xf0\x9fz").unwrap();
        let subject = Subject::new(&name);
        assert_eq!(subject.text(), "a\u{fffd}b\u{e4}\u{fffd}/\u{fffd}\u{fffd}z");
        let find = |text: &str| subject.text().find(text).unwrap();
        assert_eq!(subject.slice(0, subject.text().len()), name.as_bytes());
        assert_eq!(subject.slice(1, find("b")), b"\xff");
        assert_eq!(subject.slice(find("\u{e4}"), find("/")), b"\xc3\xa4\xc3");
        assert_eq!(subject.slice(find("/") + 1, find("z")), b"\xf0\x9f");
        assert_eq!(subject.bytes(), name.as_bytes());
    }
}
