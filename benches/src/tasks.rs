//! The ways to run tasks, and the team that measures them from the first start to the last end.
//!
//! The clock starts when the first task leaves the common gate and stops when the last one is done: making threads, and
//! ending them, is no part of it.

use crate::now;
use greenlight::{Runtime, WaitGroup};
use std::{
    future::Future,
    sync::{Arc, Barrier, LazyLock},
    thread,
    time::Duration,
};

/// How the tasks of a workload run.
pub trait Tasks: 'static {
    /// Where they meet before the clock starts.
    type Gate: Clone + Send + 'static;
    /// A task that was started.
    type Handle<R: Send + 'static>;

    /// Runs the whole workload where it belongs.
    fn host<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R;
    /// A gate for so many.
    fn gate(tasks: usize) -> Self::Gate;
    /// Waits for the others.
    fn pass(gate: &Self::Gate);
    /// Starts a task.
    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R>;
    /// A panic of the task goes on here.
    fn join<R: Send + 'static>(handle: Self::Handle<R>) -> R;
}

/// A thread for each task.
pub struct OsThreads;

impl Tasks for OsThreads {
    type Gate = Arc<Barrier>;
    type Handle<R: Send + 'static> = thread::JoinHandle<R>;

    fn host<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        work()
    }

    fn gate(tasks: usize) -> Self::Gate {
        Arc::new(Barrier::new(tasks))
    }

    fn pass(gate: &Self::Gate) {
        gate.wait();
    }

    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R> {
        thread::spawn(task)
    }

    fn join<R: Send + 'static>(handle: Self::Handle<R>) -> R {
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Green threads of a runtime with two workers.
pub struct GreenThreads;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::builder().workers(2).build().expect("a runtime"));

impl Tasks for GreenThreads {
    type Gate = WaitGroup;
    type Handle<R: Send + 'static> = greenlight::JoinHandle<R>;

    fn host<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        RUNTIME.run(work)
    }

    fn gate(tasks: usize) -> Self::Gate {
        let gate = WaitGroup::new();
        gate.add(tasks);
        gate
    }

    fn pass(gate: &Self::Gate) {
        gate.done();
        gate.wait();
    }

    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R> {
        greenlight::go(task)
    }

    fn join<R: Send + 'static>(handle: Self::Handle<R>) -> R {
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The tasks of one run.
pub struct Team<K: Tasks, R: Send + 'static> {
    gate: K::Gate,
    tasks: Vec<K::Handle<Part<R>>>,
}

/// What a task did, from the gate on.
struct Part<R> {
    start: Duration,
    end: Duration,
    result: R,
}

impl<R> Part<R> {
    /// From the first start to the last end, and all results.
    fn join(parts: Vec<Self>) -> (Duration, Vec<R>) {
        let start = parts.iter().map(|part| part.start).min().expect("a task");
        let end = parts.iter().map(|part| part.end).max().expect("a task");
        (end - start, parts.into_iter().map(|part| part.result).collect())
    }
}

impl<K: Tasks, R: Send + 'static> Team<K, R> {
    /// A team of so many, none of them started.
    pub fn new(tasks: usize) -> Self {
        Self { gate: K::gate(tasks), tasks: Vec::with_capacity(tasks) }
    }

    /// Starts a task: at the gate it waits for the others.
    pub fn start(&mut self, task: impl FnOnce() -> R + Send + 'static) {
        let gate = self.gate.clone();
        self.tasks.push(K::spawn(move || {
            K::pass(&gate);
            let start = now();
            let result = task();
            Part { start, end: now(), result }
        }));
    }

    /// From the first start to the last end, and what each of them brings.
    pub fn finish(self) -> (Duration, Vec<R>) {
        Part::join(self.tasks.into_iter().map(K::join).collect())
    }
}

/// The same on tokio with two workers: runs these futures together.
pub fn tokio_team<R: Send + 'static, F>(tasks: impl IntoIterator<Item = F>) -> (Duration, Vec<R>)
where
    F: Future<Output = R> + Send + 'static,
{
    static TOKIO: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime"));
    let tasks: Vec<_> = tasks.into_iter().collect();
    let gate = Arc::new(tokio::sync::Barrier::new(tasks.len()));
    let run = |task: F| {
        let gate = gate.clone();
        TOKIO.spawn(async move {
            gate.wait().await;
            let start = now();
            let result = task.await;
            Part { start, end: now(), result }
        })
    };
    let started: Vec<_> = tasks.into_iter().map(run).collect();
    let joined = started.into_iter().map(|task| TOKIO.block_on(task).unwrap_or_else(|error| panic!("{error}")));
    Part::join(joined.collect())
}
