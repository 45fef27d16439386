//! Who lets things happen at a time when no task sleeps for them: futures, contexts with a deadline, `after_func`.
//!
//! ```text
//!   set ──▶ ┌ alarms, by time ┐ ◀── take_out
//!           └────────┬────────┘
//!                    ▼ due
//!          the timer thread: wakes a waker, or calls a function; sleeps until the next
//! ```
//!
//! A blocking `sleep`, and a call with a time limit, need none of it: they use the timers of their worker. The thread is an OS
//! thread of its own, so that a busy worker does not hold up the others' timers, and starts with the first alarm.
//!
//! * A1  `nap` says how long the thread will sleep. Only an alarm before that wakes it, so setting a later one, and taking out any,
//!   is no business of the kernel's; nor is setting one in a pause (`time/pace.rs`), which is short. Who moves the end of a nap
//!   unparks the thread, which then begins its round anew, whatever it finds: else it would sleep longer than `nap` says.
//! * A2  `counted` says that the thread counts as one that sleeps and has nothing to do (`deadlock.rs`): it sleeps, and there is no
//!   alarm. It is set and cleared in the step under the lock that makes it so. So the last alarm's `take_out` needs not wake
//!   the thread, though it sleeps on for that alarm's time.
//! * A3  Actions run without the lock, one after the other: foreign wakers, short functions. They leave the list a few at a time, and
//!   are not to be taken back from then on.
//!
//! Not a green thread: it would be bound to one worker, and would be seen in the report of a deadlock.

use super::{
    alarms::{Alarms, Key},
    pace::Pace,
};
use crate::deadlock::{HELPERS, Helpers};
use greenlight_core::park::{self, Tick};
use std::{
    iter, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{RawWakerVTable, Waker},
    thread::{self, Thread},
    time::Duration,
};

/// What happens when an alarm goes off.
pub(crate) enum Action {
    Wake(Waker),
    /// It is quick, and does not wait.
    Call(Box<dyn FnOnce() + Send>),
}

impl Action {
    fn run(self) {
        // A panic was reported by the hook. It is the waker's, and no reason to stop the clock for all.
        let outcome = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Wake(waker) => waker.wake(),
            Self::Call(call) => call(),
        }));
        if let Err(payload) = outcome {
            mem::forget(payload);
        }
    }
}

/// What the lock guards: the list, and what the thread is believed to do. Nothing in here waits or reads a clock.
struct Driver<A> {
    alarms: Alarms<A>,
    /// A1.
    nap: Nap,
    /// A2.
    counted: bool,
    helpers: &'static Helpers,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nap {
    Awake,
    /// `Tick::MAX`: until somebody comes.
    Until(Tick),
    Pause,
}

/// What the thread does next.
enum Round {
    /// Run what is due. No alarm up to this tick is left.
    Act(Tick),
    SleepUntil(Tick),
    /// Until [`is_idle`](Driver::is_idle) says no.
    Sleep,
}

impl<A> Driver<A> {
    const fn new(helpers: &'static Helpers, pace: Pace) -> Self {
        Self { alarms: Alarms::new(), nap: Nap::Awake, counted: false, helpers, pace }
    }

    /// True beside the key if the thread is to be unparked.
    fn set(&mut self, tick: Tick, action: A) -> (Key, bool) {
        let key = self.alarms.set(tick, action);
        if mem::take(&mut self.counted) {
            self.helpers.is_woken();
        }
        let earlier = matches!(self.nap, Nap::Until(end) if tick < end);
        if earlier {
            self.nap = Nap::Until(tick);
        }
        (key, earlier)
    }

    fn take_out(&mut self, key: Key) -> Option<A> {
        let action = self.alarms.take_out(key)?;
        if self.nap != Nap::Awake && self.alarms.is_empty() {
            self.counted = true;
            self.helpers.falls_asleep();
        }
        Some(action)
    }

    fn round(&mut self, now: Tick, due: &mut Vec<A>) -> Round {
        self.nap = Nap::Awake;
        if mem::take(&mut self.counted) {
            self.helpers.rises();
        }
        due.extend(iter::from_fn(|| self.alarms.pop_due(now)).take(AT_ONCE));
        if !due.is_empty() {
            self.pace.count(due.len());
            return Round::Act(self.alarms.first().map_or(now, |first| now.min(first.saturating_sub(1))));
        }
        let pace = self.pace;
        self.pace.rest();
        match self.alarms.first() {
            Some(tick) => {
                let until = pace.until(tick, now);
                self.nap = if until > tick { Nap::Pause } else { Nap::Until(tick) };
                Round::SleepUntil(until)
            }
            None => {
                self.nap = Nap::Until(Tick::MAX);
                self.counted = true;
                self.helpers.falls_asleep();
                Round::Sleep
            }
        }
    }

    /// Whether a thread that sleeps without end goes on with that. Not `counted`: an alarm that came and went meanwhile has
    /// moved the end of the nap.
    fn is_idle(&self) -> bool {
        self.nap == Nap::Until(Tick::MAX)
    }
}

/// How many alarms the thread takes out of the list at a time, before it lets others have the lock.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 64 };

static DRIVER: Mutex<Driver<Action>> = Mutex::new(Driver::new(&HELPERS, Pace::USUAL));
/// Alarms up to this tick have gone off. Relaxed, as it only saves work: one of a future that was set a moment ago, in the past by
/// then, may still go off, in vain.
static FIRED: AtomicU64 = AtomicU64::new(0);
/// Made with the first alarm, under the lock.
static THREAD: OnceLock<Thread> = OnceLock::new();

fn driver() -> MutexGuard<'static, Driver<Action>> {
    // Nothing in here panics with the lock held, but for want of memory.
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `action` happen once the clock reaches `tick`.
///
/// # Panics
///
/// If the timer thread cannot be started.
pub(crate) fn set(tick: Tick, action: Action) -> Key {
    let mut driver = driver();
    if THREAD.get().is_none() {
        match thread::Builder::new().name("greenlight-timer".into()).spawn(main) {
            Ok(thread) => _ = THREAD.set(thread.thread().clone()),
            Err(error) => {
                drop(driver);
                panic!("cannot start the timer thread: {error}");
            }
        }
    }
    let (key, unpark) = driver.set(tick, action);
    drop(driver);
    if let Some(thread) = THREAD.get().filter(|_| unpark) {
        thread.unpark();
    }
    key
}

/// Whether it was in time: what the alarm was to do will not happen. Where it was to call a function, the function is
/// dropped.
pub(crate) fn take_out(key: Key) -> bool {
    let action = driver().take_out(key);
    // Foreign code may run where it is dropped: without the lock.
    action.is_some()
}

/// How many alarms have been set and have neither gone off nor been taken out.
pub(crate) fn pending() -> usize {
    driver().alarms.len()
}

/// What the core asks of the seam: has `waker` woken at `tick`. The number of the alarm's [`Key`].
pub(crate) fn set_alarm(tick: Tick, waker: &Waker) -> u64 {
    set(tick, Action::Wake(waker.clone())).number
}

pub(crate) fn take_alarm_back(tick: Tick, number: u64) {
    take_out(Key { tick, number });
}

/// The timer thread's life.
fn main() {
    let mut due = Vec::new();
    loop {
        let now = park::now();
        // In a statement of its own: the lock is given back at its end.
        let round = driver().round(now, &mut due);
        match round {
            Round::Act(tick) => {
                FIRED.store(tick, Relaxed);
                due.drain(..).for_each(Action::run);
            }
            Round::SleepUntil(tick) => thread::park_timeout(Duration::from_nanos(tick - now)),
            Round::Sleep => HELPERS.sleep(None, || driver().is_idle()),
        }
    }
}

/// The alarm of one future: set by its polls, taken out when it is dropped.
#[derive(Default)]
pub(crate) struct Alarm {
    /// The waker as its two addresses: the alarm keeps it alive.
    set: Option<(Key, usize, &'static RawWakerVTable)>,
}

impl Alarm {
    /// Has `waker` woken at `tick`, instead of whatever it was set to before. It is for one who looked at the clock before.
    pub(crate) fn set(&mut self, tick: Tick, waker: &Waker) {
        let (data, vtable) = (waker.data().addr(), waker.vtable());
        // An alarm that has gone off is not in place, but then the clock has reached its tick, and nobody sets it again.
        let is_set = self.set.is_some_and(|(key, of, by)| key.tick == tick && of == data && ptr::eq(by, vtable));
        if !is_set {
            self.clear();
            self.set = Some((set(tick, Action::Wake(waker.clone())), data, vtable));
        }
    }

    pub(crate) fn clear(&mut self) {
        // One that has gone off, as most that are cleared with the future's end, needs no lock.
        if let Some((key, ..)) = self.set.take().filter(|(key, ..)| key.tick > FIRED.load(Relaxed)) {
            take_out(key);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
