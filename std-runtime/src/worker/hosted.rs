//! A worker without a thread: its owner's loop runs it, a drive at a time.
//!
//! ```text
//!   owner's thread   … ── drive: AWAKE, tasks run until none is ready ── ASLEEP or TIMED ── … ── drive ── …
//!   any thread                                                   brings work: WAKING, and the wake hook, once
//! ```
//!
//! * H1  Its owner cannot leave the thread that made it, and nobody else drives it. So W1 and W2 hold with that thread as the
//!   worker's.
//! * H2  Between two drives it is asleep as W3 has it, so that whoever brings work calls the hook.
//! * H3  It has no thread that sleeps, so the deadlock detector does not count it: its owner's thread is one of the program's.

use super::{After, CURRENT, Worker, current};
use crate::header::{TaskRef, discard};
use std::{
    sync::{Mutex, PoisonError, atomic::Ordering::*},
    task::Waker,
    time::Duration,
};

/// Whom to tell of new work.
pub(super) struct Host {
    hook: Box<dyn Fn() + Send + Sync>,
    /// The owner's thread, while it waits for work.
    waiting: Mutex<Option<Waker>>,
}

impl Host {
    /// Behind a rouse, so once until the next drive. Foreign code: the caller has no lock.
    pub(super) fn wake(&self) {
        // Both are called in the midst of somebody's wake-up, which must not unwind.
        discard(|| (self.hook)());
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        discard(|| waiting.into_iter().for_each(Waker::wake));
    }
}

/// Makes the calling thread the worker's, for the time of a drive.
struct Here;

impl Here {
    fn enter(worker: &'static Worker) -> Self {
        CURRENT.with(|current| current.set(Some(worker)));
        Self
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(None));
    }
}

impl Worker {
    /// Before its first task. From here on it is asleep until it is driven (H2).
    pub(crate) fn host(&self, hook: Box<dyn Fn() + Send + Sync>) {
        let _ = self.host.set(Host { hook, waiting: Mutex::new(None) });
        self.mode.fall_asleep(false, || false);
    }

    pub(crate) fn is_hosted(&self) -> bool {
        self.host.get().is_some()
    }

    /// Runs what is ready, until nothing is. Returns how long the next timer has to wait.
    ///
    /// # Safety
    ///
    /// H1: the calling thread is the one that has called [`host`](Self::host), and always will be. It runs no green thread.
    pub(crate) unsafe fn drive(&'static self) -> Option<Duration> {
        debug_assert!(current().is_none());
        let _here = Here::enter(self);
        loop {
            self.mode.awake();
            while let Some(task) = self.pick() {
                self.leave(None, After::Nothing, Some(task));
            }
            let until_timer = self.local.timers.fire();
            if self.mode.fall_asleep(until_timer.is_some(), || self.has_work(true)) {
                return until_timer;
            }
        }
    }

    /// Whether nothing came since the last drive; if so, `waker` hears of what comes.
    pub(crate) fn has_nothing_new(&self, waker: &Waker) -> bool {
        let mine = waker.clone(); // foreign code, so before the lock
        let host = self.host.get().expect("a hosted worker");
        let old = host.waiting.lock().unwrap_or_else(PoisonError::into_inner).replace(mine);
        drop(old);
        // The waker is there before this look: who has roused before is seen, who does so after it sees the waker.
        self.mode.rests()
    }

    /// The last drive: carriers without work give their stacks back. What is parked still stays so for ever.
    ///
    /// # Safety
    ///
    /// As for [`drive`](Self::drive).
    pub(crate) unsafe fn end_hosting(&'static self) {
        let _here = Here::enter(self);
        self.mode.awake(); // for good: the hook is not called any more
        self.local.closing.set(true);
        while let Some(carrier) = self.take_idle_carrier() {
            self.leave(None, After::Nothing, Some(carrier));
        }
        self.ended.store(true, SeqCst);
    }

    /// Puts a task here that is to start on this thread and no other: it is bound before it starts, and nobody steals it.
    ///
    /// # Safety
    ///
    /// As for [`drive`](Self::drive), but that a green thread of this worker may call it.
    pub(crate) unsafe fn place_here(&'static self, task: TaskRef) {
        self.place_near(task);
        self.rouse();
    }

    /// Tasks with a stack that have not ended, without those that poll futures. On this worker's thread, between drives.
    pub(crate) fn live_green(&self) -> usize {
        self.live() - self.local.parked_carriers.get()
    }
}
