//! The sizes that stacks come in.
//!
//! Each has a reservation of its own, made when first needed, so that all slots of one reservation are alike. A task that needs
//! more than the default pays with addresses only: memory is what it touches.

use super::region::guard_size;

/// One of the sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class(u8);

/// The bytes of a slot (a green thread's stack, its header and its guard), and how many slots to reserve.
const SIZES: [(usize, u32); COUNT] = [
    (64 * 1024, 1 << 20),
    (256 * 1024, 1 << 20),
    (1024 * 1024, 1 << 18),
    (8 * 1024 * 1024, 1 << 15),
    (64 * 1024 * 1024, 1 << 12),
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
        SIZES[COUNT - 1].0 - guard_size() - TOP
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The bytes of a slot.
    pub(crate) const fn size(self) -> usize {
        SIZES[self.index()].0
    }

    /// How many slots to reserve.
    pub(super) const fn slots(self) -> u32 {
        SIZES[self.index()].1
    }
}
