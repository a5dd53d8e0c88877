//! Completions and manual pages.

use std::fs;

use testkit::shell;

use crate::{BINARY, memtftp, names};

#[test]
fn bash_completes_commands_and_flags() {
    let local = tempfile::tempdir().unwrap();
    let complete = |words: &str| {
        // As bash calls it: the command, the word to complete, the word before.
        let script = format!(
            "bash -c 'source <({BINARY} completions bash); COMP_WORDS=(memtftp {words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _memtftp memtftp \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
             echo ${{COMPREPLY[@]}}'"
        );
        shell(&script, local.path()).output
    };
    assert_eq!(complete("pu"), "put");
    assert_eq!(complete("get --wi"), "--windowsize");
    assert_eq!(complete("get --mode net"), "netascii");
}

#[test]
fn every_shell_has_completions() {
    let local = tempfile::tempdir().unwrap();
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = memtftp(local.path(), &["completions", name]);
        done.quietly();
        assert!(String::from_utf8(done.stdout).unwrap().contains("no-options"), "{name}");
    }
}

#[test]
fn every_command_has_a_page() {
    let local = tempfile::tempdir().unwrap();
    memtftp(local.path(), &["man", "pages/man1"]).quietly();
    let pages = local.path().join("pages/man1");
    let found = names(&pages);
    for command in ["", "-serve", "-get", "-put", "-log", "-completions", "-man"] {
        assert!(found.contains(&format!("memtftp{command}.1")), "{found:?}");
    }
    let page = fs::read_to_string(pages.join("memtftp-get.1")).unwrap();
    assert!(page.contains("\\-\\-windowsize") && page.contains("Exit status:"), "{page}");
}
