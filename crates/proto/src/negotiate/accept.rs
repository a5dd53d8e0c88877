//! What a client accepts of a server's OACK.

use thiserror::Error;

use super::{Agreed, Asked, TftpOption, parse_decimal};
use crate::request::Options;

/// Why an OACK cannot be accepted. The server broke RFC 2347: it is answered with ERROR 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// It names an option that was not asked for.
    #[error("the server answered with an option that was not asked for")]
    NotAsked,
    /// Its value is no number, out of the option's range, above the one asked for, or, for
    /// `timeout`, another one.
    #[error("the server answered {name} with a value that cannot be accepted", name = .0.name())]
    BadValue(TftpOption),
}

/// What holds after the OACK with `answer` to a request with the options `asked`.
///
/// `tsize` may have any value: what a server says of the size is news, no agreement.
///
/// # Errors
/// The answer goes beyond what was asked (RFC 2347, RFC 2348, RFC 2349, RFC 7440).
pub fn accept(asked: &Asked, answer: Options<'_>) -> Result<Agreed, OptionError> {
    let mut agreed = Agreed::PLAIN;
    for (name, value) in answer.iter() {
        let option = TftpOption::from_name(name).ok_or(OptionError::NotAsked)?;
        let wanted = asked.value(option).ok_or(OptionError::NotAsked)?;
        let bad = OptionError::BadValue(option);
        let value = parse_decimal(value).filter(|value| option.allows(*value)).ok_or(bad)?;
        let fits = match option {
            TftpOption::Blksize | TftpOption::Windowsize => value <= wanted,
            TftpOption::Timeout => value == wanted,
            TftpOption::Tsize => true,
        };
        if !fits {
            return Err(bad);
        }
        agreed.answered.add(option, value);
    }
    let word = |option| agreed.answered.value(option).and_then(|value| u16::try_from(value).ok());
    let (blksize, windowsize) = (word(TftpOption::Blksize), word(TftpOption::Windowsize));
    agreed.timeout = word(TftpOption::Timeout).and_then(|value| u8::try_from(value).ok());
    agreed.blksize = blksize.unwrap_or(agreed.blksize);
    agreed.windowsize = windowsize.unwrap_or(agreed.windowsize);
    Ok(agreed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(pairs: &[(&str, &str)]) -> Vec<u8> {
        pairs.iter().flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes()).collect()
    }

    fn answer(pairs: &[(&str, &str)]) -> Result<Agreed, OptionError> {
        let asked = wire(&[("tsize", "0"), ("blksize", "1428"), ("windowsize", "16")]);
        let asked = Asked::new(Options::parse(&asked));
        accept(&asked, Options::parse(&wire(pairs)))
    }

    #[test]
    fn what_is_left_out_is_not_agreed() {
        assert_eq!(answer(&[]), Ok(Agreed::PLAIN));
        let agreed = answer(&[("blksize", "1000")]).unwrap();
        assert_eq!((agreed.blksize, agreed.windowsize, agreed.timeout), (1000, 1, None));
    }

    #[test]
    fn less_than_asked_is_fine_in_any_order_and_case() {
        let agreed = answer(&[("WindowSize", "4"), ("TSIZE", "77"), ("blkSize", "8")]).unwrap();
        assert_eq!((agreed.blksize, agreed.windowsize), (8, 4));
        assert!(agreed.options().any(|(option, value)| (option, value) == (TftpOption::Tsize, 77)));
    }

    #[test]
    fn more_than_asked_is_refused() {
        let bad = |option| Err(OptionError::BadValue(option));
        assert_eq!(answer(&[("blksize", "1429")]), bad(TftpOption::Blksize));
        assert_eq!(answer(&[("blksize", "7")]), bad(TftpOption::Blksize));
        assert_eq!(answer(&[("blksize", "")]), bad(TftpOption::Blksize));
        assert_eq!(answer(&[("windowsize", "17")]), bad(TftpOption::Windowsize));
        assert_eq!(answer(&[("windowsize", "0")]), bad(TftpOption::Windowsize));
        assert_eq!(answer(&[("tsize", "many")]), bad(TftpOption::Tsize));
        assert_eq!(answer(&[("timeout", "1")]), Err(OptionError::NotAsked));
        assert_eq!(answer(&[("multicast", "")]), Err(OptionError::NotAsked));
    }

    #[test]
    fn the_time_out_is_the_one_asked_for() {
        let asked = wire(&[("timeout", "3")]);
        let asked = Asked::new(Options::parse(&asked));
        let answer = |value| accept(&asked, Options::parse(&wire(&[("timeout", value)])));
        assert_eq!(answer("3").unwrap().timeout, Some(3));
        assert_eq!(answer("2"), Err(OptionError::BadValue(TftpOption::Timeout)));
    }
}
