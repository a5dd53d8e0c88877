//! The TFTP clients that people have.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::output::Output;

/// A program that speaks TFTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `tftp` by H. Peter Anvin.
    TftpHpa,
    /// `atftp`.
    Atftp,
    /// `curl`.
    Curl,
    /// `busybox tftp`.
    Busybox,
}

/// One transfer that a client is to make.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    server: SocketAddr,
    put: bool,
    name: &'a str,
    local: &'a Path,
    blksize: Option<u16>,
    windowsize: Option<u16>,
    netascii: bool,
}

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote, standard output first.
    pub output: String,
}

impl<'a> Job<'a> {
    /// Reads `name` into the file `local`.
    pub fn get(server: SocketAddr, name: &'a str, local: &'a Path) -> Job<'a> {
        let (blksize, windowsize) = (None, None);
        Job { server, put: false, name, local, blksize, windowsize, netascii: false }
    }

    /// Writes the file `local` to `name`.
    pub fn put(server: SocketAddr, name: &'a str, local: &'a Path) -> Job<'a> {
        Job { put: true, ..Job::get(server, name, local) }
    }

    /// Asks for this block size.
    #[must_use]
    pub fn blksize(self, bytes: u16) -> Job<'a> {
        Job { blksize: Some(bytes), ..self }
    }

    /// Asks for this window.
    #[must_use]
    pub fn windowsize(self, blocks: u16) -> Job<'a> {
        Job { windowsize: Some(blocks), ..self }
    }

    /// Asks for netascii instead of octet.
    #[must_use]
    pub fn netascii(self) -> Job<'a> {
        Job { netascii: true, ..self }
    }
}

impl Client {
    /// All of them.
    pub const ALL: [Client; 4] = [Client::TftpHpa, Client::Atftp, Client::Curl, Client::Busybox];

    /// Lets the client do the job.
    ///
    /// # Panics
    /// The client is missing, cannot do such a job, or does not end.
    pub fn run(self, job: &Job<'_>) -> Done {
        let package = match self {
            Client::TftpHpa => "tftp-hpa",
            Client::Atftp => "atftp",
            Client::Curl => "curl",
            Client::Busybox => "busybox",
        };
        finish(self.command(job), package)
    }

    /// The command that does the job. To run it on another [`Host`](crate::Host), run it in
    /// [`Host::enter`](crate::Host::enter).
    ///
    /// # Panics
    /// The client cannot do such a job.
    pub fn command(self, job: &Job<'_>) -> Command {
        match self {
            Client::TftpHpa => tftp_hpa(job),
            Client::Atftp => atftp(job),
            Client::Curl => curl(job),
            Client::Busybox => busybox(job),
        }
    }

    /// Lets the client do a job that has to succeed.
    ///
    /// # Panics
    /// It does not.
    pub fn must(self, job: &Job<'_>) {
        let done = self.run(job);
        assert!(done.status.success(), "{self:?} {job:?}: {done:?}");
    }
}

/// Runs a line in a shell.
///
/// # Panics
/// It does not end.
pub fn shell(line: &str, directory: &Path) -> Done {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(directory);
    finish(command, "dash")
}

fn tftp_hpa(job: &Job<'_>) -> Command {
    assert!(job.blksize.is_none() && job.windowsize.is_none(), "tftp-hpa asks for no option");
    let mut command = Command::new("tftp");
    command.args(["-m", if job.netascii { "netascii" } else { "octet" }]);
    command.arg(job.server.ip().to_string()).arg(job.server.port().to_string()).arg("-c");
    if job.put {
        command.arg("put").arg(job.local).arg(job.name);
    } else {
        command.arg("get").arg(job.name).arg(job.local);
    }
    command
}

fn atftp(job: &Job<'_>) -> Command {
    let mut command = Command::new("atftp");
    command.arg(if job.put { "--put" } else { "--get" });
    command.arg("--local-file").arg(job.local).args(["--remote-file", job.name]);
    if let Some(blksize) = job.blksize {
        command.args(["--option", &format!("blksize {blksize}")]);
    }
    if let Some(windowsize) = job.windowsize {
        command.args(["--option", &format!("windowsize {windowsize}")]);
    }
    if job.netascii {
        command.args(["--option", "mode netascii"]);
    }
    command.arg(job.server.ip().to_string()).arg(job.server.port().to_string());
    command
}

fn curl(job: &Job<'_>) -> Command {
    assert!(job.windowsize.is_none(), "curl has no windows");
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--globoff", "--no-keepalive"]);
    // It repeats a packet after a fiftieth of this: 6 s. By default that is 72 s.
    command.args(["--max-time", "300"]);
    command.arg(if job.put { "--upload-file" } else { "--output" }).arg(job.local);
    if let Some(blksize) = job.blksize {
        command.args(["--tftp-blksize", &blksize.to_string()]);
    }
    let mode = if job.netascii { ";mode=netascii" } else { "" };
    command.arg(format!("tftp://{}/{}{mode}", job.server, job.name));
    command
}

fn busybox(job: &Job<'_>) -> Command {
    assert!(!job.netascii && job.windowsize.is_none(), "busybox has only octet and no windows");
    let mut command = Command::new("busybox");
    command.args(["tftp", if job.put { "-p" } else { "-g" }]);
    command.arg("-l").arg(job.local).args(["-r", job.name]);
    if let Some(blksize) = job.blksize {
        command.args(["-b", &blksize.to_string()]);
    }
    command.arg(job.server.ip().to_string()).arg(job.server.port().to_string());
    command
}

/// Runs a program to its end.
pub(crate) fn finish(mut command: Command, package: &str) -> Done {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            panic!("the program {program} is missing: install it (apt-get install {package})")
        }
        _ => panic!("cannot run {program}: {error}"),
    });
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let guard = KillOnDrop(child);
    let outputs = [Output::collect(stdout), Output::collect(stderr)];
    let lines = outputs.map(|output| output.wait_for_end(&program)).concat();
    Done { status: guard.wait(), output: lines.join("\n") }
}

/// Ends a process when a test gives up on it.
struct KillOnDrop(std::process::Child);

impl KillOnDrop {
    /// To be called when the process has closed its output.
    fn wait(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "install it (apt-get install some-package)")]
    fn a_missing_program_fails_the_test() {
        finish(Command::new("no-such-program-anywhere"), "some-package");
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_known() {
        let done = shell("echo out; echo err >&2; exit 3", Path::new("/"));
        assert_eq!((done.status.code(), done.output.as_str()), (Some(3), "out\nerr"));
    }
}
