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
//! | `pos + 1 · BLANK`        | given back: a pop passes over it, or a push that needs the room   |
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
    1
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

/// | word    | operation             | order   | pairs with             | so that                                         | model |
/// |---------|-----------------------|---------|------------------------|-------------------------------------------------|-------|
/// | `stamp` | filled                | Release | read before a claim    | the next owner of the cell sees what is in it   | 1     |
/// | `stamp` | emptied               | Release | read before a claim    | it is filled after it was read                  | 2     |
/// | `stamp` | read before a claim   | Acquire | filled, emptied        | the same                                        | 1 2   |
/// | `stamp` | filled, by `fill`     | SeqCst  | `may_pop`; a claim     | B4: nobody spins for a reserved slot; as filled | 3 4   |
/// | `stamp` | reserved, given back, | Relaxed | nothing                | nobody has touched the cell: who claims `tail`  |       |
/// |         | passed over           |         |                        | sees by that what was before it was reserved    |       |
/// | `stamp` | read by `can_…`       | Acquire | filled, emptied        | its "no" brings what was done before            | 5     |
/// | `stamp` | read by `may_push`    | Relaxed | nothing                | given back: its owner settles afterwards        |       |
/// | both    | claim, close          | SeqCst  | `may_pop`, `may_push`, | B4; a "no" is true of one moment, and brings    | 3 5 6 |
/// |         |                       |         | read to say no, `len`  | what was done before                            | 7     |
/// | both    | `may_pop` (`tail`),   | SeqCst  | claim, close, `fill`   | B4                                              | 3 6   |
/// |         | `may_push`, `stamp`   |         |                        |                                                 |       |
/// | both    | read to say no: the   | SeqCst  | claim, close           | "full", "empty", "closed" are true of one       | 5 7   |
/// |         | other side's, CLOSED, |         |                        | moment, and bring what was done before          |       |
/// |         | by `len` the last two |         |                        |                                                 |       |
/// | both    | read to say no: its   | Acquire | claim                  | the same: with the other side's as it is, it is | 5     |
/// |         | own side's, by `pop`  |         |                        | no older than that                              |       |
/// |         | before its claim      |         |                        |                                                 |       |
/// | both    | `pops`, `pushes`      | Acquire | claim                  | what is looked at after it is no older          | 5     |
/// | both    | read before a claim,  | Relaxed | nothing                | a stale position fails the claim, or says       |       |
/// |         | by `may_pop` (`head`) |         |                        | "maybe", or is found moved at the second look   |       |
/// |         | and `can_push`        |         |                        |                                                 |       |
/// | `head`  | passes over           | Relaxed | nothing                | no answer depends on it: `may_push` sees the    |       |
/// |         |                       |         |                        | stamp                                           |       |
/// | `head`  | read by `give_back`,  | Relaxed | nothing                | who comes there later passes over it; an older  |       |
/// |         | again by `can_pop`    |         |                        | slot's stamp brings what came after             |       |
///
/// Each weakened by one step fails a model: 1 `ring_two_pushes_meet_a_pop`, 2 `ring_slot_is_used_again`,
/// 3 `…_meets_waiter`, 4 `ring_reservation_filled_meets_push_and_pop`, 5 `…_brings`, 6 `close_meets_receiver` and `…_sender`,
/// 7 `…_cross_…`. Those without a name are in `buffer/models.rs`. Argued, as the checker runs a thread's loads in their order:
/// that the first look of `len` is Acquire, so that the next one comes after it.
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
            // Read again: who is refused sees what the closer did.
            if tail & self.mark != 0 && self.is_closed() {
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
            let now = self.tail.load(Acquire);
            if now == tail {
                let last_lap = tail.wrapping_sub(self.lap);
                let is_full = self.head.load(SeqCst) == last_lap;
                if is_full && stamp == self.blank(last_lap) {
                    self.pass_over(last_lap);
                    continue;
                }
                if is_full || patience == 0 {
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
        let head = self.head.load(Acquire);
        if self.slot(head).stamp.load(Acquire) == head + 1
            && self.head.compare_exchange(head, self.next(head), SeqCst, Relaxed).is_ok()
        {
            return Ok(head);
        }
        // The usual no. `tail` is read after `head`, which never passes it: so if they are the same, `head` has not moved since.
        if self.tail.load(SeqCst) == head {
            return Err(TryRecvError::Empty);
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
            let now = self.head.load(Acquire);
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

    /// The stamp of a slot that was given back at `position`.
    #[inline]
    fn blank(&self, position: usize) -> usize {
        (position + 1) | self.mark
    }

    /// Moves `head` on from a slot that was given back, if it is there still.
    fn pass_over(&self, head: usize) {
        if self.head.compare_exchange(head, self.next(head), Relaxed, Relaxed).is_ok() {
            self.slot(head).stamp.store(head.wrapping_add(self.lap), Relaxed);
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
        self.slot(position).stamp.store(position | self.mark, Relaxed);
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
        self.slot(position).stamp.store(self.blank(position), Relaxed);
        // If nothing stands before it, it goes at once; else who pops, or needs the room, passes over it later.
        if self.head.load(Relaxed) == position {
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
            let tail = self.tail.load(Acquire);
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
        let head = self.head.load(Relaxed);
        // Whoever fills a reserved slot looks for waiters after a SeqCst write of this stamp.
        self.tail.load(SeqCst) != head && self.slot(head).stamp.load(SeqCst) != head | self.mark
    }

    fn may_push(&self) -> bool {
        model_fence();
        let tail = self.tail.load(SeqCst);
        let last_lap = tail.wrapping_sub(self.lap);
        if self.head.load(SeqCst) != last_lap {
            return true;
        }
        // Or somebody passes over it now.
        let stamp = self.slot(tail).stamp.load(Relaxed);
        stamp == self.blank(last_lap) || stamp == tail
    }

    fn can_pop(&self) -> bool {
        loop {
            let head = self.head.load(Acquire);
            let stamp = self.slot(head).stamp.load(Acquire);
            if stamp == head + 1 {
                return true;
            }
            if stamp == self.blank(head) {
                self.pass_over(head);
                continue;
            }
            let closed = self.tail.load(SeqCst) == head | self.mark;
            if self.head.load(Relaxed) == head {
                return closed;
            }
        }
    }

    fn can_push(&self) -> bool {
        loop {
            let tail = self.tail.load(Relaxed);
            let stamp = self.slot(tail).stamp.load(Acquire);
            if tail & self.mark != 0 || stamp == tail {
                return true;
            }
            if self.tail.load(SeqCst) == tail {
                return stamp == self.blank(tail.wrapping_sub(self.lap));
            }
        }
    }

    fn pops(&self) -> usize {
        self.head.load(Acquire)
    }

    fn pushes(&self) -> usize {
        self.tail.load(Acquire)
    }

    #[cfg(all(test, loom))]
    fn touch(&self) {
        let stamps = self.slots.iter().map(|slot| &slot.stamp);
        stamps.chain([&*self.head, &*self.tail]).for_each(|word| _ = word.fetch_add(0, SeqCst));
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

#[cfg(all(test, loom))]
mod models;
