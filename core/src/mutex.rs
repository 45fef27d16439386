//! A lock whose waiters sleep.
//!
//! ```text
//!   state:  S Q L    L: locked    Q: somebody may be in the queue    S: one of them has been woken in vain too often
//!
//!   lock      L and S clear: set L       else: spin a little, then, under the queue lock: set Q (and S), join, sleep
//!   unlock    clear L                    Q was set: set L again and, under the queue lock, let waiters go
//!
//!   let go:   GRANTED  L stays set, the lock is the waiter's: for a blocking call that was woken in vain too often
//!             WOKEN    L cleared; the waiter tries again, and may find that somebody was quicker: every future up to the
//!                      first blocking call in line, and that call
//!
//!   line:     F1  F2  B1  F3  B2        unlock wakes F1, F2 and B1
//! ```
//!
//! * M1  The value belongs to whoever set L, or was granted it, until he unlocks.
//! * M2  Q and S are set and cleared under the queue lock. While L is set nobody else writes the state without that lock, but
//!   for the holder's own unlock, which looks at the line if Q was set. So an unlock sees every sleeper. Who grants the lock
//!   leaves both as they are: the new holder may be unlocking already.
//! * M3  While L is clear and somebody is in line, there is one who is certain to go on: an unlock that has not finished
//!   waking, or a blocking call that was woken. He takes the lock; or finds it taken, so that another unlock comes; or
//!   withdraws, and then takes it, if it is free, to unlock it.
//! * M4  Nobody waits for a future to be polled: it is never granted the lock (K3), and an unlock that wakes futures only
//!   wakes all of them.
//! * M5  S is set while an impatient call is in line, and then until an unlock finds none there. The lock is free and S set only
//!   between the two steps of an unlock, which goes on to grant it to that call: nobody else may take it. So whoever finds it
//!   so may sit down, as if it were taken.
//!
//! Waking, not granting, is the rule, because a lock that is handed to a sleeper stands idle until it runs: under load
//! that costs most of the throughput. Granting to the patient few bounds the wait: see [`Mutex`].
//!
//! Waking all futures is what M4 costs: whoever is left asleep while the lock is free is woken by nobody, if those that
//! were woken are not polled. One blocking call is enough to stop at, because it will run.

use crate::{
    park::{self, TimedOut},
    sync::{MutPtr, UnsafeCell, const_unless_loom},
};
use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    panic::Location,
    time::Duration,
};

mod future;
mod raw;

pub use future::MutexLockFuture;
pub use raw::RawMutex;

/// A mutual exclusion lock whose waiters sleep: a green thread parks and leaves its worker to others, a future is pending.
///
/// It may be held across anything that waits. A panic of its holder unlocks it; for poisoning, put a [`Poison`](crate::Poison)
/// into it. Locking it twice from one task is a deadlock. A guard that is forgotten locks it for ever.
///
/// Mapped guards and guards that own an `Arc` of their lock come with feature `lock_api`: see the module `raw`.
///
/// # Fairness
///
/// The first in line is woken at each unlock, but a task that is running already may take the lock before it. A blocking
/// call that was woken 4 times in vain is handed the lock by the next unlock, ahead of everybody: it waits for those before it
/// in line and, once it is the first, for 5 more holders.
///
/// A future is woken, in its turn, by each unlock, and never handed the lock: it gets it by being polled while the lock is
/// free. So there is no bound for it; and no future, polled once and then forgotten in a `select`, keeps the lock from
/// anybody. Its wake-up is not waited for: each unlock wakes all futures up to the first blocking call in line.
///
/// # Progress
///
/// Blocking, as any lock; [`try_lock`](Self::try_lock) is lock-free. Waiting for the short lock around the line of sleepers
/// happens only when somebody sleeps or is about to.
///
/// # Cost
///
/// Uncontended: one compare-exchange to lock, one subtraction to unlock. A contended unlock: one short lock, and a wake-up for each
/// future up to the first blocking call. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::Mutex;
///
/// static RESULTS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// RESULTS.lock().push(1);
/// assert_eq!(*RESULTS.lock(), [1]);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: by M1 the value is with one thread at a time, so it needs to be Send and nothing more.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: the lock owns its value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    const_unless_loom! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self { raw: RawMutex::unlocked(), value: UnsafeCell::new(value) }
        }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, sleeping while another task has it.
    ///
    /// # Panics
    ///
    /// Never. A task that locks it twice never wakes; the runtime reports that as a deadlock once nobody else can run.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.lock_at(Location::caller());
        self.guard()
    }

    /// Takes the lock if it is free. Never sleeps.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.take().then(|| self.guard())
    }

    /// [`lock`](Self::lock), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = greenlight_core::Mutex::new(1);
    /// let guard = lock.lock_timeout(Duration::from_millis(2)).unwrap();
    /// assert!(lock.lock_timeout(Duration::from_millis(2)).is_err());
    /// # drop(guard);
    /// ```
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard<'_, T>, TimedOut> {
        let locked = self.raw.lock_until(park::deadline_after(limit), Location::caller());
        locked.then(|| self.guard()).ok_or(TimedOut)
    }

    /// As [`lock_timeout`](Self::lock_timeout), with the point in time at which to give up.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: std::time::Instant) -> Result<MutexGuard<'_, T>, TimedOut> {
        self.lock_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }

    /// [`lock`](Self::lock), as a future for any executor.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time, or not be polled any more: it holds nothing before it is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let lock = greenlight_core::Mutex::new(1);
    /// let mut context = Context::from_waker(Waker::noop());
    /// let mut locking = pin!(lock.lock_async());
    /// let Poll::Ready(guard) = locking.as_mut().poll(&mut context) else { panic!("it is free") };
    /// assert_eq!(*guard, 1);
    /// ```
    pub fn lock_async(&self) -> MutexLockFuture<'_, T> {
        MutexLockFuture::new(self)
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference to the lock or a guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// The caller has just become the holder.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, value: ManuallyDrop::new(self.value.get_mut()) }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Mutex").field(&&*guard).finish(),
            None => f.write_str("Mutex(<locked>)"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Proof that its holder has a [`Mutex`]; dropping it unlocks.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<MutPtr<T>>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Unlocks, and hands the lock to the first blocking call in line, if there is one: for a holder that locks again at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::{Mutex, MutexGuard};
    ///
    /// let lock = Mutex::new(0);
    /// for _ in 0..3 {
    ///     let mut guard = lock.lock();
    ///     *guard += 1;
    ///     MutexGuard::unlock_fair(guard);
    /// }
    /// assert_eq!(lock.into_inner(), 3);
    /// ```
    pub fn unlock_fair(guard: Self) {
        let mut guard = ManuallyDrop::new(guard);
        // SAFETY: dropped once, here: the guard's own drop does not run.
        unsafe { ManuallyDrop::drop(&mut guard.value) };
        // SAFETY: M1, the guard is the holder's, and ends.
        unsafe { guard.lock.raw.hand_over() };
    }

    /// The lock that `guard` holds: for whoever gives it back in between and takes it again.
    pub(crate) fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.lock
    }
}

// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}
// SAFETY: the lock does not care which thread unlocks it, and the value may move by M1.
unsafe impl<T: ?Sized + Send> Send for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: M1, we are the holder while the guard lives.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: M1, we are the holder while the guard lives, and `&mut self` makes this the only reference.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // SAFETY: M1, the guard is the holder's, and ends.
        unsafe { self.lock.raw.give_back() };
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
