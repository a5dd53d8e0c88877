//! Whether blocks that leave as one arrive.
//!
//! A driver may pass a run of blocks to the system as one, to be cut apart by the kernel or the
//! network card (`UDP_SEGMENT`). Some kernels and cards damage such runs without a word. Then no
//! window ever arrives, while single packets do, and only the transfer itself can tell.

/// What one transfer has learnt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Joining {
    /// The window in flight leaves block by block.
    cautious: bool,
    /// A run has arrived.
    arrived: bool,
    /// Single blocks have arrived where runs have not.
    lost: bool,
}

impl Joining {
    /// Whether blocks are to leave one by one.
    pub(crate) fn is_cautious(self) -> bool {
        self.cautious
    }

    /// A window was not acknowledged in time: the next one is sent in the safest way.
    pub(crate) fn timed_out(&mut self) {
        self.cautious = true;
    }

    /// `blocks` blocks were acknowledged at once.
    pub(crate) fn acknowledged(&mut self, blocks: u64) {
        if blocks < 2 {
            return;
        }
        if !self.cautious {
            self.arrived = true;
        } else if self.arrived {
            self.cautious = false;
        } else {
            self.lost = true;
        }
    }

    /// What the transfer says about runs: that they arrive, that they get lost, or nothing.
    pub(crate) fn verdict(self) -> Option<bool> {
        (self.arrived || self.lost).then_some(self.arrived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_window_is_chance() {
        let mut joining = Joining::default();
        joining.acknowledged(16);
        joining.timed_out();
        assert!(joining.is_cautious());
        joining.acknowledged(16);
        assert!(!joining.is_cautious());
        assert_eq!(joining.verdict(), Some(true));
    }

    #[test]
    fn a_transfer_whose_runs_never_arrive_goes_on_block_by_block() {
        let mut joining = Joining::default();
        joining.timed_out();
        joining.acknowledged(1);
        assert_eq!(joining.verdict(), None, "a single block says nothing of runs");
        joining.acknowledged(16);
        joining.acknowledged(16);
        assert!(joining.is_cautious());
        assert_eq!(joining.verdict(), Some(false));
    }
}
