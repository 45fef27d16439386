//! A runtime without a thread of its own, for programs that have a loop already.
//!
//! What makes it sound to start closures that are not `Send` here: the runtime is neither `Send` nor `Sync`, so it is driven by the
//! thread that has made it, and by no other; it has one worker, and [`go_local`](LocalRuntime::go_local) binds a task to that before it
//! starts, so that no other thread ever runs or drops the closure. Its result goes to a handle that is `Send` only if the
//! result is.

use crate::{
    deadlock,
    header::Spawn,
    join::JoinHandle,
    runtime::{self, Shared},
    shutdown,
    stack::{self, overflow::AlternateStack},
    stackless,
    worker::{self, Worker},
};
use greenlight_core::park;
use std::{
    collections::HashSet,
    fmt,
    future::Future,
    io,
    marker::PhantomData,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

/// A runtime that runs its green threads on the thread that made it, when that thread says so: for the event loop of a window
/// system, a game or a library, which schedules a [`drive`](Self::drive) when there is work.
///
/// ```text
///   host loop ──▶ drive ──▶ tasks run until none is ready ──▶ Drive { next timer, live tasks } ──▶ sleeps until then
///       ▲                                                                                            │
///       └────── schedules a drive ◀── wake hook ◀── a value, an unlock, a cancel from any thread ─────┘
/// ```
///
/// It starts no thread. Waits with a limit, [`sleep`](crate::sleep) among them, are the host's to end: `drive` says when the next
/// one is due. What no green thread waits for itself ([`time`](crate::time)'s timers, `after`, deadlines of a
/// [`context`](crate::context)) is the business of the process's one timer thread, which starts with the first of them and calls the
/// wake hook; [`blocking`](fn@crate::blocking) calls have threads of their own likewise, and [sockets](crate::net) are watched by the
/// workers of the global runtime, which start with the first wait for one.
///
/// [`go`](fn@crate::go) in one of its green threads starts another one here; between drives it is a plain OS thread that calls, so
/// that starts the global runtime with its threads. A call that blocks the thread blocks the host.
///
/// Dropping it asks all its green threads and futures to end, and runs them until they have. What does not end at once (it is in a
/// [`shield`](crate::task::shield) and waits) stays parked for ever, and so does everything if the thread is unwinding from a panic
/// or runs a green thread just then: it is leaked.
///
/// # Examples
///
/// ```
/// use greenlight::{LocalRuntime, channel::bounded, go};
/// use std::{cell::Cell, rc::Rc};
///
/// let runtime = LocalRuntime::new()?;
/// let sum = Rc::new(Cell::new(0));
/// let (tx, rx) = bounded(0);
/// let mine = sum.clone();
/// runtime.go_local(move || rx.iter().for_each(|n: u32| mine.set(mine.get() + n)));
/// runtime.go(move || (1..=4).for_each(|n| tx.send(n).unwrap()));
///
/// let state = runtime.drive();
/// assert_eq!((sum.get(), state.live, state.next), (10, 0, None));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It stays on its thread:
///
/// ```compile_fail
/// let runtime = greenlight::LocalRuntime::new().unwrap();
/// std::thread::spawn(move || runtime.drive());
/// ```
///
/// ```compile_fail
/// let runtime = greenlight::LocalRuntime::new().unwrap();
/// std::thread::scope(|s| {
///     s.spawn(|| runtime.drive());
/// });
/// ```
///
/// And so does a handle whose result must:
///
/// ```compile_fail
/// let runtime = greenlight::LocalRuntime::new().unwrap();
/// let handle = runtime.go_local(|| std::rc::Rc::new(1));
/// std::thread::spawn(move || handle.join());
/// ```
pub struct LocalRuntime {
    shared: &'static Shared,
    /// Without one an overflow ends the process all the same, only without our words.
    _signals: Option<AlternateStack>,
    /// H1.
    _stays: PhantomData<*mut ()>,
}

/// What is left when a [`LocalRuntime`] has run what was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    /// When the first timer is due: it wants another [`drive`](LocalRuntime::drive) then, and the wake hook does not say so.
    pub next: Option<Instant>,
    /// How many green threads and futures have not ended.
    pub live: usize,
}

impl LocalRuntime {
    /// For a thread that drives it when it likes, or by [`run_until`](Self::run_until).
    ///
    /// # Errors
    ///
    /// If another runtime has taken the park hooks of the process.
    pub fn new() -> io::Result<Self> {
        Self::with_wake(|| ())
    }

    /// With a hook that is called when there is new work and the runtime is not being driven: once, then not before the next
    /// [`drive`](Self::drive) is over. By any thread, in the midst of a wake-up, so it should do no more than to have the host
    /// call `drive` soon: post an event, write to a pipe, unpark the thread.
    ///
    /// It may be called by this thread, too, when that starts a task or sends a value. Its panics are reported by the panic hook and
    /// go no further.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::LocalRuntime;
    /// use std::sync::mpsc;
    ///
    /// let (events, queue) = mpsc::channel();
    /// let runtime = LocalRuntime::with_wake(move || events.send("drive").unwrap())?;
    /// let task = runtime.go(|| 6 * 7);
    /// assert_eq!(queue.recv(), Ok("drive"));
    /// runtime.drive();
    /// assert_eq!(task.join().unwrap(), 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn with_wake(hook: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let shared = runtime::hosted(Box::new(hook))?;
        Ok(Self { shared, _signals: stack::overflow::alternate_stack().ok(), _stays: PhantomData })
    }

    fn worker(&self) -> &'static Worker {
        &self.shared.workers()[0]
    }

    /// Starts `f` as a green thread: it runs in the next [`drive`](Self::drive). See [`go`](fn@crate::go).
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
        self.go_local(f)
    }

    /// [`go`](Self::go), for what must stay on this thread: the closure and its result need not be `Send`.
    ///
    /// Waiting for it by [`JoinHandle::join`] outside of a green thread stops the thread that would run it. Use
    /// [`run_until`](Self::run_until), or look whether it [is finished](JoinHandle::is_finished) after a drive.
    ///
    /// # Panics
    ///
    /// As for [`go`](Self::go).
    #[track_caller]
    pub fn go_local<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        // SAFETY: nothing is borrowed. H1: this is the thread that will run it, and drop it; the task is bound to its worker.
        JoinHandle::new(unsafe { self.shared.spawn_here(Spawn::here(), f) })
    }

    /// Starts `future` as a task: it is polled in the next [`drive`](Self::drive). See [`go_async`](crate::go_async).
    ///
    /// For a future that is not `Send`, let a green thread [wait for it](fn@crate::block_on):
    /// `go_local(|| block_on(future))`.
    #[track_caller]
    pub fn go_async<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::of_future(stackless::spawn(self.shared, Spawn::here(), future))
    }

    /// Runs green threads and futures on the calling thread until none of them is ready.
    ///
    /// A green thread that never waits, or only [yields](crate::yield_now), keeps it from returning. While the thread unwinds from a
    /// panic, nothing runs.
    ///
    /// # Panics
    ///
    /// If the caller is a green thread, one of this runtime's or another's. A panic of a task ends that task.
    ///
    /// # Cost
    ///
    /// With nothing ready: a few loads, and two writes.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::LocalRuntime;
    /// use std::{thread, time::{Duration, Instant}};
    ///
    /// let runtime = LocalRuntime::new()?;
    /// runtime.go(|| greenlight::sleep(Duration::from_millis(1)));
    /// while let Some(next) = runtime.drive().next {
    ///     thread::sleep(next.saturating_duration_since(Instant::now()));
    /// }
    /// assert_eq!(runtime.drive().live, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn drive(&self) -> Drive {
        assert!(
            worker::current().is_none(),
            "LocalRuntime::drive inside a green thread: its thread has a driver already"
        );
        let until_timer = if thread::panicking() {
            None
        } else {
            // SAFETY: H1, by the type; and no green thread runs here.
            unsafe { self.worker().drive() }
        };
        let next = until_timer.and_then(|left| Instant::now().checked_add(left));
        Drive { next, live: self.worker().live_green() + self.shared.live_futures().count() }
    }

    /// Runs `f` as a green thread, and drives the runtime until that has ended: the thread sleeps while nothing is ready. What else
    /// there is goes on meanwhile, and may still run afterwards.
    ///
    /// If everybody waits for everybody, the program ends and says so, as with [`run`](crate::run).
    ///
    /// # Panics
    ///
    /// With the panic of `f`. If the caller is a green thread, as for [`drive`](Self::drive); or if the thread unwinds from a panic,
    /// which aborts the process.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::LocalRuntime;
    /// use std::{rc::Rc, time::Duration};
    ///
    /// let runtime = LocalRuntime::new()?;
    /// let text = Rc::new("mine");
    /// let length = runtime.run_until(move || {
    ///     greenlight::sleep(Duration::from_millis(1));
    ///     text.len()
    /// });
    /// assert_eq!(length, 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn run_until<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        assert!(worker::current().is_none(), "LocalRuntime::run_until inside a green thread: use `go` and `join`");
        assert!(!thread::panicking(), "LocalRuntime::run_until while the thread unwinds from a panic");
        let mut task = self.go_local(f);
        loop {
            let state = self.drive();
            if let Some(result) = task.join_timeout(Duration::ZERO) {
                return result.unwrap_or_else(|error| error.resume());
            }
            let left = state.next.map(|next| next.saturating_duration_since(Instant::now()));
            let deadline = left.and_then(park::deadline_after);
            let _ = park::thread::wait(
                deadline,
                &mut |waker| if self.worker().has_nothing_new(waker) { Poll::Pending } else { Poll::Ready(()) },
                deadlock::look,
            );
        }
    }
}

impl Drop for LocalRuntime {
    fn drop(&mut self) {
        self.shared.mark_ended();
        if thread::panicking() || worker::current().is_some() {
            return;
        }
        let mut asked = HashSet::new();
        let mut before = usize::MAX;
        loop {
            let left = shutdown::cancel_all(self.shared, &mut asked).len();
            if left == 0 || left >= before {
                break;
            }
            before = left;
            self.drive();
        }
        // SAFETY: H1, by the type; and no green thread runs here.
        unsafe { self.worker().end_hosting() };
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRuntime").finish_non_exhaustive()
    }
}
