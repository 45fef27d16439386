//! Sleeping, and limits on how long something may take.

use super::{Instant, driver::Alarm};
use greenlight_core::park::{self, TimedOut, Why};
use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// Sleeps until the clock reaches `when`: the green thread, or the OS thread that calls it. [`Instant::NEVER`] is for ever.
///
/// # Cost
///
/// A timer of the worker, and a park. No system call, unless the worker has nothing else to do.
///
/// # Examples
///
/// ```
/// use greenlight::time::{Instant, sleep_until};
/// use std::time::Duration;
///
/// let start = Instant::now();
/// for i in 1..=3 {
///     sleep_until(start + i * Duration::from_millis(2)); // however long the work in between takes
/// }
/// assert!(start.elapsed() >= Duration::from_millis(6));
/// ```
#[track_caller]
pub fn sleep_until(when: Instant) {
    let why = Why { what: "sleep", object: 0, site: Location::caller() };
    let _ = park::wait(&why, when.deadline(), &mut |_| Poll::Pending);
}

/// [`sleep`](crate::sleep) as a future, for any executor. The time starts now, not with the first poll.
///
/// # Cancellation
///
/// Dropped, it is as if it had never been.
///
/// # Cost
///
/// A timer while it waits: a short lock to set it, another one to stop it. A system call only if it is the earliest of all.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::never, select, time::sleep_async};
/// use std::time::Duration;
///
/// select! {
///     recv(never::<i32>()) -> _ => unreachable!(),
///     wait(sleep_async(Duration::from_millis(1))) -> () => println!("time is up"),
/// }
/// ```
pub fn sleep_async(time: Duration) -> Sleep {
    sleep_until_async(Instant::after(time))
}

/// [`sleep_until`] as a future. See [`sleep_async`].
pub fn sleep_until_async(when: Instant) -> Sleep {
    Sleep { when, alarm: Alarm::default() }
}

/// Future of [`sleep_async`] and [`sleep_until_async`]. Polled again after it was ready, it is ready again.
#[must_use = "a future does nothing until it is polled"]
pub struct Sleep {
    when: Instant,
    alarm: Alarm,
}

impl Sleep {
    /// When it will be ready.
    pub fn deadline(&self) -> Instant {
        self.when
    }

    /// Whether its time has come.
    pub fn is_elapsed(&self) -> bool {
        Instant::now() >= self.when
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(tick) = self.when.deadline() else { return Poll::Pending };
        if self.is_elapsed() {
            self.alarm.clear();
            return Poll::Ready(());
        }
        self.alarm.set(tick, cx.waker());
        Poll::Pending
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("when", &self.when).finish_non_exhaustive()
    }
}

/// Lets `future` take `limit` at most, from now. Then it is dropped, which is how a future is cancelled.
///
/// There is none for closures: one that is at work cannot be stopped from outside without its help. Give the closure's
/// calls a time limit each (`recv_timeout`, `lock_timeout`, …), or hand it a
/// [`Context`](crate::context::Context) with a deadline.
///
/// # Errors
///
/// If the time is up. A future that is ready is taken, even if its first poll comes after the end of the time.
///
/// # Cancellation
///
/// Dropped, it drops `future`.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::never, select, time::timeout};
/// use std::time::Duration;
///
/// let silence = never::<i32>();
/// select! {
///     wait(timeout(Duration::from_millis(1), silence.recv_async())) -> outcome => assert!(outcome.is_err()),
/// }
/// ```
pub fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    timeout_at(Instant::after(limit), future)
}

/// [`timeout`] with a point in time in the place of a limit.
///
/// # Errors
///
/// As [`timeout`].
pub fn timeout_at<F: Future>(when: Instant, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep_until_async(when) }
}

/// Future of [`timeout`] and [`timeout_at`].
#[must_use = "a future does nothing until it is polled"]
pub struct Timeout<F> {
    future: F,
    sleep: Sleep,
}

impl<F> Timeout<F> {
    /// The future, to use it without a limit from here on.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned whenever we are: it is moved out by `into_inner` only, which needs us unpinned; there is
        // no `Drop`, and `Unpin` only if it is. `sleep` is `Unpin`.
        let (future, sleep) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), &mut this.sleep)
        };
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(sleep).poll(cx).map(|()| Err(TimedOut))
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("when", &self.sleep.when).finish_non_exhaustive()
    }
}
