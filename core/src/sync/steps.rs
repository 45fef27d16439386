//! Atomics that count: every operation of a watched thread is a step, and at a chosen one the thread stops, in the middle of
//! whatever it was doing, as one does that the system never runs again. `--cfg greenlight_steps` puts them in place of
//! the plain ones in this crate's own tests; `channel/progress.rs` is what they are for.
//!
//! ```text
//!              the k-th step            release
//!   RUNNING ───────────────▶ STOPPED ─────────────▶ RUNNING ───▶ FINISHED
//!      │  ▲                                                         ▲
//!      ▼  │ its peers                                               │
//!    WAITING ───────────────────────────────────────────────────────┘
//! ```
//!
//! A thread stops *before* its k-th operation, so that all between two operations is with the first: a stop at each k in turn
//! is a stop at every place that other threads can tell apart. Nobody releases it before the others have been judged, so to
//! them it has stopped for ever. That it can come back at all is for a second judgement: what it does then, late, must be right
//! as well.

use core::{cell::Cell, time::Duration};
use std::{
    boxed::Box,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Where the watched thread is, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Running,
    /// It sleeps, or has slept, and waits for its peers.
    Waiting,
    Stopped,
    Finished,
}

/// The watch over one thread. It is never freed: the thread may outlive the test that gave it up.
pub(crate) struct Watch {
    at: Mutex<At>,
    moved: Condvar,
}

std::thread_local! {
    /// The steps so far, and the one to stop at; `None` for a thread that nobody watches.
    static WATCHED: Cell<Option<(&'static Watch, u64, u64)>> = const { Cell::new(None) };
}

impl Watch {
    pub(crate) fn new() -> &'static Self {
        Box::leak(Box::new(Self { at: Mutex::new(At::Running), moved: Condvar::new() }))
    }

    /// Watches the calling thread while it does `operation`, and stops it at its `stop`-th step; at none if there are not
    /// so many. Returns how many there were.
    pub(crate) fn over(&'static self, stop: u64, operation: impl FnOnce()) -> u64 {
        WATCHED.set(Some((self, 0, stop)));
        operation();
        let Some((_, steps, _)) = WATCHED.take() else { unreachable!("set above") };
        self.set(At::Finished);
        steps
    }

    /// Where the thread is once it is no longer at `from`; or still, after `limit`.
    pub(crate) fn wait_while(&self, from: impl Fn(At) -> bool, limit: Duration) -> At {
        let waited = self.moved.wait_timeout_while(self.lock(), limit, |at| from(*at));
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets a stopped thread go on.
    pub(crate) fn release(&self) {
        let mut at = self.lock();
        if *at == At::Stopped {
            *at = At::Running;
            self.moved.notify_all();
        }
    }

    fn set(&self, now: At) {
        *self.lock() = now;
        self.moved.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn stop(&self) {
        self.set(At::Stopped);
        let stopped = self.moved.wait_while(self.lock(), |at| *at == At::Stopped);
        drop(stopped.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The calling thread, if it is watched, is about to sleep until its peers wake it.
pub(crate) fn about_to_wait() {
    if let Some((watch, ..)) = WATCHED.get() {
        watch.set(At::Waiting);
    }
}

/// What every operation below calls first.
#[inline]
fn step() {
    if let Some((watch, steps, stop)) = WATCHED.get() {
        WATCHED.set(Some((watch, steps + 1, stop)));
        if steps + 1 == stop {
            watch.stop();
        }
    }
}

/// What this crate uses of the plain atomics.
pub(crate) mod atomic {
    use super::step;
    use crate::sync::plain;
    pub(crate) use crate::sync::plain::Ordering;

    /// Each operation is the plain one, after a step.
    macro_rules! stepping {
        ($atomic:ident $(<$of:ident>)?: $value:ty { $($operation:ident),* }) => {
            #[repr(transparent)]
            pub(crate) struct $atomic $(<$of>)? (plain::$atomic $(<$of>)?);

            #[allow(dead_code)] // one set for all
            impl $(<$of>)? $atomic $(<$of>)? {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(plain::$atomic::new(value))
                }

                #[inline]
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    step();
                    self.0.load(order)
                }

                #[inline]
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    step();
                    self.0.store(value, order);
                }

                #[inline]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    step();
                    self.0.compare_exchange(current, new, success, failure)
                }

                #[inline]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    step();
                    self.0.compare_exchange_weak(current, new, success, failure)
                }

                #[inline]
                pub(crate) fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    mut new: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let mut seen = self.load(failure);
                    while let Some(new) = new(seen) {
                        match self.compare_exchange_weak(seen, new, success, failure) {
                            Ok(seen) => return Ok(seen),
                            Err(now) => seen = now,
                        }
                    }
                    Err(seen)
                }

                $(
                    #[inline]
                    pub(crate) fn $operation(&self, value: $value, order: Ordering) -> $value {
                        step();
                        self.0.$operation(value, order)
                    }
                )*
            }
        };
    }

    stepping!(AtomicBool: bool { swap, fetch_and, fetch_or });
    stepping!(AtomicU8: u8 { swap, fetch_add, fetch_sub, fetch_and, fetch_or });
    stepping!(AtomicU32: u32 { swap, fetch_add, fetch_sub, fetch_and, fetch_or });
    stepping!(AtomicU64: u64 { swap, fetch_add, fetch_sub, fetch_and, fetch_or });
    stepping!(AtomicUsize: usize { swap, fetch_add, fetch_sub, fetch_and, fetch_or });
    stepping!(AtomicPtr<T>: *mut T { swap });
}
