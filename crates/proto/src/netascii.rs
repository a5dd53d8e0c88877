//! Netascii (RFC 764): on the wire a line ends in CR LF and a bare CR is CR NUL.
//!
//! Files hold what a Unix file holds: LF ends a line.

const LF: u8 = b'\n';
const CR: u8 = b'\r';

/// Where an encoder stands in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The next byte of the file.
    offset: usize,
    /// The second half of a pair whose first half was the last byte that fitted.
    owed: Option<u8>,
}

impl Position {
    /// Encodes from here, appending to `out` until it holds `len` bytes or the file ends.
    pub(crate) fn encode(&mut self, file: &[u8], out: &mut Vec<u8>, len: usize) {
        while out.len() < len {
            if let Some(byte) = self.owed.take() {
                out.push(byte);
                continue;
            }
            let Some(&byte) = file.get(self.offset) else { return };
            self.offset += 1;
            let (first, second) = match byte {
                LF => (CR, Some(LF)),
                CR => (CR, Some(0)),
                other => (other, None),
            };
            out.push(first);
            self.owed = second;
        }
    }

    /// Whether everything has been encoded.
    pub(crate) fn at_end(&self, file: &[u8]) -> bool {
        self.owed.is_none() && self.offset >= file.len()
    }
}

/// The length of `file` in netascii, in bytes. Reads the whole file.
pub fn encoded_len(file: &[u8]) -> u64 {
    let pairs = file.iter().filter(|byte| matches!(**byte, LF | CR)).count();
    (file.len() + pairs) as u64
}

/// Turns netascii back into what a file holds, block by block.
///
/// A pair may be split between blocks. CR followed by anything else is no netascii; both bytes are
/// kept, so that a file sent in the wrong mode loses as little as possible.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    /// The last byte was CR and its meaning is open.
    after_cr: bool,
}

impl Decoder {
    /// Decodes a block; `emit` is called with each stretch of the result, in order.
    ///
    /// # Errors
    /// The first error of `emit`; the decoder must not be used again then.
    pub fn decode<E>(
        &mut self,
        block: &[u8],
        mut emit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = block;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) {
                match first {
                    LF => emit(&[LF])?,
                    0 => emit(&[CR])?,
                    _ => {
                        emit(&[CR])?;
                        continue;
                    }
                }
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let plain = rest.iter().position(|byte| *byte == CR).unwrap_or(rest.len());
            let (stretch, after) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            if !stretch.is_empty() {
                emit(stretch)?;
            }
            self.after_cr = !after.is_empty();
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends the file: a CR that is still open was meant as it came.
    ///
    /// # Errors
    /// The error of `emit`.
    pub fn finish<E>(&mut self, mut emit: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if std::mem::take(&mut self.after_cr) { emit(&[CR]) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn encode(file: &[u8], step: usize) -> Vec<u8> {
        let mut position = Position::default();
        let mut wire = Vec::new();
        while !position.at_end(file) {
            let len = wire.len() + step;
            position.encode(file, &mut wire, len);
        }
        wire
    }

    fn decode(wire: &[u8], step: usize) -> Vec<u8> {
        let mut decoder = Decoder::default();
        let mut file = Vec::new();
        let mut emit = |bytes: &[u8]| {
            file.extend_from_slice(bytes);
            Ok::<(), Infallible>(())
        };
        for block in wire.chunks(step) {
            decoder.decode(block, &mut emit).unwrap();
        }
        decoder.finish(&mut emit).unwrap();
        file
    }

    #[test]
    fn every_byte_value_travels() {
        let all: Vec<u8> = (0..=255).collect();
        let wire = encode(&all, 512);
        assert_eq!(&wire[10..12], b"\r\n");
        assert_eq!(&wire[14..16], b"\r\0");
        assert_eq!(wire.len() as u64, encoded_len(&all));
        assert_eq!(decode(&wire, 512), all);
    }

    #[test]
    fn what_is_no_netascii_is_kept() {
        assert_eq!(decode(b"a\rb\r", 1), b"a\rb\r");
        assert_eq!(decode(b"\r\r\n", 2), b"\r\n");
        assert_eq!(decode(b"\n", 1), b"\n");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            file in prop::collection::vec(prop_oneof![Just(LF), Just(CR), Just(0), any::<u8>()], 0..300),
            out in 1usize..20,
            back in 1usize..20,
        ) {
            let wire = encode(&file, out);
            prop_assert_eq!(&wire, &encode(&file, 4096));
            prop_assert_eq!(wire.len() as u64, encoded_len(&file));
            prop_assert_eq!(decode(&wire, back), file);
        }
    }
}
