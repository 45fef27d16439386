//! What a pool is made of: the words that name nodes, the nodes, and where those stand.
//!
//! ```text
//!   | position or tag | number |      a word: the number in the fewest bits that hold them all, the rest counts
//! ```
//!
//! Every word is kept XORed with what it is in a new pool. So a new pool is all zeros: in a static it takes no room in
//! the program's image, where a pool of large values would be mostly that, and there is nothing to set up.

use crate::sync::{
    UnsafeCell,
    atomic::Ordering::{self, Relaxed},
    const_unless_loom,
};
use core::mem::MaybeUninit;
pub(super) use width::{AtomicBits, AtomicNumber, Bits, Number};

#[cfg(target_has_atomic = "64")]
mod width {
    pub(in super::super) use crate::sync::atomic::{AtomicU32 as AtomicNumber, AtomicU64 as AtomicBits};
    pub(in super::super) type Bits = u64;
    pub(in super::super) type Number = u32;
}

#[cfg(not(target_has_atomic = "64"))]
mod width {
    pub(in super::super) use crate::sync::atomic::{AtomicU16 as AtomicNumber, AtomicU32 as AtomicBits};
    pub(in super::super) type Bits = u32;
    pub(in super::super) type Number = u16;
}

/// The largest capacity: the numbers of all nodes, "none" and "closed" fit.
pub(super) const MOST: usize = Number::MAX as usize - 2;

/// A node of the line with the slot of the same number: not the slot it goes with, after a while.
pub struct Node<T> {
    pub(super) link: Link,
    pub(super) cell: UnsafeCell<MaybeUninit<T>>,
}

pub(super) struct Link {
    /// In the line: this node's position, and what follows it.
    pub(super) next: AtomicBits,
    /// The number of the slot that goes with this node (P1).
    slot: AtomicNumber,
    /// On the free list: the number of the node below.
    below: AtomicNumber,
}

/// # Safety
///
/// It gives the same nodes each time, at least one and at most [`MOST`].
pub unsafe trait Nodes<T> {
    fn nodes(&self) -> &[Node<T>];
}

// SAFETY: an array; `InlinePool::new` makes the only ones, and checks N.
unsafe impl<T, const N: usize> Nodes<T> for [Node<T>; N] {
    #[inline(always)]
    fn nodes(&self) -> &[Node<T>] {
        self
    }
}

// SAFETY: such an array, of which the type does not say the length.
unsafe impl<T> Nodes<T> for [Node<T>] {
    #[inline(always)]
    fn nodes(&self) -> &[Node<T>] {
        self
    }
}

#[cfg(feature = "alloc")]
// SAFETY: a box is not replaced behind a shared reference; `HeapPool::with_capacity` makes the only ones, and checks N.
unsafe impl<T> Nodes<T> for alloc::boxed::Box<[Node<T>]> {
    #[inline(always)]
    fn nodes(&self) -> &[Node<T>] {
        self
    }
}

impl<T> Node<T> {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self { link: Link::new(), cell: UnsafeCell::new(MaybeUninit::uninit()) }
        }
    }

    /// Writes a new node in place: with a large `T` it had better not stand on the stack first.
    #[cfg(all(feature = "alloc", not(loom)))]
    pub(super) fn write_to(node: &mut MaybeUninit<Self>) {
        // SAFETY: in bounds of a place for a node; the cell is around a `MaybeUninit`, which needs nothing.
        unsafe { (&raw mut (*node.as_mut_ptr()).link).write(Link::new()) };
    }

    #[cfg(all(feature = "alloc", loom))]
    pub(super) fn write_to(node: &mut MaybeUninit<Self>) {
        node.write(Self::new());
    }
}

impl Link {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self { next: AtomicBits::new(0), slot: AtomicNumber::new(0), below: AtomicNumber::new(0) }
        }
    }
}

/// Both numbers are Relaxed: they are published with their node. At first a node goes with the slot of its own number
/// and stands above the next one.
impl Link {
    #[inline(always)]
    pub(super) fn slot(&self, own: Number) -> Number {
        self.slot.load(Relaxed) ^ own
    }

    #[inline(always)]
    pub(super) fn pair_with(&self, own: Number, slot: Number) {
        self.slot.store(slot ^ own, Relaxed);
    }

    #[inline(always)]
    pub(super) fn below(&self, own: Number) -> Number {
        self.below.load(Relaxed) ^ (own + 1)
    }

    #[inline(always)]
    pub(super) fn put_on(&self, own: Number, below: Number) {
        self.below.store(below ^ (own + 1), Relaxed);
    }

    /// For the test that a new one is all zeros.
    #[cfg(all(test, feature = "std", not(loom)))]
    pub(super) fn is_zero(&self) -> bool {
        [self.slot.load(Relaxed), self.below.load(Relaxed)] == [0; 2] && self.next.load(Relaxed) == 0
    }
}

/// What `head`, `tail`, `free` and `next` hold: a node, with its position, or the tag of `free`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) tag: Bits,
    pub(super) number: Number,
}

/// One of those words, with the way to read it.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) bits: &'a AtomicBits,
    /// The number that it holds in a new pool. The tag is 0.
    pub(super) first: Number,
    /// How many bits a number takes.
    pub(super) cut: u32,
}

impl Word<'_> {
    #[inline(always)]
    fn open(self, bits: Bits) -> Tagged {
        let bits = bits ^ Bits::from(self.first);
        // The lower bits, no more than a number has.
        Tagged { tag: bits >> self.cut, number: (bits & !(Bits::MAX << self.cut)) as Number }
    }

    #[inline(always)]
    fn shut(self, Tagged { tag, number }: Tagged) -> Bits {
        ((tag << self.cut) | Bits::from(number)) ^ Bits::from(self.first)
    }

    #[inline(always)]
    pub(super) fn load(self, order: Ordering) -> Tagged {
        self.open(self.bits.load(order))
    }

    #[inline(always)]
    pub(super) fn store(self, value: Tagged, order: Ordering) {
        self.bits.store(self.shut(value), order);
    }

    #[inline(always)]
    pub(super) fn exchange(self, from: Tagged, to: Tagged, order: Ordering, look: Ordering) -> Result<(), Tagged> {
        let found = self.bits.compare_exchange(self.shut(from), self.shut(to), order, look);
        found.map(drop).map_err(|bits| self.open(bits))
    }
}
