//! Readers together, writers alone, in the order in which they came.
//!
//! * R1  `writer` and `readers > 0` are never true together. Whoever they count may use the value, in its way.
//! * R2  Somebody waits only behind a holder: the last holder to go lets the next in, all adjacent readers at once.
//! * R3  Who comes while others wait joins the line, reader or writer. So neither kind can starve the other: each waits
//!   for those who came before it, no more.
//!
//! The counts stand under the queue's spin lock rather than in an atomic word of their own: two short locks a round,
//! and no state that readers and the queue could disagree about.

use crate::{
    park::{self, Why},
    queue::{WaitQueue, Waiter, Wakers},
    spin::{SpinMutex, SpinMutexGuard},
    sync::{ConstPtr, MutPtr, UnsafeCell, const_unless_loom},
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

struct State {
    readers: usize,
    writer: bool,
    queue: WaitQueue<Access>,
}

impl State {
    /// Whether a holder of this kind can join those who hold it now (R1).
    fn admits(&self, access: Access) -> bool {
        !self.writer && (access == Access::Read || self.readers == 0)
    }

    fn enter(&mut self, access: Access) {
        match access {
            Access::Read => {
                self.readers = self.readers.checked_add(1).expect("RwLock: more readers than a usize counts")
            }
            Access::Write => self.writer = true,
        }
    }
}

/// A lock that many readers, or one writer, can hold. Go's `sync.RWMutex`; also named [`RwMutex`](crate::RwMutex).
///
/// Waiters sleep. It may be held across anything that waits. A panic of its holder unlocks it; there is no poisoning.
///
/// # Fairness
///
/// First come, first served; readers that stand next to each other in line go in together. So a task that reads must
/// not read again before it has finished: if a writer has come in between, both wait for ever.
///
/// # Cost
///
/// Uncontended: one short spin lock to lock and one to unlock. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::RwLock;
///
/// static SETTINGS: RwLock<u32> = RwLock::new(5);
/// {
///     let (a, b) = (SETTINGS.read(), SETTINGS.read());
///     assert_eq!(*a + *b, 10);
/// }
/// *SETTINGS.write() = 6;
/// assert_eq!(*SETTINGS.read(), 6);
/// ```
pub struct RwLock<T: ?Sized> {
    state: SpinMutex<State>,
    value: UnsafeCell<T>,
}

// SAFETY: by R1 many threads may read the value at once (Sync), and it may be written on another thread (Send).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: the lock owns its value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

impl<T> RwLock<T> {
    const_unless_loom! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self {
                state: SpinMutex::new(State { readers: 0, writer: false, queue: WaitQueue::new() }),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until the value may be read, together with other readers.
    ///
    /// # Panics
    ///
    /// If `usize::MAX` read guards exist or were forgotten.
    #[track_caller]
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.lock(Access::Read, Location::caller());
        self.read_guard()
    }

    /// Waits until nobody else holds the lock.
    #[track_caller]
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.lock(Access::Write, Location::caller());
        self.write_guard()
    }

    /// A read guard, if that needs no wait: nobody writes, and nobody waits.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.try_enter(Access::Read).then(|| self.read_guard())
    }

    /// A write guard, if nobody holds the lock or waits for it.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.try_enter(Access::Write).then(|| self.write_guard())
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference to the lock or a guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { state: &self.state, value: ManuallyDrop::new(self.value.get()) }
    }

    fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { state: &self.state, value: ManuallyDrop::new(self.value.get_mut()) }
    }

    #[inline]
    fn try_enter(&self, access: Access) -> bool {
        let mut state = self.state.lock();
        let free = state.queue.is_empty() && state.admits(access);
        if free {
            state.enter(access);
        }
        free
    }

    #[inline]
    fn lock(&self, access: Access, site: &'static Location<'static>) {
        if !self.try_enter(access) {
            sleep(&self.state, access, site);
        }
    }
}

#[cold]
fn sleep(state: &SpinMutex<State>, access: Access, site: &'static Location<'static>) {
    let turn = Turn::new();
    let wait = Wait { state, turn: &turn, waiter: Waiter::new(&turn, 0, access), enlisted: Cell::new(false) };
    let what = if access == Access::Read { "read-lock an rwlock" } else { "write-lock an rwlock" };
    let why = Why::new(what, state, site);
    // SAFETY: `wait` is a local that stays where it is until it is dropped.
    let _ = park::wait(&why, None, &mut |waker| unsafe { wait.poll(waker) });
    wait.enlisted.set(false); // the lock is ours
}

fn unlock(lock: &SpinMutex<State>, access: Access) {
    let mut state = lock.lock();
    match access {
        Access::Read => state.readers -= 1,
        Access::Write => state.writer = false,
    }
    if !state.queue.is_empty() {
        admit(lock, state);
    }
}

/// Lets in whoever is first in line, and the readers right behind a reader (R2). The lock is theirs before they wake.
#[cold]
fn admit<'a>(lock: &'a SpinMutex<State>, mut state: SpinMutexGuard<'a, State>) {
    loop {
        let mut wakers = Wakers::new();
        while !wakers.is_full() {
            let next = state.queue.peek().copied().filter(|access| state.admits(*access));
            let Some(access) = next else {
                drop(state);
                return wakers.wake();
            };
            state.enter(access);
            wakers.push(state.queue.pop().and_then(|waiter| waiter.finish()));
        }
        drop(state);
        wakers.wake();
        state = lock.lock();
    }
}

/// One wait, as the state machine that [`park::wait`] polls.
struct Wait<'a> {
    state: &'a SpinMutex<State>,
    turn: &'a Turn,
    waiter: Waiter<Access>,
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
        let mut state = self.state.lock();
        let access = self.waiter.payload;
        if state.queue.is_empty() && state.admits(access) {
            state.enter(access);
            return Poll::Ready(());
        }
        // SAFETY: U1: the turn's only node is in no queue yet.
        unsafe { self.turn.arm(waker) };
        // SAFETY: in no queue, and the caller keeps us in place; `drop` removes it.
        unsafe { state.queue.push_back(&self.waiter) };
        self.enlisted.set(true);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.enlisted.get() {
            return;
        }
        // Only an unwinding hook comes here. SAFETY: this queue is the only one it was ever in (U4).
        if !unsafe { self.state.lock().queue.remove(&self.waiter) } {
            return unlock(self.state, self.waiter.payload);
        }
        // Those behind it may be able to go in now.
        admit(self.state, self.state.lock());
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(guard) => f.debug_tuple("RwLock").field(&&*guard).finish(),
            None => f.write_str("RwLock(<locked>)"),
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Proof that its holder may read what an [`RwLock`] guards; dropping it unlocks.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    state: &'a SpinMutex<State>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<ConstPtr<T>>,
}

/// Proof that its holder may change what an [`RwLock`] guards; dropping it unlocks.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    state: &'a SpinMutex<State>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<MutPtr<T>>,
}

// SAFETY: a read guard, shared or sent, gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above; the lock does not care which thread unlocks it.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: a shared write guard gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}
// SAFETY: the value may move by R1, and be shared again after it; the lock does not care which thread unlocks it.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockWriteGuard<'_, T> {}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: R1, there is no writer while a reader is counted.
        unsafe { ConstPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: R1, we are the only holder while the guard lives.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: R1, we are the only holder while the guard lives, and `&mut self` makes this the only reference.
        unsafe { MutPtr::deref(&self.value) }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        unlock(self.state, Access::Read);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        unlock(self.state, Access::Write);
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;
    use std::sync::Arc;

    /// Two writers and a reader: writes are seen, nobody sleeps on.
    #[test]
    fn rw_lock_two_writers_one_reader() {
        loom::model(|| {
            let lock = Arc::new(RwLock::new(0));
            let writers: std::vec::Vec<_> = (0..2)
                .map(|_| {
                    let lock = lock.clone();
                    thread::spawn(move || *lock.write() += 1)
                })
                .collect();
            assert!(*lock.read() <= 2);
            for writer in writers {
                writer.join().unwrap();
            }
            assert_eq!(*lock.read(), 2);
        });
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering::*};
    use std::{sync::Arc, vec::Vec};

    #[test]
    fn readers_overlap_and_writers_do_not() {
        let lock = Arc::new(RwLock::new(0_u64));
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..6)
            .map(|i| {
                let (lock, inside) = (lock.clone(), inside.clone());
                std::thread::spawn(move || {
                    for _ in 0..5_000 {
                        if i % 3 == 0 {
                            let mut value = lock.write();
                            assert_eq!(inside.fetch_add(1, SeqCst), 0);
                            *value += 1;
                            inside.fetch_sub(1, SeqCst);
                        } else {
                            let _value = lock.read();
                            assert!(!lock.state.lock().writer);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.read(), 10_000);
    }

    #[test]
    fn a_reader_behind_a_waiting_writer_waits() {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.read();
        let writer = {
            let lock = lock.clone();
            std::thread::spawn(move || *lock.write() = 1)
        };
        while lock.try_read().is_some() {
            std::thread::yield_now(); // until the writer stands in line
        }
        assert!(lock.try_write().is_none());
        drop(first);
        writer.join().unwrap();
        assert_eq!(*lock.read(), 1);
    }

    #[test]
    fn more_readers_than_one_batch_of_wakers() {
        let lock = Arc::new(RwLock::new(7));
        let guard = lock.write();
        let readers: Vec<_> = (0..40)
            .map(|_| {
                let lock = lock.clone();
                std::thread::spawn(move || *lock.read())
            })
            .collect();
        std::thread::sleep(core::time::Duration::from_millis(20));
        drop(guard);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 7);
        }
    }
}
