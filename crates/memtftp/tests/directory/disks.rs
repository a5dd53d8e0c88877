//! Disks that are full, or that cannot be written.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Memtftp, bytes};

use crate::{BINARY, Disk, get, put, refused, wait_until_served};

/// A disk of one megabyte of its own, or what is elsewhere, gone with this.
pub(crate) struct Mount {
    path: PathBuf,
    /// Removed after it.
    _directory: Option<tempfile::TempDir>,
}

impl Mount {
    fn new() -> Mount {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Mount::over(directory.path().to_owned());
        mount._directory = Some(directory);
        mount
    }

    /// Shows what is at the first path at the second, too.
    pub(crate) fn bind(there: &Path, path: PathBuf) -> Mount {
        let mount = Mount { path, _directory: None };
        mount.run("mount", &["--bind", there.to_str().unwrap()]);
        mount
    }

    /// Hides what is at this path.
    pub(crate) fn over(path: PathBuf) -> Mount {
        let mount = Mount { path, _directory: None };
        mount.run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
        mount
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(program).args(arguments).arg(&self.path).status().unwrap();
        assert!(status.success(), "{program}, which takes root");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

/// Nothing tells of it.
#[test]
fn a_disk_that_is_mounted_over_the_directory_is_served_and_followed() {
    let disk = Disk::new();
    disk.file("f", "first");
    let server = disk.serve(&[]);
    assert_eq!(get(&server, "f").unwrap(), b"first");
    let _mount = Mount::over(disk.served());
    for (name, content) in [("f", "second"), ("g", "new")] {
        std::fs::write(disk.path(name), content).unwrap();
    }
    wait_until_served(&server, "f", b"second");
    assert_eq!(get(&server, "g").unwrap(), b"new");
    std::fs::write(disk.path("f"), "third").unwrap();
    wait_until_served(&server, "f", b"third");
}

#[test]
fn a_full_disk_is_a_refusal_to_that_client_and_nothing_else() {
    let mount = Mount::new();
    let server =
        Memtftp::serve(BINARY, &["--dir", mount.path().to_str().unwrap(), "--uploads", "replace"]);
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
    let server =
        Memtftp::serve(BINARY, &["--dir", mount.path().to_str().unwrap(), "--uploads", "replace"]);
    assert_eq!(get(&server, "f").unwrap(), b"there");
    let (code, text) = refused(put(&server, "new", b"x"));
    assert_eq!((code, text.as_str()), (0, "the server cannot store the file"));
    let (code, _) = refused(put(&server, "f", b"x"));
    assert_eq!(code, 0);
    assert_eq!(get(&server, "f").unwrap(), b"there");
}
