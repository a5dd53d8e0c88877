//! The configuration file: its keys are the options of the command line, and are read by the parser
//! of these. All that is wrong in it is said at once, each with its line and column.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use memtftp_server::rules::{RuleError, Rules};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Settings;
use super::rule::{KEYS, RuleEntry};
use crate::cli::did_you_mean;
use crate::exit::plain;

/// Mistakes that are told of one file.
const MOST: usize = 20;

/// A configuration file cannot be used. The operator must act.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Wrong(Report),
}

/// All that is wrong in a file, a line for each.
#[derive(Debug)]
pub(crate) struct Report(Vec<String>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// What is wrong in a file, and where: byte offsets.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(usize, String)>);

impl Mistakes {
    pub(super) fn add(&mut self, at: usize, words: String) {
        self.0.push((at, words));
    }

    /// Adds what is wrong with the value of a key, given one message for each of its parts.
    fn note<T>(&mut self, at: usize, read: Result<T, String>) -> Option<T> {
        read.map_err(|words| self.add(at, words)).ok()
    }

    /// Reads a list that has something in it, or one value, which is a list of one. An empty list
    /// could be read as everything or as nothing.
    pub(super) fn list<T>(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<T>>
    where
        T: FromStr<Err = String>,
    {
        let parts = self.note(value.span().start, parts(name, value, true))?;
        let mut read = Vec::new();
        for (at, text) in &parts {
            let one = text.parse().map_err(|why| format!("{name} = {text:?}: {why}"));
            read.extend(self.note(*at, one));
        }
        (read.len() == parts.len()).then_some(read)
    }
}

/// A configuration file and its text.
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Source, FileError> {
        let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
        Ok(Source { path: path.to_owned(), text: fs::read_to_string(path).map_err(unreadable)? })
    }

    /// Reads the settings; those that the file does not have are not given.
    pub(super) fn settings(&self) -> Result<Settings, FileError> {
        let mut mistakes = Mistakes::default();
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            mistakes.add(at, error.message().replace('\n', "; "));
        }
        let settings = read(table.get_ref(), &mut mistakes);
        if mistakes.0.is_empty() { Ok(settings) } else { Err(self.wrong(mistakes)) }
    }

    /// The first mistake of each place, in the order of the file.
    fn wrong(&self, mistakes: Mistakes) -> FileError {
        let mut mistakes = mistakes.0;
        mistakes.sort_by_key(|(at, _)| *at);
        mistakes.dedup_by_key(|(at, _)| *at);
        let count = mistakes.len();
        let line = |(at, words): (usize, String)| format!("{}: {words}", self.place(at));
        let mut lines: Vec<String> = mistakes.into_iter().take(MOST).map(line).collect();
        if count > MOST {
            lines.push(format!("{}: and {} more mistakes", self.path.display(), count - MOST));
        }
        FileError::Wrong(Report(lines))
    }

    /// `FILE:LINE:COLUMN` of a place in the text, columns counted in characters.
    pub(super) fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    /// Where the keys of these flags are, if they are in the file.
    pub(super) fn places_of(&self, flags: &[&str]) -> Option<String> {
        let table = DeTable::parse(&self.text).ok()?;
        let places: Vec<String> = flags
            .iter()
            .filter_map(|flag| {
                let name = flag.trim_start_matches('-');
                let (key, _) = table.get_ref().iter().find(|(key, _)| key.get_ref() == name)?;
                Some(format!("{} ({name})", self.place(key.span().start)))
            })
            .collect();
        (!places.is_empty()).then(|| places.join(", "))
    }
}

/// Reads all keys.
fn read(table: &DeTable<'_>, mistakes: &mut Mistakes) -> Settings {
    let options = Settings::augment_args(Command::new("settings").no_binary_name(true));
    let keys: Vec<&str> = options.get_arguments().filter_map(Arg::get_long).collect();
    let mut settings = Settings::default();
    for (key, value) in table {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        match (name, options.get_arguments().find(|arg| arg.get_long() == Some(name))) {
            ("rule", _) => settings.rule = rules(value, &keys, mistakes),
            ("aliases", _) => aliases(value, &mut settings, mistakes),
            (_, Some(option)) => {
                if let Some(one) = setting(&options, option, name, value, mistakes) {
                    settings = settings.over(one);
                }
            }
            _ if KEYS.contains(&name) => {
                mistakes.add(at, format!("{name} belongs into a rule, below a line [[rule]]"));
            }
            _ => {
                let known = [&keys[..], &["rule", "aliases"]].concat();
                let meant = did_you_mean(name, &known, "");
                mistakes.add(at, format!("there is no key {name}{meant}"));
            }
        }
    }
    settings
}

/// Reads one key by the parser of its option.
fn setting(
    options: &Command,
    option: &Arg,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    mistakes: &mut Mistakes,
) -> Option<Settings> {
    let is_list = matches!(option.get_action(), ArgAction::Append);
    let parts = mistakes.note(value.span().start, parts(name, value, is_list))?;
    let before = mistakes.0.len();
    // One by one, so that each that is wrong is named.
    for (at, text) in &parts {
        let parsed = options.clone().try_get_matches_from([format!("--{name}={text}")]);
        mistakes.note(*at, parsed.map_err(|error| wrong_value(&error, option, name, text)));
    }
    let words = parts.iter().map(|(_, text)| format!("--{name}={text}"));
    let matches = options.clone().try_get_matches_from(words).ok()?;
    let settings = Settings::from_arg_matches(&matches).ok()?;
    (mistakes.0.len() == before).then_some(settings)
}

fn wrong_value(error: &clap::Error, option: &Arg, name: &str, text: &str) -> String {
    let why = match (error.kind(), std::error::Error::source(error)) {
        (ErrorKind::ValueValidation, Some(why)) => plain(&why.to_string()),
        _ => {
            let values = option.get_possible_values();
            let words: Vec<&str> =
                values.iter().map(clap::builder::PossibleValue::get_name).collect();
            format!("give {}{}", words.join(" or "), did_you_mean(text, &words, ""))
        }
    };
    format!("{name} = {text:?}: {why}")
}

/// The values of a key, each with its place. One value is a list of one.
fn parts(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    is_list: bool,
) -> Result<Vec<(usize, String)>, String> {
    let one = |value: &Spanned<DeValue<'_>>| match text_of(value.get_ref()) {
        Some(text) => Ok((value.span().start, text.into_owned())),
        None => {
            Err(format!("{name}: give {}", if is_list { "a list of values" } else { "one value" }))
        }
    };
    match value.get_ref() {
        DeValue::Array(list) if is_list && list.is_empty() => {
            Err(format!("{name} = []: an empty list: remove the line, or say what is meant"))
        }
        DeValue::Array(list) if is_list => list.iter().map(one).collect(),
        _ => Ok(vec![one(value)?]),
    }
}

/// A value as it would stand on the command line; `None` for a list or a table.
pub(super) fn text_of<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().into(),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string().into()
        }
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(value) => value.to_string().into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

fn rules(
    value: &Spanned<DeValue<'_>>,
    settings: &[&str],
    mistakes: &mut Mistakes,
) -> Vec<Spanned<RuleEntry>> {
    let mut rules = Vec::new();
    for (place, rule) in value.get_ref().as_array().into_iter().flatten().enumerate() {
        let Some(table) = rule.get_ref().as_table() else { continue };
        let before = mistakes.0.len();
        let entry = RuleEntry::read(table, settings, mistakes);
        // By itself, so that what is wrong in the next is said, too.
        if let Err(RuleError::Rule { name, fault, .. }) = Rules::new(vec![entry.meaning()], &[])
            && mistakes.0.len() == before
        {
            let wrong = RuleError::Rule { number: place, name, fault };
            mistakes.add(rule.span().start, wrong.to_string());
        }
        rules.push(Spanned::new(rule.span(), entry));
    }
    if rules.is_empty() {
        mistakes.add(value.span().start, "a rule begins with a line [[rule]]".into());
    }
    rules
}

fn aliases(value: &Spanned<DeValue<'_>>, settings: &mut Settings, mistakes: &mut Mistakes) {
    let Some(table) = value.get_ref().as_table() else {
        let words = "aliases stand below a line [aliases], as in \"other name\" = \"name\"";
        return mistakes.add(value.span().start, words.into());
    };
    for (alias, name) in table {
        match name.get_ref().as_str() {
            Some(name) => {
                settings.aliases.insert(alias.get_ref().to_string(), name.to_owned());
            }
            None => mistakes.add(
                name.span().start,
                format!("alias {}: give the name of a file", alias.get_ref()),
            ),
        }
    }
}
