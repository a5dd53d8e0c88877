//! Many clients at once: nobody waits for the end of another's window.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use memtftp_proto::{Datagram, Route, SocketId, Time, Transmit};

const MAX_RUN: u16 = 32;
const LOCK_STEP: u16 = 40;

/// What the endpoint has to send after these datagrams, in order: whose it is, by port, and how many
/// blocks.
fn order(server: &mut Server, arrived: &[(SocketId, u16, Say)]) -> Vec<(u16, u16)> {
    let now = Time::from_micros(1_000);
    for (socket, port, say) in arrived {
        let mut peer = server.peer;
        peer.set_port(*port);
        let route = Route { socket: *socket, peer, local: Some("192.0.2.1".parse().unwrap()) };
        let payload = encode(say);
        server
            .endpoint
            .handle_datagram(now, &Datagram { route, directed: true, payload: &payload });
    }
    let mut order = Vec::new();
    while let Some(transmit) = server.endpoint.poll_transmit(now) {
        let Transmit::Run(run) = transmit else { panic!("{transmit:?}") };
        order.push((run.route.peer.port(), run.blocks));
    }
    order
}

#[test]
fn a_large_window_does_not_hold_up_clients_in_lock_step() {
    let mut server = Server::with(|config| config.max_run = MAX_RUN);
    server = server.file("f", &bytes(512 * 4_000));
    let mut arrived = Vec::new();
    server.peer.set_port(1_000);
    server.request(&rrq("f", &[("windowsize", "2000")]));
    arrived.push((server.tid, 1_000, ack(0)));
    for port in 2_000..2_000 + LOCK_STEP {
        server.peer.set_port(port);
        server.request(&rrq("f", &[]));
        arrived.push((server.tid, port, ack(1)));
    }
    let order = order(&mut server, &arrived);
    // One run of the window, one block for each of the others, then the rest of the window.
    let (first, rest) = order.split_first().unwrap();
    assert_eq!(*first, (1_000, MAX_RUN));
    let (others, rest) = rest.split_at(usize::from(LOCK_STEP));
    assert!(others.iter().all(|(port, blocks)| *port >= 2_000 && *blocks == 1), "{others:?}");
    assert!(rest.iter().all(|(port, blocks)| *port == 1_000 && *blocks <= MAX_RUN), "{rest:?}");
    let sent: u16 = rest.iter().map(|(_, blocks)| blocks).sum();
    assert_eq!(sent + MAX_RUN, 2_000);
}

#[test]
fn large_windows_take_turns() {
    let mut server = Server::with(|config| config.max_run = MAX_RUN);
    server = server.file("f", &bytes(512 * 400));
    let mut arrived = Vec::new();
    for port in [1_000, 1_001, 1_002] {
        server.peer.set_port(port);
        server.request(&rrq("f", &[("windowsize", "96")]));
        arrived.push((server.tid, port, ack(0)));
    }
    let turn = [(1_000, MAX_RUN), (1_001, MAX_RUN), (1_002, MAX_RUN)];
    assert_eq!(order(&mut server, &arrived), [turn, turn, turn].concat());
}
