//! Private bytes on their way to becoming a version.

use std::fmt;

use thiserror::Error;

use crate::budget::{Budget, Charge, OverBudget};
use crate::version::Version;

/// A file being received; nobody else sees it before it is committed.
///
/// The bytes lie in one contiguous buffer. Its capacity, not its length, is charged to the budget,
/// and charged before it is allocated; nothing is allocated before the first byte. The one thing
/// not charged is the old block while the allocator moves a growing buffer by copying it.
///
/// Dropping an upload frees the buffer and gives the charge back.
pub struct Upload {
    // Before `charge`: fields drop in this order, and memory goes before its charge does.
    bytes: Vec<u8>,
    charge: Charge,
    max_len: u64,
    expected: u64,
}

/// Why an upload cannot take more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The memory allowed for files is used up.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The file would be longer than this one may become.
    #[error("the file is longer than the {max} bytes allowed")]
    TooLong {
        /// The most bytes this file may have.
        max: u64,
    },
    /// The budget has room, but the allocator has none.
    #[error("the system has no memory left")]
    OutOfMemory,
}

impl Upload {
    /// An empty upload that holds nothing yet.
    pub(crate) fn new(charge: Charge, max_len: u64) -> Self {
        Self { bytes: Vec::new(), charge, max_len, expected: 0 }
    }

    /// Announces the size of the whole file in bytes.
    ///
    /// This is a hint and sets nothing aside. It lets growth end exactly at `len`, and it turns away
    /// at once a file that cannot be taken. The file may still become shorter or longer.
    ///
    /// # Errors
    ///
    /// [`AppendError::TooLong`] or [`AppendError::OverBudget`] if a file of this size would not fit
    /// now. The upload stays as it was.
    pub fn announce(&mut self, len: u64) -> Result<(), AppendError> {
        self.check_len(len)?;
        self.charge.budget().check(len.saturating_sub(self.charge.bytes()))?;
        self.expected = len;
        Ok(())
    }

    /// Adds `bytes` at the end.
    ///
    /// The buffer grows in steps that make the cost per byte constant; near the limit of the budget
    /// the steps become smaller before anything is refused.
    ///
    /// # Errors
    ///
    /// Any [`AppendError`]. All of `bytes` is added or none of it; the upload stays usable.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        let len = self.len().saturating_add(bytes.len() as u64);
        self.check_len(len)?;
        if len > self.bytes.capacity() as u64 {
            self.grow(len)?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes received so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// True before the first byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes charged to the budget for this upload: its length and the room to grow.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.charge.bytes()
    }

    /// The budget this upload is charged to.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.charge.budget()
    }

    /// Ends the upload: from here on the bytes never change.
    pub(crate) fn freeze(self) -> Version {
        let Self { bytes, mut charge, .. } = self;
        let bytes = bytes.into_boxed_slice();
        charge.shrink_to(bytes.len() as u64);
        Version::new(bytes, charge)
    }

    fn check_len(&self, len: u64) -> Result<(), AppendError> {
        if len > self.max_len { Err(AppendError::TooLong { max: self.max_len }) } else { Ok(()) }
    }

    /// Makes the capacity at least `need`, which is above the present one.
    fn grow(&mut self, need: u64) -> Result<(), AppendError> {
        let before = self.charged();
        let capacity = self.charge_for(need)?;
        let reserved = usize::try_from(capacity)
            .ok()
            .and_then(|capacity| capacity.checked_sub(self.bytes.len()))
            .is_some_and(|more| self.bytes.try_reserve_exact(more).is_ok());
        if !reserved {
            self.charge.shrink_to(before);
            return Err(AppendError::OutOfMemory);
        }
        debug_assert!(self.bytes.capacity() as u64 <= self.charged());
        Ok(())
    }

    /// Charges a capacity of at least `need` and returns it.
    ///
    /// When the budget cannot give all the slack wanted, half of it is tried, and so on. Going
    /// straight to the bare need would move the whole buffer for every block once memory is short.
    fn charge_for(&mut self, need: u64) -> Result<u64, OverBudget> {
        let held = self.charged();
        let mut slack = self.wanted(need) - need;
        loop {
            match self.charge.try_grow(need + slack - held) {
                Ok(()) => return Ok(need + slack),
                Err(refused) if slack == 0 => return Err(refused),
                Err(_) => slack /= 2,
            }
        }
    }

    /// The capacity to have if memory is plenty; at least `need`.
    fn wanted(&self, need: u64) -> u64 {
        let held = self.charged();
        let grown = held.saturating_add(held.clamp(FIRST_STEP, LARGEST_STEP));
        // A file that outgrew what was announced is no longer bound by it.
        let end = if need <= self.expected { self.expected } else { self.max_len };
        grown.min(end).max(need)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("len", &self.len())
            .field("charged", &self.charged())
            .field("max_len", &self.max_len)
            .field("expected", &self.expected)
            .finish()
    }
}

/// Capacity of the first buffer, in bytes: most files that are uploaded are small.
const FIRST_STEP: u64 = 4 << 10;

/// Below this a buffer doubles; above it grows by this much, in bytes, to bound the slack.
const LARGEST_STEP: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(budget: &Budget, max_len: u64) -> Upload {
        Upload::new(Charge::none(budget), max_len)
    }

    /// What must hold after every step.
    fn check(upload: &Upload, budget: &Budget) {
        assert_eq!(upload.charged(), upload.bytes.capacity() as u64);
        assert_eq!(upload.charged(), budget.used());
        assert!(upload.len() <= upload.charged());
        assert!(budget.used() <= budget.limit());
    }

    /// Appends blocks until one is refused; returns how often the buffer moved.
    fn fill(upload: &mut Upload, budget: &Budget, block: &[u8]) -> (AppendError, usize) {
        let mut moves = 0;
        loop {
            let before = upload.charged();
            if let Err(error) = upload.append(block) {
                assert_eq!(upload.charged(), before);
                return (error, moves);
            }
            moves += usize::from(upload.charged() != before);
            check(upload, budget);
        }
    }

    #[test]
    fn nothing_is_held_before_the_first_byte() {
        let budget = Budget::new(1 << 20);
        let mut upload = upload(&budget, u64::MAX);
        upload.announce(1 << 20).unwrap();
        upload.append(b"").unwrap();
        assert!(upload.is_empty());
        assert_eq!(budget.used(), 0);
        upload.append(b"x").unwrap();
        assert_eq!(budget.used(), FIRST_STEP);
        drop(upload);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_buffer_doubles_and_then_grows_by_the_largest_step() {
        let budget = Budget::new(u64::MAX);
        let mut upload = upload(&budget, u64::MAX);
        let block = vec![7; 1 << 20];
        let mut capacities = vec![];
        while upload.len() < 100 << 20 {
            upload.append(&block).unwrap();
            check(&upload, &budget);
            if capacities.last() != Some(&(upload.charged() >> 20)) {
                capacities.push(upload.charged() >> 20);
            }
        }
        assert_eq!(capacities, [1, 2, 4, 8, 16, 32, 64, 96, 128]);
    }

    #[test]
    fn an_expected_file_ends_without_slack() {
        for len in [1, 4095, 4096, 4097, 10_000, 1_000_000, 40 << 20] {
            let budget = Budget::new(len);
            let mut upload = upload(&budget, u64::MAX);
            upload.announce(len).unwrap();
            let block = vec![1; 64_000];
            while upload.len() < len {
                let n = (len - upload.len()).min(block.len() as u64) as usize;
                upload.append(&block[..n]).unwrap();
                check(&upload, &budget);
            }
            assert_eq!(upload.charged(), len);
        }
    }

    #[test]
    fn an_expectation_that_proves_false_binds_nothing() {
        let budget = Budget::new(1 << 20);
        let mut upload = upload(&budget, u64::MAX);
        upload.announce(100).unwrap();
        upload.append(&[0; 100]).unwrap();
        assert_eq!(upload.charged(), 100);
        upload.append(&[0; 100]).unwrap();
        assert_eq!(upload.charged(), 100 + FIRST_STEP);
        check(&upload, &budget);
        assert_eq!(upload.freeze().len(), 200);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_expectation_that_cannot_be_met_is_refused() {
        let top = Budget::new(1000);
        let budget = top.child(600);
        let mut upload = upload(&budget, 500);
        upload.append(&[0; 300]).unwrap();
        assert_eq!(upload.charged(), 500, "growth stops at the longest file allowed");
        assert_eq!(upload.announce(501), Err(AppendError::TooLong { max: 500 }));
        assert_eq!(upload.announce(u64::MAX), Err(AppendError::TooLong { max: 500 }));
        upload.announce(500).unwrap();

        let mut upload = self::upload(&budget, u64::MAX);
        let own = OverBudget { depth: 0, limit: 600 };
        assert_eq!(upload.announce(u64::MAX), Err(AppendError::OverBudget(own)));
        let _others = top.charge(450).unwrap();
        let above = OverBudget { depth: 1, limit: 1000 };
        assert_eq!(upload.announce(100), Err(AppendError::OverBudget(above)));
        upload.announce(50).unwrap();
        assert_eq!(budget.used(), 500);
    }

    #[test]
    fn the_budget_can_be_filled_to_the_last_byte_in_few_moves() {
        let budget = Budget::new(5 << 20);
        let mut upload = upload(&budget, u64::MAX);
        let (error, moves) = fill(&mut upload, &budget, &[3; 512]);
        assert_eq!(error, AppendError::OverBudget(OverBudget { depth: 0, limit: 5 << 20 }));
        assert_eq!(upload.len(), 5 << 20);
        assert!(moves < 40, "{moves} moves");

        assert!(upload.append(&[3]).is_err());
        assert!(upload.bytes.iter().all(|byte| *byte == 3));
        drop(upload);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_longest_file_allowed_is_taken_and_not_a_byte_more() {
        let budget = Budget::new(1 << 20);
        let mut upload = upload(&budget, 10_000);
        let (error, _) = fill(&mut upload, &budget, &[3; 100]);
        assert_eq!(error, AppendError::TooLong { max: 10_000 });
        assert_eq!((upload.len(), upload.charged()), (10_000, 10_000));
    }

    #[test]
    fn a_refused_append_leaves_the_bytes_and_room_for_a_smaller_one() {
        let budget = Budget::new(1000);
        let mut upload = upload(&budget, u64::MAX);
        upload.append(&[1; 900]).unwrap();
        assert!(upload.append(&[2; 101]).is_err());
        check(&upload, &budget);
        upload.append(&[2; 100]).unwrap();
        let version = upload.freeze();
        assert_eq!(version.as_ref()[899..901], [1, 2]);
    }

    #[test]
    fn a_failing_allocator_is_an_error_and_gives_the_charge_back() {
        let budget = Budget::new(u64::MAX);
        let mut upload = upload(&budget, u64::MAX);
        upload.append(b"some").unwrap();
        let before = upload.charged();
        // No allocator gives more than `isize::MAX` bytes, whatever the machine.
        assert_eq!(upload.grow(1 << 63), Err(AppendError::OutOfMemory));
        assert_eq!(upload.charged(), before);
        check(&upload, &budget);
        upload.append(b" more").unwrap();
        assert_eq!(upload.freeze().as_ref(), b"some more");
    }
}
