//! A green thread: its header, its state, and what is left of it when it ends.
//!
//! ```text
//!   one stack slot, low addresses to the left
//!   ┌───────┬───────────────────────────────────────────────┬───────────────┬────────┐
//!   │ guard │   …   ◀── the stack grows                     │ Job (closure, │  Task  │
//!   │       │                                               │ then result)  │        │
//!   └───────┴───────────────────────────────────────────────┴───────────────┴────────┘
//!
//!            spawn            resume              park
//!   FREE ───────────▶ READY ───────────▶ RUNNING ───────▶ PARKED
//!    ▲                  ▲                 │  │              │ wake: sets NOTIFIED; the waker queues the task,
//!    │                  └───── yield ─────┘  │              │       and RUNNING takes the bit away again
//!    └──────── the last holder lets go ◀─────┘ end          ▼
//!                                                         (queued) ── resume ──▶ RUNNING
//! ```
//!
//! * K1  A slot of the pool holds a `Task` for ever, free or not. `state` is only ever changed atomically, so a stale waker
//!   may knock at any time: at worst it wakes a stranger once in vain, and every park point loops.
//! * K2  The other fields that are no atomics belong to whoever may run the task next: the spawner until it is queued, then
//!   its queue, then its worker. Exceptions: `worker` may be read by the waker that took it out of PARKED; what `prepare` sets
//!   and nobody changes, by the handle; the report of a deadlock reads all, when nobody runs.
//! * K3  Two hold a slot: the task itself, until another stack runs after its end, and its handle; and for a moment the monitor, if
//!   there is still one of them. The last one to let go gives the slot back. No user code runs then: the closure is gone, the result taken or dropped.
//! * K4  `wake` always writes, and `resume` always reads and writes: of a wake and the resume that follows it, the task sees
//!   what the waker did.
//! * K5  `joiner` is the handle's while `WAITED` is clear. While it is set, it is a waker, and goes to whoever changes `fate`
//!   first: the task, by setting `ENDED`, or the handle, by clearing `WAITED`.
//! * K6  A request to cancel names the id, which no two tasks have in common. So it may come at any time, by anybody who once
//!   knew of the task.
//! * K7  A roaming task goes on wherever it is taken up: `worker` is then the one that runs it, and means nothing while it does not run.
//!   Whoever spawned it has promised that it can bear that (`task::Builder::roaming`).

use crate::{
    locals::{self, Locals},
    runtime::Shared,
    scope::Members,
    stack::Slot,
    stackless::About,
    worker::Worker,
};
use greenlight_core::park::Why;
use std::{
    any::Any,
    cell::{Cell, UnsafeCell},
    fmt,
    mem::{MaybeUninit, offset_of},
    num::NonZero,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering::*, fence},
    },
    task::{Poll, RawWaker, RawWakerVTable, Waker},
    thread,
};

const FREE: u8 = 0;
const READY: u8 = 1;
const RUNNING: u8 = 2;
const PARKED: u8 = 3;
const NOTIFIED: u8 = 4;

/// A closure and result that are larger than this live on the heap: the rest of the stack's top page is for the stack.
const INLINE_JOB: usize = 2048;

/// A pointer to a task: valid for ever by K1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskRef(NonNull<Task>);

/// In this order, so that what every switch and every spawn touches lies in one cache line.
#[repr(C, align(64))]
pub(crate) struct Task {
    /// | operation | order   | pairs with     | so that                                                        |
    /// |-----------|---------|----------------|----------------------------------------------------------------|
    /// | `wake`    | AcqRel  | resume, park   | K4; and the waker that takes PARKED away sees `worker`         |
    /// | resume    | AcqRel  | `wake`         | K4                                                             |
    /// | park      | AcqRel  | `wake`         | the waker sees the task's registers and fields                 |
    /// | spawn     | Release | `wake`, queue  | as for park (the queue's own lock is what matters)             |
    state: AtomicU8,
    /// Who still holds the slot (K3).
    ///
    /// | operation | order  | pairs with | so that                                         |
    /// |-----------|--------|------------|-------------------------------------------------|
    /// | let go    | AcqRel | let go     | the last holder comes after all that others did |
    /// | spawn     | Release | hold      | who looks from outside finds the task's name    |
    /// | hold      | Acquire | spawn     | the same                                        |
    holders: AtomicU8,
    /// Who drops the result, and whom the end wakes.
    ///
    /// | operation            | order   | pairs with | so that                                             |
    /// |----------------------|---------|------------|-----------------------------------------------------|
    /// | end, detach          | AcqRel  | each other | whoever comes second sees the result                |
    /// | set and clear WAITED | AcqRel  | end        | K5: the waker is seen by whoever gets it; the result |
    /// | look                 | Acquire | end        | the handle sees the result                          |
    fate: AtomicU8,
    /// A worker's own: it polls futures (`stackless.rs`).
    pub(crate) is_carrier: Cell<bool>,
    /// Free at every wake, and bound to no worker while it does not run (K7).
    roams: Cell<bool>,
    /// While above zero, the task is not cancelled.
    shields: Cell<u32>,
    next: Cell<Option<TaskRef>>,
    pub(crate) stack_pointer: Cell<*mut u8>,
    worker: Cell<Option<&'static Worker>>,
    /// The id, shifted, and [`CANCELLED`].
    ///
    /// | operation | order   | pairs with | so that                                                        |
    /// |-----------|---------|------------|----------------------------------------------------------------|
    /// | spawn     | Release | survey     | who finds the id finds `home` and `spawn_site` of that task    |
    /// | survey    | Acquire | spawn      | the same                                                       |
    /// | request   | Relaxed | nothing    | the wake-up after it brings it                                 |
    /// | look      | Relaxed | nothing    | the same                                                       |
    tag: AtomicU64,
    /// What a carrier polls now, and for how long that lives.
    polling: Cell<Option<NonNull<About>>>,
    /// The id of that future, or 0. Relaxed: for a look from outside.
    polled: AtomicU64,
    job: Cell<*mut ()>,
    run: Cell<Option<unsafe fn(*mut ())>>,
    /// What it waits for, while it is parked.
    pub(crate) why: Cell<Option<Why>>,
    joiner: UnsafeCell<MaybeUninit<Waker>>,
    free_job: Cell<Option<unsafe fn(*mut ())>>,
    /// The runtime it was spawned on. Relaxed, as is `spawn_site`: see `tag`.
    home: AtomicPtr<Shared>,
    spawn_site: AtomicPtr<Location<'static>>,
    /// From `Box<str>`, freed by the last holder.
    name: Cell<Option<NonNull<str>>>,
    /// From `Box`, freed at the end of the closure.
    pub(crate) locals: Cell<Option<NonNull<Locals>>>,
    /// From `Arc`: the scope that waits for it.
    scope: Cell<Option<NonNull<Members>>>,
    /// Its neighbours among the members of the scope, which guards them.
    pub(crate) siblings: Cell<[Option<TaskRef>; 2]>,
}

const ENDED: u8 = 1;
const DETACHED: u8 = 2;
const WAITED: u8 = 4;

/// In `tag`: somebody wants the task to end.
const CANCELLED: u64 = 1;

/// With what a cancelled task unwinds.
struct Cancellation;

/// How a closure ended.
pub(crate) enum Ending<T> {
    Value(T),
    Panic(Box<dyn Any + Send>),
    Cancelled,
}

impl<T> Ending<T> {
    pub(crate) fn of(result: thread::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(payload) if payload.is::<Cancellation>() => Self::Cancelled,
            Err(payload) => Self::Panic(payload),
        }
    }
}

/// Ends the calling green thread, which is cancelled, by unwinding. Silent: the panic hook is not asked.
pub(crate) fn unwind() -> ! {
    resume_unwind(Box::new(Cancellation))
}

/// What a spawn says about a task beside its closure.
pub(crate) struct Spawn {
    pub(crate) site: &'static Location<'static>,
    pub(crate) name: Option<Box<str>>,
    /// On the spawner's own worker, if it has one.
    pub(crate) near: bool,
    /// Only by the word of whoever spawns (K7).
    pub(crate) roams: bool,
    pub(crate) scope: Option<Arc<Members>>,
}

impl Spawn {
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self { site: Location::caller(), name: None, near: false, roams: false, scope: None }
    }
}

/// The closure of a task, then its result.
struct Job<F, T> {
    closure: Cell<Option<F>>,
    result: UnsafeCell<Option<Ending<T>>>,
}

/// What [`spawn`](TaskRef::prepare) leaves for the join handle.
pub(crate) struct Outcome<T> {
    task: TaskRef,
    result: NonNull<UnsafeCell<Option<Ending<T>>>>,
    /// That of the task, which wants to know of panics that nobody joins.
    scope: Option<Arc<Members>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl TaskRef {
    /// Where the task of a slot is.
    pub(crate) fn of(slot: Slot) -> Self {
        let address = slot.top() as usize - size_of::<Task>();
        let header = slot.top().with_addr(address & !(align_of::<Task>() - 1));
        // SAFETY: inside the slot, so not null.
        Self(unsafe { NonNull::new_unchecked(header.cast()) })
    }

    fn slot(self) -> Slot {
        crate::stack::slot_of(self.0.as_ptr().addr()).expect("a task lives in a slot of the pool")
    }

    /// The bounds of its stack, for the address sanitizer; empty without it.
    pub(crate) fn stack_bounds(self) -> (*const u8, usize) {
        if !cfg!(greenlight_asan) {
            return (std::ptr::null(), 0);
        }
        let slot = self.slot();
        (slot.guard_end(), slot.top().addr() - slot.guard_end().addr())
    }

    pub(crate) fn get<'a>(self) -> &'a Task {
        // SAFETY: K1: mapped for ever, and every bit pattern that it can have is valid: zeroes at first.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn from_raw(raw: *mut ()) -> Self {
        Self(NonNull::new(raw.cast()).expect("a task's address"))
    }

    pub(crate) fn as_raw(self) -> *mut () {
        self.0.as_ptr().cast()
    }

    /// Makes a task out of a free slot: ready to be queued, held by itself and by the outcome.
    ///
    /// # Safety
    ///
    /// What closure and result borrow lives until the task has ended, and the outcome is gone or forgotten.
    pub(crate) unsafe fn prepare<F, T>(slot: Slot, home: &'static Shared, spawn: Spawn, closure: F) -> Outcome<T>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let this = Self::of(slot);
        let task = this.get();
        let job = Job { closure: Cell::new(Some(closure)), result: UnsafeCell::new(None) };
        let (place, inline) = if size_of::<Job<F, T>>() <= INLINE_JOB && align_of::<Job<F, T>>() <= 4096 {
            let address = (this.as_raw().addr() - size_of::<Job<F, T>>()) & !(align_of::<Job<F, T>>() - 1);
            (this.as_raw().with_addr(address).cast::<Job<F, T>>(), true)
        } else {
            (Box::into_raw(Box::<Job<F, T>>::new_uninit()).cast::<Job<F, T>>(), false)
        };
        // SAFETY: free memory of the right size and alignment: below the header, inside the slot, which is ours (K2), or
        // a fresh box.
        unsafe { place.write(job) };
        let top = if inline { place.cast() } else { this.as_raw() }.cast::<u8>();

        // K1, K6: a stale waker may touch `state` meanwhile, a survey reads atomics, and nothing else.
        task.fate.store(0, Relaxed);
        task.home.store(std::ptr::from_ref(home).cast_mut(), Relaxed);
        task.spawn_site.store(std::ptr::from_ref(spawn.site).cast_mut(), Relaxed);
        task.tag.store(TaskId::next().0.get() << 1, Release);
        task.shields.set(0);
        task.is_carrier.set(false);
        task.roams.set(spawn.roams);
        task.polling.set(None);
        task.polled.store(0, Relaxed);
        task.name.set(spawn.name.map(|name| NonNull::from(Box::leak(name))));
        task.locals.set(None);
        let scope = spawn.scope;
        task.scope.set(scope.clone().and_then(|scope| NonNull::new(Arc::into_raw(scope).cast_mut())));
        task.next.set(None);
        task.worker.set(None);
        task.why.set(None);
        task.job.set(place.cast());
        task.run.set(Some(run_job::<F, T>));
        task.free_job.set(if inline { None } else { Some(free_boxed_job::<F, T>) });
        // SAFETY: `top` is inside our slot, with the whole stack below it.
        task.stack_pointer.set(unsafe { crate::arch::prepare(top, crate::worker::first_steps, this.as_raw()) });
        task.holders.store(2, Release);
        task.state.store(READY, Release);

        // SAFETY: a field of the job that was just written.
        let result = unsafe { NonNull::new_unchecked(place.byte_add(offset_of!(Job<F, T>, result)).cast()) };
        Outcome { task: this, result, scope }
    }

    /// Runs the closure and leaves the result. On the task's own stack.
    pub(crate) fn run(self) {
        let task = self.get();
        let run = task.run.get().expect("a task that was spawned");
        // SAFETY: the job that `prepare` wrote together with this function; run once, at the task's start.
        unsafe { run(task.job.get()) };
    }

    /// Takes the task out of its rest: it runs now, on the calling worker, where it stays from the first time on, unless it
    /// roams.
    pub(crate) fn resume(self, worker: &'static Worker) {
        let task = self.get();
        let is_its_own = |home: &Worker| std::ptr::eq(home, worker);
        debug_assert!(task.roams.get() || task.worker.get().is_none_or(is_its_own), "a started task is bound");
        task.worker.set(Some(worker));
        let before = task.state.swap(RUNNING, AcqRel);
        debug_assert!(matches!(before & !NOTIFIED, READY | PARKED));
    }

    /// Whether a wake-up came since it last ran; taken away, so that its next park is a real one.
    pub(crate) fn take_notification(self) -> bool {
        let state = &self.get().state;
        state.load(Relaxed) == RUNNING | NOTIFIED && state.swap(RUNNING, AcqRel) == RUNNING | NOTIFIED
    }

    /// Its stack was left: it sleeps. False if a wake-up came first: then it is the caller's to queue.
    pub(crate) fn park(self) -> bool {
        self.get().state.compare_exchange(RUNNING, PARKED, AcqRel, Acquire).is_ok()
    }

    /// Its stack was left, but it wants to go on: it is the caller's to queue.
    pub(crate) fn make_ready(self) {
        self.get().state.swap(READY, AcqRel);
    }

    /// Leaves a wake-up. If the task was parked, it is queued: with the worker that it is bound to, or anywhere if it roams.
    pub(crate) fn wake(self) {
        let task = self.get();
        if task.state.fetch_or(NOTIFIED, AcqRel) != PARKED {
            return;
        }
        // K2: parked, and nobody else took it out of PARKED. It has run, so it is bound, unless it roams.
        if task.roams.get() {
            // SAFETY: a `&'static Shared`, as for every task that is not a carrier.
            let home: &'static Shared = unsafe { &*task.home.load(Relaxed) };
            home.place_woken(self);
        } else if let Some(worker) = task.worker.get() {
            worker.enqueue_woken(self);
        }
    }

    /// Asked by whoever it belongs to (K2).
    pub(crate) fn roams(self) -> bool {
        self.get().roams.get()
    }

    /// The worker that runs it, for the task itself.
    pub(crate) fn worker(self) -> Option<&'static Worker> {
        self.get().worker.get()
    }

    /// Binds a task that has not started to `worker`, which is the caller's: no thief takes it.
    pub(crate) fn bind(self, worker: &'static Worker) {
        self.get().worker.set(Some(worker));
    }

    /// Makes a task that has not started one of its worker's own: nobody else knows of it.
    pub(crate) fn make_carrier(self) {
        self.get().is_carrier.set(true);
        self.get().home.store(std::ptr::null_mut(), Relaxed);
    }

    /// Asks the task to end, if it is still the one with this id.
    pub(crate) fn cancel(self, id: TaskId) {
        let tag = id.0.get() << 1;
        if self.get().tag.compare_exchange(tag, tag | CANCELLED, Relaxed, Relaxed).is_ok() {
            self.wake();
        }
    }

    /// A waker for this task: a plain pointer, free to clone and to drop.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: the functions below keep the waker's contract; the pointer is valid for ever (K1).
        unsafe { Waker::from_raw(RawWaker::new(self.as_raw(), &WAKER)) }
    }

    pub(crate) fn let_go(self) {
        let task = self.get();
        if task.holders.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        if let Some(free_job) = task.free_job.take() {
            // SAFETY: the box that `prepare` made; the last holder frees it.
            unsafe { free_job(task.job.get()) };
        }
        if let Some(name) = task.name.take() {
            // SAFETY: from the box that `prepare` leaked; by K3 nobody reads it any more.
            drop(unsafe { Box::from_raw(name.as_ptr()) });
        }
        task.state.store(FREE, Release);
        // SAFETY: K3, nobody holds it any more, and its stack was left.
        unsafe { crate::stack::release(self.slot()) };
    }

    /// For a look from outside at a task that may end meanwhile: while the hold lasts, the slot is not given back. None if it has
    /// been.
    #[cfg(any(feature = "log", feature = "tracing"))]
    pub(crate) fn hold(self) -> Option<Hold> {
        let holders = &self.get().holders;
        let mut before = holders.load(Relaxed);
        while before != 0 {
            match holders.compare_exchange_weak(before, before + 1, Acquire, Relaxed) {
                Ok(_) => return Some(Hold(self)),
                Err(now) => before = now,
            }
        }
        None
    }

    /// Whether there is a live task in the slot. For reports.
    pub(crate) fn is_alive(self) -> bool {
        self.get().state.load(Acquire) & !NOTIFIED != FREE
    }

    pub(crate) fn has_ended(self) -> bool {
        self.get().fate.load(Acquire) & ENDED != 0
    }

    /// For a look from outside, at any time: the task that lives here, if it was spawned on `home`.
    pub(crate) fn survey(self, home: &Shared) -> Option<(TaskId, &'static Location<'static>)> {
        let task = self.get();
        let id = task.id()?;
        let (there, site) = (task.home.load(Relaxed), task.spawn_site());
        // The tag again: what was read between belongs to this task if it is the same. (Acquire, so that it is read last: the
        // loads before are of values that a later task's Release of its tag comes after.)
        let same = std::ptr::eq(there, home) && self.is_alive() && !self.has_ended();
        fence(Acquire);
        (same && task.id() == Some(id)).then_some((id, site?))
    }
}

impl Task {
    pub(crate) fn id(&self) -> Option<TaskId> {
        NonZero::new(self.tag.load(Acquire) >> 1).map(TaskId)
    }

    pub(crate) fn spawn_site(&self) -> Option<&'static Location<'static>> {
        // SAFETY: null in fresh memory, then always a location of the program's.
        unsafe { self.spawn_site.load(Relaxed).as_ref() }
    }

    /// For its holders, and for reports (K2).
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: a box's that lives as long as the task.
        self.name.get().map(|name| unsafe { &*name.as_ptr() })
    }

    /// The future that this task polls, which calls it, or whose report it is.
    pub(crate) fn future(&self) -> Option<&About> {
        // SAFETY: set for the time of a poll, during which the future is there.
        self.polling.get().map(|about| unsafe { about.as_ref() })
    }

    /// It polls this future now, which lives until it does not any more.
    pub(crate) fn set_polling(&self, future: Option<&About>) {
        self.polling.set(future.map(NonNull::from));
        self.polled.store(future.map_or(0, |future| future.id.0.get()), Relaxed);
    }

    /// Whether somebody wants this task, or the future that it polls, to end.
    pub(crate) fn is_cancelled(&self) -> bool {
        match self.future() {
            Some(future) => future.is_cancelled(),
            None => self.tag.load(Relaxed) & CANCELLED != 0,
        }
    }

    /// Whether this task, which calls it, is to unwind now.
    pub(crate) fn must_unwind(&self) -> bool {
        self.is_cancelled() && self.shields.get() == 0
    }

    pub(crate) fn raise_shield(&self) {
        self.shields.set(self.shields.get() + 1);
    }

    pub(crate) fn lower_shield(&self) {
        self.shields.set(self.shields.get() - 1);
    }
}

static WAKER: RawWakerVTable = RawWakerVTable::new(
    |task| RawWaker::new(task, &WAKER),
    |task| TaskRef::from_raw(task.cast_mut()).wake(),
    |task| TaskRef::from_raw(task.cast_mut()).wake(),
    |_| {},
);

/// # Safety
///
/// `job` is a `Job<F, T>` that has not run, and this is its task.
unsafe fn run_job<F: FnOnce() -> T, T>(job: *mut ()) {
    // SAFETY: the caller's promise.
    let job = unsafe { &*job.cast::<Job<F, T>>() };
    let this = crate::worker::current_task().expect("a job runs as a task");
    let task = this.get();
    let closure = job.closure.take().expect("a closure that has not run");
    let result = catch_unwind(AssertUnwindSafe(|| {
        if task.is_cancelled() {
            crate::task::shield(|| drop(closure)); // nobody wanted it to begin
            unwind();
        }
        closure()
    }));
    if let Some(all) = task.locals.get() {
        task.raise_shield();
        // SAFETY: this task's, whose closure has ended.
        unsafe { locals::end(task, all) };
    }
    let result = Ending::of(result);
    let panicked = matches!(result, Ending::Panic(_));
    // SAFETY: nobody looks at the result before ENDED is set.
    unsafe { *job.result.get() = Some(result) };
    let before = task.fate.fetch_or(ENDED, AcqRel);
    if before & WAITED != 0 {
        // SAFETY: K5: there, and ours.
        let joiner = unsafe { (*task.joiner.get()).assume_init_read() };
        discard(|| joiner.wake());
    }
    // SAFETY: from `Arc::into_raw` in `prepare`, taken once.
    let scope = task.scope.take().map(|scope| unsafe { Arc::from_raw(scope.as_ptr().cast_const()) });
    if before & DETACHED != 0 {
        // SAFETY: detached, so nobody else looks at it any more.
        let result = unsafe { (*job.result.get()).take() };
        abandon(result, scope.as_deref());
    }
    // Nothing of the program's is left: what the closure borrowed may end.
    if let Some(scope) = scope {
        scope.leave(this, panicked);
    }
}

/// Drops a result that nobody wants; but a scope wants to know of a panic.
fn abandon<T>(result: Option<Ending<T>>, scope: Option<&Members>) {
    match (result, scope) {
        (Some(Ending::Panic(payload)), Some(scope)) => scope.keep(payload),
        (result, _) => discard(|| drop(result)),
    }
}

/// Runs code of the program's at a point where a panic has nowhere to go. The hook has reported it; the payload is leaked,
/// since its drop may panic as well.
pub(crate) fn discard(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        std::mem::forget(payload);
    }
}

/// # Safety
///
/// `job` came from `Box::<Job<F, T>>::new_uninit`, and holds neither closure nor result any more.
unsafe fn free_boxed_job<F, T>(job: *mut ()) {
    // SAFETY: the caller's promise; `MaybeUninit` drops nothing.
    drop(unsafe { Box::from_raw(job.cast::<MaybeUninit<Job<F, T>>>()) });
}

// SAFETY: the result goes to one taker, on whichever thread (T: Send by `prepare`); the rest of a task is shared by K1.
unsafe impl<T: Send> Send for Outcome<T> {}
// SAFETY: a shared outcome only asks whether the task has ended.
unsafe impl<T: Send> Sync for Outcome<T> {}

impl<T> Outcome<T> {
    pub(crate) fn task(&self) -> TaskRef {
        self.task
    }

    /// Before the task is placed.
    pub(crate) fn enter_scope(&self) {
        if let Some(scope) = &self.scope {
            scope.enter(self.task);
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.task.get().name()
    }

    pub(crate) fn id(&self) -> TaskId {
        self.task.get().id().expect("a task has an id")
    }

    /// Takes the result of a task that has ended. None if that was done before.
    pub(crate) fn take(&mut self) -> Option<Ending<T>> {
        debug_assert!(self.task.has_ended());
        // SAFETY: ended, not detached: the result is ours.
        unsafe { (*self.result.as_ref().get()).take() }
    }

    /// [`take`](Self::take), for somebody who hears of a panic.
    pub(crate) fn deliver(&mut self) -> Option<Ending<T>> {
        let ending = self.take()?;
        if let (Ending::Panic(_), Some(scope)) = (&ending, &self.scope) {
            scope.joined();
        }
        Some(ending)
    }

    /// Whether the task has ended; if not, its end will wake `waker`, the last one that came here.
    pub(crate) fn poll_end(&mut self, waker: &Waker) -> Poll<()> {
        let Task { fate, joiner, .. } = self.task.get();
        let before = fate.load(Acquire);
        if before & ENDED != 0 {
            return Poll::Ready(());
        }
        let old = match self.take_waker(before) {
            Err(Ended) => return Poll::Ready(()),
            Ok(old) => old,
        };
        let new = old.filter(|old| old.will_wake(waker)).unwrap_or_else(|| waker.clone());
        // SAFETY: K5: WAITED is clear.
        unsafe { (*joiner.get()).write(new) };
        if fate.fetch_or(WAITED, AcqRel) & ENDED == 0 {
            return Poll::Pending;
        }
        // It has ended meanwhile, and saw no waker.
        fate.fetch_and(!WAITED, Relaxed);
        // SAFETY: written above, and nobody took it.
        drop(unsafe { (*joiner.get()).assume_init_read() });
        Poll::Ready(())
    }

    /// Takes back the waker that a poll has left. `before` is what the fate was.
    fn take_waker(&self, before: u8) -> Result<Option<Waker>, Ended> {
        let Task { fate, joiner, .. } = self.task.get();
        if before & WAITED == 0 {
            return Ok(None); // only the handle sets it
        }
        if fate.fetch_and(!WAITED, AcqRel) & ENDED != 0 {
            return Err(Ended); // the task has taken it
        }
        // SAFETY: K5: it was set, and we have cleared it first.
        Ok(Some(unsafe { (*joiner.get()).assume_init_read() }))
    }
}

/// The task was quicker.
struct Ended;

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        struct LetGo(TaskRef);
        impl Drop for LetGo {
            fn drop(&mut self) {
                self.0.let_go();
            }
        }
        let _let_go = LetGo(self.task);
        let fate = &self.task.get().fate;
        let waker = self.take_waker(fate.load(Relaxed)).ok().flatten();
        if fate.fetch_or(DETACHED, AcqRel) & ENDED != 0 {
            abandon(self.take(), self.scope.as_deref());
        }
        drop(waker); // foreign code, so at the end
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(future) = self.future() {
            return future.fmt(f);
        }
        if self.is_carrier.get() {
            return f.write_str("a worker, between two futures");
        }
        f.write_str("green thread")?;
        if let Some(id) = self.id() {
            write!(f, " {id}")?;
        }
        if let Some(name) = self.name() {
            write!(f, " \"{name}\"")?;
        }
        if let Some(site) = self.spawn_site() {
            write!(f, ", spawned at {site}")?;
        }
        Ok(())
    }
}

/// What [`TaskRef::hold`] gives: name, id and spawn site of one task may be read.
#[cfg(any(feature = "log", feature = "tracing"))]
pub(crate) struct Hold(TaskRef);

#[cfg(any(feature = "log", feature = "tracing"))]
impl Hold {
    /// The future that it polls, or itself.
    pub(crate) fn id(&self) -> Option<TaskId> {
        let task = self.0.get();
        NonZero::new(task.polled.load(Relaxed)).map(TaskId).or_else(|| task.id())
    }

    /// Its own name and spawn site. None for a worker's own task.
    pub(crate) fn describe(&self) -> Option<String> {
        let task = self.0.get();
        if task.home.load(Relaxed).is_null() {
            return None;
        }
        let name = task.name().map_or(String::new(), |name| format!(" \"{name}\""));
        Some(format!("green thread {}{name}, spawned at {}", task.id()?, task.spawn_site()?))
    }
}

#[cfg(any(feature = "log", feature = "tracing"))]
impl Drop for Hold {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// The number of a green thread, or of a future that runs as a task: no other of this process has it, ever.
///
/// # Examples
///
/// ```
/// let task = greenlight::go(greenlight::task::current_id);
/// let id = task.id();
/// assert_eq!(task.join().unwrap(), Some(id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZero<u64>);

impl TaskId {
    pub(crate) fn next() -> Self {
        Self(NonZero::new(NEXT_ID.fetch_add(1, Relaxed)).expect("2^63 tasks are more than a process has time for"))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A first-in-first-out list of tasks, linked through their headers: nothing is allocated.
pub(crate) struct TaskList {
    first: Option<TaskRef>,
    last: Option<TaskRef>,
    len: usize,
}

// SAFETY: a task in a list belongs to whoever has the list (K2).
unsafe impl Send for TaskList {}

impl TaskList {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, task: TaskRef) {
        task.get().next.set(None);
        match self.last {
            None => self.first = Some(task),
            Some(last) => last.get().next.set(Some(task)),
        }
        self.last = Some(task);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<TaskRef> {
        let task = self.first?;
        self.first = task.get().next.take();
        if self.first.is_none() {
            self.last = None;
        }
        self.len -= 1;
        Some(task)
    }

    /// Takes the older half, rounded up.
    pub(crate) fn take_half(&mut self) -> TaskList {
        let mut taken = TaskList::new();
        for _ in 0..self.len.div_ceil(2) {
            let Some(task) = self.pop() else { break };
            taken.push(task);
        }
        taken
    }

    pub(crate) fn append(&mut self, mut other: TaskList) {
        while let Some(task) = other.pop() {
            self.push(task);
        }
    }
}

/// Where other threads leave tasks that they woke: a stack that its worker empties at once.
pub(crate) struct Inbox {
    /// | operation | order   | pairs with | so that                                                            |
    /// |-----------|---------|------------|--------------------------------------------------------------------|
    /// | push      | SeqCst  | take, look | the worker sees the task's link; the sleep protocol (worker.rs)    |
    /// | take      | AcqRel  | push       | the same                                                           |
    /// | look      | SeqCst  | push       | the sleep protocol                                                 |
    top: std::sync::atomic::AtomicPtr<Task>,
}

impl Inbox {
    pub(crate) const fn new() -> Self {
        Self { top: std::sync::atomic::AtomicPtr::new(std::ptr::null_mut()) }
    }

    pub(crate) fn push(&self, task: TaskRef) {
        let mut top = self.top.load(Relaxed);
        loop {
            task.get().next.set(NonNull::new(top).map(TaskRef));
            match self.top.compare_exchange_weak(top, task.0.as_ptr(), SeqCst, Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.top.load(SeqCst).is_null()
    }

    /// All of them, the oldest first.
    pub(crate) fn take(&self) -> TaskList {
        let mut newest = NonNull::new(self.top.swap(std::ptr::null_mut(), AcqRel)).map(TaskRef);
        let mut oldest_first = None;
        while let Some(task) = newest {
            newest = task.get().next.replace(oldest_first);
            oldest_first = Some(task);
        }
        let mut list = TaskList::new();
        while let Some(task) = oldest_first {
            oldest_first = task.get().next.get();
            list.push(task);
        }
        list
    }
}
