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
use crate::deadlock::HELPERS;
use greenlight_core::park::{self, Tick};
use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
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

struct Driver {
    alarms: Alarms<Action>,
    /// A1.
    until: Tick,
    /// A2.
    counted: bool,
    thread: Option<Thread>,
}

static DRIVER: Mutex<Driver> = Mutex::new(Driver { alarms: Alarms::new(), until: 0, counted: false, thread: None });

fn driver() -> MutexGuard<'static, Driver> {
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
    if driver.thread.is_none() {
        match thread::Builder::new().name("greenlight-timer".into()).spawn(main) {
            Ok(thread) => driver.thread = Some(thread.thread().clone()),
            Err(error) => {
                drop(driver);
                panic!("cannot start the timer thread: {error}");
            }
        }
    }
    let key = driver.alarms.set(tick, action);
    if mem::take(&mut driver.counted) {
        HELPERS.is_woken();
    }
    if tick < driver.until {
        driver.until = tick;
        if let Some(thread) = &driver.thread {
            thread.unpark();
        }
    }
    key
}

/// Whether it was in time: what the alarm was to do will not happen. Where it was to call a function, the function is
/// dropped.
pub(crate) fn take_out(key: Key) -> bool {
    let mut driver = driver();
    let action = driver.alarms.take_out(key);
    if action.is_some() && driver.until > 0 && driver.alarms.first().is_none() {
        driver.counted = true;
        HELPERS.falls_asleep();
    }
    drop(driver);
    // Foreign code may run where it is dropped.
    action.is_some()
}

/// The timer thread's life.
fn main() {
    loop {
        let mut driver = driver();
        driver.until = 0;
        if mem::take(&mut driver.counted) {
            HELPERS.rises();
        }
        let now = park::now();
        if let Some(action) = driver.alarms.pop_due(now) {
            drop(driver);
            action.run();
            continue;
        }
        let first = driver.alarms.first();
        driver.until = first.unwrap_or(Tick::MAX);
        driver.counted = first.is_none();
        if driver.counted {
            HELPERS.falls_asleep();
        }
        drop(driver);
        match first {
            Some(tick) => thread::park_timeout(Duration::from_nanos(tick - now)),
            // Not while it is `counted`: an alarm that came and went meanwhile has moved `until`.
            None => HELPERS.sleep(None, || self::driver().until == Tick::MAX),
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
