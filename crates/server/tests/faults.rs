//! A server with a fault plan: each fault in each direction.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use memtftp_server::{
    ErrorCode, Fault, FaultPlan, Opcode, Outcome, Packets, RequestRecord, Server,
};
use testkit::{Packet, Raw, ack, bytes, data, rrq, wrq};

const SOON: Duration = Duration::from_secs(30);

/// Longer than any answer takes, so that an order can be told; a test waits for it once.
const LATER: Duration = Duration::from_millis(60);

/// A server with one rule and a file `f` of three blocks.
fn server(packets: Packets, fault: Fault) -> Server {
    let plan = FaultPlan::seeded(1).on(packets, fault);
    let server = Server::builder().keep_records(100).faults(plan).start().unwrap();
    server.put("f", bytes(1_100)).unwrap();
    server
}

fn sent(kind: Opcode) -> Packets {
    Packets::to_client().kind(kind)
}

fn received(kind: Opcode) -> Packets {
    Packets::from_client().kind(kind)
}

/// The one record of the server, as soon as it is there.
fn record(server: &Server) -> RequestRecord {
    server.wait_for_record(SOON, |_| true).unwrap()
}

/// The blocks of `f` in the order they come, in one window, until `count` have come.
fn blocks(server: &Server, count: usize) -> Vec<(u16, Vec<u8>)> {
    let mut client = Raw::new(server.address());
    let oack = client.ask(&rrq("f", &[("windowsize", "4")]));
    assert!(matches!(oack, Packet::Oack(_)), "{oack:?}");
    client.reply(&ack(0));
    let blocks = (0..count).map(|_| match client.receive_any() {
        Packet::Data(block, bytes) => (block, bytes),
        other => panic!("no block: {other:?}"),
    });
    let blocks = blocks.collect();
    client.reply(&ack(3));
    blocks
}

fn numbers(blocks: &[(u16, Vec<u8>)]) -> Vec<u16> {
    blocks.iter().map(|(block, _)| *block).collect()
}

#[test]
fn a_lost_block_is_sent_again() {
    let server = server(sent(Opcode::Data).block(2).nth(1), Fault::Lost);
    assert_eq!(Raw::new(server.address()).get("f", &[]).unwrap(), bytes(1_100));
    let record = record(&server);
    assert!(record.is_complete() && record.retransmissions() > 0, "{record}");
    assert_eq!(server.faults_met(), 1);
}

#[test]
fn a_lost_request_gets_no_answer() {
    let server = server(received(Opcode::Read).nth(1), Fault::Lost);
    let mut client = Raw::new(server.address());
    client.send(&rrq("f", &[]));
    assert!(matches!(client.ask(&rrq("missing", &[])), Packet::Error(1, _)));
    assert_eq!((record(&server).file(), server.faults_met()), ("missing".into(), 1));
}

#[test]
fn a_late_packet_takes_its_time() {
    for packets in [received(Opcode::Read), sent(Opcode::Error)] {
        let server = server(packets, Fault::Late(LATER));
        let started = Instant::now();
        // Nobody sends these again.
        let answer = Raw::new(server.address()).ask(&rrq("missing", &[]));
        assert_eq!(answer.refusal().0, 1);
        assert!(started.elapsed() >= LATER);
        assert_eq!(server.faults_met(), 1);
    }
}

#[test]
fn a_packet_can_come_twice() {
    let server = server(sent(Opcode::Data).block(1).nth(1), Fault::Twice);
    let blocks = blocks(&server, 4);
    assert_eq!(numbers(&blocks), [1, 1, 2, 3]);
    assert!(record(&server).is_complete());
}

#[test]
fn a_request_can_come_twice() {
    let server = server(received(Opcode::Read), Fault::Twice);
    assert_eq!(Raw::new(server.address()).get("f", &[]).unwrap(), bytes(1_100));
    assert_eq!(record(&server).repeats(), 1);
}

#[test]
fn blocks_can_change_places() {
    let server = server(sent(Opcode::Data).block(1).nth(1), Fault::Swapped);
    let blocks = blocks(&server, 3);
    assert_eq!(numbers(&blocks), [2, 1, 3]);
}

#[test]
fn uploaded_blocks_can_change_places() {
    let server = server(received(Opcode::Data).block(1).nth(1), Fault::Swapped);
    let mut client = Raw::new(server.address());
    client.ask(&wrq("up", &[("windowsize", "2")]));
    client.reply(&data(1, &[1; 512]));
    client.reply(&data(2, &[2; 9]));
    // DATA 2 came first and was of no use: after the gap only DATA 1 is there.
    assert_eq!(client.receive(), Packet::Ack(1));
    assert_eq!(client.say(&data(2, &[2; 9])), Packet::Ack(2));
    assert_eq!(server.wait_for_upload("up", SOON).unwrap().len(), 521);
}

#[test]
fn a_byte_can_be_damaged_at_a_place() {
    let server = server(sent(Opcode::Data).block(2), Fault::DamagedAt(4 + 7));
    let mut client = Raw::new(server.address());
    client.ask(&rrq("f", &[]));
    let Packet::Data(2, got) = client.say(&ack(1)) else { panic!("no DATA 2") };
    let sent = &bytes(1_100)[512..1_024];
    let differ: Vec<usize> = (0..512).filter(|at| sent[*at] != got[*at]).collect();
    assert_eq!((differ, got.len()), (vec![7], 512));
}

#[test]
fn damage_follows_the_seed() {
    let upload = |seed| {
        let packets = received(Opcode::Data).block(1);
        let plan = FaultPlan::seeded(seed).on(packets, Fault::DamagedAt(usize::MAX));
        let server = Server::builder().faults(plan).start().unwrap();
        Raw::new(server.address()).put("up", &[0; 100], &[]).unwrap();
        server.wait_for_upload("up", SOON).unwrap().as_ref().to_vec()
    };
    let first = upload(7);
    assert_eq!((&first[..99], first[99] == 0), (&[0; 99][..], false), "past the end is the last");
    assert_eq!(first, upload(7));
    assert_ne!(first, upload(8));
}

#[test]
fn damage_anywhere_changes_one_byte() {
    let server = server(received(Opcode::Read).nth(1), Fault::Damaged);
    Raw::new(server.address()).send(&rrq("f", &[]));
    let (asked, came) = (rrq("f", &[]), record(&server).datagram().to_vec());
    let differ = asked.iter().zip(&came).filter(|(asked, came)| asked != came).count();
    assert_eq!((differ, came.len()), (1, asked.len()));
}

#[test]
fn a_request_can_be_refused() {
    let server = server(received(Opcode::Read).nth(2), Fault::error(4, "not today"));
    let mut client = Raw::new(server.address());
    client.get("f", &[]).unwrap();
    let refused = Raw::new(server.address()).ask(&rrq("f", &[]));
    assert_eq!(refused, Packet::Error(4, "not today".into()));
    let refused = |record: &RequestRecord| match record.outcome() {
        Outcome::Refused(refusal) => {
            refusal.code == ErrorCode::ILLEGAL && refusal.reason().contains("fault plan")
        }
        _ => false,
    };
    assert_eq!(server.wait_for_record(SOON, refused).unwrap().file(), "f");
    client.get("f", &[]).unwrap();
}

#[test]
fn an_error_in_the_place_of_a_packet_ends_the_transfer() {
    for packets in [received(Opcode::Ack).block(1), sent(Opcode::Data).block(2)] {
        let server = server(packets, Fault::error(0, "the disk is gone"));
        let got = Raw::new(server.address()).get("f", &[]);
        assert_eq!(got, Err(Packet::Error(0, "the disk is gone".into())));
        let record = record(&server);
        assert!(matches!(record.outcome(), Outcome::Refused(_)), "{record}");
        assert_eq!(server.faults_met(), 1);
    }
}

#[test]
fn an_error_in_the_place_of_the_last_ack_leaves_the_upload() {
    let server = server(sent(Opcode::Ack).block(1), Fault::error(3, "disk full"));
    let put = Raw::new(server.address()).put("up", b"new", &[]);
    assert_eq!(put, Err(Packet::Error(3, "disk full".into())));
    assert_eq!(server.wait_for_upload("up", SOON).unwrap().as_ref(), b"new");
    assert!(record(&server).is_complete());
}

#[test]
fn an_error_is_never_answered() {
    let any = Fault::error(0, "no");
    let plan = FaultPlan::seeded(1).on(received(Opcode::Error), any.clone());
    let plan = plan.on(sent(Opcode::Error), any);
    let server = Server::builder().faults(plan).start().unwrap();
    let mut client = Raw::new(server.address());
    client.send(&testkit::error(0, "hello"));
    let answer = client.ask(&rrq("missing", &[]));
    assert_eq!(answer, Packet::Error(1, "file not found".into()), "an ERROR stays as it is");
}

#[test]
fn a_rule_can_be_for_one_client_and_one_file() {
    let mut bad = Raw::new("127.0.0.1:9".parse().unwrap());
    let of_client = Packets::from_client().client_port(bad.port());
    let server = server(of_client.client([127, 0, 0, 1].into()).nth(1), Fault::error(0, "you"));
    bad.send_to(&rrq("f", &[]), server.address());
    assert_eq!(bad.receive(), Packet::Error(0, "you".into()));
    Raw::new(server.address()).get("f", &[]).unwrap();

    let server = self::server(sent(Opcode::Data).file("/f").block(2), Fault::error(0, "it"));
    server.put("g", bytes(1_100)).unwrap();
    let mut client = Raw::new(server.address());
    assert_eq!(client.get("g", &[]).unwrap(), bytes(1_100));
    assert_eq!(client.get("f", &[]), Err(Packet::Error(0, "it".into())));
}

#[test]
fn chance_repeats_with_the_seed() {
    // The way to the server, because this client never repeats itself.
    let run = |seed| {
        let damaged = received(Opcode::Data).chance(0.2);
        let plan = FaultPlan::seeded(seed).on(damaged, Fault::DamagedAt(9));
        let server = Server::builder().faults(plan).start().unwrap();
        Raw::new(server.address()).put("up", &[0; 30 * 512], &[]).unwrap();
        let came = server.wait_for_upload("up", SOON).unwrap();
        came.as_ref().chunks(512).map(|block| block != [0; 512]).collect::<Vec<_>>()
    };
    let first = run(7);
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    assert_eq!(first, run(7));
}
