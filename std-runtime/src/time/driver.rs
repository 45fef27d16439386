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
//! * A1  `until` says how long the thread will sleep: 0 while it is awake. Only an alarm before that wakes it, so setting a
//!   later one, and taking out any, is no business of the kernel's. Who moves it unparks the thread, which then begins its
//!   round anew, whatever it finds: else it would sleep longer than `until` says.
//! * A2  `counted` says that the thread counts as one that sleeps and has nothing to do (`deadlock.rs`): it sleeps, and there is no
//!   alarm. It is set and cleared in the step under the lock that makes it so. So the last alarm's `take_out` needs not wake
//!   the thread, though it sleeps on for that alarm's time.
//! * A3  Actions run without the lock, one after the other: foreign wakers, short functions.
//!
//! Not a green thread: it would be bound to one worker, and would be seen in the report of a deadlock.

use super::alarms::{Alarms, Key};
use crate::deadlock::{HELPERS, Helpers};
use greenlight_core::park::{self, Tick};
use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    task::Waker,
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
    until: Tick,
    /// A2.
    counted: bool,
    helpers: &'static Helpers,
}

/// What the thread does next.
enum Round<A> {
    Act(A),
    SleepUntil(Tick),
    /// Until [`is_idle`](Driver::is_idle) says no.
    Sleep,
}

impl<A> Driver<A> {
    const fn new(helpers: &'static Helpers) -> Self {
        Self { alarms: Alarms::new(), until: 0, counted: false, helpers }
    }

    /// True beside the key if the thread is to be unparked.
    fn set(&mut self, tick: Tick, action: A) -> (Key, bool) {
        let key = self.alarms.set(tick, action);
        if mem::take(&mut self.counted) {
            self.helpers.is_woken();
        }
        let earlier = tick < self.until;
        if earlier {
            self.until = tick;
        }
        (key, earlier)
    }

    fn take_out(&mut self, key: Key) -> Option<A> {
        let action = self.alarms.take_out(key)?;
        if self.until > 0 && self.alarms.first().is_none() {
            self.counted = true;
            self.helpers.falls_asleep();
        }
        Some(action)
    }

    fn round(&mut self, now: Tick) -> Round<A> {
        self.until = 0;
        if mem::take(&mut self.counted) {
            self.helpers.rises();
        }
        if let Some(action) = self.alarms.pop_due(now) {
            return Round::Act(action);
        }
        match self.alarms.first() {
            Some(tick) => {
                self.until = tick;
                Round::SleepUntil(tick)
            }
            None => {
                self.until = Tick::MAX;
                self.counted = true;
                self.helpers.falls_asleep();
                Round::Sleep
            }
        }
    }

    /// Whether a thread that sleeps without end goes on with that. Not `counted`: an alarm that came and went meanwhile has
    /// moved `until`.
    fn is_idle(&self) -> bool {
        self.until == Tick::MAX
    }
}

static DRIVER: Mutex<Driver<Action>> = Mutex::new(Driver::new(&HELPERS));
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
    loop {
        let now = park::now();
        // In a statement of its own: the lock is given back at its end.
        let round = driver().round(now);
        match round {
            Round::Act(action) => action.run(),
            Round::SleepUntil(tick) => thread::park_timeout(Duration::from_nanos(tick - now)),
            Round::Sleep => HELPERS.sleep(None, || driver().is_idle()),
        }
    }
}

/// The alarm of one future: set by its polls, taken out when it is dropped.
#[derive(Default)]
pub(crate) struct Alarm {
    set: Option<(Key, Waker)>,
}

impl Alarm {
    /// Has `waker` woken at `tick`, instead of whatever it was set to before. It is for one who looked at the clock before.
    pub(crate) fn set(&mut self, tick: Tick, waker: &Waker) {
        // An alarm that has gone off is not in place, but then the clock has reached its tick, and nobody sets it again.
        if !self.set.as_ref().is_some_and(|(key, old)| key.tick == tick && old.will_wake(waker)) {
            self.clear();
            self.set = Some((set(tick, Action::Wake(waker.clone())), waker.clone()));
        }
    }

    pub(crate) fn clear(&mut self) {
        if let Some((key, _waker)) = self.set.take() {
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
