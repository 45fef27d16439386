//! A worker: one OS thread that runs green threads.
//!
//! ```text
//!                    ┌ next    the task woken last by this worker (at most 16 times in a row)
//!   pick, in order  ─┼ ready   bound tasks: they have run here, and stay
//!                    ├ inbox   bound tasks that other threads woke
//!                    ├ free    tasks that have not started, or roam: thieves take from here
//!                    ├ steal   half of another worker's free tasks
//!                    └ futures tasks without a stack, here or with another worker: a carrier polls them
//! ```
//!
//! A task that parks picks the next one and switches straight to it. With nothing to pick, it spins a little where it is, and may
//! be woken there; then the worker goes back to its own stack (`base`) and sleeps. What must happen after a stack was left (it may
//! now be resumed, or freed) is noted in `after`, and done by whoever runs next on this worker. A task that has ended leaves its stack to
//! the next one if that has not begun: then nothing is left, and nothing switched.
//!
//! * W1  Fields in the `Local` part are touched by this worker's thread alone, and no borrow of them lives across a switch.
//! * W2  Bound tasks are resumed by their own worker only, so a task sees one OS thread all its life. A roaming one may wake up on
//!   another: nothing on its stack that stands around a switch uses the worker from before it.
//! * W3  No work is left with a sleeping worker, but for half a millisecond: `worker/mode.rs`.
//! * W4  A worker's thread ends when its runtime has ended, or when it is a spare one that nobody has needed for a while, and no live
//!   task is bound to it; its free list is closed first, under the list's lock, so that no task is put where nobody looks.
//! * W5  Which workers take up new work is the monitor's decision: none that is stuck, until it switches; a spare one only while it is
//!   engaged. Whatever else is put with a worker, it runs.

mod carriers;
mod free;
mod hosted;
mod mode;
mod sleep;
mod sockets;
mod timers;
mod watched;

pub(crate) use mode::WAKES;
pub(crate) use sockets::take_turns;

use self::{
    carriers::Futures,
    free::{Free, Given},
    hosted::Host,
    mode::Mode,
    sleep::Spin,
    timers::Timers,
    watched::Watched,
};
use crate::{
    arch,
    header::{Inbox, TaskList, TaskRef},
    monitor,
    net::poller::Poller,
    runtime::Shared,
    stack::{self, Class, Slot, StackError, sanitizer},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    time::alarms::Key,
};
use greenlight_core::{SpinMutex, park::Tick};
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    sync::{OnceLock, PoisonError},
    thread::Thread,
};

/// How often in a row the task in `next` may go before those in `ready`.
const NEXT_IN_A_ROW: u32 = 16;
/// Every so many picks the inbox, the timers, the free tasks and the sockets get a look, however much is ready.
const LOOK_AROUND: u32 = 64;

/// Three groups, each in cache lines of its own: what others write to bring work, and a spinning worker reads all the while; what
/// thieves and bringers share rarely; and what the worker writes at each switch, which would else take the lines from the others.
#[repr(C)]
pub(crate) struct Worker {
    inbox: Inbox,
    mode: Mode,
    /// The length of `free`, for those who do not want its lock.
    ///
    /// | operation | order   | pairs with | so that                                                                          |
    /// |-----------|---------|------------|----------------------------------------------------------------------------------|
    /// | store     | Relaxed | nothing    | under the lock; the fence of `rouse`, or `offer`, is behind it, and that of      |
    /// | load      | Relaxed | nothing    | `fall_asleep` before the last look: W3. Without one `spawn_is_seen_behind_a_spin`|
    /// |           |         |            | or `mode_leaves_no_work_with_a_sleeper` fails                                    |
    free_len: AtomicUsize,
    /// The length of `futures`, for the same. SeqCst: part of W3.
    futures_len: AtomicUsize,
    /// Whether it sleeps in its poller, if it sleeps: W6, in `worker/sleep.rs`.
    ///
    /// | operation | order   | pairs with                                   | so that                                 |
    /// |-----------|---------|----------------------------------------------|-----------------------------------------|
    /// | store     | Relaxed | the change of `mode` to ASLEEP, behind it    | who has ended that sleep reads this one,|
    /// | load      | Relaxed | the change of `mode` to WAKING, before it    | or a later one's                        |
    ///
    /// In another order, or with a Relaxed change of `mode`, they fail `sleep_is_ended_the_way_it_is_slept`.
    in_poller: AtomicBool,
    shared_rarely: [Line; 0],
    pub(crate) index: usize,
    pub(crate) shared: &'static Shared,
    free: SpinMutex<Free>,
    given: Given,
    futures: SpinMutex<Futures>,
    /// Of the sockets that wait for their events here.
    pub(crate) poller: Poller,
    /// Whether the thread has ended, so that it sleeps for good (SeqCst: deadlock detection counts threads).
    pub(crate) ended: AtomicBool,
    /// None before it runs. A spare worker has one after the other.
    thread: Mutex<Option<Thread>>,
    /// Set before its first task, if it has no thread.
    host: OnceLock<Host>,
    its_own: [Line; 0],
    pub(crate) watched: Watched,
    /// Tasks that have started here and have not ended, but those that roam and are parked. Written by this worker's thread only:
    /// exact there, for others a hint (Relaxed).
    bound: AtomicUsize,
    local: Local,
}

/// Where something begins in a new pair of cache lines: the hardware fetches them in pairs.
#[repr(align(128))]
struct Line;

/// W1.
struct Local {
    base: Cell<*mut u8>,
    /// The bounds of the thread's own stack, as the sanitizers tell them.
    base_bounds: Cell<(*const u8, usize)>,
    after: Cell<After>,
    next: Cell<Option<TaskRef>>,
    next_in_a_row: Cell<u32>,
    /// When the sockets were served last.
    served: Cell<Tick>,
    /// The pick in which events are delivered: see `deliver`.
    delivers: Cell<Option<u32>>,
    /// The calls that did not wait, since the pick that is noted: see `spend`.
    calls: Cell<(u32, u32)>,
    ready: TaskList,
    /// There are free tasks here that were not shared out yet: `free.rs`.
    unspread: Cell<bool>,
    /// New tasks that come one by one go to another worker, for now.
    gives: Cell<bool>,
    /// The last look at a lone task of another worker: whose, and at which of its picks.
    seen: Cell<(usize, u32)>,
    /// Carriers that have nothing to poll. They are READY, so no waker queues them; `pick` does.
    idle_carriers: RefCell<Vec<TaskRef>>,
    /// Carriers at work that do not wait inside a poll.
    busy_carriers: Cell<u32>,
    /// Carriers that do.
    parked_carriers: Cell<usize>,
    closing: Cell<bool>,
    /// The task that has just left for the base has spun in vain: the base need not.
    has_spun: Cell<bool>,
    /// The last sleep ended by a timer, not by somebody else, so the next one may be expected to do that too.
    on_timers: Cell<bool>,
    /// A spare worker that has slept for long enough: W4.
    retires: Cell<bool>,
    timers: Timers,
    stacks: stack::Cache,
}

/// What to do once the stack that was left is left.
#[derive(Clone, Copy)]
enum After {
    Nothing,
    Park(TaskRef),
    Yield(TaskRef),
    /// A carrier without work.
    Rest(TaskRef),
    End(TaskRef),
}

// SAFETY: `local` is touched by one thread (W1); the rest is made for sharing.
unsafe impl Sync for Worker {}
// SAFETY: made on one thread, moved to its own before first use.
unsafe impl Send for Worker {}

thread_local! {
    static CURRENT: Cell<Option<&'static Worker>> = const { Cell::new(None) };
}

/// The worker whose thread this is. Never inlined: the address of a thread-local must not be kept across a switch by an
/// optimizer that does not know of switches.
#[inline(never)]
pub(crate) fn current() -> Option<&'static Worker> {
    CURRENT.with(Cell::get)
}

/// The green thread that runs this code.
pub(crate) fn current_task() -> Option<TaskRef> {
    current()?.watched.task()
}

/// Both, for the price of one.
pub(crate) fn current_with_task() -> Option<(&'static Worker, TaskRef)> {
    let worker = current()?;
    Some((worker, worker.watched.task()?))
}

/// A slot for a task that `here` spawns, or somebody who is no worker.
pub(crate) fn acquire_slot(here: Option<&Worker>, class: Class) -> Result<Slot, StackError> {
    match here.filter(|here| class == Class::DEFAULT && !here.is_hosted()) {
        Some(here) => here.local.stacks.acquire(),
        None => stack::acquire(class),
    }
}

/// # Safety
///
/// As for [`stack::release`].
pub(crate) unsafe fn release_slot(slot: Slot) {
    // SAFETY: the caller's promise; the class is looked at (C1), and the cache is this thread's (W1).
    unsafe {
        match current().filter(|here| slot.class() == Class::DEFAULT && !here.is_hosted()) {
            Some(here) => here.local.stacks.release(slot),
            None => stack::release(slot),
        }
    }
}

impl Worker {
    pub(crate) fn new(index: usize, shared: &'static Shared) -> Self {
        Self {
            inbox: Inbox::new(),
            mode: Mode::new(),
            free_len: AtomicUsize::new(0),
            futures_len: AtomicUsize::new(0),
            in_poller: AtomicBool::new(false),
            shared_rarely: [],
            index,
            shared,
            free: SpinMutex::new(Free::new()),
            given: Given::nothing(),
            futures: SpinMutex::new(Futures::new()),
            poller: Poller::new(),
            ended: AtomicBool::new(false),
            thread: Mutex::new(None),
            host: OnceLock::new(),
            its_own: [],
            watched: Watched::new(true),
            bound: AtomicUsize::new(0),
            local: Local {
                base: Cell::new(std::ptr::null_mut()),
                base_bounds: Cell::new((std::ptr::null(), 0)),
                after: Cell::new(After::Nothing),
                next: Cell::new(None),
                next_in_a_row: Cell::new(0),
                served: Cell::new(0),
                delivers: Cell::new(None),
                calls: Cell::new((0, 0)),
                ready: TaskList::new(),
                unspread: Cell::new(false),
                gives: Cell::new(false),
                seen: Cell::new((usize::MAX, 0)),
                idle_carriers: RefCell::new(Vec::new()),
                busy_carriers: Cell::new(0),
                parked_carriers: Cell::new(0),
                closing: Cell::new(false),
                has_spun: Cell::new(false),
                on_timers: Cell::new(false),
                retires: Cell::new(false),
                timers: Timers::new(),
                stacks: stack::Cache::new(),
            },
        }
    }

    /// One that does not run, and takes nothing before it does.
    pub(crate) fn new_spare(index: usize, shared: &'static Shared) -> Self {
        let spare = Self { watched: Watched::new(false), ended: AtomicBool::new(true), ..Self::new(index, shared) };
        spare.free.lock().closed = true;
        spare.futures.lock().closed = true;
        spare
    }

    // ---- from any thread ------------------------------------------------------------------------------------------

    /// The tasks that are bound here, parked ones too, and those that are free. A hint, but on the worker's thread or under its locks.
    pub(crate) fn live(&self) -> usize {
        self.bound.load(Relaxed) + self.free_tasks()
    }

    /// Whether it would take a new task up at once.
    pub(crate) fn is_idle(&self) -> bool {
        self.mode.is_idle()
    }

    /// It looks for work, and will look again before it sleeps.
    pub(crate) fn is_spinning(&self) -> bool {
        self.mode.is_spinning()
    }

    /// Woken, but not at work yet.
    pub(crate) fn is_waking(&self) -> bool {
        self.mode.is_waking()
    }

    /// Whether new work should go there (W5).
    pub(crate) fn is_open(&self) -> bool {
        self.watched.is_engaged() && !self.watched.is_asked()
    }

    /// Whether there is something here that another worker could do as well.
    pub(crate) fn has_free_work(&self) -> bool {
        self.free_len.load(Relaxed) > 0 || self.futures_len.load(Relaxed) > 0
    }

    /// Asleep until somebody wakes it.
    pub(crate) fn is_asleep(&self) -> bool {
        self.mode.is_asleep()
    }

    /// Asleep until a timer of one of its green threads is due, or for half a millisecond at most, or until somebody wakes it.
    pub(crate) fn is_asleep_until_timer(&self) -> bool {
        self.mode.is_asleep_until_timer()
    }

    /// Whether the monitor need not look at it: its thread sleeps, or has ended, or is the host's.
    pub(crate) fn rests(&self) -> bool {
        self.mode.rests() || self.ended.load(SeqCst) || self.is_hosted()
    }

    /// Puts a task that has not started here, to stay. On this worker's thread, by one of its tasks: so it has not ended.
    pub(crate) fn place_near(&'static self, task: TaskRef) {
        self.count_bound(1);
        task.bind(self);
        self.local.ready.push(task);
    }

    /// Queues a bound task of this worker that the caller took out of its sleep.
    pub(crate) fn enqueue_woken(&'static self, task: TaskRef) {
        if current().is_some_and(|worker| std::ptr::eq(worker, self)) {
            if let Some(older) = self.local.next.replace(Some(task)) {
                self.local.ready.push(older);
            }
        } else {
            self.inbox.push(task);
            self.rouse();
        }
    }

    // ---- on this worker's thread ----------------------------------------------------------------------------------

    /// The thread's whole life.
    pub(crate) fn main(&'static self) {
        CURRENT.with(|current| current.set(Some(self)));
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        self.watched.begins();
        self.poller.reopen();
        self.open();
        loop {
            if let Some(task) = self.pick() {
                self.local.retires.set(false);
                self.local.has_spun.set(false);
                monitor::watch();
                self.leave(None, After::Nothing, Some(task));
            } else if !self.find_work() {
                break;
            }
        }
        self.local.closing.set(true);
        while let Some(carrier) = self.take_idle_carrier() {
            self.leave(None, After::Nothing, Some(carrier));
        }
        self.poller.close(self);
        self.local.stacks.give_back();
        self.local.timers.give_back();
        self.local.closing.set(false);
        // W1: the destructors of thread-locals still run here, while a spare worker may begin another life on another thread.
        CURRENT.with(|current| current.set(None));
        self.ended.store(true, SeqCst);
    }

    fn pick(&'static self) -> Option<TaskRef> {
        let local = &self.local;
        if self.watched.count_pick().is_multiple_of(LOOK_AROUND)
            && let Some(task) = self.look_around()
        {
            return Some(task);
        }
        if let Some(task) = local.next.take() {
            let row = local.next_in_a_row.get() + 1;
            if row < NEXT_IN_A_ROW {
                local.next_in_a_row.set(row);
                return Some(task);
            }
            local.ready.push(task);
        }
        local.next_in_a_row.set(0);
        // A read of the clock at each turn of the queue, but only while somebody sleeps.
        if local.timers.is_due_in(0) {
            local.timers.fire();
        }
        if !self.inbox.is_empty() {
            self.take_inbox();
        }
        let ready = local.ready.pop();
        ready.or_else(|| self.pop_free(Free::pop)).or_else(|| self.pick_carrier()).or_else(|| self.steal(false))
    }

    /// Takes up what comes from outside, and what has waited behind those who are ready.
    fn look_around(&'static self) -> Option<TaskRef> {
        self.take_inbox();
        self.local.timers.fire();
        self.serve_sockets();
        self.pick_carrier().or_else(|| self.pop_free(Free::pop_old))
    }

    fn take_inbox(&self) {
        self.local.ready.append(self.inbox.take());
    }

    fn count_bound(&self, more: usize) {
        self.bound.store(self.bound.load(Relaxed) + more, Relaxed);
    }

    fn discount_bound(&self) {
        self.bound.store(self.bound.load(Relaxed) - 1, Relaxed);
    }

    fn open(&self) {
        self.free.lock().closed = false;
        self.futures.lock().closed = false;
    }

    /// W4: no more tasks here, if there is none.
    fn close(&self) -> bool {
        let (mut free, mut futures) = (self.free.lock(), self.futures.lock());
        let closed = self.live() == 0 && futures.queue.len() == 0;
        (free.closed, futures.closed) = (closed, closed);
        closed
    }

    /// Leaves the running stack (`from`, or the base) for `to`, or whatever is to run next.
    ///
    /// Not inlined, so that whoever comes back, from a park or a yield, was left by the same call of `switch`, and the processor foresees
    /// where it returns to. What follows the switch is: a call less.
    #[inline(never)]
    fn leave(&'static self, from: Option<TaskRef>, after: After, to: Option<TaskRef>) {
        let load = self.prepare_to_leave(after, to);
        let local = &self.local;
        let save = from.as_ref().map_or(local.base.as_ptr(), |task| task.get().stack_pointer.as_ptr());
        let mut fake = std::ptr::null_mut();
        let (bottom, size) = to.map_or(local.base_bounds.get(), TaskRef::stack_bounds);
        // SAFETY: `load` is a fresh or parked stack that nobody else resumes (A1): it was in one of our queues (K2), or is
        // our base. `save` belongs to the stack that runs, and stays in place: a task's header or this worker. W2: the
        // code after the switch runs on this thread again, or else the task has been told by whom it was resumed. The
        // sanitizer is told as N1 and N2 want it.
        unsafe {
            let ends = matches!(after, After::End(_));
            sanitizer::start_switch(if ends { std::ptr::null_mut() } else { &raw mut fake }, bottom, size);
            arch::switch(save, load);
            let here = from.and_then(TaskRef::worker).unwrap_or(self);
            here.arrive(fake);
        }
    }

    /// Which stack the running one is to be left for: parked, and nobody else resumes it (A1).
    fn prepare_to_leave(&'static self, after: After, to: Option<TaskRef>) -> *mut u8 {
        self.local.after.set(after);
        let load = match to {
            Some(task) => {
                task.resume(self);
                task.resumes_at()
            }
            None => self.local.base.get(),
        };
        self.watched.runs(to);
        load
    }

    /// The running task has ended; `next` begins where that one was, and as it would behind a switch.
    fn succeed(&'static self, ended: TaskRef, next: TaskRef) {
        arch::reset_control_words();
        next.take_stack_of(ended);
        next.resume(self);
        self.watched.runs(Some(next));
        self.discount_bound();
        ended.let_go();
    }

    /// First thing on a stack that was switched to: deal with the one that was left.
    ///
    /// # Safety
    ///
    /// `fake` is what this stack's last `start_switch` saved, or null if the stack is fresh (N1).
    #[inline(always)]
    unsafe fn arrive(&'static self, fake: *mut c_void) {
        // SAFETY: the caller's promise.
        let left = unsafe { sanitizer::finish_switch(fake) };
        match self.local.after.replace(After::Nothing) {
            // Only the base leaves nothing to do.
            After::Nothing => self.local.base_bounds.set(left),
            After::Park(task) => {
                let roams = task.roams(); // asked while it is ours
                if !task.park() {
                    self.take_back(task);
                } else if roams {
                    self.discount_bound();
                }
            }
            After::Yield(task) => self.take_back(task),
            After::Rest(task) => {
                self.discount_bound();
                self.local.idle_carriers.borrow_mut().push(task);
            }
            After::End(task) => {
                self.discount_bound();
                task.let_go();
            }
        }
    }

    /// Queues a task that has just run here.
    fn take_back(&self, task: TaskRef) {
        if task.roams() {
            self.discount_bound();
            self.take_back_free(task);
        } else {
            self.local.ready.push(task);
        }
    }

    /// Puts the running task to sleep until it is woken; may return early.
    pub(crate) fn park(&'static self, task: TaskRef) {
        if task.take_notification() {
            // Woken since it looked, by itself perhaps: what a future does that wants others to run before it is asked again.
            return self.yield_now(task);
        }
        let carries = task.get().is_carrier.get();
        if carries {
            self.local.busy_carriers.set(self.local.busy_carriers.get() - 1);
            self.local.parked_carriers.set(self.local.parked_carriers.get() + 1);
        }
        let next = match self.pick() {
            // A hosted worker's thread is not its own to spin with.
            None if !carries && !self.is_hosted() => match self.spin(|| task.is_notified()) {
                Spin::Over => {
                    task.take_notification();
                    return;
                }
                Spin::Work => self.pick(),
                Spin::Nothing => {
                    self.local.has_spun.set(true);
                    None
                }
            },
            next => next,
        };
        self.leave(Some(task), After::Park(task), next);
        if carries {
            // Bound, so this is its worker still.
            self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
            self.local.parked_carriers.set(self.local.parked_carriers.get() - 1);
        }
    }

    /// Lets the others go first.
    pub(crate) fn yield_now(&'static self, task: TaskRef) {
        if let Some(other) = self.pick() {
            self.leave(Some(task), After::Yield(task), Some(other));
        }
    }

    /// The running task was asked to let the others go first: all of them, those too that have not started.
    #[cold]
    pub(crate) fn give_way(&'static self, task: TaskRef) {
        self.watched.count_pick();
        // As for a park inside a poll: other futures go to another carrier.
        let carries = task.get().future().is_some();
        if carries {
            self.local.busy_carriers.set(self.local.busy_carriers.get() - 1);
        }
        if let Some(other) = self.look_around().or_else(|| self.pick()) {
            self.leave(Some(task), After::Yield(task), Some(other));
        }
        if carries {
            self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        }
    }

    pub(crate) fn set_timer(&self, tick: Tick, task: TaskRef) -> Key {
        self.local.timers.set(tick, task)
    }

    /// True if it has fired: its time has come.
    pub(crate) fn clear_timer(&self, timer: Key) -> bool {
        self.local.timers.clear(timer)
    }
}

/// Where a task's stack begins: runs it, and those after it that begin on the same stack. Returns for which stack that one is left (A5).
///
/// # Safety
///
/// Reached by the switch of a worker to a task that [`TaskRef::prepare`] has made; `task` is that task.
pub(crate) unsafe extern "C" fn first_steps(task: *mut ()) -> *mut u8 {
    let mut task = TaskRef::from_raw(task);
    let worker = current().expect("a task runs on a worker");
    // SAFETY: this stack is fresh.
    unsafe { worker.arrive(std::ptr::null_mut()) };
    loop {
        task.run();
        // Perhaps another one, if it roams.
        let worker = current().expect("a task runs on a worker");
        // At the end of the worker only carriers are left, and nothing new begins.
        let next = if worker.local.closing.get() { None } else { worker.pick() };
        match next.filter(|next| next.can_succeed(task)) {
            Some(next) => {
                worker.succeed(task, next);
                task = next;
            }
            None => {
                // A sanitizer is told just before the switch, so there that is done here.
                if cfg!(any(greenlight_asan, greenlight_tsan)) {
                    worker.leave(Some(task), After::End(task), next);
                    unreachable!("an ended task was resumed")
                }
                // Parked, and nobody else's (A1): out of one of our queues (K2), or our base.
                return worker.prepare_to_leave(After::End(task), next);
            }
        }
    }
}

#[cfg(all(test, loom))]
pub(crate) mod models;
