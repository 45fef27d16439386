//! The seam: how a blocking call sleeps, and how an author of a runtime plugs in.
//!
//! Every blocking operation of this crate is one state machine that is polled with a [`Waker`]: try; put a wait node in
//! the queue; look again; sleep; when woken, look who finished the node, or withdraw it. What "sleep" means is decided
//! here and nowhere else:
//!
//! ```text
//!   send, recv, lock, wait, select …            the operation: poll(&Waker) -> Poll<()>
//!              │
//!         park::wait(why, deadline, poll)       this module
//!              │
//!     ┌────────┴──────────┬───────────────────┐
//!   hooks installed     feature `std`       neither
//!   by the program      park the thread     poll and spin
//! ```
//!
//! So there is no "blocking channel" and "async channel" of which one has to choose: who waits in which way is settled at each
//! call, and one channel serves them all at once.
//!
//! # What to bring
//!
//! | who calls                           | blocking calls                                    | to bring                                              |
//! |-------------------------------------|---------------------------------------------------|-------------------------------------------------------|
//! | an OS thread                        | park the thread                                   | nothing (feature `std`)                               |
//! | a future of any executor            | are not for it: `recv_async`, `.await` …          | nothing; the executor brings the waker                |
//! | the same, that waits for the clock  |                                                   | [`Hooks::with_alarms`], or its executor's own timer   |
//! | a bare-metal loop                   | poll and spin                                     | nothing                                               |
//! | the same, to sleep when idle        | poll, and idle between the polls                  | [`Hooks::with_idle`]: `wfe` and `sev`                 |
//! | the same, with time limits          |                                                   | [`Hooks::with_clock`]: a counter                      |
//! | an interrupt handler                | **none**: only the `try_` calls named below       | wakers that may be called there                       |
//! | a green thread, a task of an RTOS   | park that, and let others run                     | [`Hooks::with_wait`] (`unsafe`), a clock              |
//! | a deterministic test                | the same, one at a time in a chosen order         | and [`Hooks::with_random`], and a virtual clock       |
//! | a task that never has to wait       | let the others go first, if it is asked to        | [`Hooks::with_yield`], [`ask_to_yield`]               |
//!
//! They are brought once, by [`install`], which holds for the whole process: a library that is no runtime leaves it alone. Only
//! writing a `wait` is `unsafe`. An executor of futures needs no hooks, but for `after` and its like: its tasks await, and
//! whatever blocks does so on a thread that may (tokio's `spawn_blocking`, smol's `unblock`).
//!
//! # Writing a `wait`
//!
//! ```text
//!   fn wait(why, deadline, poll) {
//!       no task of ours on this thread?  → thread::wait, or whatever the place is for that
//!       loop {
//!           poll(&waker) is Ready?       → Ok
//!           deadline passed?             → Err
//!           woken since that poll began? → go round
//!           note `why`, set a timer for `deadline`, and sleep until the waker is woken or the timer goes off
//!       }
//!   }
//! ```
//!
//! * The question is whether the waker was woken **since the poll began**: a wake-up that comes between the poll and the sleep
//!   must not be lost. So the task has three states (awake, woken while awake, asleep), and going to sleep is a compare-exchange,
//!   or a lock.
//! * A poll may wake its own waker, and then say `Pending`: it wants others to run before it looks again. Put the task
//!   behind them; going round at once would spin.
//! * It may poll when nobody has woken it. It must not return `Ok` when no poll has said `Ready`.
//! * `why` says what is waited for, on which object, at which line: what a dump or a deadlock report needs.
//! * A wait may begin anywhere a program blocks: in a `Drop` during a panic, in the destructor of a thread-local.
//!
//! # Cancellation
//!
//! A runtime may cancel a task that sleeps here ([`Hooks::with_cancel`]): the operation withdraws, as it does when its time is up,
//! and then the task unwinds. In this order, because while a thread unwinds it cannot park any more, and a withdrawal may have
//! to: for a peer that has promised something.
//!
//! ```text
//!   wait           may unwind. For operations whose withdrawal, in a `Drop`, waits for nobody
//!   wait_or_stop   says that the task is cancelled; the caller withdraws, looks whether it was finished all the same,
//!                  and if not calls `unwind`
//!   wait_out       is never cancelled: for what a peer has promised
//! ```
//!
//! # Wakers
//!
//! A waker is called by whoever serves the waiter: a thread that knows nothing of your runtime, a task of another one, an
//! interrupt handler that does a `try_send`. It is called once at most for each poll that left it, never under a lock of this
//! crate, and also after the wait is over: then it finds a task that does something else, or is gone. Both must be harmless.
//! So it is `Send + Sync`, it does not wait, and it takes no lock that a task holds while it calls this crate. Cloning
//! and dropping it is under no lock either, and happens at every wait: make it cheap (a counted pointer, or the
//! address of memory that is never freed).
//!
//! A future may be polled with one waker and later with another, on another thread or executor: the last one is woken.
//!
//! # The clock
//!
//! [`now`] is read for time limits and by `after` and `tick` only. Its unit is the nanosecond, its zero is anybody's. Without feature
//! `std` there is none until [`Hooks::with_clock`] brings one, and a call with a time limit panics and says so.
//! Nothing else in this crate depends on the time, so a virtual clock is a whole one: when every task sleeps, set it to the earliest
//! deadline, and an hour's `recv_timeout` takes no time.
//!
//! # In an interrupt handler
//!
//! A handler may have cut into any operation, whose locks nobody will give back before it returns. So it must not wait, spin
//! included. These do not:
//!
//! * `try_send` and `try_recv` on a [`StaticChannel`](crate::channel::StaticChannel) or a channel of
//!   [`bounded_strict`](crate::channel::bounded_strict), also if they wake somebody; on one of [`bounded`](crate::channel::bounded),
//!   too, though a handler that cut into a send may find it empty;
//! * [`SpinMutex::try_lock`](crate::SpinMutex::try_lock) and [`TicketMutex::try_lock`](crate::TicketMutex::try_lock), and giving
//!   that guard back; `CriticalMutex`, which it never finds taken;
//! * [`Once::is_completed`](crate::Once::is_completed), [`OnceCell::get`](crate::OnceCell::get), [`Lazy::get`](crate::Lazy::get);
//! * as long as nobody waits there, some calls of [`WaitGroup`](crate::WaitGroup#progress) and
//!   [`Semaphore`](crate::Semaphore#progress), which say which, and [`Mutex::try_lock`](crate::Mutex::try_lock);
//! * the wakers that these calls wake: yours must keep to it ([`Hooks::with_idle`]'s `wake` is one).
//!
//! Everything else may take the spin lock of a line of waiters.
//!
//! # A whole runtime
//!
//! `examples/scheduler.rs` is a runtime in one file: tasks that run one at a time in an order drawn from a seed, virtual time,
//! and a report when all of them are stuck. All blocking calls of this crate run on it unchanged. One for bare metal, in a hundred
//! lines, is `firmware/cortex-m/examples/scheduler.rs` in the repository.

#[cfg(feature = "alloc")]
mod alarm;
mod give_way;
mod hooks;

#[cfg(feature = "alloc")]
pub(crate) use alarm::Alarm;
pub use give_way::ask_to_yield;
pub(crate) use give_way::{give_way, give_way_if};
pub use hooks::{Alarms, AlreadyInstalled, Cancel, Hooks, WaitFn, install};

use crate::{
    sync::plain::{AtomicU32, Ordering::*},
    turn::Turn,
};
use core::{
    fmt,
    panic::Location,
    task::{Poll, Waker},
};

mod task;
#[cfg(feature = "std")]
pub mod thread;

#[allow(unused_imports)] // debug builds only
pub(crate) use task::this_task;
pub use task::this_thread;

/// What a sleeping task waits for: written at the park, read by dumps and deadlock reports.
#[derive(Clone, Copy, Debug)]
pub struct Why {
    /// The operation, as a report says it: "receive from a channel".
    pub what: &'static str,
    /// The address of what it waits on, to tell one channel from another; 0 if there is none.
    pub object: usize,
    /// The line of the program that called the operation.
    pub site: &'static Location<'static>,
}

impl Why {
    pub(crate) fn new<T: ?Sized>(what: &'static str, object: &T, site: &'static Location<'static>) -> Self {
        Self { what, object: core::ptr::from_ref(object).cast::<()>().addr(), site }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if self.object != 0 {
            write!(f, " {:#x}", self.object)?;
        }
        write!(f, " at {}", self.site)
    }
}

/// A point in time: nanoseconds on the clock of [`now`], whose zero means nothing.
pub type Tick = u64;

/// The deadline passed before the wait was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

/// Why a wait ended before its poll said `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The deadline passed.
    TimedOut,
    /// The task was cancelled: it withdraws, and then [`unwind`]s, unless the operation was finished all the same.
    Cancelled,
}

impl Stopped {
    /// Unwinds if it was a cancellation.
    #[inline]
    fn unwind_if_cancelled(self) -> TimedOut {
        match self {
            Self::TimedOut => TimedOut,
            Self::Cancelled => unwind(),
        }
    }
}

/// The question that a sleeper asks again after each wake-up. It keeps a clone of the waker whenever it says `Pending`. It must
/// not wait itself: it may be asked while the sleeper is half asleep.
pub type PollFn<'a> = dyn FnMut(&Waker) -> Poll<()> + 'a;

/// Sleeps until `poll` says `Ready`, in the way of whoever is calling: a green thread, an OS thread, bare metal.
///
/// # Errors
///
/// [`TimedOut`] once `deadline` has passed. The operation may have been finished at the last moment all the same: the
/// caller withdraws its node and looks.
///
/// # Cancellation
///
/// Unwinds if the task is cancelled. What the poll has put in place is withdrawn by its `Drop`, which must wait for nobody.
#[inline]
pub fn wait(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    wait_or_stop(why, deadline, poll).map_err(Stopped::unwind_if_cancelled)
}

/// [`wait`], which says so instead of unwinding if the task is cancelled.
///
/// # Errors
///
/// [`Stopped`]. The operation may have been finished at the last moment all the same: the caller withdraws its node and looks.
/// A cancelled caller that finds it unfinished calls [`unwind`].
#[inline]
pub fn wait_or_stop(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), Stopped> {
    give_way();
    match hooks::cancel() {
        Some(cancel) => (cancel.wait)(why, deadline, poll),
        None => wait_out(why, deadline, poll).map_err(|TimedOut| Stopped::TimedOut),
    }
}

/// Ends the calling task by unwinding, after [`wait_or_stop`] has said that it is cancelled.
///
/// # Panics
///
/// If the runtime does not cancel tasks: then nothing ever said so.
pub fn unwind() -> ! {
    match hooks::cancel() {
        Some(cancel) => (cancel.unwind)(),
        None => panic!("park::unwind: no hooks that cancel tasks are installed"),
    }
}

/// [`wait`], but a cancelled task sleeps on: it neither unwinds nor gives up.
///
/// # Errors
///
/// As for [`wait`].
pub fn wait_out(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    hooks::wait_hook()(why, deadline, poll)
}

/// Looks for what the caller wants: true if it has it now, false if it is to wait in line at once.
pub(crate) type Look<'a> = dyn FnMut() -> Option<bool> + 'a;

/// Before a wait in line: looks for about three microseconds, ever more rarely, since each look takes the memory from whoever is at
/// work on it.
#[cold]
pub(crate) fn look_around(look: &mut Look<'_>) -> Option<bool> {
    // The pauses are 127 together. A model does not look: the wait looks as well.
    (0..if cfg!(loom) { 0 } else { 7 }).find_map(|turn| {
        let found = look();
        if found.is_none() {
            (0..1 << turn).for_each(|_| core::hint::spin_loop());
        }
        found
    })
}

/// After [`look_around`], for OS threads: lets others of this CPU run, one of which may be in the way, and looks again, for about
/// what one wake-up costs. With a deadline not at all: where others keep the CPUs busy, each turn may take milliseconds.
#[cfg(all(feature = "std", not(loom)))]
#[cold]
pub(crate) fn let_others_run(has_deadline: bool, look: &mut Look<'_>) -> Option<bool> {
    const YIELDS: u32 = 8;
    // A runtime's task is to park instead: its OS thread has others to run.
    if has_deadline || task::this_task() != task::this_thread() {
        return None;
    }
    (0..YIELDS).find_map(|_| {
        std::thread::yield_now();
        look()
    })
}

#[cfg(not(all(feature = "std", not(loom))))]
pub(crate) fn let_others_run(_: bool, _: &mut Look<'_>) -> Option<bool> {
    None
}

/// Waits for the peer that has claimed `turn` and promised to finish it. In pieces where there is a clock: the waker that
/// the peer has may be that of an earlier wait. Never cancelled: the peer is about to touch the turn.
pub(crate) fn wait_while_claimed(turn: &Turn) {
    #[cold]
    #[track_caller]
    fn sleep(turn: &Turn) {
        let why = Why::new("a select that was chosen to send on a channel", turn, Location::caller());
        let deadline = has_clock().then(|| now() + 1_000_000);
        let _ = wait_out(&why, deadline, &mut |_| if turn.is_claimed() { Poll::Pending } else { Poll::Ready(()) });
    }
    while turn.is_claimed() {
        if cfg!(loom) {
            crate::sync::spin(&mut 0); // no clock there, so a piece would have no end
        } else {
            sleep(turn);
        }
    }
}

/// The time on the seam's clock.
///
/// # Panics
///
/// If there is no clock: without feature `std`, until [`install`] brings one.
pub fn now() -> Tick {
    match hooks::clock() {
        Some(now) => now(),
        None => panic!("no clock: enable feature `std`, or bring one (greenlight_core::park::Hooks::with_clock)"),
    }
}

/// Whether [`now`] has a clock to read.
pub(crate) fn has_clock() -> bool {
    hooks::clock().is_some()
}

/// The tick that lies `limit` from now, or none if the clock cannot reach it: then the wait has no end.
pub fn deadline_after(limit: core::time::Duration) -> Option<Tick> {
    now().checked_add(u64::try_from(limit.as_nanos()).ok()?)
}

/// The waker of a poll in passing, after which nobody sleeps. It is [`Waker::noop`], of which there may be many that do not know
/// each other; this is one, so it is known.
pub(crate) static NOBODY: &Waker = Waker::noop();

/// Any number, for fair choices. A model must not roll dice: there it is always the same.
pub(crate) fn random() -> u32 {
    if cfg!(loom) {
        return 0;
    }
    hooks::random_hook()()
}

/// A Weyl sequence: the increment is odd, so the state runs through all numbers.
fn weyl_step(state: u32) -> u32 {
    state.wrapping_add(0x9E37_79B9)
}

/// Spreads the bits of a counter: neighbours come out unrelated.
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

fn default_random() -> u32 {
    // Two threads that read the same state draw the same number once: harmless, and cheaper than an atomic addition.
    static STATE: AtomicU32 = AtomicU32::new(1);
    let next = weyl_step(STATE.load(Relaxed));
    STATE.store(next, Relaxed);
    mix(next)
}

#[cfg(loom)]
fn default_wait(_: &Why, _: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    loom::future::block_on(core::future::poll_fn(|cx| poll(cx.waker())));
    Ok(())
}

#[cfg(all(feature = "std", not(loom)))]
fn default_wait(_: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    thread::wait(deadline, poll, || false)
}

#[cfg(all(not(feature = "std"), not(loom)))]
use hooks::polling_wait as default_wait;

/// The clock of a process without hooks, if it has one.
const fn default_clock() -> Option<fn() -> Tick> {
    #[cfg(all(feature = "std", not(loom)))]
    return Some(thread::now);
    #[cfg(any(not(feature = "std"), loom))]
    return None;
}

/// A waiting thread parked by the default, one woken late, and one that runs out of time.
#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use core::{
        sync::atomic::Ordering::{Acquire, Release},
        time::Duration,
    };

    fn why() -> Why {
        Why { what: "test", object: 0, site: Location::caller() }
    }

    #[test]
    fn a_wake_from_another_thread_ends_the_wait() {
        let (tx, rx) = std::sync::mpsc::channel::<Waker>();
        let flag = std::sync::Arc::new(core::sync::atomic::AtomicBool::new(false));
        let waking = {
            let flag = flag.clone();
            std::thread::spawn(move || {
                let waker = rx.recv().unwrap();
                flag.store(true, Release);
                waker.wake();
            })
        };
        let mut sent = false;
        let outcome = wait(&why(), None, &mut |waker| {
            if !sent {
                sent = true;
                tx.send(waker.clone()).unwrap();
            }
            if flag.load(Acquire) { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(outcome, Ok(()));
        waking.join().unwrap();
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let before = now();
        let outcome = wait(&why(), deadline_after(Duration::from_millis(5)), &mut |_| Poll::Pending);
        assert_eq!(outcome, Err(TimedOut));
        assert!(now() - before >= 5_000_000);
    }

    #[test]
    fn a_limit_beyond_the_clock_is_no_deadline() {
        assert_eq!(deadline_after(Duration::MAX), None);
    }

    /// An OS thread runs others a few times before it queues, until it has what it wants; not with a deadline.
    #[test]
    fn an_os_thread_lets_others_run() {
        let looks = |until: u32, has_deadline| {
            let mut looks = 0;
            let found = let_others_run(has_deadline, &mut || {
                looks += 1;
                (looks == until).then_some(true)
            });
            (looks, found)
        };
        assert_eq!(looks(3, false), (3, Some(true)));
        assert_eq!(looks(u32::MAX, false), (8, None));
        assert_eq!(looks(1, true), (0, None));
    }

    #[test]
    fn random_numbers_differ() {
        let drawn: std::collections::HashSet<u32> = (0..1000).map(|_| random()).collect();
        assert!(drawn.len() > 900, "{}", drawn.len());
    }
}
