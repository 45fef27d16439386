//! Readers together, writers alone, and nobody for ever before the others.
//!
//! ```text
//!   state:  FREE ◀──────▶ READ by n          n = 0 is FREE, both with or without BIASED: others may read, by `biased.rs`
//!             ▲             ▲
//!             └──▶ WRITTEN ─┘ downgrade
//!
//!   beside it:  QUEUED   somebody is in line        STARVED   and one of them has lost patience
//!
//!   line:     R1  R2  W3  R4        a lock that becomes free wakes R1 and R2, the last of them W3, and that one R4
//!
//!   enter     nobody in the way, not QUEUED: one compare-exchange
//!             else: FREE and not STARVED, by a call: the same, past the line
//!             else: under the lock of the line, say QUEUED, sit down, sleep
//!   leave     not QUEUED, or not the last: one subtraction
//!             else: after it, under the lock of the line, let go who fits in
//! ```
//!
//! * R1  WRITER and readers are never in the state word together, nor WRITER there and readers in the table (`biased.rs`). Whoever
//!   they count may use the value, in its way.
//! * R2  Whoever is first in line is kept out by a holder, the last of whom lets go; or somebody is certain to let go: one who
//!   left and is about to look, or a call that was woken. It runs, and comes in, and lets go when it leaves; or finds a
//!   holder; or withdraws, and then looks who fits in.
//! * R3  QUEUED and STARVED change under the lock of the line only, in the word that holders change when they leave. So who
//!   sits down finds the lock free, or is seen by the one who leaves.
//! * R4  Waiters are woken, not let in: a lock that is handed to a sleeper stands idle until it runs. So who runs may come
//!   in before them: a call, when the lock is FREE. But it does not join readers while somebody waits; and a call that was
//!   woken in vain too often is let in, and until then nobody goes past the line (STARVED).
//! * R5  Nobody waits for a future to be polled: it is never let in (K3), and all futures up to the first call are woken with it.
//!
//! A waiter that was woken in vain sits down at the head of the line.

use crate::{
    park::{self, TimedOut},
    sync::{ConstPtr, MutPtr, UnsafeCell, const_unless_loom},
};
use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    time::Duration,
};
use nested::{Reader, Readers};
use slots::Place;

mod biased;
mod future;
mod nested;
mod raw;
mod slots;
mod state;

pub use future::{RwLockReadFuture, RwLockWriteFuture};
pub(crate) use raw::Manners;
pub use raw::RawRwLock;

/// What a holder may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A lock that many readers, or one writer, can hold. Go's `sync.RWMutex`; also named [`RwMutex`](crate::RwMutex).
///
/// Waiters sleep: a green thread parks, a future is pending. It may be held across anything that waits. A panic of its holder
/// unlocks it; for poisoning, put a [`Poison`](crate::Poison) into it. A guard that is forgotten holds it for ever.
///
/// # Fairness
///
/// Who comes while others read, and somebody waits, waits too. A lock that becomes free wakes the first in line, and if that is a
/// reader, the readers that stand next to it; but a call that is running already may come in before they do. A call that was woken
/// 4 times in vain is let in by the next unlock that finds it at the head of the line, and until then nobody who comes anew goes
/// past the line. So neither readers nor writers starve: a call waits for those before it in line and, once it is the first, for
/// 5 more writers, or readers who were in together.
///
/// Futures stand in the same line, but are never let in: whoever runs first after they were woken comes first. So there is no
/// bound for a future. A future that is not polled keeps nobody waiting once it was woken; until then it stands in line,
/// behind those who hold the lock.
///
/// The `try_` calls, and futures when they are first polled, do not go past those who wait, not even when the lock is free.
///
/// # Many readers
///
/// Threads that read at once would spend their time on the line of memory with the lock's state, which each takes from the
/// others. Where that happens, and nobody writes, readers leave their mark in a table of the process instead (8 KiB, feature
/// `std`), where each thread has a line (64 of them, given out in turn). It begins after some 128 meetings of readers without a
/// write. The next who would write finds the marks, waits for those readers as for all, and ends it: some 0.3 to 1 µs on two CPUs.
/// Guards of `read_recursive` and of `lock_api` are counted in the lock itself; and so are those beyond 8 of a thread, counting the
/// forgotten ones of locks that nobody would write any more.
///
/// # Nested reads
///
/// A task that reads must not [`read`](Self::read) again before it has finished: if a writer has come in between, both wait
/// for ever. [`read_recursive`](Self::read_recursive) is for that. In debug builds with feature `std`, the nested read that
/// would never end panics instead, if it is a blocking call, and so was the first; in others, the runtime's report of a
/// deadlock names it.
///
/// # Progress
///
/// Blocking, as any lock. The `try_` calls are lock-free: they try again only when somebody else has come in or left. A guard that
/// is dropped while somebody waits takes the line's lock for a few instructions, which an interrupt handler must not wait for: it
/// may use the `try_` calls only of a lock for which nobody ever waits. And a `try_write` that finds readers in the table leaves the
/// lock, once it has counted them, as a guard does.
///
/// # Cost
///
/// Uncontended: one compare-exchange to lock, one read-modify-write to unlock, both inlined. A call that finds it held looks
/// again a few times before it sleeps. Many who read at once: two compare-exchanges that wait for nobody. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::RwLock;
///
/// static SETTINGS: RwLock<u32> = RwLock::new(5);
/// {
///     let (a, b) = (SETTINGS.read(), SETTINGS.read_recursive());
///     assert_eq!(*a + *b, 10);
/// }
/// *SETTINGS.write() = 6;
/// assert_eq!(*SETTINGS.read(), 6);
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    readers: Readers,
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
            Self { raw: RawRwLock::unlocked(), readers: Readers::new(), value: UnsafeCell::new(value) }
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
    /// If `usize::MAX / 32` read guards exist or were forgotten; the lock stays as it was. In debug builds with feature `std`, if this
    /// task has a read guard of this lock and a writer waits: see [nested reads](Self#nested-reads). (A guard that moved to
    /// another task counts for the one that took it.)
    #[track_caller]
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        park::give_way();
        let place = match self.raw.read_at_once() {
            Some(place) => place,
            None => self.read_contended(),
        };
        self.read_guard(place)
    }

    /// Waits until nobody else holds the lock.
    #[track_caller]
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.raw.enter(Access::Write);
        self.write_guard()
    }

    /// A read guard, if that needs no wait: nobody writes, and nobody waits.
    ///
    /// # Panics
    ///
    /// If `usize::MAX / 32` read guards exist or were forgotten.
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let place = self.raw.read_at_once();
        let place = place.or_else(|| self.raw.try_enter(Access::Read, Manners::InLine).then_some(Place::WORD));
        place.map(|place| self.read_guard(place))
    }

    /// A write guard, if nobody holds the lock or waits for it, or tries to write at the same time.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_enter(Access::Write, Manners::InLine).then(|| self.write_guard())
    }

    /// [`read`](Self::read), also for a task that reads already: it goes past those who wait, and waits for a writer only who is
    /// inside. Readers who come in this way all the time can starve a writer.
    ///
    /// # Panics
    ///
    /// If `usize::MAX / 32` read guards exist or were forgotten.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::RwLock;
    /// use std::{sync::Arc, thread};
    ///
    /// let lock = Arc::new(RwLock::new(1));
    /// let outer = lock.read();
    /// let writer = {
    ///     let lock = lock.clone();
    ///     thread::spawn(move || *lock.write() += 1)
    /// };
    /// while lock.try_read().is_some() {
    ///     thread::yield_now(); // until the writer waits
    /// }
    /// assert_eq!(*lock.read_recursive(), 1);
    /// drop(outer);
    /// writer.join().unwrap();
    /// ```
    #[track_caller]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.raw.enter_nested();
        self.read_guard(Place::WORD)
    }

    /// [`read_recursive`](Self::read_recursive), if nobody writes: always for a task that reads already.
    ///
    /// # Panics
    ///
    /// If `usize::MAX / 32` read guards exist or were forgotten.
    #[track_caller]
    pub fn try_read_recursive(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_enter(Access::Read, Manners::Nested).then(|| self.read_guard(Place::WORD))
    }

    /// [`read`](Self::read), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    ///
    /// # Panics
    ///
    /// If it has to wait and there is no clock: see [`park::now`]; and if `usize::MAX / 32` read guards exist or were forgotten.
    #[track_caller]
    pub fn read_timeout(&self, limit: Duration) -> Result<RwLockReadGuard<'_, T>, TimedOut> {
        park::give_way();
        if let Some(place) = self.raw.read_at_once() {
            return Ok(self.read_guard(place));
        }
        let read = self.raw.enter_until(Access::Read, Manners::InLine, park::deadline_after(limit));
        read.then(|| self.read_guard(Place::WORD)).ok_or(TimedOut)
    }

    /// [`write`](Self::write), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn write_timeout(&self, limit: Duration) -> Result<RwLockWriteGuard<'_, T>, TimedOut> {
        let written = self.raw.enter_until(Access::Write, Manners::InLine, park::deadline_after(limit));
        written.then(|| self.write_guard()).ok_or(TimedOut)
    }

    /// As [`read_timeout`](Self::read_timeout), with the point in time at which to give up.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn read_deadline(&self, deadline: std::time::Instant) -> Result<RwLockReadGuard<'_, T>, TimedOut> {
        self.read_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }

    /// As [`write_timeout`](Self::write_timeout), with the point in time at which to give up.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn write_deadline(&self, deadline: std::time::Instant) -> Result<RwLockWriteGuard<'_, T>, TimedOut> {
        self.write_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }

    /// [`read`](Self::read), as a future for any executor. Its first poll panics where `read` does for too many guards.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time, or not be polled any more: it holds nothing before it is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let lock = greenlight_core::RwLock::new(1);
    /// let mut context = Context::from_waker(Waker::noop());
    /// let writer = lock.try_write().unwrap();
    /// let mut reading = pin!(lock.read_async());
    /// assert!(reading.as_mut().poll(&mut context).is_pending());
    /// drop(writer);
    /// assert!(reading.as_mut().poll(&mut context).is_ready());
    /// ```
    pub fn read_async(&self) -> RwLockReadFuture<'_, T> {
        RwLockReadFuture::new(self)
    }

    /// [`write`](Self::write), as a future for any executor.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time, or not be polled any more: it holds nothing before it is ready.
    pub fn write_async(&self) -> RwLockWriteFuture<'_, T> {
        RwLockWriteFuture::new(self)
    }

    /// The value, without locking: the exclusive borrow proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: nobody else has a reference to the lock or a guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// The caller has just become a reader, who is counted there.
    #[inline]
    fn read_guard(&self, place: Place) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { lock: self, place, reader: self.readers.note(), value: ManuallyDrop::new(self.value.get()) }
    }

    /// The same, by a future: its task may be one of many on the thread that polls.
    fn read_guard_of_future(&self, place: Place) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { lock: self, place, reader: Reader::UNKNOWN, value: ManuallyDrop::new(self.value.get()) }
    }

    /// The caller has just become the writer.
    #[inline]
    fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { lock: self, value: ManuallyDrop::new(self.value.get_mut()) }
    }

    #[cold]
    #[track_caller]
    fn read_contended(&self) -> Place {
        if !self.raw.try_enter(Access::Read, Manners::InLine) {
            // About to wait. If it reads already, then for a writer who waits for it.
            assert!(
                !self.readers.has_caller(),
                "RwLock::read: this task has a read guard of the lock already, and a writer waits for it to be dropped: neither \
                 would ever go on. For nested reads there is `read_recursive`"
            );
            self.raw.enter(Access::Read);
        }
        Place::WORD
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
    lock: &'a RwLock<T>,
    place: Place,
    reader: Reader,
    /// Ends before the lock is given back.
    value: ManuallyDrop<ConstPtr<T>>,
}

/// Proof that its holder may change what an [`RwLock`] guards; dropping it unlocks.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// Ends before the lock is given back.
    value: ManuallyDrop<MutPtr<T>>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on as a reader: nobody writes in between, and readers who wait come in.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writing = lock.write();
    /// *writing += 1;
    /// let reading = RwLockWriteGuard::downgrade(writing);
    /// assert_eq!(*reading + *lock.read(), 4);
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let mut guard = ManuallyDrop::new(guard);
        // SAFETY: dropped once, here: the guard's own drop does not run.
        unsafe { ManuallyDrop::drop(&mut guard.value) };
        // SAFETY: R1, the guard is the writer's, and ends.
        unsafe { guard.lock.raw.downgrade() };
        guard.lock.read_guard(Place::WORD)
    }
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
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        self.lock.readers.forget(self.reader);
        // SAFETY: R1, the guard is a reader's, and ends.
        unsafe { self.lock.raw.leave_place(self.place) };
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // SAFETY: R1, the guard is the writer's, and ends.
        unsafe { self.lock.raw.leave(Access::Write) };
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
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
