//! The memtftp program.

mod banner;
mod bench;
mod check;
mod cli;
mod exit;
mod interrupt;
mod log;
mod manual;
mod messages;
mod progress;
mod serve;
mod service;
mod settings;
mod state;
mod status;
mod transfer;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format;

use crate::cli::{Cli, Command};
use crate::exit::Failure;

/// The environment variable that says how much is written on standard error.
const LEVEL: &str = "MEMTFTP_LOG";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, line }) => {
            line.iter().for_each(|line| eprintln!("memtftp: {line}"));
            ExitCode::from(code)
        }
    }
}

/// Does what the command line says. An error is one line that says what to type.
fn run() -> Result<(), Failure> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(first_line(&error).into()),
        Err(help) => return Ok(help.print().map_err(|error| error.to_string())?),
    };
    tracing_subscriber::fmt()
        .fmt_fields(format::debug_fn(messages::write_field).delimited(" "))
        .with_max_level(level()?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match cli.command {
        Command::Serve(flags) => serve::run(*flags).map_err(|error| error.to_string())?,
        Command::Check(flags) => {
            let text = check::run(&flags).map_err(|error| error.to_string())?;
            io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        }
        Command::Status(flags) => status::run(&flags).map_err(|error| error.to_string())?,
        Command::Bench(flags) => bench::run(&flags)?,
        Command::Get(flags) => transfer::get(&flags)?,
        Command::Put(flags) => transfer::put(&flags)?,
        Command::Log(flags) => log::run(&flags).map_err(|error| error.to_string())?,
        Command::Completions(flags) => manual::completions(flags.shell)?,
        Command::Man(flags) => manual::man(&flags.directory)?,
    }
    Ok(())
}

fn level() -> Result<LevelFilter, String> {
    let Ok(name) = env::var(LEVEL) else { return Ok(LevelFilter::INFO) };
    let wrong = |_| format!("{LEVEL} is {name}: give off, error, warn, info, debug or trace");
    name.parse().map_err(wrong)
}

/// What is wrong, and where the right is explained.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let line = lines.collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let given = env::args().nth(1).filter(|name| Cli::command().find_subcommand(name).is_some());
    let command = given.map(|name| format!("{name} ")).unwrap_or_default();
    format!("{line} (see memtftp {command}--help)")
}
