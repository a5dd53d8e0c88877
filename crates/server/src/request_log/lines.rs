//! Lines that are to be written, and what the log lacks without each.

/// What the log lacks if a line is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// A request.
    Request,
    /// That so many lines are lost.
    Lost(u64),
    /// That so many datagrams have no line of their own.
    Summary(u64),
}

/// Formatted lines in the order they are written.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<(usize, Worth)>,
}

impl Lines {
    /// Appends a line, which ends in a line feed.
    pub(super) fn push(&mut self, line: &str, worth: Worth) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.ends.push((self.bytes.len(), worth));
    }

    /// Empties it; keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whole lines from the `first` on: as many as have no more than `most` bytes together, but one
    /// at least if there is one.
    pub(super) fn piece(&self, first: usize, most: usize) -> Piece<'_> {
        let before = first.checked_sub(1).and_then(|last| self.ends.get(last));
        let start = before.map_or(0, |(end, _)| *end);
        let ends = self.ends.get(first..).unwrap_or_default();
        let fitting = ends.partition_point(|(end, _)| end - start <= most).max(1);
        let ends = ends.get(..fitting).unwrap_or_default();
        let end = ends.last().map_or(start, |(end, _)| *end);
        Piece { start, bytes: self.bytes.get(start..end).unwrap_or_default(), ends }
    }
}

/// Consecutive whole lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Where they begin among all.
    start: usize,
    pub(super) bytes: &'a [u8],
    ends: &'a [(usize, Worth)],
}

impl<'a> Piece<'a> {
    /// The number of lines.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Each line with where it begins and ends in [`Piece::bytes`].
    pub(super) fn lines(self) -> impl Iterator<Item = (std::ops::Range<usize>, Worth)> + 'a {
        self.ends.iter().scan(0, move |begin, (end, worth)| {
            let end = end - self.start;
            Some((std::mem::replace(begin, end)..end, *worth))
        })
    }
}
