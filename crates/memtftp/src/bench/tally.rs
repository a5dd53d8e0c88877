//! What the transfers of a load came to.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use memtftp_proto::{Client, Failure};

use crate::bench::content::Bytes;
use crate::bench::failure::Kind;

/// Times are kept to this many digits.
const DIGITS: u8 = 3;

/// The longest time that is told apart, in microseconds: a day.
const LONGEST: u64 = 86_400_000_000;

/// How a transfer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End<'a> {
    Completed,
    /// With the server's text, or what else there is to say.
    Failed(Kind, &'a str),
    /// `--duration` was over, or a signal came.
    CutOff,
}

/// Counts of a load.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) completed: u64,
    /// Cut off by the end of `--duration`, or by a signal.
    pub(crate) unfinished: u64,
    /// How many of each kind, and an example of the text that came with it.
    pub(crate) failures: BTreeMap<Kind, (u64, String)>,
    /// Blocks of all transfers, those that failed included.
    pub(crate) blocks: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Packets that clients sent again.
    pub(crate) retransmissions: u64,
    /// DATA that came again, or ahead of a lost one.
    pub(crate) out_of_order: u64,
    /// Datagrams that `--loss` took.
    pub(crate) dropped: u64,
    /// Datagrams that this system would not send.
    pub(crate) unsent: u64,
    /// Block size and window that were agreed, and how often.
    pub(crate) agreed: BTreeMap<(u16, u16), u64>,
    /// From request to last block, of those that completed.
    pub(crate) completion: Times,
    /// From request to first answer, of all that got one.
    pub(crate) first_answer: Times,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            completed: 0,
            unfinished: 0,
            failures: BTreeMap::new(),
            blocks: 0,
            bytes: 0,
            retransmissions: 0,
            out_of_order: 0,
            dropped: 0,
            unsent: 0,
            agreed: BTreeMap::new(),
            completion: Times::new(),
            first_answer: Times::new(),
        }
    }

    /// Counts a transfer that took `time`.
    pub(crate) fn count(&mut self, client: &Client<Bytes>, end: End<'_>, time: Duration) {
        match end {
            End::Completed => {
                self.completed += 1;
                self.completion.record(time);
                let agreed = client.agreed();
                *self.agreed.entry((agreed.blksize, agreed.windowsize)).or_default() += 1;
            }
            End::Failed(kind, text) => {
                let (count, _) = self.failures.entry(kind).or_insert_with(|| (0, text.to_owned()));
                *count += 1;
            }
            End::CutOff => self.unfinished += 1,
        }
        if let Some(time) = client.first_answer() {
            self.first_answer.record(time);
        }
        let totals = client.totals();
        self.blocks += totals.blocks;
        self.bytes += totals.bytes;
        self.retransmissions += u64::from(totals.retransmissions);
        self.out_of_order += u64::from(client.out_of_order());
    }

    /// Transfers that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().map(|(count, _)| count).sum()
    }
}

/// What the server had to say to a failure.
pub(crate) fn text_of(failure: &Failure) -> &str {
    match failure {
        Failure::Refused { text, .. } => text,
        _ => "",
    }
}

/// Many durations, as a histogram.
#[derive(Clone, Debug)]
pub(crate) struct Times(Option<Histogram<u64>>);

impl Times {
    pub(crate) fn new() -> Times {
        // It fails only for bounds that make no sense.
        Times(Histogram::new_with_bounds(1, LONGEST, DIGITS).ok())
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(micros);
        }
    }

    /// The time that `quantile` (0 to 1) of them did not exceed, in seconds; `None` of none.
    pub(crate) fn at(&self, quantile: f64) -> Option<f64> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(histogram.value_at_quantile(quantile) as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut times = Times::new();
        assert_eq!(times.at(0.5), None);
        (1..=1_000).for_each(|millis| times.record(Duration::from_millis(millis)));
        for (quantile, seconds) in [(0.5, 0.5), (0.9, 0.9), (0.99, 0.99), (1.0, 1.0)] {
            let found = times.at(quantile).unwrap();
            assert!((found - seconds).abs() < 0.002, "{quantile}: {found}");
        }
        times.record(Duration::MAX);
        assert!(times.at(1.0).unwrap() >= 86_400.0);
    }
}
