//! Through loss, ten times faster than others: dnsmasq and tftpd-hpa, with the same client, on the
//! same wire.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Client, DEADLINE, Job, Network, bytes, wait_for};

use crate::{MIB, serve};

/// How many times faster.
const TIMES: u32 = 10;

const ROUNDS: u32 = 2;

/// Another server, killed when dropped.
struct Peer {
    child: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts `command`, which serves on `port`, and waits until it does.
    fn start(mut command: Command, package: &str, port: u16) -> Peer {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let address = SocketAddr::new(Network::addresses()[0], port);
        let mut peer = Peer { child, address };
        // The sockets of its host, the port in hexadecimal digits.
        let sockets = PathBuf::from(format!("/proc/{}/net/udp", peer.child.id()));
        wait_for("the other server", || {
            let ended = peer.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?}: {ended:?}; apt-get install {package}?");
            let bound = fs::read_to_string(&sockets).unwrap_or_default();
            bound.contains(&format!(":{port:04X} ")).then_some(())
        });
        peer
    }

    fn dnsmasq(network: &Network, directory: &Path) -> Peer {
        let mut command = network.server.command("dnsmasq");
        // It serves TFTP on port 69 and nowhere else.
        command.args(["--no-daemon", "--conf-file=/dev/null", "--port=0", "--enable-tftp"]);
        command.arg(format!("--tftp-root={}", directory.display()));
        Peer::start(command, "dnsmasq-base", 69)
    }

    fn tftpd_hpa(network: &Network, directory: &Path) -> Peer {
        let mut command = network.server.command("in.tftpd");
        command.args(["--foreground", "--listen", "--ipv4", "--address", "0.0.0.0:1069"]);
        command.args(["--user", "root", "--secure"]).arg(directory);
        Peer::start(command, "tftpd-hpa", 1069)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads `file` with atftp, the stock client that knows windows: how long it took, if it was done
/// within `limit`. A server that declines a window gets its ACK for each block.
fn read(server: SocketAddr, local: &Path, limit: Duration) -> Option<Duration> {
    // It gives up at an OACK that is repeated, since its ACK 0 was lost: one read of a hundred.
    (0..5).find_map(|_| attempt(server, local, limit)).expect("one of five reads is not given up")
}

/// `None` if the client has given up.
fn attempt(server: SocketAddr, local: &Path, limit: Duration) -> Option<Option<Duration>> {
    let job = Job::get(server, "file", local).blksize(1428).windowsize(16);
    let client = Client::Atftp.command(&job);
    let mut command = Command::new("timeout");
    command.arg(format!("{}", limit.as_secs_f64())).arg(client.get_program());
    // Its own patience is 5 s after each packet. That would be the same for all, but chance would
    // then decide how long a read takes.
    command.args(client.get_args()).args(["--tftp-timeout", "1"]);
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let took = started.elapsed();
    // What `timeout` says when the time is over.
    if output.status.code() == Some(124) {
        return Some(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let given_up = said.contains("unexpected OACK");
    assert!(given_up || output.status.success(), "{command:?}: {:?} {said}", output.status);
    (!given_up).then_some(Some(took))
}

/// The time in the middle of three reads from ours.
fn ours_takes(server: SocketAddr, local: &Path) -> Duration {
    let mut times = [(); 3].map(|()| read(server, local, DEADLINE).expect("ours is done in time"));
    times.sort_unstable();
    times[1]
}

/// How long the others take, if less than `limit`. They do so at once: what they mostly do is wait.
fn peers_take(peers: &[Peer; 2], directory: &Path, limit: Duration) -> [Option<Duration>; 2] {
    thread::scope(|scope| {
        let start = |peer: &Peer| {
            let (address, local) = (peer.address, directory.join(peer.address.port().to_string()));
            scope.spawn(move || read(address, &local, limit))
        };
        let [dnsmasq, tftpd_hpa] = peers;
        [start(dnsmasq), start(tftpd_hpa)].map(|peer| peer.join().unwrap())
    })
}

#[test]
fn ten_times_faster_than_dnsmasq_and_tftpd_hpa() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let (root, local) = (directory.path().join("root"), directory.path().join("local"));
    let file = bytes(16 * MIB);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), &file).unwrap();
    let server = serve(&network, &["--preload", root.to_str().unwrap()]);
    let ours = server.address();
    let peers = [Peer::dnsmasq(&network, &root), Peer::tftpd_hpa(&network, &root)];
    network.client.enter(|| {
        // Nothing but the loss is in their way.
        for address in [ours, peers[0].address, peers[1].address] {
            let took = read(address, &local, DEADLINE);
            assert!(took.is_some() && fs::read(&local).unwrap() == file, "{address}: {took:?}");
        }
        // Runs that leave in one piece are parted on the wire: each packet takes its own chance.
        assert!(network.came().to_client > 3 * (16 * MIB as u64 / 1428));
        network.lose(1);
        for round in 1..=ROUNDS {
            let took = ours_takes(ours, &local);
            assert!(fs::read(&local).unwrap() == file, "the file has arrived whole");
            // Who is not done by then is stopped: to the end they would take minutes.
            let others = peers_take(&peers, directory.path(), took * TIMES);
            println!("round {round}: ours {took:?}, dnsmasq and tftpd-hpa {others:?}");
            assert_eq!(others, [None, None], "within {TIMES} times the {took:?} of ours");
        }
    });
}
