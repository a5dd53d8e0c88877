//! Rules as they are written, checked and made ready.

use std::collections::BTreeMap;

use memtftp_proto::MAX_WINDOWSIZE;
use memtftp_store::{Name, NameError};
use regex::{Regex, RegexBuilder};
use thiserror::Error;

use super::template::Template;
use super::{Compiled, Rule, Verdict};

/// Rules, at most: each request may pass all of them.
const MAX_RULES: usize = 1_000;

/// Memory of one compiled expression, at most, in bytes.
const MAX_EXPRESSION: usize = 1 << 20;

/// What an ERROR has room for.
const MAX_TEXT: usize = 127;

/// Rules that make no sense. The operator must act.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// A rule.
    #[error("{}: {fault}", title(*number, name.as_deref()))]
    Rule {
        /// Which one, from 0.
        number: usize,
        /// Its name.
        name: Option<String>,
        /// What is wrong.
        fault: RuleFault,
    },
    /// More rules than each request should have to pass.
    #[error("there are more than {max} rules: join some by a wider expression")]
    TooMany {
        /// The most there may be.
        max: usize,
    },
    /// A name that no client could ask for.
    #[error("aliases: {name:?} is no name of a file: {error}")]
    AliasName {
        /// The name.
        name: String,
        /// Why.
        error: NameError,
    },
    /// An alias of an alias, or of itself.
    #[error("aliases: {file:?} is an alias itself: give the name of the file to {name:?}")]
    AliasOfAlias {
        /// The alias.
        name: String,
        /// What it is to stand for.
        file: String,
    },
    /// Two spellings of one name.
    #[error("aliases: {name:?} is there twice: remove one of them")]
    AliasTwice {
        /// The alias.
        name: String,
    },
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// It matches, and then nothing follows from it.
    #[error("it does nothing: give it action, rewrite, ignore-case, max-blksize or max-windowsize")]
    Nothing,
    /// What is refused needs no name and no limits.
    #[error("it refuses, so rewrite, ignore-case, max-blksize and max-windowsize mean nothing")]
    RefusesAndMore,
    /// A text for clients that they could not read.
    #[error("text must be 1 to {MAX_TEXT} printable ASCII characters")]
    Text,
    /// Not a regular expression.
    #[error("file is no regular expression: {problem}")]
    Expression {
        /// What is wrong with it.
        problem: String,
    },
    /// A brace that has no partner.
    #[error("rewrite has a brace without a partner: a brace itself is written twice")]
    Brace,
    /// Braces around something unknown.
    #[error(
        "rewrite has {{{place}}}, which is neither ip, ip-hex, mac, mac-plain, MAC-PLAIN nor a group of file"
    )]
    Place {
        /// What is in the braces.
        place: String,
    },
    /// A limit that the protocol does not know.
    #[error("{key} must be from {min} to {max}")]
    Range {
        /// The key.
        key: &'static str,
        /// The least.
        min: u16,
        /// The most.
        max: u16,
    },
}

fn title(number: usize, name: Option<&str>) -> String {
    name.map_or(format!("rule {}", number + 1), |name| format!("rule {} \"{name}\"", number + 1))
}

pub(super) fn rules(rules: Vec<Rule>) -> Result<Vec<Compiled>, RuleError> {
    if rules.len() > MAX_RULES {
        return Err(RuleError::TooMany { max: MAX_RULES });
    }
    let compile = |(number, rule): (usize, Rule)| {
        let name = rule.name.clone();
        compile(rule).map_err(|fault| RuleError::Rule { number, name, fault })
    };
    rules.into_iter().enumerate().map(compile).collect()
}

fn compile(rule: Rule) -> Result<Compiled, RuleFault> {
    check(&rule)?;
    let file = rule.file.as_deref().map(expression).transpose()?;
    let rewrite =
        rule.rewrite.as_deref().map(|text| Template::parse(text, file.as_ref())).transpose()?;
    Ok(Compiled { rule, file, rewrite })
}

fn check(rule: &Rule) -> Result<(), RuleFault> {
    let caps = rule.max_blksize.is_some() || rule.max_windowsize.is_some();
    let changes = rule.rewrite.is_some() || rule.ignore_case || caps;
    match &rule.verdict {
        Some(Verdict::Refuse(_)) if changes => return Err(RuleFault::RefusesAndMore),
        Some(Verdict::Refuse(text)) => {
            let readable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if !readable || !(1..=MAX_TEXT).contains(&text.len()) {
                return Err(RuleFault::Text);
            }
        }
        None if !changes => return Err(RuleFault::Nothing),
        Some(Verdict::Allow) | None => {}
    }
    let within = |key, value: Option<u16>, min, max| match value {
        Some(value) if !(min..=max).contains(&value) => Err(RuleFault::Range { key, min, max }),
        _ => Ok(()),
    };
    within("max-blksize", rule.max_blksize, 8, 65_464)?;
    within("max-windowsize", rule.max_windowsize, 1, MAX_WINDOWSIZE)
}

/// Compiles an expression for a whole name. The time that a search takes grows only with the name's
/// length. `.` is any character, so that `.*` is every name there can be.
fn expression(text: &str) -> Result<Regex, RuleFault> {
    let whole = |text: &str| {
        RegexBuilder::new(text)
            .dot_matches_new_line(true)
            .size_limit(MAX_EXPRESSION)
            .dfa_size_limit(MAX_EXPRESSION)
            .build()
    };
    let problem = |error: regex::Error| {
        let told = error.to_string();
        // It draws where the error is; the sentence is the last line.
        let sentence = told.lines().last().unwrap_or_default();
        let problem = sentence.strip_prefix("error: ").unwrap_or(sentence).to_owned();
        RuleFault::Expression { problem }
    };
    // Alone first, so that the problem is shown as it was written, and `a)(b` is none.
    whole(text).map_err(problem)?;
    whole(&format!("^(?:{text})$")).map_err(problem)
}

pub(super) fn aliases(pairs: &[(String, String)]) -> Result<BTreeMap<Name, Name>, RuleError> {
    let parse = |name: &str| {
        Name::parse(name.as_bytes())
            .map_err(|error| RuleError::AliasName { name: name.to_owned(), error })
    };
    let mut aliases = BTreeMap::new();
    for (name, file) in pairs {
        if aliases.insert(parse(name)?, parse(file)?).is_some() {
            return Err(RuleError::AliasTwice { name: name.clone() });
        }
    }
    match aliases.iter().find(|(_, file)| aliases.contains_key(*file)) {
        None => Ok(aliases),
        Some((name, file)) => {
            Err(RuleError::AliasOfAlias { name: name.to_string(), file: file.to_string() })
        }
    }
}
