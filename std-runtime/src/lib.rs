//! Go's concurrency for Rust: green threads over all CPU cores, channels, `select!`, wait groups and locks, without
//! colouring functions `async`.
//!
//! ```
//! use greenlight::{WaitGroup, channel::bounded, go, select};
//! use std::time::Duration;
//!
//! let (tx, rx) = bounded(5);
//! let wg = WaitGroup::new();
//! for i in 0..10 {
//!     let tx = tx.clone();
//!     wg.go(move || tx.send(i * i)); // a green thread: it costs one page of memory
//! }
//! drop(tx);
//! let total = go(move || rx.iter().sum::<i32>());
//! wg.wait();
//! assert_eq!(total.join().unwrap(), 285);
//!
//! let (_tx, rx) = bounded::<()>(0);
//! select! {
//!     recv(rx) -> _ => unreachable!(),
//!     default(Duration::from_millis(1)) => println!("nothing came"),
//! }
//! ```
//!
//! # Tour
//!
//! * [`go`](fn@go) starts a green thread, and [`go!`] does it for an expression. [`JoinHandle::join`] brings its result or its
//!   panic.
//! * [`run`] and [`#[greenlight::main]`](main) make the program itself a green thread. When it returns the process ends,
//!   whatever else still runs. `go` and everything that waits work from plain OS threads, too.
//! * [`channel`]: `bounded(0)`, `bounded(n)`, `unbounded()`, `after` and `tick`, with `close`, iteration and futures;
//!   [`select!`] over several. For one value `channel::oneshot`, for the latest `channel::watch`, for every value to
//!   everybody `channel::broadcast`.
//! * [`WaitGroup`], [`Mutex`], [`RwLock`], [`defer!`].
//! * [`scope`](fn@scope) starts green threads that borrow, and waits for them; [`JoinHandle::cancel`] ends one where it waits;
//!   [`task::Builder`] names it; [`task_local!`] gives each its own value of a variable.
//! * [`go_async`] starts a future as a task, and [`block_on`](fn@block_on) waits for one.
//! * [`sleep`] and the calls with a time limit wait on a timer of the runtime. [`time`] has timers, tickers, and limits for
//!   futures.
//! * [`context`]: telling a tree of tasks that their work is not wanted any more, or until when it is.
//! * [`blocking()`] runs what would block a worker on a thread of a pool; [`fs`], [`process`] and [`stdin`] are made of it.
//! * [`net`]: TCP, UDP and Unix sockets with the names of `std::net`, and any other descriptor that can be polled.
//! * [`signal`]: Ctrl-C and other signals, as values of a channel, or as the end of a context.
//! * [`group`]: tasks that end together, calls that are made once for all who ask, pools, parallel loops.
//! * A program in which everybody waits for everybody is told so, with a line for each green thread, and exit code 2.
//!
//! # What a green thread may do
//!
//! What an OS thread may, but for what follows. It has a stack of 256 KiB of its own, of which only touched pages cost memory;
//! when that overflows, the program ends with a message that names the green thread. A value is moved several times on its
//! way through a call, and without optimisation each move is a copy of its own on the stack: box what is larger than a few
//! KiB, values sent and closures alike.
//!
//! Once it has started, a green thread stays on one OS thread: thread-locals, `Rc`, `RefCell` borrows and guards that are
//! not `Send` stay valid across anything that waits. It shares those thread-locals with the other green threads of that
//! worker. So code that counts on strict nesting of a thread-local's value (set, call, set back) must not wait in
//! between.
//!
//! **The initialiser of a lazy `thread_local!` must not wait.** While it is parked, another green thread of the worker may
//! use the same thread-local and initialise it again; the standard library relies on that not happening, so it would be
//! undefined behaviour. No library can see it coming. (A `const` initialiser cannot wait.)
//!
//! A green thread that never has to wait lets the others go first after about 5 ms, at its next call that may wait (a `recv`, a
//! `lock`, a bounded `send`, never a `try_` call or an unbounded `send`). One that calls none of these keeps its worker from
//! the others: a loop that polls `try_recv` should [`yield_now`].
//!
//! A `Drop` that waits while a panic, or a cancellation, unwinds stops its whole worker meanwhile, since the OS thread counts as panicking: it must
//! not wait for a green thread of its own worker.
//!
//! A call that blocks the OS thread (reading a file, `std::sync::Mutex`, `std::thread::sleep`) stops the other green
//! threads of its worker meanwhile. Never wait for another green thread that way. What is not bound to that worker, green threads that
//! have not started and futures, goes on elsewhere after about 5 ms: see [`Builder::spare_workers`](crate::Builder::spare_workers).
//! A green thread that has started is not rescued: beside two that only compute, on two workers, a ticker of one millisecond did not
//! tick once more until they had ended, two seconds later. As a future, or as one that [roams](go_roaming), by an `unsafe` promise, it
//! ticked on: half of its time 0.07 ms late, 13 ms at most; a goroutine of Go 1.27, which stops a task that computes, 19 and 40. Features `log` and `tracing` have a line name who keeps a worker.
//!
//! Green threads of one worker share its thread-locals, so code that sets one at its begin and takes that back at its end must not wait
//! in between: a guard of `tracing`'s `Span::enter` that is held across a wait becomes the parent of the neighbours' spans.
//!
//! # Platforms
//!
//! Linux on x86_64, aarch64 and riscv64. For the last of these Rust's compiler does not look after frames larger than a stack's
//! guard, which is 64 KiB there: a function with larger arrays on its stack can reach past it, into another stack, unseen.
//! macOS and Windows are not supported yet.

#[cfg(not(target_os = "linux"))]
compile_error!("greenlight runs on Linux only, so far; greenlight-core runs everywhere");

mod sync;

// The life of a task, in the order in which it meets these.
mod runtime;

mod local;

pub mod task;

mod header;

mod stack;

mod worker;

mod monitor;

mod arch;

mod hooks;

mod join;

mod scope;

mod locals;

mod stackless;

mod block_on;

mod deadlock;

mod shutdown;

mod stats;

mod wait_group;

pub mod channel;

pub mod context;

pub mod time;

mod delivery;

pub mod blocking;

pub mod net;

pub mod fs;
pub mod process;
pub mod signal;
pub mod stdin;

pub mod group;

#[cfg(all(feature = "parts", not(loom)))]
#[doc(hidden)]
pub mod parts;

pub use block_on::block_on;
pub use blocking::{BlockingHandle, blocking};
pub use greenlight_core::{
    AcquireError, AcquireTimeoutError, Barrier, BarrierWait, BarrierWaitResult, Condvar, CondvarWait, GetOrInit,
    GetOrTryInit, Lazy, LazyForce, Mutex, MutexGuard, MutexLockFuture, Notified, Notify, Once, OnceCall, OnceCell,
    OnceCellWait, OnceWait, Poison, PoisonGuard, Poisoned, RwLock, RwLockReadFuture, RwLockReadGuard,
    RwLockWriteFuture, RwLockWriteGuard, RwMutex, Semaphore, SemaphoreAcquire, SemaphorePermit, SpinMutex,
    SpinMutexGuard, TicketMutex, TicketMutexGuard, TryAcquireError, TrySetError, WaitGroupFuture, Watch, WatchChanged,
    Watcher, defer, park, select, select_biased,
};
pub use join::{JoinError, JoinHandle};
pub use local::{Drive, LocalRuntime};
pub use locals::TaskLocal;
pub use runtime::{Builder, Runtime};
pub use scope::{Scope, ScopeBuilder, ScopedJoinHandle, scope};
pub use shutdown::{LeftTask, ShutdownReport};
pub use stats::{Stats, stats};
pub use wait_group::{DoneOnDrop, WaitGroup, WaitToken, WaitTokens};

/// Makes `main` a green thread.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::bounded, go};
///
/// #[greenlight::main]
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (tx, rx) = bounded(0);
///     go(move || tx.send("hello"));
///     assert_eq!(rx.recv()?, "hello");
///     Ok(())
/// }
/// ```
pub use greenlight_macros::main;

use std::{future::Future, panic::Location, time::Duration};

/// Starts `f` as a green thread and returns at once.
///
/// On a green thread it starts on the same runtime, from an OS thread on the global one, which starts with the first
/// call. Dropping the handle leaves the green thread running. When `main` returns, the process ends without waiting.
///
/// Where it starts, it stays. What a green thread starts in one go is shared out among the workers that have less to do, as soon as its own
/// worker could begin with it, in the order of the calls: of a chain, neighbours share a worker where they can. One alone that its starter
/// waits for stays beside it, if nobody else is there and nobody waits for the clock or a socket. [`go_near`] and, by an `unsafe` promise,
/// [`go_roaming`] are other choices.
///
/// # Panics
///
/// If there is no memory for another stack; `f` is dropped. `f` runs on a stack of 256 KiB: box what it captures by value if
/// that is more than a few KiB. A panic *of* `f` ends that green thread only: the panic hook
/// reports it, and [`JoinHandle::join`] brings it.
///
/// # Cost
///
/// A stack from the pool (one page, if nobody used it before). Of several that were started in one go, those that end without waiting run one
/// after the other on the same, without a switch. No allocation, if closure and result have 256 bytes together at most (and want to lie at a
/// multiple of 16 at most).
///
/// # Examples
///
/// ```
/// let handles: Vec<_> = (0..10).map(|i| greenlight::go(move || i * 2)).collect();
/// let doubled: Vec<i32> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
/// assert_eq!(doubled[9], 18);
/// ```
///
/// What is not `Send` cannot move into a green thread, which may start on any worker; made inside, it may live across
/// anything that waits:
///
/// ```compile_fail
/// let shared = std::rc::Rc::new(1);
/// greenlight::go(move || println!("{shared}"));
/// ```
///
/// ```
/// greenlight::go(|| {
///     let shared = std::rc::Rc::new(1);
///     greenlight::yield_now();
///     assert_eq!(*shared, 1);
/// })
/// .join()
/// .unwrap();
/// ```
#[track_caller]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    runtime::here().spawn(header::Spawn::here(), f)
}

/// Starts `f` as a green thread on the worker of the green thread that calls, for ever: they share caches and thread-locals, and
/// never run at the same time. On a plain OS thread it is [`go`](fn@go).
///
/// For a helper that its starter will wait for at once. It starts when the worker is free, though others may be idle.
///
/// # Panics
///
/// As for [`go`](fn@go).
///
/// # Examples
///
/// ```
/// greenlight::run(|| {
///     let here = std::thread::current().id();
///     let near = greenlight::go_near(|| std::thread::current().id());
///     assert_eq!(near.join().unwrap(), here);
/// });
/// ```
#[track_caller]
pub fn go_near<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    task::Builder::new().near().spawn(f)
}

/// [`go`](fn@go), for a green thread that roams: it goes on with any worker whenever it is woken, as goroutines do, and so does
/// not wait for a worker that is stuck.
///
/// # Safety
///
/// Nothing in it keeps across a wait what belongs to an OS thread: see [`task::Builder::roaming`], which lists the known ways to
/// break that promise.
///
/// # Panics
///
/// If there is no memory for another stack; `f` is dropped.
///
/// # Examples
///
/// ```
/// let (tx, rx) = greenlight::channel::bounded(0);
/// // SAFETY: it uses nothing that belongs to a thread.
/// unsafe { greenlight::go_roaming(move || tx.send(1).unwrap()) };
/// assert_eq!(rx.recv(), Ok(1));
/// ```
#[track_caller]
pub unsafe fn go_roaming<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // SAFETY: the caller's promise.
    unsafe { task::Builder::new().roaming() }.spawn(f)
}

/// Starts a future as a task and returns at once. It needs no stack of its own, and goes on with any worker at each wake-up.
///
/// A blocking call inside of it (a `recv`, a `lock`, a [`sleep`]) is allowed: it stops this future, and others go on. It then
/// costs what a green thread costs, so in a future `recv_async().await` is better. As to which runtime, the handle and the end of
/// `main`: see [`go`](fn@go).
///
/// # Panics
///
/// Never. A panic of the future ends it only: the panic hook reports it, and [`JoinHandle::join`] brings it.
///
/// # Cost
///
/// One allocation.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::bounded, go_async};
///
/// let (tx, rx) = bounded(1);
/// let sum = go_async(async move {
///     let mut sum = 0;
///     while let Ok(number) = rx.recv_async().await {
///         sum += number;
///     }
///     sum
/// });
/// go_async(async move {
///     for number in 1..=4 {
///         tx.send_async(number).await.unwrap();
///     }
/// });
/// assert_eq!(sum.join().unwrap(), 10);
/// ```
///
/// What is not `Send` cannot live across an `await`, since another thread may go on:
///
/// ```compile_fail
/// greenlight::go_async(async {
///     let shared = std::rc::Rc::new(1);
///     std::future::ready(()).await;
///     println!("{shared}");
/// });
/// ```
#[track_caller]
pub fn go_async<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    JoinHandle::of_future(stackless::spawn(runtime::here(), header::Spawn::here(), future))
}

/// Starts an expression, or a block, as a green thread: Go's `go f(x)`.
///
/// The variables that it names move into the green thread, where the whole expression is evaluated. What comes back is the
/// [`JoinHandle`].
///
/// # Examples
///
/// ```
/// use greenlight::go;
///
/// fn db_call(i: u32) -> u32 {
///     i * i
/// }
///
/// let call = go!(db_call(3));
/// assert_eq!(call.join().unwrap(), 9);
/// ```
#[macro_export]
macro_rules! go {
    ($($body:tt)+) => {
        $crate::go(move || { $($body)+ })
    };
}

/// Runs `f` as a green thread of the global runtime and waits for it. See [`Runtime::run`].
///
/// # Panics
///
/// With the panic of `f`, if it panics.
///
/// # Examples
///
/// ```
/// let sum = greenlight::run(|| {
///     let (tx, rx) = greenlight::channel::bounded(0);
///     greenlight::go(move || (1..=3).for_each(|i| tx.send(i).unwrap()));
///     rx.iter().sum::<i32>()
/// });
/// assert_eq!(sum, 6);
/// ```
#[track_caller]
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    go(f).join().unwrap_or_else(|error| error.resume())
}

/// Sleeps for `time` at least: the green thread, or the OS thread that calls it. `Duration::MAX` is for ever.
///
/// # Examples
///
/// ```
/// greenlight::sleep(std::time::Duration::from_millis(1));
/// ```
#[track_caller]
pub fn sleep(time: Duration) {
    let why = park::Why { what: "sleep", object: 0, site: Location::caller() };
    let _ = park::wait(&why, park::deadline_after(time), &mut |_| std::task::Poll::Pending);
}

/// Lets other green threads of this worker run; on an OS thread, other threads. Unwinds if the green thread is
/// [cancelled](JoinHandle::cancel).
pub fn yield_now() {
    match worker::current_with_task() {
        Some((worker, task)) if !std::thread::panicking() => {
            task::check(task);
            worker.yield_now(task);
        }
        _ => std::thread::yield_now(),
    }
}

/// How much of its stack the running green thread has needed so far, in bytes of whole pages; `None` if the caller is not a
/// green thread.
///
/// A stack is 256 KiB, unless its [builder](task::Builder::stack_size) says otherwise, its guard included (16 KiB, on riscv64 64 KiB). What the closure and the runtime keep on it counts, and
/// so does what green threads before this one touched of the same stack: the largest figure of many is meaningful, and
/// the first in a new process is exact. Pages that are swapped out do not count.
///
/// # Cost
///
/// One system call: about a microsecond.
///
/// # Examples
///
/// ```
/// let used = greenlight::go(|| {
///     std::hint::black_box([1_u8; 50_000]);
///     greenlight::stack_used().unwrap()
/// });
/// assert!((50_000..256 * 1024).contains(&used.join().unwrap()));
/// assert_eq!(greenlight::stack_used(), None);
/// ```
pub fn stack_used() -> Option<usize> {
    Some(stack::touched(worker::current_task()?.stack()))
}

/// The README's program, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
