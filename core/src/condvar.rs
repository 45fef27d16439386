//! Waiting, without a lock, for what others do under it.
//!
//! ```text
//!   wait:      join the line ─ unlock ─ sleep ─▶ notified ─▶ lock ─▶ used
//!                                         │          │         │
//!                      cancelled, or the time is up  │         │ cancelled
//!                                         ▼          ▼         ▼
//!                                       gone      passed on to the next in line
//! ```
//!
//! * N1  A waiter is in line before the mutex is unlocked. So who changes something under the mutex afterwards, and then
//!   notifies, with it or without, finds him.
//! * N2  A notification belongs to the waiter who was taken out of the line by it, until he has the mutex again: then it is
//!   used. Who goes before passes it on.
//! * N3  Nothing but a notification ends a wait: there are no spurious wake-ups to loop for, only changes by others.

use crate::{
    mutex::{Mutex, MutexGuard},
    park::{self, Tick, TimedOut, Why},
    queue::WaitQueue,
    sleeper::{HasSleepers, wake_all},
    spin::SpinMutex,
    sync::const_unless_loom,
};
use core::{
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::pin,
    time::Duration,
};

mod wait;

pub use wait::CondvarWait;

use wait::Notified;

/// A condition variable: waits for something that others do under a [`Mutex`].
///
/// The waits give the mutex back, sleep, and take it again. Anything that was true before may have changed when they return,
/// because others had the mutex in between: hence [`wait_while`](Self::wait_while). There are no spurious wake-ups.
///
/// # Fairness
///
/// [`notify_one`](Self::notify_one) wakes who waits longest, thread or future. A notification that its receiver does not use,
/// because it is cancelled or its time is up, goes to the next. One given to a future that is kept and not polled is kept with
/// it: drop a future that you do not poll any more.
///
/// # Cost
///
/// A wait: two short locks and the mutex twice. A notification: one short lock, and the wake-up. No allocation ever.
///
/// # Progress
///
/// The short locks are held for a few instructions. Not for interrupt handlers.
///
/// # Examples
///
/// ```
/// use greenlight_core::{Condvar, Mutex};
///
/// static QUEUE: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// static FILLED: Condvar = Condvar::new();
///
/// std::thread::spawn(|| {
///     QUEUE.lock().push(1);
///     FILLED.notify_one();
/// });
/// let mut queue = FILLED.wait_while(QUEUE.lock(), |queue| queue.is_empty());
/// assert_eq!(queue.pop(), Some(1));
/// ```
pub struct Condvar {
    line: SpinMutex<Line>,
}

struct Line(WaitQueue<()>);

impl HasSleepers for Line {
    fn sleepers(&mut self) -> &mut WaitQueue<()> {
        &mut self.0
    }
}

impl Condvar {
    const_unless_loom! {
        /// Nobody waits yet.
        pub fn new() -> Self {
            Self { line: SpinMutex::new(Line(WaitQueue::new())) }
        }
    }

    /// Gives the mutex back, waits for a notification, and takes the mutex again.
    ///
    /// # Panics
    ///
    /// Never.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_until(guard, None).0
    }

    /// [Waits](Self::wait) again and again while `condition` says so, which is asked under the mutex.
    ///
    /// # Panics
    ///
    /// If `condition` does. The mutex is free then.
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// [`wait`](Self::wait), for `limit` at most; to take the mutex again may take longer. Whether there was a notification
    /// comes with the guard.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::{Condvar, Mutex, park::TimedOut};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let (guard, result) = condvar.wait_timeout(mutex.lock(), std::time::Duration::from_millis(1));
    /// assert_eq!((*guard, result), (1, Err(TimedOut)));
    /// ```
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, Result<(), TimedOut>) {
        self.wait_until(guard, park::deadline_after(limit))
    }

    /// [`wait_while`](Self::wait_while), for `limit` at most. The error says that `condition` still holds.
    ///
    /// # Panics
    ///
    /// As there, or if there is no clock: see [`park::now`].
    #[track_caller]
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, Result<(), TimedOut>) {
        let deadline = park::deadline_after(limit);
        let mut in_time = Ok(());
        while condition(&mut guard) {
            if in_time.is_err() {
                return (guard, in_time);
            }
            (guard, in_time) = self.wait_until(guard, deadline);
        }
        (guard, Ok(()))
    }

    /// [`wait`](Self::wait), as a future. It gives the mutex back in its first poll.
    ///
    /// # Cancellation
    ///
    /// Dropped at any time; the mutex is free then, and a notification goes to the next in line.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use greenlight_core::{Condvar, Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    /// let mut wait = pin!(condvar.wait_async(mutex.lock()));
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(wait.as_mut().poll(&mut context).is_pending());
    /// *mutex.lock() = 1;
    /// condvar.notify_one();
    /// let Poll::Ready(guard) = wait.poll(&mut context) else { panic!("notified") };
    /// assert_eq!(*guard, 1);
    /// ```
    pub fn wait_async<'a, T: ?Sized>(&'a self, guard: MutexGuard<'a, T>) -> CondvarWait<'a, T> {
        CondvarWait::new(self, guard)
    }

    /// Wakes who waits longest, if anybody does. It need not be called with the mutex.
    pub fn notify_one(&self) {
        let mut line = self.line.lock();
        let waker = line.0.pop().and_then(|waiter| waiter.finish());
        drop(line);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes all who wait now. It need not be called with the mutex.
    pub fn notify_all(&self) {
        wake_all(&self.line, self.line.lock());
    }

    #[track_caller]
    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Tick>,
    ) -> (MutexGuard<'a, T>, Result<(), TimedOut>) {
        let mutex: &'a Mutex<T> = MutexGuard::mutex(&guard);
        let mut guard = Some(guard);
        let why = Why::new("wait for a condition variable", self, Location::caller());
        let notified = pin!(Notified::new(self));
        let _ = park::wait(&why, deadline, &mut |waker| notified.as_ref().poll(waker, || drop(guard.take())));
        let in_time = notified.withdraw();
        let guard = mutex.lock();
        notified.use_up();
        (guard, if in_time { Ok(()) } else { Err(TimedOut) })
    }
}

// It holds nothing that a panic could leave half-done.
impl RefUnwindSafe for Condvar {}
impl UnwindSafe for Condvar {}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
