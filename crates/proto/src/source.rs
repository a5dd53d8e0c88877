//! Where a sender's bytes come from.

use crate::block::BlockIndex;
use crate::netascii::Position;
use crate::request::Mode;

/// The content of a transfer, cut into blocks.
#[derive(Debug)]
pub struct Source<C> {
    content: C,
    blksize: u16,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Blocks are slices of the content.
    Octet,
    /// Blocks are slices of the window in flight, encoded ahead of its use.
    Netascii(Box<EncodedWindow>),
}

/// The netascii form of the blocks from `first` on, as many as a window holds.
#[derive(Debug)]
struct EncodedWindow {
    first: BlockIndex,
    bytes: Vec<u8>,
    capacity: usize,
    position: Position,
    /// The last block, once the encoder has seen the end of the file.
    last: Option<BlockIndex>,
}

impl EncodedWindow {
    fn fill(&mut self, file: &[u8], blksize: u16, len: usize) {
        self.position.encode(file, &mut self.bytes, len);
        if self.last.is_none() && self.position.at_end(file) {
            self.last = Some(self.first + self.bytes.len() as u64 / u64::from(blksize));
        }
    }
}

impl<C: AsRef<[u8]>> Source<C> {
    /// Prepares `content` for blocks of `blksize` bytes in windows of `windowsize`.
    ///
    /// In netascii it holds one encoded block, and from the first [`release`](Source::release) on an
    /// encoded window: `blksize * windowsize` bytes of memory. A peer that has not proved itself
    /// gets no more.
    pub fn new(content: C, mode: Mode, blksize: u16, windowsize: u16) -> Source<C> {
        let form = match mode {
            Mode::Octet => Form::Octet,
            Mode::Netascii => {
                let capacity = usize::from(blksize) * usize::from(windowsize);
                let mut window = EncodedWindow {
                    first: 1,
                    bytes: Vec::new(),
                    capacity,
                    position: Position::default(),
                    last: None,
                };
                window.fill(content.as_ref(), blksize, usize::from(blksize));
                Form::Netascii(Box::new(window))
            }
        };
        Source { content, blksize, form }
    }

    /// The last block of the transfer, if it is known yet. It is always known before the window
    /// reaches it.
    pub(crate) fn last(&self) -> Option<BlockIndex> {
        let blksize = u64::from(self.blksize);
        match &self.form {
            // A block shorter than the others ends the transfer, so an exact multiple needs an
            // empty one (RFC 1350 section 6).
            Form::Octet => Some(self.content.as_ref().len() as u64 / blksize + 1),
            Form::Netascii(window) => window.last,
        }
    }

    /// The bytes of `blocks` blocks from `first` on; fewer where the content ends. Empty if they
    /// are no longer, or not yet, within the window.
    pub fn payload(&self, first: BlockIndex, blocks: u16) -> &[u8] {
        let (bytes, base) = match &self.form {
            Form::Octet => (self.content.as_ref(), 1),
            Form::Netascii(window) => (window.bytes.as_slice(), window.first),
        };
        let blksize = usize::from(self.blksize);
        let start = first.checked_sub(base).and_then(|blocks| usize::try_from(blocks).ok());
        let Some(start) = start.and_then(|blocks| blocks.checked_mul(blksize)) else {
            return &[];
        };
        let start = start.min(bytes.len());
        let end = start.saturating_add(usize::from(blocks) * blksize).min(bytes.len());
        bytes.get(start..end).unwrap_or_default()
    }

    /// Bytes of the content.
    pub(crate) fn len(&self) -> u64 {
        self.content.as_ref().len() as u64
    }

    /// The content as it was given.
    pub(crate) fn content(&self) -> &C {
        &self.content
    }

    /// Moves the window, or makes it whole: blocks up to `acked` are not asked for again.
    pub fn release(&mut self, acked: BlockIndex) {
        let Form::Netascii(window) = &mut self.form else { return };
        let blocks =
            usize::try_from((acked + 1).saturating_sub(window.first)).unwrap_or(usize::MAX);
        let done = blocks.saturating_mul(usize::from(self.blksize)).min(window.bytes.len());
        window.bytes.drain(..done);
        window.first = window.first.max(acked + 1);
        let len = window.capacity;
        window.fill(self.content.as_ref(), self.blksize, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_short() {
        for (len, last) in [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (1024, 3)] {
            let source = Source::new(vec![7; len], Mode::Octet, 512, 1);
            assert_eq!(source.last(), Some(last), "{len} bytes");
            assert_eq!(source.payload(last, 1).len(), len % 512, "{len} bytes");
        }
    }

    #[test]
    fn netascii_blocks_move_with_the_window() {
        let file = b"one\ntwo\nthree\r\n".repeat(50);
        let mut source = Source::new(file.clone(), Mode::Netascii, 8, 4);
        let mut wire = Vec::new();
        let mut index = 1;
        loop {
            wire.extend_from_slice(source.payload(index, 1));
            source.release(index);
            if source.last() == Some(index) {
                break;
            }
            index += 1;
        }
        let expected = String::from_utf8(file).unwrap().replace('\r', "\r\0").replace('\n', "\r\n");
        assert_eq!(String::from_utf8(wire).unwrap(), expected);
        assert!(source.payload(1, 1).is_empty());
    }

    #[test]
    fn a_netascii_file_of_whole_blocks_ends_with_an_empty_one() {
        let mut source = Source::new(b"1234567\n".repeat(2), Mode::Netascii, 9, 1);
        assert_eq!(source.payload(1, 1).len(), 9);
        source.release(1);
        assert_eq!((source.payload(2, 1).len(), source.last()), (9, Some(3)));
        source.release(2);
        assert_eq!((source.payload(3, 1).len(), source.last()), (0, Some(3)));
    }
}
