//! Values of flags that several commands take.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;

pub(crate) fn size(text: &str) -> Result<u64, String> {
    let parsed: Result<ByteSize, _> = text.parse();
    parsed.map(|size| size.as_u64()).map_err(|_| "give a size like 500M or 2GiB".into())
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| "give a time like 10s, 2m or 500ms".into())
}

/// A duration that is not zero.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("give a time like 10s, 2m or 500ms".into()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_size_or_time() {
        assert!(size("10XB").is_err() && size("").is_err());
        assert!(duration("-1s").is_err() && duration("x").is_err());
        assert!(duration("0s").is_ok() && some_time("0s").is_err() && some_time("1ms").is_ok());
    }
}
