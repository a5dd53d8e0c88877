//! The table of `docs/conformance.md` is whole, and what it says is shown by tests that exist.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = "docs/conformance.md";

/// The last row; the first is 1.
const ROWS: u32 = 86;

/// How an answer may begin, and whether it promises something that a test must show.
const ANSWERS: [(&str, bool); 3] =
    [("Kept", true), ("Deliberately not", false), ("Not ours", false)];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository; `None` if it is not there or outside.
fn source(path: &str) -> Option<String> {
    let inside = !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    inside.then(|| fs::read_to_string(repository().join(path)).ok()).flatten()
}

/// One line of the table.
struct Row<'a> {
    number: u32,
    answer: &'a str,
    tests: Vec<&'a str>,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    table.lines().filter_map(row).collect()
}

/// `| number | RFC | asks | answer | tests |`; other lines are no rows.
fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let number = cells[0].parse().ok()?;
    let answer = cells.get(3).copied().unwrap_or_default();
    // A cell of tests is code spans only: every second piece.
    let tests = cells.get(4).map(|cell| cell.split('`').skip(1).step_by(2).collect());
    Some(Row { number, answer, tests: tests.unwrap_or_default() })
}

/// Whether `code` has a test function of this name that runs.
fn has_test(code: &str, name: &str) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        line.starts_with(&format!("fn {name}(")) && {
            // Attributes and comments right above it.
            let above = lines[..at].iter().rev();
            let above: Vec<_> =
                above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect();
            above.contains(&&"#[test]") && !above.iter().any(|line| line.starts_with("#[ignore"))
        }
    })
}

/// Everything that is wrong with a table, in words.
fn problems(table: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows = rows(table);
    let mut problems = Vec::new();
    let mut seen: BTreeMap<u32, usize> = (1..=ROWS).map(|number| (number, 0)).collect();
    for row in &rows {
        *seen.entry(row.number).or_default() += 1;
    }
    for (number, count) in seen {
        match count {
            0 => problems.push(format!("row {number} is missing")),
            1 if number <= ROWS && number > 0 => {}
            1 => problems.push(format!("row {number} is beyond the last, {ROWS}")),
            _ => problems.push(format!("row {number} is there {count} times")),
        }
    }
    for Row { number, answer, tests } in &rows {
        match ANSWERS.iter().find(|(begins, _)| answer.starts_with(begins)) {
            None => problems.push(format!("row {number}: unknown kind of answer: {answer:?}")),
            Some((_, true)) if tests.is_empty() => {
                problems.push(format!("row {number} says {answer:?} and names no test"));
            }
            Some(_) => {}
        }
        for test in tests {
            let Some((path, name)) = test.split_once("::") else {
                problems.push(format!("row {number}: {test:?} is not file.rs::test_name"));
                continue;
            };
            match source(path) {
                None => problems.push(format!("row {number}: there is no file {path}")),
                Some(code) if !has_test(&code, name) => {
                    problems.push(format!("row {number}: there is no test {name} in {path}"));
                }
                Some(_) => {}
            }
        }
    }
    problems
}

#[test]
fn every_row_is_there_and_every_test_it_names() {
    let table = source(TABLE).unwrap_or_else(|| panic!("{TABLE} cannot be read"));
    let problems = problems(&table, source);
    assert!(problems.is_empty(), "{TABLE}:\n  {}", problems.join("\n  "));
}

/// A table without a flaw whose every row names one test.
fn whole() -> String {
    (1..=ROWS).map(|row| format!("| {row} | 1, 2 | asks | Kept | `a.rs::shown` |\n")).collect()
}

/// What is found in `table` if there is one file with these lines.
fn found(table: &str, code: &str) -> Vec<String> {
    problems(table, |path| (path == "a.rs").then(|| code.to_owned()))
}

const SHOWN: &str = "    #[test]\n    /// Says how.\n    fn shown() {}\n";

#[test]
fn a_whole_table_has_no_problems() {
    assert_eq!(found(&whole(), SHOWN), Vec::<String>::new());
}

#[test]
fn a_missing_a_doubled_and_an_unknown_row_are_found() {
    let table = whole().replace("| 7 |", "| 87 |").replace("| 9 |", "| 8 |");
    let expected = ["row 7 is missing", "row 8 is there 2 times", "row 9 is missing"];
    assert_eq!(found(&table, SHOWN)[..3], expected);
    assert_eq!(found(&table, SHOWN)[3..], ["row 87 is beyond the last, 86"]);
}

#[test]
fn a_promise_without_a_test_is_found() {
    let last = |answer: &str, tests: &str| {
        let table = whole();
        let (rows, _) = table.split_once("| 86 |").unwrap();
        found(&format!("{rows}| 86 | 1, 2 | asks | {answer} | {tests} |\n"), SHOWN)
    };
    assert_eq!(last("Kept, mostly", ""), ["row 86 says \"Kept, mostly\" and names no test"]);
    assert_eq!(last("Not ours: why", ""), Vec::<String>::new());
    assert_eq!(last("Maybe", "")[..], ["row 86: unknown kind of answer: \"Maybe\""]);
    assert_eq!(last("Kept", "`shown`"), ["row 86: \"shown\" is not file.rs::test_name"]);
    assert_eq!(last("Kept", "`b.rs::shown`"), ["row 86: there is no file b.rs"]);
    let both = last("Kept", "`a.rs::shown`, `a.rs::other`");
    assert_eq!(both, ["row 86: there is no test other in a.rs"]);
}

#[test]
fn what_is_no_test_or_never_runs_is_not_taken_for_one() {
    for code in [
        "fn shown() {}",
        "#[test]\nfn shown_too() {}",
        "#[test]\n\nfn shown() {}",
        "#[test]\n#[ignore = \"slow\"]\nfn shown() {}",
        "#[test]\nfn other() {\n    shown();\n}\nfn shown() {}",
        "// fn shown() {}",
    ] {
        assert_eq!(found(&whole(), code).len(), ROWS as usize, "{code}");
    }
    let in_proptest = "proptest! {\n    #[test]\n    fn shown(\n        x in 0..1,\n    ) {}\n}";
    assert_eq!(found(&whole(), in_proptest), Vec::<String>::new());
}
