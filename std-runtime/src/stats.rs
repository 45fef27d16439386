//! How much there is of what a program could leak: looked up when somebody asks, so that nobody else pays for it.

use crate::{
    header::TaskRef,
    runtime::{for_each_runtime, for_each_worker},
    stack,
    time::driver,
};
use std::sync::atomic::Ordering::*;

/// What all runtimes of the process have at the moment: [`stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Threads that run tasks, and hosts that drive a [`LocalRuntime`](crate::LocalRuntime).
    pub workers: usize,
    /// Of these, the ones that sleep until somebody brings them work.
    pub asleep: usize,
    /// Of these, the ones that sleep until a timer of one of their green threads is due: of a `sleep`, or of a wait with a limit. (One
    /// that is at work may have timers, too; and now and then a worker sleeps for half a millisecond beside another one's new tasks.)
    pub asleep_until_timer: usize,
    /// Those that have not ended, started or not.
    pub green_threads: usize,
    /// Those of [`go_async`](crate::go_async) that have not ended.
    pub futures: usize,
    /// What the thread of the timers is to do: for futures that sleep or have a limit, for [`time`](crate::time)'s timers and calls,
    /// for deadlines of contexts, for green threads that roam.
    pub alarms: usize,
}

/// Counts what there is: for a test that is to find nothing left, or a program's own report.
///
/// Others may start and end meanwhile, and a task that was joined may be just about to end: among tasks at work the numbers are about
/// right, and exact once nothing happens any more.
///
/// # Cost
///
/// A walk through all stacks that were ever used, for each runtime, and a few short locks. Nothing is counted before somebody asks.
///
/// # Examples
///
/// ```standalone_crate
/// use greenlight::{channel::bounded, go, stats};
///
/// let (tx, rx) = bounded::<u32>(0);
/// let task = go(move || rx.recv());
/// assert_eq!(stats().green_threads, 1);
/// tx.send(1).unwrap();
/// task.join().unwrap().unwrap();
/// while stats().green_threads > 0 {
///     std::thread::yield_now(); // it is about to end
/// }
/// ```
pub fn stats() -> Stats {
    let mut stats = Stats { alarms: driver::pending(), ..Stats::default() };
    for_each_worker(|worker| {
        if !worker.ended.load(SeqCst) {
            stats.workers += 1;
            stats.asleep += usize::from(worker.is_asleep());
            stats.asleep_until_timer += usize::from(worker.is_asleep_until_timer());
        }
    });
    for_each_runtime(|runtime| {
        stats.futures += runtime.live_futures().count();
        stack::for_each_slot(|slot| stats.green_threads += usize::from(TaskRef::of(slot).survey(runtime).is_some()));
    });
    stats
}
