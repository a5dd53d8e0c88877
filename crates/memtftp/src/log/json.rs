//! The summary for programs: what the words say, with the same bounds.

use std::fmt::Display;
use std::hash::Hash;

use serde_json::{Map, Value, json};

use crate::log::report::{ROWS, findings, time};
use crate::log::summary::{Cause, Summary, Unread};
use crate::log::tally::Tally;

/// One object.
pub(crate) fn object(summary: &Summary) -> Value {
    let findings = findings(summary).into_iter().map(|(cause, finding)| {
        let (hint, said) = match cause {
            Cause::Hint(hint) => (Some(hint.word()), hint.advice()),
            Cause::Said(_, said) => (None, said.as_str()),
        };
        json!({
            "hint": hint,
            "outcome": if let Cause::Said(ending, _) = cause { Some(ending.word()) } else { None },
            "text": said,
            "requests": finding.requests,
            "blocks": finding.blocks,
            "retransmissions": finding.retransmissions,
            "last": time(finding.last),
            "clients": counts(&finding.clients),
            "files": counts(&finding.files),
        })
    });
    let slowest = summary.slowest.iter().map(|request| {
        json!({
            "client": request.client.ip().to_canonical(),
            "file": request.file,
            "seconds": request.duration.as_secs_f64(),
            "bytes": request.bytes,
            "blksize": request.blksize,
            "retransmissions": request.retransmissions,
        })
    });
    let endings = summary.endings.iter();
    let endings = endings.map(|(ending, count)| (ending.word().to_owned(), json!(count)));
    json!({
        "requests": summary.requests(),
        "first": summary.first.map(time),
        "last": summary.last.map(time),
        "outcomes": endings.collect::<Map<_, _>>(),
        "bytes_read": summary.bytes_read,
        "bytes_written": summary.bytes_written,
        "clients": summary.clients.len(),
        "findings": findings.collect::<Vec<_>>(),
        "failed_clients": counts(&summary.failed_clients),
        "failed_files": counts(&summary.failed_files),
        "slowest": slowest.collect::<Vec<_>>(),
        "lost_lines": summary.lost,
        "unlisted": summary.unlisted,
        "torn_lines": unread(&summary.torn),
        "foreign_lines": unread(&summary.foreign),
    })
}

/// What was counted, the most frequent first.
fn counts<K: Hash + Ord + Clone + Display>(tally: &Tally<K>) -> Value {
    let listed = tally.sorted().into_iter().take(ROWS);
    let pairs = listed.map(|(key, count)| json!({ "name": key.to_string(), "requests": count }));
    json!({
        "most": pairs.collect::<Vec<_>>(),
        "more": tally.len().saturating_sub(ROWS) as u64 + tally.forgotten(),
    })
}

fn unread(unread: &Unread) -> Value {
    json!({ "lines": unread.count, "first": unread.first })
}
