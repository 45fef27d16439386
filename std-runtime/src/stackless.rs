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
//!
//!   one allocation:  Whole<F> = [ Stackless: state, shares, links, who it is │ Stage: the future, then its result ]
//! ```
//!
//! * F1  Whoever takes a future from IDLE to NOTIFIED puts it into a queue, once; whoever takes it out of the queue runs it.
//!   So one thread at a time polls, and it alone touches the stage, until the future has ended.
//! * F2  `wake` always writes, and `run` always reads and writes: a poll sees what all wakers before it did.
//! * F3  The wake-ups of a future go to the future, those of a blocking call inside its poll to the carrier: neither takes the
//!   other's.
//! * F4  A future that has ended is in no queue, and is not put into one again. Its stage is then the handle's, or empty if the
//!   handle was dropped before: `header/fate.rs`.
//! * F5  `link` is written by whom F1 gives the future to: in a queue it is the next one, during a poll the carrier.
//!
//! Not polled on the worker's own stack: a blocking call in a poll would stop all other tasks of the worker.

mod live;
mod origin;
mod queue;

pub(crate) use self::{live::LiveFutures, queue::Queue};

use self::{live::Place, origin::Origin};
use crate::{
    header::{self, Detached, Ending, Fate, Joiner, Spawn, TaskId, TaskRef, discard},
    runtime::Shared,
    sync::{
        Cell, UnsafeCell,
        atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering::*},
    },
    worker,
};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::Deref,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    process::abort,
    ptr::{self, NonNull},
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

const IDLE: u8 = 0;
const NOTIFIED: u8 = 1;
const RUNNING: u8 = 2;
const DONE: u8 = 4;
/// Beside the others: somebody wants it to end.
const CANCELLED: u8 = 8;

/// In `link`: it is a carrier's address, with this added.
const CARRIER: usize = 1;

/// A future that runs as a task, but for the future: what all of them have in common.
///
/// In this order, so that there is no gap, and what a poll touches lies together.
#[repr(C)]
pub(crate) struct Stackless {
    vtable: &'static Vtable,
    /// How many [`Share`]s there are.
    ///
    /// | operation | order   | pairs with | so that                                                        |
    /// |-----------|---------|------------|----------------------------------------------------------------|
    /// | clone     | Relaxed | nothing    | the other share is what keeps it alive                         |
    /// | drop      | AcqRel  | drop       | the last one comes after all that others did                   |
    /// | of a live | Relaxed | nothing    | V1: there is one; the lock of the list brings what it points to |
    ///
    /// Weakened by one step, either way, the drop fails `future_is_freed_by_the_last_share`.
    shares: AtomicU32,
    /// | operation       | order             | pairs with  | so that                                                  |
    /// |-----------------|-------------------|-------------|----------------------------------------------------------|
    /// | `wake`          | AcqRel            | run; idle   | F2; who puts it into a queue finds the link as its own (F5) |
    /// | run             | AcqRel            | wake, idle, | F2; and a poll comes after the last one, with the future; |
    /// |                 |                   | cancel      | who cancels it meanwhile finds the carrier               |
    /// | idle            | Release / Relaxed | run, wake,  | the same                                                 |
    /// |                 |                   | cancel      |                                                          |
    /// | woken meanwhile | and, Relaxed      | nothing     | it passes on what wakers left, to the run that follows   |
    /// | cancel          | AcqRel            | run; looks  | as `wake`; and it finds the carrier                      |
    /// | done            | Relaxed           | nothing     | nobody polls it any more                                 |
    /// | is cancelled    | Acquire           | cancel      | who drops it comes after what led to the request         |
    ///
    /// Each weakened by one step, either way, fails a model: `wake` and idle `future_loses_no_wake_up`, run
    /// `future_is_cancelled_inside_a_poll`, cancel and the look at it `future_is_dropped_after_what_came_before_its_cancel`. But for
    /// the Acquire of run: the look in the same poll whether it is cancelled brings the same.
    state: AtomicU8,
    fate: AtomicU8,
    /// Which of the lists of live futures it is in.
    list: u8,
    /// As for the stage: F1, F4.
    holds: Cell<Holds>,
    /// F5. Relaxed: the queue's lock, and `state`, bring it.
    link: AtomicPtr<()>,
    home: &'static Shared,
    pub(crate) id: TaskId,
    origin: Origin,
    /// `header/fate.rs`, K5.
    joiner: Joiner,
    place: Place,
}

/// What depends on the future's type. Each takes the address of a [`Whole`] of that type.
struct Vtable {
    /// Polls it once; true if it has ended, and the stage holds how. F1 is with the caller.
    poll: unsafe fn(NonNull<Stackless>, &Waker) -> bool,
    /// Moves the result, if it is still there, to an `Option<Ending<T>>`. F4: the stage is the caller's.
    take: unsafe fn(NonNull<Stackless>, *mut ()),
    /// Drops what is left of the stage. F4, as above.
    clear: unsafe fn(NonNull<Stackless>),
    /// By the last share.
    free: unsafe fn(NonNull<Stackless>),
}

#[repr(C)]
struct Whole<F: Future> {
    head: Stackless,
    /// F1, F4.
    stage: UnsafeCell<Stage<F>>,
}

/// No enum, whose tag would have no place of its own beside most futures.
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    result: ManuallyDrop<Ending<F::Output>>,
}

/// What is in the stage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Future,
    Result,
    Nothing,
}

// SAFETY: shares are counted; what is no atomic of it is constant, or belongs to one at a time: `link`, the stage and what it holds by
// F1 and F4, the place by V1, the joiner by K5. Future and result are `Send` by `spawn`.
unsafe impl Sync for Stackless {}
// SAFETY: as above.
unsafe impl Send for Stackless {}

impl Stackless {
    pub(crate) fn name(&self) -> Option<&str> {
        self.origin.name()
    }

    pub(crate) fn site(&self) -> &'static Location<'static> {
        self.origin.site()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.load(Acquire) & CANCELLED != 0
    }

    fn fate(&self) -> Fate<'_> {
        // SAFETY: K5: both are touched by this alone.
        unsafe { Fate::of(&self.fate, &self.joiner) }
    }

    /// Leaves a wake-up. True if the future is the caller's to queue.
    fn notify(&self) -> bool {
        self.state.fetch_or(NOTIFIED, AcqRel) & !CANCELLED == IDLE
    }
}

impl fmt::Display for Stackless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "future {}", self.id)?;
        if let Some(name) = self.name() {
            write!(f, " \"{name}\"")?;
        }
        write!(f, ", spawned at {}", self.site())
    }
}

/// A counted share of a future: of its memory. Its queue, whoever polls it, its handle and each waker has one.
pub(crate) struct Share(NonNull<Stackless>);

// SAFETY: as a reference that is counted: `Stackless` is `Send` and `Sync`, and the last one may go anywhere.
unsafe impl Send for Share {}
// SAFETY: as above.
unsafe impl Sync for Share {}

impl Deref for Share {
    type Target = Stackless;

    fn deref(&self) -> &Stackless {
        // SAFETY: alive while there is a share.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Share {
    fn clone(&self) -> Self {
        // So many are only made by who forgets them, and the next ones would make the count wrong.
        if self.shares.fetch_add(1, Relaxed) > u32::MAX / 2 {
            abort();
        }
        Self(self.0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.shares.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: the last share.
            unsafe { (self.vtable.free)(self.0) };
        }
    }
}

impl Share {
    /// With the right to all of the `Whole`.
    fn as_raw(&self) -> NonNull<Stackless> {
        self.0
    }

    fn into_raw(self) -> NonNull<Stackless> {
        ManuallyDrop::new(self).0
    }

    /// # Safety
    ///
    /// From [`into_raw`](Self::into_raw), once.
    unsafe fn from_raw(raw: NonNull<Stackless>) -> Self {
        Self(raw)
    }

    /// A share of a future that others may just be letting go. None if they have.
    ///
    /// # Safety
    ///
    /// Its memory is not freed meanwhile.
    unsafe fn of_live(future: NonNull<Stackless>) -> Option<Self> {
        // SAFETY: the caller's promise.
        let shares = unsafe { &future.as_ref().shares };
        let more = |count| (count > 0 && count <= u32::MAX / 2).then(|| count + 1);
        shares.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Self(future))
    }

    /// Polls it once. Called by whoever took it out of a queue, on `carrier`.
    pub(crate) fn run(self, carrier: TaskRef) {
        let this = &*self;
        this.link.store(carrier.as_raw().map_addr(|address| address | CARRIER), Relaxed);
        // NOTIFIED becomes RUNNING; whatever else there is stays.
        this.state.fetch_xor(NOTIFIED | RUNNING, AcqRel);
        carrier.get().set_polling(Some(this));
        // SAFETY: as `WAKER` wants it, but that it has no share: it does not outlive ours, and is not dropped.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(self.0)) });
        // SAFETY: F1: taken out of a queue.
        let ended = unsafe { (this.vtable.poll)(self.0, &waker) };
        carrier.get().set_polling(None);
        if ended {
            // As for `Mode::awake`: a store would come after the wake-ups as well, but the model checker does not know it.
            this.state.swap(DONE, Relaxed);
            // SAFETY: entered by `spawn`; and F1: nobody else comes here.
            unsafe { this.home.live_futures().leave(this) };
            self.end();
        } else if this.state.compare_exchange(RUNNING, IDLE, Release, Relaxed).is_err() {
            // Woken meanwhile: nobody else has queued it.
            this.state.fetch_and(!RUNNING, Relaxed);
            this.home.place_future(self);
        }
    }

    fn end(self) {
        // SAFETY: once: F1, and it is polled no more.
        let (joiner, detached) = unsafe { self.fate().end() };
        if detached {
            // SAFETY: F4: nobody else looks at it any more.
            discard(|| unsafe { (self.vtable.clear)(self.0) });
        }
        if let Some(joiner) = joiner {
            discard(|| joiner.wake());
        }
    }

    /// Asks it to end.
    pub(crate) fn cancel(&self) {
        let before = self.state.fetch_or(NOTIFIED | CANCELLED, AcqRel);
        if before & !CANCELLED == IDLE {
            self.home.place_future(self.clone());
        } else if before & RUNNING != 0 {
            // Its poll may wait. If that has ended meanwhile, this is in vain; and the link may be another future's then.
            let link = self.link.load(Relaxed);
            if link.addr() & CARRIER != 0 {
                TaskRef::from_raw(link.map_addr(|address| address & !CARRIER)).wake();
            }
        }
    }
}

/// Starts `future` on `home`.
pub(crate) fn spawn<F>(home: &'static Shared, spawn: Spawn, future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let here = worker::current().filter(|here| ptr::eq(here.shared, home));
    let head = Stackless {
        vtable: Whole::<F>::VTABLE,
        shares: AtomicU32::new(2),
        // Cancelled before anybody can poll it, if the runtime is about to end.
        state: AtomicU8::new(if home.is_ending() { NOTIFIED | CANCELLED } else { NOTIFIED }),
        fate: AtomicU8::new(0),
        list: home.live_futures().list_of(here.map(|here| here.index)),
        holds: Cell::new(Holds::Future),
        link: AtomicPtr::new(ptr::null_mut()),
        home,
        id: TaskId::next(),
        origin: Origin::new(spawn.site, spawn.name),
        joiner: UnsafeCell::new(MaybeUninit::uninit()),
        place: Place::default(),
    };
    let whole = Box::new(Whole { head, stage: UnsafeCell::new(Stage { future: ManuallyDrop::new(future) }) });
    let raw = NonNull::from(Box::leak(whole)).cast::<Stackless>();
    // Two, as counted above.
    let (handle, queued) = (Share(raw), Share(raw));
    home.live_futures().enter(&handle);
    home.place_future(queued);
    Handle { share: handle, _result: PhantomData }
}

impl<F> Whole<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    const VTABLE: &'static Vtable =
        &Vtable { poll: Self::poll, take: Self::take, clear: Self::clear, free: Self::free };

    /// # Safety
    ///
    /// `this` is a `Whole<F>`, alive, and its stage is the caller's while `f` runs.
    unsafe fn with_stage<R>(this: NonNull<Stackless>, f: impl FnOnce(&mut Stage<F>, &Cell<Holds>) -> R) -> R {
        // SAFETY: the caller's promise.
        let whole = unsafe { this.cast::<Self>().as_ref() };
        // SAFETY: as above.
        whole.stage.with_mut(|stage| f(unsafe { &mut *stage }, &whole.head.holds))
    }

    /// # Safety
    ///
    /// [`Vtable::poll`].
    unsafe fn poll(this: NonNull<Stackless>, waker: &Waker) -> bool {
        // SAFETY: alive, by the caller.
        let is_cancelled = unsafe { this.as_ref() }.is_cancelled();
        let poll_it = |stage: &mut Stage<F>, _: &Cell<Holds>| {
            // SAFETY: it has not ended, as it is in no queue then (F4). It stays where it is until it is dropped there.
            let future = unsafe { Pin::new_unchecked(&mut *stage.future) };
            catch_unwind(AssertUnwindSafe(|| match is_cancelled {
                true => header::unwind(),
                false => future.poll(&mut Context::from_waker(waker)),
            }))
        };
        // SAFETY: F1 is with the caller.
        let ending = match unsafe { Self::with_stage(this, poll_it) } {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(value)) => Ending::Value(value),
            Err(payload) => Ending::of(Err(payload)),
        };
        // SAFETY: as above. In place, as it is pinned.
        discard(|| unsafe { Self::clear(this) });
        // SAFETY: as above.
        unsafe {
            Self::with_stage(this, |stage, holds| {
                stage.result = ManuallyDrop::new(ending);
                holds.set(Holds::Result);
            });
        }
        true
    }

    /// # Safety
    ///
    /// [`Vtable::take`].
    unsafe fn take(this: NonNull<Stackless>, to: *mut ()) {
        let take_from = |stage: &mut Stage<F>, holds: &Cell<Holds>| {
            let is_there = holds.replace(Holds::Nothing) == Holds::Result;
            // SAFETY: there; and, by the line above, taken once.
            is_there.then(|| unsafe { ManuallyDrop::take(&mut stage.result) })
        };
        // SAFETY: F4 is with the caller, and `to` is as it should be.
        unsafe { *to.cast::<Option<Ending<F::Output>>>() = Self::with_stage(this, take_from) };
    }

    /// # Safety
    ///
    /// [`Vtable::clear`].
    unsafe fn clear(this: NonNull<Stackless>) {
        let drop_it = |stage: &mut Stage<F>, holds: &Cell<Holds>| match holds.replace(Holds::Nothing) {
            // SAFETY: there; and, by the line above, dropped once, even if the drop panics.
            Holds::Future => unsafe { ManuallyDrop::drop(&mut stage.future) },
            // SAFETY: as above.
            Holds::Result => unsafe { ManuallyDrop::drop(&mut stage.result) },
            Holds::Nothing => {}
        };
        // SAFETY: F4 is with the caller.
        unsafe { Self::with_stage(this, drop_it) };
    }

    /// # Safety
    ///
    /// [`Vtable::free`].
    unsafe fn free(this: NonNull<Stackless>) {
        // SAFETY: the box of `spawn`, and nobody else knows of it but the list of those alive; the stage, which the box does not drop, is
        // ours.
        unsafe {
            let head = this.as_ref();
            if head.state.load(Relaxed) & DONE == 0 {
                head.home.live_futures().leave(head); // one that nobody can wake any more
            }
            if head.holds.get() != Holds::Nothing {
                discard(|| Self::clear(this)); // its drop may panic
            }
            drop(Box::from_raw(this.cast::<Self>().as_ptr()));
        }
    }
}

/// What waits for a future that brings a `T`: for its join handle.
pub(crate) struct Handle<T> {
    share: Share,
    /// `T` is the output of the future.
    _result: PhantomData<fn() -> T>,
}

// SAFETY: the result goes to one taker, and is Send by `spawn`; all else of a future is shared by its own rules.
unsafe impl<T: Send> Send for Handle<T> {}
// SAFETY: a shared handle asks whether the future has ended, who it is, and cancels it.
unsafe impl<T: Send> Sync for Handle<T> {}

impl<T> Deref for Handle<T> {
    type Target = Share;

    fn deref(&self) -> &Share {
        &self.share
    }
}

impl<T> Handle<T> {
    pub(crate) fn has_ended(&self) -> bool {
        self.fate().has_ended()
    }

    /// Whether it has ended; if not, its end will wake `waker`, the last one that came here.
    pub(crate) fn poll_end(&mut self, waker: &Waker) -> Poll<()> {
        // SAFETY: `&mut` of the handle.
        unsafe { self.fate().poll_end(waker) }
    }

    /// The result of a future that has ended. None if it was taken before.
    pub(crate) fn take(&mut self) -> Option<Ending<T>> {
        debug_assert!(self.has_ended());
        let mut result: Option<Ending<T>> = None;
        // SAFETY: ended, not detached, so the stage is ours (F4); `T` is the output of the future.
        unsafe { (self.vtable.take)(self.share.0, (&raw mut result).cast()) };
        result
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: the handle, which ends here.
        let Detached { waker, ended } = unsafe { self.fate().detach() };
        if ended {
            let result = self.take();
            discard(|| drop(result));
        }
        drop(waker); // foreign code, so at the end
    }
}

fn raw_waker(future: NonNull<Stackless>) -> RawWaker {
    RawWaker::new(future.as_ptr().cast_const().cast(), &WAKER)
}

/// Of a waker's data.
///
/// # Safety
///
/// A waker of this file's, whose share the caller takes, or does not drop.
unsafe fn share(data: *const ()) -> Share {
    // SAFETY: from a `NonNull` by `raw_waker`; the rest is the caller's promise.
    unsafe { Share::from_raw(NonNull::new_unchecked(data.cast_mut().cast())) }
}

/// A waker has a share, but for the one that a poll lends.
pub(crate) static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the share stays the waker's.
        let share = ManuallyDrop::new(unsafe { share(data) });
        raw_waker(Share::clone(&share).into_raw())
    },
    |data| {
        // SAFETY: the waker ends here.
        let share = unsafe { share(data) };
        if share.notify() {
            let home = share.home;
            home.place_future(share);
        }
    },
    |data| {
        // SAFETY: the share stays the waker's.
        let share = ManuallyDrop::new(unsafe { share(data) });
        if share.notify() {
            share.home.place_future(Share::clone(&share));
        }
    },
    // SAFETY: the waker ends here.
    |data| drop(unsafe { share(data) }),
);

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests;
