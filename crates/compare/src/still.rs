//! Starting with many files, and doing nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::servers::Places;

/// Files that are preloaded, and the bytes of each.
const FILES: usize = 1_000;
const FILE: usize = 64 << 10;

/// How long the server is watched while nobody asks it for anything.
const WATCHED: Duration = Duration::from_secs(5);

/// What starting took, and what goes on when nothing goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Still {
    /// Seconds from the start of the process to the last line of its banner.
    pub(crate) start: f64,
    /// How often any thread woke up, a second.
    pub(crate) wakes: f64,
}

/// Starts our server with all its workers and watches it.
pub(crate) fn measure(places: &Places) -> Result<Still, Error> {
    let directory = tempfile::tempdir().map_err(Error::Socket)?;
    for number in 0..FILES {
        let path = directory.path().join(format!("file-{number}"));
        fs::write(path, vec![number as u8; FILE]).map_err(Error::Socket)?;
    }
    let begun = Instant::now();
    let mut server = Running(start(places, directory.path())?);
    let lines = server.0.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    let ready = lines.map_while(Result::ok).any(|line| line.starts_with("  try it "));
    if !ready {
        return Err(Error::Server { name: "memtftp", said: String::new() });
    }
    let start = begun.elapsed().as_secs_f64();
    // Its last thread is made after the banner.
    thread::sleep(Duration::from_secs(1));
    let before = switches(&server.0);
    thread::sleep(WATCHED);
    let wakes = switches(&server.0).saturating_sub(before) as f64 / WATCHED.as_secs_f64();
    Ok(Still { start, wakes })
}

fn start(places: &Places, directory: &Path) -> Result<Child, Error> {
    let mut command = Command::new(places.memtftp());
    command.args(["serve", "--listen", "127.0.0.1:0", "--request-log", "/dev/null", "--preload"]);
    command.arg(directory).stderr(Stdio::piped());
    command.spawn().map_err(|source| Error::Program { name: "memtftp", source })
}

/// How often the threads of a process have gone to sleep so far.
fn switches(process: &Child) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id()));
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    let statuses = tasks.into_iter().flatten().flatten().filter_map(status);
    let count = |status: String| {
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse::<u64>().ok()
    };
    statuses.filter_map(count).sum()
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
