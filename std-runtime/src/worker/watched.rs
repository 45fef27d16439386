//! What the monitor sees of a worker, and what it says to it.
//!
//! ```text
//!   the worker:   picks += 1 at each look for a task;  task = the one that runs
//!   the monitor:  picks as they were 5 ms ago?  asked = picks
//!   a blocking call:  asked = picks?  give way: the next pick makes it untrue
//! ```
//!
//! * Y1  Everything here is Relaxed: two plain stores at a switch, and hints for the rest. A request names the pick that it is for, so
//!   it goes by itself when the worker switches, and never meets the next task.

use crate::header::TaskRef;
use greenlight_core::park::Tick;
use std::{
    fs, ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering::*},
};

pub(crate) struct Watched {
    /// Written by the worker's thread only.
    picks: AtomicU32,
    /// The task that runs, null on the worker's own stack. Written by the worker's thread only.
    task: AtomicPtr<()>,
    /// The pick whose task is to give way.
    asked: AtomicU32,
    /// Whether it takes up new work: a spare worker only while it is needed. Written by the monitor only.
    engaged: AtomicBool,
    spare: bool,
    /// The number of its OS thread: 0 before it runs.
    thread: AtomicI32,
    /// The monitor's notes: the pick that it saw last, and when it saw that first.
    seen: AtomicU32,
    since: AtomicU64,
    /// What the system said of the thread, and for how long the worker has to stand before it is asked again.
    computing: AtomicBool,
    ask_again: AtomicU64,
}

impl Watched {
    pub(super) const fn new(engaged: bool) -> Self {
        Self {
            engaged: AtomicBool::new(engaged),
            spare: !engaged,
            thread: AtomicI32::new(0),
            picks: AtomicU32::new(0),
            task: AtomicPtr::new(ptr::null_mut()),
            asked: AtomicU32::new(u32::MAX),
            seen: AtomicU32::new(0),
            since: AtomicU64::new(0),
            computing: AtomicBool::new(false),
            ask_again: AtomicU64::new(0),
        }
    }

    // ---- on the worker's thread -----------------------------------------------------------------------------------

    pub(super) fn begins(&self) {
        // SAFETY: it only answers.
        self.thread.store(unsafe { libc::gettid() }, Relaxed);
    }

    /// The worker looks for a task: how often by now.
    pub(super) fn count_pick(&self) -> u32 {
        let picks = self.picks.load(Relaxed).wrapping_add(1);
        self.picks.store(picks, Relaxed);
        picks
    }

    pub(super) fn picks(&self) -> u32 {
        self.picks.load(Relaxed)
    }

    pub(super) fn runs(&self, task: Option<TaskRef>) {
        self.task.store(task.map_or(ptr::null_mut(), TaskRef::as_raw), Relaxed);
    }

    /// The running task is to give way.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed) == self.picks.load(Relaxed)
    }

    // ---- from any thread ------------------------------------------------------------------------------------------

    pub(crate) fn is_engaged(&self) -> bool {
        self.engaged.load(Relaxed)
    }

    pub(crate) fn is_spare(&self) -> bool {
        self.spare
    }

    /// The task that runs: on the worker's thread for certain, elsewhere perhaps not any more.
    pub(crate) fn task(&self) -> Option<TaskRef> {
        let task = self.task.load(Relaxed);
        (!task.is_null()).then(|| TaskRef::from_raw(task))
    }

    // ---- the monitor's --------------------------------------------------------------------------------------------

    /// For how long the worker has not switched, at least, while it runs a task.
    pub(crate) fn stands_for(&self, now: Tick) -> Option<Tick> {
        let picks = self.picks.load(Relaxed);
        if self.seen.swap(picks, Relaxed) != picks || self.task().is_none() {
            self.since.store(now, Relaxed);
            self.ask_again.store(0, Relaxed);
            return None;
        }
        Some(now.saturating_sub(self.since.load(Relaxed)))
    }

    pub(crate) fn engage(&self, engaged: bool) {
        self.engaged.store(engaged, Relaxed);
    }

    /// Whether its thread has a CPU, or waits for one only: it computes. It has not switched for `time`: the system is asked
    /// ever more rarely, since the answer costs some 10 µs.
    pub(crate) fn computes(&self, time: Tick) -> bool {
        if time >= self.ask_again.load(Relaxed) {
            self.ask_again.store(time.saturating_mul(2), Relaxed);
            self.computing.store(self.asks_whether_it_computes(), Relaxed);
        }
        self.computing.load(Relaxed)
    }

    /// False if that cannot be found out.
    fn asks_whether_it_computes(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", self.thread.load(Relaxed)));
        // The state stands behind the name, which is in parentheses and may be anything.
        stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R')))
    }

    /// Asks the task of the last look to give way.
    pub(crate) fn ask(&self) {
        self.asked.store(self.seen.load(Relaxed), Relaxed);
    }
}
