//! The handle of a green thread.

use crate::task::Outcome;
use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    thread,
};

/// Waits for a green thread and takes its result. Dropping it leaves the green thread running on its own.
///
/// # Examples
///
/// ```
/// let answer = greenlight::go(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
pub struct JoinHandle<T> {
    outcome: Outcome<T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(outcome: Outcome<T>) -> Self {
        Self { outcome }
    }

    /// Waits until the green thread has ended.
    ///
    /// # Errors
    ///
    /// With the panic's payload, if it panicked. The panic hook has reported it already.
    ///
    /// # Cost
    ///
    /// If it has ended: one load. Else one park.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.outcome.wait()
    }

    /// Whether the green thread has ended, so that [`join`](Self::join) would not wait.
    pub fn is_finished(&self) -> bool {
        self.outcome.has_ended()
    }
}

// A handle shows nothing of a panicked task but its payload.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish()
    }
}
