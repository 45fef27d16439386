//! How a runtime is made, and what a process needs for its first one.

use super::{RUNTIMES, Runtime, Shared};
use crate::{
    header::{Task, TaskRef},
    hooks, stack,
    sync::atomic::Ordering::*,
    worker,
};
use std::{
    fmt,
    io::{self, Write as _},
    panic,
    sync::{Once, PoisonError},
    thread,
};

/// Settings for a new [`Runtime`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) workers: Option<usize>,
    pub(super) spare_workers: usize,
    pub(super) roams: bool,
    pub(super) name: Option<String>,
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

    pub(super) fn thread_name(&self) -> &str {
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

/// What a process needs for its first runtime.
pub(super) fn install() -> io::Result<()> {
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
fn describe(stack: stack::Stack, out: &mut dyn FnMut(&[u8])) {
    struct Lines<'a>(&'a mut dyn FnMut(&[u8]));
    impl fmt::Write for Lines<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            (self.0)(text.as_bytes());
            Ok(())
        }
    }
    let Some(task) = TaskRef::on(stack) else { return };
    let task: &Task = task.get();
    let _ = fmt::Write::write_fmt(&mut Lines(out), format_args!("{task}"));
}
