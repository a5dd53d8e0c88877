//! Peers that stop, or go on without getting anywhere: each ends in the log and holds nothing.

use testkit::{Host, Memtftp, Packet, Raw, ack, bytes, data, rrq, wait_for, wrq};

use crate::{client, serve};

const MIB: usize = 1 << 20;

/// Options of a window of 16 blocks, and their OACK.
const WINDOW: [(&str, &str); 2] = [("blksize", "1024"), ("windowsize", "16")];

/// A server for two files of 1 MiB and a bit, with one.
fn server_with_file(host: &Host) -> Memtftp {
    let flags = ["--memory", "3MiB", "--max-client-memory", "3MiB", "--give-up", "1s"];
    let server = serve(host, &flags);
    client(host, &server).put("file", &bytes(MIB), &WINDOW[..1]).unwrap();
    server
}

/// Takes a whole window, and the last block comes last.
fn take_window(client: &mut Raw, last: u16) {
    while !matches!(client.receive(), Packet::Data(block, _) if block == last) {}
}

/// A reader that gets so far, and how much that is, in blocks and in bytes.
type Step = fn(&mut Raw) -> (u64, u64);

const READERS: [Step; 6] = [
    // At the first block.
    |client| {
        client.ask(&rrq("file", &[]));
        (0, 0)
    },
    // At the OACK.
    |client| {
        assert_eq!(client.ask(&rrq("file", &WINDOW)), Packet::oack(&WINDOW));
        (0, 0)
    },
    // In the first window.
    |client| {
        client.ask(&rrq("file", &WINDOW));
        client.say(&ack(0));
        (0, 0)
    },
    // In the second.
    |client| {
        client.ask(&rrq("file", &WINDOW));
        client.say(&ack(0));
        take_window(client, 16);
        client.say(&ack(16));
        (16, 16 * 1024)
    },
    // After a part of a window.
    |client| {
        client.ask(&rrq("file", &WINDOW));
        client.say(&ack(0));
        take_window(client, 16);
        client.say(&ack(9));
        (9, 9 * 1024)
    },
    // Before the last ACK.
    |client| {
        let options = [("blksize", "32768")];
        client.ask(&rrq("file", &options));
        for block in 0..32 {
            client.say(&ack(block));
        }
        client.say(&ack(32));
        (32, MIB as u64)
    },
];

/// The line of each client, found by its port.
fn assert_timed_out(server: &Memtftp, kind: &str, clients: &[(Raw, (u64, u64))]) {
    let log = server.wait_for_log(1 + clients.len());
    for (client, (blocks, bytes)) in clients {
        let port = format!("127.0.0.1:{}", client.port());
        let line = log.iter().find(|line| line.get("client") == port).unwrap();
        assert!(line.is(&[("kind", kind), ("outcome", "timeout")]), "{line:?}");
        assert_eq!((line.number("blocks"), line.number("bytes")), (*blocks, *bytes), "{line:?}");
    }
}

/// A client for each of the steps, stopped after it, and how far it came.
fn stop_after_each(host: &Host, server: &Memtftp, steps: &[Step]) -> Vec<(Raw, (u64, u64))> {
    let stopped = steps.iter().map(|step| {
        let mut client = client(host, server);
        let far = step(&mut client);
        (client, far)
    });
    stopped.collect()
}

#[test]
fn readers_that_stop_at_each_step() {
    let host = Host::new();
    let server = server_with_file(&host);
    let stopped = stop_after_each(&host, &server, &READERS);
    assert_timed_out(&server, "read", &stopped);
    // Nothing holds the old version any more, so this and then that fit.
    let mut client = client(&host, &server);
    client.put("file", &bytes(MIB / 2), &WINDOW[..1]).unwrap();
    client.put("more", &bytes(2 * MIB), &WINDOW[..1]).unwrap();
}

const WRITERS: [Step; 4] = [
    |client| {
        client.ask(&wrq("new", &[]));
        (0, 0)
    },
    |client| {
        client.ask(&wrq("new", &[("tsize", "1048576"), ("blksize", "1024")]));
        (0, 0)
    },
    |client| {
        client.ask(&wrq("new", &WINDOW));
        client.reply(&data(1, &[1; 1024]));
        client.reply(&data(2, &[1; 1024]));
        (2, 2048)
    },
    // Before the last block.
    |client| {
        client.ask(&wrq("new", &[("blksize", "32768"), ("tsize", "1048576")]));
        for block in 1..=32 {
            client.say(&data(block, &[1; 32_768]));
        }
        (32, MIB as u64)
    },
];

#[test]
fn writers_that_stop_at_each_step() {
    let host = Host::new();
    let server = server_with_file(&host);
    let stopped = stop_after_each(&host, &server, &WRITERS);
    assert_timed_out(&server, "write", &stopped);
    let mut client = client(&host, &server);
    assert_eq!(client.get("new", &[]).unwrap_err().refusal().0, 1, "half a file");
    client.put("more", &bytes(2 * MIB - 1), &WINDOW[..1]).unwrap();
}

/// Says the same again and again, until the log has its end.
fn insist(server: &Memtftp, client: &Raw, packet: &[u8]) {
    wait_for("the end of a transfer", || {
        client.reply(packet);
        (server.log().len() > 1).then_some(())
    });
}

/// Who answers, but never gets on, is not waited for any longer than who is silent.
#[test]
fn a_reader_that_stays_where_it_is() {
    let host = Host::new();
    let server = server_with_file(&host);
    let mut client = client(&host, &server);
    client.ask(&rrq("file", &WINDOW));
    insist(&server, &client, &ack(0));
    assert_timed_out(&server, "read", &[(client, (0, 0))]);
}

#[test]
fn a_writer_that_stays_where_it_is() {
    let host = Host::new();
    let server = server_with_file(&host);
    let mut client = client(&host, &server);
    client.ask(&wrq("new", &[]));
    insist(&server, &client, &data(1, &[1; 512]));
    assert_timed_out(&server, "write", &[(client, (1, 512))]);
}
