//! The built program with a directory behind its memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod changes;
mod crash;
mod disks;
mod faults;
mod foreign;
mod fresh;
mod leftovers;
mod moved;
mod names;
mod reads;
mod room;
mod uploads;
mod written;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use testkit::{Memtftp, Packet, Raw, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_memtftp");

/// A directory to serve, and one beside it on the same disk.
struct Disk {
    above: TempDir,
}

impl Disk {
    fn new() -> Disk {
        let above = tempfile::tempdir().unwrap();
        fs::create_dir(above.path().join("served")).unwrap();
        fs::create_dir(above.path().join("beside")).unwrap();
        Disk { above }
    }

    fn served(&self) -> PathBuf {
        self.above.path().join("served")
    }

    fn beside(&self) -> PathBuf {
        self.above.path().join("beside")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.served().join(name)
    }

    /// Puts a file in place at one moment.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Disk {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = self.beside().join("new");
        fs::write(&new, content).unwrap();
        age(&new);
        fs::rename(&new, &path).unwrap();
        self
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A server that also takes uploads, unless a flag says otherwise.
    fn serve(&self, flags: &[&str]) -> Memtftp {
        let served = self.served();
        let taking: &[&str] =
            if flags.contains(&"--uploads") { &[] } else { &["--uploads", "replace"] };
        Memtftp::serve(BINARY, &[&["--dir", served.to_str().unwrap()], taking, flags].concat())
    }
}

/// Makes a file look as if it had been written a while ago, as most files were.
fn age(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).unwrap();
}

fn get(server: &Memtftp, name: &str) -> Result<Vec<u8>, Packet> {
    Raw::new(server.address()).get(name, &[("blksize", "1400")])
}

fn put(server: &Memtftp, name: &str, file: &[u8]) -> Result<(), Packet> {
    Raw::new(server.address()).put(name, file, &[("blksize", "1400")])
}

/// Threads that load, and as many that store.
const THREADS: usize = 4;

/// The threads that load, or those that store.
fn threads(server: &Memtftp, kind: &str) -> Vec<u32> {
    (0..THREADS).map(|number| testkit::thread(server.pid(), &format!("{kind}-{number}"))).collect()
}

/// The code and the text of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Packet>) -> (u16, String) {
    answer.unwrap_err().refusal()
}

/// Waits until the file is this for those who ask.
fn wait_until_served(server: &Memtftp, name: &str, content: &[u8]) {
    let served = || get(server, name).is_ok_and(|got| got == content).then_some(());
    wait_for("the new version", served);
}

fn wait_until_gone(server: &Memtftp, name: &str) {
    let gone = || get(server, name).err().map(|answer| answer.refusal().0);
    assert_eq!(wait_for("its end", gone), 1);
}

/// Names in a directory that are not those of complete files.
fn temporary(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name.starts_with(".memtftp-")).collect()
}
