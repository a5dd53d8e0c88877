//! Values of flags that several commands take.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;

pub(crate) fn size(text: &str) -> Result<u64, String> {
    let parsed: Result<ByteSize, _> = text.parse();
    parsed.map(|size| size.as_u64()).map_err(|_| "give a size like 500M or 2GiB".into())
}

/// A length of time; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = || {
        let bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let seconds = text.parse::<f64>().ok().filter(|_| bare)?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let spelled = || text.parse::<SignedDuration>().ok().and_then(|time| time.try_into().ok());
    seconds().or_else(spelled).ok_or_else(|| "give a time like 10s, 2m or 500ms".into())
}

/// A duration that is not zero.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("give a time like 10s, 2m or 500ms".into()) } else { Ok(time) }
}

/// A port to listen on; 0 takes a free one.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "give a port from 1 to 65535, or 0 for any free one".into())
}

/// A port to ask.
pub(crate) fn some_port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "give a port from 1 to 65535".into())
}

/// A block size (RFC 2348), in bytes.
pub(crate) fn blksize(text: &str) -> Result<u16, String> {
    let bytes = text.parse().ok().filter(|bytes| (8..=65_464).contains(bytes));
    bytes.ok_or_else(|| "give a number of bytes from 8 to 65464".into())
}

/// A window that is worth having: half of all block numbers at most, in blocks.
pub(crate) fn windowsize(text: &str) -> Result<u16, String> {
    let blocks = text.parse().ok().filter(|blocks| (1..=32_767).contains(blocks));
    blocks.ok_or_else(|| "give a number of blocks from 1 to 32767".into())
}

/// A window (RFC 7440), in blocks.
pub(crate) fn any_windowsize(text: &str) -> Result<u16, String> {
    let blocks = text.parse().ok().filter(|blocks| *blocks > 0);
    blocks.ok_or_else(|| "give a number of blocks from 1 to 65535".into())
}

/// A number of things.
pub(crate) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "give a whole number like 10".into())
}

/// A number of things, of which there is one at least.
pub(crate) fn some_count<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = count::<T>(text).ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| "give a whole number from 1".into())
}

/// Yes or no.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err("give true or false".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_size_or_time() {
        assert!(size("10XB").is_err() && size("").is_err());
        assert!(duration("-1s").is_err() && duration("x").is_err());
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["-5", "5x", ".", "1e3", "inf", "99999999999999999999999"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(some_time("0").is_err());
        assert!(duration("0s").is_ok() && some_time("0s").is_err() && some_time("1ms").is_ok());
    }

    #[test]
    fn numbers_say_what_they_may_be() {
        assert_eq!((port("0"), some_port("69")), (Ok(0), Ok(69)));
        assert!(port("65536").unwrap_err().contains("65535") && some_port("0").is_err());
        assert_eq!((blksize("8"), blksize("65464")), (Ok(8), Ok(65_464)));
        assert!(blksize("7").is_err() && blksize("65465").is_err());
        assert!(windowsize("0").is_err() && windowsize("32768").is_err());
        assert!(any_windowsize("32768").is_ok() && any_windowsize("0").is_err());
        assert_eq!(count::<u32>("0"), Ok(0));
        assert!(count::<u32>("-1").is_err() && some_count::<u32>("0").is_err());
        assert_eq!((boolean("yes"), boolean("off")), (Ok(true), Ok(false)));
    }
}
