//! Waiting as a future.

use super::{Wait, WaitGroup};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The future of [`WaitGroup::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct WaitGroupFuture<'a> {
    wait: Wait<'a>,
    over: bool,
}

impl<'a> WaitGroupFuture<'a> {
    pub(super) fn new(group: &'a WaitGroup) -> Self {
        Self { wait: Wait::new(group), over: false }
    }

    /// Whether it was ready: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.over
    }
}

impl Future for WaitGroupFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `wait` is pinned whenever we are: nobody moves it out, there is no `Drop` and no `Unpin` of our own.
        let (wait, over) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&this.wait), &mut this.over)
        };
        assert!(!*over, "a `WaitGroupFuture` was polled after it was ready");
        ready!(wait.poll(context.waker()));
        *over = true;
        Poll::Ready(())
    }
}

#[cfg(feature = "futures")]
impl futures_core::FusedFuture for WaitGroupFuture<'_> {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl fmt::Debug for WaitGroupFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroupFuture").field("over", &self.over).finish_non_exhaustive()
    }
}
