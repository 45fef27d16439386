//! A lock whose waiters sleep.
//!
//! ```text
//!   state:  Q L      L: locked      Q: somebody may be in the queue
//!
//!   lock      L clear: set it            set: spin a little, then, under the queue lock: set Q, join, sleep
//!   unlock    only L set: clear it       Q too: under the queue lock, let the first waiter go
//!
//!   let go:   WOKEN    L cleared; the waiter tries again, and may find that somebody was quicker
//!             GRANTED  L stays set, the lock is the waiter's: for one that was woken in vain too often
//! ```
//!
//! * M1  The value belongs to whoever set L, or was granted it, until he unlocks.
//! * M2  Q is set and cleared under the queue lock. While L is set nobody else writes the state without that lock, but
//!   for the holder's own unlock, which fails and takes it if Q is set. So an unlock sees every sleeper.
//! * M3  A wake-up is used or passed on: a waiter that was let go either takes the lock, or joins the queue again at its
//!   head, where the next unlock finds it.
//!
//! Waking, not granting, is the rule, because a lock that is handed to a sleeper stands idle until it runs: under load
//! that costs most of the throughput. Granting to the patient few bounds the wait: see [`Mutex`].

use crate::{
    park::{self, Why},
    queue::{WaitQueue, Waiter},
    spin::SpinMutex,
    sync::{
        MutPtr, UnsafeCell,
        atomic::{AtomicU32, Ordering::*},
        const_unless_loom,
    },
    turn::Turn,
};
use core::{
    cell::Cell,
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    panic::Location,
    task::{Poll, Waker},
};

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;

const WOKEN: usize = 0;
const GRANTED: usize = 1;

/// Wake-ups in vain after which a waiter is handed the lock.
const PATIENCE: u32 = 4;

/// A mutual exclusion lock whose waiters sleep: a green thread parks and leaves its worker to others.
///
/// It may be held across anything that waits. A panic of its holder unlocks it; there is no poisoning. Locking it twice
/// from one task is a deadlock.
///
/// # Fairness
///
/// The first in line is woken at each unlock, but a task that is running already may take the lock before it. A waiter
/// that was woken 4 times in vain is handed the lock by the next unlock, ahead of everybody.
///
/// # Cost
///
/// Uncontended: one compare-exchange to lock, one to unlock. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::Mutex;
///
/// static RESULTS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// RESULTS.lock().push(1);
/// assert_eq!(*RESULTS.lock(), [1]);
/// ```
pub struct Mutex<T: ?Sized> {
    /// | operation           | order   | pairs with | so that                                            |
    /// |---------------------|---------|------------|----------------------------------------------------|
    /// | set L               | Acquire | clear L    | the new holder sees what the last one wrote        |
    /// | clear L             | Release | set L      | the same                                           |
    /// | set Q, looks        | Relaxed | nothing    | M2: the queue lock orders them                     |
    ///
    /// A granted lock goes from holder to holder through the turn (`finish`, `outcome`).
    state: AtomicU32,
    queue: SpinMutex<WaitQueue<Impatient>>,
    value: UnsafeCell<T>,
}

/// Whether this waiter wants the lock handed over.
struct Impatient(bool);

// SAFETY: by M1 the value is with one thread at a time, so it needs to be Send and nothing more.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: the lock owns its value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    const_unless_loom! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self {
                state: AtomicU32::new(0),
                queue: SpinMutex::new(WaitQueue::new()),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, sleeping while another task has it.
    ///
    /// # Panics
    ///
    /// Never. A task that locks it twice never wakes; the runtime reports that as a deadlock once nobody else can run.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if self.state.compare_exchange_weak(0, LOCKED, Acquire, Relaxed).is_err() {
            self.lock_contended(Location::caller());
        }
        self.guard()
    }

    /// Takes the lock if it is free. Never sleeps.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.take().then(|| self.guard())
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference to the lock or a guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// The caller has just become the holder.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, value: ManuallyDrop::new(self.value.get_mut()) }
    }

    fn take(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        while state & LOCKED == 0 {
            match self.state.compare_exchange_weak(state, state | LOCKED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    #[cold]
    fn lock_contended(&self, site: &'static Location<'static>) {
        #[cfg(not(loom))]
        for _ in 0..16 {
            // Those who sleep came first.
            if self.state.load(Relaxed) & QUEUED != 0 {
                break;
            }
            if self.take() {
                return;
            }
            core::hint::spin_loop();
        }
        let why = Why::new("lock a mutex", &self.state, site);
        let mut vain = 0;
        loop {
            let turn = Turn::new();
            let wait = Wait {
                state: &self.state,
                queue: &self.queue,
                turn: &turn,
                waiter: Waiter::new(&turn, WOKEN, Impatient(vain >= PATIENCE)),
                again: vain > 0,
                enlisted: Cell::new(false),
            };
            // SAFETY: `wait` is a local that stays where it is until it is dropped.
            let _ = park::wait(&why, None, &mut |waker| unsafe { wait.poll(waker) });
            match wait.finish() {
                Some(GRANTED) => return,
                _ if self.take() => return,
                Some(_) => vain += 1,
                None => {} // it was free for a moment: not in line yet, so not first in line
            }
        }
    }

    /// # Safety
    ///
    /// The caller is the holder, and does not touch the value again.
    #[inline]
    unsafe fn unlock(&self) {
        if self.state.compare_exchange(LOCKED, 0, Release, Relaxed).is_err() {
            unlock_contended(&self.state, &self.queue);
        }
    }
}

/// Lets the first waiter go. The caller holds the lock.
#[cold]
fn unlock_contended(state: &AtomicU32, queue: &SpinMutex<WaitQueue<Impatient>>) {
    let mut line = queue.lock();
    let impatient = line.peek().is_some_and(|waiter| waiter.0);
    // M3: `take` may fail on the way, so a waiter that was only woken is not counted as served.
    let waker = line.pop().and_then(|waiter| {
        let outcome = if impatient { GRANTED } else { WOKEN };
        waiter.finish_as(outcome)
    });
    let left = if line.is_empty() { 0 } else { QUEUED };
    // M2: we hold both locks, so this may be a store.
    state.store(left | if impatient { LOCKED } else { 0 }, Release);
    drop(line);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One sleep in the queue, as the state machine that [`park::wait`] polls.
struct Wait<'a> {
    state: &'a AtomicU32,
    queue: &'a SpinMutex<WaitQueue<Impatient>>,
    turn: &'a Turn,
    waiter: Waiter<Impatient>,
    /// It has been let go before: it stands first in line.
    again: bool,
    enlisted: Cell<bool>,
}

impl Wait<'_> {
    /// # Safety
    ///
    /// After the first poll, `self` stays in place until it is dropped, and is dropped.
    unsafe fn poll(&self, waker: &Waker) -> Poll<()> {
        if self.enlisted.get() {
            return if self.turn.outcome().is_some() { Poll::Ready(()) } else { Poll::Pending };
        }
        let waker = waker.clone();
        let mut queue = self.queue.lock();
        let mut state = self.state.load(Relaxed);
        loop {
            if state & LOCKED == 0 {
                return Poll::Ready(()); // the caller takes it, or comes back
            }
            if state & QUEUED != 0 {
                break;
            }
            match self.state.compare_exchange_weak(state, state | QUEUED, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // SAFETY: U1: the turn's only node is in no queue yet.
        unsafe { self.turn.arm(waker) };
        // SAFETY: in no queue, and the caller keeps us in place; `drop` removes it.
        unsafe {
            if self.again {
                queue.push_front(&self.waiter);
            } else {
                queue.push_back(&self.waiter);
            }
        }
        self.enlisted.set(true);
        Poll::Pending
    }

    /// Ends the wait: how it was let go, if it had to wait at all.
    fn finish(self) -> Option<usize> {
        let outcome = self.turn.outcome();
        if outcome.is_some() {
            self.enlisted.set(false); // out of the queue, and its wake-up is used by the caller
        }
        outcome
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.enlisted.get() {
            return;
        }
        // Only an unwinding hook comes here. SAFETY: this queue is the only one it was ever in (U4).
        if unsafe { self.queue.lock().remove(&self.waiter) } {
            return;
        }
        // M3: it was let go and will not use that: the lock is taken, if it was not granted, and given back.
        let granted = self.turn.outcome() == Some(GRANTED);
        if granted || self.state.fetch_or(LOCKED, Acquire) & LOCKED == 0 {
            unlock_contended(self.state, self.queue);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Mutex").field(&&*guard).finish(),
            None => f.write_str("Mutex(<locked>)"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Proof that its holder has a [`Mutex`]; dropping it unlocks.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<MutPtr<T>>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The lock that `guard` holds: for whoever gives it back in between and takes it again.
    pub(crate) fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.lock
    }
}

// SAFETY: a shared guard gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}
// SAFETY: the lock does not care which thread unlocks it, and the value may move by M1.
unsafe impl<T: ?Sized + Send> Send for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: M1, we are the holder while the guard lives.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: M1, we are the holder while the guard lives, and `&mut self` makes this the only reference.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // SAFETY: M1, the guard is the holder's, and ends.
        unsafe { self.lock.unlock() };
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;
    use std::sync::Arc;

    fn contend(threads: usize, rounds: usize) {
        loom::model(move || {
            let lock = Arc::new(Mutex::new(0));
            let others: std::vec::Vec<_> = (1..threads)
                .map(|_| {
                    let lock = lock.clone();
                    thread::spawn(move || (0..rounds).for_each(|_| *lock.lock() += 1))
                })
                .collect();
            (0..rounds).for_each(|_| *lock.lock() += 1);
            for other in others {
                other.join().unwrap();
            }
            assert_eq!(*lock.lock(), threads * rounds);
        });
    }

    /// Holders see each other's writes, and every sleeper is woken. Fails if setting L or either clearing of it is
    /// Relaxed, or if Q is set without the queue lock.
    #[test]
    fn mutex_two_threads_twice() {
        contend(2, 2);
    }

    /// With two sleepers, a wake-up in vain is not lost (M3).
    #[test]
    fn mutex_three_threads() {
        contend(3, 1);
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use std::{sync::Arc, vec::Vec};

    #[test]
    fn counts_right_under_contention() {
        let lock = Arc::new(Mutex::new(0_u64));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let lock = lock.clone();
                std::thread::spawn(move || (0..20_000).for_each(|_| *lock.lock() += 1))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.lock(), 160_000);
    }

    #[test]
    fn a_panic_unlocks() {
        let lock = Arc::new(Mutex::new(1));
        let other = lock.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = other.lock();
            panic!("holding the lock");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*lock.lock(), 1);
    }

    #[test]
    fn try_lock_never_waits_and_unsized_values_work() {
        let lock: &Mutex<[u8]> = &Mutex::new([1, 2, 3]);
        let guard = lock.lock();
        assert!(lock.try_lock().is_none());
        assert_eq!(guard.len(), 3);
        drop(guard);
        assert!(lock.try_lock().is_some());
    }

    /// A waiter gets the lock although the holder takes it again at once, for ever.
    #[test]
    fn a_barging_holder_does_not_starve_the_line() {
        let lock = Arc::new(Mutex::new(false));
        let waiter = {
            let lock = lock.clone();
            std::thread::spawn(move || *lock.lock() = true)
        };
        while !*lock.lock() {
            std::thread::yield_now();
        }
        waiter.join().unwrap();
    }
}
