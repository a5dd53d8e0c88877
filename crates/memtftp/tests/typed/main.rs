//! Command lines as people type them who know tftpd-hpa, dnsmasq, atftp and curl: each succeeds, or is
//! answered with the words that say what to type instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod files;
mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::Memtftp;

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// Words that only those know who made the program, or its parts.
const FOREIGN: [&str; 20] = [
    "u16",
    "u32",
    "u64",
    "usize",
    "..=",
    "expected",
    "sequence",
    "invalid digit",
    "os error",
    "memtftp_server",
    "memtftp::",
    "unwrap",
    "panicked",
    "Some(",
    "None",
    "serde",
    "clap",
    "untagged",
    "variant",
    "struct",
];

/// What became of a command line.
struct Said {
    code: Option<i32>,
    text: String,
}

/// A server that has `kernel`, and a directory with a file to send.
struct Place {
    server: Memtftp,
    local: TempDir,
}

impl Place {
    fn new() -> Place {
        let server = Memtftp::serve(BINARY, &["--workers", "1"]);
        let local = tempfile::tempdir().unwrap();
        fs::write(local.path().join("file"), "content").unwrap();
        fs::write(local.path().join("other"), "more").unwrap();
        fs::write(local.path().join("good.toml"), "port = 6969\n").unwrap();
        fs::write(local.path().join("bad.toml"), "prot = 1\nlisten = \"a\"\n").unwrap();
        fs::create_dir(local.path().join("dir")).unwrap();
        let place = Place { server, local };
        assert_eq!(place.run("put -q file SERVER/kernel").code, Some(0));
        assert_eq!(place.run("put -q file SERVER/boot/kernel").code, Some(0));
        place
    }

    /// Runs words that are separated by spaces. `SERVER` is the server with its port, `PORT` its port.
    fn run(&self, typed: &str) -> Said {
        let address = self.server.address();
        let port = address.port().to_string();
        let words = typed.split(' ').filter(|word| !word.is_empty());
        let words =
            words.map(|word| word.replace("SERVER", &address.to_string()).replace("PORT", &port));
        run(self.local.path(), &words.collect::<Vec<_>>())
    }
}

fn run(directory: &Path, words: &[String]) -> Said {
    let mut command = Command::new(BINARY);
    command.args(words).current_dir(directory).stdin(Stdio::null()).env_remove("MEMTFTP_LOG");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Said { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
}

/// That this code and these words, separated by `|`, come of a command line, and none of [`FOREIGN`].
fn check(place: &Place, typed: &str, code: i32, words: &str) -> Result<(), String> {
    let said = place.run(typed);
    let text = said.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let host = place.server.address().to_string();
    let wanted = |word: &&str| !text.contains(&word.replace("SERVER", &host));
    let missing: Vec<&str> =
        words.split('|').filter(|word| !word.is_empty()).filter(wanted).collect();
    let odd: Vec<_> = FOREIGN.iter().filter(|word| text.contains(*word)).collect();
    match said.code == Some(code) && missing.is_empty() && odd.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "memtftp {typed}\n  code {:?}, not {code}; missing {missing:?}, odd {odd:?}\n  {}",
            said.code,
            said.text.trim_end()
        )),
    }
}
