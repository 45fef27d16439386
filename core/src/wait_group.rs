//! Waiting until a number of things have been done.
//!
//! ```text
//!   state:  [ count ............... | W ]     W: somebody may be in the queue
//!
//!   add n        count + n
//!   done         count - 1;  the last one, if W: clears W and wakes all, under the queue lock
//!   wait         count = 0: return;  else, under the queue lock: set W, join the queue, sleep
//! ```
//!
//! * G1  W is set and cleared under the queue lock. So the last `done` finds in the queue every waiter that saw a count
//!   above zero, and none that came for the group's next use.
//! * G2  The count never leaves its range: a `done` too many changes nothing and panics.

use crate::{
    park::{self, Tick, TimedOut, Why},
    queue::{WaitQueue, wake_in_batches},
    seat::{End, Seat},
    spin::SpinMutex,
    sync::{
        atomic::{AtomicUsize, Ordering::*},
        const_unless_loom,
    },
};
use core::{
    fmt,
    panic::{Location, RefUnwindSafe},
    pin::{Pin, pin},
    task::{Poll, Waker},
    time::Duration,
};

mod future;
mod token;

pub use future::WaitGroupFuture;
pub use token::{WaitToken, WaitTokens};

const WAITERS: usize = 1;
const ONE: usize = 2;

/// Waits until as many [`done`](Self::done)s have come as were [`add`](Self::add)ed. Go's `sync.WaitGroup`.
///
/// It may be used again after a wait. Any number may wait at once, and all of them are woken.
///
/// `add` what you are about to start *before* you start it, never inside it: a `wait` in between would not see it. With a
/// [`token`](Self::token) there is no `done` to forget or to call twice; with [`tokens`](Self::tokens), a program that does it in
/// the wrong order does not compile.
///
/// # Fairness
///
/// All who wait are woken together, in the order in which they came. A wake-up is nobody's alone: a future that is not polled
/// keeps it from no one.
///
/// # Progress
///
/// `add` and `done` are lock-free, but for the `done` that may be the last while somebody waits: that one takes a lock of a few
/// instructions. An interrupt handler may call `add` and `count`, and `done` as long as nobody has begun to wait since the count
/// was zero last; it must not wait.
///
/// # Cost
///
/// `add` and `done`: one compare-exchange. `wait` on a finished group: one load. No allocation ever.
///
/// # Examples
///
/// ```
/// use greenlight_core::WaitGroup;
///
/// static GROUP: WaitGroup = WaitGroup::new();
///
/// GROUP.add(2);
/// for _ in 0..2 {
///     std::thread::spawn(|| {
///         let _done = GROUP.done_on_drop();
///         // … work, which may panic …
///     });
/// }
/// GROUP.wait();
/// ```
pub struct WaitGroup {
    /// | operation      | order   | pairs with | so that                                                    |
    /// |----------------|---------|------------|------------------------------------------------------------|
    /// | `add`          | Relaxed | nothing    | the caller hands the work on by other means, which order it |
    /// | `done`         | Release | `wait`     | the waiter sees the work that was done: each `done` heads a |
    /// |                |         |            | release sequence that the later ones continue               |
    /// | the last one   | AcqRel  | `done`     | it speaks for all: a sleeper synchronizes with it alone     |
    /// | `wait`, look   | Acquire | `done`     | the same                                                    |
    /// | set / clear W  | as above, under the queue lock       | G1                                          |
    state: AtomicUsize,
    queue: SpinMutex<WaitQueue<()>>,
}

impl WaitGroup {
    const_unless_loom! {
        /// A group with nothing to wait for.
        pub fn new() -> Self {
            Self { state: AtomicUsize::new(0), queue: SpinMutex::new(WaitQueue::new()) }
        }
    }

    /// Expects `n` more `done`s.
    ///
    /// # Panics
    ///
    /// If the count would pass `usize::MAX / 2`; it stays as it was.
    #[track_caller]
    #[inline]
    pub fn add(&self, n: usize) {
        let added = self.state.fetch_update(Relaxed, Relaxed, |state| state.checked_add(n.checked_mul(ONE)?));
        assert!(added.is_ok(), "WaitGroup::add: the count would pass usize::MAX / 2");
    }

    /// Reports one thing done. The last one wakes all who wait.
    ///
    /// # Panics
    ///
    /// If the count is zero already: `done` was called more often than was `add`ed. The count stays zero.
    #[track_caller]
    #[inline]
    pub fn done(&self) {
        let mut state = self.state.load(Relaxed);
        loop {
            if state < ONE {
                negative();
            }
            if state == ONE | WAITERS {
                return self.last_done();
            }
            match self.state.compare_exchange_weak(state, state - ONE, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    /// [`done`](Self::done), when the guard is dropped: also when the code in between panics.
    #[must_use = "a guard that is not kept reports done at once"]
    pub fn done_on_drop(&self) -> DoneOnDrop<'_> {
        DoneOnDrop { group: self }
    }

    /// [`add`](Self::add)s one thing to wait for, and gives the token whose drop reports it done. Make it before the task
    /// that it moves into is started.
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::WaitGroup;
    ///
    /// static GROUP: WaitGroup = WaitGroup::new();
    /// for i in 0..3 {
    ///     let token = GROUP.token();
    ///     std::thread::spawn(move || {
    ///         let _token = token;
    ///         assert!(i < 3); // … work, which may panic …
    ///     });
    /// }
    /// GROUP.wait();
    /// ```
    #[track_caller]
    #[inline]
    pub fn token(&self) -> WaitToken<'_> {
        WaitToken::new(self)
    }

    /// The group in the hands of one who starts things and waits for them, with tokens only: see [`WaitTokens`].
    pub fn tokens(&mut self) -> WaitTokens<'_> {
        WaitTokens::new(self)
    }

    /// How many `done`s are missing. Out of date as soon as it is read, unless nobody else is at work.
    pub fn count(&self) -> usize {
        self.state.load(Acquire) / ONE
    }

    /// Sleeps until the count is zero. Returns at once if it is.
    #[track_caller]
    #[inline]
    pub fn wait(&self) {
        self.wait_as("wait for a wait group");
    }

    /// [`wait`](Self::wait), for whatever is built on a group and wants its own words in reports.
    #[doc(hidden)]
    #[track_caller]
    #[inline]
    pub fn wait_as(&self, what: &'static str) {
        park::give_way();
        if self.count() > 0 {
            self.sleep(None, Location::caller(), what);
        }
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
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::WaitGroup;
    /// use std::time::Duration;
    ///
    /// let group = WaitGroup::new();
    /// let token = group.token();
    /// assert!(group.wait_timeout(Duration::from_millis(2)).is_err());
    /// drop(token);
    /// assert!(group.wait_timeout(Duration::from_millis(2)).is_ok());
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), TimedOut> {
        park::give_way();
        if self.count() == 0 {
            return Ok(());
        }
        let done = self.sleep(park::deadline_after(limit), Location::caller(), "wait for a wait group");
        done.then_some(()).ok_or(TimedOut)
    }

    /// As [`wait_timeout`](Self::wait_timeout), with the point in time at which to give up.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn wait_deadline(&self, deadline: std::time::Instant) -> Result<(), TimedOut> {
        self.wait_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }

    /// [`wait`](Self::wait), as a future for any executor. It is ready once the count was zero since it was first polled, also
    /// if the group is used again by then.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time, or not be polled any more: others who wait do not depend on it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let group = greenlight_core::WaitGroup::new();
    /// group.add(1);
    /// let mut context = Context::from_waker(Waker::noop());
    /// let mut waiting = pin!(group.wait_async());
    /// assert!(waiting.as_mut().poll(&mut context).is_pending());
    /// group.done();
    /// assert!(waiting.as_mut().poll(&mut context).is_ready());
    /// ```
    pub fn wait_async(&self) -> WaitGroupFuture<'_> {
        WaitGroupFuture::new(self)
    }

    /// False if the time is up.
    #[cold]
    fn sleep(&self, deadline: Option<Tick>, site: &'static Location<'static>, what: &'static str) -> bool {
        let wait = pin!(Wait::new(self));
        let wait = wait.as_ref();
        let why = Why::new(what, self, site);
        match park::wait(&why, deadline, &mut |waker| wait.poll(waker)) {
            Ok(()) => true,
            Err(_) => wait.give_up(),
        }
    }

    /// The `done` that looks as if it were the last, with somebody in the queue.
    #[cold]
    #[track_caller]
    fn last_done(&self) {
        let queue = self.queue.lock();
        let mut state = self.state.load(Relaxed);
        loop {
            if state < ONE {
                drop(queue);
                negative();
            }
            // W goes with the last one, whoever that is now.
            let next = if state == ONE | WAITERS { 0 } else { state - ONE };
            match self.state.compare_exchange_weak(state, next, AcqRel, Relaxed) {
                Ok(_) if next == 0 && state & WAITERS != 0 => break,
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        // Not those who come for the group's next use while this runs.
        let line = queue.line();
        wake_in_batches(&self.queue, queue, |queue, wakers| {
            while !wakers.is_full() {
                let Some(waiter) = queue.pop_before(line) else { return false };
                wakers.push(waiter.finish());
            }
            true
        });
    }

    /// Says that somebody is in line. False if there is nothing to wait for. The caller holds the queue lock.
    fn announce(&self) -> bool {
        let mut state = self.state.load(Acquire);
        while state >= ONE {
            match self.state.compare_exchange_weak(state, state | WAITERS, Relaxed, Acquire) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }
}

#[cold]
#[track_caller]
fn negative() -> ! {
    panic!("WaitGroup::done: negative counter: done was called more often than add had announced");
}

/// One wait, polled by [`park::wait`] or by a future's executor.
struct Wait<'a> {
    group: &'a WaitGroup,
    seat: Seat<()>,
}

impl<'a> Wait<'a> {
    fn new(group: &'a WaitGroup) -> Self {
        Self { group, seat: Seat::new(()) }
    }

    /// `Ready` once the count was zero since the first poll, whatever it is now.
    fn poll(self: Pin<&Self>, waker: &Waker) -> Poll<()> {
        let group = self.group;
        // SAFETY: the seat is pinned whenever we are; `drop` leaves the line.
        let seat = unsafe { self.map_unchecked(|this| &this.seat) };
        // Declared before the guards, so dropped after them: wakers are foreign code.
        let mut fresh = (!seat.is_taken()).then(|| waker.clone());
        loop {
            if seat.outcome().is_some() {
                return Poll::Ready(());
            }
            let mut queue = group.queue.lock();
            if seat.is_done() {
                continue;
            }
            if !seat.is_taken() && !group.announce() {
                return Poll::Ready(());
            }
            // SAFETY: this line is the seat's only one, its lock is held, and the sleep is not over: looked up above.
            if unsafe { seat.sit(&mut queue, End::Tail, waker, &mut fresh) } {
                return Poll::Pending;
            }
            drop(queue);
            fresh = Some(waker.clone());
        }
    }

    /// The time is up, or nobody waits any more. True if the count was zero in time.
    fn give_up(&self) -> bool {
        // SAFETY: under the lock of its only line.
        self.seat.is_taken() && unsafe { self.seat.leave(&mut self.group.queue.lock()) }.is_some()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // A wake-up is for all: there is nothing to pass on.
        self.give_up();
    }
}

// A panic in a caller leaves the group as it was (G2), so there is nothing to be wary of after one.
impl RefUnwindSafe for WaitGroup {}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}

/// Calls [`WaitGroup::done`] when dropped. Go's `defer wg.Done()`.
#[derive(Debug)]
#[must_use = "a guard that is not kept reports done at once"]
pub struct DoneOnDrop<'a> {
    group: &'a WaitGroup,
}

impl Drop for DoneOnDrop<'_> {
    fn drop(&mut self) {
        self.group.done();
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
