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
use std::cell::Cell;

/// What a cache holds at most. As a rule each has touched a page or two.
const SIZE: usize = 32;
/// How many come from the pool, or go there, at a time.
pub(super) const HALF: usize = SIZE / 2;

pub(crate) struct Cache {
    len: Cell<usize>,
    /// Their indices, the newest last.
    slots: [Cell<u32>; SIZE],
}

impl Cache {
    pub(crate) const fn new() -> Self {
        Self { len: Cell::new(0), slots: [const { Cell::new(0) }; SIZE] }
    }

    /// As [`super::acquire`], of the default class.
    pub(crate) fn acquire(&self) -> Result<Slot, StackError> {
        let pool = &POOLS[Class::DEFAULT.index()];
        if self.len.get() == 0 {
            let (count, slots) = pool.take_half()?;
            // The one that would be handed out first stays the first.
            slots[..count].iter().rev().for_each(|slot| self.push(*slot));
        }
        let last = self.len.get() - 1;
        self.len.set(last);
        Ok(pool.slot(self.slots[last].get()))
    }

    /// # Safety
    ///
    /// As for [`super::release`]. The slot is of the default class.
    pub(crate) unsafe fn release(&self, slot: Slot) {
        let pool = &POOLS[Class::DEFAULT.index()];
        // SAFETY: the caller's promise.
        let index = unsafe { pool.index_of_free(slot) };
        if self.len.get() == SIZE {
            pool.put(self.slots[..HALF].iter().map(Cell::get));
            (HALF..SIZE).for_each(|from| self.slots[from - HALF].set(self.slots[from].get()));
            self.len.set(SIZE - HALF);
        }
        self.push(index);
    }

    /// C2.
    pub(crate) fn give_back(&self) {
        let len = self.len.replace(0);
        if len > 0 {
            POOLS[Class::DEFAULT.index()].put(self.slots[..len].iter().map(Cell::get));
        }
    }

    fn push(&self, index: u32) {
        let len = self.len.get();
        self.slots[len].set(index);
        self.len.set(len + 1);
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
            let bases: HashSet<_> = slots.iter().map(|slot| slot.base()).collect();
            assert_eq!(bases.len(), slots.len());
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
