//! A value that is made once and read ever after.
//!
//! * C1  `value` is there if `once` is done, and then it is only read. Before, it belongs to whoever has the right to run
//!   (O1 of `once.rs`).

use crate::{
    once::{Entering, Entry, Once, Running},
    park::{self, TimedOut},
    sync::{UnsafeCell, const_unless_loom},
};
use core::{
    convert::Infallible,
    fmt,
    future::Future,
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    time::Duration,
};

mod futures;

pub use futures::{GetOrInit, GetOrTryInit, OnceCellWait};

/// A cell that is written once, by whoever comes first, and read without a lock ever after.
///
/// An initialiser that panics, or fails, leaves the cell empty, and somebody else may try. An initialiser that asks the
/// same cell waits for itself: a deadlock, but for the calls that never wait.
///
/// # Cost
///
/// A read: one load, in line. Else as [`Once`]. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// assert_eq!(CONFIG.get(), None);
/// assert_eq!(CONFIG.get_or_init(|| "read from a file".into()), "read from a file");
/// assert_eq!(CONFIG.set("too late".into()), Err("too late".into()));
/// ```
pub struct OnceCell<T> {
    once: Once,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: C1: references go to any thread, and the value may be dropped on another than that which made it.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}
// SAFETY: the cell owns its value.
unsafe impl<T: Send> Send for OnceCell<T> {}

// A panic in an initialiser leaves it as it was.
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceCell<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}

impl<T> OnceCell<T> {
    const_unless_loom! {
        /// An empty cell.
        pub fn new() -> Self {
            Self { once: Once::new(), value: UnsafeCell::new(None) }
        }
    }

    const_unless_loom! {
        /// A cell that holds `value` from the start.
        pub fn with_value(value: T) -> Self {
            Self { once: Once::completed(), value: UnsafeCell::new(Some(value)) }
        }
    }

    /// The value, if there is one. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: done.
        self.once.is_completed().then(|| unsafe { self.there() })
    }

    /// The value, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: `&mut self`: nobody else has a reference to it.
        self.value.with_mut(|value| unsafe { &mut *value }).as_mut()
    }

    /// Writes `value`, if the cell is empty. Sleeps while another task is making one.
    ///
    /// # Errors
    ///
    /// Gives `value` back if there is one already.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        self.try_insert(value).map(drop).map_err(|(_, value)| value)
    }

    /// [`set`](Self::set), which returns what is in the cell.
    ///
    /// # Errors
    ///
    /// If there is a value already: that one, and `value`.
    #[track_caller]
    pub fn try_insert(&self, value: T) -> Result<&T, (&T, T)> {
        let mut value = Some(value);
        let there = self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(there), |value| Err((there, value)))
    }

    /// [`set`](Self::set), which never waits.
    ///
    /// # Errors
    ///
    /// Gives `value` back if there is one already, or if another task is making one.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::{OnceCell, TrySetError};
    ///
    /// let cell = OnceCell::new();
    /// cell.get_or_init(|| {
    ///     assert_eq!(cell.try_set(1), Err(TrySetError::Busy(1)));
    ///     2
    /// });
    /// assert_eq!(cell.try_set(3), Err(TrySetError::Full(3)));
    /// ```
    pub fn try_set(&self, value: T) -> Result<(), TrySetError<T>> {
        match self.once.try_enter() {
            None => Err(TrySetError::Busy(value)),
            Some(Entry::Done) => Err(TrySetError::Full(value)),
            Some(Entry::Mine(running)) => {
                self.finish(running, value);
                Ok(())
            }
        }
    }

    /// The value; if there is none, what `make` returns. Sleeps while another task is making one.
    ///
    /// # Panics
    ///
    /// If `make` does. The cell stays empty.
    #[inline]
    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => match self.make(|| Ok::<T, Infallible>(make()), Location::caller()) {
                Ok(value) => value,
                Err(never) => match never {},
            },
        }
    }

    /// [`get_or_init`](Self::get_or_init), for a `make` that can fail.
    ///
    /// # Errors
    ///
    /// That of `make`. The cell stays empty.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = greenlight_core::OnceCell::new();
    /// assert!(cell.get_or_try_init(|| "seven".parse::<u32>()).is_err());
    /// assert_eq!(cell.get_or_try_init(|| "7".parse::<u32>()), Ok(&7));
    /// ```
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.make(make, Location::caller()),
        }
    }

    #[cold]
    fn make<E>(&self, make: impl FnOnce() -> Result<T, E>, site: &'static Location<'static>) -> Result<&T, E> {
        match self.once.enter(site) {
            Entry::Mine(running) => Ok(self.finish(running, make()?)),
            // SAFETY: done.
            Entry::Done => Ok(unsafe { self.there() }),
        }
    }

    /// [`get_or_init`](Self::get_or_init), which does not wait while another task is making a value: then there is none.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn try_get_or_init(&self, make: impl FnOnce() -> T) -> Option<&T> {
        match self.once.try_enter()? {
            Entry::Mine(running) => Some(self.finish(running, make())),
            // SAFETY: done.
            Entry::Done => Some(unsafe { self.there() }),
        }
    }

    /// [`get_or_init`](Self::get_or_init) with an async `make`, as a future.
    ///
    /// # Cancellation
    ///
    /// Dropped before it is ready, it leaves the cell empty for somebody else. One that is kept, and not polled on, in the
    /// middle of `make` holds up everybody.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let cell = greenlight_core::OnceCell::new();
    /// let mut get = pin!(cell.get_or_init_async(async || 3));
    /// assert_eq!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(&3));
    /// ```
    pub fn get_or_init_async<F, Fut>(&self, make: F) -> GetOrInit<'_, T, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        GetOrInit::new(self, make)
    }

    /// [`get_or_try_init`](Self::get_or_try_init) with an async `make`, as a future.
    ///
    /// # Errors
    ///
    /// That of `make`. The cell stays empty.
    ///
    /// # Cancellation
    ///
    /// As for [`get_or_init_async`](Self::get_or_init_async).
    pub fn get_or_try_init_async<F, Fut, E>(&self, make: F) -> GetOrTryInit<'_, T, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        GetOrTryInit::new(self, make)
    }

    /// The value; sleeps until somebody has written one.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> &T {
        let _ = self.once.wait_until(None, Location::caller());
        // SAFETY: done.
        unsafe { self.there() }
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
    pub fn wait_timeout(&self, limit: Duration) -> Result<&T, TimedOut> {
        self.once.wait_until(park::deadline_after(limit), Location::caller())?;
        // SAFETY: done.
        Ok(unsafe { self.there() })
    }

    /// [`wait`](Self::wait), as a future, which can be dropped at any time.
    pub fn wait_async(&self) -> OnceCellWait<'_, T> {
        OnceCellWait::new(self)
    }

    /// The value, if there is one, when nobody else can use the cell any more.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if there is one: the cell is empty again.
    pub fn take(&mut self) -> Option<T> {
        mem::take(self).into_inner()
    }

    pub(crate) fn entering(&self) -> Entering<'_> {
        self.once.entering()
    }

    pub(crate) fn finish(&self, running: Running<'_>, value: T) -> &T {
        // SAFETY: C1, the right to run is ours. What is there is None: nothing of the user's is dropped.
        self.value.with_mut(|place| unsafe { *place = Some(value) });
        running.finish();
        // SAFETY: done.
        unsafe { self.there() }
    }

    /// # Safety
    ///
    /// The caller has seen that `once` is done.
    #[inline(always)]
    pub(crate) unsafe fn there(&self) -> &T {
        // SAFETY: C1: it is there, and nobody writes to it while the cell is shared.
        self.value.with(|value| unsafe { (*value).as_ref().unwrap_unchecked() })
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self::with_value(value)
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::new, |value| Self::with_value(value.clone()))
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("OnceCell");
        match self.get() {
            Some(value) => tuple.field(value).finish(),
            None => tuple.field(&format_args!("<empty>")).finish(),
        }
    }
}

/// Why [`OnceCell::try_set`] did not write the value, which comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySetError<T> {
    /// There is one already.
    Full(T),
    /// Another task is making one.
    Busy(T),
}

impl<T> TrySetError<T> {
    /// The value that was not written.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Busy(value) => value,
        }
    }
}

impl<T> fmt::Display for TrySetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the cell has a value already",
            Self::Busy(_) => "another task is making the cell's value",
        })
    }
}

impl<T: fmt::Debug> core::error::Error for TrySetError<T> {}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
