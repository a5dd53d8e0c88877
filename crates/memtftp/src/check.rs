//! `memtftp check`: what a configuration file means.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use memtftp_server::rules::{Decision, Direction, Granted, Hardware, Rule, RuleRequest, Step};
use memtftp_server::{
    Name, NameError, PreloadError, Uploads, list_directory, spelling_in_directory,
};
use thiserror::Error;

use crate::cli::CheckFlags;
use crate::settings::{Plan, Settings, SettingsError, plan};

/// A configuration file is not good, or the question makes no sense. The operator must act.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot print the settings: {0}")]
    Print(#[from] toml::ser::Error),
    #[error(transparent)]
    Preload(#[from] PreloadError),
    #[error("{}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
}

/// What is printed: all settings as they take effect, or what would become of a request.
pub(crate) fn run(flags: &CheckFlags) -> Result<String, CheckError> {
    let plan = plan(&Settings::default(), Some(&flags.config))?;
    let request = match (&flags.read, &flags.write) {
        (Some(name), _) => Some((Direction::Read, name)),
        (_, Some(name)) => Some((Direction::Write, name)),
        (None, None) => None,
    };
    let (Some(client), Some((direction, name))) = (flags.from, request) else {
        let settings = toml::to_string(&plan.effective())?;
        return Ok(format!(
            "# {} is good. All settings as they take effect:\n{settings}",
            flags.config.display()
        ));
    };
    let hardware = flags.mac.map_or(Hardware::NotAsked, Hardware::Known);
    explain(&plan, client, hardware, direction, name)
}

fn explain(
    plan: &Plan,
    client: IpAddr,
    hardware: Hardware,
    direction: Direction,
    text: &str,
) -> Result<String, CheckError> {
    let verb = match direction {
        Direction::Read => "reads",
        Direction::Write => "writes",
    };
    let mut said = format!("{client} {verb} {text}\n");
    if !plan.config.access.allows(client) {
        said += "refused: its network is not served, see allow\n";
        return Ok(said);
    }
    let name = match Name::parse(text.as_bytes()) {
        Ok(name) => name,
        Err(error) => {
            let _ = writeln!(said, "refused: {error}");
            return Ok(said);
        }
    };
    let request = RuleRequest { client, hardware, direction, name };
    let rules = &plan.config.rules;
    let mut decision = rules.decide_aloud(&request, |step| say(&mut said, &step));
    let mut found = None;
    while let Decision::Serve(granted) = &decision {
        found = find(plan, direction, granted)?;
        let Some(file) = found.as_ref().filter(|file| file.name != granted.name) else { break };
        let _ = writeln!(said, "    found as {}", file.name);
        let spelled = file.name.clone();
        decision = rules.decide_spelled(&request, granted, spelled, |step| say(&mut said, &step));
    }
    let result = match decision {
        Decision::Serve(granted) => served(plan, direction, &request.name, &granted, found),
        Decision::Refuse { rule, text } => format!("refused by {rule}: {text}"),
        Decision::BadName { rule, error } => bad_name(&rule, error),
        Decision::HardwareNeeded => "it depends on the hardware address: give --mac".to_owned(),
        Decision::HardwareUnknown { rule } => format!("refused: {rule} needs the hardware address"),
    };
    let _ = writeln!(said, "{result}");
    Ok(said)
}

fn bad_name(rule: &str, error: NameError) -> String {
    format!("refused: {rule} makes a name that cannot be: {error}")
}

fn say(said: &mut String, step: &Step<'_>) {
    let _ = match step {
        Step::Matched { title, rule } => writeln!(said, "  {title} matches{}", effects(rule)),
        Step::Renamed(name) => writeln!(said, "    the name becomes {name}"),
        Step::Alias(name) => writeln!(said, "  this is another name of {name}"),
    };
}

fn effects(rule: &Rule) -> String {
    let mut effects = String::new();
    if rule.ignore_case {
        effects += ", case does not matter";
    }
    if let Some(most) = rule.max_blksize {
        let _ = write!(effects, ", blksize up to {most}");
    }
    if let Some(most) = rule.max_windowsize {
        let _ = write!(effects, ", windowsize up to {most}");
    }
    effects
}

fn served(
    plan: &Plan,
    direction: Direction,
    asked: &Name,
    granted: &Granted,
    found: Option<Found>,
) -> String {
    let path = found.and_then(|found| found.path);
    let name = match &granted.name {
        name if name == asked => String::new(),
        name => format!(" as {name}"),
    };
    match (direction, plan.config.uploads, path) {
        (Direction::Read, _, Some(path)) => format!("served{name}, from {}", path.display()),
        (Direction::Read, Uploads::Off, None) => format!("refused: file not found{name}"),
        (Direction::Read, _, None) => {
            format!("refused{name}: file not found, unless a client has uploaded it")
        }
        (Direction::Write, Uploads::Off, _) => "refused: uploads are off, see uploads".to_owned(),
        (Direction::Write, Uploads::Create | Uploads::KeepPreloaded, Some(path)) => {
            format!("refused{name}: {} exists, see uploads", path.display())
        }
        (Direction::Write, _, _) => format!("taken{name}"),
    }
}

/// A name in the spelling that a request would find.
struct Found {
    name: Name,
    /// The file on disk; none if only its directory is there.
    path: Option<PathBuf>,
}

/// Looks for a file, or for the place of an upload, where the server would find it: in what is
/// preloaded, then below its directory.
fn find(plan: &Plan, direction: Direction, granted: &Granted) -> Result<Option<Found>, CheckError> {
    let mut spelled = None;
    // Of two files of one name, that of the later directory is served.
    for directory in plan.preload.iter().rev() {
        for (name, path) in list_directory(directory, &plan.config)? {
            let (wanted, path) = (&granted.name, Some(path));
            if name == *wanted {
                return Ok(Some(Found { name, path }));
            }
            if granted.ignore_case && name.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()) {
                spelled.get_or_insert(Found { name, path });
            }
        }
    }
    let Some(directory) = &plan.config.directory else { return Ok(spelled) };
    let at = |name: &Name| directory.path.join(OsStr::from_bytes(name.as_bytes()));
    let found = spelling_in_directory(&plan.config, &granted.name, direction, granted.ignore_case)
        .map_err(|source| CheckError::Directory { path: directory.path.clone(), source })?
        .map(|name| Found { path: Some(at(&name)).filter(|path| path.is_file()), name });
    Ok(match found {
        // A file elsewhere goes before a mere place for one.
        Some(found) if found.path.is_none() => spelled.or(Some(found)),
        found => found.or(spelled),
    })
}
