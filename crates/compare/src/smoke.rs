//! A quick look for a change: has anything become much slower?

use std::process::ExitCode;

use crate::Error;
use crate::cases::{self, Case};
use crate::measure;
use crate::results::median;
use crate::servers::{Kind, Places};

/// How much above its bound a case may be here: the runs are short and the machine may be noisy.
const SLACK: f64 = 1.35;

/// Seconds of a run.
const SECONDS: f64 = 1.0;

/// Compares our server with the reference loop, and with itself with a directory behind it; fails if
/// a ratio is far above what it should be.
pub(crate) fn run(places: &Places, rounds: u32) -> Result<ExitCode, Error> {
    let mut slower = 0;
    for case in cases::all().iter().filter(|case| case.smoke) {
        let (mut to_reference, mut to_memory) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let cost = |kind| Ok(measure::run(places, kind, case, SECONDS)?.cost);
            let ours = cost(Kind::Memtftp)?;
            to_reference.push(ours / cost(Kind::Reference)?);
            to_memory.push(cost(Kind::Directory)? / ours);
        }
        let bound = case.bounds.reference.unwrap_or(1.0);
        slower += u32::from(!holds(case, &to_reference, "x the reference loop", bound));
        slower += u32::from(!holds(case, &to_memory, "x that with --dir", 1.0));
    }
    Ok(if slower == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how the median of some ratios compares with what it should be.
fn holds(case: &Case, ratios: &[f64], what: &str, bound: f64) -> bool {
    let (ratio, bound) = (median(ratios), bound * SLACK);
    let holds = ratio <= bound;
    let verdict = if holds { "ok" } else { "TOO SLOW" };
    println!("{:32} {ratio:5.2} {what}, at most {bound:.2}: {verdict}", case.name());
    holds
}
