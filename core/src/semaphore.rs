//! A number of permits, and a line of those who wait for some.
//!
//! ```text
//!   state:  [ free permits ............ | C | Q ]     C: closed     Q: somebody waits, or was called
//!
//!   acquire     enough, no Q: take them            else, under the lock: set Q, join the line, sleep
//!   release     no Q: put them back                else, under the lock: put them back, and let go who stands first:
//!
//!   a thread    GRANTED   its permits are taken for it: it runs for certain
//!   a future    CALLED    it is out of the line, its permits stay free: it takes them when it is polled, or, if somebody
//!                         was quicker, stands in line again, at the head
//!   everybody   SHUT      by close
//!               FREED     without a permit, by a `Notify`, which is built on this
//! ```
//!
//! * P1  Free permits, permits in guards, permits granted to threads and forgotten ones add up to what was put in.
//! * P2  Q is set and cleared under the lock, and set while somebody is in line or `called`. While it is set the state changes
//!   under the lock only. So whoever puts permits back sees everybody who waits.
//! * P3  Nobody passes a waiter in line for whom there are not enough: the free permits add up until there are.
//! * P4  To be called is to have a right to look, not a permit. A thread that stands behind a called future, and would have
//!   enough, is called with it; who comes while somebody is called lets him run first, once, and then takes what is there. So
//!   a called future that nobody polls keeps neither a thread nor whoever is running from free permits.
//! * P5  Who goes away passes on: what was granted is free again, and whoever stands first then is let go if there is enough.
//!
//! Not granted to futures: a future that is not polled, in a task that waits for something else, would sit on its permits for
//! ever, and its task perhaps waits for one of them ("futurelock"). Not all who wait are called: with a hundred
//! futures in line each release would wake a hundred tasks. The price is in [`Semaphore`]'s docs.

use crate::{
    park::{self, Tick, Why},
    queue::{WaitQueue, Wakers, wake_in_batches},
    spin::{SpinMutex, SpinMutexGuard},
    sync::{
        atomic::{AtomicUsize, Ordering::*},
        const_unless_loom,
    },
};
use core::{
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::pin,
    time::Duration,
};

mod error;
mod notify;
mod permit;
mod wait;

pub use error::{AcquireError, AcquireTimeoutError, TryAcquireError};
pub use notify::{Notified, Notify};
pub use permit::SemaphorePermit;
pub use wait::SemaphoreAcquire;

use wait::{Wait, Want};

const QUEUED: usize = 1;
const CLOSED: usize = 2;
const ONE: usize = 4;

/// How a waiter was let go.
const GRANTED: u32 = 0;
const CALLED: u32 = 1;
const SHUT: u32 = 2;
const FREED: u32 = 3;

/// A number of permits: each caller takes some and gives them back, and sleeps while there are not enough.
///
/// # Fairness
///
/// First come, first served, also for those who want many permits: who comes later waits behind them. (A call looks for a
/// moment, some microseconds on an OS thread, before it stands in line.) The one exception:
/// permits are never set aside for a *future*. The first in line is woken and takes them when it is polled; until then a
/// thread that waits behind it, a [`try_acquire`](Self::try_acquire), or a caller who has let others run once may be quicker.
/// The future then stands first in line again.
///
/// So a future that is woken and not polled, because its task has turned to something else, keeps its permits from
/// nobody who runs: neither from threads, nor from its own task. Other tasks' futures *behind* it in line are woken with the
/// next operation on the semaphore, of whatever kind: drop a future that you do not poll any more.
///
/// # Cost
///
/// Uncontended: one compare-exchange to acquire, one to release. No allocation ever.
///
/// # Progress
///
/// Uncontended lock-free. Who waits, who lets a waiter go, who finds too few permits, and `close` and `forget_permits` take a
/// short spin lock. So an interrupt handler must call nothing but `available_permits` and `is_closed`, and, if nobody ever waits,
/// `add_permits` and a `try_acquire` for which there are certainly enough, whose permits it may drop.
///
/// # Examples
///
/// ```
/// use greenlight_core::Semaphore;
///
/// static CONNECTIONS: Semaphore = Semaphore::new(10);
///
/// let one = CONNECTIONS.acquire(1).unwrap();
/// let five = CONNECTIONS.try_acquire(5).unwrap();
/// assert_eq!(CONNECTIONS.available_permits(), 4);
/// drop((one, five));
/// assert_eq!(CONNECTIONS.available_permits(), 10);
/// ```
pub struct Semaphore {
    /// | operation          | order   | pairs with | so that                                                       |
    /// |--------------------|---------|------------|---------------------------------------------------------------|
    /// | put back           | Release | take       | who takes a permit sees what those did who had it before      |
    /// | take, also to      | Acquire | put back   | the same; all changes are read-modify-writes, so that each    |
    /// | grant              |         |            | taker is behind all who ever put back                         |
    /// | set / clear Q      | Relaxed | nothing    | P2: the lock orders them                                      |
    /// | close, looks,      | Relaxed | nothing    | nothing is read on the strength of it; what was granted in    |
    /// | forget, withdraw   |         |            | vain goes back with what it had come with                     |
    ///
    /// What is granted goes from thread to thread through the turn (`finish`, `outcome`).
    state: AtomicUsize,
    line: SpinMutex<Line>,
}

struct Line {
    queue: WaitQueue<Want>,
    /// How many were CALLED and have not looked yet.
    called: usize,
    /// How many of those in `queue` are threads.
    threads: usize,
    /// How often all who waited were FREED.
    freed: usize,
}

impl Semaphore {
    /// The most permits that a semaphore holds.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    const_unless_loom! {
        /// A semaphore with `permits` permits.
        ///
        /// # Panics
        ///
        /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        pub fn new(permits: usize) -> Self {
            assert!(permits <= Self::MAX_PERMITS, "Semaphore::new: more than MAX_PERMITS permits");
            let line = Line { queue: WaitQueue::new(), called: 0, threads: 0, freed: 0 };
            Self { state: AtomicUsize::new(permits * ONE), line: SpinMutex::new(line) }
        }
    }

    /// Takes `permits` permits, sleeping until there are enough.
    ///
    /// # Errors
    ///
    /// If the semaphore is or becomes [closed](Self::close).
    ///
    /// # Panics
    ///
    /// If `permits` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[inline]
    #[track_caller]
    pub fn acquire(&self, permits: usize) -> Result<SemaphorePermit<'_>, AcquireError> {
        park::give_way();
        if self.take_unqueued(permits) {
            return Ok(SemaphorePermit::new(self, permits));
        }
        self.acquire_until(permits, None, Location::caller()).map_err(|_| AcquireError)
    }

    /// Takes `permits` permits if there are enough, and nobody waits for whom they are not. Never sleeps.
    ///
    /// # Errors
    ///
    /// If it does not, or the semaphore is closed.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self, permits: usize) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        if !self.take_unqueued(permits) {
            self.try_acquire_queued(permits)?;
        }
        Ok(SemaphorePermit::new(self, permits))
    }

    /// [`acquire`](Self::acquire), for `limit` at most.
    ///
    /// # Errors
    ///
    /// As there, or if the time is up.
    ///
    /// # Panics
    ///
    /// As there, or if there is no clock: see [`park::now`].
    #[track_caller]
    pub fn acquire_timeout(&self, permits: usize, limit: Duration) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        park::give_way();
        if self.take_unqueued(permits) {
            return Ok(SemaphorePermit::new(self, permits));
        }
        self.acquire_until(permits, park::deadline_after(limit), Location::caller())
    }

    /// [`acquire`](Self::acquire), as a future.
    ///
    /// # Cancellation
    ///
    /// Dropped at any time it takes nothing along: its place in the line is gone, and whoever is next is woken.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let semaphore = greenlight_core::Semaphore::new(0);
    /// let mut acquire = pin!(semaphore.acquire_async(2));
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(acquire.as_mut().poll(&mut context).is_pending());
    /// semaphore.add_permits(2);
    /// assert!(acquire.as_mut().poll(&mut context).is_ready());
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_async(&self, permits: usize) -> SemaphoreAcquire<'_> {
        assert_possible(permits);
        SemaphoreAcquire::new(Wait::new(self, Want { permits, thread: false }))
    }

    /// Puts `permits` more permits in.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS) free ones; there are as many as before.
    #[inline]
    #[track_caller]
    pub fn add_permits(&self, permits: usize) {
        let mut state = self.state.load(Relaxed);
        while state & QUEUED == 0 {
            match self.state.compare_exchange_weak(state, with_more(state, permits), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        self.add_permits_queued(permits);
    }

    /// Takes up to `permits` free permits out for good. Returns how many it took. Never sleeps.
    pub fn forget_permits(&self, permits: usize) -> usize {
        let _line = self.line.lock();
        let mut state = self.state.load(Relaxed);
        loop {
            let taken = permits.min(state / ONE);
            match self.state.compare_exchange_weak(state, state - taken * ONE, Relaxed, Relaxed) {
                Ok(_) => return taken,
                Err(now) => state = now,
            }
        }
    }

    /// How many permits are free. Out of date as soon as it is read, unless nobody else is at work.
    pub fn available_permits(&self) -> usize {
        self.state.load(Relaxed) / ONE
    }

    /// Ends the giving out: all who wait, and all who come, get an error. Permits that are out stay valid, and come back.
    /// Closing again does nothing.
    pub fn close(&self) {
        let line = self.line.lock();
        self.state.fetch_or(CLOSED, Relaxed);
        self.let_all_go(line, SHUT);
    }

    /// Whether it was [closed](Self::close).
    pub fn is_closed(&self) -> bool {
        self.state.load(Relaxed) & CLOSED != 0
    }

    #[cold]
    fn acquire_until(
        &self,
        permits: usize,
        deadline: Option<Tick>,
        site: &'static Location<'static>,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        let is = |sign: usize| self.state.load(Relaxed) & sign != 0;
        let look = |end: usize| self.take_unqueued(permits).then_some(true).or_else(|| is(end).then_some(false));
        // Those in line came first. But an OS thread sees whether the line gets empty before it makes it longer: threads that
        // take turns by sleeping get on a hundred times slower than those that find permits.
        let taken = match park::look_around(&mut || look(QUEUED | CLOSED)) {
            Some(true) => true,
            _ => park::let_others_run(deadline.is_some(), &mut || look(CLOSED)) == Some(true),
        };
        if taken {
            return Ok(SemaphorePermit::new(self, permits));
        }
        let wait = pin!(Wait::new(self, Want { permits, thread: true }));
        let why = Why::new("acquire a semaphore", self, site);
        let mut acquired = Err(AcquireTimeoutError::Timeout);
        let _ = park::wait(&why, deadline, &mut |waker| {
            wait.as_ref().poll(waker).map(|this_time| acquired = this_time.map_err(|_| AcquireTimeoutError::Closed))
        });
        acquired
    }

    #[cold]
    fn try_acquire_queued(&self, permits: usize) -> Result<(), TryAcquireError> {
        let line = self.line.lock();
        if self.is_closed() {
            return Err(TryAcquireError::Closed);
        }
        // P3. Those who were called have not taken theirs yet, and may be quicker, too (P4).
        if permits > 0 && !(line.queue.is_empty() && self.take(permits)) {
            self.let_go(line);
            return Err(TryAcquireError::NoPermits);
        }
        Ok(())
    }

    #[cold]
    #[track_caller]
    fn add_permits_queued(&self, permits: usize) {
        let line = self.line.lock();
        let mut state = self.state.load(Relaxed);
        loop {
            match self.state.compare_exchange_weak(state, with_more(state, permits), Release, Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        self.let_go(line);
    }

    /// Takes permits, if nobody waits. None at all can be had while somebody does, too.
    #[inline]
    #[track_caller]
    fn take_unqueued(&self, permits: usize) -> bool {
        assert_possible(permits);
        let mut state = self.state.load(Relaxed);
        while state & (QUEUED | CLOSED) == 0 && state / ONE >= permits {
            match self.state.compare_exchange_weak(state, state - permits * ONE, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Takes permits, if there are enough. The caller has the lock.
    fn take(&self, permits: usize) -> bool {
        let mut state = self.state.load(Relaxed);
        while state / ONE >= permits {
            match self.state.compare_exchange_weak(state, state - permits * ONE, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Lets go whoever stands first, as far as the free permits reach, gives the lock back and wakes them (P3, P4).
    fn let_go<'a>(&'a self, line: SpinMutexGuard<'a, Line>) {
        wake_in_batches(&self.line, line, |line, wakers| self.let_some_go(line, wakers));
    }

    /// A batch of [`let_go`](Self::let_go). False if that was all.
    fn let_some_go(&self, line: &mut Line, wakers: &mut Wakers) -> bool {
        // What the futures that are called here will want: it goes to none of those behind them.
        let mut expected = 0;
        while !wakers.is_full() {
            let free = self.available_permits().saturating_sub(expected);
            let Some(&Want { permits, thread }) = line.queue.peek().filter(|want| want.permits <= free) else {
                break;
            };
            if thread {
                // Nobody else takes: by P2, somebody being in line.
                let taken = self.take(permits);
                debug_assert!(taken);
                line.threads -= 1;
            } else {
                expected += permits;
                line.called += 1;
            }
            let first = line.queue.pop().expect("peeked at");
            wakers.push(first.finish_as(if thread { GRANTED } else { CALLED }));
        }
        let more = wakers.is_full();
        if line.called > 0 && !more && line.threads > 0 {
            wakers.push(self.call_a_thread(line));
        }
        self.tidy(line);
        more
    }

    /// Lets all go who are in line now, gives the lock back and wakes them.
    fn let_all_go<'a>(&'a self, line: SpinMutexGuard<'a, Line>, outcome: u32) {
        let end = line.queue.line();
        wake_in_batches(&self.line, line, |line, wakers| {
            while !wakers.is_full() {
                // Their threads are counted one by one: others may join between two batches.
                let Some(waiter) = line.queue.pop_before(end) else { break };
                line.threads -= usize::from(waiter.payload().thread);
                wakers.push(waiter.finish_as(outcome));
            }
            self.tidy(line);
            wakers.is_full()
        });
    }

    /// Futures were called that may not be polled, so a thread that would have enough, and all before it, is called, too.
    fn call_a_thread(&self, line: &mut Line) -> Option<core::task::Waker> {
        let free = self.available_permits();
        let blocked = core::cell::Cell::new(false);
        let thread = line.queue.pop_if(|want| {
            blocked.set(blocked.get() || want.permits > free);
            want.thread && !blocked.get()
        })?;
        let waker = thread.finish_as(CALLED);
        line.threads -= 1;
        line.called += 1;
        waker
    }

    /// Clears Q, if there is no reason for it (P2).
    fn tidy(&self, line: &Line) {
        if line.queue.is_empty() && line.called == 0 && self.state.load(Relaxed) & QUEUED != 0 {
            self.state.fetch_and(!QUEUED, Relaxed);
        }
    }
}

#[inline]
#[track_caller]
fn assert_possible(permits: usize) {
    assert!(permits <= Semaphore::MAX_PERMITS, "Semaphore::acquire: more than MAX_PERMITS permits can never be had");
}

#[inline]
#[track_caller]
fn with_more(state: usize, permits: usize) -> usize {
    let free = (state / ONE).checked_add(permits).filter(|&free| free <= Semaphore::MAX_PERMITS);
    let free = free.expect("Semaphore::add_permits: there would be more than MAX_PERMITS free permits");
    (free * ONE) | (state & (CLOSED | QUEUED))
}

// Panics leave it as it was.
impl RefUnwindSafe for Semaphore {}
impl UnwindSafe for Semaphore {}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
