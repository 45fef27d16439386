//! A green thread: its header, its state, and what is left of it when it ends.
//!
//! ```text
//!   one slot of the pool, low addresses to the left: a stack, perhaps another task's (K8), and a card
//!   ┌───────┬───────────────────────────────────────────────┬────────┬───────────────┐
//!   │ guard │   …   ◀── the stack grows                     │  Task  │ Job (closure, │
//!   │       │                                               │        │ then result)  │
//!   └───────┴───────────────────────────────────────────────┴────────┴───────────────┘
//!
//!            spawn             park: its stack was left, and no wake-up came before
//!   FREE ───────────▶ READY ────────────────────────────────────────────────────────▶ PARKED
//!    ▲                 │  ▲                                                             │
//!    │        end: the │  └───────────────── wake: the waker queues it ─────────────────┘
//!    └── last holder ◀─┘
//!
//!   READY is a task that runs or is queued; a wake-up that comes meanwhile sets NOTIFIED, so that its next park ends at once.
//!   So a task that yields, and one that starts, changes no state.
//! ```
//!
//! * K1  A card of the pool holds a `Task` for ever, free or not. `state` is only ever changed atomically, so a stale waker
//!   may knock at any time: at worst it wakes a stranger once in vain, and every park point loops.
//! * K2  The other fields that are no atomics belong to whoever may run the task next: the spawner until it is queued, then
//!   its queue, then its worker. Exceptions: `worker` may be read by the waker that took it out of PARKED; what `prepare` sets
//!   and nobody changes, by the handle; the report of a deadlock reads all, when nobody runs.
//! * K3  Two hold a slot: the task itself, until another stack runs after its end, or its stack is another one's (K8), and its handle; and
//!   for a moment the monitor, if there is still one of them. The last one to let go gives the slot back. No user code runs then: the
//!   closure is gone, the result taken or dropped.
//! * K4  `wake` always writes. Who takes a task out of PARKED hands it over by a queue, which brings what he did before; whoever
//!   comes later leaves NOTIFIED, and the task does not park before it has taken that. So each look that a wake-up brings
//!   about sees what the waker did.
//! * K5  How its end and its handle meet: `header/fate.rs`.
//! * K6  A request to cancel names the id, which no two tasks have in common. So it may come at any time, by anybody who once
//!   knew of the task.
//! * K7  A roaming task goes on wherever it is taken up: `worker` is then the one that runs it, and means nothing while it does not run.
//!   Whoever spawned it has promised that it can bear that (`task::Builder::roaming`).
//! * K8  Which stack it runs on: `header/succession.rs`.

mod fate;
mod id;
mod job;
mod list;
mod outcome;
mod packed;
mod state;
mod succession;

#[cfg(all(test, loom))]
pub(crate) mod models;

pub use self::id::TaskId;
pub(crate) use self::{
    fate::{Detached, Fate, Joiner},
    job::{Ending, discard, unwind},
    list::{Inbox, TaskList},
    outcome::Outcome,
};

use self::{
    job::{Job, free_boxed_job, run_job},
    state::{FREE, READY},
};
use crate::{
    locals::Locals,
    runtime::Shared,
    scope::Members,
    stack::{CARD_SIZE, Class, Slot},
    stackless::Stackless,
    sync::{
        Cell, UnsafeCell,
        atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering::*},
    },
    worker::Worker,
};
use greenlight_core::park::Why;
use std::{fmt, mem::offset_of, num::NonZero, panic::Location, ptr::NonNull, sync::Arc};

/// A pointer to a task: valid for ever by K1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskRef(NonNull<Task>);

/// In this order, so that what every switch touches lies in one cache line.
#[repr(C)]
pub(crate) struct Task {
    /// | operation    | order   | pairs with   | so that                                                               | model |
    /// |--------------|---------|--------------|-----------------------------------------------------------------------|-------|
    /// | leave a      | Release | `take_noti-  | K4                                                                    | 1 2   |
    /// | notification |         | fication`    |                                                                       |       |
    /// | take it      | Acquire | leave it     | K4. By a swap: it misses none                                         | 1 2   |
    /// | park         | Release | end the park | the waker sees the task's registers and fields, `worker` among them   | 1 2   |
    /// | end the park | Acquire | park         | the same. What the waker did before goes through the queue            | 1 2   |
    /// | spawn        | Release | `is_alive`   | a survey that finds a later task alive finds its tag. The queue has a | 3     |
    /// |              |         |              | lock of its own; a stale waker reads no more                          |       |
    /// | `is_alive`   | Acquire | spawn        | the same                                                              | 3     |
    /// | end          | Relaxed | nothing      | the pool's lock, or a worker's cache of its own, brings it to the next |       |
    ///
    /// Each weakened by one step fails a model: 1 `state_loses_no_wake_up`, 2 `state_queues_a_task_once`,
    /// 3 `task_survey_tells_of_one_task`.
    state: AtomicU8,
    /// Who still holds the slot (K3).
    ///
    /// | operation | order   | pairs with | so that                                         | model |
    /// |-----------|---------|------------|-------------------------------------------------|-------|
    /// | let go    | AcqRel  | let go     | the last holder comes after all that others did | 1 2   |
    /// | spawn     | Release | hold       | who looks from outside finds the task's name    | 2     |
    /// | hold      | Acquire | spawn      | the same                                        | 2     |
    ///
    /// Each weakened by one step fails a model: 1 `task_last_holder_comes_after_all_others`, 2 `task_is_held_by_who_looks`.
    holders: AtomicU8,
    /// K5.
    fate: AtomicU8,
    /// A worker's own: it polls futures (`stackless.rs`).
    pub(crate) is_carrier: Cell<bool>,
    /// Free at every wake, and bound to no worker while it does not run (K7). Its own while it runs; who wakes it reads it behind the park.
    roams: Cell<bool>,
    /// Of its slot.
    class: Cell<Class>,
    /// There may be something in `name`, `locals` or `scope`: who begins and ends a task else need not fetch their line.
    extra: Cell<bool>,
    /// While above zero, the task is not cancelled.
    shields: Cell<u32>,
    /// Its neighbours in a list: `list.rs`.
    next: Cell<Option<TaskRef>>,
    previous: Cell<Option<TaskRef>>,
    pub(crate) stack_pointer: std::cell::Cell<*mut u8>,
    worker: Cell<Option<&'static Worker>>,
    /// The id, shifted, and [`CANCELLED`].
    ///
    /// | operation                    | order   | pairs with | so that                                                      |
    /// |------------------------------|---------|------------|--------------------------------------------------------------|
    /// | spawn                        | Release | survey     | who finds the id finds `home` and `spawn_site` of that task, |
    /// | survey, first look           | Acquire | spawn      | or of a later one                                            |
    /// | `home`, `spawn_site`: spawn  | Release | survey     | who finds them finds that the task before has ended          |
    /// | `home`, `spawn_site`: survey | Acquire | spawn      | the same                                                     |
    /// | request                      | Relaxed | nothing    | the wake-up after it brings it                               |
    /// | look                         | Relaxed | nothing    | the same                                                     |
    ///
    /// Each weakened by one step fails `task_survey_tells_of_one_task`.
    tag: AtomicU64,
    /// The top of the stack that belongs to the slot; null before its first use: `header/succession.rs`.
    ///
    /// | operation      | order   | pairs with | so that                                                                    |
    /// |----------------|---------|------------|----------------------------------------------------------------------------|
    /// | note, exchange | Relaxed | nothing    | by its owner (K8); what brings the slot to the next one brings this: queue, |
    /// |                |         |            | cache, the pool's lock                                                     |
    /// | look, trim     | Relaxed | nothing    | by its owner, or behind the pool's lock                                    |
    /// | `on`           | Relaxed | nothing    | the handler looks for the stack that it has interrupted: noted by the same |
    /// |                |         |            | thread; of others it wants only that they are different (K8)               |
    ///
    /// Argued: it has no protocol of its own.
    stack: AtomicPtr<u8>,

    // ---- and what every begin and end does, in a second one
    run: Cell<Option<Run>>,
    job: Cell<*mut ()>,
    free_job: Cell<Option<unsafe fn(*mut ())>>,
    joiner: Joiner,
    /// The runtime it was spawned on. As `spawn_site`: see `tag`. By those who hold the task, Relaxed.
    home: AtomicPtr<Shared>,
    spawn_site: AtomicPtr<Location<'static>>,
    /// What a carrier polls now, and for how long that lives.
    polling: Cell<Option<NonNull<Stackless>>>,
    /// The id of that future, or 0. Relaxed: for a look from outside.
    polled: AtomicU64,

    /// What it waits for, while it is parked.
    pub(crate) why: Cell<Option<Why>>,
    /// From `Box<str>`, freed by the last holder.
    name: Cell<Option<NonNull<str>>>,
    /// From `Box`, freed at the end of the closure.
    locals: Cell<Option<NonNull<Locals>>>,
    /// From `Arc`: the scope that waits for it.
    scope: Cell<Option<NonNull<Members>>>,
    /// Its neighbours among the members of the scope, which guards them.
    pub(crate) siblings: Cell<[Option<TaskRef>; 2]>,
    /// Its stack, as ThreadSanitizer knows it; null before it first runs.
    #[cfg(greenlight_tsan)]
    fiber: Cell<*const u8>,
}

// The lines that `Task` speaks of.
#[cfg(not(loom))]
const _: () = assert!(offset_of!(Task, run) == 64 && offset_of!(Task, why) == 128);

/// Runs the job at this address, of this task.
type Run = unsafe fn(*mut (), TaskRef);

/// In `tag`: somebody wants the task to end.
const CANCELLED: u64 = 1;

/// What a spawn says about a task beside its closure.
pub(crate) struct Spawn {
    pub(crate) site: &'static Location<'static>,
    pub(crate) name: Option<Box<str>>,
    /// On the spawner's own worker, if it has one.
    pub(crate) near: bool,
    pub(crate) stack: Class,
    /// Only by the word of whoever spawns (K7).
    pub(crate) roams: bool,
    pub(crate) scope: Option<Arc<Members>>,
}

impl Spawn {
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self::at(Location::caller())
    }

    /// Started by a closure, which does not know its caller's line.
    pub(crate) fn at(site: &'static Location<'static>) -> Self {
        Self { site, name: None, near: false, stack: Class::DEFAULT, roams: false, scope: None }
    }
}

impl TaskRef {
    /// Where the task of a slot is.
    pub(crate) fn of(slot: Slot) -> Self {
        Self(slot.card().cast())
    }

    fn slot(self) -> Slot {
        Slot::new(self.0.cast(), self.get().class.get())
    }

    /// The bounds of its stack, for the sanitizers, asked by its worker; empty without them.
    pub(crate) fn stack_bounds(self) -> (*const u8, usize) {
        #[cfg(greenlight_asan)]
        {
            let stack = self.stack();
            (stack.guard_end(), stack.top().addr() - stack.guard_end().addr())
        }
        #[cfg(not(greenlight_asan))]
        {
            #[cfg(greenlight_tsan)]
            return (self.get().fiber(), 0);
            #[cfg(not(greenlight_tsan))]
            (std::ptr::null(), 0)
        }
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
    /// What closure and result borrow lives until the task has ended, and the outcome is gone or forgotten. Both are `Send`, or the
    /// task is started by nobody but the calling thread.
    pub(crate) unsafe fn prepare<F, T>(slot: Slot, home: &'static Shared, spawn: Spawn, closure: F) -> Outcome<T>
    where
        F: FnOnce() -> T,
    {
        let this = Self::of(slot);
        let task = this.get();
        let job = Job { closure: Cell::new(Some(closure)), result: UnsafeCell::new(None) };
        let behind = size_of::<Task>().next_multiple_of(align_of::<Job<F, T>>());
        let inline = behind + size_of::<Job<F, T>>() <= CARD_SIZE; // which is what a card is aligned to
        let place = if inline {
            this.as_raw().wrapping_byte_add(behind).cast::<Job<F, T>>()
        } else {
            Box::into_raw(Box::<Job<F, T>>::new_uninit()).cast::<Job<F, T>>()
        };
        // SAFETY: free memory of the right size and alignment: behind the header, on the card, which is ours (K2), or a fresh box.
        unsafe { place.write(job) };

        // K1, K6: a stale waker may touch `state` meanwhile, a survey reads atomics, and nothing else.
        task.become_another(home, spawn.site);
        // What is not named here the task before has left empty; behind `extra`, what it has not is not looked at.
        task.class.set(slot.class());
        task.shields.set(0);
        task.is_carrier.set(false);
        task.roams.set(spawn.roams);
        task.next.set(None);
        task.worker.set(None);
        task.job.set(place.cast());
        task.run.set(Some(run_job::<F, T>));
        task.free_job.set(if inline { None } else { Some(free_boxed_job::<F, T>) });
        let (name, scope) = (spawn.name, spawn.scope);
        task.extra.set(name.is_some() || scope.is_some());
        if task.extra.get() {
            task.locals.set(None); // of the task before: what the drop of its result has made
            task.name.set(name.map(|name| NonNull::from(Box::leak(name))));
            task.scope.set(scope.clone().and_then(|scope| NonNull::new(Arc::into_raw(scope).cast_mut())));
        }
        #[cfg(greenlight_tsan)]
        task.fiber.set(std::ptr::null());
        this.wait_to_begin(slot);
        task.begin();

        // SAFETY: a field of the job that was just written.
        let result = unsafe { NonNull::new_unchecked(place.byte_add(offset_of!(Job<F, T>, result)).cast()) };
        Outcome { task: this, result, scope }
    }

    /// Runs the closure and leaves the result. On the task's own stack.
    pub(crate) fn run(self) {
        let task = self.get();
        let run = task.run.get().expect("a task that was spawned");
        // SAFETY: the job that `prepare` wrote together with this function; run once, at the task's start.
        unsafe { run(task.job.get(), self) };
    }

    /// Asked by whoever it belongs to (K2).
    pub(crate) fn roams(self) -> bool {
        self.get().roams.get()
    }

    /// By the task itself, while it runs: one that does not roam for a while stays bound to the worker that it is on.
    pub(crate) fn let_roam(self, roams: bool) {
        self.get().roams.set(roams);
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

    pub(crate) fn let_go(self) {
        if self.get().leave() {
            self.clear();
            // SAFETY: K3, nobody holds it any more; K8, and nobody is on the stack that belongs to it by now.
            unsafe {
                #[cfg(greenlight_asan)]
                crate::stack::sanitizer::forget(self.stack().guard_end(), self.stack().top());
                crate::worker::release_slot(self.slot());
            }
        }
    }

    /// By the last holder.
    fn clear(self) {
        let task = self.get();
        if let Some(free_job) = task.free_job.take() {
            // SAFETY: the box that `prepare` made; the last holder frees it.
            unsafe { free_job(task.job.get()) };
        }
        if task.extra.get()
            && let Some(name) = task.name.take()
        {
            // SAFETY: from the box that `prepare` leaked; by K3 nobody reads it any more.
            drop(unsafe { Box::from_raw(name.as_ptr()) });
        }
        task.state.store(FREE, Relaxed);
    }

    /// For a look from outside at a task that may end meanwhile: while the hold lasts, the slot is not given back. None if it has
    /// been.
    #[cfg(any(feature = "log", feature = "tracing", all(test, loom)))]
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

    pub(crate) fn has_ended(self) -> bool {
        self.get().fate().has_ended()
    }

    /// For a look from outside, at any time: the task that lives here, if it was spawned on `home`.
    pub(crate) fn survey(self, home: &Shared) -> Option<(TaskId, &'static Location<'static>)> {
        let task = self.get();
        let id = task.id()?;
        let (there, site) = (task.home.load(Acquire), task.spawn_site());
        // What was read belongs to this task if the tag is still the same. If one of the two was a later task's, this one is seen to have
        // ended: it is not alive, or the later one is, and that one's tag is seen.
        let alive = self.is_alive() && !self.has_ended();
        (std::ptr::eq(there, home) && alive && task.id() == Some(id)).then_some((id, site?))
    }
}

impl Task {
    /// It is a new task from now on. A survey may look meanwhile: what it finds, it finds in the opposite order.
    fn become_another(&self, home: &'static Shared, site: &'static Location<'static>) {
        self.fate.store(0, Relaxed);
        self.home.store(std::ptr::from_ref(home).cast_mut(), Release);
        self.spawn_site.store(std::ptr::from_ref(site).cast_mut(), Release);
        self.tag.store(TaskId::next().0.get() << 1, Release);
    }

    /// All of it is there: its own, and its handle's. Others may hold it, too.
    fn begin(&self) {
        self.holders.store(2, Release);
        self.state.store(READY, Release);
    }

    /// K3: true for the last of those who hold it.
    fn leave(&self) -> bool {
        self.holders.fetch_sub(1, AcqRel) == 1
    }

    fn fate(&self) -> Fate<'_> {
        // SAFETY: K5: both are touched by this alone, but in `prepare`, before the task begins (K2).
        unsafe { Fate::of(&self.fate, &self.joiner) }
    }

    /// Made when the stack is first entered.
    #[cfg(greenlight_tsan)]
    fn fiber(&self) -> *const u8 {
        if self.fiber.get().is_null() {
            self.fiber.set(crate::stack::sanitizer::fibers::create());
        }
        self.fiber.get()
    }

    pub(crate) fn id(&self) -> Option<TaskId> {
        NonZero::new(self.tag.load(Acquire) >> 1).map(TaskId)
    }

    pub(crate) fn spawn_site(&self) -> Option<&'static Location<'static>> {
        // SAFETY: null in fresh memory, then always a location of the program's.
        unsafe { self.spawn_site.load(Acquire).as_ref() }
    }

    /// For its holders, and for reports (K2).
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: a box's that lives as long as the task.
        self.name.get().map(|name| unsafe { &*name.as_ptr() })
    }

    /// Its task-locals, for the task itself.
    pub(crate) fn locals(&self) -> Option<NonNull<Locals>> {
        if self.extra.get() { self.locals.get() } else { None }
    }

    /// The same; freed, or taken away, before the task ends.
    pub(crate) fn set_locals(&self, locals: Option<NonNull<Locals>>) {
        self.extra.set(true);
        self.locals.set(locals);
    }

    /// From `prepare`, to be taken by the task itself, at its end.
    fn take_scope(&self) -> Option<Arc<Members>> {
        let scope = if self.extra.get() { self.scope.take() } else { None };
        // SAFETY: from `Arc::into_raw` in `prepare`; taken by the task itself (K2), which leaves none.
        scope.map(|scope| unsafe { Arc::from_raw(scope.as_ptr().cast_const()) })
    }

    /// The future that this task polls, which calls it, or whose report it is.
    pub(crate) fn future(&self) -> Option<&Stackless> {
        let polling = if self.is_carrier.get() { self.polling.get() } else { None };
        // SAFETY: set for the time of a poll, during which the future is there.
        polling.map(|future| unsafe { future.as_ref() })
    }

    /// It polls this future now, which lives until it does not any more.
    pub(crate) fn set_polling(&self, future: Option<&Stackless>) {
        debug_assert!(self.is_carrier.get(), "others are not asked for their futures");
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
#[cfg(any(feature = "log", feature = "tracing", all(test, loom)))]
pub(crate) struct Hold(TaskRef);

#[cfg(any(feature = "log", feature = "tracing", all(test, loom)))]
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

#[cfg(any(feature = "log", feature = "tracing", all(test, loom)))]
impl Drop for Hold {
    fn drop(&mut self) {
        self.0.let_go();
    }
}
