//! A notification that waits for its receiver: a semaphore with one permit, that lets all in line go at will.
//!
//! ```text
//!   notify_one       somebody in line: a permit for him       nobody: one permit is kept, and no second
//!   notify_waiters   all who wait are let go, without a permit
//!   notified         takes a permit, or is let go
//! ```
//!
//! * F1  Free permits are at most one more than waiters that are called and have not looked yet: the kept one.
//! * F2  `freed` moves under the lock with each `notify_waiters`; who began to wait before sees it move, in line or not.
//! * F3  A `notify_one` that keeps nothing is a release all the same: who takes the kept permit sees what came before both.
//!
//! Order, cancels, and futures that nobody polls: as in `semaphore.rs` (P2 to P5).

use super::{FREED, Line, ONE, Semaphore, error::AcquireError, wait::Wait};
use crate::{
    park::{self, Tick, TimedOut, Why},
    sync::{atomic::Ordering::*, const_unless_loom},
};
use core::{
    fmt,
    future::Future,
    panic::Location,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

/// Tells one task, or all that wait, that something has happened.
///
/// [`notify_one`](Self::notify_one) wakes one who waits; if nobody does, the next to come does not sleep: one notification is
/// kept, however many there were. [`notify_waiters`](Self::notify_waiters) wakes all who wait now, and keeps nothing. tokio's
/// `Notify`, and Go's channel of capacity one that is sent to with a default case.
///
/// # Fairness
///
/// First come, first served, as for a [`Semaphore`]: also what is said there of futures that are woken and not polled. A
/// notification that its receiver does not use goes to the next, or is kept.
///
/// # Cost
///
/// A kept notification is taken with one compare-exchange. Else one short lock each. No allocation ever.
///
/// # Progress
///
/// The short locks are held for a few instructions. Every call may take one, `notify_one` and `try_wait` included: an interrupt
/// handler must make none.
///
/// # Examples
///
/// ```
/// use greenlight_core::Notify;
///
/// static WORK: Notify = Notify::new();
///
/// let worker = std::thread::spawn(|| WORK.wait());
/// WORK.notify_one(); // before or after the worker sleeps
/// worker.join().unwrap();
/// ```
pub struct Notify {
    semaphore: Semaphore,
}

impl Notify {
    const_unless_loom! {
        /// Nothing has happened yet.
        pub fn new() -> Self {
            Self { semaphore: Semaphore::new(0) }
        }
    }

    /// Wakes who waits longest; if nobody waits, the next to come does not sleep.
    pub fn notify_one(&self) {
        self.semaphore.post();
    }

    /// Wakes all who wait now: those who sleep, and the futures that were made before, polled or not.
    pub fn notify_waiters(&self) {
        self.semaphore.free_all();
    }

    /// Sleeps until there is a notification.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        let _ = self.wait_until(None, Location::caller());
    }

    /// Takes the notification that is kept, if there is one. Never sleeps.
    pub fn try_wait(&self) -> bool {
        self.semaphore.try_acquire(1).map(|permit| permit.forget()).is_ok()
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), TimedOut> {
        self.wait_until(park::deadline_after(limit), Location::caller())
    }

    /// [`wait`](Self::wait), as a future. It stands in line from its first poll, and hears of each
    /// [`notify_waiters`](Self::notify_waiters) from now on.
    ///
    /// # Cancellation
    ///
    /// Dropped at any time: its notification goes to the next, or is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let notify = greenlight_core::Notify::new();
    /// let mut notified = pin!(notify.notified());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(notified.as_mut().poll(&mut context).is_pending());
    /// notify.notify_one();
    /// assert!(notified.poll(&mut context).is_ready());
    /// ```
    pub fn notified(&self) -> Notified<'_> {
        Notified(Wait::notification(&self.semaphore, false))
    }

    fn wait_until(&self, deadline: Option<Tick>, site: &'static Location<'static>) -> Result<(), TimedOut> {
        park::give_way();
        if self.semaphore.take_unqueued(1) {
            return Ok(());
        }
        let wait = pin!(Wait::notification(&self.semaphore, true));
        let why = Why::new("wait to be notified", self, site);
        let mut notified = Err(TimedOut);
        let _ = park::wait(&why, deadline, &mut |waker| {
            wait.as_ref().poll(waker).map(|permit| {
                use_up(permit);
                notified = Ok(());
            })
        });
        notified
    }
}

/// What a wait has brought is not given back.
fn use_up(permit: Result<super::SemaphorePermit<'_>, AcquireError>) {
    permit.expect("it is never closed").forget();
}

impl Semaphore {
    /// Puts a permit in for somebody in line, or if there is none to keep (F1, F3).
    fn post(&self) {
        let line = self.line.lock();
        let mut state = self.state.load(Relaxed);
        loop {
            // Exchanged also if nothing is added (F3); and what is decided on is then what is there.
            let more = usize::from(state / ONE <= line.called);
            match self.state.compare_exchange_weak(state, state + more * ONE, Release, Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        self.let_go(line);
    }

    /// Lets go all who wait (F2).
    fn free_all(&self) {
        let mut line = self.line.lock();
        line.freed = line.freed.wrapping_add(1);
        self.let_all_go(line, FREED);
    }

    /// A waiter went away and left its permit, which may be one too many (F1).
    pub(super) fn keep_one(&self, line: &Line) {
        let kept = line.called + 1;
        if line.queue.is_empty() && self.available_permits() > kept {
            let _taken = self.take(self.available_permits() - kept);
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").field("kept", &(self.semaphore.available_permits() > 0)).finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified`].
#[must_use = "a future does nothing unless it is polled"]
pub struct Notified<'a>(Wait<'a>);

impl Notified<'_> {
    /// Whether it has returned: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.0.is_over()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        assert!(!self.is_terminated(), "a `Notified` was polled after it was ready");
        // SAFETY: the field is pinned whenever we are.
        unsafe { self.as_ref().map_unchecked(|this| &this.0) }.poll(context.waker()).map(use_up)
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Notified { .. }")
    }
}

#[cfg(feature = "futures")]
impl futures_core::FusedFuture for Notified<'_> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
