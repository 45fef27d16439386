//! What is plugged into the seam, once per process: by a runtime, or by a program that only has a clock to offer.
//!
//! * K1  A [`Hooks`] whose `wait` is not one of this crate's own was made by `with_wait`, whose caller has promised its
//!   contract. So installing is safe, and so is everything else that can be said about a wait without writing one.
//! * K2  Once installed, hooks stay, and stay the same: a sleeper may be inside them.

use super::{PollFn, Stopped, Tick, TimedOut, Why, default_clock, default_random, default_wait};
use crate::sync::plain::{AtomicPtr, Ordering::*};
use core::{
    fmt,
    task::{RawWaker, RawWakerVTable, Waker},
};

/// How a wait is done: see [`Hooks::with_wait`].
pub type WaitFn = fn(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut>;

/// How a runtime cancels a task that sleeps: see [`Hooks::with_cancel`].
#[derive(Clone, Copy)]
pub struct Cancel {
    /// The wait of a task that may be cancelled.
    pub wait: fn(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), Stopped>,
    /// Ends the calling task, by unwinding.
    pub unwind: fn() -> !,
}

/// How a future is woken at a time: see [`Hooks::with_alarms`].
#[derive(Clone, Copy)]
pub struct Alarms {
    /// Has the waker, of which it keeps a clone, woken once the clock has reached the tick: not before, and soon if it has
    /// already. The number that it returns names this alarm among those of the same tick.
    pub set: fn(tick: Tick, waker: &Waker) -> u64,
    /// Takes the alarm with this tick and number back, and drops its waker. One that has gone off is no more: then nothing
    /// happens.
    pub take_back: fn(tick: Tick, number: u64),
}

/// How this process waits, reads the time, and draws lots: what [`install`] puts in place.
///
/// It is made in a `static`, from [`new`](Self::new) on, by saying what differs from it.
///
/// # Examples
///
/// A simulation on one thread, whose time passes when there is nothing to do:
///
/// ```standalone_crate
/// use greenlight_core::{channel::{RecvTimeoutError, bounded}, park::{self, Hooks, Tick}};
/// use std::{sync::atomic::{AtomicU64, Ordering::Relaxed}, time::Duration};
///
/// static NANOSECONDS: AtomicU64 = AtomicU64::new(0);
///
/// fn now() -> Tick {
///     NANOSECONDS.load(Relaxed)
/// }
///
/// fn let_time_pass() {
///     NANOSECONDS.fetch_add(1_000_000_000, Relaxed);
/// }
///
/// static HOOKS: Hooks = Hooks::new().with_idle(let_time_pass, || ()).with_clock(now);
/// park::install(&HOOKS).unwrap();
///
/// let (_tx, rx) = bounded::<()>(1);
/// assert_eq!(rx.recv_timeout(Duration::from_secs(3600)), Err(RecvTimeoutError::Timeout));
/// assert_eq!(now(), 3_600_000_000_000);
/// ```
pub struct Hooks {
    wait: WaitFn,
    cancel: Option<Cancel>,
    task_id: Option<fn() -> usize>,
    yield_now: Option<fn()>,
    #[cfg_attr(not(feature = "alloc"), allow(dead_code))]
    alarms: Option<Alarms>,
    now: Option<fn() -> Tick>,
    random: fn() -> u32,
    idle: fn(),
    wake: fn(),
}

impl Hooks {
    /// What holds without hooks: an OS thread parks and there is std's monotonic clock (feature `std`); without that feature the
    /// CPU spins, and there is no clock.
    pub const fn new() -> Self {
        Self {
            wait: default_wait,
            cancel: None,
            task_id: None,
            yield_now: None,
            alarms: None,
            now: default_clock(),
            random: default_random,
            idle: core::hint::spin_loop,
            wake: || (),
        }
    }

    /// Waits by polling on the spot, with `idle` between two polls: for a CPU without an operating system that is to sleep
    /// rather than spin.
    ///
    /// `wake` is called by whoever ends a wait: from another CPU, from an interrupt handler, or from the poll itself. The two
    /// belong together: **after a `wake`, the `idle` that each CPU is in returns, or else its next one does at once.** That
    /// is what the event flag of an Arm does (`wfe` and `sev`). Where sleep forgets (`wfi`), `idle` masks interrupts, sleeps
    /// only if a flag of its CPU is not set, and clears it; `wake` sets the flag of every CPU, and rouses the others. An `idle`
    /// may always return early. While somebody waits with a time limit it must, at times: nothing but a poll looks at the
    /// clock, so a timer interrupt should come now and then.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// # mod cortex_m { pub mod asm { pub fn wfe() {} pub fn sev() {} } }
    /// use greenlight_core::park::{self, Hooks};
    /// use cortex_m::asm::{sev, wfe};
    ///
    /// static HOOKS: Hooks = Hooks::new().with_idle(wfe, sev);
    /// park::install(&HOOKS).unwrap();
    /// ```
    pub const fn with_idle(self, idle: fn(), wake: fn()) -> Self {
        Self { wait: polling_wait, idle, wake, ..self }
    }

    /// The clock that deadlines are read against. It starts anywhere and never goes back; no more is asked of it. It may be
    /// virtual.
    ///
    /// It is read under a spin lock at times: it must use neither channels nor locks of this crate, nor wait.
    ///
    /// The wait of OS threads takes what is left until a deadline for real time, and looks at this clock again after it: one
    /// that is slower is waited for, one that jumps is noticed late.
    pub const fn with_clock(self, now: fn() -> Tick) -> Self {
        Self { now: Some(now), ..self }
    }

    /// Any number, for fair choices: no promise of quality. A sequence that is always the same makes `select!` choose the same
    /// again.
    pub const fn with_random(self, random: fn() -> u32) -> Self {
        Self { random, ..self }
    }

    /// A runtime's way to sleep: polls until `Ready`, and sleeps between the polls until the waker that it handed in is
    /// woken. `Err` once the deadline has passed and the poll after that still said `Pending`.
    ///
    /// # Safety
    ///
    /// `Ok` only after a poll said `Ready`; `Err` only with a deadline that has passed. The same waker at each poll of one wait,
    /// never polled again after `Ready`. It returns on the thread that called it, and does not unwind. It may poll more often
    /// than it is woken.
    ///
    /// The locks give out their guards, and the channels take their nodes off the caller's stack, on the strength of its
    /// answer alone.
    pub const unsafe fn with_wait(self, wait: WaitFn) -> Self {
        Self { wait, ..self }
    }

    /// For a runtime that can cancel its tasks. The other wait, of [`with_wait`](Self::with_wait), is then for what must not
    /// be cancelled.
    ///
    /// # Safety
    ///
    /// `cancel.wait` keeps the contract of [`with_wait`](Self::with_wait). `Err(Cancelled)` only after a poll that said `Pending`.
    pub const unsafe fn with_cancel(self, cancel: Cancel) -> Self {
        Self { cancel: Some(cancel), ..self }
    }

    /// How to tell the tasks of a runtime apart: a number that is the caller's alone while he runs, and not 0; 0 if he is
    /// unknown. Without, debug builds do not find out that a task of it reads an [`RwLock`](crate::RwLock) twice.
    pub const fn with_task_id(self, task_id: fn() -> usize) -> Self {
        Self { task_id: Some(task_id), ..self }
    }

    /// How the calling task lets the others go first. Called at the beginning of blocking calls while
    /// [`ask_to_yield`](super::ask_to_yield) is on: that says that some task has run for too long; the hook knows which, and
    /// returns at once for all others, on threads that are none of the runtime's, too.
    ///
    /// So a task that finds every channel ready and every lock free does not keep the others waiting for ever. Never called by
    /// `try_` calls and sends without a bound, in which nobody expects to wait.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// use greenlight_core::{Mutex, park::{self, Hooks}};
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// static YIELDS: AtomicU32 = AtomicU32::new(0);
    ///
    /// fn yield_now() {
    ///     park::ask_to_yield(false);
    ///     YIELDS.fetch_add(1, Relaxed); // a runtime switches to another task
    /// }
    ///
    /// static HOOKS: Hooks = Hooks::new().with_yield(yield_now);
    /// park::install(&HOOKS).unwrap();
    ///
    /// let lock = Mutex::new(0);
    /// *lock.lock() += 1;
    /// park::ask_to_yield(true); // by a watchman on another thread
    /// *lock.try_lock().unwrap() += 1;
    /// assert_eq!(YIELDS.load(Relaxed), 0);
    /// *lock.lock() += 1;
    /// assert_eq!(YIELDS.load(Relaxed), 1);
    /// ```
    pub const fn with_yield(self, yield_now: fn()) -> Self {
        Self { yield_now: Some(yield_now), ..self }
    }

    /// Who wakes futures at a time: a timer that runs beside their executor. Without, a future that waits for the clock (a
    /// [`recv_async`](crate::channel::Receiver::recv_async) of the channels that `after`, `at` and `tick` make) is ready when
    /// it is polled in time, and woken by nobody.
    ///
    /// Both are called by the poll, or the drop, of such a future, under no lock of this crate. They must not wait. `set` may
    /// panic if it has no means: the poll panics.
    ///
    /// Blocking calls need none of it: their time limits are the business of the wait.
    ///
    /// # Examples
    ///
    /// An executor whose loop looks at the clock between its tasks:
    ///
    /// ```standalone_crate
    /// use greenlight_core::{channel::after, park::{self, Alarms, Hooks, Tick}};
    /// use std::{
    ///     collections::BTreeMap, future::Future, pin::pin, sync::{Mutex, atomic::{AtomicU64, Ordering::Relaxed}},
    ///     task::{Context, Waker}, time::Duration,
    /// };
    ///
    /// static ALARMS: Mutex<BTreeMap<(Tick, u64), Waker>> = Mutex::new(BTreeMap::new());
    ///
    /// fn set(tick: Tick, waker: &Waker) -> u64 {
    ///     static NUMBER: AtomicU64 = AtomicU64::new(0);
    ///     let number = NUMBER.fetch_add(1, Relaxed);
    ///     ALARMS.lock().unwrap().insert((tick, number), waker.clone());
    ///     number
    /// }
    ///
    /// fn take_back(tick: Tick, number: u64) {
    ///     let waker = ALARMS.lock().unwrap().remove(&(tick, number));
    ///     drop(waker); // foreign code, so without the lock
    /// }
    ///
    /// /// For the executor's loop: wakes whose time has come.
    /// fn wake_due() {
    ///     let mut alarms = ALARMS.lock().unwrap();
    ///     let later = alarms.split_off(&(park::now() + 1, 0));
    ///     let due = std::mem::replace(&mut *alarms, later);
    ///     drop(alarms);
    ///     due.into_values().for_each(Waker::wake);
    /// }
    ///
    /// static HOOKS: Hooks = Hooks::new().with_alarms(Alarms { set, take_back });
    /// park::install(&HOOKS).unwrap();
    ///
    /// let soon = after(Duration::from_millis(2));
    /// let mut task = pin!(soon.recv_async());
    /// # struct Flag(std::sync::atomic::AtomicBool);
    /// # impl std::task::Wake for Flag {
    /// #     fn wake(self: std::sync::Arc<Self>) {
    /// #         self.0.store(true, Relaxed);
    /// #     }
    /// # }
    /// # let flag = std::sync::Arc::new(Flag(true.into()));
    /// # let is_woken = || flag.0.swap(false, Relaxed);
    /// # let waker = Waker::from(flag.clone());
    /// loop {
    ///     wake_due();
    ///     if is_woken() && task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
    ///         break;
    ///     }
    /// }
    /// ```
    pub const fn with_alarms(self, alarms: Alarms) -> Self {
        Self { alarms: Some(alarms), ..self }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Hooks { .. }")
    }
}

/// Hooks are in place already, and stay: sleepers may be inside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyInstalled;

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other park hooks are installed already; a process has one set of them")
    }
}

impl core::error::Error for AlreadyInstalled {}

/// | operation | order   | pairs with | so that                          |
/// |-----------|---------|------------|----------------------------------|
/// | install   | Release | look up    | the hooks' own statics are ready |
/// | look up,  | Acquire | install    | the same                         |
/// | refused   |         |            |                                  |
///
/// Argued, since a static outlives a model: an address is published once by one store and read by others, who read through it.
static HOOKS: AtomicPtr<Hooks> = AtomicPtr::new(core::ptr::null_mut());

/// Makes `hooks` the way in which every blocking call of this process sleeps. Waits that have begun go on in their old way.
///
/// # Errors
///
/// If other hooks were installed before. Installing the same ones again is fine.
pub fn install(hooks: &'static Hooks) -> Result<(), AlreadyInstalled> {
    let new = core::ptr::from_ref(hooks).cast_mut();
    match HOOKS.compare_exchange(core::ptr::null_mut(), new, Release, Acquire) {
        Ok(_) => Ok(()),
        Err(there) if there == new => Ok(()),
        Err(_) => Err(AlreadyInstalled),
    }
}

#[inline]
fn installed() -> Option<&'static Hooks> {
    // SAFETY: null, or a `&'static Hooks` by `install`.
    unsafe { HOOKS.load(Acquire).as_ref() }
}

pub(super) fn wait_hook() -> WaitFn {
    installed().map_or(default_wait, |hooks| hooks.wait)
}

#[inline]
pub(super) fn cancel() -> Option<Cancel> {
    installed().and_then(|hooks| hooks.cancel)
}

/// How to tell tasks apart, if hooks are installed; then, whether they say how.
#[cfg_attr(not(all(debug_assertions, feature = "std", not(loom))), allow(dead_code))]
pub(super) fn task_id() -> Option<Option<fn() -> usize>> {
    installed().map(|hooks| hooks.task_id)
}

pub(super) fn yield_hook() -> Option<fn()> {
    installed().and_then(|hooks| hooks.yield_now)
}

/// Where there is no heap, there is no channel that the clock fills.
#[cfg(feature = "alloc")]
pub(super) fn alarms() -> Option<Alarms> {
    installed().and_then(|hooks| hooks.alarms)
}

pub(super) fn clock() -> Option<fn() -> Tick> {
    installed().map_or(default_clock(), |hooks| hooks.now)
}

pub(super) fn random_hook() -> fn() -> u32 {
    installed().map_or(default_random, |hooks| hooks.random)
}

/// The wait without an operating system, and that of [`Hooks::with_idle`].
pub(super) fn polling_wait(_: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    let hooks = installed();
    let idle = hooks.map_or(core::hint::spin_loop as fn(), |hooks| hooks.idle);
    let waker = hooks.map_or(Waker::noop(), |_| &IDLE_WAKER);
    while poll(waker).is_pending() {
        // Read once for each poll, after it: whoever ends the wait in time is heard.
        if deadline.is_some_and(|deadline| super::now() >= deadline) {
            return if poll(waker).is_ready() { Ok(()) } else { Err(TimedOut) };
        }
        idle();
    }
    Ok(())
}

/// Wakes whoever idles: one for all waits, and without data.
static IDLE_WAKER: Waker = {
    const TABLE: RawWakerVTable = RawWakerVTable::new(|_| RawWaker::new(core::ptr::null(), &TABLE), wake, wake, |_| ());

    fn wake(_: *const ()) {
        if let Some(hooks) = installed() {
            (hooks.wake)();
        }
    }

    // SAFETY: the functions ignore the pointer, may be called by any thread, and there is nothing to drop.
    unsafe { Waker::new(core::ptr::null(), &TABLE) }
};
