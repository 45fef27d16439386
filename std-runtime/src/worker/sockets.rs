//! When a worker looks after its sockets, beside sleeping in their poller: between its tasks, before it spins, and in a call
//! that would otherwise never wait.

use super::{Worker, current, current_task};
use crate::sync::atomic::Ordering::*;
use greenlight_core::park::{Tick, thread::now};

/// How long a worker that has tasks to run leaves its sockets alone, in nanoseconds: a system call each time, which takes
/// about a hundredth of this.
const SERVE_NANOS: Tick = 30_000;

/// How many calls a green thread makes that need not wait, before it lets others go first.
const CALLS_IN_A_ROW: u32 = 32;

impl Worker {
    /// Between two tasks.
    pub(super) fn serve_sockets(&self) {
        if self.poller.has_sockets() {
            let now = now();
            if now >= self.local.served.get() + SERVE_NANOS {
                self.local.served.set(now);
                self.poller.serve();
            }
        }
    }

    /// Has `events` wake whom they are for. Of the futures among them, this worker polls one next; for the others help is called, when
    /// all are there. If it came for each at once, it would take that one, and sleep again before the next: as many wake-ups of a
    /// thread as there are events.
    ///
    /// A waker of the program's may wait, though it should not. Whoever called this goes on with this worker: so a task that roams does not
    /// move meanwhile (W2). `events` does not unwind.
    pub(crate) fn deliver(&self, events: impl FnOnce()) {
        let outer = self.local.delivers.replace(Some(self.watched.picks()));
        let roaming = self.watched.task().filter(|task| task.roams());
        roaming.inspect(|task| task.let_roam(false));
        events();
        roaming.inspect(|task| task.let_roam(true));
        debug_assert!(current().is_some_and(|here| std::ptr::eq(here, self)), "moved inside its worker's code");
        self.local.delivers.set(outer);
        if self.delivers() {
            return; // by a waker that delivers events
        }
        let futures = self.futures_len.load(Relaxed);
        let before_them = self.local.next.get().is_some() || self.local.ready.len() > 0;
        for _ in usize::from(!before_them)..futures {
            if !self.shared.rouse_another(self) {
                break;
            }
        }
    }

    /// Whether whoever runs here delivers events: `deliver` calls help for the futures that they wake. Not if others have run since it
    /// began.
    pub(super) fn delivers(&self) -> bool {
        self.local.delivers.get() == Some(self.watched.picks())
    }

    /// Counts a call that may go without a wait. True if there were too many in a row: the task lets the others go first.
    fn spend(&self) -> bool {
        let picks = self.watched.picks();
        let (at, calls) = self.local.calls.get();
        let calls = if at == picks { calls + 1 } else { 1 };
        let spent = calls > CALLS_IN_A_ROW;
        self.local.calls.set((picks, if spent { 0 } else { calls }));
        spent
    }
}

/// Before a system call that hardly ever blocks: now and then, others go first. Not a point of cancellation.
pub(crate) fn take_turns() {
    if let Some(worker) = current()
        && worker.spend()
        && let Some(task) = current_task()
        && !std::thread::panicking()
    {
        worker.serve_sockets();
        worker.yield_now(task);
    }
}
