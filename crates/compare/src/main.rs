//! Measures TFTP servers against each other: ours, a reference loop without a protocol, and the
//! servers that people have. `scripts/bench` builds what it needs and runs it in a network of its
//! own.
//!
//! Each server runs alone on one processor, the load on another. All servers have their turn in
//! each round, so that a machine that changes its speed does not favour one; what is reported is
//! the median of the rounds, and ratios are made round by round.

mod cases;
mod foreign;
mod measure;
mod plots;
mod report;
mod results;
mod servers;
mod sessions;
mod smoke;
mod still;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use thiserror::Error;

use crate::cases::{LARGE, SMALL};
use crate::measure::Awake;
use crate::results::Results;
use crate::servers::Places;

/// Why nothing could be measured. Whoever started it must act.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// A program cannot be run.
    #[error("cannot run {name}: {source}; scripts/bench names the package")]
    Program { name: &'static str, source: std::io::Error },
    /// A server does not start.
    #[error("{name} does not start; it says: {said}")]
    Server { name: &'static str, said: String },
    /// The load gave no report.
    #[error("the load gave no report; it says: {said}")]
    Load { said: String },
    /// Packets could not be made to get lost.
    #[error("nft refused the rule that drops packets: run scripts/bench as root")]
    Rules,
    /// A socket or a directory for the measurement.
    #[error("cannot prepare the measurement: {0}")]
    Socket(std::io::Error),
    /// The report could not be written.
    #[error("cannot write {}: {said}", path.display())]
    Write { path: PathBuf, said: String },
}

#[derive(Parser)]
struct Flags {
    /// Rounds; medians of them are reported
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: u32,
    /// How long a load runs that has no end of its own, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Only our server and the reference loop, a few cases; fails if one costs too much
    #[arg(long)]
    smoke: bool,
    /// Write the tables and plots to this directory, which must have a benchmarks.md
    #[arg(long, value_name = "DIRECTORY")]
    write: Option<PathBuf>,
    /// Our programs
    #[arg(long, value_name = "DIRECTORY", default_value = "target/release")]
    programs: PathBuf,
    /// The peers that no package installs
    #[arg(long, value_name = "DIRECTORY", default_value = "target")]
    peers: PathBuf,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("scripts/bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<ExitCode, Error> {
    let directory = tempfile::tempdir().map_err(Error::Socket)?;
    let root = directory.path().to_owned();
    serve_files(&root).map_err(Error::Socket)?;
    let absolute = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let places =
        Places { programs: absolute(&flags.programs), peers: absolute(&flags.peers), root };
    let _awake = Awake::keep()?;
    if flags.smoke {
        return smoke::run(&places, flags.rounds);
    }
    let results = Results::measure(&places, flags.rounds, flags.seconds, flags.only.as_deref())?;
    let tables = report::tables(&results);
    print!("{tables}");
    if let Some(directory) = &flags.write {
        let plots = plots::draw(directory, &results)?;
        report::write(directory, &[tables, plots].concat())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the files, readable and writable for every server.
fn serve_files(root: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(root, fs::Permissions::from_mode(0o777))?;
    for file in [SMALL, LARGE] {
        // The numbers of the words make each block another.
        let bytes: Vec<u8> = (0..file.size as u32 / 4).flat_map(u32::to_be_bytes).collect();
        let path = root.join(file.name);
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    }
    Ok(())
}
