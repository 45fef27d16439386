//! All green threads are asleep: a program that can never go on says so, as in Go.
//!
//! The claim is certain, or it is not made. When a worker has slept for a little while, or an OS thread
//! in one of our waits, it takes a picture of the process:
//!
//! ```text
//!   threads of the process   =   workers asleep, without a timer   +   OS threads asleep in a wait of ours, without a limit
//!                                                                   +   helpers asleep, without anything to do
//! ```
//!
//! A worker may sleep in the poller of its sockets. While somebody is in line at one, its peer may wake him, so nothing is said; a
//! socket at which nobody waits changes nothing.
//!
//! A worker that the loop of its owner runs ([`LocalRuntime`](crate::LocalRuntime)) has no thread, so it is on neither side: while
//! it has nothing to do, its owner's thread is one like others.
//!
//! Helpers are the runtime's own threads beside the workers: the one that fires timers, those that run blocking calls.
//!
//! If the two sides are equal, nobody is left who could wake anybody: other threads of the program, a signal handler's
//! thread, a thread in a system call would all be on the left side only.
//!
//! * D1  Nothing sleeps half-way: a worker or thread that was woken stops counting as asleep in the moment in which it is
//!   woken, by the waker's own write. So `asleep` never counts one that is about to run.
//! * D2  Counting takes time. Each wake-up of a counted sleeper moves a counter, after the wake-up and before the waker can
//!   sleep itself. Two pictures that are equal, counters and threads included, show one moment.
//! * D3  Whoever is the last to fall asleep looks after it counts as asleep, so somebody sees the whole.
//!
//! A thread that ends without waking anybody looks at nothing. So whoever sleeps looks again for about a second, ever more
//! rarely. A foreign thread that ends so after that is the one gap: then nothing is said.

use crate::{
    header::TaskRef,
    net,
    runtime::{for_each_runtime, for_each_worker},
    stack,
    worker::WAKES,
};
use greenlight_core::park::thread::{Census, census};
use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

/// The exit code of a program that ends so: Go's.
const EXIT_CODE: i32 = 2;

/// How long a helper sleeps before it looks again whether anybody is left, at first and at last.
const FIRST_NAP: Duration = Duration::from_millis(10);
const LAST_NAP: Duration = Duration::from_millis(640);

/// The helpers that sleep until somebody brings them work. SeqCst throughout: D1 and D2.
pub(crate) struct Helpers {
    asleep: AtomicUsize,
    wakes: AtomicUsize,
}

pub(crate) static HELPERS: Helpers = Helpers::new();

impl Helpers {
    pub(crate) const fn new() -> Self {
        Self { asleep: AtomicUsize::new(0), wakes: AtomicUsize::new(0) }
    }

    #[cfg(test)]
    pub(crate) fn asleep(&self) -> usize {
        self.asleep.load(SeqCst)
    }

    /// A helper has nothing to do from here on.
    pub(crate) fn falls_asleep(&self) {
        self.asleep.fetch_add(1, SeqCst);
    }

    /// A helper gets work, by the caller (D1), who does not sleep before this is said (D2).
    pub(crate) fn is_woken(&self) {
        self.asleep.fetch_sub(1, SeqCst);
        self.wakes.fetch_add(1, SeqCst);
    }

    /// A helper wakes by itself, to end, or to find that there is nothing to do.
    pub(crate) fn rises(&self) {
        self.asleep.fetch_sub(1, SeqCst);
    }

    /// The sleep of a helper, which counts as asleep: while `idle` says so, and for `limit` at most. Who changes what
    /// `idle` looks at unparks the thread (D3).
    pub(crate) fn sleep(&self, limit: Option<Duration>, idle: impl Fn() -> bool) {
        let start = Instant::now();
        let park = |nap: Duration| {
            let left = limit.map_or(nap, |limit| nap.min(limit.saturating_sub(start.elapsed())));
            thread::park_timeout(left);
            idle() && limit.is_none_or(|limit| start.elapsed() < limit)
        };
        let mut nap = FIRST_NAP;
        while park(nap) {
            // After the last look it only sleeps.
            nap = if nap <= LAST_NAP && look() { nap * 2 } else { Duration::MAX };
        }
    }
}

#[derive(PartialEq, Eq)]
struct Picture {
    threads: usize,
    workers_asleep: usize,
    worker_wakes: usize,
    helpers_asleep: usize,
    helper_wakes: usize,
    os_threads: Census,
}

impl Picture {
    /// None if a worker is awake, or the number of threads is not to be had.
    fn take() -> Option<Self> {
        let threads = count_threads()?;
        let os_threads = census();
        let worker_wakes = WAKES.load(SeqCst);
        let helper_wakes = HELPERS.wakes.load(SeqCst);
        let helpers_asleep = HELPERS.asleep.load(SeqCst);
        let (mut workers_asleep, mut all) = (0, true);
        for_each_worker(|worker| match worker.is_asleep() {
            // One that its owner's loop runs has no thread (H3).
            true => workers_asleep += usize::from(!worker.is_hosted()),
            false => all &= worker.ended.load(SeqCst),
        });
        all.then_some(Self { threads, workers_asleep, worker_wakes, helpers_asleep, helper_wakes, os_threads })
    }

    fn nobody_is_left(&self) -> bool {
        self.threads == self.workers_asleep + self.helpers_asleep + self.os_threads.asleep
    }
}

/// Ends the program with a report if nothing can ever happen again. True if a later look may find that: somebody is
/// awake, or about to end.
pub(crate) fn look() -> bool {
    let mut awake = false;
    for_each_worker(|worker| awake |= !worker.is_asleep() && !worker.ended.load(SeqCst));
    if awake {
        return true; // the usual case, without a system call
    }
    let Some(first) = Picture::take() else { return true };
    // Between the two pictures, so at the moment which they show if they are equal (D2).
    if !first.nobody_is_left() || net::anybody_waits() || Picture::take().as_ref() != Some(&first) {
        return true;
    }
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if !REPORTED.swap(true, SeqCst) {
        report(&first);
    }
    false // another thread is reporting
}

fn report(picture: &Picture) -> ! {
    let mut text = String::from("fatal error: all green threads are asleep - deadlock!\n\n");
    let mut tasks = Vec::new();
    stack::for_each_slot(|slot| tasks.push(TaskRef::of(slot)));
    tasks.retain(|task| task.is_alive() && !task.has_ended());
    // A carrier without work is none of the program's; one that waits inside a poll stands for its future.
    tasks.retain(|task| !task.get().is_carrier.get() || task.get().future().is_some());
    let polled: Vec<_> = tasks.iter().filter_map(|task| task.get().future()).map(|future| future.id).collect();
    tasks.sort_by_key(|task| task.get().id());
    for task in tasks {
        let task = task.get();
        let _ = match task.why.get() {
            Some(why) => writeln!(text, "{task}: waits to {why}"),
            None => writeln!(text, "{task}"),
        };
    }
    for_each_runtime(|runtime| {
        let mut futures = runtime.live_futures().all();
        futures.retain(|future| !polled.contains(&future.id));
        futures.sort_by_key(|future| future.id);
        for future in futures {
            let _ = writeln!(text, "{}: waits to be woken", *future);
            std::mem::forget(future); // the process ends: no code of the program's now
        }
    });
    if picture.os_threads.asleep > 0 {
        let _ = writeln!(text, "OS threads that wait too: {}", picture.os_threads.asleep);
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    std::process::exit(EXIT_CODE);
}

/// The threads of this process: one number of the kernel's. Its list of them can be cut short while threads end.
fn count_threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let threads: usize = status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()?;
    threads.checked_sub(emulator_threads())
}

/// Threads that run none of this program, and that only the kernel knows of: user-mode QEMU has one. Taken from the
/// environment, because a thread too many here only means that no deadlock is ever found, one too few a false alarm.
fn emulator_threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    let from_environment = || std::env::var("GREENLIGHT_EMULATOR_THREADS").ok()?.parse().ok();
    *THREADS.get_or_init(|| from_environment().unwrap_or(0))
}
