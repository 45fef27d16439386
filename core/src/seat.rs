//! One waiter's seat in one line: the node and its turn, for calls that block and for futures alike.
//!
//! ```text
//!             sit                  a peer finishes it
//!   EMPTY ─────────▶ TAKEN ─────────────────────────▶ TAKEN, done
//!     ▲                │ leave                             │ outcome, leave
//!     └────────────────┴───────────────────────────────────┘
//! ```
//!
//! * K1  `taken` says that the node may be in the line. It is the owner's; he clears it once he found the turn done, or took
//!   the node out.
//! * K2  A seat stands in the one line that its owner passes to each call, and he leaves it before the seat's end.
//! * K3  A future is woken, never granted: nobody knows whether it will be polled again. Who blocks in a call runs again for
//!   certain, by its wake-up, its time limit or its unwinding: a wake-up that only one may have can be given to such a
//!   waiter alone, and what it is granted is passed on if it does not use it.

use crate::{
    queue::{WaitQueue, Waiter},
    turn::Turn,
};
use core::{cell::Cell, pin::Pin, task::Waker};

/// The waiter was let go, and tries again.
pub(crate) const WOKEN: u32 = 0;
/// What the waiter came for is his.
pub(crate) const GRANTED: u32 = 1;

/// Wake-ups in vain after which a blocking call is granted what it waits for.
pub(crate) const PATIENCE: u32 = 4;

/// What a peer may do for a waiter (K3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Future,
    /// A blocking call.
    Patient,
    /// A blocking call that was woken in vain too often.
    Impatient,
}

impl Kind {
    /// The kind of a waiter that has been woken `vain` times for nothing.
    pub(crate) fn after(self, vain: u32) -> Self {
        if self != Self::Future && vain >= PATIENCE { Self::Impatient } else { self }
    }

    pub(crate) fn is_certain(self) -> bool {
        self != Self::Future
    }

    pub(crate) fn is_impatient(self) -> bool {
        self == Self::Impatient
    }
}

/// Which end of the line: the head is for those that have waited before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Head,
    Tail,
}

pub(crate) struct Seat<P> {
    turn: Turn,
    /// It makes the seat `!Unpin`.
    node: Waiter<P>,
    taken: Cell<bool>,
}

// SAFETY: the node points to the turn beside it, and peers reach both by the rules of the queue (Q1, Q2, U2), whichever
// thread the owner is on; the payload moves with the seat.
unsafe impl<P: Send> Send for Seat<P> {}

impl<P> Seat<P> {
    pub(crate) fn new(payload: P) -> Self {
        Self { turn: Turn::new(), node: Waiter::unbound(0, payload), taken: Cell::new(false) }
    }

    /// What peers see of this waiter. Not to be changed while the seat is taken.
    pub(crate) fn payload(&self) -> &P {
        &self.node.payload
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// Whether a peer has ended this sleep, and the owner has not looked yet.
    pub(crate) fn is_done(&self) -> bool {
        self.taken.get() && self.turn.outcome().is_some()
    }

    /// How a peer ended this sleep, if one did; the seat is empty then.
    pub(crate) fn outcome(&self) -> Option<u32> {
        if !self.taken.get() {
            return None;
        }
        let outcome = self.turn.outcome();
        self.taken.set(outcome.is_none());
        outcome
    }

    /// Sits down in the line, or stays, to be woken by `waker`. False if that needs a clone of the waker: it is to be made,
    /// and put into `fresh`, without the lock. `fresh` may come back with an old waker: to be dropped without the lock.
    ///
    /// # Safety
    ///
    /// The caller holds the lock around `line`, which is this seat's only one, and [`leave`](Self::leave)s it before the
    /// seat is dropped. If the seat is taken, nobody has ended the sleep: its [`outcome`](Self::outcome), looked up under the
    /// lock, was `None`.
    pub(crate) unsafe fn sit(
        self: Pin<&Self>,
        line: &mut WaitQueue<P>,
        end: End,
        waker: &Waker,
        fresh: &mut Option<Waker>,
    ) -> bool {
        let this = self.get_ref();
        // SAFETY: under the lock, and linked: taken, and by U4 the turn is WAITING.
        if this.taken.get() && unsafe { this.turn.is_armed_with(waker) } {
            return true;
        }
        let Some(new) = fresh.take() else { return false };
        // SAFETY: as above; or the turn's only node is in no queue (K1).
        *fresh = unsafe {
            if !this.taken.get() {
                this.turn.reset();
                this.node.bind(&this.turn);
            }
            this.turn.rearm(new)
        };
        if !this.taken.replace(true) {
            // SAFETY: in no queue. Pinned, and so is the turn, until it has left the line (K2).
            unsafe {
                match end {
                    End::Head => line.push_front(&this.node),
                    End::Tail => line.push_back(&this.node),
                }
            }
        }
        true
    }

    /// Gives the seat up: how a peer had ended the sleep, if one had.
    ///
    /// # Safety
    ///
    /// As for [`sit`](Self::sit): the caller holds the lock around this seat's line.
    pub(crate) unsafe fn leave(&self, line: &mut WaitQueue<P>) -> Option<u32> {
        // SAFETY: K2, the only line it was ever in.
        if self.taken.replace(false) && !unsafe { line.remove(&self.node) } {
            return self.turn.outcome();
        }
        None
    }
}
