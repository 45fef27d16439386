//! Who is to blame: one line about a task that keeps its worker from the others, for `log` (feature `log`) or `tracing` (feature
//! `tracing`).
//!
//! ```text
//!   green thread 7 "resize", spawned at src/main.rs:12:5 has kept its worker for 12 ms: it computes
//! ```
//!
//! * B1  At most one line about a task, and at most one in [`BETWEEN`]: a program full of them is not to be slowed by being told so.
//! * B2  The logger is the program's: it may block, panic, use what the culprit holds. So it runs on a thread of the pool for
//!   blocking calls, and so does the drop of the future that the line is about, if it has ended meanwhile.

use crate::{
    blocking::blocking,
    header::{TaskId, TaskRef, discard},
    worker::Worker,
};
use greenlight_core::park::Tick;
use std::collections::HashSet;

/// A task is named when it has kept its worker for so long: less is seen often, and harmless.
pub(super) const BLAMED_AFTER: Tick = 10_000_000;
/// B1.
const BETWEEN: Tick = 5_000_000_000;
/// So many culprits are remembered; then all are forgotten.
const MEMORY: usize = 4096;

#[derive(Default)]
pub(super) struct Blame {
    blamed: HashSet<TaskId>,
    quiet_until: Tick,
}

impl Blame {
    /// `worker` has not switched for `time`.
    pub(super) fn consider(&mut self, worker: &'static Worker, time: Tick, computes: bool, now: Tick) {
        if time < BLAMED_AFTER || now < self.quiet_until {
            return;
        }
        // It may end, or switch, at any time; the hold keeps what it is called in place.
        let Some(hold) = worker.watched.task().and_then(TaskRef::hold) else { return };
        let Some(id) = hold.id() else { return };
        if self.blamed.contains(&id) {
            return;
        }
        let future = worker.shared.live_futures().find(id);
        let who = future.as_ref().map(|future| future.to_string()).or_else(|| hold.describe());
        drop(hold);
        let line = move || {
            if let Some(who) = who {
                say(&who, time, computes);
            }
            drop(future);
        };
        if self.blamed.len() >= MEMORY {
            self.blamed.clear();
        }
        self.blamed.insert(id);
        self.quiet_until = now.saturating_add(BETWEEN);
        // B2. Without a thread for it, nothing is said.
        discard(|| drop(blocking(line)));
    }
}

fn say(who: &str, time: Tick, computes: bool) {
    let milliseconds = time / 1_000_000;
    let what = if computes { "it computes" } else { "it blocks the thread" };
    #[cfg(feature = "log")]
    log::warn!(target: "greenlight", "{who} has kept its worker for {milliseconds} ms: {what}");
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "greenlight", task = who, milliseconds, "a task has kept its worker: {what}");
}
