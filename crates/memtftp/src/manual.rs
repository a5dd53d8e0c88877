//! `memtftp completions` and `memtftp man`: both follow from the definition of the flags.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Returns the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "memtftp", &mut script);
    script
}

/// Writes a manual page for the program and one for each command into `directory`.
pub(crate) fn man(directory: &Path) -> Result<(), String> {
    let failed = |error| format!("cannot write to {}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)
}
