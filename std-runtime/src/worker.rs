//! A worker: one OS thread that runs green threads.
//!
//! ```text
//!                    ┌ next    the task woken last by this worker (at most 16 times in a row)
//!   pick, in order  ─┼ ready   bound tasks: they have run here, and stay
//!                    ├ inbox   bound tasks that other threads woke
//!                    ├ free    tasks that have not started: thieves take from here
//!                    ├ steal   half of another worker's free tasks
//!                    └ futures tasks without a stack, here or with another worker: a carrier polls them
//! ```
//!
//! A task that parks picks the next one and switches straight to it. What must happen after a stack was left (it may now
//! be resumed, or freed) is noted in `after`, and done by whoever runs next on this worker. With nothing to pick, the
//! worker goes back to its own stack (`base`), spins a little, and sleeps.
//!
//! * W1  Fields in the `Local` part are touched by this worker's thread alone, and no borrow of them lives across a switch.
//! * W2  Bound tasks are resumed by their own worker only, so a task sees one OS thread all its life.
//! * W3  Going to sleep: say so (`mode` is DOZING), fence, look at every source once more, sleep. Bringing work: put it there, fence,
//!   look at `mode`. One of the two sees the other, so no work is left with a sleeping worker.
//! * W4  A worker's thread ends when its runtime has ended and no live task is bound to it; its free list is closed first,
//!   under the list's lock, so that no task is put where nobody looks.

use crate::{
    arch,
    header::{Inbox, Spawn, TaskList, TaskRef, discard},
    runtime::Shared,
    stack::{self, sanitizer},
    stackless::Run,
};
use greenlight_core::{
    SpinMutex,
    park::{Tick, thread::now},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
    ffi::c_void,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::*, fence},
    },
    thread::Thread,
    time::Duration,
};

/// How often in a row the task in `next` may go before those in `ready`.
const NEXT_IN_A_ROW: u32 = 16;
/// Every so many picks the inbox, the timers and the free tasks get a look, however much is ready.
const LOOK_AROUND: u32 = 64;
/// How many futures a carrier polls before it lets the green threads go.
const POLLS_IN_A_ROW: u32 = 32;
/// How many carriers without work a worker keeps.
const IDLE_CARRIERS: usize = 2;
/// How long a worker without work looks for some before it sleeps: about what waking a sleeper costs.
const SPIN_NANOS: u64 = 20_000;
/// How long a worker sleeps before it asks whether the program is deadlocked, at first and at last.
const FIRST_NAP: Duration = Duration::from_millis(10);
const LAST_NAP: Duration = Duration::from_millis(640);

const AWAKE: u8 = 0;
const SPINNING: u8 = 1;
const ASLEEP: u8 = 2;
/// Asleep with a timer that will wake it.
const TIMED: u8 = 3;
/// Woken by somebody, but its thread does not run yet.
const WAKING: u8 = 4;
/// About to sleep, if its last look finds nothing. To be woken like a sleeper, but not counted as one: it may still find
/// work that came before, and whose bringer saw no sleeper.
const DOZING: u8 = 5;

/// How many sleeps of workers were ended by others, ever: see `deadlock.rs`.
pub(crate) static WAKES: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: &'static Shared,
    inbox: Inbox,
    free: SpinMutex<Free>,
    /// The length of `free`, for those who only wonder. SeqCst: part of W3.
    free_len: AtomicUsize,
    /// Not a spinning lock: the queue may grow under it.
    futures: Mutex<Futures>,
    /// The length of `futures`, as `free_len`.
    futures_len: AtomicUsize,
    /// SeqCst throughout: W3, and deadlock detection.
    mode: AtomicU8,
    /// Tasks placed here that have not ended. A hint for placement (Relaxed), exact for this worker's own use.
    live: AtomicUsize,
    /// Whether the thread has ended, so that it sleeps for good (SeqCst: deadlock detection counts threads).
    pub(crate) ended: AtomicBool,
    pub(crate) thread: OnceLock<Thread>,
    local: Local,
}

struct Free {
    list: TaskList,
    closed: bool,
}

struct Futures {
    queue: VecDeque<Arc<dyn Run>>,
    closed: bool,
}

/// W1.
struct Local {
    current: Cell<Option<TaskRef>>,
    base: Cell<*mut u8>,
    /// The bounds of the thread's own stack, as the address sanitizer tells them.
    base_bounds: Cell<(*const u8, usize)>,
    after: Cell<After>,
    next: Cell<Option<TaskRef>>,
    next_in_a_row: Cell<u32>,
    picks: Cell<u32>,
    ready: RefCell<TaskList>,
    /// Carriers that have nothing to poll. They are READY, so no waker queues them; `pick` does.
    idle_carriers: RefCell<Vec<TaskRef>>,
    /// Carriers at work that do not wait inside a poll.
    busy_carriers: Cell<u32>,
    closing: Cell<bool>,
    timers: RefCell<BTreeSet<(Tick, usize)>>,
    /// The first of `timers`; `Tick::MAX` if there is none.
    first_timer: Cell<Tick>,
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
    current()?.local.current.get()
}

impl Worker {
    pub(crate) fn new(index: usize, shared: &'static Shared) -> Self {
        Self {
            index,
            shared,
            inbox: Inbox::new(),
            free: SpinMutex::new(Free { list: TaskList::new(), closed: false }),
            free_len: AtomicUsize::new(0),
            futures: Mutex::new(Futures { queue: VecDeque::new(), closed: false }),
            futures_len: AtomicUsize::new(0),
            mode: AtomicU8::new(AWAKE),
            live: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            thread: OnceLock::new(),
            local: Local {
                current: Cell::new(None),
                base: Cell::new(std::ptr::null_mut()),
                base_bounds: Cell::new((std::ptr::null(), 0)),
                after: Cell::new(After::Nothing),
                next: Cell::new(None),
                next_in_a_row: Cell::new(0),
                picks: Cell::new(0),
                ready: RefCell::new(TaskList::new()),
                idle_carriers: RefCell::new(Vec::new()),
                busy_carriers: Cell::new(0),
                closing: Cell::new(false),
                timers: RefCell::new(BTreeSet::new()),
                first_timer: Cell::new(Tick::MAX),
            },
        }
    }

    // ---- from any thread ------------------------------------------------------------------------------------------

    pub(crate) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// Whether it would take a new task up at once.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.mode.load(SeqCst), SPINNING | ASLEEP | TIMED | DOZING)
    }

    /// Asleep until somebody wakes it.
    pub(crate) fn is_asleep(&self) -> bool {
        self.mode.load(SeqCst) == ASLEEP
    }

    /// Puts a task that has not started here. Gives it back if this worker has ended.
    pub(crate) fn place(&self, task: TaskRef) -> Result<(), TaskRef> {
        let mut free = self.free.lock();
        if free.closed {
            return Err(task);
        }
        self.live.fetch_add(1, Relaxed);
        free.list.push(task);
        self.free_len.store(free.list.len(), SeqCst);
        drop(free);
        self.rouse();
        Ok(())
    }

    fn futures(&self) -> MutexGuard<'_, Futures> {
        self.futures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a future here that wants to be polled. Gives it back if this worker has ended. True if somebody else should help: it
    /// will have to wait for more than the end of the poll that has woken it.
    pub(crate) fn place_future(&self, future: Arc<dyn Run>) -> Result<bool, Arc<dyn Run>> {
        let mut futures = self.futures();
        if futures.closed {
            return Err(future);
        }
        futures.queue.push_back(future);
        let len = futures.queue.len();
        self.futures_len.store(len, SeqCst);
        drop(futures);
        self.rouse();
        let is_next = len == 1
            && current().is_some_and(|here| std::ptr::eq(here, self))
            && current_task().is_some_and(|task| task.get().is_carrier.get());
        Ok(!is_next)
    }

    /// Puts a task that has not started here, to stay. On this worker's thread, by one of its tasks: so it has not ended.
    pub(crate) fn place_near(&'static self, task: TaskRef) {
        self.live.fetch_add(1, Relaxed);
        task.bind(self);
        self.local.ready.borrow_mut().push(task);
    }

    /// Queues a bound task of this worker that the caller took out of its sleep.
    pub(crate) fn enqueue_woken(&'static self, task: TaskRef) {
        if current().is_some_and(|worker| std::ptr::eq(worker, self)) {
            if let Some(older) = self.local.next.replace(Some(task)) {
                self.local.ready.borrow_mut().push(older);
            }
        } else {
            self.inbox.push(task);
            self.rouse();
        }
    }

    /// Wakes the worker's thread if it sleeps (W3: after the work was put there).
    pub(crate) fn rouse(&self) {
        fence(SeqCst);
        let mut mode = self.mode.load(SeqCst);
        while matches!(mode, ASLEEP | TIMED | DOZING) {
            match self.mode.compare_exchange(mode, WAKING, SeqCst, SeqCst) {
                Ok(_) => {
                    WAKES.fetch_add(1, SeqCst);
                    if let Some(thread) = self.thread.get() {
                        thread.unpark();
                    }
                    return;
                }
                Err(now) => mode = now,
            }
        }
    }

    /// Half of this worker's unstarted tasks, for the thief. A worker that is just waking up keeps them: it was given
    /// them a moment ago so that both work, unless the thief is `desperate`.
    fn give_half(&self, desperate: bool) -> Option<TaskList> {
        if self.free_len.load(SeqCst) == 0 || (!desperate && self.mode.load(Relaxed) == WAKING) {
            return None;
        }
        let mut free = self.free.lock();
        let taken = free.list.take_half();
        self.live.fetch_sub(taken.len(), Relaxed);
        // After `live`: who sees the list empty, on its way to sleep, sees also that its tasks are gone (W4).
        self.free_len.store(free.list.len(), SeqCst);
        Some(taken).filter(|taken| taken.len() > 0)
    }

    // ---- on this worker's thread ----------------------------------------------------------------------------------

    /// The thread's whole life.
    pub(crate) fn main(&'static self) {
        CURRENT.with(|current| current.set(Some(self)));
        let _ = self.thread.set(std::thread::current());
        loop {
            if let Some(task) = self.pick() {
                self.leave(None, After::Nothing, Some(task));
            } else if !self.find_work() {
                break;
            }
        }
        self.local.closing.set(true);
        while let Some(carrier) = self.take_idle_carrier() {
            self.leave(None, After::Nothing, Some(carrier));
        }
        self.ended.store(true, SeqCst);
    }

    fn pick(&'static self) -> Option<TaskRef> {
        let local = &self.local;
        let picks = local.picks.get().wrapping_add(1);
        local.picks.set(picks);
        if picks.is_multiple_of(LOOK_AROUND) {
            self.take_inbox();
            self.fire_timers();
            if let Some(task) = self.pick_carrier().or_else(|| self.pop_free()) {
                return Some(task);
            }
        }
        if let Some(task) = local.next.take() {
            let row = local.next_in_a_row.get() + 1;
            if row < NEXT_IN_A_ROW {
                local.next_in_a_row.set(row);
                return Some(task);
            }
            local.ready.borrow_mut().push(task);
        }
        local.next_in_a_row.set(0);
        // A read of the clock at each turn of the queue, but only while somebody sleeps.
        if local.first_timer.get() != Tick::MAX && local.first_timer.get() <= now() {
            self.fire_timers();
        }
        if !self.inbox.is_empty() {
            self.take_inbox();
        }
        let ready = local.ready.borrow_mut().pop();
        ready.or_else(|| self.pop_free()).or_else(|| self.pick_carrier()).or_else(|| self.steal(false))
    }

    /// A carrier for the futures that are queued, here or elsewhere, unless one is at work already.
    fn pick_carrier(&'static self) -> Option<TaskRef> {
        if self.local.busy_carriers.get() > 0 || (self.futures_len.load(Relaxed) == 0 && !self.steal_futures()) {
            return None;
        }
        // Without memory for one, the futures wait until a stack is free.
        self.take_idle_carrier().or_else(|| self.new_carrier())
    }

    /// It counts as live while it is at work.
    fn take_idle_carrier(&self) -> Option<TaskRef> {
        let carrier = self.local.idle_carriers.borrow_mut().pop()?;
        self.live.fetch_add(1, Relaxed);
        self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        Some(carrier)
    }

    #[cold]
    fn new_carrier(&'static self) -> Option<TaskRef> {
        let slot = stack::acquire().ok()?;
        // SAFETY: nothing is borrowed.
        let outcome = unsafe { TaskRef::prepare(slot, self.shared, Spawn::here(), move || self.carry()) };
        let carrier = outcome.task();
        carrier.make_carrier();
        carrier.bind(self);
        self.live.fetch_add(1, Relaxed);
        self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        Some(carrier)
    }

    /// The life of a carrier.
    fn carry(&'static self) {
        let me = current_task().expect("a carrier is a green thread");
        let mut polls = 0;
        loop {
            if let Some(future) = self.pop_future() {
                // Its last share may go there, and with it the future, whose drop may panic.
                discard(|| future.run(me));
                polls += 1;
                if polls % POLLS_IN_A_ROW == 0 {
                    self.yield_now(me);
                }
            } else if self.local.closing.get() {
                break;
            } else if !self.steal_futures() {
                if self.local.idle_carriers.borrow().len() >= IDLE_CARRIERS {
                    break;
                }
                self.local.busy_carriers.set(self.local.busy_carriers.get() - 1);
                self.leave(Some(me), After::Rest(me), self.pick());
            }
        }
        self.local.busy_carriers.set(self.local.busy_carriers.get() - 1);
    }

    fn pop_future(&self) -> Option<Arc<dyn Run>> {
        if self.futures_len.load(Relaxed) == 0 {
            return None;
        }
        let mut futures = self.futures();
        let future = futures.queue.pop_front();
        self.futures_len.store(futures.queue.len(), SeqCst);
        future
    }

    /// Takes half of another worker's futures. False if there is none.
    fn steal_futures(&self) -> bool {
        let workers = self.shared.workers();
        (1..workers.len()).map(|i| &workers[(self.index + i) % workers.len()]).any(|other| {
            if other.futures_len.load(SeqCst) == 0 {
                return false;
            }
            let mut theirs = other.futures();
            let half = theirs.queue.len().div_ceil(2);
            let taken: Vec<_> = theirs.queue.drain(..half).collect();
            other.futures_len.store(theirs.queue.len(), SeqCst);
            drop(theirs);
            let found = !taken.is_empty();
            let mut mine = self.futures();
            // Not closed: that happens on this thread.
            mine.queue.extend(taken);
            self.futures_len.store(mine.queue.len(), SeqCst);
            found
        })
    }

    fn take_inbox(&self) {
        self.local.ready.borrow_mut().append(self.inbox.take());
    }

    fn pop_free(&self) -> Option<TaskRef> {
        if self.free_len.load(Relaxed) == 0 {
            return None;
        }
        let mut free = self.free.lock();
        let task = free.list.pop();
        self.free_len.store(free.list.len(), SeqCst);
        task
    }

    fn steal(&self, desperate: bool) -> Option<TaskRef> {
        let workers = self.shared.workers();
        let others = (1..workers.len()).map(|i| &workers[(self.index + i) % workers.len()]);
        let mut taken = others.filter_map(|other| other.give_half(desperate)).next()?;
        let first = taken.pop();
        self.live.fetch_add(taken.len() + usize::from(first.is_some()), Relaxed);
        if taken.len() > 0 {
            let mut free = self.free.lock();
            // Not closed: that happens on this thread.
            free.list.append(taken);
            self.free_len.store(free.list.len(), SeqCst);
        }
        first
    }

    /// Wakes the tasks whose time has come. Returns how long the next one has to wait.
    fn fire_timers(&self) -> Option<Duration> {
        let mut timers = self.local.timers.borrow_mut();
        let mut time = None;
        self.local.first_timer.set(Tick::MAX);
        while let Some(&(tick, task)) = timers.first() {
            let time = *time.get_or_insert_with(now);
            if tick > time {
                self.local.first_timer.set(tick);
                return Some(Duration::from_nanos(tick - time));
            }
            timers.pop_first();
            TaskRef::from_raw(std::ptr::with_exposed_provenance_mut(task)).wake();
        }
        None
    }

    /// Spins, then sleeps, until there may be work. False if the thread is to end.
    fn find_work(&self) -> bool {
        if self.shared.start_spinning() {
            self.mode.store(SPINNING, SeqCst);
            let end = now() + SPIN_NANOS;
            let found = loop {
                if (0..32).any(|_| {
                    std::hint::spin_loop();
                    self.has_work(false)
                }) {
                    break true;
                }
                if now() >= end {
                    break false;
                }
            };
            self.mode.store(AWAKE, SeqCst);
            self.shared.stop_spinning();
            if found {
                return true;
            }
        }
        let until_timer = self.fire_timers();
        if let Some(task) = self.steal(true) {
            self.local.ready.borrow_mut().push(task);
            return true;
        }
        if self.shared.is_ended() && self.close() {
            return false;
        }
        self.sleep(until_timer);
        true
    }

    /// Whether any source of work has something. With `desperate`, also what was given to a worker that is still waking.
    fn has_work(&self, desperate: bool) -> bool {
        // `next` may be full too: a timer's wake-up goes there.
        let mine = !self.inbox.is_empty() || self.free_len.load(SeqCst) > 0;
        let woken = self.local.next.take().inspect(|task| self.local.next.set(Some(*task))).is_some();
        mine || woken
            || self.shared.workers().iter().any(|worker| worker.futures_len.load(SeqCst) > 0)
            || self.local.ready.borrow().len() > 0
            || self
                .shared
                .workers()
                .iter()
                .any(|other| other.free_len.load(SeqCst) > 0 && (desperate || other.mode.load(Relaxed) != WAKING))
    }

    /// W3.
    fn sleep(&self, until_timer: Option<Duration>) {
        let mode = if until_timer.is_some() { TIMED } else { ASLEEP };
        self.mode.store(DOZING, SeqCst);
        fence(SeqCst);
        if self.has_work(true)
            || (self.shared.is_ended() && self.live() == 0)
            || self.mode.compare_exchange(DOZING, mode, SeqCst, SeqCst).is_err()
        {
            self.mode.store(AWAKE, SeqCst);
            return;
        }
        match until_timer {
            Some(left) => std::thread::park_timeout(left),
            None => {
                let mut nap = FIRST_NAP;
                std::thread::park_timeout(nap);
                while self.mode.load(SeqCst) == ASLEEP {
                    while crate::stack::trim() && self.mode.load(SeqCst) == ASLEEP {}
                    if !crate::deadlock::look() || nap > LAST_NAP {
                        break;
                    }
                    nap *= 2;
                    std::thread::park_timeout(nap);
                }
                while self.mode.load(SeqCst) == ASLEEP {
                    std::thread::park();
                }
            }
        }
        self.mode.store(AWAKE, SeqCst);
    }

    /// W4: no more tasks here, if there is none.
    fn close(&self) -> bool {
        let (mut free, mut futures) = (self.free.lock(), self.futures());
        let closed = self.live.load(Relaxed) == 0 && futures.queue.is_empty();
        (free.closed, futures.closed) = (closed, closed);
        if closed {
            futures.queue = VecDeque::new(); // the worker stays for ever, the room for its queue need not
        }
        closed
    }

    /// Leaves the running stack (`from`, or the base) for `to`, or whatever is to run next.
    fn leave(&'static self, from: Option<TaskRef>, after: After, to: Option<TaskRef>) {
        let local = &self.local;
        local.after.set(after);
        let save = from.as_ref().map_or(local.base.as_ptr(), |task| task.get().stack_pointer.as_ptr());
        let load = match to {
            Some(task) => {
                task.resume(self);
                task.get().stack_pointer.get()
            }
            None => local.base.get(),
        };
        local.current.set(to);
        let mut fake = std::ptr::null_mut();
        let (bottom, size) = to.map_or(local.base_bounds.get(), TaskRef::stack_bounds);
        // SAFETY: `load` is a fresh or parked stack that nobody else resumes (A1): it was in one of our queues (K2), or is
        // our base. `save` belongs to the stack that runs, and stays in place: a task's header or this worker. W2: the
        // code after the switch runs on this thread again. The sanitizer is told as N1 and N2 want it.
        unsafe {
            let ends = matches!(after, After::End(_));
            sanitizer::start_switch(if ends { std::ptr::null_mut() } else { &raw mut fake }, bottom, size);
            arch::switch(save, load);
            self.arrive(fake);
        }
    }

    /// First thing on a stack that was switched to: deal with the one that was left.
    ///
    /// # Safety
    ///
    /// `fake` is what this stack's last `start_switch` saved, or null if the stack is fresh (N1).
    unsafe fn arrive(&'static self, fake: *mut c_void) {
        // SAFETY: the caller's promise.
        let left = unsafe { sanitizer::finish_switch(fake) };
        match self.local.after.replace(After::Nothing) {
            // Only the base leaves nothing to do.
            After::Nothing => self.local.base_bounds.set(left),
            After::Park(task) => {
                if !task.park() {
                    task.make_ready();
                    self.local.ready.borrow_mut().push(task);
                }
            }
            After::Yield(task) => {
                task.make_ready();
                self.local.ready.borrow_mut().push(task);
            }
            After::Rest(task) => {
                self.live.fetch_sub(1, Relaxed);
                task.make_ready();
                self.local.idle_carriers.borrow_mut().push(task);
            }
            After::End(task) => {
                self.live.fetch_sub(1, Relaxed);
                task.let_go();
            }
        }
    }

    /// Puts the running task to sleep until it is woken; may return early.
    pub(crate) fn park(&'static self, task: TaskRef) {
        if task.take_notification() {
            // Woken since it looked, by itself perhaps: what a future does that wants others to run before it is asked again.
            return self.yield_now(task);
        }
        let carries = u32::from(task.get().is_carrier.get());
        self.local.busy_carriers.set(self.local.busy_carriers.get() - carries);
        self.leave(Some(task), After::Park(task), self.pick());
        self.local.busy_carriers.set(self.local.busy_carriers.get() + carries);
    }

    /// Lets the others go first.
    pub(crate) fn yield_now(&'static self, task: TaskRef) {
        if let Some(other) = self.pick() {
            self.leave(Some(task), After::Yield(task), Some(other));
        }
    }

    pub(crate) fn set_timer(&self, tick: Tick, task: TaskRef) {
        self.local.timers.borrow_mut().insert((tick, task.as_raw().expose_provenance()));
        self.local.first_timer.set(self.local.first_timer.get().min(tick));
    }

    pub(crate) fn clear_timer(&self, tick: Tick, task: TaskRef) {
        let mut timers = self.local.timers.borrow_mut();
        timers.remove(&(tick, task.as_raw().addr()));
        self.local.first_timer.set(timers.first().map_or(Tick::MAX, |first| first.0));
    }
}

/// Where a task's stack begins.
///
/// # Safety
///
/// Reached by the switch of a worker to a task that [`TaskRef::prepare`] has made; `task` is that task.
pub(crate) unsafe extern "C" fn first_steps(task: *mut ()) -> ! {
    let task = TaskRef::from_raw(task);
    let worker = current().expect("a task runs on a worker");
    // SAFETY: this stack is fresh.
    unsafe { worker.arrive(std::ptr::null_mut()) };
    task.run();
    // At the end of the worker only carriers are left, and nothing new begins.
    let next = if worker.local.closing.get() { None } else { worker.pick() };
    worker.leave(Some(task), After::End(task), next);
    unreachable!("an ended task was resumed")
}
