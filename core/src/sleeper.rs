//! Sleeping until a condition holds, in a line of sleepers who are all woken together: for futures and for calls that
//! block.
//!
//! ```text
//!   poll:      look ── it holds ──▶ Ready
//!               │
//!               └─ not yet: in line, with this waker ──▶ Pending
//!   wake_all:  whoever is in line now leaves it and is woken; it looks again, and may join again
//! ```
//!
//! * S1  The look and the joining are one step under the lock, and whoever makes a condition true does so under it and
//!   wakes all after: no wake-up falls in between.
//! * S2  A wake-up carries nothing: what a sleeper came for stays in the state until it looks. So one that goes after it
//!   was woken takes nothing along, and there is nothing to pass on.
//! * S3  `enlisted` says that the node may be in line. It is the owner's; only he clears it, once he found the turn done or
//!   took the node out.

use crate::{
    park::{self, Tick, Why},
    queue::{WaitQueue, Waiter, wake_in_batches},
    spin::{SpinMutex, SpinMutexGuard},
    turn::Turn,
};
use core::{
    cell::{Cell, OnceCell},
    pin::{Pin, pin},
    task::{Poll, Waker},
};

/// What a [`SpinMutex`] guards, with a line of sleepers in it.
pub(crate) trait HasSleepers {
    fn sleepers(&mut self) -> &mut WaitQueue<()>;
}

/// One who sleeps, over and over if need be: a future keeps it inside.
pub(crate) struct Sleeper<'a, S: HasSleepers> {
    lock: &'a SpinMutex<S>,
    turn: Turn,
    /// Made by the first poll, because it points to `turn`, which moves until then. It makes the sleeper `!Unpin`.
    waiter: OnceCell<Waiter<()>>,
    enlisted: Cell<bool>,
}

// SAFETY: the state is reached under its lock only, so it needs to be Send and nothing more. The waiter points to the turn
// beside it, and the cells are the owner's, whichever thread he polls on.
unsafe impl<S: HasSleepers + Send> Send for Sleeper<'_, S> {}

impl<'a, S: HasSleepers> Sleeper<'a, S> {
    pub(crate) fn new(lock: &'a SpinMutex<S>) -> Self {
        Self { lock, turn: Turn::new(), waiter: OnceCell::new(), enlisted: Cell::new(false) }
    }

    /// Asks `look`, which runs under the lock; at `None` it joins the line. `look` may be asked twice, and calls no foreign
    /// code.
    pub(crate) fn poll<R>(self: Pin<&Self>, waker: &Waker, mut look: impl FnMut(&mut S) -> Option<R>) -> Poll<R> {
        // In place until it is dropped, which takes it out of the line: what `pin` promises.
        let this = self.get_ref();
        let node = this.waiter.get_or_init(|| Waiter::new(&this.turn, 0, ()));
        // Declared before the guard, so dropped after it: wakers are foreign code, here and below.
        let mut fresh = None;
        loop {
            let mut state = this.lock.lock();
            if this.enlisted.get() && this.turn.outcome().is_some() {
                this.enlisted.set(false);
            }
            if let Some(found) = look(&mut state) {
                if this.enlisted.replace(false) {
                    // SAFETY: this queue is the only one it was ever in.
                    unsafe { state.sleepers().remove(node) };
                }
                return Poll::Ready(found);
            }
            // SAFETY: under the lock, and still linked: enlisted, and by U4 the turn is WAITING.
            if this.enlisted.get() && unsafe { this.turn.is_armed_with(waker) } {
                return Poll::Pending;
            }
            let Some(new) = fresh.take() else {
                drop(state);
                fresh = Some(waker.clone());
                continue;
            };
            // SAFETY: as above; or the turn's only node is in no queue.
            let old = unsafe {
                if !this.enlisted.get() {
                    this.turn.reset();
                }
                this.turn.rearm(new)
            };
            if !this.enlisted.replace(true) {
                // SAFETY: in no queue. It is pinned, and so is the turn, until `drop` has removed it.
                unsafe { state.sleepers().push_back(node) };
            }
            drop(state);
            drop(old);
            return Poll::Pending;
        }
    }

    /// Blocks until `look`, as for [`poll`](Self::poll), finds something. `None` if the time is up.
    pub(crate) fn block<R>(
        lock: &'a SpinMutex<S>,
        why: &Why,
        deadline: Option<Tick>,
        mut look: impl FnMut(&mut S) -> Option<R>,
    ) -> Option<R> {
        let sleeper = pin!(Self::new(lock));
        let mut found = None;
        let _ = park::wait(why, deadline, &mut |waker| {
            sleeper.as_ref().poll(waker, &mut look).map(|this_time| found = Some(this_time))
        });
        found
    }
}

impl<S: HasSleepers> Drop for Sleeper<'_, S> {
    fn drop(&mut self) {
        if let Some(node) = self.waiter.get().filter(|_| self.enlisted.get()) {
            // SAFETY: this queue is the only one it was ever in. Out of it, nobody looks at the node or the turn (U3, U4).
            unsafe { self.lock.lock().sleepers().remove(node) };
        }
    }
}

/// Gives the lock back and wakes all who are in line now; not those who join while this runs.
pub(crate) fn wake_all<'a, S: HasSleepers>(lock: &'a SpinMutex<S>, mut state: SpinMutexGuard<'a, S>) {
    if state.sleepers().is_empty() {
        return;
    }
    let line = state.sleepers().line();
    wake_in_batches(lock, state, |state, wakers| {
        while !wakers.is_full() {
            let Some(sleeper) = state.sleepers().pop_before(line) else { return false };
            wakers.push(sleeper.finish());
        }
        true
    });
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::test_support::{Woken, block_on};
    use core::{future::poll_fn, task::Context};
    use loom::thread;
    use std::sync::Arc;

    #[derive(Default)]
    struct Count {
        value: u32,
        sleepers: Option<WaitQueue<()>>,
    }

    impl HasSleepers for Count {
        fn sleepers(&mut self) -> &mut WaitQueue<()> {
            self.sleepers.get_or_insert_with(WaitQueue::new)
        }
    }

    fn count() -> Arc<SpinMutex<Count>> {
        Arc::new(SpinMutex::new(Count::default()))
    }

    fn add_one(count: &SpinMutex<Count>) {
        let mut state = count.lock();
        state.value += 1;
        wake_all(count, state);
    }

    async fn reach(count: &SpinMutex<Count>, value: u32) {
        let sleeper = pin!(Sleeper::new(count));
        poll_fn(|cx: &mut Context<'_>| sleeper.as_ref().poll(cx.waker(), |state| (state.value >= value).then_some(())))
            .await;
    }

    /// A sleeper that is woken in vain sleeps again and hears of the next. Fails if `renew` is left out.
    #[test]
    fn sleeper_sleeps_again() {
        loom::model(|| {
            let count = count();
            let others = [0; 2].map(|_| {
                let count = count.clone();
                thread::spawn(move || add_one(&count))
            });
            block_on(reach(&count, 2));
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }

    /// Two sleepers, one waker: both are woken.
    #[test]
    fn sleeper_all_are_woken() {
        loom::model(|| {
            let count = count();
            let sleeper = {
                let count = count.clone();
                thread::spawn(move || block_on(reach(&count, 1)))
            };
            let waker = {
                let count = count.clone();
                thread::spawn(move || add_one(&count))
            };
            block_on(reach(&count, 1));
            sleeper.join().unwrap();
            waker.join().unwrap();
        });
    }

    /// One that is polled by another task, and then dropped, while somebody wakes all: the waker of the last poll is woken
    /// if that said `Pending` and the drop came late; nobody touches what is gone.
    #[test]
    fn sleeper_new_waker_and_drop_meet_wake_all() {
        loom::model(|| {
            let count = count();
            let ((_, old), (new, waker)) = (Woken::new(), Woken::new());
            let look = |state: &mut Count| (state.value > 0).then_some(());
            let other = {
                let count = count.clone();
                let sleeper = std::boxed::Box::pin(Sleeper::new(&count));
                assert!(sleeper.as_ref().poll(&old, look).is_pending());
                let other = {
                    let count = count.clone();
                    thread::spawn(move || add_one(&count))
                };
                let pending = sleeper.as_ref().poll(&waker, look).is_pending();
                if pending && new.times() == 0 {
                    drop(sleeper);
                } else {
                    // Woken, or it found the value.
                    assert!(sleeper.as_ref().poll(&waker, look).is_ready());
                }
                other
            };
            other.join().unwrap();
            assert!(count.lock().sleepers().is_empty());
        });
    }
}
