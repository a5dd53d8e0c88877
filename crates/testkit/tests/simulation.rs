//! Seeded runs of a server and its clients on a bad network.
//!
//! `MEMTFTP_SIM_SEED=n` replays one seed, `MEMTFTP_SIM_RUNS=n` runs that many.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use testkit::simulation::{Report, Scenario, Weather, run};

/// Seeds in a plain run of the tests.
const RUNS: u64 = 2_000;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value}")))
}

fn replayed(scenario: &Scenario) -> Report {
    run(scenario).unwrap_or_else(|error| {
        panic!(
            "{error}\n{scenario:?}\nreplay: MEMTFTP_SIM_SEED={} cargo test -p testkit --test simulation",
            scenario.seed
        )
    })
}

#[test]
fn content_is_equal_or_the_transfer_fails_and_nothing_is_left_behind() {
    let seeds = match setting("MEMTFTP_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("MEMTFTP_SIM_RUNS").unwrap_or(RUNS),
    };
    let (mut done, mut failed) = (0, 0);
    for seed in seeds.clone() {
        let report = replayed(&Scenario::from_seed(seed));
        done += report.done;
        failed += report.failed;
    }
    println!("{} seeds: {done} transfers done, {failed} failed cleanly", seeds.end - seeds.start);
    // Most weather is bearable; if most transfers failed, the checks above would prove little.
    assert!(seeds.end - seeds.start < 100 || done > failed * 2, "{done} done, {failed} failed");
}

#[test]
fn without_loss_every_transfer_is_done_and_nothing_is_sent_twice() {
    for seed in 0..200 {
        let weather = Weather { delay: Duration::from_millis(3), ..Weather::default() };
        let scenario = Scenario { weather, memory: 1 << 30, ..Scenario::from_seed(seed) };
        let report = replayed(&scenario);
        assert_eq!((report.failed, report.retransmissions), (0, 0), "seed {seed}");
    }
}
