//! Reads the request log, strictly: what is no log line fails the test.

use std::collections::BTreeMap;

/// One line of the request log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    keys: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Line {
    /// Reads a line of either format.
    ///
    /// # Panics
    /// It is no line of a request log.
    pub fn parse(line: &str) -> Line {
        let pairs = if line.starts_with('{') { parse_json(line) } else { parse_text(line) };
        let keys: Vec<String> = pairs.iter().map(|(key, _)| key.clone()).collect();
        let values: BTreeMap<String, String> = pairs.into_iter().collect();
        assert_eq!(keys.len(), values.len(), "a key is there twice: {line}");
        assert!(values.contains_key("time"), "no time: {line}");
        Line { keys, values }
    }

    /// The value of `key`, escapes as they stand.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The value of a key that has to be there.
    pub fn get(&self, key: &str) -> &str {
        self.find(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }

    /// The number that a key has to have.
    pub fn number(&self, key: &str) -> u64 {
        let text = self.get(key);
        text.parse().unwrap_or_else(|_| panic!("{key}={text} is no number"))
    }

    /// The bytes that the peer sent, if they were not cut.
    pub fn bytes(&self, key: &str) -> Vec<u8> {
        unescape(self.get(key))
    }

    /// Whether all these keys have these values.
    pub fn is(&self, pairs: &[(&str, &str)]) -> bool {
        pairs.iter().all(|(key, value)| self.find(key) == Some(value))
    }

    /// The keys, in the order of a text line; sorted for JSON.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }
}

/// `key=value` pairs with one space between them.
fn parse_text(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    loop {
        let (key, after) = rest.split_once('=').unwrap_or_else(|| panic!("no key: {line}"));
        assert!(
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "odd key {key:?}: {line}"
        );
        let (value, after) = split_value(after);
        pairs.push((key.to_owned(), value));
        if after.is_empty() {
            return pairs;
        }
        rest = after.strip_prefix(' ').unwrap_or_else(|| panic!("no space: {line}"));
    }
}

/// A value and what follows it. In quotes `\"` is a quote, and any other backslash takes the next
/// character along, so that the `\\` of an escaped backslash cannot be misread.
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        assert!(!value.is_empty() && !value.contains(['"', '=']), "unquoted: {value}");
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => match characters.next() {
                Some((_, '"')) => value.push('"'),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    panic!("a quote is not closed: {text}")
}

fn parse_json(line: &str) -> Vec<(String, String)> {
    let value: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {line}"));
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        other => panic!("neither text nor number: {other}"),
    };
    object.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Takes `\\` and `\xNN` back.
///
/// # Panics
/// Another escape, or a character that should have been escaped.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        assert!(!character.is_control(), "an unescaped control character: {text:?}");
        rest = &rest[character.len_utf8()..];
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else if let Some(after) = rest.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            let hex = rest.strip_prefix('x').and_then(|hex| hex.get(..2));
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            bytes.push(byte.unwrap_or_else(|| panic!("an odd escape: {text:?}")));
            rest = &rest[3..];
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_server_quotes_them() {
        let line =
            Line::parse(r#"time=1 file="a\"b\\\" c" mode=octet start=\\x0a text="" bytes=7"#);
        assert_eq!(line.get("file"), r#"a"b\\" c"#);
        assert_eq!(line.bytes("file"), br#"a"b\" c"#);
        assert_eq!(line.bytes("start"), br"\x0a");
        assert_eq!((line.get("text"), line.number("bytes")), ("", 7));
        assert_eq!(line.keys(), ["time", "file", "mode", "start", "text", "bytes"]);
        assert!(line.is(&[("mode", "octet"), ("bytes", "7")]) && !line.is(&[("mode", "mail")]));
    }

    #[test]
    fn both_formats_mean_the_same() {
        let json = Line::parse(r#"{"time":"1","file":"a\"b\\\\\" c","bytes":7}"#);
        let text = Line::parse(r#"time=1 file="a\"b\\\" c" bytes=7"#);
        assert_eq!(json.values, text.values);
    }

    #[test]
    #[should_panic(expected = "unquoted")]
    fn a_forged_pair_is_noticed() {
        Line::parse("time=1 file=a=b");
    }

    #[test]
    #[should_panic(expected = "odd escape")]
    fn an_escape_that_is_cut_is_noticed() {
        unescape("\\x0");
    }
}
