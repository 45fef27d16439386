//! A lock for a few instructions: the waiter spins.
//!
//! Every wait queue of this crate sits behind one. Its holder never sleeps, never calls user code and never takes a
//! second lock (select alone holds several, taken in address order).
//!
//! * L1  `value` is touched only by the one who turned `locked` from false to true, until he turns it back.
//!
//! A test-and-test-and-set lock: the waiters read until it looks free, so they share the cache line instead of pulling
//! it from each other. No ticket: on an operating system a queue of spinners stops when any one of them is preempted.

use crate::sync::{
    MutPtr, UnsafeCell,
    atomic::{AtomicBool, Ordering::*},
    const_unless_loom, spin,
};
use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
};

/// A spinning mutual exclusion lock, for critical sections of a few instructions.
///
/// It works without an operating system and without a scheduler. With feature `std` a waiter that has spun for a while
/// offers its CPU to other threads.
///
/// Do not hold its guard across anything that waits (a channel, a lock, a sleep): the green threads that share a worker
/// with the holder would spin for ever. Use [`Mutex`](crate::Mutex) there. Not for data shared with an interrupt
/// handler: a handler that cut into the holder would spin for ever too.
///
/// # Cost
///
/// Uncontended: one compare-exchange to lock, one store to unlock.
///
/// # Examples
///
/// ```
/// use greenlight_core::SpinMutex;
///
/// static HITS: SpinMutex<u32> = SpinMutex::new(0);
/// *HITS.lock() += 1;
/// assert_eq!(*HITS.lock(), 1);
/// ```
pub struct SpinMutex<T: ?Sized> {
    /// | operation | order   | pairs with | so that                                       |
    /// |-----------|---------|------------|-----------------------------------------------|
    /// | take      | Acquire | give back  | the new holder sees what the last one wrote   |
    /// | give back | Release | take       | the same                                      |
    /// | look      | Relaxed | nothing    | a hint when to try again; `take` does the rest |
    ///
    /// Made Relaxed, either of the first two fails `spin_holders_see_each_other`.
    locked: AtomicBool,
    /// The model checker cannot follow a spin loop to its end, so in models `lock` queues here first. `try_lock` does
    /// not: the model of this file's own orderings is built on it.
    #[cfg(loom)]
    queue: loom::sync::Mutex<()>,
    value: UnsafeCell<T>,
}

// SAFETY: by L1 the value is with one thread at a time, so it needs to be Send and nothing more.
unsafe impl<T: ?Sized + Send> Sync for SpinMutex<T> {}
// SAFETY: the lock owns its value.
unsafe impl<T: ?Sized + Send> Send for SpinMutex<T> {}

impl<T> SpinMutex<T> {
    const_unless_loom! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self {
                locked: AtomicBool::new(false),
                #[cfg(loom)]
                queue: loom::sync::Mutex::new(()),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> SpinMutex<T> {
    /// Takes the lock, spinning while another thread has it.
    ///
    /// # Panics
    ///
    /// Never. Locking it again from the same thread spins for ever.
    #[inline]
    pub fn lock(&self) -> SpinMutexGuard<'_, T> {
        #[cfg(loom)]
        let queue = self.queue.lock().unwrap();
        if !self.take() {
            self.contend();
        }
        SpinMutexGuard {
            lock: self,
            value: ManuallyDrop::new(self.value.get_mut()),
            #[cfg(loom)]
            _queue: Some(queue),
        }
    }

    /// Takes the lock if it is free. Never waits.
    #[inline]
    pub fn try_lock(&self) -> Option<SpinMutexGuard<'_, T>> {
        self.take().then(|| SpinMutexGuard {
            lock: self,
            value: ManuallyDrop::new(self.value.get_mut()),
            #[cfg(loom)]
            _queue: None,
        })
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference, so nobody holds the lock (a forgotten guard holds nothing).
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    #[inline]
    fn take(&self) -> bool {
        self.locked.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }

    #[cold]
    fn contend(&self) {
        let mut turn = 0;
        loop {
            while self.locked.load(Relaxed) {
                spin(&mut turn);
            }
            if self.take() {
                return;
            }
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for SpinMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("SpinMutex").field(&&*guard).finish(),
            None => f.write_str("SpinMutex(<locked>)"),
        }
    }
}

impl<T: Default> Default for SpinMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Proof that its holder has a [`SpinMutex`]; dropping it gives the lock back.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct SpinMutexGuard<'a, T: ?Sized> {
    lock: &'a SpinMutex<T>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<MutPtr<T>>,
    #[cfg(loom)]
    _queue: Option<loom::sync::MutexGuard<'a, ()>>,
}

// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for SpinMutexGuard<'_, T> {}
// SAFETY: the lock does not care which thread gives it back, and the value may move by L1.
unsafe impl<T: ?Sized + Send> Send for SpinMutexGuard<'_, T> {}

impl<T: ?Sized> Deref for SpinMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: L1, we hold the lock while the guard lives.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> DerefMut for SpinMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: L1, we hold the lock while the guard lives, and `&mut self` makes this the only reference.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> Drop for SpinMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        self.lock.locked.store(false, Release);
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for SpinMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for SpinMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use std::sync::Arc;

    /// Two holders in turn see each other's writes. Fails if `take` or giving back is Relaxed.
    #[test]
    fn spin_holders_see_each_other() {
        loom::model(|| {
            let lock = Arc::new(SpinMutex::new(0));
            let bump = |lock: &SpinMutex<u32>| lock.try_lock().map(|mut value| *value += 1).map_or(0, |()| 1);
            let other = {
                let lock = lock.clone();
                loom::thread::spawn(move || bump(&lock))
            };
            let bumps = bump(&lock) + other.join().unwrap();
            assert_eq!(lock.try_lock().map(|value| *value), Some(bumps));
        });
    }
}
