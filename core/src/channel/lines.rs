//! The two lines of waiters of a channel, behind a lock that nobody has to wait for.
//!
//! ```text
//!             ┌── word ─────────────────────────────────────────────┐
//!             │ LOCKED │ LEFT_WORK │ RECEIVERS │ SENDERS │ DISCARD  │
//!             └─────────────────────────────────────────────────────┘
//!   lock      LOCKED on; spins while it is
//!   visit     LOCKED on; if it was, LEFT_WORK on instead, and its holder does the visitor's work
//!   release   LOCKED off, and RECEIVERS, SENDERS as the lines stand; fails if there is LEFT_WORK: then the holder
//!             settles (`shared.rs`) and tries again
//! ```
//!
//! * N1  The lines are touched only by the holder: who turned LOCKED on, until it turned it off.
//! * N2  Whoever finds the lines locked by a visit can go: what he did before is seen by the holder before it lets go.
//! * N3  RECEIVERS and SENDERS are set while somebody may stand in that line and nobody holds the lock. So who changes the
//!   buffer and then sees neither flag nor LOCKED need not look for anybody: a waiter that enlists later looks at the
//!   buffer after its release (B4).

use crate::{
    queue::WaitQueue,
    sync::{
        MutPtr, UnsafeCell,
        atomic::{AtomicUsize, Ordering::*},
        const_unless_loom, model_fence, spin,
    },
};
use core::{
    mem,
    ops::{Deref, DerefMut},
};

const LOCKED: usize = 1;
const LEFT_WORK: usize = 2;
/// Somebody waits to receive.
pub(super) const RECEIVERS: usize = 4;
/// Somebody waits to send.
pub(super) const SENDERS: usize = 8;
/// The last receiver has gone: whatever gets into the buffer is to be dropped.
pub(super) const DISCARD: usize = 16;

/// How many turns a `try_` call waits for the holder, where there is no buffer to go past him: long enough for any
/// holder that runs.
pub(super) const PATIENCE: u32 = if cfg!(loom) {
    1
} else if cfg!(greenlight_steps) {
    4
} else {
    4096
};

/// What a waiter brings to its line: its owner's until the waiter is in a queue, the claiming peer's until the turn is done, and
/// then its owner's again (U1, U2, U3).
pub(super) struct Seat<T> {
    value: UnsafeCell<Option<T>>,
    pub(super) kind: Kind,
}

/// What a peer does for a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It moves the value.
    Value,
    /// It says that the time has come to look: the value stays in the buffer, since this waiter may be dropped before it
    /// comes for it.
    Look,
    /// A `select`'s send, whose value does not exist before the arm is chosen. The peer leaves a partner: who waits for it.
    Offer,
}

impl<T> Seat<T> {
    pub(super) fn new(kind: Kind, value: Option<T>) -> Self {
        Self { value: UnsafeCell::new(value), kind }
    }

    /// # Safety
    ///
    /// The seat is the caller's.
    pub(super) unsafe fn replace(&self, value: Option<T>) -> Option<T> {
        // SAFETY: the caller's promise.
        self.value.with_mut(|seat| unsafe { mem::replace(&mut *seat, value) })
    }

    /// # Safety
    ///
    /// The seat is the caller's.
    pub(super) unsafe fn is_empty(&self) -> bool {
        // SAFETY: the caller's promise.
        self.value.with(|seat| unsafe { (*seat).is_none() })
    }
}

pub(super) struct Queues<T> {
    pub(super) receivers: WaitQueue<Seat<T>>,
    pub(super) senders: WaitQueue<Seat<T>>,
}

/// | operation      | order   | pairs with     | so that                                                          | model |
/// |----------------|---------|----------------|------------------------------------------------------------------|-------|
/// | lock           | Acquire | release        | the holder sees the lines                                        | 1     |
/// | visit          | AcqRel  | release; take  | the same; N2: the holder sees what the visitor did               | 1 2   |
/// | release        | SeqCst  | lock, visit;   | the lines are seen by the next holder; N3: announces the waiters, | 1 3   |
/// |                |         | `flags`        | see B4                                                           |       |
/// | release fails  | Relaxed | nothing        | it says that there is work, which is taken next                  |       |
/// | take the work  | Acquire | visit          | N2                                                               | 2     |
/// | `flags`        | SeqCst  | release,       | N3, B4; who pushes after the discard drops what he pushed        | 3 4   |
/// |                |         | discard        |                                                                  |       |
/// | `hint`         | Acquire | release        | a rendezvous where nobody waits brings what was done before the   | 5     |
/// |                |         |                | last one left; else: which way to try first                      |       |
/// | discard        | SeqCst  | `flags`        | as there                                                         | 4     |
///
/// Each weakened by one step fails a model: 1 `lines_holders_see_each_other`, 2 `lines_left_work_is_done`,
/// 3 `lines_waiter_meets_a_change`, 4 `lines_discard_meets_a_push`, 5 `select_default_finds_who_waits_all_the_while`.
pub(super) struct Lines<T> {
    word: AtomicUsize,
    queues: UnsafeCell<Queues<T>>,
}

// SAFETY: by N1 the lines are with one thread at a time.
unsafe impl<T: Send> Sync for Lines<T> {}
// SAFETY: they own nothing that is bound to a thread.
unsafe impl<T: Send> Send for Lines<T> {}

impl<T> Lines<T> {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self {
                word: AtomicUsize::new(0),
                queues: UnsafeCell::new(Queues { receivers: WaitQueue::new(), senders: WaitQueue::new() }),
            }
        }
    }

    /// Who waits, to decide on after a change of the buffer.
    #[inline]
    pub(super) fn flags(&self) -> usize {
        model_fence();
        self.word.load(SeqCst)
    }

    /// Who waits, near enough: one who has just come may be missing.
    #[inline]
    pub(super) fn hint(&self) -> usize {
        self.word.load(Acquire)
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(super) fn try_lock(&self) -> Option<Held<'_, T>> {
        let mut word = self.word.load(Relaxed);
        while word & LOCKED == 0 {
            match self.word.compare_exchange(word, word | LOCKED, Acquire, Relaxed) {
                Ok(_) => return Some(Held { lines: self, word, queues: self.queues.get_mut() }),
                Err(now) => word = now,
            }
        }
        None
    }

    /// Takes the lock, spinning while another thread has it.
    #[inline]
    pub(super) fn lock(&self) -> Held<'_, T> {
        let mut turn = 0;
        loop {
            if let Some(held) = self.try_lock() {
                return held;
            }
            spin(&mut turn);
        }
    }

    /// Takes the lock, unless its holder keeps it for longer than any running holder does.
    pub(super) fn lock_patiently(&self) -> Option<Held<'_, T>> {
        let mut turn = 0;
        for _ in 0..PATIENCE {
            if let Some(held) = self.try_lock() {
                return Some(held);
            }
            spin(&mut turn);
        }
        self.try_lock()
    }

    /// Takes the lock, or leaves the caller's work with its holder. Never waits.
    pub(super) fn visit(&self) -> Option<Held<'_, T>> {
        let mut word = self.word.load(Relaxed);
        loop {
            let locked = word & LOCKED != 0;
            let wanted = word | if locked { LEFT_WORK } else { LOCKED };
            match self.word.compare_exchange(word, wanted, AcqRel, Relaxed) {
                Ok(_) if locked => return None,
                Ok(_) => return Some(Held { lines: self, word, queues: self.queues.get_mut() }),
                Err(now) => word = now,
            }
        }
    }

    /// From now on, whoever pushes drops what is in the buffer.
    pub(super) fn discard(&self) {
        self.word.fetch_or(DISCARD, SeqCst);
    }
}

/// The right to touch the lines. It ends by [`release`](Held::release), and by nothing else.
#[must_use = "the lines stay locked until they are released"]
pub(super) struct Held<'a, T> {
    lines: &'a Lines<T>,
    /// The word as it was, without LOCKED.
    word: usize,
    queues: MutPtr<Queues<T>>,
}

impl<T> Deref for Held<'_, T> {
    type Target = Queues<T>;

    fn deref(&self) -> &Queues<T> {
        // SAFETY: N1.
        unsafe { self.queues.deref() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut Queues<T> {
        // SAFETY: N1, and `&mut self` makes this the only reference.
        unsafe { self.queues.deref() }
    }
}

impl<'a, T> Held<'a, T> {
    fn flags(&self) -> usize {
        (if self.receivers.is_empty() { 0 } else { RECEIVERS }) | (if self.senders.is_empty() { 0 } else { SENDERS })
    }

    /// Gives the lock back, unless somebody left work: then it stays, and the work is the caller's.
    #[inline]
    pub(super) fn release(self) -> Option<Self> {
        let flags = self.flags();
        let Self { lines, mut word, queues } = self;
        #[allow(clippy::drop_non_drop)] // the model checker watches how long an access lasts
        drop(queues);
        loop {
            let locked = word | LOCKED;
            let Err(now) = lines.word.compare_exchange(locked, flags | (word & DISCARD), SeqCst, Relaxed) else {
                return None;
            };
            if now & LEFT_WORK != 0 {
                // Nobody but the holder takes it off, and nothing but DISCARD can come on meanwhile.
                let now = lines.word.fetch_and(!LEFT_WORK, Acquire) & !(LOCKED | LEFT_WORK);
                return Some(Self { lines, word: now, queues: lines.queues.get_mut() });
            }
            word = now & !LOCKED;
        }
    }
}

#[cfg(all(test, loom))]
mod models;
