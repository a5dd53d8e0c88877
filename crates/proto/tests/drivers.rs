//! What a driver may ask an endpoint, and what becomes of one that does not drain it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::{
    Datagram, DropReason, ErrorCode, Kind, Refusal, Route, SocketId, Time, Transmit,
};

fn route(server: &Server, socket: SocketId) -> Route {
    Route { socket, peer: server.peer, local: Some("192.0.2.1".parse().unwrap()) }
}

#[test]
fn the_port_of_a_running_transfer_is_known_until_it_is_over() {
    let mut server = Server::new().file("f", b"short");
    let listening = route(&server, LISTENING);
    assert_eq!(server.endpoint.runs_elsewhere(&listening), None);
    server.request(&rrq("f", &[]));
    assert_eq!(server.endpoint.runs_elsewhere(&listening), Some(server.tid));
    // Asked for a port of a transfer, or for one that is none of ours, there is no other.
    for socket in [server.tid, SocketId(99)] {
        assert_eq!(server.endpoint.runs_elsewhere(&route(&server, socket)), None);
    }
    server.says(&ack(1));
    assert_eq!(server.endpoint.runs_elsewhere(&listening), None);
    server.ends_clean();

    let mut server = Server::single_port().file("f", b"short");
    server.request(&rrq("f", &[]));
    assert_eq!(server.endpoint.runs_elsewhere(&route(&server, LISTENING)), None);
}

#[test]
fn a_run_is_not_lent_once_its_transfer_is_over() {
    let mut server = Server::new().file("f", b"short");
    let route = route(&server, LISTENING);
    let take = |server: &mut Server, route, payload: &[u8]| {
        let datagram = Datagram { route, directed: true, payload };
        server.endpoint.handle_datagram(Time::ZERO, &datagram);
    };
    take(&mut server, route, &rrq("f", &[]));
    let Some(Transmit::Run(run)) = server.endpoint.poll_transmit(Time::ZERO) else { panic!() };
    assert_eq!(server.endpoint.payload(&run), Some(&b"short"[..]));
    // The last ACK comes before the driver could send: it was to a copy of the block.
    take(&mut server, run.route, &encode(&ack(1)));
    assert_eq!(server.endpoint.payload(&run), None);
    server.ends_clean();
    let mut server = Server::new().file("f", b"short");
    take(&mut server, route, &rrq("f", &[]));
    let Some(Transmit::Run(run)) = server.endpoint.poll_transmit(Time::ZERO) else { panic!() };
    take(&mut server, run.route, &encode(&error(0, "")));
    assert_eq!(server.endpoint.payload(&run), None);
    server.ends_clean();
}

#[test]
fn only_committed_uploads_count_as_dallying() {
    let mut server = Server::new().file("f", b"short");
    server.request(&rrq("f", &[]));
    server.says(&ack(1));
    assert_eq!((server.endpoint.dallying_sessions(), server.endpoint.sessions()), (0, 1));
    server.peer.set_port(2_001);
    server.request(&wrq("g", &[]));
    assert_eq!(server.endpoint.dallying_sessions(), 0);
    server.says(&data(1, b"all"));
    assert_eq!((server.endpoint.dallying_sessions(), server.endpoint.live_sessions()), (1, 0));
    server.ends_clean();
}

#[test]
fn a_record_can_be_read_again() {
    let mut server = Server::new();
    server.request(&rrq("nowhere", &[("blksize", "8")]));
    let record = server.record();
    let request = record.parse_request().unwrap();
    assert_eq!((request.name, request.options.iter().count()), (&b"nowhere"[..], 1));
    server.datagram(LISTENING, server.peer, b"\0\x01unterminated");
    let record = server.record();
    assert_eq!((record.kind, record.parse_request()), (Kind::Unrecognized, None));
}

#[test]
fn an_operator_reads_more_than_a_client() {
    let refusal = Refusal::new(ErrorCode::ACCESS, "access denied");
    assert_eq!(refusal.reason(), "access denied");
    let refusal = refusal.because("no client may write");
    assert_eq!((refusal.reason(), &*refusal.text), ("no client may write", "access denied"));
}

#[test]
fn answers_that_a_driver_does_not_take_are_dropped_at_a_bound_and_counted() {
    let mut server = Server::with(|config| config.max_requests_per_client = 10_000);
    let request = rrq("nowhere", &[]);
    let mut route = route(&server, LISTENING);
    for port in 10_000..15_000 {
        route.peer.set_port(port);
        let datagram = Datagram { route, directed: true, payload: &request };
        server.endpoint.handle_datagram(Time::ZERO, &datagram);
    }
    let waiting = std::iter::from_fn(|| server.endpoint.poll_transmit(Time::ZERO));
    let peers: Vec<u16> = waiting.map(|transmit| transmit.route().peer.port()).collect();
    assert_eq!(peers, (10_000..14_096).collect::<Vec<_>>(), "the first are kept");
    assert_eq!(server.endpoint.counters().dropped(DropReason::QueueFull), 5_000 - 4_096);
    // The requests themselves were all seen, and it goes on.
    assert_eq!(server.records().len(), 5_000);
    assert_eq!(server.request(&request), [error(1, "file not found")]);
    server.ends_clean();
}
