//! The quick buffer of `bounded(n)`: a ring of slots, each with a stamp that says whose turn it is.
//!
//! ```text
//!              head                     tail
//!                ▼                       ▼
//!   ┌───────┬────────┬────────┬───────┬───────┐      a position is   lap · index   (and CLOSED, in `tail` only)
//!   │ free  │ filled │ filled │ being │ free  │      `tail` moves by a claim to fill, `head` by a claim to empty;
//!   │ lap+1 │ pos+1  │ pos+1  │ filled│ pos   │      the slot's stamp follows when the value is in, or out
//!   └───────┴────────┴────────┴───────┴───────┘
//! ```
//!
//! | stamp of a slot          | the slot is                                                       |
//! |--------------------------|-------------------------------------------------------------------|
//! | `pos`                    | free for the push at position `pos`, or claimed and being filled   |
//! | `pos · BLANK`            | reserved for a value that does not exist yet                      |
//! | `pos + 1`                | filled                                                            |
//! | `pos + 1 · BLANK`        | given back: a pop passes over it                                  |
//! | `pos + lap`              | free for the next lap                                             |
//!
//! * R1  A slot's cell belongs to the pusher whose claim moved `tail` over it while the stamp was `pos`, until he stores
//!   `pos + 1`; then to the popper whose claim moved `head` over it, until he stores `pos + lap`.
//! * R2  `tail` never moves once it bears CLOSED, so no push takes effect after that.
//! * R3  A peer that has stopped between claim and stamp hides what stands behind its slot: `pop` says `Empty`, and `push`
//!   says `Full`, instead of waiting for it. One that runs has its time to finish.
//!
//! Positions wrap with `usize`: a claim goes wrong only if a thread sleeps, between reading a stamp and its claim, through
//! a whole number of rounds of all positions (at least 2^30 operations on 32 bits) and wakes at exactly that moment.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
    padded::Padded,
    shared::drain,
};
use crate::sync::{
    UnsafeCell,
    atomic::{AtomicUsize, Ordering::*},
    model_fence, spin,
};
use alloc::boxed::Box;
use core::mem::MaybeUninit;

/// How often a claimed slot is looked at before its peer counts as stopped. Where there is an operating system, the peer may
/// have lost its CPU to another program, and not get it back within a few yields: so that takes some milliseconds.
const PATIENCE: u32 = if cfg!(loom) {
    0
} else if cfg!(greenlight_steps) {
    4
} else if cfg!(feature = "std") {
    1 << 16
} else {
    1 << 12
};

/// No claim for now, and none ever: neither is a position, since both bear the bit that is `mark`, whichever it is.
const NOT_NOW: usize = usize::MAX;
const NEVER: usize = usize::MAX - 1;

struct Slot<T> {
    stamp: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// | word    | operation            | order   | pairs with              | so that                                        |
/// |---------|----------------------|---------|-------------------------|------------------------------------------------|
/// | `stamp` | filled, emptied      | Release | read before a claim     | the next owner of the cell sees what is in it  |
/// | `stamp` | read before a claim  | Acquire | filled, emptied         | the same                                       |
/// | `stamp` | filled, by `fill`    | SeqCst  | `may_pop`               | B4: nobody spins for a reserved slot           |
/// | both    | claim, close         | SeqCst  | `may_pop`, `may_push`   | B4                                             |
/// | `stamp` | read by `can_…`      | Relaxed | nothing                 | the call that follows sees no older one        |
/// | both    | read before a claim  | Relaxed | nothing                 | a stale position fails the claim               |
/// | both    | read to say no       | SeqCst  | claim                   | "full", "empty" are true of one moment         |
///
/// Weakened to Relaxed, "filled" fails five models, "emptied" `channel_full_buffer_keeps_order`, "read before a claim" (to empty)
/// five.
pub struct Ring<T> {
    head: Padded<AtomicUsize>,
    tail: Padded<AtomicUsize>,
    slots: Box<[Slot<T>]>,
    /// One bit above the indices: CLOSED in `tail`, BLANK in a stamp.
    mark: usize,
    lap: usize,
}

// SAFETY: a value is in the hands of one thread at a time (R1), so it must be Send and nothing more.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// # Panics
    ///
    /// If `capacity` is 0, or its slots do not fit in the address space.
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a ring holds at least one value");
        let mark = (capacity + 1).checked_next_power_of_two().filter(|mark| *mark <= usize::MAX / 8);
        let Some(mark) = mark else { panic!("a channel for {capacity} values does not fit in memory") };
        let fits = capacity.checked_mul(size_of::<Slot<T>>()).is_some_and(|bytes| bytes <= isize::MAX as usize);
        assert!(fits, "a channel for {capacity} values does not fit in memory");
        Self {
            head: Padded(AtomicUsize::new(0)),
            tail: Padded(AtomicUsize::new(0)),
            slots: new_slots(capacity),
            mark,
            lap: mark * 2,
        }
    }

    #[inline]
    fn slot(&self, position: usize) -> &Slot<T> {
        let index = position & (self.mark - 1);
        debug_assert!(index < self.slots.len());
        // SAFETY: a position's index is always below the capacity: see `next`.
        unsafe { self.slots.get_unchecked(index) }
    }

    /// The position after `position`: the next index, or the first one of the next lap.
    #[inline]
    fn next(&self, position: usize) -> usize {
        if (position & (self.mark - 1)) + 1 < self.slots.len() {
            position + 1
        } else {
            (position & !(self.lap - 1)).wrapping_add(self.lap)
        }
    }

    /// Claims the slot at `tail`.
    #[inline]
    fn claim_to_fill(&self) -> Result<usize, TrySendError<()>> {
        let tail = self.tail.load(Relaxed);
        if tail & self.mark == 0
            && self.slot(tail).stamp.load(Acquire) == tail
            && self.tail.compare_exchange(tail, self.next(tail), SeqCst, Relaxed).is_ok()
        {
            return Ok(tail);
        }
        match self.claim_to_fill_slowly() {
            NOT_NOW => Err(TrySendError::Full(())),
            NEVER => Err(TrySendError::Disconnected(())),
            position => Ok(position),
        }
    }

    /// A position, or `NOT_NOW` or `NEVER`: what comes back in a register.
    #[cold]
    #[inline(never)]
    fn claim_to_fill_slowly(&self) -> usize {
        let (mut patience, mut turn) = (PATIENCE, 0);
        let mut tail = self.tail.load(Relaxed);
        loop {
            if tail & self.mark != 0 {
                return NEVER;
            }
            let stamp = self.slot(tail).stamp.load(Acquire);
            if stamp == tail {
                match self.tail.compare_exchange(tail, self.next(tail), SeqCst, Relaxed) {
                    Ok(_) => return tail,
                    Err(moved) => tail = moved,
                }
                continue;
            }
            let now = self.tail.load(SeqCst);
            if now == tail {
                if self.head.load(SeqCst).wrapping_add(self.lap) == tail || patience == 0 {
                    return NOT_NOW;
                }
                // A pop has claimed the slot and is about to free it.
                patience -= 1;
                spin(&mut turn);
            }
            tail = now;
        }
    }

    /// Claims the slot at `head`, if it is filled.
    #[inline]
    fn claim_to_empty(&self) -> Result<usize, TryRecvError> {
        let head = self.head.load(Relaxed);
        if self.slot(head).stamp.load(Acquire) == head + 1
            && self.head.compare_exchange(head, self.next(head), SeqCst, Relaxed).is_ok()
        {
            return Ok(head);
        }
        match self.claim_to_empty_slowly() {
            NOT_NOW => Err(TryRecvError::Empty),
            NEVER => Err(TryRecvError::Disconnected),
            position => Ok(position),
        }
    }

    /// A position, or `NOT_NOW` or `NEVER`: what comes back in a register.
    #[cold]
    #[inline(never)]
    fn claim_to_empty_slowly(&self) -> usize {
        let (mut patience, mut turn) = (PATIENCE, 0);
        let mut head = self.head.load(Relaxed);
        loop {
            let stamp = self.slot(head).stamp.load(Acquire);
            if stamp & !self.mark == head + 1 {
                match self.head.compare_exchange(head, self.next(head), SeqCst, Relaxed) {
                    Ok(_) if stamp & self.mark == 0 => return head,
                    // Given back: the next one, then.
                    Ok(_) => {
                        self.slot(head).stamp.store(head.wrapping_add(self.lap), Release);
                        head = self.next(head);
                    }
                    Err(moved) => head = moved,
                }
                continue;
            }
            let now = self.head.load(SeqCst);
            if now == head {
                let tail = self.tail.load(SeqCst);
                if tail == head {
                    return NOT_NOW;
                }
                if tail == head | self.mark {
                    return NEVER;
                }
                if patience == 0 || stamp & self.mark != 0 {
                    return NOT_NOW;
                }
                // A push has claimed the slot and is about to fill it.
                patience -= 1;
                spin(&mut turn);
            }
            head = now;
        }
    }

    /// Moves `head` on from a slot that was given back, if it is there still.
    fn pass_over(&self, head: usize) {
        if self.head.compare_exchange(head, self.next(head), SeqCst, Relaxed).is_ok() {
            self.slot(head).stamp.store(head.wrapping_add(self.lap), Release);
        }
    }
}

/// For tests: calls that stop in the middle.
#[cfg(all(test, feature = "std", not(loom)))]
impl<T> Ring<T> {
    pub(super) fn stop_in_push(&self) -> usize {
        self.claim_to_fill().unwrap()
    }

    pub(super) fn go_on_pushing(&self, position: usize, value: T) {
        // SAFETY: R1, by `stop_in_push`.
        self.slot(position).value.with_mut(|cell| unsafe { (*cell).write(value) });
        self.slot(position).stamp.store(position + 1, Release);
    }

    pub(super) fn stop_in_pop(&self) -> usize {
        self.claim_to_empty().unwrap()
    }

    pub(super) fn go_on_popping(&self, position: usize) {
        // SAFETY: R1, by `stop_in_pop`.
        drop(self.slot(position).value.with(|cell| unsafe { (*cell).assume_init_read() }));
        self.slot(position).stamp.store(position.wrapping_add(self.lap), Release);
    }
}

/// Free slots, made where they stay: a large value's would not fit on the stack.
#[cfg(not(loom))]
fn new_slots<T>(capacity: usize) -> Box<[Slot<T>]> {
    let mut slots = Box::<[Slot<T>]>::new_uninit_slice(capacity);
    for (stamp, slot) in slots.iter_mut().enumerate() {
        // SAFETY: within the slot; the cell needs no value.
        unsafe { (&raw mut (*slot.as_mut_ptr()).stamp).write(AtomicUsize::new(stamp)) };
    }
    // SAFETY: every stamp is written, and a cell of `MaybeUninit` may hold anything.
    unsafe { slots.assume_init() }
}

#[cfg(loom)]
fn new_slots<T>(capacity: usize) -> Box<[Slot<T>]> {
    let slot = |stamp| Slot { stamp: AtomicUsize::new(stamp), value: UnsafeCell::new(MaybeUninit::uninit()) };
    (0..capacity).map(slot).collect()
}

impl<T> Buffer<T> for Ring<T> {
    type Place = usize;

    #[inline]
    fn push(&self, value: T) -> Result<(), TrySendError<T>> {
        let position = match self.claim_to_fill() {
            Ok(position) => position,
            Err(TrySendError::Full(())) => return Err(TrySendError::Full(value)),
            Err(TrySendError::Disconnected(())) => return Err(TrySendError::Disconnected(value)),
        };
        let slot = self.slot(position);
        // SAFETY: ours by R1.
        slot.value.with_mut(|cell| unsafe { (*cell).write(value) });
        slot.stamp.store(position + 1, Release);
        Ok(())
    }

    #[inline]
    fn pop(&self) -> Result<T, TryRecvError> {
        let position = self.claim_to_empty()?;
        let slot = self.slot(position);
        // SAFETY: ours by R1, and filled.
        let value = slot.value.with(|cell| unsafe { (*cell).assume_init_read() });
        slot.stamp.store(position.wrapping_add(self.lap), Release);
        Ok(value)
    }

    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        let position = self.claim_to_fill()?;
        self.slot(position).stamp.store(position | self.mark, Release);
        Ok(position)
    }

    unsafe fn fill(&self, position: usize, value: T) -> Result<(), T> {
        let slot = self.slot(position);
        // SAFETY: ours by R1, since `reserve`, by the caller.
        slot.value.with_mut(|cell| unsafe { (*cell).write(value) });
        slot.stamp.swap(position + 1, SeqCst);
        Ok(())
    }

    unsafe fn give_back(&self, position: usize) {
        self.slot(position).stamp.swap((position + 1) | self.mark, SeqCst);
        // If nothing stands before it, it goes at once; else a pop passes over it later.
        if self.head.load(SeqCst) == position {
            self.pass_over(position);
        }
    }

    fn close(&self) -> bool {
        self.tail.fetch_or(self.mark, SeqCst) & self.mark == 0
    }

    fn is_closed(&self) -> bool {
        self.tail.load(SeqCst) & self.mark != 0
    }

    fn capacity(&self) -> usize {
        self.slots.len()
    }

    fn len(&self) -> usize {
        loop {
            let tail = self.tail.load(SeqCst);
            let head = self.head.load(SeqCst);
            // Both of one moment.
            if self.tail.load(SeqCst) == tail {
                let tail = tail & !self.mark;
                let (first, end) = (head & (self.mark - 1), tail & (self.mark - 1));
                return match () {
                    _ if tail == head => 0,
                    _ if first < end => end - first,
                    _ => self.slots.len() - first + end,
                };
            }
        }
    }

    fn may_pop(&self) -> bool {
        model_fence();
        let head = self.head.load(SeqCst);
        // Whoever fills a reserved slot looks for waiters after a SeqCst write of this stamp.
        self.tail.load(SeqCst) != head && self.slot(head).stamp.load(SeqCst) != head | self.mark
    }

    fn may_push(&self) -> bool {
        model_fence();
        let tail = self.tail.load(SeqCst);
        self.head.load(SeqCst).wrapping_add(self.lap) != tail
    }

    fn can_pop(&self) -> bool {
        loop {
            let head = self.head.load(SeqCst);
            let stamp = self.slot(head).stamp.load(Relaxed);
            if stamp == head + 1 {
                return true;
            }
            if stamp == (head + 1) | self.mark {
                self.pass_over(head);
                continue;
            }
            let closed = self.tail.load(SeqCst) == head | self.mark;
            if self.head.load(SeqCst) == head {
                return closed;
            }
        }
    }

    fn can_push(&self) -> bool {
        loop {
            let tail = self.tail.load(SeqCst);
            if tail & self.mark != 0 || self.slot(tail).stamp.load(Relaxed) == tail {
                return true;
            }
            if self.tail.load(SeqCst) == tail {
                return false;
            }
        }
    }

    fn pops(&self) -> usize {
        self.head.load(SeqCst)
    }

    fn pushes(&self) -> usize {
        self.tail.load(SeqCst)
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        drain(self);
        while self.len() > 0 {
            // A reservation that was forgotten: nobody else is here, so there is no other reason to stop.
            // SAFETY: what was reserved stands at `head`, and who had it is gone.
            unsafe { self.give_back(self.head.load(Relaxed)) };
            drain(self);
        }
    }
}
