//! A value that is made when it is first used.
//!
//! * Z1  The initialiser is taken out by whoever has the right to run (O1 of `once.rs`), and it is run by him. So it is there
//!   while nobody has begun, and gone for good after.

use crate::{
    once::{Entering, Entry},
    once_cell::OnceCell,
    sync::{UnsafeCell, const_unless_loom},
};
use core::{
    fmt,
    future::Future,
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A value that is made when it is first used: for statics, mostly.
///
/// The initialiser runs once. If it panics, the panic goes to the caller who ran it, and the value will never be there:
/// each use panics from then on, by name, also those that wait at that moment. For something that may be tried again take a
/// [`OnceCell`]. An initialiser that uses its own value waits for itself: a deadlock.
///
/// # Cost
///
/// A use: one load, in line. The first one: as [`Once`](crate::Once). No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::Lazy;
///
/// static PRIMES: Lazy<Vec<u32>> = Lazy::new(|| (2..30).filter(|n| (2..*n).all(|d| n % d != 0)).collect());
/// assert_eq!(PRIMES.len(), 10);
/// ```
pub struct Lazy<T, F = fn() -> T> {
    cell: OnceCell<T>,
    make: UnsafeCell<Option<F>>,
}

// SAFETY: the value is shared as in the cell; the initialiser moves to one thread, by Z1.
unsafe impl<T, F: Send> Sync for Lazy<T, F> where OnceCell<T>: Sync {}

// A panic leaves neither a value nor an initialiser.
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for Lazy<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for Lazy<T, F> {}

impl<T, F> Lazy<T, F> {
    /// The value, if it is made already. Never waits.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        this.cell.get()
    }

    /// The value, if it is made already.
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.cell.get_mut()
    }

    /// The value, or the initialiser if it has not run.
    ///
    /// # Panics
    ///
    /// If the initialiser has run and panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::Lazy;
    ///
    /// let lazy = Lazy::new(|| 1);
    /// assert_eq!(*lazy, 1);
    /// assert!(matches!(Lazy::into_value(lazy), Ok(1)));
    /// ```
    #[track_caller]
    pub fn into_value(this: Self) -> Result<T, F> {
        let make = this.make.into_inner();
        this.cell.into_inner().ok_or_else(|| make.unwrap_or_else(|| panicked()))
    }

    /// # Safety
    ///
    /// The caller has the right to run.
    unsafe fn take(&self) -> F {
        // SAFETY: Z1.
        self.make.with_mut(|make| unsafe { (*make).take() }).unwrap_or_else(|| panicked())
    }
}

#[cold]
#[track_caller]
fn panicked() -> ! {
    panic!("Lazy: the initialiser has panicked, so there is no value");
}

impl<T, F: FnOnce() -> T> Lazy<T, F> {
    const_unless_loom! {
        /// A value that `make` will make.
        pub fn new(make: F) -> Self {
            Self { cell: OnceCell::new(), make: UnsafeCell::new(Some(make)) }
        }
    }

    /// The value, which is made now if this is its first use. Sleeps while another task makes it. The same as `*this`.
    ///
    /// # Panics
    ///
    /// If the initialiser does, or has done.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        // SAFETY: the cell calls it with the right to run.
        this.cell.get_or_init(|| unsafe { this.take() }())
    }

    /// [`force`](Self::force), which does not wait while another task makes the value: then there is none.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn try_force(this: &Self) -> Option<&T> {
        // SAFETY: as in `force`.
        this.cell.try_get_or_init(|| unsafe { this.take() }())
    }

    /// [`force`](Self::force), as a future: it waits for another task without blocking, and runs the initialiser in a poll.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time.
    pub fn force_async(this: &Self) -> LazyForce<'_, T, F> {
        LazyForce { lazy: this, entering: this.cell.entering(), over: false }
    }

    /// The value, which is made now if this is its first use.
    ///
    /// # Panics
    ///
    /// As [`force`](Self::force).
    #[track_caller]
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        this.cell.get_mut().expect("made")
    }
}

impl<T, F: FnOnce() -> T> Deref for Lazy<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T: Default> Default for Lazy<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("Lazy");
        match self.cell.get() {
            Some(value) => tuple.field(value).finish(),
            None => tuple.field(&format_args!("<not made yet>")).finish(),
        }
    }
}

/// The future of [`Lazy::force_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct LazyForce<'a, T, F> {
    lazy: &'a Lazy<T, F>,
    entering: Entering<'a>,
    over: bool,
}

impl<T, F> LazyForce<'_, T, F> {
    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.over
    }
}

impl<'a, T, F: FnOnce() -> T> Future for LazyForce<'a, T, F> {
    type Output = &'a T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'a T> {
        // SAFETY: nothing is moved out of it, and `entering` is pinned whenever we are.
        let (lazy, entering, over) = unsafe {
            let this = self.get_unchecked_mut();
            (this.lazy, Pin::new_unchecked(&this.entering), &mut this.over)
        };
        assert!(!*over, "a `LazyForce` was polled after it was ready");
        let entry = ready!(entering.poll(context.waker()));
        *over = true;
        Poll::Ready(match entry {
            // SAFETY: the right to run is ours.
            Entry::Mine(running) => lazy.cell.finish(running, unsafe { lazy.take() }()),
            // SAFETY: done.
            Entry::Done => unsafe { lazy.cell.there() },
        })
    }
}

impl<T, F> fmt::Debug for LazyForce<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("LazyForce { .. }")
    }
}

#[cfg(feature = "futures")]
impl<T, F: FnOnce() -> T> futures_core::FusedFuture for LazyForce<'_, T, F> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
