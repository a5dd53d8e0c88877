//! `memtftp completions` and `memtftp man`: both follow from the definition of the flags.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes the completions of a shell to standard output.
pub(crate) fn completions(shell: Shell) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "memtftp", &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| format!("cannot write standard output: {error}"))
}

/// Writes a manual page for the program and one for each command into `directory`.
pub(crate) fn man(directory: &Path) -> Result<(), String> {
    let failed = |error| format!("cannot write to {}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)
}
