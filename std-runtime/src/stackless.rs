//! Futures as tasks: without a stack of their own, and free to go on with any worker at each wake-up.
//!
//! ```text
//!             wake                run                     Ready, panic, cancel
//!   IDLE ───────────▶ NOTIFIED ─────────▶ RUNNING ───────────────────────────▶ DONE
//!    ▲              (in one queue)           │ Pending
//!    └───────────────────────────────────────┤
//!                         ▲                  │ Pending, and woken meanwhile
//!                         └──────────────────┘
//!
//!   worker:  futures ─▶ carrier: a green thread that polls one after the other
//!                          │ a poll waits in a blocking call: the carrier parks with it
//!                          └──▶ another carrier goes on with the rest
//! ```
//!
//! * F1  Whoever takes a future from IDLE to NOTIFIED puts it into a queue, once; whoever takes it out of the queue runs it.
//!   So one thread at a time polls, and it alone touches the cell of the future.
//! * F2  `wake` always writes, and `run` always reads and writes: a poll sees what all wakers before it did.
//! * F3  The wake-ups of a future go to the future, those of a blocking call inside its poll to the carrier: neither takes the
//!   other's.
//!
//! Not polled on the worker's own stack: a blocking call in a poll would stop all other tasks of the worker.

use crate::{
    header::{self, Ending, Spawn, TaskId, TaskRef, discard},
    runtime::Shared,
    sync::{
        Mutex, MutexGuard, UnsafeCell,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering::*},
    },
};
use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    ptr,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

const IDLE: u8 = 0;
const NOTIFIED: u8 = 1;
const RUNNING: u8 = 2;
const DONE: u8 = 4;

/// What reports and the code inside a poll may ask of a future.
pub(crate) struct About {
    pub(crate) id: TaskId,
    pub(crate) name: Option<Box<str>>,
    pub(crate) site: &'static Location<'static>,
    /// Relaxed: see `carrier`.
    cancelled: AtomicBool,
    /// The carrier that polls it now. A request sets `cancelled`, then exchanges null for null here: who comes second sees the first.
    ///
    /// | operation         | order             | pairs with | so that                                              |
    /// |-------------------|-------------------|------------|------------------------------------------------------|
    /// | poll              | swap, Acquire     | request    | the poll, and what waits in it, sees the request     |
    /// | request, at null  | Release           | poll       | the same                                             |
    /// | request, refused  | Relaxed           | nothing    | it has found the carrier, and wakes it               |
    /// | end of the poll   | Relaxed           | nothing    | a request that still sees the carrier wakes in vain  |
    carrier: AtomicPtr<()>,
}

impl About {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "future {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, ", spawned at {}", self.site)
    }
}

/// A future in a queue.
pub(crate) trait Run: Send + Sync {
    /// Polls it once. Called by whoever took it out of a queue, on `carrier`.
    fn run(self: Arc<Self>, carrier: TaskRef);
    fn about(&self) -> &About;
    /// Asks it to end.
    fn cancel(self: Arc<Self>);
}

/// A future that brings a `T`, for its handle.
pub(crate) trait Joined<T>: Run {
    /// Whether it has ended; if not, its end will wake `waker`, the last one that came here.
    fn poll_end(&self, waker: &Waker) -> Poll<()>;
    fn has_ended(&self) -> bool;
    /// Its result, once it has ended. None if it was taken before.
    fn take(&self) -> Option<Ending<T>>;
    /// Nobody will ask any more.
    fn detach(&self);
}

struct Stackless<F: Future> {
    /// | operation       | order             | pairs with  | so that                                                  |
    /// |-----------------|-------------------|-------------|----------------------------------------------------------|
    /// | `wake`          | Release           | run         | F2                                                       |
    /// | run             | swap, Acquire     | wake, idle  | F2; and a poll comes after the last one, with the future |
    /// | idle            | Release / Relaxed | run         | the same                                                 |
    /// | woken meanwhile | and, Relaxed      | nothing     | it passes on what wakers left, to the run that follows   |
    /// | done            | Relaxed           | nothing     | nobody polls it any more                                 |
    state: AtomicU8,
    about: About,
    home: &'static Shared,
    /// F1. None once it has ended.
    future: UnsafeCell<Option<F>>,
    outcome: Mutex<Outcome<F::Output>>,
}

struct Outcome<T> {
    ended: bool,
    detached: bool,
    result: Option<Ending<T>>,
    joiner: Option<Waker>,
}

// SAFETY: by F1 the future is with one thread at a time, and it may move between them; the result is behind a lock.
unsafe impl<F: Future + Send> Sync for Stackless<F> where F::Output: Send {}

/// Starts `future` on `home`.
pub(crate) fn spawn<F>(home: &'static Shared, spawn: Spawn, future: F) -> Arc<dyn Joined<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let about = About {
        id: TaskId::next(),
        name: spawn.name,
        site: spawn.site,
        cancelled: AtomicBool::new(false),
        carrier: AtomicPtr::new(ptr::null_mut()),
    };
    let outcome = Outcome { ended: false, detached: false, result: None, joiner: None };
    let this = Arc::new(Stackless {
        state: AtomicU8::new(NOTIFIED),
        about,
        home,
        future: UnsafeCell::new(Some(future)),
        outcome: Mutex::new(outcome),
    });
    let run: Arc<dyn Run> = this.clone();
    home.register(this.about.id, Arc::downgrade(&run));
    home.place_future(run);
    if home.is_ending() {
        this.clone().cancel();
    }
    this
}

impl<F> Stackless<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn outcome(&self) -> MutexGuard<'_, Outcome<F::Output>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Safety
    ///
    /// The caller has taken it out of a queue, and has not let go of it yet (F1).
    unsafe fn poll(&self, waker: &Waker) -> Poll<Ending<F::Output>> {
        // SAFETY: F1. It stays where it is until it is dropped here, or together with `self`.
        self.future.with_mut(|slot| unsafe { self.poll_slot(&mut *slot, waker) })
    }

    /// # Safety
    ///
    /// `slot` is that of `self`, so the future in it is pinned.
    unsafe fn poll_slot(&self, slot: &mut Option<F>, waker: &Waker) -> Poll<Ending<F::Output>> {
        let Some(future) = slot else { return Poll::Pending };
        // SAFETY: inside an `Arc`, never moved out.
        let future = unsafe { Pin::new_unchecked(future) };
        let polled = catch_unwind(AssertUnwindSafe(|| match self.about.is_cancelled() {
            true => header::unwind(),
            false => future.poll(&mut Context::from_waker(waker)),
        }));
        let ending = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ending::Value(value),
            Err(payload) => Ending::of(Err(payload)),
        };
        // In place, as it is pinned.
        discard(|| *slot = None);
        Poll::Ready(ending)
    }

    fn end(&self, ending: Ending<F::Output>) {
        let mut outcome = self.outcome();
        outcome.ended = true;
        let unwanted = match outcome.detached {
            true => Some(ending),
            false => outcome.result.replace(ending),
        };
        let joiner = outcome.joiner.take();
        drop(outcome);
        discard(|| drop(unwanted));
        discard(|| joiner.into_iter().for_each(Waker::wake));
    }
}

impl<F> Run for Stackless<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn run(self: Arc<Self>, carrier: TaskRef) {
        self.state.swap(RUNNING, Acquire);
        self.about.carrier.swap(carrier.as_raw(), Acquire);
        carrier.get().set_polling(Some(&self.about));
        let waker = Waker::from(self.clone());
        // SAFETY: the caller has taken it out of a queue.
        let polled = unsafe { self.poll(&waker) };
        carrier.get().set_polling(None);
        self.about.carrier.store(ptr::null_mut(), Relaxed);
        match polled {
            Poll::Ready(ending) => {
                self.state.store(DONE, Relaxed);
                self.home.forget_future(self.about.id);
                self.end(ending);
            }
            Poll::Pending => {
                if self.state.compare_exchange(RUNNING, IDLE, Release, Relaxed).is_err() {
                    // Woken meanwhile: nobody else has queued it.
                    self.state.fetch_and(!RUNNING, Relaxed);
                    self.home.place_future(self);
                }
            }
        }
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn cancel(self: Arc<Self>) {
        self.about.cancelled.store(true, Relaxed);
        let null = ptr::null_mut();
        if let Err(carrier) = self.about.carrier.compare_exchange(null, null, Release, Relaxed) {
            TaskRef::from_raw(carrier).wake(); // its poll may wait; at worst in vain
        }
        self.wake();
    }
}

impl<F> Joined<F::Output> for Stackless<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn poll_end(&self, waker: &Waker) -> Poll<()> {
        if self.has_ended() {
            return Poll::Ready(());
        }
        let mine = waker.clone(); // foreign code, so before the lock
        let mut outcome = self.outcome();
        if outcome.ended {
            return Poll::Ready(());
        }
        let old = outcome.joiner.replace(mine);
        drop(outcome);
        drop(old);
        Poll::Pending
    }

    fn has_ended(&self) -> bool {
        self.outcome().ended
    }

    fn take(&self) -> Option<Ending<F::Output>> {
        self.outcome().result.take()
    }

    fn detach(&self) {
        let mut outcome = self.outcome();
        outcome.detached = true;
        let (result, joiner) = (outcome.result.take(), outcome.joiner.take());
        drop(outcome);
        discard(|| drop(result));
        drop(joiner);
    }
}

impl<F> Wake for Stackless<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn wake(self: Arc<Self>) {
        if self.state.fetch_or(NOTIFIED, Release) == IDLE {
            let home = self.home;
            home.place_future(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(NOTIFIED, Release) == IDLE {
            self.home.place_future(self.clone());
        }
    }
}

impl<F: Future> Drop for Stackless<F> {
    fn drop(&mut self) {
        // One that nobody can wake any more.
        if self.state.load(Relaxed) != DONE {
            self.home.forget_future(self.about.id);
        }
    }
}

#[cfg(all(test, loom))]
mod models;
