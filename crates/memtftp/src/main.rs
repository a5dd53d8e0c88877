//! The memtftp program.

mod banner;
mod cli;
mod serve;

use std::env;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{Cli, Command};

/// The environment variable that says how much is written on standard error.
const LEVEL: &str = "MEMTFTP_LOG";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memtftp: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the command line says. An error is one line that says what to type.
fn run() -> Result<(), String> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(first_line(&error)),
        Err(help) => return help.print().map_err(|error| error.to_string()),
    };
    tracing_subscriber::fmt()
        .with_max_level(level()?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match cli.command {
        Command::Serve(flags) => serve::run(*flags).map_err(|error| error.to_string()),
    }
}

fn level() -> Result<LevelFilter, String> {
    let Ok(name) = env::var(LEVEL) else { return Ok(LevelFilter::INFO) };
    let wrong = |_| format!("{LEVEL} is {name}: give off, error, warn, info, debug or trace");
    name.parse().map_err(wrong)
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    format!("{line} (see memtftp serve --help)")
}
