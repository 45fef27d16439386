//! A spin lock that serves in the order of arrival.
//!
//! ```text
//!   next:     5      the ticket that the next one to come draws
//!   serving:  3      the ticket that has the lock: 3 is inside, 4 spins; equal: free
//! ```
//!
//! * T1  A ticket is drawn once, by moving `next` on. `value` belongs to who holds the ticket that `serving` shows, until he
//!   moves `serving` on.
//! * T2  Both wrap round together; only their equality counts. To confuse them would
//!   take 2^32 threads that wait at once, or as many rounds between two steps of one try.
//!
//! Two words rather than one with two halves: a waiter's look does not share a line of the compare-exchange with those who
//! come; and 32 bits each is what every target has.

use crate::sync::{
    MutPtr, UnsafeCell,
    atomic::{AtomicU32, Ordering::*},
    const_unless_loom, spin,
};
use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
};

/// The lock inside a [`TicketMutex`], without a value: for `lock_api`'s generic code.
pub struct RawTicketMutex {
    /// | operation | order   | pairs with | so that                                                  |
    /// |-----------|---------|------------|----------------------------------------------------------|
    /// | draw      | Relaxed | nothing    | who gets which ticket is all it decides                  |
    /// | try       | Relaxed | nothing    | the same; its look at `serving` brings the rest          |
    next: AtomicU32,
    /// | operation | order   | pairs with | so that                                                  |
    /// |-----------|---------|------------|----------------------------------------------------------|
    /// | look      | Acquire | move on    | the new holder sees what the last one wrote              |
    /// | move on   | Release | look       | the same                                                 |
    /// | own look  | Relaxed | nothing    | the holder is the only one who writes it (T1)            |
    serving: AtomicU32,
}

impl RawTicketMutex {
    const_unless_loom! {
        pub(crate) fn unlocked() -> Self {
            Self::starting_at(0)
        }
    }

    const_unless_loom! {
        /// Free, with the first ticket `ticket`: for tests near the wrap.
        fn starting_at(ticket: u32) -> Self {
            Self { next: AtomicU32::new(ticket), serving: AtomicU32::new(ticket) }
        }
    }

    #[inline]
    pub(crate) fn enter(&self) {
        let ticket = self.next.fetch_add(1, Relaxed);
        let mut turn = 0;
        while self.serving.load(Acquire) != ticket {
            spin(&mut turn);
        }
    }

    #[inline]
    pub(crate) fn take(&self) -> bool {
        let ticket = self.serving.load(Acquire);
        self.next.compare_exchange(ticket, ticket.wrapping_add(1), Relaxed, Relaxed).is_ok()
    }

    #[cfg(any(all(test, feature = "std"), feature = "lock_api"))]
    pub(crate) fn is_taken(&self) -> bool {
        self.serving.load(Relaxed) != self.next.load(Relaxed)
    }

    /// How many tickets were drawn.
    #[cfg(all(test, feature = "std", not(loom)))]
    pub(super) fn drawn(&self) -> u32 {
        self.next.load(Relaxed)
    }

    /// # Safety
    ///
    /// The caller is the holder, and does not touch the value again.
    #[inline]
    pub(crate) unsafe fn give_back(&self) {
        let ticket = self.serving.load(Relaxed);
        self.serving.store(ticket.wrapping_add(1), Release);
    }
}

/// A spinning mutual exclusion lock that is first come, first served.
///
/// As [`SpinMutex`](crate::SpinMutex), which see for what not to do with either, but each one who comes has a bound: he waits for
/// those who came before him and for nobody else. That is for real parallelism, as between the cores of a chip that runs
/// nothing else. Where an operating system takes CPUs away from threads, all wait for the one next in line, whether it
/// runs or not: there, `SpinMutex` is faster.
///
/// A guard that is forgotten locks it for ever.
///
/// # Progress
///
/// Blocking, and free of starvation if holders leave; [`try_lock`](Self::try_lock) is wait-free.
///
/// # Cost
///
/// Uncontended: one atomic addition and one load to lock, one load and one store to unlock.
///
/// # Examples
///
/// ```
/// use greenlight_core::TicketMutex;
///
/// static HITS: TicketMutex<u32> = TicketMutex::new(0);
/// *HITS.lock() += 1;
/// assert_eq!(*HITS.lock(), 1);
/// ```
pub struct TicketMutex<T: ?Sized> {
    pub(super) raw: RawTicketMutex,
    value: UnsafeCell<T>,
}

// SAFETY: by T1 the value is with one thread at a time, so it needs to be Send and nothing more.
unsafe impl<T: ?Sized + Send> Sync for TicketMutex<T> {}
// SAFETY: the lock owns its value.
unsafe impl<T: ?Sized + Send> Send for TicketMutex<T> {}

impl<T> TicketMutex<T> {
    const_unless_loom! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self { raw: RawTicketMutex::unlocked(), value: UnsafeCell::new(value) }
        }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> TicketMutex<T> {
    /// Takes the lock, spinning while others who came before have it.
    ///
    /// # Panics
    ///
    /// Never. Locking it again from the same thread spins for ever.
    #[inline]
    pub fn lock(&self) -> TicketMutexGuard<'_, T> {
        self.raw.enter();
        self.guard()
    }

    /// Takes the lock if it is free and nobody waits for it. Never waits.
    #[inline]
    pub fn try_lock(&self) -> Option<TicketMutexGuard<'_, T>> {
        self.raw.take().then(|| self.guard())
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference, so nobody holds the lock (a forgotten guard holds nothing).
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// The caller has just become the holder.
    #[inline]
    fn guard(&self) -> TicketMutexGuard<'_, T> {
        TicketMutexGuard { lock: self, value: ManuallyDrop::new(self.value.get_mut()) }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for TicketMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("TicketMutex").field(&&*guard).finish(),
            None => f.write_str("TicketMutex(<locked>)"),
        }
    }
}

impl<T: Default> Default for TicketMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for TicketMutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Proof that its holder has a [`TicketMutex`]; dropping it gives the lock back.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct TicketMutexGuard<'a, T: ?Sized> {
    lock: &'a TicketMutex<T>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<MutPtr<T>>,
}

// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for TicketMutexGuard<'_, T> {}
// SAFETY: the lock does not care which thread gives it back, and the value may move by T1.
unsafe impl<T: ?Sized + Send> Send for TicketMutexGuard<'_, T> {}

impl<T: ?Sized> Deref for TicketMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: T1, we hold the lock while the guard lives.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> DerefMut for TicketMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: T1, we hold the lock while the guard lives, and `&mut self` makes this the only reference.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> Drop for TicketMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // SAFETY: T1, the guard is the holder's, and ends.
        unsafe { self.lock.raw.give_back() };
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for TicketMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for TicketMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;
    use std::sync::Arc;

    /// Two holders in turn see each other's writes, also across the wrap. Fails if the look at `serving` or moving it on is
    /// Relaxed.
    #[test]
    fn ticket_holders_see_each_other() {
        loom::model(|| {
            let raw = RawTicketMutex::starting_at(u32::MAX);
            let lock = Arc::new(TicketMutex { raw, value: UnsafeCell::new(0) });
            let other = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            *lock.lock() += 1;
            other.join().unwrap();
            assert_eq!(*lock.lock(), 2);
        });
    }

    /// The same for tries.
    #[test]
    fn ticket_tries_see_each_other() {
        loom::model(|| {
            let lock = Arc::new(TicketMutex::new(0));
            let bump = |lock: &TicketMutex<u32>| lock.try_lock().map(|mut value| *value += 1).map_or(0, |()| 1);
            let other = {
                let lock = lock.clone();
                thread::spawn(move || bump(&lock))
            };
            let bumps = bump(&lock) + other.join().unwrap();
            assert_eq!(lock.try_lock().map(|value| *value), Some(bumps));
        });
    }
}
