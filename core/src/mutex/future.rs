//! Locking as a future.

use super::{Mutex, MutexGuard, raw::Wait};
use crate::seat::Kind;
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The future of [`Mutex::lock_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct MutexLockFuture<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    wait: Wait<'a>,
    over: bool,
}

impl<'a, T: ?Sized> MutexLockFuture<'a, T> {
    pub(super) fn new(lock: &'a Mutex<T>) -> Self {
        Self { lock, wait: Wait::new(&lock.raw, Kind::Future), over: false }
    }

    /// Whether it has returned its guard: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.over
    }
}

impl<'a, T: ?Sized> Future for MutexLockFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `wait` is pinned whenever we are: nobody moves it out, there is no `Drop` and no `Unpin` of our own.
        let (wait, over, lock) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&this.wait), &mut this.over, this.lock)
        };
        assert!(!*over, "a `MutexLockFuture` was polled after it was ready");
        ready!(wait.poll(context.waker()));
        *over = true;
        Poll::Ready(lock.guard())
    }
}

#[cfg(feature = "futures")]
impl<T: ?Sized> futures_core::FusedFuture for MutexLockFuture<'_, T> {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl<T: ?Sized> fmt::Debug for MutexLockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexLockFuture").field("over", &self.over).finish_non_exhaustive()
    }
}
