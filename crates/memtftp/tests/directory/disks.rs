//! Disks that are full, or that cannot be written.

use std::path::PathBuf;
use std::process::Command;

use testkit::{Memtftp, bytes};

use crate::{BINARY, get, put, refused};

/// A disk of one megabyte of its own, gone with this.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new() -> Mount {
        let mount = Mount(tempfile::tempdir().unwrap());
        mount.run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
        mount
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(program).args(arguments).arg(self.0.path()).status().unwrap();
        assert!(status.success(), "{program}, which takes root");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_a_refusal_to_that_client_and_nothing_else() {
    let mount = Mount::new();
    let server = Memtftp::serve(BINARY, &["--dir", mount.path().to_str().unwrap()]);
    put(&server, "fits", &bytes(500_000)).unwrap();
    let (code, text) = refused(put(&server, "does not", &bytes(900_000)));
    assert_eq!((code, text.as_str()), (3, "the server's disk is full"));
    assert_eq!(refused(get(&server, "does not")).0, 1);
    assert!(get(&server, "fits").unwrap() == bytes(500_000));
    put(&server, "small", b"goes on").unwrap();
    assert_eq!(std::fs::read_dir(mount.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn a_disk_that_cannot_be_written_is_a_refusal_and_reads_go_on() {
    let mount = Mount::new();
    std::fs::write(mount.path().join("f"), "there").unwrap();
    mount.run("mount", &["-o", "remount,ro"]);
    let server = Memtftp::serve(BINARY, &["--dir", mount.path().to_str().unwrap()]);
    assert_eq!(get(&server, "f").unwrap(), b"there");
    let (code, text) = refused(put(&server, "new", b"x"));
    assert_eq!((code, text.as_str()), (0, "the server cannot store the file"));
    let (code, _) = refused(put(&server, "f", b"x"));
    assert_eq!(code, 0);
    assert_eq!(get(&server, "f").unwrap(), b"there");
}
