//! A lock for what interrupt handlers share with the code that they interrupt: while it is held, there are no interrupts.
//!
//! ```text
//!   with(f) ──▶ critical section ──▶ held? ──no──▶ held = true ──▶ f ──▶ held = false ──▶ interrupts as before
//!                                      └───yes───────────────────────▶ panic: f called with again
//! ```
//!
//! * C1  A critical section shuts out everybody else: interrupts on this core, and the other cores, by the contract of
//!   `critical_section::Impl`. It nests: who is inside one gets another at once.
//! * C2  `held` is touched only in a critical section. True there means: further up on this very stack `f` is at work.
//! * C3  `value` is touched only by the one who turned `held` from false to true, until he turns it back.
//!
//! So there is nothing to spin on, and no atomic: on one core nothing is ever waited for, and on several the implementation
//! of the critical section does the waiting.
//!
//! Not a guard: critical sections must end in the reverse of the order in which they began, and all must end. Guards can be
//! dropped in any order, or forgotten; a closure cannot.

use crate::sync::{UnsafeCell, const_unless_loom};
use core::{cell::Cell, fmt};

/// A lock that masks interrupts while it is held, for data that interrupt handlers share with other code.
///
/// A handler never finds it taken by the code that it interrupted, because it could not interrupt there. How interrupts are
/// masked, and other cores kept out, is the program's choice of an implementation for the [`critical-section`] crate
/// (`cortex-m` brings one as `critical-section-single-core`; on an operating system that crate's `std` is a lock for the
/// process).
///
/// Every interrupt is late by as long as it is held: a few instructions only, as with [`SpinMutex`](crate::SpinMutex).
/// There is one critical section for the whole program: this suits a core that handles interrupts, not contention among many.
///
/// [`critical-section`]: https://docs.rs/critical-section
///
/// # Nesting
///
/// Inside one, others can be taken, in any order: whoever is in a critical section is alone, so there is no deadlock. Taken
/// again inside itself it panics, or with [`try_with`](Self::try_with) says so.
///
/// # Cost
///
/// To save the interrupt mask and set it, a look at a byte, and the mask back. No atomic operation: it also serves CPUs that
/// have no compare-and-swap.
///
/// # Examples
///
/// ```
/// use greenlight_core::CriticalMutex;
///
/// static LAST: CriticalMutex<Option<u32>> = CriticalMutex::new(None);
///
/// fn interrupt_handler(measured: u32) {
///     LAST.with(|last| *last = Some(measured));
/// }
///
/// interrupt_handler(7);
/// assert_eq!(LAST.with(|last| last.take()), Some(7));
/// assert_eq!(LAST.with(|last| last.take()), None);
/// ```
///
/// What it guards does not leave:
///
/// ```compile_fail
/// # static LAST: greenlight_core::CriticalMutex<u32> = greenlight_core::CriticalMutex::new(0);
/// let last: &mut u32 = LAST.with(|last| last);
/// ```
pub struct CriticalMutex<T: ?Sized> {
    held: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `held` is with one thread at a time by C2, `value` by C3: it needs to be Send and nothing more.
unsafe impl<T: ?Sized + Send> Sync for CriticalMutex<T> {}

impl<T> CriticalMutex<T> {
    const_unless_loom! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self { held: Cell::new(false), value: UnsafeCell::new(value) }
        }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> CriticalMutex<T> {
    /// Runs `f` on the value, with interrupts masked.
    ///
    /// # Panics
    ///
    /// If `f` takes this same lock again; and if `f` panics: then the lock is free again, and interrupts are as they were.
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        match self.try_with(f) {
            Some(result) => result,
            None => nested(),
        }
    }

    /// Runs `f` on the value, with interrupts masked. `None`, without running it, if the caller is inside another `with` of
    /// this same lock.
    ///
    /// # Panics
    ///
    /// If `f` panics: then the lock is free again, and interrupts are as they were.
    #[inline]
    pub fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        /// Also when `f` unwinds; the critical section is still on then.
        struct Held<'a>(&'a Cell<bool>);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        critical_section::with(|_| {
            if self.held.replace(true) {
                return None;
            }
            let _held = Held(&self.held);
            // SAFETY: C3, we turned `held`, and turn it back after `f`.
            Some(self.value.with_mut(|value| f(unsafe { &mut *value })))
        })
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference, so nobody is in `with`.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

#[cold]
#[track_caller]
fn nested() -> ! {
    panic!("CriticalMutex::with: taken again inside its own closure")
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for CriticalMutex<T> {
    /// Formats with interrupts masked: for debugging.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.try_with(|value| f.debug_tuple("CriticalMutex").field(&value).finish())
            .unwrap_or_else(|| f.write_str("CriticalMutex(<locked>)"))
    }
}

impl<T: Default> Default for CriticalMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// With the critical section of an operating system. That no interrupt cuts in is tested on bare metal.
#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use std::{
        format,
        panic::{AssertUnwindSafe, catch_unwind},
        string::String,
        thread,
    };

    #[test]
    fn critical_holders_keep_each_other_out() {
        const ROUNDS: u64 = 20_000;
        static PAIR: CriticalMutex<(u64, u64)> = CriticalMutex::new((0, 0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        PAIR.with(|pair| {
                            assert_eq!(pair.0, pair.1);
                            pair.0 += 1;
                            pair.1 += 1;
                        });
                    }
                });
            }
        });
        assert_eq!(PAIR.with(|pair| *pair), (4 * ROUNDS, 4 * ROUNDS));
    }

    #[test]
    fn critical_inside_itself_panics_and_stays_usable() {
        let lock = CriticalMutex::new(1);
        let panic = catch_unwind(AssertUnwindSafe(|| lock.with(|_| lock.with(|value| *value += 1)))).unwrap_err();
        assert!(panic.downcast_ref::<&str>().unwrap().contains("CriticalMutex::with"));
        assert_eq!(lock.with(|value| lock.try_with(|_| ()).map_or(*value, |()| 0)), 1);
        assert_eq!(lock.with(|value| *value), 1);
        // The critical section is not still on: another thread gets in.
        thread::scope(|scope| scope.spawn(|| lock.with(|value| *value += 1)).join().unwrap());
        assert_eq!(lock.into_inner(), 2);
    }

    #[test]
    fn critical_nests_in_any_order() {
        let (a, b) = (CriticalMutex::new(0), CriticalMutex::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        a.with(|a| b.with(|b| (*a += 1, *b += 1)));
                        b.with(|b| a.with(|a| (*a += 1, *b += 1)));
                    }
                });
            }
        });
        assert_eq!((a.into_inner(), b.into_inner()), (4000, 4000));
    }

    #[test]
    fn critical_is_free_after_a_panic() {
        let lock = CriticalMutex::new(String::from("before"));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            lock.with(|text| {
                text.push_str(", and after");
                panic!("inside");
            })
        }));
        assert!(outcome.is_err());
        thread::scope(|scope| {
            scope.spawn(|| lock.with(|text| assert_eq!(text, "before, and after"))).join().unwrap();
        });
    }

    #[test]
    fn critical_shows_its_value_or_that_it_is_taken() {
        let mut lock = CriticalMutex::new(3);
        *lock.get_mut() += 1;
        assert_eq!(format!("{lock:?}"), "CriticalMutex(4)");
        assert_eq!(lock.with(|_| format!("{lock:?}")), "CriticalMutex(<locked>)");
        let unsized_lock: &CriticalMutex<[u8]> = &CriticalMutex::new([1, 2]);
        assert_eq!(unsized_lock.with(|values| values.len()), 2);
    }
}
