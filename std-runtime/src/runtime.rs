//! A set of workers, from its start (`runtime/builder.rs`) to its end. Where tasks go: `runtime/placement.rs`.

mod builder;
#[cfg(all(test, loom))]
pub(crate) mod models;
mod placement;

pub use builder::Builder;

use crate::{
    header::{Outcome, Spawn, TaskRef},
    join::JoinHandle,
    shutdown::{self, ShutdownReport},
    stack::{self, StackError},
    stackless::{self, LiveFutures},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::*},
    worker::{self, Worker},
};
use std::{
    fmt,
    future::Future,
    io,
    sync::{Mutex, OnceLock, PoisonError},
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

    /// Whether there is one worker, so that there is nothing to choose.
    pub(crate) fn is_alone(&self) -> bool {
        self.workers().len() == 1 && self.spares_made.load(SeqCst) == 0
    }

    /// The worker of the calling thread, if it is one of these.
    fn here(&self) -> Option<&'static Worker> {
        worker::current().filter(|here| std::ptr::eq(here.shared, self))
    }

    /// The futures that have not ended.
    pub(crate) fn live_futures(&self) -> &LiveFutures {
        &self.live_futures
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
        let slot = worker::acquire_slot(here, spawn.stack)?;
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
/// Threads and stacks go when it has ended; some 4 KiB for each worker stay for ever, since a waker may still name it. So a runtime is
/// for a part of a program, not for a request.
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

/// A runtime of one worker that has no thread.
pub(crate) fn hosted(hook: Box<dyn Fn() + Send + Sync>) -> io::Result<&'static Shared> {
    builder::install()?;
    let shared = Shared::new(1, 1, &Runtime::builder().spare_workers(0));
    shared.workers()[0].host(hook);
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
    Ok(shared)
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
