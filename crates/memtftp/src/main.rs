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
mod signals;
mod state;
mod status;
mod stderr;
mod transfer;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::cli::{Cli, Command};
use crate::exit::Failure;
use crate::stderr::StandardError;

/// The environment variable that says how much is written on standard error.
const LEVEL: &str = "MEMTFTP_LOG";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, line }) => {
            line.iter().flat_map(|text| text.lines()).for_each(exit::say);
            ExitCode::from(code)
        }
    }
}

/// Does what the command line says. An error is one line that says what to type.
fn run() -> Result<(), Failure> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let given: Vec<String> = env::args().skip(1).collect();
            return Err(cli::words(&error, &Cli::command(), &given).into());
        }
        Err(help) => return print(help.render().to_string().as_bytes()),
    };
    let Some(command) = cli.command else {
        return print(Cli::command().render_help().to_string().as_bytes());
    };
    let stderr = StandardError::new();
    let writer = match command {
        Command::Serve(_) => {
            let stderr = stderr.clone();
            BoxMakeWriter::new(move || stderr.clone())
        }
        _ => BoxMakeWriter::new(io::stderr),
    };
    tracing_subscriber::fmt()
        .fmt_fields(format::debug_fn(messages::write_field).delimited(" "))
        .with_max_level(level(cli.verbose)?)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(writer)
        // They would be told on standard error, where the one was that could not be written.
        .log_internal_errors(false)
        .init();
    match command {
        Command::Serve(flags) => serve::run(*flags, &stderr).map_err(|error| error.to_string())?,
        Command::Check(flags) => {
            print(check::run(&flags).map_err(|error| error.to_string())?.as_bytes())?;
        }
        Command::Status(flags) => status::run(&flags).map_err(|error| error.to_string())?,
        Command::Bench(flags) => bench::run(&flags)?,
        Command::Get(flags) => transfer::get(&flags)?,
        Command::Put(flags) => transfer::put(&flags)?,
        Command::Log(flags) => log::run(&flags).map_err(|error| error.to_string())?,
        Command::Completions(flags) => print(&manual::completions(flags.shell))?,
        Command::Man(flags) => manual::man(&flags.directory)?,
    }
    Ok(())
}

/// Writes to standard output. A reader that has gone, like `head`, has what it wanted.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// How much is written on standard error: what the environment says, and more for each `-v`.
fn level(verbose: u8) -> Result<LevelFilter, String> {
    let said = match env::var(LEVEL) {
        Ok(name) => name.parse().map_err(|_| {
            format!("{LEVEL} is {name}: give off, error, warn, info, debug or trace")
        })?,
        Err(_) => LevelFilter::INFO,
    };
    Ok(match verbose {
        0 => said,
        1 => said.max(LevelFilter::DEBUG),
        _ => LevelFilter::TRACE,
    })
}
