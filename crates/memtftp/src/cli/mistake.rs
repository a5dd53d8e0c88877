//! What is wrong with a command line, in the words of this program.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::nearly::did_you_mean;

/// Returns the one line about a mistake, and where the right is explained.
///
/// `given` are the words of the command line.
pub(crate) fn words(error: &clap::Error, program: &Command, given: &[String]) -> String {
    let command = given.iter().find_map(|word| program.find_subcommand(word));
    let line = line(error, program, command);
    let name = command.map(|command| format!("{} ", command.get_name())).unwrap_or_default();
    format!("{line} (see memtftp {name}--help)")
}

fn line(error: &clap::Error, program: &Command, command: Option<&Command>) -> String {
    let arg = bare(&text(error, ContextKind::InvalidArg));
    let value = text(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = text(error, ContextKind::InvalidSubcommand);
            let names: Vec<_> = program.get_subcommands().map(Command::get_name).collect();
            let meant = did_you_mean(&typed, &names, "");
            let meant = if meant.is_empty() { known(&names) } else { meant };
            format!("there is no command {typed}{meant}")
        }
        ErrorKind::UnknownArgument => unknown(&arg, command.unwrap_or(program)),
        ErrorKind::InvalidValue if value.is_empty() => format!("{arg} needs a value"),
        ErrorKind::InvalidValue => {
            let words = list(error, ContextKind::ValidValue);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let meant = did_you_mean(&value, &words, "");
            format!("{arg} {value}: give {}{meant}", alternatives(&words))
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            format!("{arg} {value}: {}", why.unwrap_or_else(|| "this cannot be".into()))
        }
        ErrorKind::ArgumentConflict => {
            let others: Vec<_> =
                list(error, ContextKind::PriorArg).iter().map(|other| bare(other)).collect();
            match others.as_slice() {
                [other] if *other == arg => format!("{arg} is given twice: remove one of them"),
                others => {
                    format!("{arg} and {} contradict each other: remove one", others.join(", "))
                }
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = list(error, ContextKind::InvalidArg);
            format!("{} is missing", missing.join(" and "))
        }
        ErrorKind::TooManyValues => format!("{arg} {value}: this is one value too many"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{arg} needs a value")
        }
        ErrorKind::NoEquals => format!("{arg} takes its value with =, as in {arg}=VALUE"),
        ErrorKind::InvalidUtf8 => "a word of the command line is not UTF-8".into(),
        _ => "this command line says nothing".into(),
    }
}

/// An option that is none here, or a word that has no place.
fn unknown(typed: &str, command: &Command) -> String {
    if !typed.starts_with('-') {
        return format!("{typed} is one word too many");
    }
    let known: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
    let meant = did_you_mean(typed, &known, "--");
    format!("there is no option {typed}{meant}")
}

fn known(names: &[&str]) -> String {
    format!(": give {}", alternatives(names))
}

/// `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// An option without the name of its value.
fn bare(arg: &str) -> String {
    let end = arg.find([' ', '=']).unwrap_or(arg.len());
    arg.get(..end).unwrap_or(arg).trim_end_matches('[').to_owned()
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    list(error, kind).into_iter().next().unwrap_or_default()
}

fn list(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    fn said(arguments: &str) -> String {
        let given: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let error = Cli::try_parse_from(["memtftp".to_owned()].iter().chain(&given)).unwrap_err();
        words(&error, &Cli::command(), &given)
    }

    #[test]
    fn mistakes_are_said_in_words_of_ours() {
        for (arguments, line) in [
            ("sevre", "there is no command sevre; did you mean serve? (see memtftp --help)"),
            (
                "serve --prot 69",
                "there is no option --prot; did you mean --port? (see memtftp serve --help)",
            ),
            ("serve --memory", "--memory needs a value (see memtftp serve --help)"),
            (
                "serve --memory lots",
                "--memory lots: give a size like 500M or 2GiB (see memtftp serve --help)",
            ),
            ("serve a b", "b is one word too many (see memtftp serve --help)"),
            (
                "serve -p 1 -p 2",
                "--port is given twice: remove one of them (see memtftp serve --help)",
            ),
            (
                "serve --uploads on",
                "--uploads on: give off, create, keep-preloaded or replace (see memtftp serve --help)",
            ),
            (
                "get --mode octett h/a",
                "--mode octett: give octet or netascii; did you mean octet? (see memtftp get --help)",
            ),
            (
                "get -b 7 h/a",
                "--blksize 7: give a number of bytes from 8 to 65464 (see memtftp get --help)",
            ),
        ] {
            assert_eq!(said(arguments), line, "{arguments}");
        }
        assert!(said("zzz").contains("give serve, check, status"), "{}", said("zzz"));
        let conflict = said("get --no-options --blksize 512 h/a");
        assert!(conflict.contains("contradict each other"), "{conflict}");
    }
}
