//! What a green thread can know and say about itself, and how to start one with more than a closure.
//!
//! ```
//! use greenlight::task;
//!
//! let parser = task::Builder::new().name("parser").spawn(|| task::current_name());
//! assert_eq!(parser.name(), Some("parser"));
//! assert_eq!(parser.join().unwrap().as_deref(), Some("parser"));
//! ```
//!
//! # Cancellation
//!
//! [`JoinHandle::cancel`] asks a green thread to end. It does so where it would sleep, by unwinding: locks are unlocked, what
//! it has sent is sent, what it was about to receive stays in the channel. To finish a step undisturbed, wrap it in a
//! [`shield`]; in a computation that never sleeps, call [`check_cancelled`] from time to time.

use crate::{
    JoinHandle,
    header::{self, Spawn, TaskRef},
    runtime,
    stack::Class,
    stackless, worker,
};
use std::{future::Future, io};

pub use crate::header::TaskId;

/// Starts a green thread that has a name, or stays with its spawner.
///
/// # Examples
///
/// ```
/// let task = greenlight::task::Builder::new().name("summer").near().spawn(|| 1 + 2);
/// assert_eq!(task.join().unwrap(), 3);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing before `spawn`"]
pub struct Builder {
    name: Option<Box<str>>,
    near: bool,
    stack_size: Option<usize>,
    roams: bool,
}

impl Builder {
    /// No name; started where [`go`](fn@crate::go) would start it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name that panics, deadlock reports and stack overflows show. It costs an allocation.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// On the spawner's own worker: see [`go_near`](crate::go_near).
    pub fn near(mut self) -> Self {
        self.near = true;
        self
    }

    /// A stack with so many bytes for the green thread's calls, instead of about 230 KiB: it is one of 64 KiB, 256 KiB, 1, 8 or
    /// 64 MiB, less a guard and a page for the runtime. What counts for memory is what is touched, whatever the size; a
    /// small stack saves addresses, and is a promise that a test can hold the green thread to.
    ///
    /// A future has no stack: for [`spawn_async`](Self::spawn_async) it has no meaning.
    ///
    /// # Errors
    ///
    /// More than the largest has is refused by [`try_spawn`](Self::try_spawn), and [`spawn`](Self::spawn) panics.
    ///
    /// # Cost
    ///
    /// The first green thread of a size reserves addresses, 64 to 256 GiB, for all of that size.
    ///
    /// # Examples
    ///
    /// ```
    /// fn depth(list: u64) -> u64 {
    ///     let frame = std::hint::black_box([list; 128]);
    ///     if list == 0 { 0 } else { depth(list - 1) + frame[7] / list }
    /// }
    ///
    /// let deep = greenlight::task::Builder::new().stack_size(6_000_000).spawn(|| depth(2000));
    /// assert_eq!(deep.join().unwrap(), 2000);
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// [`spawn`](Self::spawn), for a caller that can do without the green thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the stack size is more than there is; `OutOfMemory` if there is no memory, or no address, for another
    /// stack: the error says which limit to raise. `f` is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::task::Builder;
    /// use std::io::ErrorKind;
    ///
    /// assert_eq!(Builder::new().try_spawn(|| 1 + 2)?.join().unwrap(), 3);
    /// let refused = Builder::new().stack_size(1 << 40).try_spawn(|| ());
    /// assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn try_spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawn = self.try_into_spawn()?;
        // SAFETY: nothing is borrowed.
        let outcome = unsafe { runtime::here().try_spawn_borrowing(spawn, f) };
        outcome.map(JoinHandle::new).map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))
    }

    /// It roams: whenever it is woken, the next worker that has time goes on with it, on another OS thread than before. So, other than
    /// a green thread that is bound to its worker, it does not wait for one that is stuck in a blocking call or a long
    /// computation. Its first start is no different: every green thread is free until then. `near` only says where it begins.
    /// It has no meaning for a future, which always goes on anywhere.
    ///
    /// # Safety
    ///
    /// Whoever calls this promises that nothing in the green thread, its closure and all that it calls, carries over a wait what belongs
    /// to an OS thread. A wait is every call of this crate that may block ([`yield_now`](crate::yield_now) and a `lock` of a free lock
    /// among them), not only those that do. Nothing checks it: neither the compiler, since what is alive across a wait is
    /// on the stack and need not be `Send`, nor the runtime. The known ways to break the promise:
    ///
    /// * a borrow of a `thread_local!` that is held across a wait: one inside of `LocalKey::with`, a `RefCell` guard of it, a reference
    ///   that was made longer by `unsafe` means;
    /// * an `Rc`, `Cell` or other value that is not `Send` and of which a thread-local, or another task, has a share;
    /// * an **address** of a thread-local that the optimizer computes before the wait and uses after it. It does so where a function
    ///   that uses a thread-local is inlined, twice, into one that waits in between; the source shows two harmless
    ///   uses, which become one address. Put such uses into functions that are `#[inline(never)]`. With fat LTO it
    ///   concerns std's own functions, too;
    /// * so `errno`: `io::Error::last_os_error()` belongs directly behind the call, in a function of its own;
    /// * guards that are not `Send`: std's `MutexGuard` and `RwLock` guards (the lock must be given back by the thread that took it),
    ///   spans that are entered (`tracing`'s `Entered`), anything that sets a thread-local and sets it back in its `Drop`;
    /// * foreign libraries that belong to a thread: OpenGL contexts, COM apartments, GUI toolkits, an interpreter's lock, what
    ///   was opened "for this thread";
    /// * `std::thread::park`, `Thread::unpark`, `thread::current().id()` as a name for the task: tokens and names are the OS thread's;
    /// * caches by thread: the `thread_local` crate's `ThreadLocal`, `rand::rng()`'s generator, a pool's "my slot", arena or shard,
    ///   of which something is kept across a wait;
    /// * what is set for the OS thread: its priority, affinity, signal mask, name, rounding by a library's own means.
    ///
    /// What this crate gives (channels, locks, their guards, task-locals, names, cancellation, timers, scopes) may be used across waits
    /// as ever.
    ///
    /// # Cost
    ///
    /// A lock of the worker's list at each wake-up, and with a time limit two of the timer's.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight::{sleep, task::Builder};
    /// use std::time::Duration;
    ///
    /// // SAFETY: it uses nothing that belongs to a thread.
    /// let ticker = unsafe { Builder::new().roaming() }.spawn(|| {
    ///     (0..3).for_each(|_| sleep(Duration::from_millis(1)));
    /// });
    /// ticker.join().unwrap();
    /// ```
    pub unsafe fn roaming(mut self) -> Self {
        self.roams = true;
        self
    }

    /// Starts `f` as a green thread and returns at once. See [`go`](fn@crate::go).
    ///
    /// # Panics
    ///
    /// If there is no memory for another stack, or the stack size is more than there is; `f` is dropped. See
    /// [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        runtime::here().spawn(self.into_spawn(), f)
    }

    /// Starts `future` as a task and returns at once. See [`go_async`](crate::go_async). `near` has no meaning for it.
    #[track_caller]
    pub fn spawn_async<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::of_future(stackless::spawn(runtime::here(), self.into_spawn(), future))
    }

    #[track_caller]
    pub(crate) fn into_spawn(self) -> Spawn {
        self.try_into_spawn().unwrap_or_else(|error| panic!("cannot start a green thread: {error}"))
    }

    #[track_caller]
    fn try_into_spawn(self) -> io::Result<Spawn> {
        let stack = self.stack_size.map_or(Some(Class::DEFAULT), Class::with).ok_or_else(|| {
            let text = format!("no stack is as large: {} bytes at most", Class::most());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        Ok(Spawn { name: self.name, near: self.near, roams: self.roams, stack, ..Spawn::here() })
    }
}

/// The number of the green thread, or the future, that calls. None on a plain OS thread.
pub fn current_id() -> Option<TaskId> {
    let task = worker::current_task()?.get();
    task.future().map_or_else(|| task.id(), |future| Some(future.id))
}

/// The name of the green thread, or the future, that calls, if it has one.
pub fn current_name() -> Option<Box<str>> {
    let task = worker::current_task()?.get();
    task.future().map_or_else(|| task.name(), |future| future.name()).map(Box::from)
}

/// Whether the green thread that calls was asked to end. It need not obey at once: to unwind is the business of its next
/// wait, or of [`check_cancelled`]. Never on a plain OS thread.
pub fn is_cancelled() -> bool {
    worker::current_task().is_some_and(|task| task.get().is_cancelled())
}

/// Unwinds if the green thread that calls was asked to end: for computations that do not wait. Not inside a [`shield`], not
/// while it unwinds already, and never on a plain OS thread.
///
/// # Examples
///
/// ```
/// use greenlight::{go, task::check_cancelled};
///
/// let endless = go(|| loop {
///     check_cancelled();
/// });
/// endless.cancel();
/// assert!(endless.join().unwrap_err().is_cancelled());
/// ```
pub fn check_cancelled() {
    if let Some(task) = worker::current_task() {
        check(task);
    }
}

pub(crate) fn check(task: TaskRef) {
    if task.get().must_unwind() && !std::thread::panicking() {
        header::unwind();
    }
}

/// Runs `f` undisturbed: a request to end the green thread takes effect at the first wait after it.
///
/// # Examples
///
/// ```
/// use greenlight::{go, sleep, task::{check_cancelled, shield}};
/// use std::time::Duration;
///
/// let (saved, rx) = greenlight::channel::bounded(1);
/// let task = go(move || {
///     shield(|| {
///         sleep(Duration::from_millis(2));
///         saved.send(()).unwrap();
///     });
///     check_cancelled();
///     unreachable!("by now it is cancelled");
/// });
/// sleep(Duration::from_millis(1));
/// task.cancel();
/// let ended = task.join();
/// // Cancelled before it started, or after it has saved.
/// assert!(ended.unwrap_err().is_cancelled() || rx.recv().is_ok());
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    struct Lower(Option<TaskRef>);
    impl Drop for Lower {
        fn drop(&mut self) {
            if let Some(task) = self.0 {
                task.get().lower_shield();
            }
        }
    }
    let task = worker::current_task();
    if let Some(task) = task {
        task.get().raise_shield();
    }
    let _lower = Lower(task);
    f()
}
