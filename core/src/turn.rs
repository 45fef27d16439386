//! One sleep of one waiter: who ends it, and how the two hand over.
//!
//! ```text
//!             claim                finish
//!   WAITING ─────────▶ CLAIMED ──────────────▶ DONE(arm)
//!      (peers race; one wins)   (the winner)
//! ```
//!
//! A waiter owns one `Turn`, however many queues it stands in; each of its nodes points to it and says which arm it is.
//! The peer that finds a node claims the turn, does its part of the operation (moves the value), and finishes it.
//!
//! A turn with one node only is claimed by a plain store: whoever finds the node linked holds the lock of the only queue in which
//! anybody could.
//!
//! * U1  Before the first node is in a queue, the turn belongs to its waiter.
//! * U2  From then on it leaves WAITING once: by the peer whose `claim` succeeds. That peer owns `waker`, and the slot of
//!   the node it came by, until it stores DONE. It holds that node's queue lock all the while, unless it made a promise
//!   (`Promised` in `queue.rs`) to finish later.
//! * U3  Storing DONE is the peer's last touch of turn and node: the waiter may return and its frame be gone at once.
//! * U4  A waiter that gives up takes each of its queues' locks to pull the node out. By U2, when it has had them all,
//!   the turn is WAITING or DONE, or promised, and stays so: a promised one he waits for.

use crate::sync::{
    UnsafeCell,
    atomic::{AtomicU32, Ordering::*},
};
use core::task::Waker;

const WAITING: u32 = 0;
const CLAIMED: u32 = 1;
/// DONE(arm) is this plus the arm's number.
const DONE: u32 = 2;

/// The largest number of an arm.
pub(crate) const LAST_ARM: u32 = u32::MAX - DONE;

pub struct Turn {
    /// | operation    | order         | pairs with | so that                                                       |
    /// |--------------|---------------|------------|---------------------------------------------------------------|
    /// | `claim`      | Relaxed       | nothing    | who wins is all it decides; the node's queue lock brings the  |
    /// |              |               |            | waiter's writes, which were made before it was taken to enlist |
    /// | `claim`, of  | Relaxed, a    | nothing    | nobody else can claim it: the caller holds the only lock under |
    /// | one node     | store         |            | which anybody finds the node linked                            |
    /// | `finish`     | Release       | `outcome`  | the waiter sees the moved value                               |
    /// | `outcome`    | Acquire       | `finish`   | the same, and the waiter's next writes stay behind U3         |
    /// | `is_claimed` | Acquire       | `finish`   | who gives up after a promise sees what the peer did           |
    /// | `renew`      | Relaxed       | nothing    | U1: the lock under which the waiter enlists again brings it   |
    /// | `swap_waker` | Relaxed       | nothing    | the queue lock is held: nobody claims meanwhile               |
    ///
    /// Made Relaxed, `finish` and `outcome` fail `channel_withdrawn_receiver_leaves_no_trace` and others, `is_claimed`
    /// `channel_dropped_receive_meets_a_select_that_sends`.
    state: AtomicU32,
    /// Whether it has several nodes, each in a queue with a lock of its own.
    in_several: bool,
    waker: UnsafeCell<Option<Waker>>,
}

impl Turn {
    /// Of a waiter with one node.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(WAITING), in_several: false, waker: UnsafeCell::new(None) }
    }

    /// Of a waiter with any number of nodes.
    pub(crate) fn of_several() -> Self {
        Self { in_several: true, ..Self::new() }
    }

    /// Leaves the waker that `finish` will hand to the peer.
    ///
    /// # Safety
    ///
    /// No node of this turn is in a queue, or the caller holds the lock of the only queue that has one and found it
    /// still linked there.
    #[inline]
    pub(crate) unsafe fn arm(&self, waker: Waker) {
        // SAFETY: by U1, or because nobody can claim without the lock that the caller holds.
        self.waker.with_mut(|cell| unsafe { *cell = Some(waker) });
    }

    /// Makes a turn that is done, or was never armed, ready for another sleep.
    ///
    /// # Safety
    ///
    /// No node of this turn is in a queue.
    #[inline]
    pub(crate) unsafe fn reset(&self) {
        self.state.store(WAITING, Relaxed);
    }

    /// Makes it a turn that a peer has claimed already.
    ///
    /// # Safety
    ///
    /// As for [`reset`](Self::reset).
    #[inline]
    pub(crate) unsafe fn reset_claimed(&self, waker: Waker) {
        self.state.store(CLAIMED, Relaxed);
        // SAFETY: ours: no peer knows of it yet.
        self.waker.with_mut(|cell| unsafe { *cell = Some(waker) });
    }

    /// Exchanges the waker, if nobody has claimed the turn. False if somebody has.
    ///
    /// # Safety
    ///
    /// As for [`arm`](Self::arm).
    pub(crate) unsafe fn swap_waker(&self, waker: &mut Waker) -> bool {
        if self.state.load(Relaxed) != WAITING {
            return false;
        }
        // SAFETY: by the caller's word nobody can claim meanwhile.
        self.waker.with_mut(|cell| unsafe {
            if let Some(armed) = &mut *cell {
                core::mem::swap(armed, waker);
            }
        });
        true
    }

    /// Leaves `waker` in the place of the one that is there, which comes back: it is not to be dropped under a lock.
    ///
    /// # Safety
    ///
    /// As for [`arm`](Self::arm).
    pub(crate) unsafe fn rearm(&self, waker: Waker) -> Option<Waker> {
        // SAFETY: as in `arm`.
        self.waker.with_mut(|cell| unsafe { (*cell).replace(waker) })
    }

    /// Whether the waker that is there wakes the same task as `waker`, so that it need not be replaced.
    ///
    /// # Safety
    ///
    /// As for [`arm`](Self::arm).
    pub(crate) unsafe fn is_armed_with(&self, waker: &Waker) -> bool {
        // SAFETY: as in `arm`.
        self.waker.with(|cell| unsafe { (*cell).as_ref().is_some_and(|armed| armed.will_wake(waker)) })
    }

    /// Takes the right to end this sleep. One caller gets it.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of a queue in which it found a node of this turn, linked until now.
    #[inline]
    pub(crate) unsafe fn claim(&self) -> bool {
        if !self.in_several {
            debug_assert_eq!(self.state.load(Relaxed), WAITING, "linked, and claimed");
            self.state.store(CLAIMED, Relaxed);
            return true;
        }
        self.state.compare_exchange(WAITING, CLAIMED, Relaxed, Relaxed).is_ok()
    }

    /// Ends the sleep by arm `arm` and returns the waker to call once the lock is given back.
    ///
    /// # Safety
    ///
    /// The caller's `claim` succeeded, it holds the queue lock it claimed under, and it does not touch the turn or its
    /// nodes again.
    #[inline]
    pub(crate) unsafe fn finish(&self, arm: u32) -> Option<Waker> {
        // SAFETY: ours by U2.
        let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
        self.state.store(DONE + arm, Release);
        waker
    }

    /// Whether a peer has claimed this turn, and not finished yet.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        self.state.load(Acquire) == CLAIMED
    }

    /// The arm that ended the sleep, if one did.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<u32> {
        self.state.load(Acquire).checked_sub(DONE)
    }
}
