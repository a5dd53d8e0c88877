//! The tables, in Markdown.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Error;
use crate::cases::{Bounds, Case, Group};
use crate::foreign::Client;
use crate::measure::Measured;
use crate::results::{OPEN, Results, median};
use crate::servers::Kind;

/// What is between these lines of the page is written anew.
const BEGIN: &str = "<!-- measured: scripts/bench --write docs -->";
const END: &str = "<!-- end -->";

/// All tables.
pub(crate) fn tables(results: &Results) -> String {
    let rounds = results.rounds;
    let mut text = format!("Medians of {rounds} rounds; {}.\n", machine());
    ratios(&mut text, results, "Reads", Group::Cost);
    ratios(&mut text, results, "Uploads", Group::Upload);
    costs(&mut text, results);
    directory(&mut text, results);
    storms(&mut text, results);
    losses(&mut text, results);
    counts(&mut text, results);
    sessions(&mut text, results);
    foreign(&mut text, results);
    if let Some(still) = &results.still {
        let _ = write!(
            text,
            "\n### Start and rest\n\nWith 1,000 preloaded files of 64 KiB the server is ready after \
             {:.0} ms. When nobody asks, all its threads together wake up {} times a second.\n",
            still.start * 1e3,
            still.wakes
        );
    }
    text
}

/// Replaces the tables of the page.
pub(crate) fn write(directory: &Path, tables: &str) -> Result<(), Error> {
    let path = directory.join("benchmarks.md");
    let failed = |said: String| Error::Write { path: path.clone(), said };
    let page = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| failed(format!("it has no line {BEGIN}")))?;
    let page = format!("{before}{BEGIN}\n\n{tables}\n{END}{after}");
    fs::write(&path, page).map_err(|error| failed(error.to_string()))
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, Linux {}", model.map_or("unknown processor", |(_, name)| name), kernel.trim())
}

fn cost(measured: &Measured) -> f64 {
    measured.cost
}

/// A number, or a dash where there is none.
fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// A ratio beside what it must not exceed.
fn bounded(ratio: Option<f64>, bound: Option<f64>) -> String {
    match (ratio, bound) {
        (Some(ratio), Some(bound)) if ratio > bound => format!("**{ratio:.2}** (at most {bound})"),
        (Some(ratio), Some(bound)) => format!("{ratio:.2} (at most {bound})"),
        (ratio, _) => number(ratio, 2),
    }
}

fn ratios(text: &mut String, results: &Results, title: &str, group: Group) {
    let _ = write!(
        text,
        "\n### {title}: CPU of the server for a block, as ratios\n\n\
         | load | to the reference loop | to the best peer | which |\n| --- | --- | --- | --- |\n"
    );
    for (index, case) in results.of(group) {
        let best = results.best_peer(index, cost);
        let ratio = best.and_then(|(kind, _)| results.ratio(index, kind, cost));
        let Bounds { reference, peer } = case.bounds;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            case.name(),
            bounded(results.ratio(index, Kind::Reference, cost), reference),
            bounded(ratio, peer),
            best.map_or("-", |(kind, _)| kind.name()),
        );
    }
}

/// The head of a table with a column for each server.
fn head(text: &mut String, title: &str, first: &str) {
    let _ = write!(text, "\n### {title}\n\n| {first} |");
    for kind in Kind::ALL {
        let _ = write!(text, " {} |", kind.name());
    }
    let _ = writeln!(text, "\n| --- |{}", " --- |".repeat(Kind::ALL.len()));
}

fn row(text: &mut String, first: &str, value: impl Fn(Kind) -> String) {
    let _ = write!(text, "| {first} |");
    for kind in Kind::ALL {
        let _ = write!(text, " {} |", value(kind));
    }
    text.push('\n');
}

fn costs(text: &mut String, results: &Results) {
    head(text, "CPU of the server for a block, in microseconds", "load");
    for group in [Group::Cost, Group::Upload] {
        for (index, case) in results.of(group) {
            let upload = if case.is_upload() { "upload: " } else { "" };
            row(text, &format!("{upload}{}", case.name()), |kind| {
                number(results.median(index, kind, cost), 2)
            });
        }
    }
}

fn directory(text: &mut String, results: &Results) {
    text.push_str(
        "\n### With a directory behind the memory: CPU of the server for a block, in microseconds\n\n\
         | load | --preload | --dir | ratio |\n| --- | --- | --- | --- |\n",
    );
    for (index, case) in results.of(Group::Cost).filter(|(_, case)| case.suits(Kind::Directory)) {
        let of = |kind| number(results.median(index, kind, cost), 2);
        let ratio = results.ratio_of(Kind::Directory, index, Kind::Memtftp, cost);
        let (name, memory, both) = (case.name(), of(Kind::Memtftp), of(Kind::Directory));
        let _ = writeln!(text, "| {name} | {memory} | {both} | {} |", number(ratio, 2));
    }
}

/// `seconds; what went wrong`
fn storm(results: &Results, index: usize, case: &Case, kind: Kind) -> String {
    if !case.suits(kind) {
        return "-".to_owned();
    }
    let of = |value: fn(&Measured) -> f64| results.median(index, kind, value);
    let Some(seconds) = of(|run| run.seconds) else { return "not done".to_owned() };
    let mut text = format!("{seconds:.2} s");
    let faults = [
        ("not done", of(|run| run.completed as f64).map(|done| f64::from(case.clients) - done)),
        ("sent again", of(|run| run.retransmissions as f64)),
        ("dropped", of(|run| run.drops as f64)),
    ];
    for (what, count) in faults {
        if let Some(count) = count.filter(|count| *count > 0.0) {
            let _ = write!(text, ", {count:.0} {what}");
        }
    }
    text
}

fn storms(text: &mut String, results: &Results) {
    head(text, "All at once, 64 KiB each: time until the last is done", "load");
    for (index, case) in results.of(Group::Storm) {
        row(text, &case.name(), |kind| storm(results, index, case, kind));
    }
    let _ = writeln!(text);
    let many = results.of(Group::Storm).filter(|(_, case)| case.bounds.reference.is_some());
    for (index, case) in many {
        let ratio = results.ratio(index, Kind::Reference, |run| run.seconds);
        let _ = writeln!(
            text,
            "{}: {} of the reference loop's time; {} us a block.\n",
            case.name(),
            bounded(ratio, case.bounds.reference),
            number(results.median(index, Kind::Memtftp, cost), 2)
        );
    }
}

fn losses(text: &mut String, results: &Results) {
    head(text, "16 MiB through loss each way, in seconds, from the goodput", "load");
    for (index, case) in results.of(Group::Loss) {
        row(text, &case.name(), |kind| match case.suits(kind) {
            true => {
                let goodput = results.median(index, kind, |run| run.bytes_per_second);
                number(goodput.map(|goodput| case.file.size as f64 / goodput), 2)
            }
            false => "-".to_owned(),
        });
    }
}

fn counts(text: &mut String, results: &Results) {
    if results.counted.is_empty() {
        return;
    }
    head(text, "System calls of the server for a block", "load");
    let mut names: Vec<String> = results.counted.iter().map(|(case, ..)| case.name()).collect();
    names.dedup();
    for name in &names {
        row(text, name, |kind| {
            let mut counted = results.counted.iter();
            let found = counted.find(|(case, of, _)| case.name() == *name && *of == kind);
            number(found.map(|(.., counted)| counted.calls), 3)
        });
    }
    let instructions = |(case, kind, counted): &(Case, Kind, crate::measure::Counted)| {
        let instructions = counted.instructions?;
        Some(format!("{}, {}: {instructions:.0} instructions a block.\n", case.name(), kind.name()))
    };
    let known: Vec<String> = results.counted.iter().filter_map(instructions).collect();
    text.push('\n');
    match known.is_empty() {
        true => text.push_str("This machine does not count instructions or cycles.\n"),
        false => known.iter().for_each(|line| text.push_str(line)),
    }
}

fn sessions(text: &mut String, results: &Results) {
    if results.sessions.is_empty() {
        return;
    }
    head(text, "Memory of the server for each open transfer, in bytes", "open transfers");
    for count in OPEN {
        row(text, &count.to_string(), |kind| {
            let mut found = results.sessions.iter();
            let found = found.find(|(of, open, _)| *of == kind && *open == count);
            number(found.map(|(.., bytes)| *bytes), 0)
        });
    }
}

fn foreign(text: &mut String, results: &Results) {
    if results.foreign.is_empty() {
        return;
    }
    head(
        text,
        "Cross-check with foreign clients: seconds for 16 MiB, and CPU of the server for a block",
        "client",
    );
    for (index, client) in Client::ALL.into_iter().enumerate() {
        row(text, client.name(), |kind| {
            let Some(runs) = results.foreign.get(&(index, kind)) else { return "-".to_owned() };
            let seconds: Vec<f64> = runs.iter().map(|run| run.0).collect();
            let costs: Vec<f64> = runs.iter().map(|run| run.1).collect();
            match median(&costs) {
                cost if cost.is_nan() => format!("{:.3} s", median(&seconds)),
                cost => format!("{:.3} s, {cost:.2} us", median(&seconds)),
            }
        });
    }
}
