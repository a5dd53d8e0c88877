//! One run of one load against one server.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Error;
use crate::cases::{Case, Until};
use crate::servers::{Kind, LOAD_CPU, Places, SERVER_CPU, Server};

/// Seconds after which a load is ended that does not end.
const LIMIT: &str = "60";

/// How long a load runs whose system calls are counted, and a time that is longer for certain, in
/// seconds.
const COUNTED: &str = "2s";
const LONGER: &str = "4";

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// CPU of the server for each block, in microseconds.
    pub(crate) cost: f64,
    pub(crate) bytes_per_second: f64,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) completed: u64,
    /// Sent again by the load.
    pub(crate) retransmissions: u64,
    /// Datagrams that a socket of either side had no room for.
    pub(crate) drops: u64,
}

/// Runs the load `case` against a new server.
pub(crate) fn run(
    places: &Places,
    kind: Kind,
    case: &Case,
    seconds: f64,
) -> Result<Measured, Error> {
    let server = Server::start(places, kind, case.file)?;
    // Some servers wait for seconds at each loss.
    let seconds = if case.loss > 0.0 { seconds.max(5.0) } else { seconds };
    let mut command = load(places, case, &format!("{seconds}s"));
    command.args(["--server-pid", &server.pid().to_string()]);
    let _loss = Loss::begin(case.loss)?;
    let output = command.output().map_err(|source| Error::Program { name: "timeout", source })?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| Error::Load { said: String::from_utf8_lossy(&output.stderr).into_owned() })?;
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    Ok(Measured {
        cost: match kind {
            // It does not wait for its processes, so the system adds their CPU to nobody's.
            Kind::TftpdHpa => f64::NAN,
            _ => number("/server/cpu_microseconds_per_block"),
        },
        bytes_per_second: number("/bytes_per_second"),
        seconds: number("/seconds"),
        completed: count("/completed"),
        retransmissions: count("/retransmissions"),
        drops: count("/kernel_drops"),
    })
}

/// System calls of the server for each block, and its instructions where the machine counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) calls: f64,
    pub(crate) instructions: Option<f64>,
}

/// Counts while a load runs. It is a run of its own, since counting costs time.
pub(crate) fn count(places: &Places, kind: Kind, case: &Case) -> Result<Counted, Error> {
    let server = Server::start(places, kind, case.file)?;
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter,instructions", "-p"]);
    perf.arg(server.pid().to_string()).args(["sleep", LONGER]).stderr(Stdio::piped());
    let mut perf = perf.spawn().map_err(|source| Error::Program { name: "perf", source })?;
    let output = load(places, case, COUNTED).output();
    let output = output.map_err(|source| Error::Program { name: "timeout", source })?;
    let mut counted = String::new();
    if let Some(mut stderr) = perf.stderr.take() {
        let _ = stderr.read_to_string(&mut counted);
    }
    let _ = perf.wait();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let blocks = report.pointer("/blocks").and_then(Value::as_f64).unwrap_or(f64::NAN);
    let of = |event: &str| {
        let line = counted.lines().find(|line| line.contains(event))?;
        line.split(',').next()?.parse::<f64>().ok()
    };
    let calls = of("sys_enter").ok_or(Error::Load { said: counted.clone() })? / blocks;
    Ok(Counted { calls, instructions: of("instructions").map(|all| all / blocks) })
}

fn load(places: &Places, case: &Case, duration: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args([LIMIT, "taskset", "--cpu-list", LOAD_CPU]);
    command.arg(places.memtftp()).args(["bench", "--json"]);
    command.args(["--clients", &case.clients.to_string()]);
    if case.clients > 1 {
        command.arg("--spread");
    }
    if case.blksize != 512 {
        command.args(["--blksize", &case.blksize.to_string()]);
    }
    if case.windowsize > 1 {
        command.args(["--windowsize", &case.windowsize.to_string()]);
    }
    if case.until == Until::Time {
        command.args(["--duration", duration]);
    }
    if case.loss > 0.0 {
        command.args(["--loss", &case.loss.to_string()]);
    }
    if case.is_upload() {
        command.args(["--put", "--size", &case.file.size.to_string()]);
    }
    let name = if case.is_upload() { "upload" } else { case.file.name };
    if !case.is_upload() {
        // Without it the load reads the file first to know what is right.
        let path = places.root.join(name);
        command.arg("--file").arg(format!("{name}={}", path.display()));
    }
    command.arg(format!("tftp://127.0.0.1/{name}"));
    command
}

/// Loss on the way to the server. The load itself drops what comes from there, packet by packet: a
/// rule of the system would drop whole windows where they travel as one.
struct Loss(bool);

impl Loss {
    fn begin(percent: f64) -> Result<Loss, Error> {
        if percent == 0.0 {
            return Ok(Loss(false));
        }
        let of_ten_thousand = (percent * 100.0).round();
        let rules = format!(
            "add table inet loss; \
             add chain inet loss input {{ type filter hook input priority 0; }}; \
             add rule inet loss input udp length < 100 numgen random mod 10000 < {of_ten_thousand} drop"
        );
        let status = Command::new("nft").arg(rules).status();
        let status = status.map_err(|source| Error::Program { name: "nft", source })?;
        if status.success() { Ok(Loss(true)) } else { Err(Error::Rules) }
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        if self.0 {
            let _ = Command::new("nft").args(["delete", "table", "inet", "loss"]).status();
        }
    }
}

/// Keeps the processors awake with work that gives way to all other. A virtual processor that has
/// gone to sleep takes as long to wake as a server takes for a dozen packets.
pub(crate) struct Awake(Vec<Child>);

impl Awake {
    pub(crate) fn keep() -> Result<Awake, Error> {
        let spin = |cpu| {
            let mut command = Command::new("taskset");
            command.args([
                "--cpu-list",
                cpu,
                "chrt",
                "--idle",
                "0",
                "sh",
                "-c",
                "while :; do :; done",
            ]);
            command.spawn().map_err(|source| Error::Program { name: "chrt", source })
        };
        Ok(Awake(vec![spin(SERVER_CPU)?, spin(LOAD_CPU)?]))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
