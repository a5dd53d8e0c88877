//! What arrives on the listening socket: requests of every kind, and what is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use memtftp_proto::{
    Datagram, DropReason, ErrorCode, Kind, MAX_REQUEST, Outcome, Packet, Progress, Route, SocketId,
    Time,
};
use proptest::prelude::*;

const BAD_MODE: &str = "mode is not supported, use octet or netascii";

#[test]
fn only_requests_are_answered_on_the_listening_port() {
    let others: [&[u8]; 11] = [
        b"",
        b"\0",
        b"\0\x01"[..1].as_ref(),
        b"\0\0",
        b"\0\x03\0\x01data",
        b"\0\x04\0\0",
        b"\0\x05\0\0stop\0",
        b"\0\x05\0\0",
        b"\0\x06blksize\x008\0",
        b"\0\x07f\0octet\0",
        &[0xff; 600],
    ];
    for datagram in others {
        let mut server = Server::new();
        assert_eq!(server.request(datagram), [], "{datagram:?}");
        let record = server.record();
        assert_eq!(record.kind, Kind::Unrecognized);
        assert_eq!(record.outcome, Outcome::Dropped(DropReason::NotARequest));
        assert_eq!(record.request_len, datagram.len());
        server.ends_clean();
    }
}

#[test]
fn a_truncated_request_is_refused() {
    let whole = rrq("file", &[]);
    for len in 2..whole.len() {
        let mut server = Server::new();
        let sent = server.request(&whole[..len]);
        assert!(matches!(&sent[..], [Say::Error(4, _)]), "{len}: {sent:?}");
        let record = server.record();
        assert_eq!(record.kind, Kind::Unrecognized);
        assert!(matches!(record.outcome, Outcome::Refused(r) if r.code == ErrorCode::ILLEGAL));
    }
}

#[test]
fn odd_endings_do_not_spoil_a_request() {
    let mut hp = rrq("f", &[]);
    hp.resize(MAX_REQUEST, 0xaa);
    let nuls = [rrq("f", &[]), vec![0; 40]].concat();
    let cut = [rrq("f", &[]), b"blksize\x0014".to_vec()].concat();
    for datagram in [hp, nuls, cut] {
        let mut server = Server::new().file("f", b"x");
        assert_eq!(server.request(&datagram), [data(1, b"x")]);
    }
    // Vendor options with empty values do not hide what follows them.
    let mut server = Server::new().file("f", b"x");
    let options = [("grandstream_MODEL", ""), ("blksize", "8")];
    assert_eq!(server.request(&rrq("f", &options)), [oack(&[("blksize", "8")])]);
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let mut server = Server::new();
    let mut datagram = rrq("f", &[]);
    datagram.resize(MAX_REQUEST + 1, 0);
    assert_eq!(server.request(&datagram), [error(4, "request of 517 bytes is longer than 516")]);
    assert_eq!(server.record().kind, Kind::Unrecognized);
    datagram.resize(65_507, 0);
    assert!(matches!(&server.request(&datagram)[..], [Say::Error(4, _)]));
    assert_eq!(server.record().request.len(), MAX_REQUEST);
}

#[test]
fn modes() {
    for mode in ["octet", "OCTET", "oCtEt", "netascii", "NetASCII"] {
        let mut server = Server::new().file("f", b"x");
        assert_eq!(server.request(&request(1, "f", mode, &[])), [data(1, b"x")], "{mode}");
    }
    for mode in ["mail", "MAIL", "foo", "", "octet "] {
        for opcode in [1, 2] {
            let mut server = Server::new().file("f", b"x");
            let sent = server.request(&request(opcode, "f", mode, &[]));
            assert_eq!(sent, [error(4, BAD_MODE)], "{mode}");
            assert_eq!(server.record().kind, [Kind::Read, Kind::Write][usize::from(opcode) - 1]);
        }
    }
}

#[test]
fn requests_from_service_ports_are_dropped() {
    for port in [0, 7, 11, 13, 17, 19, 37, 53, 111, 123] {
        let mut server = Server::new().file("f", b"x");
        server.peer.set_port(port);
        assert_eq!(server.request(&rrq("f", &[])), [], "port {port}");
        assert_eq!(server.record().outcome, Outcome::Dropped(DropReason::ServicePort));
        assert_eq!(server.request(&rrq("f", &[])[..4]), [], "malformed, port {port}");
    }
}

/// Boot firmware may ask from any port, even from that of TFTP.
#[test]
fn clients_on_any_other_port_are_served() {
    for port in [1, 9, 67, 68, 69, 70, 161, 1_023, 1_900, u16::MAX] {
        for request in [rrq("f", &[]), rrq("f", &[("tsize", "0")]), wrq("g", &[])] {
            let mut server = Server::new().file("f", b"x");
            server.peer.set_port(port);
            assert!(!matches!(server.request(&request)[..], [] | [Say::Error(..)]), "port {port}");
        }
        let mut server = Server::new();
        server.peer.set_port(port);
        let stray = server.datagram(SocketId(1), server.peer, &encode(&ack(1)));
        assert_eq!(stray, [error(5, "unknown transfer ID")], "port {port}");
    }
}

#[test]
fn packets_of_no_transfer_to_a_broadcast_address_get_no_answer() {
    for socket in [LISTENING, SocketId(1)] {
        let mut server = Server::new();
        for say in [data(1, b"x"), ack(0), ack(1), error(0, ""), oack(&[])] {
            let route = Route { socket, peer: server.peer, local: None };
            let payload = encode(&say);
            let datagram = Datagram { route, directed: false, payload: &payload };
            server.endpoint.handle_datagram(Time::ZERO, &datagram);
            assert!(server.endpoint.poll_transmit(Time::ZERO).is_none(), "{say:?}");
        }
    }
}

/// Nor may they end one.
#[test]
fn packets_to_a_broadcast_address_belong_to_no_transfer() {
    for mut server in [Server::new(), Server::single_port()] {
        server = server.file("f", &bytes(2_000));
        assert_eq!(server.request(&rrq("f", &[])).len(), 1);
        let route = Route { socket: server.tid, peer: server.peer, local: server.local() };
        for say in [error(0, ""), ack(1)] {
            let payload = encode(&say);
            let datagram = Datagram { route, directed: false, payload: &payload };
            server.endpoint.handle_datagram(server.now, &datagram);
            assert!(server.endpoint.poll_transmit(server.now).is_none(), "{say:?}");
        }
        assert_eq!(server.says(&ack(1)), [data(2, &bytes(2_000)[512..1_024])]);
    }
}

#[test]
fn requests_to_a_broadcast_address_are_dropped() {
    let mut server = Server::new().file("f", b"x");
    let route = Route { socket: LISTENING, peer: server.peer, local: None };
    let payload = rrq("f", &[]);
    let datagram = Datagram { route, directed: false, payload: &payload };
    server.endpoint.handle_datagram(Time::ZERO, &datagram);
    assert!(server.endpoint.poll_transmit(Time::ZERO).is_none());
    assert_eq!(server.record().outcome, Outcome::Dropped(DropReason::NotDirected));
}

#[test]
fn over_the_bounds_the_answer_is_busy() {
    let busy = [error(0, "server is busy, try again later")];
    let mut server = Server::with(|config| {
        config.max_sessions = 3;
        config.max_sessions_per_client = 2;
    })
    .file("f", &bytes(600));
    let begin = |server: &mut Server| {
        assert!(matches!(&server.request(&rrq("f", &[]))[..], [Say::Data(1, _)]));
        assert!(matches!(&server.says(&ack(1))[..], [Say::Data(2, _)]));
    };
    for port in [1, 2] {
        server.peer.set_port(2000 + port);
        begin(&mut server);
    }
    server.peer.set_port(2003);
    assert_eq!(server.request(&rrq("f", &[])), busy);
    server.peer = "192.0.2.8:2000".parse().unwrap();
    begin(&mut server);
    let tid = server.tid;
    server.peer = "192.0.2.9:2000".parse().unwrap();
    assert_eq!(server.request(&rrq("f", &[])), busy);
    assert_eq!(server.endpoint.live_sessions(), 3);
    // A finished transfer makes room.
    server.datagram(tid, "192.0.2.8:2000".parse().unwrap(), &encode(&error(0, "")));
    server.peer = "192.0.2.9:2000".parse().unwrap();
    assert!(matches!(&server.request(&rrq("f", &[]))[..], [Say::Data(..)]));
    server.ends_clean();
}

#[test]
fn a_client_at_its_bound_has_room_again_however_its_transfers_end() {
    let mut server = Server::with(|config| config.max_sessions_per_client = 1).file("f", b"x");
    let mut now = 0;
    for round in 0..5 {
        let says = |server: &mut Server, request: &[u8]| {
            server.peer.set_port(server.peer.port() + 1);
            let sent = server.request(request);
            assert!(!matches!(sent[..], [Say::Error(0, _)]), "round {round}: {sent:?}");
        };
        says(&mut server, &rrq("f", &[]));
        server.says(&ack(1));
        says(&mut server, &wrq("g", &[]));
        server.says(&data(1, b"all"));
        says(&mut server, &rrq("f", &[]));
        server.says(&error(0, ""));
        says(&mut server, &rrq("nowhere", &[]));
        says(&mut server, &wrq("g", &[]));
        // The same port again: the upload before is given up for the read.
        assert_eq!(server.request(&rrq("f", &[])), [data(1, b"x")]);
        now += 61_000;
        server.run_until(now);
    }
    assert_eq!(server.endpoint.live_sessions(), 0);
    server.ends_clean();
}

#[test]
fn finished_sessions_are_forgotten_early_when_there_are_many() {
    let mut server = Server::with(|config| config.max_lingering = 10).file("f", b"x");
    for port in 0..100 {
        server.peer.set_port(2000 + port);
        server.request(&rrq("f", &[]));
        server.says(&ack(1));
    }
    assert_eq!(server.endpoint.sessions(), 10);
    assert_eq!(server.endpoint.counters().forgotten, 90);
    server.ends_clean();
}

#[test]
fn a_flood_of_requests_does_not_push_out_uploads_that_wait_for_their_last_ack() {
    let mut server = Server::with(|config| config.max_lingering = 10);
    server.request(&wrq("f", &[]));
    server.says(&data(1, b"abc"));
    let (peer, tid) = (server.peer, server.tid);
    for port in 3000..3100 {
        server.peer.set_port(port);
        assert_eq!(server.request(&rrq("missing", &[])), [error(1, "file not found")]);
    }
    assert_eq!(server.datagram(tid, peer, &encode(&data(1, b"abc"))), [ack(1)]);
}

#[test]
fn clients_that_are_not_served_hear_so_within_bounds_and_before_anything_else() {
    let mut server = Server::new().file("f", b"x");
    server.endpoint.files().unserved = Some(server.peer.ip());
    let refused = [error(2, "not served")];
    assert_eq!(server.request(&rrq("f", &[])), refused);
    assert_eq!(server.request(&request(1, "f", "mail", &[])), refused);
    assert_eq!(server.request(b"\0\x01f"), refused);
    server.endpoint.drain();
    assert_eq!(server.request(&rrq("f", &[])), refused);
    let answered = (0..1000).filter(|_| !server.request(&rrq("f", &[])).is_empty()).count();
    assert_eq!(answered, 96);
    assert_eq!(server.endpoint.counters().dropped(DropReason::NotServed), 904);
    assert_eq!(server.records().len(), 1004);
    server.ends_clean();
}

#[test]
fn every_client_is_told_of_a_shutdown() {
    let mut server = Server::with(|config| {
        config.max_sessions_per_client = 10_000;
        config.max_half_open_per_client = 10_000;
        config.max_requests_per_client = 10_000;
    })
    .file("f", &bytes(600));
    for port in 1_000..11_000 {
        server.peer.set_port(port);
        server.request(&rrq("f", &[]));
    }
    server.endpoint.shut_down(Time::ZERO);
    let sent = std::iter::from_fn(|| server.endpoint.poll_transmit(Time::ZERO)).count();
    assert_eq!((sent, server.records().len()), (10_000, 10_000));
}

#[test]
fn draining_refuses_new_requests_and_lets_transfers_finish() {
    let mut server = Server::new().file("f", &bytes(600));
    server.request(&rrq("f", &[]));
    server.endpoint.drain();
    assert_eq!(server.request(&rrq("f", &[])).len(), 1, "a repeat is no new request");
    let tid = server.tid;
    server.peer.set_port(2001);
    assert_eq!(server.request(&rrq("f", &[])), [error(0, "server is shutting down")]);
    server.peer.set_port(2000);
    server.tid = tid;
    server.says(&ack(1));
    server.says(&ack(2));
    assert_eq!(server.endpoint.live_sessions(), 0);
}

#[test]
fn shutting_down_tells_every_client_and_records_every_transfer() {
    let mut server = Server::new().file("f", &bytes(600));
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    server.peer.set_port(2001);
    server.request(&wrq("g", &[]));
    server.endpoint.shut_down(Time::from_micros(5));
    let records = server.records();
    assert!(records.iter().all(|record| record.outcome == Outcome::Shutdown));
    assert_eq!(records.len(), 2);
    for _ in 0..2 {
        assert!(server.endpoint.poll_transmit(Time::from_micros(5)).is_some());
    }
    server.ends_clean();
}

proptest! {
    #[test]
    fn parsing_never_panics_and_what_is_read_is_written_alike(
        datagram in prop::collection::vec(any::<u8>(), 0..100),
        opcode in 0u8..8,
    ) {
        let datagram = [&[0, opcode][..], &datagram].concat();
        if let Ok(packet) = Packet::parse(&datagram) {
            let mut wire = Vec::new();
            packet.encode(&mut wire);
            let again = Packet::parse(&wire);
            prop_assert_eq!(again, Ok(packet));
        }
    }

    #[test]
    fn no_bytes_on_any_socket_break_the_endpoint(
        steps in prop::collection::vec(
            (0u16..6, 1u16..4, 0u8..8, prop::collection::vec(any::<u8>(), 0..20), 0u64..3000),
            1..60,
        ),
    ) {
        let mut server = Server::with(|config| {
            config.max_half_open = 2;
            config.max_uploads = 2;
            config.max_requests_per_client = 3;
            config.max_transfer_time = std::time::Duration::from_secs(5);
        })
        .file("f", &bytes(100))
        .file("", b"");
        let mut now = 0;
        for (socket, port, opcode, tail, pause) in steps {
            now += pause;
            server.run_until(now);
            let peer = format!("192.0.2.7:{}", 2000 + port).parse().unwrap();
            let payload = match tail.first() {
                Some(first) if *first < 80 => rrq("f", &[("blksize", "8"), ("windowsize", "3")]),
                Some(first) if *first < 120 => wrq("g", &[("blksize", "8")]),
                _ => [&[0, opcode][..], &tail].concat(),
            };
            server.datagram(memtftp_proto::SocketId(socket), peer, &payload);
            let snapshot = server.endpoint.snapshot(Time::from_micros(now * 1_000), usize::MAX);
            let count = |wanted: fn(&Progress) -> bool| {
                snapshot.longest.iter().filter(|progress| wanted(progress)).count()
            };
            prop_assert_eq!(count(|_| true), server.endpoint.live_sessions());
            prop_assert_eq!(count(|progress| progress.half_open), snapshot.half_open);
            prop_assert_eq!(count(|progress| progress.kind == Kind::Write), snapshot.uploads);
            prop_assert!(snapshot.half_open <= 2 && snapshot.uploads <= 2);
        }
        server.ends_clean();
    }
}
