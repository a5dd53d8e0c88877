//! Sockets that a service manager has bound.

use std::fs::{self, DirEntry};
use std::net::{SocketAddr, UdpSocket};

use testkit::{Memtftp, Packet, Raw, Signal, activated, bytes, rrq, sharing, wait_for};

use crate::BINARY;

/// So many sockets of each address.
fn groups(counts: [(&str, usize); 2]) -> Vec<UdpSocket> {
    counts.into_iter().flat_map(|(ip, count)| sharing(ip, count)).collect()
}

/// It has as many workers, once each has taken its name.
fn assert_workers(server: &Memtftp, count: usize) {
    let comm = |task: DirEntry| fs::read_to_string(task.path().join("comm")).unwrap();
    wait_for("the workers", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let names = tasks.map(|task| comm(task.unwrap()));
        (names.filter(|name| name.starts_with("worker-")).count() == count).then_some(())
    });
}

/// A server with these sockets, which count more than the port that it is given.
fn serve(sockets: &[UdpSocket], flags: &[&str]) -> Memtftp {
    let flags = [&["--port", "1"], flags].concat();
    activated(BINARY, sockets, |command| Memtftp::start(command, &flags))
}

/// Many clients, so that every worker has some.
fn use_it(server: SocketAddr) {
    for number in 0..20 {
        let name = format!("file {number}");
        Raw::new(server).put(&name, &bytes(5_000), &[("blksize", "1024")]).unwrap();
        assert_eq!(Raw::new(server).get(&name, &[]).unwrap(), bytes(5_000));
    }
}

#[test]
fn one_socket_is_for_one_worker() {
    for ip in ["127.0.0.1", "0.0.0.0", "[::]", "[::1]"] {
        let sockets = sharing(ip, 1);
        let server = serve(&sockets, &[]);
        assert_eq!(server.address().port(), sockets[0].local_addr().unwrap().port());
        assert_workers(&server, 1);
        drop(sockets);
        use_it(server.address());
        server.stop();
    }
}

#[test]
fn several_sockets_of_a_port_are_for_as_many_workers() {
    for flags in [&[][..], &["--single-port"]] {
        let server = serve(&groups([("127.0.0.1", 3), ("127.0.0.2", 3)]), flags);
        assert_workers(&server, 3);
        let addresses = server.addresses();
        assert_eq!(addresses.len(), 2, "{addresses:?}");
        addresses.into_iter().for_each(use_it);
        server.stop();
    }
}

/// The request that makes a service manager start the server waits in the socket.
#[test]
fn a_request_that_came_before_the_start_is_answered() {
    for ip in ["127.0.0.1", "0.0.0.0", "[::]"] {
        let sockets = sharing(ip, 1);
        let port = sockets[0].local_addr().unwrap().port();
        let mut client = Raw::new(SocketAddr::from(([127, 0, 0, 1], port)));
        client.send(&rrq("none", &[]));
        let server = serve(&sockets, &[]);
        assert!(matches!(client.receive_any(), Packet::Error(1, _)), "{ip}");
        let log = server.stop();
        assert!(log[0].is(&[("outcome", "refused"), ("file", "none")]), "{log:?}");
    }
}

/// The settings name another port and other workers, which never counted.
#[test]
fn a_reload_does_not_speak_of_what_the_sockets_have_decided() {
    let server = serve(&sharing("127.0.0.1", 1), &[]);
    server.signal(Signal::HUP);
    server.wait_for_stderr("reloaded");
    use_it(server.address());
    let told = server.stderr();
    assert!(told.iter().all(|line| !line.contains("not changed before")), "{told:#?}");
}

fn refused(sockets: &[UdpSocket], flags: &[&str]) -> String {
    let flags = [&["--port", "1"], flags].concat();
    let failed = activated(BINARY, sockets, |command| Memtftp::fails_as(command, &flags));
    assert_eq!((failed.code, failed.lines.len()), (Some(1), 1), "{failed:?}");
    failed.lines.into_iter().next().unwrap()
}

#[test]
fn sockets_that_do_not_fit_are_refused_with_what_to_write() {
    let line = refused(&sharing("127.0.0.1", 1), &["--workers", "2"]);
    assert!(line.contains("ReusePort=yes") && line.contains("--workers"), "{line}");
    let line = refused(&groups([("127.0.0.1", 2), ("127.0.0.2", 1)]), &[]);
    assert!(line.contains("127.0.0.2") && line.contains("as many"), "{line}");
}

#[test]
fn what_is_no_udp_socket_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = refused(&[UdpSocket::from(std::os::fd::OwnedFd::from(listener))], &[]);
    assert!(line.contains("ListenDatagram="), "{line}");
}
