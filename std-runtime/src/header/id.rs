//! Which task it is.

use std::{
    fmt,
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering::*},
};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The number of a green thread, or of a future that runs as a task: no other of this process has it, ever.
///
/// # Examples
///
/// ```
/// let task = greenlight::go(greenlight::task::current_id);
/// let id = task.id();
/// assert_eq!(task.join().unwrap(), Some(id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(super) NonZero<u64>);

impl TaskId {
    pub(crate) fn next() -> Self {
        Self(NonZero::new(NEXT_ID.fetch_add(1, Relaxed)).expect("2^63 tasks are more than a process has time for"))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
