//! The built program, started as an operator would.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use crate::log::Line;
use crate::output::{Leave, Output};
use crate::{clients, wait_for};

pub use rustix::process::Signal;

/// A running `memtftp serve`, killed when dropped.
pub struct Memtftp {
    child: Child,
    directory: TempDir,
    stdout: Output,
    stderr: Output,
    banner: BTreeMap<String, String>,
    exited: bool,
}

/// A `memtftp serve` that ended by itself.
#[derive(Debug)]
pub struct Failed {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote on standard error, without the warning that this machine's socket buffers are
    /// small: that depends on the machine.
    pub lines: Vec<String>,
}

impl Memtftp {
    /// Starts `binary serve` with `flags` and waits until it answers.
    ///
    /// It listens on a free port of 127.0.0.1 unless a flag says otherwise, and its request log
    /// lies in a directory of its own, which is also its working directory.
    ///
    /// # Panics
    /// It does not start.
    pub fn serve(binary: impl AsRef<Path>, flags: &[&str]) -> Memtftp {
        Memtftp::start(Command::new(binary.as_ref()), flags)
    }

    /// The same with a command that was prepared, such as one of [`unprivileged`].
    ///
    /// # Panics
    /// It does not start.
    pub fn start(command: Command, flags: &[&str]) -> Memtftp {
        let (mut child, directory) = spawn(command, flags);
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        let banner = BTreeMap::new();
        let mut server = Memtftp { child, directory, stdout, stderr, banner, exited: false };
        let last = server.stderr.wait_for("the banner", |line| line.starts_with("  try it "));
        assert!(last.is_some(), "not started: {:#?}", server.stderr.lines());
        server.banner = server.stderr.lines().iter().filter_map(|line| banner_line(line)).collect();
        // It makes its last thread after the banner.
        let threads = PathBuf::from(format!("/proc/{}/task", server.child.id()));
        wait_for("the thread that hears signals", || {
            let tasks = fs::read_dir(&threads).unwrap();
            let comm = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
            let mut names = tasks.filter_map(|task| comm(task.unwrap()).ok());
            names.any(|name| name.trim() == "signals").then_some(())
        });
        server
    }

    /// Runs `binary serve` with flags that it cannot start with.
    ///
    /// # Panics
    /// It starts.
    pub fn fails(binary: impl AsRef<Path>, flags: &[&str]) -> Failed {
        Memtftp::fails_as(Command::new(binary.as_ref()), flags)
    }

    /// The same with a command that was prepared.
    ///
    /// # Panics
    /// It starts.
    pub fn fails_as(command: Command, flags: &[&str]) -> Failed {
        let (mut child, directory) = spawn(command, flags);
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        let mut server =
            Memtftp { child, directory, stdout, stderr, banner: BTreeMap::new(), exited: false };
        let started = server.stderr.wait_for("its end", |line| line.starts_with("  try it "));
        assert_eq!(started, None, "it started with {flags:?}");
        let code = server.wait_exit().code();
        let mut lines = server.stderr.lines();
        lines.retain(|line| !line.contains("socket buffers hold only"));
        Failed { code, lines }
    }

    /// The value of a line of the banner.
    ///
    /// # Panics
    /// There is no such line.
    pub fn banner(&self, what: &str) -> &str {
        self.banner.get(what).unwrap_or_else(|| panic!("no {what} in {:#?}", self.banner))
    }

    /// The addresses it says it answers on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let listed = self.banner("listening").split(' ').filter_map(|address| address.parse().ok());
        let addresses: Vec<SocketAddr> = listed.collect();
        assert!(!addresses.is_empty(), "{:#?}", self.banner);
        addresses
    }

    /// The first of them.
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// Its directory, for files of the test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// The lines on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// The lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// Waits for a line with `text` on standard error.
    ///
    /// # Panics
    /// It ends without.
    pub fn wait_for_stderr(&self, text: &str) -> String {
        let found = self.stderr.wait_for(text, |line| line.contains(text));
        found.unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.stderr()))
    }

    /// Lets the reader of standard error stall: the pipe is full from now on, and stays so.
    pub fn stall_stderr(&self) {
        let mut pipe = self.leave_stderr(Leave::Stalled);
        fcntl_setfl(&pipe, OFlags::NONBLOCK).unwrap();
        // Byte by byte, or there would be room for a short line.
        while pipe.write(b"\n").is_ok() {}
    }

    /// Lets the reader of standard error go, as `head` does.
    pub fn close_stderr(&self) {
        drop(self.leave_stderr(Leave::Gone));
    }

    /// Returns the end of the pipe that it writes to.
    fn leave_stderr(&self, leave: Leave) -> File {
        let path = format!("/proc/{}/fd/2", self.child.id());
        let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
        self.stderr.leave(leave);
        pipe.write_all(b"\n").unwrap();
        self.stderr.wait_for_end("the reader to leave");
        pipe
    }

    /// The complete lines of the request log so far.
    pub fn log(&self) -> Vec<Line> {
        read_log(&self.path("requests.log"))
    }

    /// The lines of the request log, once there are `count`.
    ///
    /// # Panics
    /// There are more.
    pub fn wait_for_log(&self, count: usize) -> Vec<Line> {
        let enough = || Some(self.log()).filter(|lines| lines.len() >= count);
        let lines = wait_for("lines in the request log", enough);
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self::signal(&self.child, signal);
    }

    /// Stops it where it is, until it gets `SIGCONT`.
    ///
    /// # Panics
    /// It goes on.
    pub fn hold(&self) {
        self.signal(Signal::STOP);
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        wait_for("all threads to stop", || {
            let stat = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).unwrap();
            let mut stats = fs::read_dir(&tasks).unwrap().map(|task| stat(task.unwrap()));
            // `pid (name) state ...`
            stats.all(|stat| stat.contains(") T ")).then_some(())
        });
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.stderr.wait_for_end("the end of the server");
        self.stdout.wait_for_end("the end of the server");
        let status = self.child.wait().unwrap();
        self.exited = true;
        status
    }

    /// Ends it by SIGTERM, lets running transfers finish, and gives the whole request log.
    ///
    /// # Panics
    /// It fails.
    pub fn stop(mut self) -> Vec<Line> {
        self.signal(Signal::TERM);
        let status = self.wait_exit();
        assert!(status.success(), "{status}");
        self.log()
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has ever had, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    /// How many file descriptors it has.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Memtftp {
    fn drop(&mut self) {
        if !self.exited {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("standard error of the server: {:#?}", self.stderr());
            let log = fs::read_to_string(self.path("requests.log")).unwrap_or_default();
            eprintln!("its request log, from the end:");
            log.lines().rev().take(20).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Sends a program a signal.
///
/// # Panics
/// It has ended and was waited for.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The complete lines of a request log; a file that is not there has none.
pub fn read_log(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(Line::parse).collect()
}

fn spawn(mut command: Command, flags: &[&str]) -> (Child, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    // For a server that runs as another user.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let log = directory.path().join("requests.log");
    command.arg("serve").args(flags).current_dir(directory.path()).env_remove("MEMTFTP_LOG");
    if !flags.iter().any(|flag| ["--listen", "--port"].contains(flag)) {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    if !flags.contains(&"--request-log") {
        command.arg("--request-log").arg(log);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    (child, directory)
}

/// `  what   value`
fn banner_line(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("  ")?;
    let (what, value) = rest.split_at_checked(12)?;
    Some((what.trim().to_owned(), value.trim().to_owned()))
}

/// A command that runs a copy of `binary` in `directory` without any right. A program run by root
/// is run as nobody, by `setpriv`.
///
/// # Panics
/// `setpriv` is missing.
pub fn unprivileged(binary: impl AsRef<Path>, directory: &Path) -> Command {
    let copy = directory.join("memtftp");
    // By a process of its own: a file that this one has open for writing could not be run if
    // another thread forked meanwhile.
    let mut cp = Command::new("cp");
    cp.arg(binary.as_ref()).arg(&copy);
    assert!(clients::finish(cp, "coreutils").status.success(), "cannot copy to {copy:?}");
    for path in [directory, &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    if !rustix::process::geteuid().is_root() {
        return Command::new(copy);
    }
    let mut version = Command::new("setpriv");
    version.arg("--version");
    clients::finish(version, "util-linux");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy);
    command
}
