//! Option negotiation (RFC 2347, 2348, 2349, 7440) as one pure function.

mod accept;

use crate::block::MAX_WINDOWSIZE;
use crate::control::ControlPacket;
use crate::packet::Packet;
use crate::request::Options;

pub use accept::{OptionError, accept};

const BLKSIZE: std::ops::RangeInclusive<u64> = 8..=65_464;
const TIMEOUT: std::ops::RangeInclusive<u64> = 1..=255;
const WINDOWSIZE: std::ops::RangeInclusive<u64> = 1..=65_535;

/// The block size without the `blksize` option, in bytes.
const DEFAULT_BLKSIZE: u16 = 512;

/// The options we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TftpOption {
    /// Bytes in a block (RFC 2348).
    Blksize,
    /// Seconds before a packet is sent again (RFC 2349).
    Timeout,
    /// Bytes in the file (RFC 2349).
    Tsize,
    /// Blocks in a window (RFC 7440).
    Windowsize,
}

impl TftpOption {
    const ALL: [TftpOption; 4] =
        [TftpOption::Blksize, TftpOption::Timeout, TftpOption::Tsize, TftpOption::Windowsize];

    /// The name as we send it; clients compare it byte for byte.
    pub fn name(self) -> &'static str {
        match self {
            TftpOption::Blksize => "blksize",
            TftpOption::Timeout => "timeout",
            TftpOption::Tsize => "tsize",
            TftpOption::Windowsize => "windowsize",
        }
    }

    fn from_name(name: &[u8]) -> Option<TftpOption> {
        Self::ALL.into_iter().find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    pub(crate) fn allows(self, value: u64) -> bool {
        match self {
            TftpOption::Blksize => BLKSIZE.contains(&value),
            TftpOption::Timeout => TIMEOUT.contains(&value),
            TftpOption::Tsize => true,
            TftpOption::Windowsize => WINDOWSIZE.contains(&value),
        }
    }
}

/// At most one value for each option we know, in the order they were named. Each session has one,
/// so it is kept small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OptionList {
    order: [Option<TftpOption>; TftpOption::ALL.len()],
    timeout: u8,
    blksize: u16,
    windowsize: u16,
    tsize: u64,
}

impl OptionList {
    fn value(&self, option: TftpOption) -> Option<u64> {
        self.iter().find(|(known, _)| *known == option).map(|(_, value)| value)
    }

    /// Adds an option with a value in its range, unless it is there.
    fn add(&mut self, option: TftpOption, value: u64) {
        if self.value(option).is_some() {
            return;
        }
        let Some(slot) = self.order.iter_mut().find(|slot| slot.is_none()) else { return };
        *slot = Some(option);
        let word = u16::try_from(value).unwrap_or(u16::MAX);
        match option {
            TftpOption::Blksize => self.blksize = word,
            TftpOption::Timeout => self.timeout = u8::try_from(value).unwrap_or(u8::MAX),
            TftpOption::Tsize => self.tsize = value,
            TftpOption::Windowsize => self.windowsize = word,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (TftpOption, u64)> + '_ {
        self.order.iter().flatten().map(|option| {
            let value = match option {
                TftpOption::Blksize => u64::from(self.blksize),
                TftpOption::Timeout => u64::from(self.timeout),
                TftpOption::Tsize => self.tsize,
                TftpOption::Windowsize => u64::from(self.windowsize),
            };
            (*option, value)
        })
    }
}

/// The options of a request that we know and whose values are in range.
///
/// Everything else is as if it had not been sent: RFC 2347 leaves it out of the OACK. Of an option
/// that is named twice the first counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked(OptionList);

impl Asked {
    /// Picks what we know out of `options`.
    pub fn new(options: Options<'_>) -> Asked {
        let mut list = OptionList::default();
        for (name, value) in options.iter() {
            if let Some(option) = TftpOption::from_name(name)
                && let Some(value) = parse_decimal(value)
                && option.allows(value)
            {
                list.add(option, value);
            }
        }
        Asked(list)
    }

    /// The value asked for `option`.
    pub fn value(&self, option: TftpOption) -> Option<u64> {
        self.0.value(option)
    }
}

/// The most that we agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a block.
    pub max_blksize: u16,
    /// Blocks in a window.
    pub max_windowsize: u16,
    /// Bytes in a window. A window of one block is allowed whatever its size.
    pub max_window_bytes: u32,
}

impl Limits {
    /// No limit but the RFCs'.
    pub const NONE: Limits = Limits {
        max_blksize: *BLKSIZE.end() as u16,
        max_windowsize: MAX_WINDOWSIZE,
        max_window_bytes: u32::MAX,
    };
}

/// What both sides hold to for the whole transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Bytes in a block, 8 to 65464.
    pub blksize: u16,
    /// Blocks in a window, from 1.
    pub windowsize: u16,
    /// Seconds of the `timeout` option, if it was agreed.
    pub timeout: Option<u8>,
    answered: OptionList,
}

impl Agreed {
    /// What holds when no option is agreed: RFC 1350.
    pub const PLAIN: Agreed = Agreed {
        blksize: DEFAULT_BLKSIZE,
        windowsize: 1,
        timeout: None,
        answered: OptionList { order: [None; 4], timeout: 0, blksize: 0, windowsize: 0, tsize: 0 },
    };

    /// The options of the OACK with their values, in the order they were asked.
    pub fn options(&self) -> impl Iterator<Item = (TftpOption, u64)> + '_ {
        self.answered.iter()
    }

    /// Whether there is an OACK.
    pub fn has_options(&self) -> bool {
        self.options().next().is_some()
    }

    /// The OACK; `None` when nothing was agreed, and then DATA 1 or ACK 0 is the first answer.
    pub fn option_ack(&self) -> Option<ControlPacket> {
        let mut pairs = String::new();
        for (option, value) in self.options() {
            pairs.push_str(&format!("{}\0{value}\0", option.name()));
        }
        let options = Options::parse(pairs.as_bytes());
        (!pairs.is_empty()).then(|| ControlPacket::from(&Packet::OptionAck(options)))
    }
}

/// Decides the options of a transfer.
///
/// The answer holds only what was asked, in the order it was asked, and no value above the one
/// asked. `tsize` is what to answer for that option; `None` leaves it out.
pub fn negotiate(asked: &Asked, limits: &Limits, tsize: Option<u64>) -> Agreed {
    let mut agreed = Agreed::PLAIN;
    // The window depends on the block size, whatever the order of the two.
    if let Some(blksize) = asked.value(TftpOption::Blksize) {
        let blksize = u16::try_from(blksize).unwrap_or(u16::MAX);
        agreed.blksize = blksize.min(limits.max_blksize.max(*BLKSIZE.start() as u16));
    }
    if let Some(windowsize) = asked.value(TftpOption::Windowsize) {
        let fitting = limits.max_window_bytes / u32::from(agreed.blksize);
        let fitting = u16::try_from(fitting).unwrap_or(u16::MAX);
        let cap = limits.max_windowsize.min(fitting).clamp(1, MAX_WINDOWSIZE);
        agreed.windowsize = u16::try_from(windowsize).unwrap_or(u16::MAX).min(cap);
    }
    agreed.timeout = asked.value(TftpOption::Timeout).and_then(|value| u8::try_from(value).ok());

    for (option, value) in asked.0.iter() {
        let answer = match option {
            TftpOption::Blksize => Some(u64::from(agreed.blksize)),
            TftpOption::Windowsize => Some(u64::from(agreed.windowsize)),
            TftpOption::Timeout => Some(value),
            TftpOption::Tsize => tsize,
        };
        if let Some(answer) = answer {
            agreed.answered.add(option, answer);
        }
    }
    agreed
}

/// Digits and nothing else; what does not fit 64 bits is no value.
fn parse_decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        let wire: String = pairs.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
        Asked::new(Options::parse(wire.as_bytes()))
    }

    fn answer(pairs: &[(&str, &str)], limits: Limits, tsize: Option<u64>) -> Vec<(String, u64)> {
        let agreed = negotiate(&asked(pairs), &limits, tsize);
        agreed.options().map(|(option, value)| (option.name().to_owned(), value)).collect()
    }

    fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn odd_values_are_left_out() {
        for blksize in
            ["7", "0", "-1", "65465", "70000", "+8", " 8", "0x8", "8a", "", "9".repeat(40).as_str()]
        {
            assert_eq!(
                answer(&[("blksize", blksize)], Limits::NONE, None),
                [],
                "blksize={blksize}"
            );
        }
        for (name, value) in
            [("timeout", "0"), ("timeout", "256"), ("windowsize", "0"), ("windowsize", "65536")]
        {
            assert_eq!(answer(&[(name, value)], Limits::NONE, None), [], "{name}={value}");
        }
    }

    #[test]
    fn extremes_are_answered() {
        for (name, value) in [("blksize", 8), ("blksize", 65464), ("timeout", 1), ("timeout", 255)]
        {
            let asked = value.to_string();
            assert_eq!(answer(&[(name, &asked)], Limits::NONE, None), named(&[(name, value)]));
        }
    }

    #[test]
    fn order_case_and_repeats() {
        let pairs = [
            ("TSIZE", "0"),
            ("foo", "1"),
            ("BlkSize", "1428"),
            ("blksize", "9"),
            ("Timeout", "05"),
        ];
        let expected = named(&[("tsize", 77), ("blksize", 1428), ("timeout", 5)]);
        assert_eq!(answer(&pairs, Limits::NONE, Some(77)), expected);
    }

    #[test]
    fn caps_lower_what_was_asked_and_never_raise_it() {
        let limits = Limits { max_blksize: 1400, max_windowsize: 16, max_window_bytes: 10_000 };
        let high = [("windowsize", "64"), ("blksize", "65464")];
        assert_eq!(answer(&high, limits, None), named(&[("windowsize", 7), ("blksize", 1400)]));
        let low = [("windowsize", "2"), ("blksize", "512")];
        assert_eq!(answer(&low, limits, None), named(&[("windowsize", 2), ("blksize", 512)]));
    }

    #[test]
    fn a_window_of_one_block_is_always_allowed() {
        let limits = Limits { max_window_bytes: 100, ..Limits::NONE };
        let pairs = [("blksize", "1428"), ("windowsize", "8")];
        assert_eq!(answer(&pairs, limits, None), named(&[("blksize", 1428), ("windowsize", 1)]));
    }

    #[test]
    fn nothing_agreed_means_no_oack() {
        assert_eq!(
            negotiate(&asked(&[("multicast", "")]), &Limits::NONE, Some(1)).option_ack(),
            None
        );
        assert_eq!(negotiate(&asked(&[("tsize", "0")]), &Limits::NONE, None).option_ack(), None);
    }

    #[test]
    fn the_longest_oack_fits() {
        let pairs =
            [("blksize", "65464"), ("timeout", "255"), ("tsize", "0"), ("windowsize", "65535")];
        let oack = negotiate(&asked(&pairs), &Limits::NONE, Some(u64::MAX)).option_ack().unwrap();
        let expected = ["blksize", "65464", "timeout", "255", "tsize", "18446744073709551615"];
        let expected = [&expected[..], &["windowsize", "32767", ""]].concat().join("\0");
        assert_eq!(oack.as_bytes(), [b"\0\x06", expected.as_bytes()].concat());
    }
}
