//! A rule as the configuration file has it.

use memtftp_server::rules::{Direction, Rule, Verdict};
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Mistakes, text_of};
use super::value::Allow;
use crate::cli::{blksize, boolean, did_you_mean, windowsize};

/// What a refused client reads if the rule does not say.
const DEFAULT_TEXT: &str = "not allowed here";

/// The keys of a rule.
pub(super) const KEYS: [&str; 9] = [
    "name",
    "clients",
    "direction",
    "file",
    "rewrite",
    "ignore-case",
    "max-blksize",
    "max-windowsize",
    "action",
];

/// One `[[rule]]`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RuleEntry {
    name: Option<String>,
    clients: Option<Vec<Allow>>,
    direction: Option<Way>,
    file: Option<String>,
    rewrite: Option<String>,
    ignore_case: Option<bool>,
    max_blksize: Option<u16>,
    max_windowsize: Option<u16>,
    action: Option<Action>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Read,
    Write,
}

/// `"allow"`, `"refuse"` or `{ refuse = "text for the client" }`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Action {
    Word(Word),
    Text(Text),
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Allow,
    Refuse,
}

#[derive(Clone, Debug, Serialize)]
struct Text {
    refuse: String,
}

impl RuleEntry {
    /// Reads a rule; what is wrong in it goes to `mistakes`. `settings` are the keys that stand
    /// outside of rules.
    pub(super) fn read(
        table: &DeTable<'_>,
        settings: &[&str],
        mistakes: &mut Mistakes,
    ) -> RuleEntry {
        let mut rule = RuleEntry::default();
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            match name {
                "name" => rule.name = one(name, value, mistakes, text),
                "clients" => rule.clients = mistakes.list(name, value),
                "direction" => rule.direction = one(name, value, mistakes, way),
                "file" => rule.file = one(name, value, mistakes, text),
                "rewrite" => rule.rewrite = one(name, value, mistakes, text),
                "ignore-case" => rule.ignore_case = one(name, value, mistakes, boolean),
                "max-blksize" => rule.max_blksize = one(name, value, mistakes, blksize),
                "max-windowsize" => rule.max_windowsize = one(name, value, mistakes, windowsize),
                "action" => rule.action = action(value, mistakes),
                _ if settings.contains(&name) => {
                    mistakes.add(at, format!("{name} belongs above the first [[rule]]"));
                }
                _ => {
                    let meant = did_you_mean(name, &KEYS, "");
                    mistakes.add(at, format!("a rule has no key {name}{meant}"));
                }
            }
        }
        rule
    }

    /// The rule that this means.
    pub(super) fn meaning(&self) -> Rule {
        let clients = self.clients.clone().unwrap_or_default();
        Rule {
            name: self.name.clone(),
            // `any` among others makes them all.
            clients: match clients.contains(&Allow::Any) {
                true => Vec::new(),
                false => clients.iter().filter_map(Allow::network).collect(),
            },
            direction: self.direction.map(|way| match way {
                Way::Read => Direction::Read,
                Way::Write => Direction::Write,
            }),
            file: self.file.clone(),
            rewrite: self.rewrite.clone(),
            ignore_case: self.ignore_case.unwrap_or_default(),
            max_blksize: self.max_blksize,
            max_windowsize: self.max_windowsize,
            verdict: self.action.as_ref().map(|action| match action {
                Action::Word(Word::Allow) => Verdict::Allow,
                Action::Word(Word::Refuse) => Verdict::Refuse(DEFAULT_TEXT.to_owned()),
                Action::Text(text) => Verdict::Refuse(text.refuse.clone()),
            }),
        }
    }
}

/// One value, as `parse` understands it.
fn one<T>(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    mistakes: &mut Mistakes,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let parsed = match text_of(value.get_ref()) {
        Some(text) => parse(&text).map_err(|why| format!("{name} = {text:?}: {why}")),
        None => Err(format!("{name}: give one value")),
    };
    parsed.map_err(|words| mistakes.add(value.span().start, words)).ok()
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn way(text: &str) -> Result<Way, String> {
    match text {
        "read" => Ok(Way::Read),
        "write" => Ok(Way::Write),
        _ => Err("give read or write".into()),
    }
}

fn action(value: &Spanned<DeValue<'_>>, mistakes: &mut Mistakes) -> Option<Action> {
    let refusal = |table: &DeTable<'_>| match table.iter().next() {
        Some((key, text)) if key.get_ref() == "refuse" && table.len() == 1 => {
            let refuse = text.get_ref().as_str()?.to_owned();
            Some(Action::Text(Text { refuse }))
        }
        _ => None,
    };
    let action = match value.get_ref() {
        DeValue::Table(table) => refusal(table),
        DeValue::String(text) => match text.as_ref() {
            "allow" => Some(Action::Word(Word::Allow)),
            "refuse" => Some(Action::Word(Word::Refuse)),
            _ => None,
        },
        _ => None,
    };
    if action.is_none() {
        let words = "action: give \"allow\", \"refuse\" or { refuse = \"text for the client\" }";
        mistakes.add(value.span().start, words.into());
    }
    action
}
