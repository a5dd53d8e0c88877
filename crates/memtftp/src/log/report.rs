//! The summary for people. `docs/operations.md` explains it.

use std::fmt::{Display, Write};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use jiff::Timestamp;
use memtftp_server::{Hint, LoggedRequest};

use crate::log::summary::{Cause, Finding, Summary};
use crate::log::tally::Tally;

/// Clients or files that are listed for one cause.
const LISTED: usize = 5;

/// Clients, and files, that are listed with their failures.
pub(super) const ROWS: usize = 10;

/// How long a transfer takes before it is called slow.
const SLOW: Duration = Duration::from_secs(1);

/// What happened, in words: short when all is well.
pub(crate) fn text(summary: &Summary) -> String {
    let mut text = overview(summary);
    let findings = findings(summary);
    for (cause, finding) in &findings {
        text.push_str(&section(summary, cause, finding));
    }
    if findings.is_empty() && summary.requests() > 0 {
        text.push_str("Nothing went wrong.\n");
    }
    // With one cause its section has said it all.
    if findings.iter().filter(|(_, finding)| finding.failed).count() > 1 {
        text.push_str(&failures("clients with failures", &summary.failed_clients, |client| {
            let causes = causes_of(&summary.client_causes, client);
            (format!(" of {}", summary.clients.get(client)), causes)
        }));
        text.push_str(&failures("files with failures", &summary.failed_files, |file| {
            (String::new(), causes_of(&summary.file_causes, file))
        }));
    }
    text.push_str(&slowest(summary));
    text.push_str(&caveats(summary));
    text
}

fn overview(summary: &Summary) -> String {
    let (Some(first), Some(last)) = (summary.first, summary.last) else {
        return "no request\n".to_owned();
    };
    let endings = summary.endings.iter();
    let counts: Vec<String> =
        endings.map(|(ending, count)| format!("{count} {}", ending.word())).collect();
    let more = if summary.clients.forgotten() > 0 { "more than " } else { "" };
    format!(
        "{} of {more}{}, {} to {}\n{}: {} read, {} written\n",
        count(summary.requests(), "request"),
        count(summary.clients.len() as u64, "client"),
        time(first),
        time(last),
        counts.join(", "),
        size(summary.bytes_read),
        size(summary.bytes_written),
    )
}

/// The causes, the most serious first; those without a hint by how often they occurred.
pub(super) fn findings(summary: &Summary) -> Vec<(&Cause, &Finding)> {
    let mut all: Vec<(&Cause, &Finding)> = summary.findings.iter().collect();
    all.sort_by(|(one, of_one), (other, of_other)| match (one, other) {
        (Cause::Said(..), Cause::Said(..)) => {
            of_other.requests.cmp(&of_one.requests).then_with(|| one.cmp(other))
        }
        _ => one.cmp(other),
    });
    all
}

fn section(summary: &Summary, cause: &Cause, finding: &Finding) -> String {
    let advice = match cause {
        Cause::Hint(hint) => hint.advice(),
        Cause::Said(_, said) if said.is_empty() => "various reasons, too many to list",
        Cause::Said(_, said) => said,
    };
    let mut text = format!(
        "\n{}: {}, last {}\n{}",
        word(cause),
        count(finding.requests, "request"),
        time(finding.last),
        wrapped(advice)
    );
    if *cause == Cause::Hint(Hint::Loss) {
        let (again, blocks) = (finding.retransmissions, finding.blocks);
        let _ = writeln!(text, "  lost     {again} packets sent again for {blocks} blocks");
    }
    let never = |client: &IpAddr| {
        let silent = matches!(cause, Cause::Hint(Hint::ReplyLost | Hint::NoAnswer));
        let never = silent && summary.served.get(client) == 0;
        if never { ", no transfer of it ever came to its end" } else { "" }
    };
    let clients = list(&finding.clients, |client| format!("{client}{}", never(client)));
    let _ = writeln!(text, "  clients  {clients}");
    if finding.files.len() > 0 {
        let _ = writeln!(text, "  files    {}", list(&finding.files, shown));
    }
    text
}

/// The most frequent ones with their counts, and how many more there are.
fn list<K: Hash + Ord + Clone>(tally: &Tally<K>, show: impl Fn(&K) -> String) -> String {
    let all = tally.sorted();
    let one = |(key, count): &(&K, u64)| match count {
        1 => show(key),
        _ => format!("{} ({count} times)", show(key)),
    };
    let mut listed: Vec<String> = all.iter().take(LISTED).map(one).collect();
    let more = all.len().saturating_sub(LISTED) as u64 + tally.forgotten();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join("; ")
}

/// A table of who failed how often and why.
fn failures<K: Hash + Ord + Clone + Display>(
    title: &str,
    failed: &Tally<K>,
    rest: impl Fn(&K) -> (String, String),
) -> String {
    if failed.len() == 0 {
        return String::new();
    }
    let mut text = format!("\n{title}\n");
    let all = failed.sorted();
    for (key, count) in all.iter().take(ROWS) {
        let (of, causes) = rest(key);
        let _ = writeln!(text, "  {:<30} {:<12} {causes}", shown(key), format!("{count}{of}"));
    }
    let more = all.len().saturating_sub(ROWS) as u64 + failed.forgotten();
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}

/// Why this client or file failed, the most frequent first.
fn causes_of<K: Hash + Ord + Clone>(causes: &Tally<(K, Cause)>, wanted: &K) -> String {
    let mut words: Vec<&str> = Vec::new();
    for ((key, cause), _) in causes.sorted() {
        if key == wanted && !words.contains(&word(cause)) {
            words.push(word(cause));
        }
    }
    words.join(", ")
}

fn slowest(summary: &Summary) -> String {
    let slow: Vec<&LoggedRequest> =
        summary.slowest.iter().filter(|request| request.duration >= SLOW).collect();
    if slow.is_empty() {
        return String::new();
    }
    let mut text = "\nslowest transfers\n".to_owned();
    for request in slow {
        let seconds = request.duration.as_secs_f64();
        let _ = writeln!(
            text,
            "  {:<30} {seconds:.1} s, {}, {}/s, blksize {}, {} sent again, {}",
            shown(&request.file),
            size(request.bytes),
            size(rate(request)),
            request.blksize,
            request.retransmissions,
            request.client.ip().to_canonical(),
        );
    }
    text
}

/// What the log does not tell.
fn caveats(summary: &Summary) -> String {
    let mut text = String::new();
    if summary.lost > 0 {
        let lines = count(summary.lost, "line");
        let _ = writeln!(
            text,
            "\n{lines} could not be written: the disk was full or too slow, so this is not all"
        );
    }
    if summary.unlisted > 0 {
        let datagrams = count(summary.unlisted, "datagram");
        let _ = writeln!(
            text,
            "\n{datagrams} got no service and were only counted (--max-unrecognized), as in a flood"
        );
    }
    let cut = "cut short by a crash or a full disk";
    let foreign = "no line of a request log";
    for (unread, what) in [(&summary.torn, cut), (&summary.foreign, foreign)] {
        if unread.count > 0 {
            let more = if unread.count > unread.first.len() as u64 { ", ..." } else { "" };
            let lines = count(unread.count, "line");
            let _ =
                writeln!(text, "\n{lines} passed over, {what}: {}{more}", unread.first.join(", "));
        }
    }
    text
}

/// The word for a cause in tables.
fn word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Hint(hint) => hint.word(),
        Cause::Said(ending, _) => ending.word(),
    }
}

/// Bytes a second.
fn rate(request: &LoggedRequest) -> u64 {
    (request.bytes as f64 / request.duration.as_secs_f64().max(1e-6)) as u64
}

/// To the second, UTC.
pub(super) fn time(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.0}")
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A name that may be empty or long.
fn shown(name: &impl Display) -> String {
    let name = name.to_string();
    match name.char_indices().nth(60) {
        _ if name.is_empty() => "(no name)".to_owned(),
        Some((end, _)) => format!("{}...", name.get(..end).unwrap_or_default()),
        None => name,
    }
}

/// A text in lines that fit a terminal, indented.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 96;
    let mut lines = String::new();
    let mut line = String::from(" ");
    for word in text.split(' ') {
        if line.chars().count() + word.chars().count() >= WIDTH {
            let _ = writeln!(lines, "{line}");
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(lines, "{line}");
    lines
}
