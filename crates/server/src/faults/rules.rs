//! The rules of a plan at work, shared by all workers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::plan::{Fault, FaultPlan, Packets, Sight};

/// A plan, and what its rules have counted.
#[derive(Debug)]
pub(crate) struct Rules {
    seed: u64,
    rules: Vec<Rule>,
    met: AtomicU64,
}

#[derive(Debug)]
struct Rule {
    packets: Packets,
    fault: Fault,
    seen: AtomicU64,
}

impl Rules {
    pub(crate) fn new(plan: FaultPlan) -> Rules {
        let rule = |(packets, fault)| Rule { packets, fault, seen: AtomicU64::new(0) };
        let rules = plan.rules.into_iter().map(rule).collect();
        Rules { seed: plan.seed, rules, met: AtomicU64::new(0) }
    }

    /// Packets that met a fault so far.
    pub(crate) fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// What happens to this packet, if anything, and a number for what that leaves to chance.
    pub(super) fn judge(&self, sight: &Sight<'_>) -> Option<(&Fault, u64)> {
        let mut decided = None;
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.packets.select(sight) {
                continue;
            }
            // Counted even if another rule has decided: adding a rule must not move the others.
            let number = rule.seen.fetch_add(1, Ordering::Relaxed) + 1;
            let random = mix(mix(self.seed ^ index as u64) ^ number);
            if decided.is_none() && rule.packets.count(number, fraction(random)) {
                decided = Some((&rule.fault, mix(random)));
            }
        }
        self.met.fetch_add(u64::from(decided.is_some()), Ordering::Relaxed);
        decided
    }
}

/// The step of SplitMix64. As a function of the count it needs no state that workers would share.
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number from 0 up to 1, itself not included.
fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
