//! A set of workers: how it is made, where a new task goes, how it ends.
//!
//! Placement of what comes from outside: to an idle worker, of several to the one with the fewest live tasks; else to the worker with
//! the fewest. What a worker's own tasks spawn stays there for now, and is shared out: `worker/free.rs`.

use crate::{
    header::{Outcome, Spawn, Task, TaskRef},
    hooks,
    join::JoinHandle,
    shutdown::{self, ShutdownReport},
    stack::{self, StackError},
    stackless::{self, LiveFutures, Share},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::*, fence},
    worker::{self, Worker},
};
use std::{
    fmt,
    future::Future,
    io::{self, Write as _},
    panic,
    sync::{Mutex, Once, OnceLock, PoisonError},
    thread,
    time::Duration,
};

/// What the workers of one runtime share. Lives for ever: a task may be bound to a worker, and a worker knows its runtime.
pub(crate) struct Shared {
    workers: OnceLock<Box<[Worker]>>,
    /// Those that the monitor starts while others are stuck; a place is filled when first needed.
    spares: Box<[OnceLock<Box<Worker>>]>,
    /// How many places of `spares` are filled, from the left. Changed by the monitor only. SeqCst: who counts the workers
    /// counts those whose threads have been started.
    spares_made: AtomicUsize,
    /// All green threads roam.
    roams: bool,
    /// The name of the threads.
    name: String,
    /// At most `spinners` at a time. Relaxed: a hint.
    spinning: AtomicUsize,
    spinners: usize,
    /// A shutdown is on its way: what is spawned is cancelled before it begins, or tasks that start tasks might always be one ahead.
    /// Relaxed: who misses it is found by the shutdown's next look.
    ending: AtomicBool,
    /// SeqCst, for the workers' sleep protocol.
    ended: AtomicBool,
    live_futures: LiveFutures,
    /// Where the next future goes that is woken from outside. Relaxed: a hint.
    next: AtomicUsize,
}

/// Few programs have more calls than this that block a worker at once. What such a thread costs is its stack's touched pages.
const SPARE_WORKERS: usize = 64;

/// All runtimes ever made: deadlock detection looks at all workers.
static RUNTIMES: Mutex<Vec<&'static Shared>> = Mutex::new(Vec::new());

pub(crate) fn for_each_runtime(mut f: impl FnMut(&'static Shared)) {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|shared| f(shared));
}

pub(crate) fn for_each_worker(mut f: impl FnMut(&'static Worker)) {
    let runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    runtimes.iter().flat_map(|shared| shared.everybody()).for_each(&mut f);
}

impl Shared {
    /// With workers that have no threads yet.
    fn new(count: usize, cpus: usize, settings: &Builder) -> &'static Self {
        let shared: &'static Shared = Box::leak(Box::new(Self {
            workers: OnceLock::new(),
            spares: (0..settings.spare_workers).map(|_| OnceLock::new()).collect(),
            spares_made: AtomicUsize::new(0),
            roams: settings.roams,
            name: settings.thread_name().to_owned(),
            spinning: AtomicUsize::new(0),
            // On one CPU a worker that spins only keeps those from it that would bring it work.
            spinners: if cpus > 1 { count / 2 } else { 0 },
            ending: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            live_futures: LiveFutures::new(count),
            next: AtomicUsize::new(0),
        }));
        let _ = shared.workers.set((0..count).map(|index| Worker::new(index, shared)).collect());
        shared
    }

    pub(crate) fn workers(&self) -> &[Worker] {
        self.workers.get().map_or(&[], |workers| workers)
    }

    /// All workers, the spare ones after the others.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &Worker> + Clone {
        let spares = self.spares[..self.spares_made.load(SeqCst)].iter();
        self.workers().iter().chain(spares.filter_map(|spare| spare.get().map(|spare| &**spare)))
    }

    /// All but one, those after it first.
    pub(crate) fn others(&self, index: usize) -> impl Iterator<Item = &Worker> {
        self.from(index).skip(1)
    }

    fn from(&self, index: usize) -> impl Iterator<Item = &Worker> + Clone {
        let workers = self.workers();
        let count = workers.len() + self.spares_made.load(SeqCst);
        let turn = move |i| if i < count { i } else { i - count };
        (index..index + count).map(turn).filter_map(move |i| match i.checked_sub(workers.len()) {
            None => Some(&workers[i]),
            Some(spare) => self.spares[spare].get().map(|spare| &**spare),
        })
    }

    /// A spare worker that does not run. None if all that the runtime may have do, or none can be started.
    pub(crate) fn start_spare(&'static self) -> Option<&'static Worker> {
        let made = self.spares_made.load(SeqCst);
        let spare = match self.everybody().skip(self.workers().len()).find(|spare| spare.ended.load(SeqCst)) {
            Some(ended) => ended,
            None => {
                let place = self.spares.get(made)?;
                let spare = place.get_or_init(|| Box::new(Worker::new_spare(self.workers().len() + made, self)));
                self.spares_made.store(made + 1, SeqCst);
                spare
            }
        };
        spare.ended.store(false, SeqCst);
        if self.start_thread(spare).is_err() {
            spare.ended.store(true, SeqCst);
            return None;
        }
        Some(spare)
    }

    fn start_thread(&self, worker: &'static Worker) -> io::Result<()> {
        let main = move || {
            // Without one an overflow ends the process all the same, only without our words.
            let _alternate = stack::overflow::alternate_stack().ok();
            worker.main();
        };
        thread::Builder::new().name(format!("{}-{}", self.name, worker.index)).spawn(main).map(drop)
    }

    pub(crate) fn set_ending(&self, ending: bool) {
        self.ending.store(ending, Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    pub(crate) fn start_spinning(&self) -> bool {
        let allowed = self.spinning.fetch_add(1, Relaxed) < self.spinners;
        if !allowed {
            self.stop_spinning();
        }
        allowed
    }

    /// Whether anybody ever may.
    pub(crate) fn may_spin(&self) -> bool {
        self.spinners > 0
    }

    pub(crate) fn stop_spinning(&self) {
        self.spinning.fetch_sub(1, Relaxed);
    }

    /// Puts a task that was spawned on the worker `here`, if it was on one.
    fn place_spawned(&'static self, here: Option<&'static Worker>, task: TaskRef) {
        // One that is to give way, or to take up nothing new, has others for it.
        let Some(here) = here.filter(|here| here.is_open()) else { return self.place(task) };
        match here.place_own(task) {
            Ok(()) if self.is_alone() => {}
            Ok(()) => self.offer(here),
            // It takes none only at its very end, from what its last carriers drop.
            Err(task) => self.place_elsewhere(None, task),
        }
    }

    /// There is new work at `here`, which is at work, that somebody else could do. Wakes one who is idle, unless somebody looks for work
    /// anyway, or is about to: he looks once more before he sleeps, behind a fence, and sees this (W3). By the modes, not by the
    /// number of those who spin: that may be behind.
    pub(crate) fn offer(&self, here: &Worker) {
        fence(SeqCst);
        let mut idle = None;
        for other in self.others(here.index) {
            if other.is_waking() || other.is_spinning() {
                return;
            }
            if idle.is_none() && other.is_idle() && other.is_open() {
                idle = Some(other);
            }
        }
        if let Some(idle) = idle {
            idle.rouse();
        }
    }

    /// Puts a task that has not started, or that roams, where it will not wait: see the top of the file.
    fn place(&'static self, task: TaskRef) {
        let (mut idle, mut emptiest) = (None, None);
        for worker in self.everybody().filter(|worker| worker.is_open()) {
            let best = if worker.is_idle() { &mut idle } else { &mut emptiest };
            if best.is_none_or(|best: &Worker| worker.live() < best.live()) {
                *best = Some(worker);
            }
        }
        let home = idle.or(emptiest).unwrap_or(&self.workers()[0]); // all are stuck: the monitor looks after it
        match home.place(task) {
            Ok(()) => self.rouse_beside(home),
            Err(task) => self.place_elsewhere(None, task),
        }
    }

    /// The one that was chosen has ended. The spawner's own hardly ever has, since it runs the spawner.
    #[cold]
    fn place_elsewhere(&'static self, here: Option<&'static Worker>, mut task: TaskRef) {
        for worker in here.into_iter().chain(self.workers()) {
            match worker.place(task) {
                Ok(()) => return self.rouse_beside(worker),
                Err(back) => task = back,
            }
        }
        // All have ended: a thread-local's destructor spawns while its worker's thread ends. The global runtime never does.
        global().shared.place(task);
    }

    /// Whether there is one worker, so that there is nothing to choose.
    pub(crate) fn is_alone(&self) -> bool {
        self.workers().len() == 1 && self.spares_made.load(SeqCst) == 0
    }

    /// A worker that was busy when it was passed over may have fallen asleep before the task was there to see. One look behind
    /// the push: either we see it asleep, or its last look sees the task.
    fn rouse_beside(&self, home: &Worker) {
        self.rouse_another(home);
    }

    /// Wakes a worker that has nothing to do, for what is with `home`. True if there was one.
    pub(crate) fn rouse_another(&self, home: &Worker) -> bool {
        if self.is_alone() || home.is_idle() {
            return false;
        }
        let idle = self.everybody().find(|other| other.is_idle() && other.is_open());
        idle.inspect(|idle| idle.rouse()).is_some()
    }

    /// The worker of the calling thread, if it is one of these.
    fn here(&self) -> Option<&'static Worker> {
        worker::current().filter(|here| std::ptr::eq(here.shared, self))
    }

    /// Puts a roaming task that was woken: with the worker that has woken it, where what it was woken for is at hand. One more in the
    /// line there is reason to wake somebody who has nothing to do.
    pub(crate) fn place_woken(&'static self, task: TaskRef) {
        let here = self.here().filter(|here| here.is_open());
        match here.map_or(Err(task), |here| here.place(task)) {
            Err(task) => self.place(task),
            Ok(()) if here.is_some_and(|here| here.free_tasks() > 1) => {
                self.everybody().find(|other| other.is_open() && other.is_idle()).inspect(|other| other.rouse());
            }
            Ok(()) => {}
        }
    }

    /// The futures that have not ended.
    pub(crate) fn live_futures(&self) -> &LiveFutures {
        &self.live_futures
    }

    /// Puts a future that wants to be polled where it will be: with the worker that has woken it, unless that one has others
    /// to poll and there is an idle one.
    pub(crate) fn place_future(&'static self, future: Share) {
        let here = self.here();
        let home = here.filter(|here| here.is_open()).unwrap_or_else(|| self.home_of_a_future());
        match home.place_future(future, here) {
            Ok(true) => self.rouse_beside(home), // as in `place`
            Ok(false) => {}
            Err(future) => self.place_future_elsewhere(future),
        }
    }

    /// For one that is woken from outside.
    fn home_of_a_future(&self) -> &Worker {
        let open = || self.everybody().filter(|worker| worker.is_open());
        open().find(|worker| worker.is_idle()).unwrap_or_else(|| {
            let (workers, next) = (self.workers(), self.next.fetch_add(1, Relaxed));
            let turns = (0..workers.len()).map(|i| &workers[(next + i) % workers.len()]);
            turns.chain(open()).find(|worker| worker.is_open()).unwrap_or(&workers[next % workers.len()])
        })
    }

    /// The one that was chosen has ended.
    #[cold]
    fn place_future_elsewhere(&'static self, mut future: Share) {
        for worker in self.workers() {
            match worker.place_future(future, None) {
                Ok(_) => return self.rouse_beside(worker),
                Err(back) => future = back,
            }
        }
        // All have ended; the global runtime never does.
        global().shared.place_future(future);
    }

    /// For a runtime whose workers have no threads that would end.
    pub(crate) fn mark_ended(&self) {
        self.ended.store(true, SeqCst);
    }

    /// Starts `f` on the worker of a hosted runtime, bound to it.
    ///
    /// # Safety
    ///
    /// As for [`TaskRef::prepare`]. The calling thread is the owner's, which drives the worker.
    #[track_caller]
    pub(crate) unsafe fn spawn_here<F: FnOnce() -> T, T>(&'static self, spawn: Spawn, f: F) -> Outcome<T> {
        let slot = stack::acquire(spawn.stack).unwrap_or_else(|error| panic!("cannot start a green thread: {error}"));
        // SAFETY: the caller's promise.
        let outcome = unsafe { TaskRef::prepare(slot, self, spawn, f) };
        // SAFETY: the caller's promise.
        unsafe { self.workers()[0].place_here(outcome.task()) };
        outcome
    }

    /// No more tasks from outside; the workers end after their last ones.
    pub(crate) fn end(&self) {
        self.ended.store(true, SeqCst);
        self.everybody().for_each(Worker::rouse);
    }

    #[track_caller]
    pub(crate) fn spawn<F, T>(&'static self, spawn: Spawn, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: nothing is borrowed.
        JoinHandle::new(unsafe { self.spawn_borrowing(spawn, f) })
    }

    /// # Safety
    ///
    /// As for [`TaskRef::prepare`].
    #[track_caller]
    pub(crate) unsafe fn spawn_borrowing<F, T>(&'static self, spawn: Spawn, f: F) -> Outcome<T>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.try_spawn_borrowing(spawn, f) };
        outcome.unwrap_or_else(|error| panic!("cannot start a green thread: {error}"))
    }

    /// # Safety
    ///
    /// As for [`TaskRef::prepare`].
    pub(crate) unsafe fn try_spawn_borrowing<F, T>(&'static self, spawn: Spawn, f: F) -> Result<Outcome<T>, StackError>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let (here, near) = (self.here(), spawn.near);
        let slot = worker::acquire_stack(here, spawn.stack)?;
        let spawn = Spawn { roams: spawn.roams || self.roams, ..spawn };
        // SAFETY: the caller's promise.
        let outcome = unsafe { TaskRef::prepare(slot, self, spawn, f) };
        outcome.enter_scope();
        if self.is_ending() {
            outcome.task().cancel(outcome.id());
        }
        match here.filter(|_| near) {
            Some(here) if !outcome.task().roams() => here.place_near(outcome.task()),
            Some(here) => here.place(outcome.task()).unwrap_or_else(|task| self.place_elsewhere(None, task)),
            None => self.place_spawned(here, outcome.task()),
        }
        Ok(outcome)
    }
}

/// A set of worker threads that run green threads.
///
/// [`go`](fn@crate::go) and [`run`](crate::run) use a global one, made when first used, with a worker for each CPU. Make one
/// of your own to choose the number of workers.
///
/// Dropping it does not stop what runs on it: its tasks go on until they end, and each worker's thread ends after its last
/// one. A process that returns from `main` ends without waiting for any of them.
///
/// # Examples
///
/// ```
/// let runtime = greenlight::Runtime::builder().workers(1).build()?;
/// assert_eq!(runtime.run(|| 6 * 7), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    shared: &'static Shared,
}

impl Runtime {
    /// Settings for a new runtime.
    pub fn builder() -> Builder {
        Builder { workers: None, spare_workers: SPARE_WORKERS, roams: false, name: None }
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.shared.workers().len()
    }

    /// Starts `f` as a green thread of this runtime and returns at once. See [`go`](fn@crate::go).
    ///
    /// # Panics
    ///
    /// If there is no memory for another stack; `f` is dropped.
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.shared.spawn(Spawn::here(), f)
    }

    /// Starts `future` as a task of this runtime and returns at once. See [`go_async`](crate::go_async).
    #[track_caller]
    pub fn go_async<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::of_future(stackless::spawn(self.shared, Spawn::here(), future))
    }

    /// Runs `f` as a green thread of this runtime and waits for it: an OS thread sleeps, a green thread parks. Tasks that
    /// `f` has started may still run afterwards.
    ///
    /// # Panics
    ///
    /// With the panic of `f`, if it panics.
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.go(f).join().unwrap_or_else(|error| error.resume())
    }

    /// Ends the runtime: asks all its green threads and futures to end, and waits until they have and the workers' threads are over,
    /// for `limit` at most. What they start once all were asked is cancelled before its first step. Called by one of them, it
    /// leaves that one out, and the workers' threads.
    ///
    /// What does not end in time (it computes without a wait, blocks in a call, is in a [`shield`](crate::task::shield)) stays
    /// as it is and is told of.
    ///
    /// # Cancellation
    ///
    /// As [`JoinHandle::cancel`], for each of them. If the caller itself is cancelled, it waits no longer.
    ///
    /// # Cost
    ///
    /// A walk through all stacks in use, about once a millisecond.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{Runtime, channel::never};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder().workers(1).build()?;
    /// let waits = runtime.go(|| never::<()>().recv());
    /// let report = runtime.shutdown(Duration::from_secs(10));
    /// assert_eq!((report.ended(), report.left().len()), (1, 0));
    /// assert!(waits.join().unwrap_err().is_cancelled());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn shutdown(self, limit: Duration) -> ShutdownReport {
        shutdown::run(self.shared, limit)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("workers", &self.workers()).finish()
    }
}

/// Settings for a new [`Runtime`].
#[derive(Clone, Debug)]
pub struct Builder {
    workers: Option<usize>,
    spare_workers: usize,
    roams: bool,
    name: Option<String>,
}

impl Builder {
    /// The number of worker threads. By default one for each CPU that the process may use, as its affinity mask and its
    /// cgroup's limit say.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many threads more than [`workers`](Self::workers) there may be, while some of those are stuck in a call that blocks
    /// their OS thread. 64 by default.
    ///
    /// A worker that has not switched for 5 ms loses the green threads that have not started yet, and the futures, to the
    /// others; if it is not computing, or all workers are stuck, a spare one is started for them. What a spare worker starts stays on
    /// it. When the stuck one goes on, the spare one takes up nothing new, and its thread ends about a second after its last
    /// green thread.
    ///
    /// A green thread that *has* started is not rescued: it waits until its worker switches. (See
    /// [the crate's page](crate#what-a-green-thread-may-do).) With 0 there are no spare workers: all workers stuck, nothing goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{sync::mpsc, thread};
    ///
    /// let runtime = greenlight::Runtime::builder().workers(1).spare_workers(1).build()?;
    /// let (tx, rx) = mpsc::channel();
    /// let stuck = runtime.go(move || rx.recv().unwrap()); // std's channel: it blocks the worker
    /// runtime.go(move || tx.send(1).unwrap());
    /// assert_eq!(stuck.join().unwrap(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spare_workers(mut self, spare_workers: usize) -> Self {
        self.spare_workers = spare_workers;
        self
    }

    /// All green threads of this runtime roam: each goes on with any worker whenever it is woken, as goroutines do. See
    /// [`task::Builder::roaming`](crate::task::Builder::roaming), which says what that brings, and what it forbids.
    ///
    /// # Safety
    ///
    /// As there, for each closure that this runtime ever runs as a green thread, and whatever it calls.
    ///
    /// # Examples
    ///
    /// ```
    /// // SAFETY: what is started here computes and sends, and uses no thread-local.
    /// let runtime = unsafe { greenlight::Runtime::builder().roaming() }.build()?;
    /// assert_eq!(runtime.run(|| 6 * 7), 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub unsafe fn roaming(mut self) -> Self {
        self.roams = true;
        self
    }

    /// The name of the worker threads, as debuggers and panics show it: `name-0`, `name-1` and so on. By default
    /// `greenlight`; Linux shows the first 15 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = greenlight::Runtime::builder().workers(1).name("disk").build()?;
    /// let name = runtime.run(|| std::thread::current().name().map(String::from));
    /// assert_eq!(name.as_deref(), Some("disk-0"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn thread_name(&self) -> &str {
        self.name.as_deref().unwrap_or("greenlight")
    }

    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// If `workers` is 0, the name has a zero byte in it, a thread cannot be started, or another runtime has taken the park hooks of the process.
    pub fn build(self) -> io::Result<Runtime> {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let count = self.workers.unwrap_or(cpus);
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a runtime needs at least one worker"));
        }
        if self.thread_name().contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a runtime has a zero byte in it"));
        }
        install()?;
        let shared = Shared::new(count, cpus, &self);
        let runtime = Runtime { shared };
        let workers = shared.workers();
        for (started, worker) in workers.iter().enumerate() {
            if let Err(error) = shared.start_thread(worker) {
                // Those that started end with `runtime`, which is dropped here; the others never began.
                workers[started..].iter().for_each(|worker| worker.ended.store(true, SeqCst));
                return Err(error);
            }
        }
        RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
        Ok(runtime)
    }
}

/// A runtime of one worker that has no thread.
pub(crate) fn hosted(hook: Box<dyn Fn() + Send + Sync>) -> io::Result<&'static Shared> {
    install()?;
    let shared = Shared::new(1, 1, &Runtime::builder().spare_workers(0));
    shared.workers()[0].host(hook);
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
    Ok(shared)
}

/// What a process needs for its first runtime.
fn install() -> io::Result<()> {
    hooks::install().map_err(io::Error::other)?;
    name_panics();
    stack::overflow::install(describe);
    Ok(())
}

/// Has each panic of a green thread say which one, before whatever else is said about it.
fn name_panics() {
    static ONCE: Once = Once::new();
    // While it panics, a thread may not exchange the hook; the next runtime will.
    if !thread::panicking() {
        ONCE.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if let Some(task) = worker::current_task() {
                    let _ = writeln!(io::stderr(), "{}:", task.get());
                }
                previous(info);
            }));
        });
    }
}

/// For the report of a stack overflow: who it was. Runs in a signal handler, so it must not allocate.
fn describe(slot: stack::Slot, out: &mut dyn FnMut(&[u8])) {
    struct Lines<'a>(&'a mut dyn FnMut(&[u8]));
    impl fmt::Write for Lines<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            (self.0)(text.as_bytes());
            Ok(())
        }
    }
    let task = TaskRef::of(slot);
    let task: &Task = task.get();
    let _ = fmt::Write::write_fmt(&mut Lines(out), format_args!("{task}"));
}

/// The runtime of [`go`](fn@crate::go) and [`run`](crate::run).
pub(crate) fn global() -> &'static Runtime {
    static GLOBAL: OnceLock<Runtime> = OnceLock::new();
    GLOBAL.get_or_init(|| {
        Runtime::builder().build().unwrap_or_else(|error| panic!("cannot start the global runtime: {error}"))
    })
}

/// The workers of the global runtime.
pub(crate) fn global_workers() -> &'static [Worker] {
    global().shared.workers()
}

/// The runtime that the caller runs on, or the global one.
pub(crate) fn here() -> &'static Shared {
    match worker::current() {
        Some(worker) => worker.shared,
        None => global().shared,
    }
}

#[cfg(all(test, loom))]
pub(crate) mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// At most half of the workers spin at a time, and none where there is one CPU.
    #[test]
    fn half_of_the_workers_may_spin() {
        for (count, cpus, spinners) in [(1, 1, 0), (8, 1, 0), (1, 2, 0), (2, 2, 1), (5, 8, 2), (64, 4, 32)] {
            let shared = Shared::new(count, cpus, &Runtime::builder());
            let all = |_| (0..count + 1).filter(|_| shared.start_spinning()).count();
            assert_eq!(all(()), spinners, "{count} workers on {cpus} CPUs");
            assert_eq!(all(()), 0);
            (0..spinners).for_each(|_| shared.stop_spinning());
            assert_eq!(all(()), spinners, "a place is free again");
        }
    }
}
