//! Text of a server, made fit for a terminal.

/// Characters that are kept; nobody reads a longer message.
const MAX_CHARS: usize = 200;

/// `text` without anything that moves the cursor, rings the bell or hides what follows.
pub(crate) fn printable(text: &str) -> String {
    let plain = |c: char| matches!(c, '"' | '\'' | '\\');
    let mut out = String::new();
    for c in text.trim().chars().take(MAX_CHARS) {
        if plain(c) { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(printable("File not found\n"), "File not found");
        assert_eq!(printable("it's \"größer\""), "it's \"größer\"");
        assert_eq!(printable("\x1b[2Ja\u{7}b\r\nc\u{202e}"), "\\u{1b}[2Ja\\u{7}b\\r\\nc\\u{202e}");
        assert_eq!(printable(&"x".repeat(70_000)).len(), MAX_CHARS);
    }
}
