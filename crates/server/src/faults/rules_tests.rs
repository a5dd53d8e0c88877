use std::net::SocketAddr;

use memtftp_proto::Opcode;
use memtftp_store::Name;

use super::super::plan::Direction;
use super::*;

fn data(block: u16) -> Sight<'static> {
    Sight {
        direction: Direction::ToClient,
        kind: Some(Opcode::Data),
        block: Some(block),
        client: SocketAddr::new([192, 0, 2, 7].into(), 2000),
        file: None,
    }
}

/// Which of the first `count` DATA packets meet a fault.
fn hits(plan: FaultPlan, count: u16) -> Vec<u16> {
    let rules = Rules::new(plan);
    (1..=count).filter(|block| rules.judge(&data(*block)).is_some()).collect()
}

#[test]
fn conditions_all_count() {
    let file = Name::parse(b"boot/a").unwrap();
    let sight = Sight { file: Some(&file), ..data(3) };
    let to = Packets::to_client;
    for (packets, selects) in [
        (to(), true),
        (Packets::from_client(), false),
        (to().kind(Opcode::Data).block(3).client_port(2000), true),
        (to().kind(Opcode::Ack), false),
        (to().block(4), false),
        (to().client([192, 0, 2, 7].into()), true),
        (to().client([192, 0, 2, 8].into()), false),
        (to().client_port(2001), false),
        (to().file("\\boot\\a"), true),
        (to().file("boot/b"), false),
        (to().file("../a"), false),
    ] {
        assert_eq!(packets.select(&sight), selects, "{packets:?}");
    }
    assert!(!to().file("../a").select(&data(1)), "a bad name does not stand for no file");
}

#[test]
fn numbers_select() {
    let lost = |packets| hits(FaultPlan::seeded(1).on(packets, Fault::Lost), 6);
    assert_eq!(lost(Packets::to_client()), [1, 2, 3, 4, 5, 6]);
    assert_eq!(lost(Packets::to_client().nth(3)), [3]);
    assert_eq!(lost(Packets::to_client().first(2)), [1, 2]);
    assert!(lost(Packets::to_client().chance(0.0)).is_empty());
    assert_eq!(lost(Packets::to_client().chance(1.0)).len(), 6);
}

#[test]
fn the_first_rule_that_applies_decides_and_all_count() {
    let second = || Packets::to_client().nth(2);
    let plan = FaultPlan::seeded(1).on(second(), Fault::Lost).on(second(), Fault::Twice);
    let rules = Rules::new(plan.on(Packets::to_client().nth(3), Fault::Swapped));
    let faults: Vec<_> =
        (1..=4).map(|block| rules.judge(&data(block)).map(|(fault, _)| fault.clone())).collect();
    assert_eq!(faults, [None, Some(Fault::Lost), Some(Fault::Swapped), None]);
    assert_eq!(rules.met(), 2);
}

#[test]
fn chance_follows_the_seed() {
    let plan = |seed| FaultPlan::seeded(seed).on(Packets::to_client().chance(0.2), Fault::Lost);
    let hit = hits(plan(7), 10_000);
    assert_eq!(hit, hits(plan(7), 10_000));
    assert_ne!(hit, hits(plan(8), 10_000));
    assert!((1_800..2_200).contains(&hit.len()), "{}", hit.len());
}
