//! How a wait parks a green thread, and who wakes futures at a time: what this runtime plugs into the core's seam.

use crate::{
    deadlock,
    header::{self, TaskRef},
    time::driver::{self, Action},
    worker,
};
use greenlight_core::park::{
    self, Alarms, AlreadyInstalled, Cancel, Hooks, PollFn, Stopped, Tick, TimedOut, Why, thread,
};
use std::{cell::Cell, mem::ManuallyDrop, sync::Once};

// SAFETY: both ways of waiting below return Ok in the arm of a Ready poll and nowhere else, and Err behind a check of
// the deadline, or of the cancellation. A green thread is bound to its OS thread (W2), and nothing in between unwinds. One that roams
// comes back on another: nothing of the core's depends on that, and for the rest of the task its spawner has promised it.
static HOOKS: Hooks = unsafe { Hooks::new().with_wait(wait_out).with_cancel(Cancel { wait, unwind: header::unwind }) }
    .with_random(random)
    .with_task_id(this_task)
    .with_yield(give_way)
    .with_alarms(Alarms { set: driver::set_alarm, take_back: driver::take_alarm_back });

pub(crate) fn install() -> Result<(), AlreadyInstalled> {
    park::install(&HOOKS)
}

/// Before the first runtime, if need be: for a program whose futures are another executor's. Where other hooks are in place,
/// theirs is what waits and wakes.
pub(crate) fn install_early() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| _ = install());
}

/// A task's header, or a mark of an OS thread.
fn this_task() -> usize {
    worker::current_task().map_or_else(park::this_thread, |task| std::ptr::from_ref(task.get()).addr())
}

fn wait(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), Stopped> {
    wait_somehow(why, deadline, |task| task.get().must_unwind(), poll)
}

fn wait_out(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    wait_somehow(why, deadline, |_| false, poll).map_err(|_| TimedOut)
}

fn wait_somehow(
    why: &Why,
    deadline: Option<Tick>,
    is_cancelled: impl Fn(TaskRef) -> bool,
    poll: &mut PollFn<'_>,
) -> Result<(), Stopped> {
    let here = worker::current().and_then(|worker| worker.watched.task().map(|task| (worker, task)));
    let done = match here {
        // While the OS thread unwinds, its panic count says so to everybody on it: another task on this thread would
        // believe that it unwinds. So the whole worker waits. It may wait for a task of its own, for ever: a `Drop` that
        // runs during a panic should not wait for other tasks. And it is no place to unwind from.
        Some(_) if std::thread::panicking() => thread::wait(deadline, poll, || false),
        Some((worker, task)) => return wait_green(worker, task, why, deadline, is_cancelled, poll),
        None => thread::wait(deadline, poll, deadlock::look),
    };
    done.map_err(|TimedOut| Stopped::TimedOut)
}

fn wait_green(
    worker: &'static worker::Worker,
    task: TaskRef,
    why: &Why,
    deadline: Option<Tick>,
    is_cancelled: impl Fn(TaskRef) -> bool,
    poll: &mut PollFn<'_>,
) -> Result<(), Stopped> {
    let mut worker = worker;
    // Then the clock need not be asked once more.
    let mut fired = false;
    // Dropping a task's waker does nothing; not even asking saves a call.
    let waker = ManuallyDrop::new(task.waker());
    loop {
        if poll(&waker).is_ready() {
            return Ok(());
        }
        // W2: on another one since the last park, or a wait inside the poll.
        if task.roams() {
            worker = worker::current().expect("a task runs on a worker");
        }
        // A request that comes after this look leaves a wake-up behind it, so that the park below ends.
        if is_cancelled(task) {
            return Err(Stopped::Cancelled);
        }
        let about = &task.get().why;
        match deadline {
            None => {
                about.set(Some(*why));
                worker.park(task);
            }
            Some(deadline) if fired || thread::now() >= deadline => return Err(Stopped::TimedOut),
            Some(deadline) if task.roams() => {
                about.set(Some(*why));
                // Not the worker's: it may be stuck when the time comes.
                let alarm = driver::set(deadline, Action::Wake(task.waker()));
                worker.park(task);
                driver::take_out(alarm);
            }
            Some(deadline) => {
                about.set(Some(*why));
                let timer = worker.set_timer(deadline, task);
                worker.park(task);
                fired = worker.clear_timer(timer);
            }
        }
        about.set(None);
    }
}

/// For a task that the monitor has asked to let others go first: at the beginning of a call that may wait.
fn give_way() {
    let Some((worker, task)) = worker::current_with_task() else { return };
    // As for a wait: no switch while the OS thread unwinds.
    if worker.watched.is_asked() && !std::thread::panicking() {
        worker.give_way(task);
    }
}

/// A generator of its own for each thread: choices of one worker do not slow another down.
fn random() -> u32 {
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            // The address of the thread-local differs from thread to thread.
            x = (std::ptr::from_ref(state).addr() as u64 ^ thread::now()).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        }
        // xorshift64: the state is never zero.
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        (x >> 32) as u32
    })
}
