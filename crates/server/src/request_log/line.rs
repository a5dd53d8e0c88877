//! One record as one line.

use std::net::SocketAddr;

use jiff::Timestamp;
use memtftp_proto::{DropReason, Kind, Outcome, Record};

use super::LogFormat;
use super::text::{cut, escape, escape_option, quote};
use crate::hint::{Facts, Hint, SERVICE_PORT};

/// How much of a datagram that is no request is shown, in bytes.
const SHOWN: usize = 32;

/// The values of `kind` for requests.
pub(super) const KINDS: [(Kind, &str); 3] =
    [(Kind::Read, "read"), (Kind::Write, "write"), (Kind::Unrecognized, "unrecognized")];

/// Keys with their values, in the order they are written.
pub(super) struct Line(Vec<(&'static str, Value)>);

enum Value {
    Text(String),
    Number(u64),
    Millis(f64),
}

impl Line {
    /// A record; `socket` is the address of our end.
    pub(super) fn new(time: Timestamp, record: &Record, socket: Option<SocketAddr>) -> Line {
        let mut line = Line(Vec::with_capacity(20));
        line.time(time);
        line.text("kind", kind(record.kind));
        line.text("outcome", record.outcome.name());
        line.text("client", record.peer.to_string());
        if let Some(local) = local(record, socket) {
            line.text("local", local.to_string());
        }
        line.request(record);
        line.progress(record);
        let reason = reason(&record.outcome);
        line.reason(&record.outcome, reason);
        if let Some(hint) = Hint::of(&Facts::of(record, reason)) {
            line.text("hint", hint.word());
        }
        line
    }

    /// `count` records that were lost because the writer could not keep up.
    pub(super) fn lost(time: Timestamp, count: u64) -> Line {
        let mut line = Line(Vec::new());
        line.time(time);
        line.text("kind", "lost");
        line.number("lines", count);
        line
    }

    /// `count` datagrams that got no service and have no line of their own.
    pub(super) fn summary(time: Timestamp, count: u64) -> Line {
        let mut line = Line(Vec::new());
        line.time(time);
        line.text("kind", "summary");
        line.number("lines", count);
        line
    }

    /// The line as it is written, with its end.
    pub(super) fn format(&self, format: LogFormat) -> String {
        let (open, between, close) = match format {
            LogFormat::Text => ("", " ", "\n"),
            LogFormat::Json => ("{", ",", "}\n"),
        };
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(key, value)| match format {
                LogFormat::Text => format!("{key}={}", value.as_text()),
                LogFormat::Json => format!("\"{key}\":{}", value.as_json()),
            })
            .collect();
        format!("{open}{}{close}", pairs.join(between))
    }

    fn request(&mut self, record: &Record) {
        if record.kind == Kind::Unrecognized {
            self.number("size", record.request_len as u64);
            let start = record.request.get(..SHOWN).unwrap_or(&record.request);
            self.text("start", escape(start));
            return;
        }
        let Some(request) = record.parse_request() else { return };
        self.text("file", escape(request.name));
        self.text("mode", escape(&request.mode.to_ascii_lowercase()));
        let asked: Vec<String> = request
            .options
            .iter()
            .map(|(name, value)| format!("{}:{}", escape_option(name), escape_option(value)))
            .collect();
        if !asked.is_empty() {
            self.text("asked", cut(asked.join(",")));
        }
        if let Some(agreed) = &record.agreed {
            let granted: Vec<String> = agreed
                .options()
                .map(|(option, value)| format!("{}:{value}", option.name()))
                .collect();
            if !granted.is_empty() {
                self.text("granted", granted.join(","));
            }
        }
    }

    fn progress(&mut self, record: &Record) {
        if record.kind == Kind::Unrecognized {
            return;
        }
        // With blocks it goes without saying.
        if record.answered && record.blocks == 0 {
            self.text("answered", "yes");
        }
        self.number("bytes", record.bytes);
        self.number("blocks", record.blocks);
        self.0.push(("duration_ms", Value::Millis(record.duration.as_secs_f64() * 1e3)));
        self.number("retransmissions", record.retransmissions.into());
        self.number("repeats", record.repeats.into());
    }

    fn reason(&mut self, outcome: &Outcome, reason: &str) {
        match outcome {
            Outcome::Aborted { code, text } | Outcome::Probe { code, text } => {
                self.number("code", code.0.into());
                self.text("text", escape(text));
            }
            Outcome::Refused(refusal) => self.number("code", refusal.code.0.into()),
            _ => {}
        }
        if !reason.is_empty() {
            self.text("reason", escape(reason.as_bytes()));
        }
    }

    fn time(&mut self, time: Timestamp) {
        self.text("time", format!("{time:.3}"));
    }

    fn text(&mut self, key: &'static str, value: impl Into<String>) {
        self.0.push((key, Value::Text(value.into())));
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.0.push((key, Value::Number(value)));
    }
}

impl Value {
    fn as_text(&self) -> String {
        match self {
            Value::Text(text) => quote(text),
            Value::Number(number) => number.to_string(),
            Value::Millis(millis) => format!("{millis:.3}"),
        }
    }

    fn as_json(&self) -> String {
        match self {
            Value::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            other => other.as_text(),
        }
    }
}

/// The address and port of ours that a record is about; `socket` is that of our end as it was bound.
pub(crate) fn local(record: &Record, socket: Option<SocketAddr>) -> Option<SocketAddr> {
    let socket = socket?;
    Some(SocketAddr::new(record.local.unwrap_or(socket.ip()), socket.port()))
}

fn kind(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("unrecognized", |(_, word)| word)
}

/// Why we refused, dropped or ended it; empty if the outcome says it all.
pub(crate) fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused(refusal) => refusal.reason(),
        Outcome::Superseded => "new request from the same client port",
        Outcome::Dropped(reason) => drop_reason(*reason),
        _ => "",
    }
}

fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotARequest => "not a request",
        DropReason::NotDirected => "sent to a broadcast or multicast address",
        DropReason::ServicePort => SERVICE_PORT,
        DropReason::NotServed => "client network is not served, and too many such requests came",
        DropReason::ClientRequests => "too many requests of this client in a second",
        DropReason::HalfOpen => "not answered yet when a new request needed its place",
        DropReason::Contradicted => "its client went on with the transfer that it has",
        DropReason::Stray => "of no known transfer",
        DropReason::OutOfPlace => "out of place",
        DropReason::Late => "of a finished transfer",
        DropReason::QueueFull => "queue full",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use memtftp_proto::{Asked, ErrorCode, Limits, Options, Packet, Refusal, SocketId, negotiate};

    use super::*;
    use crate::request_log::LogLine;

    pub(in crate::request_log) fn record(kind: Kind, outcome: Outcome, request: &[u8]) -> Record {
        let options = match Packet::parse(request) {
            Ok(Packet::Read(request) | Packet::Write(request)) => request.options,
            _ => Options::default(),
        };
        let agreed = negotiate(&Asked::new(options), &Limits::NONE, Some(1234));
        Record {
            kind,
            outcome,
            peer: "192.0.2.7:2000".parse().unwrap(),
            local: Some("192.0.2.1".parse().unwrap()),
            socket: SocketId(1),
            request: request.into(),
            request_len: request.len(),
            agreed: (kind != Kind::Unrecognized).then_some(agreed),
            bytes: 1234,
            blocks: 1,
            duration: Duration::from_micros(12_345),
            retransmissions: 2,
            repeats: 1,
            answered: true,
        }
    }

    fn line(record: &Record, format: LogFormat) -> String {
        let time = "2026-03-01T12:00:00.5Z".parse().unwrap();
        Line::new(time, record, Some("[::]:5000".parse().unwrap())).format(format)
    }

    const READ: &[u8] = b"\0\x01boot\\my file\0Octet\0blksize\x001428\0tsize\x000\0foo\0bar\0";

    #[test]
    fn a_read_as_text() {
        assert_eq!(
            line(&record(Kind::Read, Outcome::Complete, READ), LogFormat::Text),
            "time=2026-03-01T12:00:00.500Z kind=read outcome=ok client=192.0.2.7:2000 \
             local=192.0.2.1:5000 file=\"boot\\\\my file\" mode=octet \
             asked=blksize:1428,tsize:0,foo:bar granted=blksize:1428,tsize:1234 bytes=1234 \
             blocks=1 duration_ms=12.345 retransmissions=2 repeats=1\n"
        );
    }

    #[test]
    fn a_read_as_json() {
        let json = line(&record(Kind::Read, Outcome::Complete, READ), LogFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["file"], "boot\\\\my file");
        assert_eq!(value["duration_ms"], 12.345);
        assert_eq!(value["bytes"], 1234);
        assert!(json.ends_with("}\n") && json.matches('\n').count() == 1);
    }

    #[test]
    fn what_is_written_can_be_read_and_is_judged_the_same() {
        let refusal = Refusal::new(ErrorCode::NOT_FOUND, "file not found");
        for (outcome, hint) in [
            (Outcome::Complete, None),
            (Outcome::TimedOut, Some(Hint::WentSilent)),
            (Outcome::Refused(refusal), Some(Hint::MissingFile)),
            (Outcome::Dropped(DropReason::NotServed), Some(Hint::NotServed)),
        ] {
            let record = record(Kind::Read, outcome, READ);
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = line(&record, format);
                let Ok(LogLine::Request(read)) = LogLine::parse(line.trim_end()) else {
                    panic!("{line}")
                };
                assert_eq!((read.hint(), read.file.as_str()), (hint, "boot\\\\my file"), "{line}");
                assert_eq!(line.contains("hint"), hint.is_some(), "{line}");
                assert!(hint.is_none_or(|hint| line.contains(hint.word())), "{line}");
            }
        }
    }

    #[test]
    fn what_was_announced_or_answered_is_read_back() {
        let write = |mode: &str, tsize: &str| {
            let request = format!("\0\x02f\0{mode}\0TSize\0{tsize}\0");
            let record = record(Kind::Write, Outcome::Complete, request.as_bytes());
            (record, (mode == "Octet" && tsize == "1235").then_some(Hint::ShortUpload))
        };
        let answered = |answered, hint| {
            let record = record(Kind::Read, Outcome::TimedOut, READ);
            (Record { answered, blocks: 0, bytes: 0, repeats: 0, ..record }, Some(hint))
        };
        for (record, hint) in [
            write("Octet", "1235"),
            write("Octet", "1234"),
            write("netascii", "1235"),
            answered(true, Hint::NoBlock),
            answered(false, Hint::NoAnswer),
        ] {
            assert_eq!(Hint::of(&Facts::of(&record, "")), hint);
            let line = line(&record, LogFormat::Text);
            let Ok(LogLine::Request(read)) = LogLine::parse(line.trim_end()) else {
                panic!("{line}")
            };
            assert_eq!(read.hint(), hint, "{line}");
        }
    }

    #[test]
    fn every_outcome_says_why() {
        let refusal = Refusal::new(ErrorCode::FULL, "no room").because("no room: 5 bytes left");
        let aborted = Outcome::Aborted { code: ErrorCode(8), text: b"User\naborted".to_vec() };
        for (outcome, end) in [
            (aborted, "code=8 text=User\\x0aaborted\n"),
            (Outcome::Refused(refusal), "code=3 reason=\"no room: 5 bytes left\"\n"),
            (Outcome::Superseded, "reason=\"new request from the same client port\"\n"),
            (Outcome::TimedOut, "repeats=1 hint=went-silent\n"),
        ] {
            let line = line(&record(Kind::Write, outcome, READ), LogFormat::Text);
            assert!(line.ends_with(end), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_shows_how_it_starts() {
        let dropped = Outcome::Dropped(DropReason::NotARequest);
        let line = line(&record(Kind::Unrecognized, dropped, b"\0\x09\n"), LogFormat::Text);
        assert!(line.contains("kind=unrecognized outcome=dropped"), "{line}");
        assert!(
            line.ends_with(
                "size=3 start=\\x00\\x09\\x0a reason=\"not a request\" hint=not-a-request\n"
            ),
            "{line}"
        );
    }
}
