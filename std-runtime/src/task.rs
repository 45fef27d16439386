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
//! * K2  The other fields belong to whoever may run the task next: the spawner until it is queued, then its queue, then its
//!   worker. Exceptions: `worker` may be read by the waker that took it out of PARKED; the report of a deadlock reads all,
//!   when nobody runs.
//! * K3  Two hold a slot: the task itself, until another stack runs after its end, and its `JoinHandle`. The last one to
//!   let go gives the slot back. No user code runs then: the closure is gone, the result taken or dropped.
//! * K4  `wake` always writes, and `resume` always reads and writes: of a wake and the resume that follows it, the task sees
//!   what the waker did.

use crate::{stack::Slot, worker::Worker};
use greenlight_core::{WaitGroup, park::Why};
use std::{
    any::Any,
    cell::{Cell, UnsafeCell},
    fmt,
    mem::{MaybeUninit, offset_of},
    panic::{AssertUnwindSafe, Location, catch_unwind},
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU64, Ordering::*},
    task::{RawWaker, RawWakerVTable, Waker},
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
    holders: AtomicU8,
    /// Who drops the result.
    ///
    /// | operation      | order  | pairs with     | so that                                  |
    /// |----------------|--------|----------------|------------------------------------------|
    /// | end, detach    | AcqRel | each other     | whoever comes second sees the result     |
    fate: AtomicU8,
    next: Cell<Option<TaskRef>>,
    pub(crate) stack_pointer: Cell<*mut u8>,
    worker: Cell<Option<&'static Worker>>,
    pub(crate) id: Cell<u64>,
    pub(crate) spawn_site: Cell<Option<&'static Location<'static>>>,
    /// What it waits for, while it is parked.
    pub(crate) why: Cell<Option<Why>>,
    job: Cell<*mut ()>,
    run: Cell<Option<unsafe fn(*mut ())>>,
    free_job: Cell<Option<unsafe fn(*mut ())>>,
    /// Counts 1 until the task has ended: what `join` waits on.
    ended: WaitGroup,
}

const ENDED: u8 = 1;
const DETACHED: u8 = 2;

/// The closure of a task, then its result.
struct Job<F, T> {
    closure: Cell<Option<F>>,
    result: UnsafeCell<Option<thread::Result<T>>>,
}

/// What [`spawn`](TaskRef::prepare) leaves for the join handle.
pub(crate) struct Outcome<T> {
    task: TaskRef,
    result: NonNull<UnsafeCell<Option<thread::Result<T>>>>,
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

    pub(crate) fn get(&self) -> &Task {
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
    pub(crate) fn prepare<F, T>(slot: Slot, closure: F, site: &'static Location<'static>) -> Outcome<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
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

        // K1: a stale waker may touch `state` meanwhile, and nothing else.
        task.holders.store(2, Relaxed);
        task.fate.store(0, Relaxed);
        task.next.set(None);
        task.worker.set(None);
        task.id.set(NEXT_ID.fetch_add(1, Relaxed));
        task.spawn_site.set(Some(site));
        task.why.set(None);
        task.job.set(place.cast());
        task.run.set(Some(run_job::<F, T>));
        task.free_job.set(if inline { None } else { Some(free_boxed_job::<F, T>) });
        debug_assert_eq!(task.ended.count(), 0);
        task.ended.add(1);
        // SAFETY: `top` is inside our slot, with the whole stack below it.
        task.stack_pointer.set(unsafe { crate::arch::prepare(top, crate::worker::first_steps, this.as_raw()) });
        task.state.store(READY, Release);

        // SAFETY: a field of the job that was just written.
        let result = unsafe { NonNull::new_unchecked(place.byte_add(offset_of!(Job<F, T>, result)).cast()) };
        Outcome { task: this, result }
    }

    /// Runs the closure and leaves the result. On the task's own stack.
    pub(crate) fn run(self) {
        let task = self.get();
        let run = task.run.get().expect("a task that was spawned");
        // SAFETY: the job that `prepare` wrote together with this function; run once, at the task's start.
        unsafe { run(task.job.get()) };
        task.ended.done();
    }

    /// Takes the task out of its rest: it runs now, on the calling worker, where it stays from the first time on.
    pub(crate) fn resume(self, worker: &'static Worker) {
        let task = self.get();
        if task.worker.get().is_none() {
            task.worker.set(Some(worker));
        }
        debug_assert!(task.worker.get().is_some_and(|home| std::ptr::eq(home, worker)), "a started task is bound");
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

    /// Leaves a wake-up. If the task was parked, it is the caller's to queue, with the worker it is bound to.
    fn notify(self) -> Option<&'static Worker> {
        if self.get().state.fetch_or(NOTIFIED, AcqRel) != PARKED {
            return None;
        }
        // K2: parked, and nobody else took it out of PARKED. It has run, so it is bound.
        self.get().worker.get()
    }

    pub(crate) fn wake(self) {
        if let Some(worker) = self.notify() {
            worker.enqueue_woken(self);
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
        task.state.store(FREE, Release);
        // SAFETY: K3, nobody holds it any more, and its stack was left.
        unsafe { crate::stack::release(self.slot()) };
    }

    /// Whether there is a live task in the slot. For reports.
    pub(crate) fn is_alive(self) -> bool {
        self.get().state.load(Acquire) & !NOTIFIED != FREE
    }

    pub(crate) fn has_ended(self) -> bool {
        self.get().ended.count() == 0
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
    let closure = job.closure.take().expect("a closure that has not run");
    let result = catch_unwind(AssertUnwindSafe(closure));
    // SAFETY: nobody looks at the result before ENDED is set.
    unsafe { *job.result.get() = Some(result) };
    let task = crate::worker::current_task().expect("a job runs as a task");
    if task.get().fate.fetch_or(ENDED, AcqRel) & DETACHED != 0 {
        // SAFETY: detached, so nobody else looks at it any more.
        discard(unsafe { &mut *job.result.get() }.take());
    }
}

/// Drops a result that nobody wants. If that panics, the hook has reported it; the second payload is leaked, since its
/// drop may panic as well.
fn discard<T>(result: Option<thread::Result<T>>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
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

    pub(crate) fn has_ended(&self) -> bool {
        self.task.has_ended()
    }

    /// Waits for the end of the task and takes its result.
    #[track_caller]
    pub(crate) fn wait(self) -> Result<T, Box<dyn Any + Send>> {
        self.task.get().ended.wait_as("join a green thread");
        // SAFETY: ended, not detached: the result is there, and ours.
        let result = unsafe { (*self.result.as_ref().get()).take() };
        result.expect("an ended task has a result, and one taker")
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        struct LetGo(TaskRef);
        impl Drop for LetGo {
            fn drop(&mut self) {
                self.0.let_go();
            }
        }
        let _let_go = LetGo(self.task);
        if self.task.get().fate.fetch_or(DETACHED, AcqRel) & ENDED != 0 {
            // SAFETY: ended, and the task has left the result to us.
            discard(unsafe { (*self.result.as_ref().get()).take() });
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "green thread {}", self.id.get())?;
        if let Some(site) = self.spawn_site.get() {
            write!(f, ", spawned at {site}")?;
        }
        Ok(())
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
