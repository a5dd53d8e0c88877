//! Rules: who may read and write which file, under which name, with which limits.
//!
//! They are tried in order, each against the name as the rules before it have left it. A rule that
//! matches does what it says, and the next has its turn, until one allows or refuses. A request that
//! no rule refuses is allowed. At last a name that is another name for a file becomes that file's.
//!
//! A file that is then found under another spelling is decided again under that one
//! ([`Rules::decide_spelled`]), so that no spelling passes a rule that another does not.

mod compile;
mod subject;
mod template;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use memtftp_store::{Name, NameError};
use regex::Regex;

pub use self::compile::{RuleError, RuleFault};
use self::subject::Subject;
use self::template::{Facts, Template, Unfilled};
pub use crate::neighbours::HardwareAddress;

/// Which way a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A client reads it.
    Read,
    /// A client writes it.
    Write,
}

/// Whether a rule ends the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is served; no further rule is tried.
    Allow,
    /// The request is refused, with this text for the client: printable ASCII, up to 127 bytes.
    Refuse(String),
}

/// One rule, as it is written. What is not given matches everything, or does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What it is called in the log; its number without it.
    pub name: Option<String>,
    /// Networks of clients that it is for.
    pub clients: Vec<IpNet>,
    /// The direction that it is for.
    pub direction: Option<Direction>,
    /// A regular expression for the whole name, without leading slash.
    pub file: Option<String>,
    /// The name of the file becomes this; [`Rules`] lists what may stand in braces.
    pub rewrite: Option<String>,
    /// The file may be found under a name that differs in the case of ASCII letters.
    pub ignore_case: bool,
    /// The largest block size agreed, in bytes, from 8 on.
    pub max_blksize: Option<u16>,
    /// The largest window agreed, in blocks, from 1 on.
    pub max_windowsize: Option<u16>,
    /// The end of the search.
    pub verdict: Option<Verdict>,
}

/// All rules, ready to be used. A clone shares them.
///
/// A name that a rule gives may have in braces: `{0}`, the whole name; `{1}` or `{word}`, what a
/// group of the expression has matched; `{ip}`, the client's address; `{ip-hex}`, the same in upper case
/// digits, as PXELINUX writes it; `{mac}`, its hardware address as `52-54-00-12-34-56`; `{mac-plain}` and
/// `{MAC-PLAIN}`, the same as `525400abcdef` and `525400ABCDEF`. `{{` and `}}` are braces.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    compiled: Arc<[Compiled]>,
    aliases: Arc<BTreeMap<Name, Name>>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    file: Option<Regex>,
    rewrite: Option<Template>,
}

/// What is known of a client's hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// Nobody has looked yet.
    NotAsked,
    /// The system does not know it: the client is behind a router, or on this machine.
    Unknown,
    /// This is it.
    Known(HardwareAddress),
}

/// A request, as the rules see it.
#[derive(Clone, Debug)]
pub struct RuleRequest {
    /// Who asks.
    pub client: IpAddr,
    /// The client's hardware address.
    pub hardware: Hardware,
    /// Which way the file goes.
    pub direction: Direction,
    /// The name of the file.
    pub name: Name,
}

/// What the rules say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is served.
    Serve(Granted),
    /// It is refused.
    Refuse {
        /// The rule that says so.
        rule: String,
        /// What the client reads.
        text: String,
    },
    /// A rule makes a name of which no file can be.
    BadName {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// A rule needs the hardware address, and nobody has looked yet: ask again with it.
    HardwareNeeded,
    /// A rule needs the hardware address, which is unknown.
    HardwareUnknown {
        /// The rule.
        rule: String,
    },
}

/// A request that the rules allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The name of the file that is meant.
    pub name: Name,
    /// Other spellings of the name will do.
    pub ignore_case: bool,
    /// Limits for this transfer.
    pub caps: Caps,
    /// The rules that have seen the name as it is: those from here on. It is what the rules before
    /// them made of another.
    pub(crate) settled_from: Stage,
}

/// A place in the order in which a request is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Before the rule of this number, from 0.
    Rule(usize),
    /// Behind the aliases, the last of all.
    End,
}

/// The least of the limits of all rules that matched; `u16::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The largest block size, in bytes.
    pub blksize: u16,
    /// The largest window, in blocks.
    pub windowsize: u16,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps { blksize: u16::MAX, windowsize: u16::MAX }
    }
}

impl Rules {
    /// Makes rules ready. `aliases` are other names of files, each with the name of the file.
    ///
    /// # Errors
    /// The first rule or alias that makes no sense.
    pub fn new(rules: Vec<Rule>, aliases: &[(String, String)]) -> Result<Rules, RuleError> {
        let aliases = Arc::new(compile::aliases(aliases)?);
        Ok(Rules { compiled: compile::rules(rules)?.into(), aliases })
    }

    /// The rules as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.compiled.iter().map(|compiled| &compiled.rule)
    }

    /// The other names of files, each with the name of the file.
    pub fn aliases(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.aliases.iter()
    }

    /// Whether any rule makes names of hardware addresses.
    pub fn need_hardware(&self) -> bool {
        self.compiled.iter().filter_map(|c| c.rewrite.as_ref()).any(Template::needs_hardware)
    }

    /// Decides what becomes of a request.
    pub fn decide(&self, request: &RuleRequest) -> Decision {
        self.decide_aloud(request, |_| {})
    }

    /// Decides what becomes of a request, and tells of each step.
    pub fn decide_aloud(&self, request: &RuleRequest, tell: impl FnMut(Step<'_>)) -> Decision {
        let granted = Granted {
            name: request.name.clone(),
            ignore_case: false,
            caps: Caps::default(),
            settled_from: Stage::Rule(0),
        };
        self.decide_from(request, granted, tell)
    }

    /// Decides again for a request that was granted a file, which is called `found` in truth: the
    /// rules that have seen the name as it was see this one instead. Tells of each step.
    ///
    /// The name that is granted may be another again. It is then to be looked for and decided in its
    /// turn, which ends: each time fewer rules are left.
    pub fn decide_spelled(
        &self,
        request: &RuleRequest,
        granted: &Granted,
        found: Name,
        tell: impl FnMut(Step<'_>),
    ) -> Decision {
        self.decide_from(request, Granted { name: found, ..granted.clone() }, tell)
    }

    fn decide_from(
        &self,
        request: &RuleRequest,
        mut granted: Granted,
        mut tell: impl FnMut(Step<'_>),
    ) -> Decision {
        let Stage::Rule(first) = granted.settled_from else { return Decision::Serve(granted) };
        for (number, compiled) in self.compiled.iter().enumerate().skip(first) {
            let rule = &compiled.rule;
            if !compiled.is_for(request, &granted.name) {
                continue;
            }
            let title = || title(number, rule);
            tell(Step::Matched { title: title(), rule });
            if let Some(template) = &compiled.rewrite {
                match compiled.rewritten(template, request, &granted.name) {
                    Ok(name) => granted.name = name,
                    Err(Unfilled::Name(error)) => {
                        return Decision::BadName { rule: title(), error };
                    }
                    Err(Unfilled::HardwareNeeded) => return Decision::HardwareNeeded,
                    Err(Unfilled::HardwareUnknown) => {
                        return Decision::HardwareUnknown { rule: title() };
                    }
                }
                granted.settled_from = Stage::Rule(number + 1);
                tell(Step::Renamed(&granted.name));
            }
            granted.ignore_case |= rule.ignore_case;
            let Caps { blksize, windowsize } = granted.caps;
            granted.caps = Caps {
                blksize: blksize.min(rule.max_blksize.unwrap_or(u16::MAX)),
                windowsize: windowsize.min(rule.max_windowsize.unwrap_or(u16::MAX)),
            };
            match &rule.verdict {
                Some(Verdict::Refuse(text)) => {
                    return Decision::Refuse { rule: title(), text: text.clone() };
                }
                Some(Verdict::Allow) => break,
                None => {}
            }
        }
        if let Some(file) = self.aliases.get(&granted.name) {
            granted.name = file.clone();
            granted.settled_from = Stage::End;
            tell(Step::Alias(file));
        }
        Decision::Serve(granted)
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Rules) -> bool {
        self.iter().eq(other.iter()) && self.aliases == other.aliases
    }
}

/// What [`Rules::decide_aloud`] tells.
#[derive(Debug)]
pub enum Step<'a> {
    /// A rule matches.
    Matched {
        /// Its name, or its number.
        title: String,
        /// The rule.
        rule: &'a Rule,
    },
    /// The rule changes the name into this.
    Renamed(&'a Name),
    /// The name stands for this file.
    Alias(&'a Name),
}

/// What a rule is called: `rule 3`, or `rule 3 "phones"`.
fn title(number: usize, rule: &Rule) -> String {
    match &rule.name {
        Some(name) => format!("rule {} \"{name}\"", number + 1),
        None => format!("rule {}", number + 1),
    }
}

impl Compiled {
    fn is_for(&self, request: &RuleRequest, name: &Name) -> bool {
        let clients = &self.rule.clients;
        (clients.is_empty() || clients.iter().any(|network| network.contains(&request.client)))
            && self.rule.direction.is_none_or(|direction| direction == request.direction)
            && self.file.as_ref().is_none_or(|file| file.is_match(Subject::new(name).text()))
    }

    fn rewritten(
        &self,
        template: &Template,
        request: &RuleRequest,
        name: &Name,
    ) -> Result<Name, Unfilled> {
        let subject = Subject::new(name);
        let captures = self.file.as_ref().and_then(|file| file.captures(subject.text()));
        let RuleRequest { client, hardware, .. } = *request;
        template.fill(&Facts { client, hardware, subject: &subject, captures })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
