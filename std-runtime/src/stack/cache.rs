//! Free stacks that a worker keeps for itself: the pool's lock, and the lines of a stack that was last another processor's, once for many.
//!
//! ```text
//!   release ──▶ │ newest │ ──▶ acquire
//!               │   …    │
//!               │ oldest │ ◀── half of them, to and from the pool ──▶
//! ```
//!
//! * C1  Of the default class only, touched by its worker's thread alone (W1). What is in it is owned by the worker (T2).
//! * C2  Given back when the worker has slept for a while, so that it can be trimmed, and before its thread ends.

use super::{Class, POOLS, Slot, StackError};
use std::{cell::Cell, ptr::NonNull};

/// What a cache holds at most. As a rule each has touched a page or two.
const SIZE: usize = 32;
/// How many come from the pool, or go there, at a time.
pub(super) const HALF: usize = SIZE / 2;

pub(crate) struct Cache {
    len: Cell<usize>,
    /// Their cards, the newest last.
    cards: [Cell<NonNull<u8>>; SIZE],
}

impl Cache {
    pub(crate) const fn new() -> Self {
        Self { len: Cell::new(0), cards: [const { Cell::new(NonNull::dangling()) }; SIZE] }
    }

    /// As [`super::acquire`], of the default class.
    pub(crate) fn acquire(&self) -> Result<Slot, StackError> {
        if self.len.get() == 0 {
            self.fetch()?;
        }
        let last = self.len.get() - 1;
        self.len.set(last);
        Ok(Slot::new(self.cards[last].get(), Class::DEFAULT))
    }

    /// # Safety
    ///
    /// As for [`super::release`]. The slot is of the default class.
    pub(crate) unsafe fn release(&self, slot: Slot) {
        debug_assert!(self.cards[..self.len.get()].iter().all(|card| card.get() != slot.card), "released twice");
        if self.len.get() == SIZE {
            self.put(HALF);
            (HALF..SIZE).for_each(|from| self.cards[from - HALF].set(self.cards[from].get()));
            self.len.set(SIZE - HALF);
        }
        self.push(slot.card);
    }

    /// C2.
    pub(crate) fn give_back(&self) {
        self.put(self.len.replace(0));
    }

    fn push(&self, card: NonNull<u8>) {
        let len = self.len.get();
        self.cards[len].set(card);
        self.len.set(len + 1);
    }

    #[cold]
    fn fetch(&self) -> Result<(), StackError> {
        let pool = &POOLS[Class::DEFAULT.index()];
        let (count, slots) = pool.take_half()?;
        // The one that would be handed out first stays the first.
        slots[..count].iter().rev().for_each(|index| self.push(pool.slot(*index).card));
        Ok(())
    }

    /// Puts the oldest into the pool.
    fn put(&self, count: usize) {
        if count > 0 {
            let pool = &POOLS[Class::DEFAULT.index()];
            pool.put(self.cards[..count].iter().map(|card| pool.index_of(Slot::new(card.get(), Class::DEFAULT))));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// More than it holds come and go: each has one owner at a time, the newest comes back first, and what is over goes to the pool.
    #[test]
    fn a_cache_loses_no_slot_and_gives_none_twice() {
        let cache = Cache::new();
        for _ in 0..3 {
            let slots: Vec<_> = (0..3 * SIZE).map(|_| cache.acquire().unwrap()).collect();
            let cards: HashSet<_> = slots.iter().map(|slot| slot.card).collect();
            assert_eq!(cards.len(), slots.len());
            for slot in &slots {
                // SAFETY: ours, and nothing runs on it.
                unsafe { cache.release(*slot) };
                assert!((1..=SIZE).contains(&cache.len.get()));
            }
            for slot in slots.iter().rev().take(HALF) {
                assert_eq!(cache.acquire().unwrap(), *slot);
            }
            for slot in slots.iter().rev().take(HALF) {
                // SAFETY: as above.
                unsafe { cache.release(*slot) };
            }
            cache.give_back();
            assert_eq!(cache.len.get(), 0);
        }
    }
}
