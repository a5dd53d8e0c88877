//! A driver that says no in the place of storage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::net::SocketAddr;

use common::*;
use memtftp_proto::{
    Datagram, DropReason, ErrorCode, Kind, Outcome, Refusal, Route, SocketId, Time, Transmit,
};

fn no() -> Refusal {
    Refusal::new(ErrorCode::FULL, "no")
}

fn route(socket: SocketId, peer: SocketAddr) -> Route {
    Route { socket, peer, local: Some("192.0.2.1".parse().unwrap()) }
}

/// Refuses a datagram; gives the packets that the client gets.
fn refuse(server: &mut Server, socket: SocketId, payload: &[u8]) -> Vec<Vec<u8>> {
    let datagram = Datagram { route: route(socket, server.peer), directed: true, payload };
    server.endpoint.refuse_datagram(Time::ZERO, &datagram, no());
    answers(server)
}

fn answers(server: &mut Server) -> Vec<Vec<u8>> {
    let transmits = std::iter::from_fn(|| server.endpoint.poll_transmit(Time::ZERO));
    let bytes = transmits.map(|transmit| match transmit {
        Transmit::Control { packet, .. } => packet.as_bytes().to_vec(),
        Transmit::Run(run) => format!("{run:?}").into_bytes(),
    });
    bytes.collect()
}

fn error_packet() -> Vec<u8> {
    encode(&error(3, "no"))
}

#[test]
fn a_request_is_refused_as_by_storage() {
    for (request, kind) in [(rrq("f", &[]), Kind::Read), (wrq("f", &[]), Kind::Write)] {
        let mut server = Server::new().file("f", b"x");
        assert_eq!(refuse(&mut server, LISTENING, &request), [error_packet()]);
        let record = server.record();
        assert_eq!((record.kind, record.outcome), (kind, Outcome::Refused(no())));
        server.ends_clean();
    }
}

#[test]
fn a_repeat_of_a_request_ends_what_the_first_began() {
    let mut server = Server::new().file("f", b"x");
    server.request(&rrq("f", &[]));
    assert_eq!(refuse(&mut server, LISTENING, &rrq("f", &[])), [error_packet()]);
    assert_eq!(server.record().outcome, Outcome::Refused(no()));
    server.ends_clean();
}

#[test]
fn a_packet_of_a_transfer_ends_it() {
    let mut server = Server::new();
    server.request(&wrq("f", &[]));
    let tid = server.tid;
    assert_eq!(refuse(&mut server, tid, &encode(&data(1, &[0; 512]))), [error_packet()]);
    assert_eq!(server.record().outcome, Outcome::Refused(no()));
    assert_eq!(server.content("f"), None);
    assert_eq!(refuse(&mut server, tid, &encode(&data(1, b"x"))), [[0; 0]; 0]);
    assert_eq!(server.endpoint.counters().dropped(DropReason::Stray), 1);
    server.ends_clean();
}

#[test]
fn errors_and_strangers_get_no_answer() {
    let mut server = Server::new().file("f", b"x");
    server.request(&rrq("f", &[]));
    let tid = server.tid;
    assert_eq!(refuse(&mut server, tid, &encode(&error(0, "stop"))), [[0; 0]; 0]);
    let other = SocketId(if tid.0 == 1 { 2 } else { 1 });
    assert_eq!(refuse(&mut server, other, &encode(&ack(1))), [[0; 0]; 0]);
    assert_eq!(server.endpoint.live_sessions(), 1);

    let here = route(tid, server.peer);
    assert!(server.endpoint.refuse_transfer(Time::ZERO, &here, no()));
    assert!(!server.endpoint.refuse_transfer(Time::ZERO, &here, no()), "it is over");
    assert_eq!(answers(&mut server), [error_packet()]);
    assert_eq!(server.record().outcome, Outcome::Refused(no()));
    server.ends_clean();
}
