//! The cell's waits as futures.

use super::OnceCell;
use crate::once::{Init, OnceWait};
use core::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// What [`GetOrInit`] and [`GetOrTryInit`] have in common.
struct Get<'a, T, F, Fut> {
    cell: &'a OnceCell<T>,
    init: Init<'a, F, Fut>,
}

impl<'a, T, F, Fut> Get<'a, T, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    fn poll<E>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        result: impl FnOnce(Fut::Output) -> Result<T, E>,
    ) -> Poll<Result<&'a T, E>> {
        let cell = self.cell;
        // SAFETY: `init` is pinned whenever we are.
        let init = unsafe { self.map_unchecked_mut(|this| &mut this.init) };
        Poll::Ready(match ready!(init.poll(context)) {
            Some((running, made)) => result(made).map(|value| cell.finish(running, value)),
            // SAFETY: done, by another.
            None => Ok(unsafe { cell.there() }),
        })
    }
}

/// The future of [`OnceCell::get_or_init_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct GetOrInit<'a, T, F, Fut>(Get<'a, T, F, Fut>);

/// The future of [`OnceCell::get_or_try_init_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct GetOrTryInit<'a, T, F, Fut>(Get<'a, T, F, Fut>);

/// The future of [`OnceCell::wait_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct OnceCellWait<'a, T> {
    cell: &'a OnceCell<T>,
    wait: OnceWait<'a>,
}

impl<'a, T, F, Fut> GetOrInit<'a, T, F, Fut> {
    pub(super) fn new(cell: &'a OnceCell<T>, make: F) -> Self {
        Self(Get { cell, init: Init::new(&cell.once, make) })
    }

    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.0.init.is_over()
    }
}

impl<'a, T, F, Fut> GetOrTryInit<'a, T, F, Fut> {
    pub(super) fn new(cell: &'a OnceCell<T>, make: F) -> Self {
        Self(Get { cell, init: Init::new(&cell.once, make) })
    }

    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.0.init.is_over()
    }
}

impl<'a, T> OnceCellWait<'a, T> {
    pub(super) fn new(cell: &'a OnceCell<T>) -> Self {
        Self { cell, wait: cell.once.wait_async() }
    }

    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.wait.is_terminated()
    }
}

impl<'a, T, F, Fut> Future for GetOrInit<'a, T, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = T>,
{
    type Output = &'a T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'a T> {
        // SAFETY: the field is pinned whenever we are.
        let get = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        match ready!(get.poll(context, Ok::<T, Infallible>)) {
            Ok(value) => Poll::Ready(value),
            Err(never) => match never {},
        }
    }
}

impl<'a, T, F, Fut, E> Future for GetOrTryInit<'a, T, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<&'a T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned whenever we are.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(context, |made| made)
    }
}

impl<'a, T> Future for OnceCellWait<'a, T> {
    type Output = &'a T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'a T> {
        let cell = self.cell;
        // SAFETY: `wait` is pinned whenever we are.
        let wait = unsafe { self.map_unchecked_mut(|this| &mut this.wait) };
        // SAFETY: done.
        wait.poll(context).map(|()| unsafe { cell.there() })
    }
}

impl<T, F, Fut> fmt::Debug for GetOrInit<'_, T, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("GetOrInit { .. }")
    }
}

impl<T, F, Fut> fmt::Debug for GetOrTryInit<'_, T, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("GetOrTryInit { .. }")
    }
}

impl<T> fmt::Debug for OnceCellWait<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("OnceCellWait { .. }")
    }
}

#[cfg(feature = "futures")]
mod fused {
    use super::*;
    use futures_core::FusedFuture;

    impl<T, F: FnOnce() -> Fut, Fut: Future<Output = T>> FusedFuture for GetOrInit<'_, T, F, Fut> {
        fn is_terminated(&self) -> bool {
            self.is_terminated()
        }
    }

    impl<T, F: FnOnce() -> Fut, Fut: Future<Output = Result<T, E>>, E> FusedFuture for GetOrTryInit<'_, T, F, Fut> {
        fn is_terminated(&self) -> bool {
            self.is_terminated()
        }
    }

    impl<T> FusedFuture for OnceCellWait<'_, T> {
        fn is_terminated(&self) -> bool {
            self.is_terminated()
        }
    }
}
