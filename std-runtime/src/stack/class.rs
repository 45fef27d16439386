//! The sizes that stacks come in.
//!
//! Each has a reservation of its own, made when first needed, so that all slots of one reservation are alike. A task that needs
//! more than the default pays with addresses only: memory is what it touches.

use super::region::guard_size;

/// One of the sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class(u8);

/// The bytes of a slot (a green thread's stack, its header and its guard), as a power of two, and how many slots to reserve.
const SIZES: [(u32, u32); COUNT] = [
    (16, 1 << 20), // 64 KiB
    (18, 1 << 20), // 256 KiB
    (20, 1 << 18), // 1 MiB
    (23, 1 << 15), // 8 MiB
    (26, 1 << 12), // 64 MiB
];

pub(super) const COUNT: usize = 5;

/// What header, closure and first frames may take of a slot.
const TOP: usize = 4096;

impl Class {
    /// What every green thread has that asks for nothing else.
    pub(crate) const DEFAULT: Self = Self(1);

    /// All of them, the smallest first.
    pub(super) const ALL: [Self; COUNT] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    /// The smallest that has `bytes` for the calls of a green thread; none if that is more than the largest has.
    pub(crate) fn with(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.size().checked_sub(guard_size() + TOP).is_some_and(|has| has >= bytes))
    }

    /// What the largest has for the calls of a green thread.
    pub(crate) fn most() -> usize {
        Self::ALL[COUNT - 1].size() - guard_size() - TOP
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The bytes of a slot.
    pub(crate) const fn size(self) -> usize {
        1 << self.size_bits()
    }

    /// The size, as a power of two: a division by it would take longer than all else that a spawn does with a slot.
    pub(super) const fn size_bits(self) -> u32 {
        SIZES[self.index()].0
    }

    /// How many slots to reserve.
    pub(super) const fn slots(self) -> u32 {
        SIZES[self.index()].1
    }
}
