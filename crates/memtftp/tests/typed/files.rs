//! Pipes that close, and what `serve` makes of a directory.

use std::fs;

use testkit::{Memtftp, Raw, shell};

use crate::{BINARY, Place};

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let host = place.server.address();
    fs::write(place.local.path().join("large"), vec![b'x'; 4 << 20]).unwrap();
    assert_eq!(place.run("put -q large SERVER").code, Some(0));
    for typed in [
        "serve --help".to_owned(),
        "--help".into(),
        "check good.toml".into(),
        "completions bash".into(),
        format!("get -q {host}/large -"),
    ] {
        let script = format!("{BINARY} {typed} 2>errors | true; cat errors");
        let done = shell(&script, place.local.path());
        assert_eq!(done.output, "", "{typed}");
    }
}

#[test]
fn serve_takes_a_directory() {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("kernel"), "content").unwrap();
    let directory = files.path().to_str().unwrap();
    for flags in [&[directory][..], &["-d", directory], &["--dir", directory]] {
        let server = Memtftp::serve(BINARY, flags);
        let mut client = Raw::new(server.address());
        assert_eq!(client.get("kernel", &[]).unwrap(), b"content", "{flags:?}");
    }
}
