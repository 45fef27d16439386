//! Reading and writing as futures.

use super::{Access, RwLock, RwLockReadGuard, RwLockWriteGuard, raw::Wait, slots::Place};
use crate::seat::Kind;
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The two are the same but for what they come for.
macro_rules! future {
    ($(#[$meta:meta])* $name:ident, $guard:ident, $access:expr, $at_once:expr, $guard_of:expr) => {
        $(#[$meta])*
        #[must_use = "a future does nothing unless it is polled"]
        pub struct $name<'a, T: ?Sized> {
            lock: &'a RwLock<T>,
            wait: Wait<'a>,
            over: bool,
        }

        impl<'a, T: ?Sized> $name<'a, T> {
            pub(super) fn new(lock: &'a RwLock<T>) -> Self {
                Self { lock, wait: Wait::new(&lock.raw, $access, Kind::Future), over: false }
            }

            /// Whether it has returned its guard: then it must not be polled again.
            pub fn is_terminated(&self) -> bool {
                self.over
            }
        }

        impl<'a, T: ?Sized> Future for $name<'a, T> {
            type Output = $guard<'a, T>;

            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                // SAFETY: `wait` is pinned whenever we are: nobody moves it out, there is no `Drop` and no `Unpin` of our own.
                let (wait, over, lock) = unsafe {
                    let this = self.get_unchecked_mut();
                    (Pin::new_unchecked(&this.wait), &mut this.over, this.lock)
                };
                assert!(!*over, concat!("a `", stringify!($name), "` was polled after it was ready"));
                if !wait.is_in_line()
                    && let Some(guard) = $at_once(lock)
                {
                    *over = true;
                    return Poll::Ready(guard);
                }
                ready!(wait.poll(context.waker()));
                *over = true;
                Poll::Ready($guard_of(lock))
            }
        }

        #[cfg(feature = "futures")]
        impl<T: ?Sized> futures_core::FusedFuture for $name<'_, T> {
            fn is_terminated(&self) -> bool {
                self.over
            }
        }

        impl<T: ?Sized> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("over", &self.over).finish_non_exhaustive()
            }
        }
    };
}

future!(
    /// The future of [`RwLock::read_async`].
    RwLockReadFuture, RwLockReadGuard, Access::Read,
    |lock: &'a RwLock<T>| lock.raw.read_at_once().map(|place| lock.read_guard_of_future(place)),
    |lock: &'a RwLock<T>| lock.read_guard_of_future(Place::WORD)
);
future!(
    /// The future of [`RwLock::write_async`].
    RwLockWriteFuture, RwLockWriteGuard, Access::Write,
    |lock: &'a RwLock<T>| lock.raw.enter_at_once(Access::Write).then(|| lock.write_guard()),
    |lock: &'a RwLock<T>| lock.write_guard()
);
