//! The built program under a configuration file: rules, aliases, reloads, and `memtftp check`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod check;
mod hardware;
mod reload;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testkit::{Host, Memtftp, Packet};

const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// A directory with a configuration file, and one with files to serve.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("files")).unwrap();
        Place { directory }
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("memtftp.toml")
    }

    /// Writes the configuration; `FILES` in it is the directory of files.
    fn configure(&self, text: &str) -> &Place {
        fs::write(self.config(), text.replace("FILES", self.files().to_str().unwrap())).unwrap();
        self
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Puts a file in place at one moment.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Place {
        let path = self.files().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = self.directory.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        self
    }

    fn serve(&self, flags: &[&str]) -> Memtftp {
        self.start(Command::new(BINARY), flags)
    }

    fn serve_on(&self, host: &Host, flags: &[&str]) -> Memtftp {
        self.start(host.command(BINARY), flags)
    }

    fn start(&self, command: Command, flags: &[&str]) -> Memtftp {
        let config = self.config();
        let given = ["--config", config.to_str().unwrap()];
        Memtftp::start(command, &[&given[..], flags].concat())
    }
}

/// What a command prints when it ends well.
fn prints(arguments: &[&str], config: &Path) -> String {
    let output = Command::new(BINARY).arg("check").arg(config).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The client is refused with this code and text.
fn assert_refused(answer: Result<Vec<u8>, Packet>, code: u16, text: &str) {
    assert_eq!(answer.unwrap_err().refusal(), (code, text.to_owned()));
}
