//! Many clients at once, on a number of threads and descriptors that does not change.

use std::fs;
use std::thread;

use testkit::{Client, Job, Memtftp, Packet, Raw, bytes, data, rrq, wait_for, wrq};

use crate::{only, serve};

const CLIENTS: usize = 64;

/// Threads and file descriptors of the server.
fn size(server: &Memtftp) -> (usize, usize) {
    (server.threads(), server.descriptors())
}

/// The cores that each worker may run on, as the system lists them.
fn cores_of_workers(server: &Memtftp) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap();
    let statuses = tasks.map(|task| status(task.unwrap()));
    let of_workers = statuses.filter(|status| status.starts_with("Name:\tworker-"));
    let cores = of_workers.map(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
        line.unwrap().to_owned()
    });
    cores.collect()
}

#[test]
fn workers_stay_on_cores_of_their_own_if_asked() {
    let server = serve(&["--workers", "2", "--pin"]);
    // A worker may have no name yet.
    let cores = wait_for("each worker to have one core", || {
        let cores = cores_of_workers(&server);
        let pinned = cores.iter().all(|cores| cores.parse::<u32>().is_ok());
        (cores.len() == 2 && pinned).then_some(cores)
    });
    let several = thread::available_parallelism().unwrap().get() > 1;
    assert_eq!(cores[0] != cores[1], several, "{cores:?}");
    let unpinned = cores_of_workers(&serve(&["--workers", "2"]));
    assert!(!several || unpinned.iter().all(|cores| cores.parse::<u32>().is_err()), "{unpinned:?}");
}

fn name(number: usize) -> String {
    format!("dir/file-{number}")
}

/// Each client's file is another one.
fn content(number: usize) -> Vec<u8> {
    bytes(600 + number * 777)
}

/// All uploads are in flight before the first ends, then all reads.
fn all_in_flight_at_once(flags: &[&str]) {
    let server = serve(flags);
    let mut clients: Vec<Raw> = (0..CLIENTS).map(|_| Raw::new(server.address())).collect();
    let before = size(&server);
    let mut begun: Vec<Packet> = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&wrq(name(number), &[])), Packet::Ack(0));
        let first_block = data(1, &content(number)[..512]);
        assert_eq!(client.say(&first_block), Packet::Ack(1));
    }
    assert_eq!(size(&server), before, "during {CLIENTS} uploads");
    for (number, client) in clients.iter_mut().enumerate() {
        for (at, block) in content(number).chunks(512).enumerate().skip(1) {
            let at = at as u16 + 1;
            assert_eq!(client.say(&data(at, block)), Packet::Ack(at));
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        begun.push(client.ask(&rrq(name(number), &[])));
    }
    assert_eq!(size(&server), before, "during {CLIENTS} reads");
    for (number, (client, first)) in clients.iter_mut().zip(begun).enumerate() {
        assert!(client.get_from(first).unwrap() == content(number), "file {number}");
    }
    assert_eq!(size(&server), before, "after all of them");
    let log = server.stop();
    assert_eq!(log.len(), 2 * CLIENTS);
    for number in 0..CLIENTS {
        for kind in ["write", "read"] {
            let line = only(&log, &[("kind", kind), ("file", &name(number))]);
            let bytes = content(number).len().to_string();
            assert!(line.is(&[("outcome", "ok"), ("bytes", &bytes)]), "{line:?}");
        }
    }
}

#[test]
fn sixty_four_clients() {
    all_in_flight_at_once(&[]);
}

#[test]
fn sixty_four_clients_on_a_single_port() {
    all_in_flight_at_once(&["--single-port"]);
}

#[test]
fn sixty_four_clients_with_portable_io_on_one_worker() {
    all_in_flight_at_once(&["--io", "portable", "--workers", "1"]);
}

/// As many processes of curl, each writing a file and reading it back.
#[test]
fn sixty_four_real_clients() {
    let server = serve(&[]);
    let before = size(&server);
    let one = |number: usize| {
        let file = bytes(20_000 + number * 1_001);
        let (sent, received) =
            (server.path(&format!("sent-{number}")), server.path(&format!("received-{number}")));
        fs::write(&sent, &file).unwrap();
        Client::Curl.must(&Job::put(server.address(), &name(number), &sent).blksize(1428));
        Client::Curl.must(&Job::get(server.address(), &name(number), &received).blksize(1428));
        assert!(fs::read(received).unwrap() == file, "file {number}");
    };
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || one(number));
        }
    });
    assert_eq!(size(&server), before);
    let log = server.stop();
    assert_eq!(log.len(), 2 * CLIENTS);
    for number in 0..CLIENTS {
        for kind in ["write", "read"] {
            only(&log, &[("kind", kind), ("file", &name(number)), ("outcome", "ok")]);
        }
    }
}
