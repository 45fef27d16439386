//! The threads that run blocking calls: as many as are needed, up to a limit, and none when there is nothing to do.
//!
//! ```text
//!            ┌ an idle thread: it gets the call, the youngest idler first
//!   spawn ───┼ a new thread, while there are fewer than the limit
//!            └ the queue ──▶ a thread that is through with its call
//!
//!   through with a call:  the next from the queue; else idle, for `keep_alive` at most; then it ends
//! ```
//!
//! * P1  Who gives an idle thread its call takes it off the list of idlers, under the lock, and counts it as awake for the
//!   deadlock detection. A thread that wakes and finds itself off the list has its call; one that is on it takes itself off,
//!   and ends.
//! * P2  A call is in the queue, or has been given to a thread: what is taken out of the queue never starts.
//! * P3  No code of the program runs under the lock: calls are dropped, results delivered, wakers called without it.
//! * P4  Nobody is idle while there is a queue.
//! * P5  From when a thread counts as asleep until it is woken it wakes nobody.

use super::BlockingHandle;
use crate::{
    deadlock::HELPERS,
    delivery::{self, Call},
    time::Instant,
};
use greenlight_core::{Waitable, park::Why};
use std::{
    collections::BTreeMap,
    fmt, mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::*},
    },
    thread::{self, Thread},
    time::Duration,
};

/// So many threads at most, by default: they wait more than they work.
const MAX_THREADS: usize = 512;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// An idle thread looks for a deadlock before it ends.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_millis(20);

struct Job {
    number: u64,
    call: Call,
    site: &'static Location<'static>,
}

/// A blocking call that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    site: &'static Location<'static>,
    since: Instant,
}

impl Running {
    /// The line of the program that asked for the call.
    pub fn site(&self) -> &'static Location<'static> {
        self.site
    }

    /// When it began to run.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocking call from {}, for {:?}", self.site, self.since.elapsed())
    }
}

/// A thread without a call.
struct Idler {
    thread: Thread,
    /// What it was woken for (P1); still none if it is to end.
    job: Mutex<Option<Job>>,
    /// Relaxed: the unpark brings it, and `job` is behind a lock of its own.
    woken: AtomicBool,
}

impl Idler {
    /// It was taken off the list, by the caller, who has the lock.
    fn wake(&self) {
        HELPERS.is_woken();
        self.woken.store(true, Relaxed);
        self.thread.unpark();
    }
}

struct State {
    queue: BTreeMap<u64, Job>,
    running: BTreeMap<u64, Running>,
    idlers: Vec<Arc<Idler>>,
    threads: usize,
    max_threads: usize,
    keep_alive: Duration,
    numbers: u64,
    /// No call starts any more.
    shut_down: bool,
    /// Nobody can ask for a call any more: idle threads end.
    abandoned: bool,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// How many calls run: what `shutdown` waits for.
    at_work: Waitable<usize>,
}

/// A set of threads for calls that block their OS thread.
///
/// [`blocking`](super::blocking()) uses a global one: [`global`](super::global). Make one of your own to keep one kind of call from
/// taking the threads of another.
///
/// Dropping it lets what was asked for be done; its threads end then.
///
/// # Examples
///
/// ```
/// use greenlight::blocking::Pool;
/// use std::time::Duration;
///
/// let pool = Pool::new(2);
/// let calls: Vec<_> = (0..4).map(|i| pool.spawn(move || i * i)).collect();
/// assert_eq!(calls.into_iter().map(|call| call.join().unwrap()).sum::<i32>(), 14);
/// assert!(pool.shutdown(Duration::from_secs(10)).is_empty());
/// ```
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// A pool of at most `max_threads`, none of which exists before it is needed.
    ///
    /// # Panics
    ///
    /// If `max_threads` is zero.
    #[track_caller]
    pub fn new(max_threads: usize) -> Self {
        assert!(max_threads > 0, "a pool for blocking calls needs at least one thread");
        let state = State {
            queue: BTreeMap::new(),
            running: BTreeMap::new(),
            idlers: Vec::new(),
            threads: 0,
            max_threads,
            keep_alive: KEEP_ALIVE,
            numbers: 0,
            shut_down: false,
            abandoned: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), at_work: Waitable::new(0) }) }
    }

    pub(super) fn default_size() -> Self {
        Self::new(MAX_THREADS)
    }

    /// Has a thread run `f`. See [`blocking`](super::blocking()).
    ///
    /// # Panics
    ///
    /// If the pool has no thread and none can be started; `f` is dropped.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> BlockingHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (call, delivery) = delivery::pack(f);
        let number = self.shared.give(call, Location::caller());
        BlockingHandle { delivery, queued: number.map(|number| (self.shared.clone(), number)) }
    }

    /// From now on at most so many threads. Those above the limit end when they are through with their calls.
    ///
    /// # Panics
    ///
    /// If it is zero, or the pool has no thread and none can be started.
    #[track_caller]
    pub fn set_max_threads(&self, max_threads: usize) {
        assert!(max_threads > 0, "a pool for blocking calls needs at least one thread");
        let mut state = self.shared.state();
        state.max_threads = max_threads;
        let more = max_threads.saturating_sub(state.threads).min(state.queue.len());
        let jobs: Vec<_> = (0..more).filter_map(|_| self.shared.start_queued(&mut state)).collect();
        drop(state);
        for job in jobs {
            if let Err((job, error)) = self.shared.start_thread(job) {
                self.shared.do_without(job, &error);
            }
        }
    }

    /// How long a thread stays that has nothing to do: 10 s at first. At least 20 ms. It holds for threads that become idle
    /// from now on.
    pub fn set_keep_alive(&self, time: Duration) {
        self.shared.state().keep_alive = time.max(SHORTEST_KEEP_ALIVE);
    }

    /// How many threads it has now.
    pub fn threads(&self) -> usize {
        self.shared.state().threads
    }

    /// How many calls wait for a thread.
    pub fn queued(&self) -> usize {
        self.shared.state().queue.len()
    }

    /// What runs now, the longest first. A call that is just delivering its result may still be named.
    pub fn running(&self) -> Vec<Running> {
        self.shared.state().running()
    }

    /// Starts no call any more, and waits for those that run, for `limit` at most. Returns what still runs then: no thread can
    /// be stopped from outside. Calls that had not started never do: joining them says [`Cancelled`](super::Cancelled).
    ///
    /// # Cancellation
    ///
    /// If the wait is cut short, the pool is shut down all the same.
    #[track_caller]
    pub fn shutdown(&self, limit: Duration) -> Vec<Running> {
        let until = Instant::after(limit);
        let mut state = self.shared.state();
        state.shut_down = true;
        let queue = mem::take(&mut state.queue);
        state.dismiss_idlers();
        drop(state);
        drop(queue);
        let why = Why {
            what: "shut down blocking calls",
            object: Arc::as_ptr(&self.shared).addr(),
            site: Location::caller(),
        };
        let _ = self.shared.at_work.wait(&why, until.deadline(), |at_work| (*at_work == 0).then_some(()));
        self.running()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.abandoned = true;
        state.dismiss_idlers();
    }
}

// No code of the program runs in the middle of a change (P3).
impl UnwindSafe for Pool {}
impl RefUnwindSafe for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state();
        f.debug_struct("Pool")
            .field("threads", &state.threads)
            .field("running", &state.running.len())
            .field("queued", &state.queue.len())
            .finish()
    }
}

impl State {
    fn running(&self) -> Vec<Running> {
        self.running.values().copied().collect()
    }

    fn starts(&mut self, job: &Job) {
        self.running.insert(job.number, Running { site: job.site, since: Instant::now() });
    }

    /// The next one of the queue, for a thread that is there, unless that is one too many.
    fn next_queued(&mut self) -> Option<Job> {
        if self.threads > self.max_threads {
            return None;
        }
        let (_, job) = self.queue.pop_first()?;
        self.starts(&job);
        Some(job)
    }

    fn dismiss_idlers(&mut self) {
        self.idlers.drain(..).for_each(|idler| idler.wake());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock held (P3), but for want of memory.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the call to a thread, or puts it into the queue: then it has a number there.
    fn give(self: &Arc<Self>, call: Call, site: &'static Location<'static>) -> Option<u64> {
        let mut state = self.state();
        let number = state.numbers;
        state.numbers += 1;
        let job = Job { number, call, site };
        if state.shut_down {
            drop(state);
            drop(job);
            return None;
        }
        let Err(job) = self.wake_idler(&mut state, job) else { return None };
        state.queue.insert(number, job);
        if state.threads >= state.max_threads {
            return Some(number);
        }
        let job = self.start_queued(&mut state).expect("one was put there");
        drop(state);
        match self.start_thread(job) {
            Ok(()) => None,
            Err((job, error)) => self.do_without(job, &error).then_some(number),
        }
    }

    /// The next one of the queue, for a thread that is about to exist, and is counted.
    fn start_queued(&self, state: &mut State) -> Option<Job> {
        let (_, job) = state.queue.pop_first()?;
        state.threads += 1;
        state.starts(&job);
        self.at_work.with(|at_work| *at_work += 1);
        Some(job)
    }

    fn wake_idler(&self, state: &mut State, job: Job) -> Result<(), Job> {
        let Some(idler) = state.idlers.pop() else { return Err(job) };
        state.starts(&job);
        self.at_work.with(|at_work| *at_work += 1);
        *idler.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        idler.wake();
        Ok(())
    }

    /// There is no thread to be had for `job`, so those that are there will do it. Whether it went into the queue.
    fn do_without(&self, job: Job, error: &std::io::Error) -> bool {
        let mut state = self.state();
        state.running.remove(&job.number);
        match self.wake_idler(&mut state, job) {
            Ok(()) => false,
            Err(job) if state.threads == 0 => {
                drop(state);
                drop(job);
                panic!("cannot start a thread for a blocking call: {error}");
            }
            Err(job) => {
                state.queue.insert(job.number, job);
                true
            }
        }
    }

    /// `job` and its thread are counted already.
    fn start_thread(self: &Arc<Self>, job: Job) -> Result<(), (Job, std::io::Error)> {
        // The closure is lost if there is no thread; the job is not.
        let seat = Arc::new(Mutex::new(Some(job)));
        let (shared, taken) = (self.clone(), seat.clone());
        let main = move || {
            let job = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(taken);
            shared.main(job);
        };
        match thread::Builder::new().name("greenlight-blocking".into()).spawn(main) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.state().threads -= 1;
                self.at_work.change(|at_work| *at_work -= 1);
                let job = seat.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err((job.expect("the thread never ran"), error))
            }
        }
    }

    /// A thread's life.
    fn main(self: Arc<Self>, mut job: Option<Job>) {
        while let Some(Job { number, call, .. }) = job {
            call();
            job = self.next(number);
        }
    }

    /// What to do after call `number`. None: end.
    fn next(&self, number: u64) -> Option<Job> {
        let mut state = self.state();
        state.running.remove(&number);
        if let Some(job) = state.next_queued() {
            return Some(job);
        }
        drop(state);
        // Before it counts as asleep: this may wake one who waits (P3, P5).
        self.at_work.change(|at_work| *at_work -= 1);
        let mut state = self.state();
        if let Some(job) = state.next_queued() {
            self.at_work.with(|at_work| *at_work += 1);
            return Some(job);
        }
        if state.threads > state.max_threads || state.shut_down || state.abandoned {
            state.threads -= 1;
            return None;
        }
        let idler = Arc::new(Idler { thread: thread::current(), job: Mutex::new(None), woken: AtomicBool::new(false) });
        state.idlers.push(idler.clone());
        HELPERS.falls_asleep();
        let keep_alive = state.keep_alive;
        drop(state);
        HELPERS.sleep(Some(keep_alive), || !idler.woken.load(Relaxed));
        let mut state = self.state();
        let job = idler.job.lock().unwrap_or_else(PoisonError::into_inner).take();
        if job.is_none() {
            // P1: nobody wanted it, or it was dismissed.
            let before = state.idlers.len();
            state.idlers.retain(|other| !Arc::ptr_eq(other, &idler));
            if state.idlers.len() < before {
                HELPERS.rises();
            }
            state.threads -= 1;
        }
        job
    }

    /// Takes a call out of the queue that has not started (P2).
    pub(super) fn cancel(&self, number: u64) -> bool {
        let job = self.state().queue.remove(&number);
        job.is_some()
    }
}
