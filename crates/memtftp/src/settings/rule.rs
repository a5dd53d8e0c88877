//! A rule as the configuration file has it.

use memtftp_server::rules::{Direction, Rule, Verdict};
use serde::{Deserialize, Serialize};

use super::value::{Allow, some};

/// What a refused client reads if the rule does not say.
const DEFAULT_TEXT: &str = "not allowed here";

/// One `[[rule]]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct RuleEntry {
    name: Option<String>,
    #[serde(deserialize_with = "some")]
    clients: Option<Vec<Allow>>,
    direction: Option<Way>,
    file: Option<String>,
    rewrite: Option<String>,
    ignore_case: Option<bool>,
    max_blksize: Option<u16>,
    max_windowsize: Option<u16>,
    action: Option<Action>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Read,
    Write,
}

/// `"allow"`, `"refuse"` or `{ refuse = "text for the client" }`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "\"allow\", \"refuse\" or { refuse = \"text for the client\" }")]
enum Action {
    Word(Word),
    Text(Text),
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Allow,
    Refuse,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Text {
    refuse: String,
}

impl RuleEntry {
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
