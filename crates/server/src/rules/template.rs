//! Names that rules make.

use std::net::IpAddr;

use memtftp_store::{Name, NameError};
use regex::{Captures, Regex};

use super::Hardware;
use super::compile::RuleFault;
use super::subject::Subject;
use crate::neighbours::HardwareAddress;

/// A name with places to fill in.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// A group of the rule's expression; 0 is the whole name.
    Group(usize),
    Ip,
    IpHex,
    Hardware(Style),
}

/// How a hardware address is written.
#[derive(Clone, Copy, Debug)]
enum Style {
    Dashes,
    Plain,
    PlainUpper,
}

/// What the places are filled with.
pub(super) struct Facts<'a> {
    pub(super) client: IpAddr,
    pub(super) hardware: Hardware,
    pub(super) subject: &'a Subject<'a>,
    pub(super) captures: Option<Captures<'a>>,
}

/// Why no name came of it.
pub(super) enum Unfilled {
    Name(NameError),
    HardwareNeeded,
    HardwareUnknown,
}

impl Template {
    /// Reads a template; `file` is the expression whose groups it may name.
    pub(super) fn parse(text: &str, file: Option<&Regex>) -> Result<Template, RuleFault> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(at);
            literal.push_str(before);
            if let Some(brace) = ["{{", "}}"].into_iter().find(|twice| tail.starts_with(twice)) {
                literal.extend(brace.chars().take(1));
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            let inner = tail.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (word, after) = inner.ok_or(RuleFault::Brace)?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(place(word, file)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template(parts))
    }

    pub(super) fn needs_hardware(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Hardware(_)))
    }

    pub(super) fn fill(&self, facts: &Facts<'_>) -> Result<Name, Unfilled> {
        let mut name = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.extend_from_slice(text.as_bytes()),
                Part::Group(0) => name.extend_from_slice(facts.subject.bytes()),
                Part::Group(group) => {
                    let captures = facts.captures.as_ref();
                    // A group that took no part in the match is empty.
                    let matched = captures.and_then(|captures| captures.get(*group));
                    let bytes = matched.map(|at| facts.subject.slice(at.start(), at.end()));
                    name.extend_from_slice(bytes.unwrap_or_default());
                }
                Part::Ip => name.extend_from_slice(facts.client.to_string().as_bytes()),
                Part::IpHex => name.extend_from_slice(hex_of(facts.client).as_bytes()),
                Part::Hardware(style) => match facts.hardware {
                    Hardware::Known(address) => {
                        name.extend_from_slice(style.of(address).as_bytes());
                    }
                    Hardware::NotAsked => return Err(Unfilled::HardwareNeeded),
                    Hardware::Unknown => return Err(Unfilled::HardwareUnknown),
                },
            }
        }
        Name::parse(&name).map_err(Unfilled::Name)
    }
}

fn place(word: &str, file: Option<&Regex>) -> Result<Part, RuleFault> {
    let part = match word {
        "ip" => Part::Ip,
        "ip-hex" => Part::IpHex,
        "mac" => Part::Hardware(Style::Dashes),
        "mac-plain" => Part::Hardware(Style::Plain),
        "MAC-PLAIN" => Part::Hardware(Style::PlainUpper),
        "0" => Part::Group(0),
        _ => {
            let unknown = || RuleFault::Place { place: word.to_owned() };
            let file = file.ok_or_else(unknown)?;
            let named = || file.capture_names().position(|name| name == Some(word));
            let group = word.parse().ok().or_else(named).ok_or_else(unknown)?;
            if group >= file.captures_len() {
                return Err(unknown());
            }
            Part::Group(group)
        }
    };
    Ok(part)
}

fn hex_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08X}", address.to_bits()),
        IpAddr::V6(address) => format!("{:032X}", address.to_bits()),
    }
}

impl Style {
    fn of(self, address: HardwareAddress) -> String {
        let join = |separator| address.bytes().map(|byte| format!("{byte:02x}")).join(separator);
        match self {
            Style::Dashes => join("-"),
            Style::Plain => join(""),
            Style::PlainUpper => join("").to_ascii_uppercase(),
        }
    }
}
