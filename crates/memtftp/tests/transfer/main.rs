//! `memtftp get` and `memtftp put` as people type them: against the servers that people have, and
//! in all that can go wrong.
//!
//! The other servers run on hosts of their own, which are network namespaces: that takes root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod endings;
mod foreign;
mod manual;
mod ours;
mod servers;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How a command ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Done {
    /// That it succeeded and had nothing to say.
    fn quietly(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
    }

    /// Its only line, that it ended with this code.
    fn line(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        let mut lines = self.stderr.lines();
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with("memtftp: ") && lines.next().is_none(), "{self:?}");
        line
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Done { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

/// Runs the program in `directory`.
fn memtftp(directory: &Path, arguments: &[&str]) -> Done {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command.output().unwrap().into()
}

/// Runs the program with `input` on its standard input.
fn memtftp_with_input(directory: &Path, arguments: &[&str], input: &[u8]) -> Done {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap().into()
    })
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}
