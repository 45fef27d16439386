//! A little state that tasks wait on, for whoever builds a primitive of his own on the seam.
//!
//! ```text
//!   change:   lock ─ change the state ─ unlock ─ wake all who are in line
//!   wait:     lock ─ look ── found ──▶ return it
//!                     └── not yet: in line, unlock ─ sleep ─ look again
//! ```
//!
//! It is what `sleeper.rs` says, with the lock, the line and the state in one object: the look and the joining of the line
//! are one step under the lock, and a change comes before or after it (S1 there).

use crate::{
    park::{Tick, Why},
    queue::WaitQueue,
    sleeper::{HasSleepers, Sleeper, wake_all},
    spin::SpinMutex,
    sync::const_unless_loom,
};
use core::{
    fmt,
    pin::Pin,
    task::{Poll, Waker},
};

struct State<S> {
    value: S,
    sleepers: WaitQueue<()>,
}

impl<S> HasSleepers for State<S> {
    fn sleepers(&mut self) -> &mut WaitQueue<()> {
        &mut self.sleepers
    }
}

/// A few words of state behind a spin lock, and a line of tasks that wait until they find in it what they look for: the
/// part from which blocking primitives are made. Any number may wait, in blocking calls and in futures.
///
/// The closures run under the lock: a few instructions, which neither wait, nor call foreign code, nor use the same object.
/// A closure that panics leaves the state as it left it, and the lock free.
///
/// # Cost
///
/// A lock for each call; a change wakes every waiter. No allocation.
///
/// # Examples
///
/// A gate that opens once:
///
/// ```
/// use greenlight_core::{Waitable, park::Why};
/// use std::panic::Location;
///
/// static OPEN: Waitable<bool> = Waitable::new(false);
///
/// std::thread::spawn(|| OPEN.change(|open| *open = true));
/// let why = Why { what: "pass a gate", object: 0, site: Location::caller() };
/// assert_eq!(OPEN.wait(&why, None, |open| open.then_some("passed")), Some("passed"));
/// ```
pub struct Waitable<S> {
    lock: SpinMutex<State<S>>,
}

impl<S> Waitable<S> {
    const_unless_loom! {
        /// The state as it is at first, with nobody in line.
        pub fn new(value: S) -> Self {
            Self { lock: SpinMutex::new(State { value, sleepers: WaitQueue::new() }) }
        }
    }

    /// Looks at the state, or changes what nobody waits for.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut self.lock.lock().value)
    }

    /// Changes the state and wakes all who are in line, who look again.
    ///
    /// # Panics
    ///
    /// If a waker does; the state is changed by then.
    pub fn change<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let mut state = self.lock.lock();
        let result = change(&mut state.value);
        wake_all(&self.lock, state);
        result
    }

    /// Blocks until `look` finds something. `None` if `deadline` has passed first.
    ///
    /// # Cancellation
    ///
    /// A wait that ends early has taken nothing: what `look` takes, it takes at the end.
    pub fn wait<R>(&self, why: &Why, deadline: Option<Tick>, mut look: impl FnMut(&mut S) -> Option<R>) -> Option<R> {
        // In a statement of its own: the lock is given back at its end.
        let at_once = self.with(&mut look);
        at_once.or_else(|| Sleeper::block(&self.lock, why, deadline, |state| look(&mut state.value)))
    }

    /// Whether somebody is in line: whom the next [`change`](Self::change) would wake.
    pub fn has_waiters(&self) -> bool {
        !self.lock.lock().sleepers.is_empty()
    }

    /// For a future: one waiter, to be polled.
    pub fn waiting(&self) -> Waiting<'_, S> {
        Waiting { sleeper: Sleeper::new(&self.lock) }
    }

    /// The state, when nobody else can use it any more.
    pub fn into_inner(self) -> S {
        self.lock.into_inner().value
    }
}

impl<S: Default> Default for Waitable<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S> fmt::Debug for Waitable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waitable").finish_non_exhaustive()
    }
}

/// One waiter of a [`Waitable`], for a future to keep inside. Dropped, it leaves the line, and has taken nothing.
///
/// # Examples
///
/// ```
/// use greenlight_core::Waitable;
/// use std::{future::poll_fn, pin::pin, task::Poll};
///
/// async fn reach(count: &Waitable<u32>, least: u32) {
///     let mut waiting = pin!(count.waiting());
///     poll_fn(|cx| waiting.as_mut().poll(cx.waker(), |count| (*count >= least).then_some(()))).await
/// }
/// # let count = Waitable::new(1);
/// # let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
/// # let mut reached = pin!(reach(&count, 2));
/// # assert!(std::future::Future::poll(reached.as_mut(), cx).is_pending());
/// # count.change(|count| *count = 2);
/// # assert!(std::future::Future::poll(reached, cx).is_ready());
/// ```
pub struct Waiting<'a, S> {
    sleeper: Sleeper<'a, State<S>>,
}

impl<S> Waiting<'_, S> {
    /// Asks `look`, possibly twice. At `None` it is in line until the next change, with this waker.
    pub fn poll<R>(self: Pin<&mut Self>, waker: &Waker, mut look: impl FnMut(&mut S) -> Option<R>) -> Poll<R> {
        // SAFETY: the only field is pinned whenever we are: it is never moved out, there is no `Drop` and no `Unpin` of ours.
        unsafe { Pin::new_unchecked(&self.get_unchecked_mut().sleeper) }.poll(waker, |state| look(&mut state.value))
    }
}

impl<S> fmt::Debug for Waiting<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::test_support::block_on;
    use core::{future::poll_fn, pin::pin};
    use loom::thread;
    use std::sync::Arc;

    /// A waiter whose look comes before the change hears of it. Fails if `change` does not wake.
    #[test]
    fn waitable_change_meets_waiter() {
        loom::model(|| {
            let gate = Arc::new(Waitable::new(0));
            let other = {
                let gate = gate.clone();
                thread::spawn(move || gate.change(|value| *value = 7))
            };
            let found = block_on(async {
                let mut waiting = pin!(gate.waiting());
                poll_fn(|cx| waiting.as_mut().poll(cx.waker(), |value| (*value > 0).then_some(*value))).await
            });
            assert_eq!(found, 7);
            other.join().unwrap();
        });
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use std::{
        panic::{AssertUnwindSafe, Location, catch_unwind},
        sync::Arc,
        thread,
    };

    fn why() -> Why {
        Why { what: "test", object: 0, site: Location::caller() }
    }

    #[test]
    fn threads_wait_for_their_own_condition() {
        let count = Arc::new(Waitable::new(0));
        let threads: Vec<_> = (1..=4)
            .map(|least| {
                let count = count.clone();
                thread::spawn(move || count.wait(&why(), None, |count| (*count >= least).then_some(*count)))
            })
            .collect();
        (0..4).for_each(|_| count.change(|count| *count += 1));
        assert!(!count.has_waiters());
        for (least, thread) in (1..=4).zip(threads) {
            assert!(thread.join().unwrap().unwrap() >= least);
        }
    }

    #[test]
    fn a_deadline_ends_the_wait_and_a_panic_leaves_the_lock_free() {
        let state = Waitable::new(1);
        assert_eq!(state.wait(&why(), Some(0), |_| None::<()>), None);
        assert!(catch_unwind(AssertUnwindSafe(|| state.change(|_| panic!("in a change")))).is_err());
        assert_eq!(state.with(|value| *value), 1);
        assert!(!state.has_waiters());
        assert_eq!(state.into_inner(), 1);
    }
}
