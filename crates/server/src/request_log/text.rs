//! Bytes from peers as text that cannot forge a line.

/// The longest text that one value may hold, in characters.
const MAX: usize = 512;

/// Writes bytes from a peer so that they stay in their value and can be told apart.
///
/// Letters and digits of any language and printable ASCII stand as they are, a backslash is
/// doubled, every other byte is `\xNN`. Longer texts are cut and end in `...`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                ' '..='~' => out.push(character),
                other if other.is_alphanumeric() => out.push(other),
                other => hex(&mut out, other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        hex(&mut out, chunk.invalid());
        if out.len() > MAX {
            break;
        }
    }
    cut(out)
}

/// The same for a name or value of an option, which stands in a list: `name:value,name:value`.
pub(super) fn escape_option(bytes: &[u8]) -> String {
    escape(bytes).replace(',', "\\x2c").replace(':', "\\x3a")
}

/// Cuts a text that is too long.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push_str(&format!("\\x{byte:02x}"));
    }
}

/// A value of a `key=value` line, quoted if it could be misread without.
pub(super) fn quote(value: &str) -> String {
    let plain = |character: char| !matches!(character, ' ' | '"' | '=');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    // The backslashes of `escape` stand already, so only the quotes are left.
    format!("\"{}\"", value.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_cannot_forge() {
        assert_eq!(escape(b"a\nkind=read\r\0\x1b[31m"), "a\\x0akind=read\\x0d\\x00\\x1b[31m");
        assert_eq!(escape(b"C:\\x0a"), "C:\\\\x0a");
        assert_eq!(escape("grüße".as_bytes()), "grüße");
        assert_eq!(escape("a\u{202e}b\u{85}".as_bytes()), "a\\xe2\\x80\\xaeb\\xc2\\x85");
        assert_eq!(escape(b"ok\xff\xfe"), "ok\\xff\\xfe");
    }

    #[test]
    fn an_option_cannot_forge_another() {
        assert_eq!(escape_option(b"x,blksize:9"), "x\\x2cblksize\\x3a9");
    }

    #[test]
    fn texts_are_bounded() {
        let cut = escape(&[0xff; 60_000]);
        assert_eq!(cut.chars().count(), MAX + 3);
        assert!(cut.ends_with("..."));
    }

    #[test]
    fn values_are_quoted_when_needed() {
        assert_eq!(quote("plain/name"), "plain/name");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote("two words"), "\"two words\"");
        assert_eq!(quote("a\"b"), "\"a\\\"b\"");
        assert_eq!(quote("a=b"), "\"a=b\"");
    }
}
