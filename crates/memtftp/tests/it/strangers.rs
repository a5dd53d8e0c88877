//! Packets that nobody asked for.

use testkit::{Memtftp, Packet, Raw, ack, bytes, data, error, rrq, wrq};

use crate::{only, serve_in_order};

/// Whatever was sent before has had no answer: the first packet to come is that for this request.
/// The server has one worker, which answers in order.
fn nothing_was_answered(client: &mut Raw) {
    let (code, text) = client.ask(&rrq("no such file", &[])).refusal();
    assert_eq!((code, text.as_str()), (1, "file not found"));
}

/// Datagrams that are no request.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![vec![], vec![0], vec![0, 3], vec![0, 4], vec![0, 5], vec![0, 6], vec![1]];
    all.extend([vec![0, 3, 0], vec![0, 4, 0], vec![0, 5, 0], vec![0, 6, 0], vec![0, 0, 0]]);
    all.extend([ack(0), ack(1), data(1, b"x"), data(1, &[7; 512]), data(0, b"")]);
    all.extend([error(0, ""), error(5, "unknown"), vec![0, 5, 0, 0]]);
    all.push(b"\0\x06blksize\x00512\0".to_vec());
    for opcode in [0, 3, 4, 5, 6, 7, 255] {
        let mut long = bytes(65_507);
        long[..2].copy_from_slice(&[0, opcode]);
        all.push(long);
    }
    for seed in 1..200 {
        let mut random = bytes(seed * 37 % 600 + 4);
        // Nothing that could be a request.
        random[0] |= 1;
        all.push(random);
    }
    all
}

fn the_listening_port_answers_nothing_but_requests(flags: &[&str]) {
    let server = serve_in_order(&[&["--max-unrecognized", "10000"], flags].concat());
    let all = garbage();
    // Kept, so that each has a port of its own: what comes late from a known client is no request
    // either, but not unknown.
    let mut clients = Vec::new();
    for datagrams in all.chunks(8) {
        let mut client = Raw::new(server.address());
        for datagram in datagrams {
            client.send(datagram);
        }
        nothing_was_answered(&mut client);
        clients.push(client);
    }
    let mut client = Raw::new(server.address());
    client.put("file", &[1; 1000], &[]).unwrap();
    assert_eq!(client.get("file", &[]).unwrap(), [1; 1000], "it still works");
    let log = server.stop();
    let dropped = [("kind", "unrecognized"), ("outcome", "dropped"), ("reason", "not a request")];
    let dropped: Vec<_> = log.iter().filter(|line| line.is(&dropped)).collect();
    assert_eq!(dropped.len(), all.len());
    for (line, datagram) in dropped.iter().zip(&all) {
        assert_eq!(line.number("size"), datagram.len() as u64);
        assert_eq!(line.bytes("start"), datagram[..datagram.len().min(32)]);
    }
}

#[test]
fn garbage_to_the_listening_port() {
    the_listening_port_answers_nothing_but_requests(&[]);
}

#[test]
fn garbage_to_a_single_port() {
    the_listening_port_answers_nothing_but_requests(&["--single-port"]);
}

#[test]
fn garbage_with_portable_io() {
    the_listening_port_answers_nothing_but_requests(&["--io", "portable"]);
}

#[test]
fn a_malformed_request_is_told_so() {
    let server = serve_in_order(&[]);
    let mut client = Raw::new(server.address());
    let unterminated: &[u8] = b"\0\x01name";
    let without_mode: &[u8] = b"\0\x02name\0";
    let half_a_mode: &[u8] = b"\0\x01name\0octet";
    for bad in [&[0, 1], &[0, 2], unterminated, without_mode, half_a_mode, &rrq([1; 65_498], &[])] {
        let (code, text) = client.ask(bad).refusal();
        assert_eq!(code, 4, "{text}");
        assert!(!text.is_empty());
    }
    let log = server.stop();
    assert_eq!(log.len(), 6);
    for line in log {
        let values = [("kind", "unrecognized"), ("outcome", "refused"), ("code", "4")];
        assert!(line.is(&values), "{line:?}");
    }
}

fn server_with_file() -> (Memtftp, Vec<u8>) {
    let server = serve_in_order(&[]);
    let file = bytes(3_000);
    Raw::new(server.address()).put("file", &file, &[]).unwrap();
    (server, file)
}

#[test]
fn a_wrong_port_is_told_so_and_a_read_goes_on() {
    let (server, file) = server_with_file();
    let mut reader = Raw::new(server.address());
    let begun = reader.ask(&rrq("file", &[]));
    let mut stranger = Raw::new(server.address());
    for packet in [ack(1), ack(2), data(1, b"x"), ack(1)] {
        stranger.send_to(&packet, reader.tid());
        assert_eq!(stranger.receive().refusal().0, 5);
    }
    // An ERROR ends nobody else's transfer, and neither it nor what is no packet is answered.
    for packet in [error(0, "end"), vec![0, 5], vec![], vec![0, 9, 9, 9], bytes(60_000)] {
        stranger.send_to(&packet, reader.tid());
    }
    nothing_was_answered(&mut stranger);
    assert!(reader.get_from(begun).unwrap() == file);
    only(&server.stop(), &[("kind", "read"), ("outcome", "ok"), ("bytes", "3000")]);
}

#[test]
fn a_wrong_port_is_told_so_and_an_upload_goes_on() {
    let (server, _) = server_with_file();
    let mut writer = Raw::new(server.address());
    let begun = writer.ask(&wrq("new", &[]));
    let mut stranger = Raw::new(server.address());
    for packet in [data(1, b"evil"), data(1, &[6; 512]), ack(0)] {
        stranger.send_to(&packet, writer.tid());
        assert_eq!(stranger.receive().refusal().0, 5);
    }
    writer.put_from(begun, &[1; 600]).unwrap();
    assert_eq!(stranger.get("new", &[]).unwrap(), [1; 600]);
}

#[test]
fn an_error_is_never_answered() {
    let (server, _) = server_with_file();
    let mut client = Raw::new(server.address());
    let end = |client: &mut Raw| {
        for _ in 0..2 {
            client.reply(&error(0, "that is all"));
            client.reply(&[0, 5, 0, 0]);
            client.reply(&[0, 5]);
        }
        nothing_was_answered(client);
        // After a refusal.
        client.reply(&error(4, "so there"));
        nothing_was_answered(client);
    };
    client.ask(&rrq("file", &[("tsize", "0")]));
    end(&mut client);
    client.ask(&rrq("file", &[]));
    end(&mut client);
    client.ask(&rrq("file", &[]));
    client.say(&ack(1));
    end(&mut client);
    client.get("file", &[]).unwrap();
    end(&mut client);
    client.ask(&wrq("new", &[("blksize", "600")]));
    end(&mut client);
    client.ask(&wrq("new", &[]));
    client.say(&data(1, &[1; 512]));
    end(&mut client);
    client.put("new", b"x", &[]).unwrap();
    end(&mut client);
}

/// Some firmware sends it there.
#[test]
fn an_error_to_the_listening_port_ends_what_was_not_answered() {
    let (server, _) = server_with_file();
    let mut client = Raw::new(server.address());
    client.ask(&rrq("file", &[]));
    client.send(&error(0, "Early terminate"));
    nothing_was_answered(&mut client);
    let log = server.stop();
    assert_eq!(log.len(), 3, "{log:#?}");
    only(&log, &[("kind", "read"), ("outcome", "aborted"), ("text", "Early terminate")]);
}

/// Anybody may send it there.
#[test]
fn an_error_to_the_listening_port_ends_no_transfer_under_way() {
    let (server, file) = server_with_file();
    let mut client = Raw::new(server.address());
    client.ask(&rrq("file", &[("blksize", "512")]));
    let begun = client.say(&ack(0));
    client.send(&error(0, "Early terminate"));
    assert!(client.get_from(begun).unwrap() == file);
    let log = server.stop();
    only(&log, &[("kind", "unrecognized"), ("outcome", "dropped"), ("reason", "not a request")]);
}

#[test]
fn acks_of_blocks_that_were_not_sent_are_ignored() {
    let (server, file) = server_with_file();
    let mut reader = Raw::new(server.address());
    let begun = reader.ask(&rrq("file", &[]));
    assert!(matches!(begun, Packet::Data(1, _)));
    for block in [2, 3, 100, 65_535, 32_768] {
        reader.reply(&ack(block));
    }
    assert!(reader.get_from(begun).unwrap() == file);
}
