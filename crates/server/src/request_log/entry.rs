//! A line of the request log, read back.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use memtftp_proto::Kind;
use serde_json::Value;
use thiserror::Error;

use crate::ending::Ending;
use crate::hint::{Facts, Hint};

/// A line of the request log, of either format.
#[derive(Clone, Debug, PartialEq)]
pub enum LogLine {
    /// A request and what became of it.
    Request(LoggedRequest),
    /// So many lines are missing here.
    Lost {
        /// When that was known.
        time: SystemTime,
        /// How many.
        lines: u64,
    },
    /// So many datagrams that got no service have no line of their own here.
    Summary {
        /// When they were counted.
        time: SystemTime,
        /// How many.
        lines: u64,
    },
}

/// What a line of the request log says about a request. Texts are escaped as they stand there, so
/// they can be shown on a terminal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// When the outcome was known.
    pub time: SystemTime,
    /// What was asked.
    pub kind: Kind,
    /// How it ended.
    pub ending: Ending,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The name as the client sent it; empty if there was no valid request.
    pub file: String,
    /// The block size agreed, in bytes; 512 without the option.
    pub blksize: u16,
    /// The window agreed, in blocks; 1 without the option.
    pub windowsize: u16,
    /// Bytes that arrived at the other end.
    pub bytes: u64,
    /// Blocks that arrived at the other end.
    pub blocks: u64,
    /// From the request to its outcome.
    pub duration: Duration,
    /// Packets that we sent again.
    pub retransmissions: u64,
    /// Times the client repeated the request while it was served.
    pub repeats: u64,
    /// The error code, ours if it was refused, the client's if it was aborted.
    pub code: Option<u16>,
    /// Why we refused, dropped or ended it.
    pub reason: String,
    /// What the client said in its ERROR.
    pub text: String,
    has_options: bool,
    answered: bool,
    announced: Option<u64>,
}

/// Why a line tells nothing. Nobody has to act: it is counted and passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// It starts as a line of the log, but is not whole: a crash or a full disk has cut it.
    #[error("the line is cut short")]
    Torn,
    /// Something else.
    #[error("this is no line of a request log")]
    Foreign,
}

impl LogLine {
    /// Reads a line, without its end. Keys that are not known are passed over: a later version may
    /// write more.
    ///
    /// # Errors
    /// It is none, or not whole.
    pub fn parse(line: &str) -> Result<LogLine, LineError> {
        // A log has no control character, so nothing here can move the cursor of who reads it.
        if line.contains(char::is_control) {
            return Err(LineError::Foreign);
        }
        let (pairs, ours) = if line.starts_with('{') {
            (json_pairs(line), line.starts_with("{\"time\":"))
        } else {
            (text_pairs(line), line.starts_with("time="))
        };
        let read = pairs.and_then(|pairs| read(&pairs));
        read.ok_or(if ours { LineError::Torn } else { LineError::Foreign })
    }
}

impl LoggedRequest {
    /// What most likely went wrong, or could go better.
    pub fn hint(&self) -> Option<Hint> {
        Hint::of(&Facts {
            kind: self.kind,
            ending: self.ending,
            code: self.code,
            reason: &self.reason,
            blksize: self.blksize,
            windowsize: self.windowsize,
            has_options: self.has_options,
            answered: self.answered,
            announced: self.announced,
            bytes: self.bytes,
            blocks: self.blocks,
            retransmissions: self.retransmissions,
            repeats: self.repeats,
        })
    }
}

/// Keys with their values.
type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn read(pairs: &Pairs<'_>) -> Option<LogLine> {
    let find =
        |wanted: &str| pairs.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_ref());
    let text = |key: &str| find(key).unwrap_or_default().to_owned();
    // Absent is 0, but what is there has to be a number.
    let number = |key: &str| find(key).map_or(Some(0), |value| value.parse::<u64>().ok());
    let time = SystemTime::from(find("time")?.parse::<Timestamp>().ok()?);
    let lines = || find("lines").and_then(|lines| lines.parse().ok());
    match find("kind")? {
        "lost" => return Some(LogLine::Lost { time, lines: lines()? }),
        "summary" => return Some(LogLine::Summary { time, lines: lines()? }),
        _ => {}
    }
    let kind = super::line::KINDS.into_iter().find(|(_, word)| find("kind") == Some(word))?.0;
    let ending = Ending::ALL.into_iter().find(|ending| find("outcome") == Some(ending.word()))?;
    // The last of the keys that are always there: without it the line was cut.
    match ending {
        Ending::Refused | Ending::Dropped => find("reason"),
        Ending::Aborted => find("reason").or_else(|| find("text")),
        _ => find("repeats"),
    }?;
    let granted = find("granted").unwrap_or_default();
    let option = |name: &str, without: u16| {
        let value = option_value(granted, name).and_then(|value| u16::try_from(value).ok());
        value.unwrap_or(without)
    };
    let blocks = number("blocks")?;
    let millis: f64 = find("duration_ms").unwrap_or("0").parse().ok()?;
    Some(LogLine::Request(LoggedRequest {
        time,
        kind,
        ending,
        client: find("client")?.parse().ok()?,
        file: text("file"),
        blksize: option("blksize", 512),
        windowsize: option("windowsize", 1),
        bytes: number("bytes")?,
        blocks,
        duration: Duration::try_from_secs_f64(millis / 1e3).ok()?,
        retransmissions: number("retransmissions")?,
        repeats: number("repeats")?,
        code: find("code").and_then(|code| code.parse().ok()),
        reason: text("reason"),
        text: text("text"),
        has_options: !granted.is_empty(),
        answered: blocks > 0 || find("answered").is_some(),
        announced: option_value(find("asked").unwrap_or_default(), "tsize")
            .filter(|_| kind == Kind::Write && find("mode") == Some("octet")),
    }))
}

/// The number that an option has in `options`, written as `NAME:VALUE,NAME:VALUE`.
fn option_value(options: &str, wanted: &str) -> Option<u64> {
    let mut pairs = options.split(',').filter_map(|pair| pair.split_once(':'));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    value.parse().ok()
}

/// `key=value` pairs with one space between them.
fn text_pairs(line: &str) -> Option<Pairs<'_>> {
    let mut pairs = Pairs::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = text_value(after)?;
        pairs.push((key.into(), value));
        rest = match after.strip_prefix(' ') {
            Some(next) => next,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(pairs)
}

/// A value and what follows it. In quotes `\"` is a quote; any other backslash takes the character
/// behind it along, so that `\\` before the last quote is not misread.
fn text_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        return Some((value.into(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value.into(), quoted.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                '"' => value.push('"'),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

fn json_pairs(line: &str) -> Option<Pairs<'_>> {
    let Ok(Value::Object(object)) = serde_json::from_str(line) else { return None };
    let pairs = object.into_iter().map(|(key, value)| {
        let value = match value {
            // What an escape of JSON hides is no better than what stands there.
            Value::String(text) if !text.contains(char::is_control) => text,
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some((key.into(), value.into()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "time=2026-03-01T12:00:00.500Z kind=read outcome=ok client=192.0.2.7:2000 \
                        local=192.0.2.1:5000 file=\"boot\\\\my \\\"file\" mode=octet \
                        asked=blksize:1428,tsize:0 granted=blksize:1428,tsize:1234 bytes=1234 \
                        blocks=1 duration_ms=12.345 retransmissions=2 repeats=1";

    fn request(line: &str) -> LoggedRequest {
        match LogLine::parse(line) {
            Ok(LogLine::Request(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_is_read() {
        let read = request(READ);
        assert_eq!(read.time, "2026-03-01T12:00:00.5Z".parse::<Timestamp>().unwrap().into());
        assert_eq!((read.kind, read.ending), (Kind::Read, Ending::Ok));
        assert_eq!(
            (read.client.to_string().as_str(), read.file.as_str()),
            ("192.0.2.7:2000", r#"boot\\my "file"#)
        );
        assert_eq!((read.blksize, read.windowsize, read.has_options), (1428, 1, true));
        assert_eq!((read.bytes, read.blocks, read.retransmissions, read.repeats), (1234, 1, 2, 1));
        assert_eq!((read.duration.as_micros(), read.hint()), (12_345, None));
    }

    #[test]
    fn a_note_of_lost_lines_is_read_in_both_formats() {
        let text = LogLine::parse("time=2026-03-01T12:00:00.500Z kind=lost lines=7");
        let json = r#"{"time":"2026-03-01T12:00:00.500Z","kind":"lost","lines":7}"#;
        assert!(matches!(text, Ok(LogLine::Lost { lines: 7, .. })), "{text:?}");
        let summary = LogLine::parse("time=2026-03-01T12:00:00.500Z kind=summary lines=8");
        assert!(matches!(summary, Ok(LogLine::Summary { lines: 8, .. })), "{summary:?}");
        assert_eq!(text, LogLine::parse(json));
    }

    /// Cut anywhere, a line is either noticed or says the same but for its last number.
    #[test]
    fn a_line_that_was_cut_is_torn() {
        let always = READ.find(" repeats=").unwrap() + " repeats=".len();
        for end in "time=".len()..always {
            assert_eq!(LogLine::parse(&READ[..end]), Err(LineError::Torn), "{}", &READ[..end]);
        }
        let json = r#"{"time":"2026-03-01T12:00:00.500Z","kind":"lost","li"#;
        assert_eq!(LogLine::parse(json), Err(LineError::Torn));
    }

    #[test]
    fn what_is_no_line_is_foreign() {
        for line in ["", "hello", "kind=read", "[]", "{}", "\u{1b}[2J", "{\"a\":[1]}", "a=\"b"] {
            assert_eq!(LogLine::parse(line), Err(LineError::Foreign), "{line}");
        }
        let hidden = r#"{"time":"2026-03-01T12:00:00.500Z","kind":"lost","lines":7,"x":"\u001b"}"#;
        assert!(LogLine::parse(hidden).is_err());
    }

    #[test]
    fn a_key_that_is_new_is_passed_over() {
        assert_eq!(request(&format!("{READ} future=\"a b\"")), request(READ));
    }
}
