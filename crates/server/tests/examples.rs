//! The examples do what they say. `in_a_test` tests itself.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, pipe};

use testkit::{Raw, bytes};

#[path = "../examples/embedded.rs"]
#[allow(dead_code)]
mod embedded;

#[test]
fn an_embedded_server_prints_its_records() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("kernel"), bytes(700)).unwrap();
    let (input, keyboard) = pipe().unwrap();
    let (screen, output) = pipe().unwrap();
    let mut lines = BufReader::new(screen).lines().map(Result::unwrap);
    std::thread::scope(|scope| {
        let served = scope.spawn(|| {
            embedded::serve(directory.path(), input, output).map_err(|error| error.to_string())
        });
        let greeting = lines.next().unwrap();
        let address = greeting.strip_prefix("serving 1 files at tftp://").unwrap();
        let address = address.trim_end_matches('/').parse().unwrap();
        assert_eq!(Raw::new(address).get("kernel", &[]).unwrap(), bytes(700));
        let record = lines.next().unwrap();
        assert!(
            record.contains("kind=read outcome=ok") && record.contains("bytes=700"),
            "{record}"
        );
        drop(keyboard);
        assert_eq!(served.join().unwrap(), Ok(()));
        assert_eq!(lines.next(), None);
    });
}
