//! Who runs the tasks: each runtime behind one trait, used as its documentation shows.

use embassy_executor::{Executor, SendSpawner, raw::TaskStorage};
use greenlight_core::select;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

/// A task: a future that any runtime can run.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A call that may block.
pub type Call = Box<dyn FnOnce() + Send>;

/// A runtime, as the workloads see it.
pub trait Host: Sync {
    /// For messages.
    fn name(&self) -> String;

    /// Runs `task` to its end, beside the others.
    fn spawn(&self, task: Task);

    /// Runs `call` where this runtime wants blocking calls: on a thread of their own, if nothing else is said.
    fn block(&self, call: Call) {
        thread::spawn(call);
    }
}

/// tokio with two workers.
pub struct TokioThreads(tokio::runtime::Runtime);

impl TokioThreads {
    /// Starts it.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self(runtime.expect("tokio starts"))
    }

    /// For what only tokio has.
    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.0
    }
}

impl Host for TokioThreads {
    fn name(&self) -> String {
        "tokio, two workers".into()
    }

    fn spawn(&self, task: Task) {
        self.0.spawn(task);
    }

    fn block(&self, call: Call) {
        self.0.spawn_blocking(call);
    }
}

/// tokio on one thread: nothing goes on unless its one task at a time gives way.
pub struct TokioCurrent {
    handle: tokio::runtime::Handle,
    driver: Option<(greenlight_core::channel::Sender<()>, thread::JoinHandle<()>)>,
}

impl TokioCurrent {
    /// Starts it, on a thread of its own.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
        let handle = runtime.handle().clone();
        let (stop, stopped) = greenlight_core::channel::bounded(0);
        let driver = thread::spawn(move || _ = runtime.block_on(stopped.recv_async()));
        Self { handle, driver: Some((stop, driver)) }
    }
}

impl Drop for TokioCurrent {
    fn drop(&mut self) {
        if let Some((stop, driver)) = self.driver.take() {
            drop(stop);
            let _ = driver.join();
        }
    }
}

impl Host for TokioCurrent {
    fn name(&self) -> String {
        "tokio, current thread".into()
    }

    fn spawn(&self, task: Task) {
        self.handle.spawn(task);
    }

    fn block(&self, call: Call) {
        self.handle.spawn_blocking(call);
    }
}

/// An executor of smol's with two threads.
pub struct Smol {
    executor: Arc<smol::Executor<'static>>,
    _stop: smol::channel::Sender<()>,
}

impl Smol {
    /// Starts it.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let executor = Arc::new(smol::Executor::new());
        let (stop, stopped) = smol::channel::unbounded::<()>();
        for _ in 0..2 {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            thread::spawn(move || _ = smol::block_on(executor.run(stopped.recv())));
        }
        Self { executor, _stop: stop }
    }
}

impl Host for Smol {
    fn name(&self) -> String {
        "smol".into()
    }

    fn spawn(&self, task: Task) {
        self.executor.spawn(task).detach();
    }

    fn block(&self, call: Call) {
        smol::unblock(call).detach();
    }
}

/// embassy's executor, on a thread that never ends. Its tasks live in memory that is never freed.
pub struct Embassy(SendSpawner);

impl Embassy {
    /// Starts it.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let (spawner, spawners) = mpsc::channel();
        thread::spawn(move || {
            let executor = Box::leak(Box::new(Executor::new()));
            executor.run(|here| spawner.send(here.make_send()).expect("`new` waits for it"));
        });
        Self(spawners.recv().expect("embassy starts"))
    }
}

impl Host for Embassy {
    fn name(&self) -> String {
        "embassy".into()
    }

    fn spawn(&self, task: Task) {
        let memory: &'static TaskStorage<Task> = Box::leak(Box::new(TaskStorage::new()));
        self.0.spawn(memory.spawn(|| task).expect("new memory for each task"));
    }
}

/// A thread for each future, in futures-lite's `block_on`.
pub struct FuturesLite;

impl Host for FuturesLite {
    fn name(&self) -> String {
        "futures-lite".into()
    }

    fn spawn(&self, task: Task) {
        thread::spawn(|| futures_lite::future::block_on(task));
    }
}

/// A thread for each future, in pollster's `block_on`.
pub struct Pollster;

impl Host for Pollster {
    fn name(&self) -> String {
        "pollster".into()
    }

    fn spawn(&self, task: Task) {
        thread::spawn(|| pollster::block_on(task));
    }
}

/// A thread for each future, which waits for it by our own `select!`.
pub struct OsThreads;

impl Host for OsThreads {
    fn name(&self) -> String {
        "OS threads".into()
    }

    fn spawn(&self, task: Task) {
        thread::spawn(|| wait_for(task));
    }
}

/// Waits for `task` in the caller's own way.
pub fn wait_for(task: Task) {
    select! {
        wait(task) -> () => {}
    }
}

/// Several hosts, in turn.
pub struct All {
    hosts: Vec<Box<dyn Host>>,
    next: AtomicUsize,
}

impl All {
    /// Every host of this file.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::with(Vec::new())
    }

    /// Every host of this file, and `more`.
    pub fn with(more: Vec<Box<dyn Host>>) -> Self {
        let mut hosts: Vec<Box<dyn Host>> = vec![
            Box::new(TokioThreads::new()),
            Box::new(TokioCurrent::new()),
            Box::new(Smol::new()),
            Box::new(Embassy::new()),
            Box::new(FuturesLite),
            Box::new(Pollster),
            Box::new(OsThreads),
        ];
        hosts.extend(more);
        Self { hosts, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &dyn Host {
        &*self.hosts[self.next.fetch_add(1, Relaxed) % self.hosts.len()]
    }
}

impl Host for All {
    fn name(&self) -> String {
        let names: Vec<_> = self.hosts.iter().map(|host| host.name()).collect();
        names.join(" + ")
    }

    fn spawn(&self, task: Task) {
        self.next().spawn(task);
    }

    fn block(&self, call: Call) {
        self.next().block(call);
    }
}
