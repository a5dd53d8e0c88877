//! What a load came to, for people and for programs. `docs/benchmarking.md` explains each line.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::bench::process::Used;
use crate::bench::tally::{Tally, Times};
use crate::cli::BenchFlags;

/// Shown of the times: name and quantile.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What was written, read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Back {
    pub(crate) same: u64,
    /// Another content, or it could not be read.
    pub(crate) wrong: u64,
}

/// All that is known of a load.
pub(crate) struct Report<'a> {
    pub(crate) flags: &'a BenchFlags,
    pub(crate) sockets: usize,
    pub(crate) tally: Tally,
    /// From the first request to the end of the last transfer.
    pub(crate) time: Duration,
    pub(crate) own: Option<Used>,
    pub(crate) server: Option<Used>,
    /// Datagrams that sockets of this host had no room for.
    pub(crate) overflows: Option<u64>,
    pub(crate) back: Option<Back>,
}

impl Report<'_> {
    /// One object.
    pub(crate) fn json(&self) -> Value {
        let (flags, tally) = (self.flags, &self.tally);
        let failures = tally.failures.iter().map(|(kind, (count, _))| (kind.key(), json!(count)));
        let agreed = tally.agreed.iter().map(|((blksize, windowsize), count)| {
            json!({ "blksize": blksize, "windowsize": windowsize, "transfers": count })
        });
        json!({
            "url": flags.url,
            "operation": if flags.put { "put" } else { "get" },
            "clients": flags.clients,
            "sockets": self.sockets,
            "spread": flags.spread,
            "seed": flags.seed,
            "loss_percent": flags.loss,
            "agreed": agreed.collect::<Vec<_>>(),
            "seconds": self.time.as_secs_f64(),
            "completed": tally.completed,
            "failed": tally.failed(),
            "unfinished": tally.unfinished,
            "failures": failures.collect::<Map<_, _>>(),
            "blocks": tally.blocks,
            "bytes": tally.bytes,
            "transfers_per_second": self.rate(tally.completed),
            "blocks_per_second": self.rate(tally.blocks),
            "bytes_per_second": self.rate(tally.bytes),
            "completion_seconds": quantiles(&tally.completion),
            "first_answer_seconds": quantiles(&tally.first_answer),
            "retransmissions": tally.retransmissions,
            "out_of_order": tally.out_of_order,
            "dropped_by_loss": tally.dropped,
            "unsent": tally.unsent,
            "kernel_drops": self.overflows,
            "read_back": self.back.map(|back| json!({ "same": back.same, "wrong": back.wrong })),
            "bench": self.own.map(|used| self.process(&used)),
            "server": self.server.map(|used| self.process(&used)),
        })
    }

    /// Lines of text.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        let (flags, tally) = (self.flags, &self.tally);
        let operation = if flags.put { "put" } else { "get" };
        let addresses = if flags.spread { "as many addresses and " } else { "" };
        writeln!(out, "{operation} {}", flags.url)?;
        line(out, "clients", &format!("{} on {addresses}{} ports", flags.clients, self.sockets))?;
        for ((blksize, windowsize), count) in &tally.agreed {
            line(
                out,
                "agreed",
                &format!("blksize {blksize}, windowsize {windowsize} ({count} transfers)"),
            )?;
        }
        line(out, "time", &seconds(self.time.as_secs_f64()))?;
        let per_second = self.rate(tally.completed);
        line(out, "completed", &format!("{}, {per_second:.0}/s", tally.completed))?;
        line(out, "failed", &tally.failed().to_string())?;
        for (kind, (count, example)) in &tally.failures {
            let example = example.escape_debug().to_string();
            let said = if example.is_empty() { example } else { format!(": \"{example}\"") };
            line(out, "", &format!("{count} {kind}{said}"))?;
        }
        if tally.unfinished > 0 {
            line(out, "cut off", &format!("{} when the load was over", tally.unfinished))?;
        }
        if let Some(Back { same, wrong }) = self.back {
            line(out, "read back", &format!("{same} the same, {wrong} not"))?;
        }
        let (blocks, bytes) = (self.rate(tally.blocks), self.rate(tally.bytes) / 1e6);
        line(out, "throughput", &format!("{bytes:.1} MB/s, {blocks:.0} blocks/s"))?;
        times(out, "completion", &tally.completion)?;
        times(out, "first answer", &tally.first_answer)?;
        self.write_loss(out)?;
        for (name, used) in [("bench", self.own), ("server", self.server)] {
            if let Some(used) = used {
                line(out, name, &self.process_text(&used))?;
            }
        }
        Ok(())
    }

    fn write_loss(&self, out: &mut String) -> std::fmt::Result {
        let tally = &self.tally;
        let (again, repeated) = (tally.retransmissions, tally.out_of_order);
        line(
            out,
            "repeated",
            &format!("{again} packets by us, {repeated} blocks came again or early"),
        )?;
        let mut lost = format!("{} by --loss", tally.dropped);
        if let Some(overflows) = self.overflows {
            write!(lost, ", {overflows} in full socket buffers of this host")?;
        }
        if tally.unsent > 0 {
            write!(lost, ", {} not sent by the system", tally.unsent)?;
        }
        line(out, "lost", &lost)
    }

    /// `count` in a second.
    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.time.as_secs_f64().max(1e-6)
    }

    fn process(&self, used: &Used) -> Value {
        json!({
            "cpu_seconds": used.cpu,
            "cpu_microseconds_per_block": self.per_block(used),
            "cpu_utilization": used.cpu / self.time.as_secs_f64().max(1e-6),
            "memory_bytes": used.memory,
            "peak_memory_bytes": used.peak,
        })
    }

    fn process_text(&self, used: &Used) -> String {
        let share = used.cpu / self.time.as_secs_f64().max(1e-6) * 100.0;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "{:.2} us CPU a block, {share:.0} % of a core; {:.1} MiB, at most {:.1} MiB",
            self.per_block(used),
            mebibytes(used.memory),
            mebibytes(used.peak),
        )
    }

    fn per_block(&self, used: &Used) -> f64 {
        used.cpu * 1e6 / self.tally.blocks.max(1) as f64
    }
}

fn quantiles(times: &Times) -> Value {
    QUANTILES.iter().map(|(name, at)| ((*name).to_owned(), json!(times.at(*at)))).collect()
}

fn times(out: &mut String, name: &str, times: &Times) -> std::fmt::Result {
    let shown = QUANTILES.iter().filter_map(|(name, at)| {
        let time = times.at(*at)?;
        Some(format!("{name} {}", seconds(time)))
    });
    let shown: Vec<String> = shown.collect();
    let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
    line(out, name, &shown)
}

fn line(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "  {name:<13}{value}")
}

/// Three or four digits, in the unit that suits.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0} us", seconds * 1e6),
        ..0.1 => format!("{:.2} ms", seconds * 1e3),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::failure::Kind;
    use crate::cli::{Cli, Command};

    fn flags() -> BenchFlags {
        let args =
            ["memtftp", "bench", "tftp://127.0.0.1/a", "--put", "--clients", "40", "--spread"];
        match Cli::try_parse_from(args).unwrap().command {
            Some(Command::Bench(flags)) => *flags,
            other => panic!("{other:?}"),
        }
    }

    fn report(flags: &BenchFlags) -> Report<'_> {
        let mut tally = Tally { completed: 36, unfinished: 1, ..Tally::new() };
        tally.failures.insert(Kind::Refused(3), (2, "full\u{1b}[31m".to_owned()));
        tally.failures.insert(Kind::NotFound, (1, String::new()));
        tally.agreed.insert((1_428, 4), 36);
        (tally.blocks, tally.bytes, tally.retransmissions) = (1_000, 1_428_000, 7);
        (1..=36).for_each(|step| tally.completion.record(Duration::from_millis(step * 10)));
        let used = Used { cpu: 0.002, memory: 3 << 20, peak: 4 << 20 };
        let (time, back) = (Duration::from_millis(400), Some(Back { same: 35, wrong: 1 }));
        let (own, server, overflows) = (Some(used), None, Some(5));
        Report { flags, sockets: 4, tally, time, own, server, overflows, back }
    }

    #[test]
    fn for_people() {
        let expected = "\
put tftp://127.0.0.1/a
  clients      40 on as many addresses and 4 ports
  agreed       blksize 1428, windowsize 4 (36 transfers)
  time         400 ms
  completed    36, 90/s
  failed       3
               1 not found
               2 refused with code 3: \"full\\u{1b}[31m\"
  cut off      1 when the load was over
  read back    35 the same, 1 not
  throughput   3.6 MB/s, 2500 blocks/s
  completion   p50 180 ms, p90 330 ms, p99 360 ms, p99.9 360 ms, max 360 ms
  first answer none
  repeated     7 packets by us, 0 blocks came again or early
  lost         0 by --loss, 5 in full socket buffers of this host
  bench        2.00 us CPU a block, 0 % of a core; 3.0 MiB, at most 4.0 MiB
";
        let table = report(&flags()).table();
        assert!(table == expected, "{table}");
    }

    #[test]
    fn for_programs() {
        let flags = flags();
        let json = report(&flags).json();
        assert_eq!(json["failures"], json!({ "not_found": 1, "refused_3": 2 }));
        assert_eq!(json["failed"], 3);
        assert_eq!(json["read_back"], json!({ "same": 35, "wrong": 1 }));
        assert_eq!(json["blocks_per_second"], 2_500.0);
        assert_eq!(
            (&json["server"], &json["first_answer_seconds"]["p50"]),
            (&Value::Null, &Value::Null)
        );
        let p99 = json["completion_seconds"]["p99"].as_f64().unwrap();
        assert!((p99 - 0.36).abs() < 0.001, "{p99}");
    }

    #[test]
    fn times_have_the_unit_that_suits() {
        let shown = [0.000_052, 0.0123, 0.25, 12.345].map(seconds);
        assert_eq!(shown, ["52 us", "12.30 ms", "250 ms", "12.35 s"]);
    }
}
