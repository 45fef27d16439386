//! When a worker looks after its sockets, beside sleeping in their poller: between its tasks, before it spins, and in a call
//! that would otherwise never wait.

use super::{Worker, current, current_task};
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

    /// Counts a call that may go without a wait. True if there were too many in a row: the task lets the others go first.
    fn spend(&self) -> bool {
        let picks = self.local.picks.get();
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
