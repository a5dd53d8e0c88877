//! A quick look for a change: has anything become much slower?

use std::process::ExitCode;

use crate::Error;
use crate::cases;
use crate::measure;
use crate::results::median;
use crate::servers::{Kind, Places};

/// How much above its bound a case may be here: the runs are short and the machine may be noisy.
const SLACK: f64 = 1.35;

/// Seconds of a run.
const SECONDS: f64 = 1.0;

/// Compares our server with the reference loop; fails if a ratio is far above what it should be.
pub(crate) fn run(places: &Places, rounds: u32) -> Result<ExitCode, Error> {
    let mut slower = 0;
    for case in cases::all().iter().filter(|case| case.smoke) {
        let Some(bound) = case.bounds.reference.map(|bound| bound * SLACK) else { continue };
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let ours = measure::run(places, Kind::Memtftp, case, SECONDS)?.cost;
            ratios.push(ours / measure::run(places, Kind::Reference, case, SECONDS)?.cost);
        }
        let ratio = median(&ratios);
        let verdict = if ratio <= bound { "ok" } else { "TOO SLOW" };
        println!(
            "{:40} {ratio:5.2} x the reference loop, at most {bound:.2}: {verdict}",
            case.name()
        );
        slower += u32::from(ratio > bound);
    }
    Ok(if slower == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
