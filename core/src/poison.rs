//! A value that remembers that somebody panicked while changing it.
//!
//! ```text
//!            a change begins              it ends
//!   SOUND ─────────────────▶ CHANGING ─────────────▶ SOUND
//!     ▲                          │ a panic
//!     └──────── clear ──── POISONED
//! ```
//!
//! * P1  A change begins through [`PoisonGuard`] or [`Poison::change`], both with `&mut` of the whole; so nobody sees CHANGING.
//! * P2  It ends with the guard: by a panic if the thread is unwinding then, and was not when it began (`std`); or by the end
//!   of `change`'s closure, which a panic does not reach (everywhere).
//!
//! A wrapper of the value, not a second kind of each lock: the lock's calls, its futures, its guards and `lock_api`'s stay the
//! same, and it goes into whichever lock gives `&mut` of its value. It costs a second step after locking, where std's has an
//! `unwrap`.

#[cfg(feature = "std")]
use core::ops::{Deref, DerefMut};
use core::{error::Error, fmt, mem};

/// A value that is poisoned by a panic in the middle of a change: put into a [`Mutex`](crate::Mutex), an
/// [`RwLock`](crate::RwLock), or any other lock, it tells those who come later.
///
/// Without it, a lock is given back by a panic as by anything else, and what its holder left behind is the next one's. That is
/// right for most data; this is for the value whose parts must agree.
///
/// # Which panics
///
/// With feature `std`: one that unwinds through a [`PoisonGuard`], on whatever thread or green thread. Without, nobody can say
/// whether a guard is dropped by a panic: there, changes are made in the closure of [`change`](Self::change), which works with
/// `std` as well. A guard that is forgotten, and a future that is dropped in the middle of a change, poison nothing.
///
/// # Cost
///
/// A byte. A change: one look at whether the thread panics at its begin and at its end; none in `change`.
///
/// # Examples
///
/// ```
/// use greenlight_core::{Mutex, Poison};
///
/// static PAIR: Mutex<Poison<(u32, u32)>> = Mutex::new(Poison::new((0, 0)));
///
/// let broken = std::thread::spawn(|| {
///     let mut lock = PAIR.lock();
///     let _ = lock.change(|pair| {
///         pair.0 += 1;
///         panic!("before the other half");
///     });
/// });
/// assert!(broken.join().is_err());
///
/// let mut lock = PAIR.lock();
/// let poisoned = lock.change(|_| ()).unwrap_err();
/// let value = poisoned.into_inner(); // the guard, all the same
/// *value = (0, 0);
/// lock.clear_poison();
/// assert_eq!(lock.get(), Ok(&(0, 0)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Poison<T: ?Sized> {
    poisoned: bool,
    value: T,
}

/// The value is poisoned; here is the access to it that was asked for, all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Poisoned<A> {
    access: A,
}

impl<T> Poison<T> {
    /// A sound value.
    pub const fn new(value: T) -> Self {
        Self { poisoned: false, value }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// If it is poisoned; the error has it.
    pub fn into_inner(self) -> Result<T, Poisoned<T>> {
        result(self.poisoned, self.value)
    }
}

impl<T: ?Sized> Poison<T> {
    /// The value to read.
    ///
    /// # Errors
    ///
    /// If it is poisoned; the error has the reference.
    pub fn get(&self) -> Result<&T, Poisoned<&T>> {
        result(self.poisoned, &self.value)
    }

    /// The value to change, for as long as the guard lives. A panic in that time poisons it.
    ///
    /// # Errors
    ///
    /// If it is poisoned; the error has the guard.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::{Poison, RwLock};
    ///
    /// let list = RwLock::new(Poison::new(vec![1]));
    /// list.write().guard().unwrap().push(2);
    /// assert_eq!(list.read().get().unwrap().len(), 2);
    /// ```
    #[cfg(feature = "std")]
    pub fn guard(&mut self) -> Result<PoisonGuard<'_, T>, Poisoned<PoisonGuard<'_, T>>> {
        result(self.poisoned, PoisonGuard { poison: self, unwinding: std::thread::panicking() })
    }

    /// Changes the value by `change`. A panic in there poisons it.
    ///
    /// # Errors
    ///
    /// If it is poisoned: `change` is not called, and the error has the reference. What is done by it poisons nothing more.
    ///
    /// # Panics
    ///
    /// If `change` does.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R, Poisoned<&mut T>> {
        if mem::replace(&mut self.poisoned, true) {
            return Err(Poisoned { access: &mut self.value });
        }
        let changed = change(&mut self.value);
        self.poisoned = false; // not reached by a panic (P2)
        Ok(changed)
    }

    /// Whether somebody panicked in the middle of a change.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The value is sound again: the caller has seen to that.
    pub fn clear_poison(&mut self) {
        self.poisoned = false;
    }
}

impl<T> From<T> for Poison<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

fn result<A>(poisoned: bool, access: A) -> Result<A, Poisoned<A>> {
    if poisoned { Err(Poisoned { access }) } else { Ok(access) }
}

impl<A> Poisoned<A> {
    /// The access, for someone who can do with what is there, or put it right.
    pub fn into_inner(self) -> A {
        self.access
    }
}

// By hand, so that it can be unwrapped whatever the access is.
impl<A> fmt::Debug for Poisoned<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poisoned(..)")
    }
}

impl<A> fmt::Display for Poisoned<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("poisoned: somebody panicked in the middle of a change of this value")
    }
}

impl<A> Error for Poisoned<A> {}

/// A change of a [`Poison`] value, until this is dropped.
#[cfg(feature = "std")]
#[must_use = "the change ends as soon as the guard is dropped"]
pub struct PoisonGuard<'a, T: ?Sized> {
    poison: &'a mut Poison<T>,
    /// A change made by a `Drop` during a panic is not broken by that panic.
    unwinding: bool,
}

#[cfg(feature = "std")]
impl<T: ?Sized> PoisonGuard<'_, T> {
    /// [`Poison::clear_poison`], by who has put the value right.
    pub fn clear_poison(guard: &mut Self) {
        guard.poison.clear_poison();
    }
}

#[cfg(feature = "std")]
impl<T: ?Sized> Drop for PoisonGuard<'_, T> {
    fn drop(&mut self) {
        if !self.unwinding && std::thread::panicking() {
            self.poison.poisoned = true;
        }
    }
}

#[cfg(feature = "std")]
impl<T: ?Sized> Deref for PoisonGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.poison.value
    }
}

#[cfg(feature = "std")]
impl<T: ?Sized> DerefMut for PoisonGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.poison.value
    }
}

#[cfg(feature = "std")]
impl<T: ?Sized + fmt::Debug> fmt::Debug for PoisonGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use crate::{Mutex, RwLock, test_support::block_on};
    use proptest::prelude::*;
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        string::ToString,
    };

    fn panics(f: impl FnOnce()) {
        assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
    }

    #[test]
    fn a_panic_of_the_holder_poisons_and_the_error_has_the_guard() {
        let lock = Mutex::new(Poison::new(1));
        panics(|| {
            let mut lock = lock.lock();
            let mut value = lock.guard().unwrap();
            *value += 1;
            panic!("holding the lock");
        });
        let mut locked = block_on(lock.lock_async());
        assert!(locked.is_poisoned());
        let mut value = locked.guard().unwrap_err().into_inner();
        assert_eq!(*value, 2);
        *value = 5;
        PoisonGuard::clear_poison(&mut value);
        drop(value);
        drop(locked);
        assert_eq!(lock.into_inner().into_inner(), Ok(5));
    }

    #[test]
    fn readers_are_told_and_poison_nothing() {
        let lock = RwLock::new(Poison::new(1));
        panics(|| {
            let lock = lock.read();
            assert_eq!(*lock.get().unwrap(), 1);
            panic!("reading");
        });
        assert!(!lock.read().is_poisoned());
        panics(|| _ = lock.write().change(|_| panic!("writing")));
        let poisoned = lock.read().get().unwrap_err().to_string();
        assert!(poisoned.contains("panicked"));
        assert_eq!(*lock.read().get().unwrap_err().into_inner(), 1);
        assert_eq!(lock.into_inner().into_inner().unwrap_err().into_inner(), 1);
    }

    /// A drop that runs during a panic changes another value, to its end: that one is sound.
    #[test]
    fn a_change_that_began_during_a_panic_is_not_broken_by_it() {
        struct Changes<'a>(&'a Mutex<Poison<u32>>);
        impl Drop for Changes<'_> {
            fn drop(&mut self) {
                *self.0.lock().guard().unwrap() += 1;
            }
        }
        let lock = Mutex::new(Poison::new(0));
        panics(|| {
            let _changes = Changes(&lock);
            panic!("elsewhere");
        });
        assert_eq!(*lock.lock().get().unwrap(), 1);
    }

    #[test]
    fn a_forgotten_guard_poisons_nothing() {
        let mut value = Poison::new(1);
        mem::forget(value.guard().unwrap());
        assert_eq!(value.get(), Ok(&1));
        assert_eq!(std::format!("{value:?} {:?}", value.clone().guard()), "Poison { poisoned: false, value: 1 } Ok(1)");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Guard { breaks: bool },
        Change { breaks: bool },
        Read,
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<bool>().prop_map(|breaks| Step::Guard { breaks }),
            any::<bool>().prop_map(|breaks| Step::Change { breaks }),
            Just(Step::Read),
            Just(Step::Clear),
        ]
    }

    proptest! {
        /// Changes of both kinds, broken or not, against a number and a flag.
        #[test]
        fn it_does_what_a_flag_does(steps in proptest::collection::vec(step(), 1..30)) {
            let lock = Mutex::new(Poison::new(0));
            let (mut value, mut poisoned) = (0, false);
            for step in steps {
                // Not a `panic!`: those thousands need no message.
                let quit = || std::panic::resume_unwind(std::boxed::Box::new(()));
                match step {
                    Step::Guard { breaks } => {
                        let outcome = catch_unwind(AssertUnwindSafe(|| {
                            let mut lock = lock.lock();
                            let guard = lock.guard();
                            let was_poisoned = guard.is_err();
                            let mut guard = guard.unwrap_or_else(Poisoned::into_inner);
                            *guard += 1;
                            if breaks {
                                quit();
                            }
                            was_poisoned
                        }));
                        prop_assert_eq!(outcome.ok(), (!breaks).then_some(poisoned));
                        value += 1;
                        poisoned |= breaks;
                    }
                    Step::Change { breaks } => {
                        let outcome = catch_unwind(AssertUnwindSafe(|| {
                            let mut lock = lock.lock();
                            let changed = lock.change(|value| {
                                *value += 1;
                                if breaks {
                                    quit();
                                }
                            });
                            changed.is_err()
                        }));
                        prop_assert_eq!(outcome.ok(), (poisoned || !breaks).then_some(poisoned));
                        value += i32::from(!poisoned);
                        poisoned |= breaks;
                    }
                    Step::Read => {
                        let lock = lock.lock();
                        prop_assert_eq!(lock.get().is_err(), poisoned);
                        prop_assert_eq!(*lock.get().unwrap_or_else(Poisoned::into_inner), value);
                    }
                    Step::Clear => {
                        lock.lock().clear_poison();
                        poisoned = false;
                    }
                }
                prop_assert_eq!(lock.lock().is_poisoned(), poisoned);
            }
        }
    }
}
