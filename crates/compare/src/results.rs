//! All runs of a comparison.

use std::collections::BTreeMap;

use crate::Error;
use crate::cases::{self, Case, Group};
use crate::foreign::{self, Client};
use crate::measure::{self, Counted, Measured};
use crate::servers::{Kind, Places};
use crate::sessions;
use crate::still::{self, Still};

/// Clients at which each round would take minutes with some peers; those get one round.
const MANY: u32 = 10_000;

/// Runs whose system calls are counted; the median is shown.
const COUNTS: u32 = 3;

/// Open transfers whose memory is measured.
pub(crate) const OPEN: [u32; 4] = [100, 1_000, 10_000, 100_000];

/// More open transfers than servers with a thread or a process for each can have.
const OPEN_OF_PEERS: u32 = 1_000;

#[derive(Default)]
pub(crate) struct Results {
    pub(crate) cases: Vec<Case>,
    /// By case and server: the runs, round by round.
    runs: BTreeMap<(usize, Kind), Vec<Option<Measured>>>,
    pub(crate) counted: Vec<(Case, Kind, Counted)>,
    /// Bytes of memory for each of so many open transfers.
    pub(crate) sessions: Vec<(Kind, u32, f64)>,
    /// Seconds a transfer and CPU a block.
    pub(crate) foreign: BTreeMap<(usize, Kind), Vec<(f64, f64)>>,
    pub(crate) still: Option<Still>,
    pub(crate) rounds: u32,
}

impl Results {
    /// Runs everything whose name contains `only`. Says on standard error what it does.
    pub(crate) fn measure(
        places: &Places,
        rounds: u32,
        seconds: f64,
        only: Option<&str>,
    ) -> Result<Results, Error> {
        let mut cases = cases::all();
        cases.retain(|case| only.is_none_or(|only| case.name().contains(only)));
        let mut results = Results { cases, rounds, ..Results::default() };
        for round in 0..rounds {
            results.measure_cases(places, round, seconds)?;
            if only.is_none() {
                results.measure_foreign(places)?;
            }
        }
        if only.is_none() {
            results.count(places)?;
            results.measure_sessions(places)?;
            results.still = Some(still::measure(places)?);
        }
        Ok(results)
    }

    fn measure_cases(&mut self, places: &Places, round: u32, seconds: f64) -> Result<(), Error> {
        for (index, case) in self.cases.iter().enumerate() {
            for kind in Kind::ALL.into_iter().chain([Kind::Directory]) {
                let once = case.clients >= MANY && kind.is_peer();
                if !case.suits(kind) || once && round > 0 {
                    continue;
                }
                let run = match measure::run(places, kind, case, seconds) {
                    // A peer that dies under a load has a result, too.
                    Err(Error::Load { said } | Error::Server { said, .. }) if kind.is_peer() => {
                        eprintln!("{}: {}: {said}", case.name(), kind.name());
                        None
                    }
                    run => Some(run?),
                };
                let cost = run.as_ref().map_or(f64::NAN, |run| run.cost);
                eprintln!("round {round}: {}: {}: {cost:.2} us a block", case.name(), kind.name());
                self.runs.entry((index, kind)).or_default().push(run);
            }
        }
        Ok(())
    }

    fn measure_foreign(&mut self, places: &Places) -> Result<(), Error> {
        for (index, client) in Client::ALL.into_iter().enumerate() {
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Reference) {
                if let Some(measured) = foreign::run(places, kind, client)? {
                    self.foreign.entry((index, kind)).or_default().push(measured);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, places: &Places) -> Result<(), Error> {
        let counted =
            |case: &&Case| case.group == Group::Cost && [64, 1_000].contains(&case.clients);
        for case in self.cases.iter().filter(counted) {
            for kind in Kind::ALL {
                let mut counts = Vec::new();
                for _ in 0..if kind.is_peer() { 1 } else { COUNTS } {
                    match measure::count(places, kind, case) {
                        Ok(counted) => counts.push(counted),
                        Err(error) => eprintln!("{}: {}: {error}", case.name(), kind.name()),
                    }
                }
                counts.sort_unstable_by(|one, other| one.calls.total_cmp(&other.calls));
                if let Some(middle) = counts.get(counts.len() / 2) {
                    self.counted.push((*case, kind, *middle));
                }
            }
        }
        Ok(())
    }

    fn measure_sessions(&mut self, places: &Places) -> Result<(), Error> {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Reference) {
            for count in OPEN {
                if kind.is_peer() && count > OPEN_OF_PEERS {
                    continue;
                }
                if let Some(bytes) = sessions::memory(places, kind, count)? {
                    self.sessions.push((kind, count, bytes));
                }
            }
        }
        Ok(())
    }

    /// The cases of a group.
    pub(crate) fn of(&self, group: Group) -> impl Iterator<Item = (usize, &Case)> {
        self.cases.iter().enumerate().filter(move |(_, case)| case.group == group)
    }

    /// The median of a value over all rounds; `None` if the server never got that far.
    pub(crate) fn median(
        &self,
        case: usize,
        kind: Kind,
        value: impl Fn(&Measured) -> f64,
    ) -> Option<f64> {
        let runs = self.runs.get(&(case, kind))?;
        let values: Vec<f64> = runs.iter().flatten().map(value).filter(|v| v.is_finite()).collect();
        (!values.is_empty()).then(|| median(&values))
    }

    /// The median over the rounds of our value divided by that of another.
    pub(crate) fn ratio(
        &self,
        case: usize,
        to: Kind,
        value: impl Fn(&Measured) -> f64,
    ) -> Option<f64> {
        self.ratio_of(Kind::Memtftp, case, to, value)
    }

    /// The same of any server.
    pub(crate) fn ratio_of(
        &self,
        kind: Kind,
        case: usize,
        to: Kind,
        value: impl Fn(&Measured) -> f64,
    ) -> Option<f64> {
        let ours = self.runs.get(&(case, kind))?;
        let others = self.runs.get(&(case, to))?;
        let both = ours.iter().zip(others).filter_map(|(ours, other)| {
            Some(value(ours.as_ref()?) / value(other.as_ref()?)).filter(|ratio| ratio.is_finite())
        });
        let ratios: Vec<f64> = both.collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    /// The peer whose value is the least.
    pub(crate) fn best_peer(
        &self,
        case: usize,
        value: impl Fn(&Measured) -> f64,
    ) -> Option<(Kind, f64)> {
        let peers = Kind::ALL.into_iter().filter(|kind| kind.is_peer());
        let values = peers.filter_map(|kind| Some((kind, self.median(case, kind, &value)?)));
        values.min_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// The middle one; not a number if there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.get(middle.wrapping_sub(1))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => {
            f64::midpoint(*upper, *lower)
        }
        (Some(middle), _) => *middle,
        _ => f64::NAN,
    }
}
