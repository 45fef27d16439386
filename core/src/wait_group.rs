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
    park::{self, Why},
    queue::{WaitQueue, Waiter, Wakers},
    spin::SpinMutex,
    sync::{
        atomic::{AtomicUsize, Ordering::*},
        const_unless_loom,
    },
    turn::Turn,
};
use core::{
    cell::Cell,
    fmt,
    panic::{Location, RefUnwindSafe},
    task::{Poll, Waker},
};

const WAITERS: usize = 1;
const ONE: usize = 2;

/// Waits until as many [`done`](Self::done)s have come as were [`add`](Self::add)ed. Go's `sync.WaitGroup`.
///
/// It may be used again after a wait. Any number may wait at once, and all of them are woken.
///
/// `add` what you are about to start *before* you start it, never inside it: a `wait` in between would not see it.
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

    /// How many `done`s are missing. Out of date as soon as it is read, unless nobody else is at work.
    pub fn count(&self) -> usize {
        self.state.load(Acquire) / ONE
    }

    /// Sleeps until the count is zero. Returns at once if it is.
    #[track_caller]
    #[inline]
    pub fn wait(&self) {
        if self.count() > 0 {
            self.sleep(Location::caller(), "wait for a wait group");
        }
    }

    /// [`wait`](Self::wait), for whatever is built on a group and wants its own words in reports.
    #[doc(hidden)]
    #[track_caller]
    #[inline]
    pub fn wait_as(&self, what: &'static str) {
        if self.count() > 0 {
            self.sleep(Location::caller(), what);
        }
    }

    #[cold]
    fn sleep(&self, site: &'static Location<'static>, what: &'static str) {
        let turn = Turn::new();
        let wait = Wait { group: self, waiter: Waiter::new(&turn, 0, ()), turn: &turn, enlisted: Cell::new(false) };
        let why = Why::new(what, self, site);
        // SAFETY: `wait` is a local that stays where it is until it is dropped.
        let _ = park::wait(&why, None, &mut |waker| unsafe { wait.poll(waker) });
    }

    /// The `done` that looks as if it were the last, with somebody in the queue.
    #[cold]
    #[track_caller]
    fn last_done(&self) {
        let mut queue = self.queue.lock();
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
        let line = queue.line();
        loop {
            let mut wakers = Wakers::new();
            while !wakers.is_full() {
                let Some(waiter) = queue.pop_before(line) else {
                    drop(queue);
                    return wakers.wake();
                };
                wakers.push(waiter.finish());
            }
            drop(queue);
            wakers.wake();
            queue = self.queue.lock();
        }
    }
}

#[cold]
#[track_caller]
fn negative() -> ! {
    panic!("WaitGroup::done: negative counter: done was called more often than add had announced");
}

/// One wait, as the state machine that [`park::wait`] polls.
struct Wait<'a> {
    group: &'a WaitGroup,
    turn: &'a Turn,
    waiter: Waiter<()>,
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
        let mut queue = self.group.queue.lock();
        let mut state = self.group.state.load(Acquire);
        loop {
            if state < ONE {
                return Poll::Ready(());
            }
            match self.group.state.compare_exchange_weak(state, state | WAITERS, Relaxed, Acquire) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // SAFETY: U1: the turn's only node is in no queue yet.
        unsafe { self.turn.arm(waker) };
        // SAFETY: in no queue, and the caller keeps us in place; `drop` removes it.
        unsafe { queue.push_back(&self.waiter) };
        self.enlisted.set(true);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.enlisted.get() && self.turn.outcome().is_none() {
            // SAFETY: this queue is the only one it was ever in. Under its lock the turn is WAITING or DONE (U4).
            unsafe { self.group.queue.lock().remove(&self.waiter) };
        }
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
mod models {
    use super::*;
    use loom::{cell::UnsafeCell, thread};
    use std::sync::Arc;

    struct Shared {
        group: WaitGroup,
        data: [UnsafeCell<u32>; 2],
    }

    // SAFETY: the cells are what the model checks: loom reports a race on them.
    unsafe impl Sync for Shared {}
    // SAFETY: plain data.
    unsafe impl Send for Shared {}

    fn shared(count: usize) -> Arc<Shared> {
        let group = WaitGroup::new();
        group.add(count);
        Arc::new(Shared { group, data: [UnsafeCell::new(0), UnsafeCell::new(0)] })
    }

    /// The waiter sees what both workers wrote, and never sleeps on. Fails if `done` or the look of `wait` is Relaxed,
    /// or if W is set without the queue lock.
    #[test]
    fn wait_group_waiter_sees_all_work() {
        loom::model(|| {
            let shared = shared(2);
            for i in 0..2 {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: the cell is this thread's until its `done`.
                    shared.data[i].with_mut(|d| unsafe { *d = 1 });
                    shared.group.done();
                });
            }
            shared.group.wait();
            for cell in &shared.data {
                // SAFETY: both have reported done.
                assert_eq!(cell.with(|d| unsafe { *d }), 1);
            }
        });
    }

    /// A wait that finds the count at zero returns at once, and has seen the work all the same. Fails if that look is
    /// Relaxed.
    #[test]
    fn wait_group_finished_group_shows_its_work() {
        loom::model(|| {
            let shared = shared(1);
            let worker = {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: ours until `done`.
                    shared.data[0].with_mut(|d| unsafe { *d = 1 });
                    shared.group.done();
                })
            };
            thread::yield_now(); // the checker does not try by itself what a first look finds after the worker's end
            if shared.group.count() == 0 {
                shared.group.wait();
                // SAFETY: the worker has reported done.
                assert_eq!(shared.data[0].with(|d| unsafe { *d }), 1);
            }
            worker.join().unwrap();
        });
    }

    /// Two waiters, one done: both wake and have seen the work, one of them perhaps by a look alone. Fails if the last
    /// `done` that wakes is not Release.
    #[test]
    fn wait_group_wakes_all() {
        loom::model(|| {
            let shared = shared(1);
            let wait_and_look = |shared: &Shared| {
                shared.group.wait();
                // SAFETY: the worker has reported done.
                assert_eq!(shared.data[0].with(|d| unsafe { *d }), 1);
            };
            let other = {
                let shared = shared.clone();
                thread::spawn(move || {
                    thread::yield_now(); // as above
                    wait_and_look(&shared)
                })
            };
            let done = {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: ours until `done`.
                    shared.data[0].with_mut(|d| unsafe { *d = 1 });
                    shared.group.done()
                })
            };
            wait_and_look(&shared);
            other.join().unwrap();
            done.join().unwrap();
        });
    }

    /// A group that is used again right after a wait: the second waiter is not woken by the first use's end, and is
    /// woken by the second's.
    #[test]
    fn wait_group_reuse() {
        loom::model(|| {
            let shared = shared(1);
            let worker = {
                let shared = shared.clone();
                thread::spawn(move || shared.group.done())
            };
            shared.group.wait();
            shared.group.add(1);
            let second = {
                let shared = shared.clone();
                thread::spawn(move || {
                    // SAFETY: ours until `done`.
                    shared.data[0].with_mut(|d| unsafe { *d = 2 });
                    shared.group.done();
                })
            };
            shared.group.wait();
            // SAFETY: the second use is over.
            assert_eq!(shared.data[0].with(|d| unsafe { *d }), 2);
            worker.join().unwrap();
            second.join().unwrap();
        });
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use std::{panic::catch_unwind, sync::Arc};

    #[test]
    fn a_done_too_many_panics_by_name_and_leaves_the_group_usable() {
        let group = WaitGroup::new();
        let panic = catch_unwind(|| group.done()).unwrap_err();
        assert!(panic.downcast_ref::<&str>().unwrap().contains("negative counter"));
        assert_eq!(group.count(), 0);
        group.add(1);
        group.done();
        group.wait();
    }

    #[test]
    fn the_count_stops_below_its_wrap() {
        let group = WaitGroup::new();
        group.add(usize::MAX / 2);
        assert!(catch_unwind(|| group.add(1)).is_err());
        assert!(catch_unwind(|| group.add(usize::MAX)).is_err());
        assert_eq!(group.count(), usize::MAX / 2);
        group.done();
        group.add(1);
        assert_eq!(group.count(), usize::MAX / 2);
    }

    #[test]
    fn more_waiters_than_one_batch_of_wakers() {
        let group = Arc::new(WaitGroup::new());
        group.add(1);
        let waiters: std::vec::Vec<_> = (0..50)
            .map(|_| {
                let group = group.clone();
                std::thread::spawn(move || group.wait())
            })
            .collect();
        std::thread::sleep(core::time::Duration::from_millis(20));
        group.done();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    }

    #[test]
    fn the_guard_reports_done_through_a_panic() {
        let group = WaitGroup::new();
        group.add(1);
        let panic = catch_unwind(|| {
            let _done = group.done_on_drop();
            panic!("work failed");
        });
        assert!(panic.is_err());
        assert_eq!(group.count(), 0);
    }
}
