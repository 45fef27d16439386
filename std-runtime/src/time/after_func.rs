//! Functions that are called later.

use super::{
    Instant,
    alarms::Key,
    driver::{self, Action},
};
use crate::{
    header::{Spawn, discard},
    runtime::{self, Shared},
};
use std::{
    fmt,
    mem::{self, ManuallyDrop},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Calls `f` on a green thread of its own, `time` from now. Go's `time.AfterFunc`.
///
/// The call is made as long as its handle is kept: [`AfterFunc::stop`], and dropping it, take it back, and
/// [`AfterFunc::detach`] leaves it for good.
///
/// # Panics
///
/// If the timer thread cannot be started. A panic of `f` is reported by the hook, like that of any green thread; and so it is
/// if there is no memory for its stack when the time has come, and the call cannot be made.
///
/// # Cost
///
/// Two allocations and a short lock. A system call only if it is the earliest of all.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::bounded, time::after_func};
/// use std::time::Duration;
///
/// let (tx, rx) = bounded(1);
/// let call = after_func(Duration::from_millis(1), move || tx.send("later").unwrap());
/// assert_eq!(rx.recv(), Ok("later"));
/// assert!(!call.stop()); // too late
/// ```
#[track_caller]
pub fn after_func(time: Duration, f: impl Fn() + Send + Sync + 'static) -> AfterFunc {
    let call = AfterFunc { runtime: runtime::here(), f: ManuallyDrop::new(Arc::new(f)), alarm: Mutex::new(Set::No) };
    call.reset(time);
    call
}

/// The handle of [`after_func`]. Dropped, it takes the call back.
#[must_use = "dropped, it takes the call back: `detach` it, or keep it"]
pub struct AfterFunc {
    runtime: &'static Shared,
    /// Taken out by the drop.
    f: ManuallyDrop<Arc<dyn Fn() + Send + Sync>>,
    alarm: Mutex<Set>,
}

/// Whether a call is to be made, as far as its handle knows.
enum Set {
    No,
    /// Beyond what the clock can reach.
    Never,
    At(Key),
}

impl Set {
    /// Takes the call back. Whether it was in time.
    fn take_back(&mut self) -> bool {
        match mem::replace(self, Self::No) {
            Self::No => false,
            Self::Never => true,
            Self::At(key) => driver::take_out(key),
        }
    }
}

impl AfterFunc {
    /// Takes the call back. True if it will not be made, because of this call: false if it was made, or is just being
    /// made, or was taken back before. It does not wait for one that is being made.
    pub fn stop(&self) -> bool {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).take_back()
    }

    /// Calls it `time` from now, instead of when it was set to before, or once more. True if it was taken back in time
    /// from before; if not, the two calls may run at once.
    ///
    /// # Panics
    ///
    /// If the timer thread cannot be started.
    #[track_caller]
    pub fn reset(&self, time: Duration) -> bool {
        let when = Instant::after(time);
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let in_time = alarm.take_back();
        let (runtime, spawn, f) = (self.runtime, Spawn::here(), Arc::clone(&self.f));
        *alarm = match when.deadline() {
            None => Set::Never,
            Some(tick) => {
                Set::At(driver::set(tick, Action::Call(Box::new(move || drop(runtime.spawn(spawn, move || f()))))))
            }
        };
        in_time
    }

    /// Leaves the call for good.
    pub fn detach(self) {
        *self.alarm.lock().unwrap_or_else(PoisonError::into_inner) = Set::No;
    }
}

impl Drop for AfterFunc {
    fn drop(&mut self) {
        self.stop();
        // SAFETY: taken once, at the end of what holds it.
        let share = unsafe { ManuallyDrop::take(&mut self.f) };
        // The last one, perhaps, if the call was made already; and with it goes what `f` owns, whose drop may panic.
        discard(|| drop(share));
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}
