//! The configuration file, and where in it something is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::de::DeTable;

use super::Settings;

/// A configuration file cannot be used. The operator must act.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{place}: {problem}")]
    Wrong { place: String, problem: String },
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

    /// The settings in it; those that it does not have are not given.
    pub(super) fn settings(&self) -> Result<Settings, FileError> {
        toml::from_str(&self.text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let place = format!("{}: {}", self.line_at(at), self.shown(at));
            FileError::Wrong { place, problem: error.message().replace('\n', "; ") }
        })
    }

    /// `FILE:LINE` of a place in the text.
    pub(super) fn line_at(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(&self.text);
        format!("{}:{}", self.path.display(), before.matches('\n').count() + 1)
    }

    /// The line of a place in the text, without what surrounds it.
    fn shown(&self, at: usize) -> &str {
        let start =
            self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next());
        line.unwrap_or_default().trim()
    }

    /// Where the keys of these flags are, if they are in the file.
    pub(super) fn lines_of(&self, flags: &[&str]) -> Option<String> {
        let table = DeTable::parse(&self.text).ok()?;
        let lines: Vec<String> = flags
            .iter()
            .filter_map(|flag| {
                let name = flag.trim_start_matches('-');
                let (key, _) = table.get_ref().iter().find(|(key, _)| key.get_ref() == name)?;
                Some(format!("{} ({name})", self.line_at(key.span().start)))
            })
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }
}
