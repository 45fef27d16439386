//! Calls that block their OS thread, off the workers: reading files, waiting for processes, C libraries, long computations.
//!
//! [`blocking`] runs a closure on a thread of a pool. The green thread that waits for the result is parked meanwhile, and the
//! others of its worker run on. [`fs`](crate::fs), [`process`](crate::process) and [`stdin`](crate::stdin) are calls of the
//! standard library that are wrapped so.
//!
//! While a call runs, no deadlock is reported: it may wake anybody.

mod pool;

use crate::{delivery::Delivery, worker};
use greenlight_core::park::TimedOut;
use pool::Shared;
use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    thread,
    time::Duration,
};

pub use crate::delivery::Cancelled;
pub use pool::{Pool, Running};

/// Runs `f` on a thread where it may block, and returns at once.
///
/// Dropping the handle leaves it running. When `main` returns, the process ends without waiting.
///
/// # Panics
///
/// If the pool has no thread and none can be started; `f` is dropped. A panic *of* `f` is reported by the hook, and
/// [`BlockingHandle::join`] brings it.
///
/// # Cancellation
///
/// [`BlockingHandle::cancel`], before it has started. Nothing can stop it after that.
///
/// # Cost
///
/// A few allocations and the wake-up of a thread, or its start: some ten microseconds. Not for short work.
///
/// # Examples
///
/// ```
/// use greenlight::blocking;
///
/// let listing = blocking(|| std::fs::read_dir(".").map(Iterator::count));
/// assert!(listing.join().unwrap().is_ok());
/// ```
#[track_caller]
pub fn blocking<F, T>(f: F) -> BlockingHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    global().spawn(f)
}

/// The pool of [`blocking`]: at most 512 threads, if nobody sets another limit.
///
/// # Examples
///
/// ```
/// greenlight::blocking::global().set_max_threads(64);
/// ```
pub fn global() -> &'static Pool {
    static GLOBAL: OnceLock<Pool> = OnceLock::new();
    GLOBAL.get_or_init(Pool::default_size)
}

/// Runs `f` and returns what it returns: off the worker if the caller is a green thread, and right here on an OS thread.
#[track_caller]
pub(crate) fn off_worker<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match worker::current() {
        Some(_) => blocking(f).join().unwrap_or_else(|panic| resume_unwind(panic)),
        None => f(),
    }
}

/// Waits for a blocking call and takes its result: by [`join`](Self::join), or as a future. Dropping it leaves the call running.
#[must_use = "a call whose handle is dropped runs on, and its result is lost"]
pub struct BlockingHandle<T> {
    delivery: Delivery<T>,
    /// Where it may still be waiting for a thread.
    queued: Option<(Arc<Shared>, u64)>,
}

impl<T> BlockingHandle<T> {
    /// Waits until the call has returned.
    ///
    /// # Errors
    ///
    /// With the panic's payload, if it panicked; with [`Cancelled`] as the payload, if its pool was shut down before
    /// it started.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.delivery.join()
    }

    /// [`join`](Self::join), for `limit` at most. The result comes once: after that, joining says [`Cancelled`].
    ///
    /// # Errors
    ///
    /// If the time is up. The handle is as it was.
    #[track_caller]
    pub fn join_timeout(&mut self, limit: Duration) -> Result<thread::Result<T>, TimedOut> {
        self.delivery.join_timeout(limit)
    }

    /// The result, if it is there. Never waits. It comes once: after that, joining says [`Cancelled`].
    pub fn try_join(&mut self) -> Option<thread::Result<T>> {
        self.delivery.try_join()
    }

    /// Whether the call has returned, so that [`join`](Self::join) would not wait.
    pub fn is_finished(&self) -> bool {
        self.delivery.is_finished()
    }

    /// Takes the call back: its closure is dropped, and never runs.
    ///
    /// # Errors
    ///
    /// With the handle, if it has started.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::blocking::Pool;
    ///
    /// let pool = Pool::new(1);
    /// let (tx, rx) = greenlight::channel::bounded::<()>(0);
    /// let first = pool.spawn(move || rx.recv());
    /// let second = pool.spawn(|| unreachable!());
    /// assert!(second.cancel().is_ok());
    /// let first = first.cancel().unwrap_err(); // it is running
    /// tx.send(()).unwrap();
    /// assert!(first.join().unwrap().is_ok());
    /// ```
    pub fn cancel(self) -> Result<(), Self> {
        match &self.queued {
            Some((pool, number)) if pool.cancel(*number) => Ok(()),
            _ => Err(self),
        }
    }
}

impl<T> Future for BlockingHandle<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.delivery.poll(cx)
    }
}

impl<T> fmt::Debug for BlockingHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingHandle").field("is_finished", &self.is_finished()).finish_non_exhaustive()
    }
}
