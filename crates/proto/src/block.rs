//! Block numbers: 16 bits on the wire, 64 bits everywhere else.

/// The position of a block in a transfer. DATA starts at 1; 0 is what ACK 0 acknowledges.
///
/// On the wire only the low 16 bits travel, so 65535 is followed by 0. RFC 1350 leaves the wrap
/// open; this is what boot firmware and the common servers do.
pub type BlockIndex = u64;

/// The largest window that is ever agreed, in blocks.
///
/// RFC 7440 allows 65535, but a block number is only 16 bits: beyond half of that range an old
/// ACK could be taken for a new one.
pub const MAX_WINDOWSIZE: u16 = 32_767;

/// What travels for `index`.
pub(crate) fn on_the_wire(index: BlockIndex) -> u16 {
    (index & 0xffff) as u16
}

/// The index nearest to `near` that travels as `block`; `None` if it would lie before zero.
pub(crate) fn widen(block: u16, near: BlockIndex) -> Option<BlockIndex> {
    // Two's complement: a distance of more than half the range is a step backwards.
    let step = block.wrapping_sub(on_the_wire(near)) as i16;
    near.checked_add_signed(i64::from(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_takes_the_nearest_index() {
        assert_eq!(widen(1, 1), Some(1));
        assert_eq!(widen(0, 1), Some(0));
        assert_eq!(widen(0xffff, 0), None);
        assert_eq!(widen(0, 0xffff), Some(0x1_0000));
        assert_eq!(widen(0xffff, 0x1_0000), Some(0xffff));
        assert_eq!(widen(5, 0x1_fffe), Some(0x2_0005));
        assert_eq!(widen(0x7fff, 0), Some(0x7fff));
        assert_eq!(widen(0x8000, 0x1_0000), Some(0x8000));
    }
}
