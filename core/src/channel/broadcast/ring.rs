//! The last values of a broadcast channel, and who still wants them.
//!
//! ```text
//!   position   …  5 │  6    7    8    9  │ 10 …
//!                   │ empty full lent full│           capacity 4
//!           dropped └ oldest              └ next
//!
//!   slot:  FULL ─ take, not the last to want it ─▶ LENT ─ brought back ─▶ FULL
//!           │ └─ take, the last ─▶ EMPTY ◀─ brought back, nobody wants it ─┘
//!   any ─ the sender comes round ─▶ FULL with the next value
//! ```
//!
//! * B1  The value of position `p` is in slot `p % capacity` while `p` is among the last `capacity` positions.
//! * B2  `left` counts the receivers that were there when the value was sent and have neither taken it nor gone. At 0 the
//!   slot is empty; above 0 it is full or lent.
//! * B3  A value is never shared: who clones it has taken it out. So it is with one thread at a time, and `T: Send` is
//!   enough. Who wants it meanwhile says so in `wanted`, and sleeps until it is back.
//! * B4  A sender asks nobody: it replaces a slot that is lent like any other. Who brings the old value back sees by its
//!   position that the slot has moved on.
//! * B5  Values leave under the lock, but are cloned and dropped after it is given back: that is the user's code.
//!
//! Not a sleeping lock around each value, under which it is cloned: the sender would wait for a slow `Clone`, and a future
//! would block its executor.

use super::error::RecvError;
use crate::{
    queue::WaitQueue,
    sleeper::{HasSleepers, wake_all},
    spin::SpinMutex,
};
use alloc::boxed::Box;
use core::mem;

struct Slot<T> {
    /// None: empty, or lent.
    value: Option<T>,
    left: usize,
    lent: bool,
    wanted: bool,
}

impl<T> Slot<T> {
    const EMPTY: Self = Self { value: None, left: 0, lent: false, wanted: false };
}

pub(super) struct Ring<T> {
    slots: Box<[Slot<T>]>,
    /// The position of the next value. 64 bits do not come round: at a value each nanosecond that takes 584 years.
    pub(super) next: u64,
    pub(super) senders: usize,
    pub(super) receivers: usize,
    sleepers: WaitQueue<()>,
}

impl<T> HasSleepers for Ring<T> {
    fn sleepers(&mut self) -> &mut WaitQueue<()> {
        &mut self.sleepers
    }
}

/// What a receiver finds. It is taken: what is not used is put back by its drop, or lost to this receiver alone.
pub(super) enum Found<'a, T> {
    /// The receiver was the last to want this value, so it is its own.
    Last(T),
    /// The value, to be cloned: others want it, too.
    Lent(Lent<'a, T>),
    Error(RecvError),
}

/// Why there is nothing to find.
pub(super) enum Nothing {
    /// Nothing was sent since.
    Empty,
    /// The next value is lent; it comes back, or the sender comes round.
    Lent,
}

impl<T> Ring<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|_| Slot::EMPTY).collect();
        Self { slots, next: 0, senders: 1, receivers: 1, sleepers: WaitQueue::new() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The first position of those in reach.
    fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.slots.len() as u64)
    }

    /// How many values a receiver that stands at `at` can still get.
    pub(super) fn len(&self, at: u64) -> usize {
        (self.next - at.max(self.oldest())) as usize // at most the capacity
    }

    fn slot(&mut self, position: u64) -> &mut Slot<T> {
        let index = position % self.slots.len() as u64;
        &mut self.slots[index as usize]
    }

    /// Adds a value for all receivers there are. The value that makes room is to be dropped after the lock is given back, and
    /// all who sleep are to be woken.
    pub(super) fn push(&mut self, value: T) -> Option<T> {
        let left = self.receivers;
        let old = mem::replace(self.slot(self.next), Slot { value: Some(value), left, ..Slot::EMPTY });
        self.next += 1;
        old.value
    }

    /// What a receiver finds that stands at `at`; it stands behind that then. `lock` is the one that we are under.
    pub(super) fn take<'a>(&mut self, lock: &'a SpinMutex<Self>, at: &mut u64) -> Result<Found<'a, T>, Nothing> {
        let (position, oldest) = (*at, self.oldest());
        if position < oldest {
            *at = oldest;
            return Ok(Found::Error(RecvError::Lagged(oldest - position)));
        }
        if position == self.next {
            return if self.senders == 0 { Ok(Found::Error(RecvError::Closed)) } else { Err(Nothing::Empty) };
        }
        let slot = self.slot(position);
        let Some(value) = slot.value.take() else {
            debug_assert!(slot.lent, "B2: we are among those who are left");
            slot.wanted = true;
            return Err(Nothing::Lent);
        };
        *at += 1;
        slot.left -= 1;
        if slot.left == 0 {
            return Ok(Found::Last(value));
        }
        slot.lent = true;
        Ok(Found::Lent(Lent { lock, position, value: Some(value) }))
    }

    /// A receiver that goes does without the value at `position`. If it was the last to want it, it is to be dropped after
    /// the lock is given back.
    pub(super) fn forgo(&mut self, position: u64) -> Option<T> {
        if position < self.oldest() {
            return None;
        }
        let slot = self.slot(position);
        slot.left -= 1;
        // Lent, it is dropped by who brings it back.
        if slot.left == 0 { slot.value.take() } else { None }
    }
}

/// A value out of its slot, to be cloned. Dropped, it goes back: also when `clone` panics.
pub(super) struct Lent<'a, T> {
    lock: &'a SpinMutex<Ring<T>>,
    position: u64,
    /// Full until the drop.
    value: Option<T>,
}

impl<T: Clone> Lent<'_, T> {
    pub(super) fn copy(&self) -> T {
        self.value.clone().unwrap_or_else(|| unreachable!("full until it is dropped"))
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let mut ring = self.lock.lock();
        if self.position < ring.oldest() {
            return; // B4. The lock is given back before our field is dropped.
        }
        let slot = ring.slot(self.position);
        slot.lent = false;
        if slot.left > 0 {
            slot.value = self.value.take();
        }
        if mem::take(&mut slot.wanted) {
            wake_all(self.lock, ring);
        }
    }
}
