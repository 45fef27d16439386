//! Whether a task runs, is queued or sleeps: the transitions of its state word. The picture and the invariants are in
//! `header.rs`, the orderings beside the word.

use super::TaskRef;
use crate::{runtime::Shared, sync::atomic::Ordering::*, worker::Worker};
use std::task::{RawWaker, RawWakerVTable, Waker};

pub(super) const FREE: u8 = 0;
/// It runs, or is queued to run.
pub(super) const READY: u8 = 1;
pub(super) const PARKED: u8 = 2;
pub(super) const NOTIFIED: u8 = 4;

impl TaskRef {
    /// It runs now, on the calling worker, where it stays from the first time on, unless it roams.
    pub(crate) fn resume(self, worker: &'static Worker) {
        let task = self.get();
        let is_its_own = |home: &Worker| std::ptr::eq(home, worker);
        debug_assert!(task.roams.get() || task.worker.get().is_none_or(is_its_own), "a started task is bound");
        debug_assert_eq!(task.state.load(Relaxed) & !NOTIFIED, READY);
        task.worker.set(Some(worker));
    }

    /// Whether a wake-up came since the last one that was taken. By the task itself, or its worker, while it is ready.
    pub(crate) fn is_notified(self) -> bool {
        self.get().state.load(Relaxed) == READY | NOTIFIED
    }

    /// As [`is_notified`](Self::is_notified); the wake-up is taken away, so that the next park is a real one.
    pub(crate) fn take_notification(self) -> bool {
        self.is_notified() && self.get().state.swap(READY, Acquire) == READY | NOTIFIED
    }

    /// Its stack was left: it sleeps. False if a wake-up came first: then it is ready still, and the caller's to queue.
    pub(crate) fn park(self) -> bool {
        let parked = self.get().state.compare_exchange(READY, PARKED, Release, Relaxed).is_ok();
        if !parked {
            self.take_notification();
        }
        parked
    }

    /// Leaves a wake-up, or ends the park. True if it was parked: then it is ready, and the caller's to queue.
    pub(super) fn notify(self) -> bool {
        let state = &self.get().state;
        // Most often it is parked.
        let mut before = PARKED;
        loop {
            let (after, order) = if before == PARKED { (READY, Acquire) } else { (before | NOTIFIED, Release) };
            match state.compare_exchange(before, after, order, Relaxed) {
                Ok(_) => return before == PARKED,
                Err(now) => before = now,
            }
        }
    }

    /// Leaves a wake-up. If the task was parked, it is queued: with the worker that it is bound to, or anywhere if it roams.
    pub(crate) fn wake(self) {
        if !self.notify() {
            return;
        }
        // K2: parked, and nobody else took it out of PARKED. It has run, so it is bound, unless it roams.
        let task = self.get();
        if task.roams.get() {
            // SAFETY: a `&'static Shared`, as for every task that is not a carrier.
            let home: &'static Shared = unsafe { &*task.home.load(Relaxed) };
            home.place_woken(self);
        } else if let Some(worker) = task.worker.get() {
            worker.enqueue_woken(self);
        }
    }

    /// A waker for this task: a plain pointer, free to clone and to drop.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: the functions below keep the waker's contract; the pointer is valid for ever (K1).
        unsafe { Waker::from_raw(RawWaker::new(self.as_raw(), &WAKER)) }
    }

    /// Whether there is a live task in the slot. For reports.
    pub(crate) fn is_alive(self) -> bool {
        self.get().state.load(Acquire) & !NOTIFIED != FREE
    }
}

pub(super) static WAKER: RawWakerVTable = RawWakerVTable::new(
    |task| RawWaker::new(task, &WAKER),
    |task| TaskRef::from_raw(task.cast_mut()).wake(),
    |task| TaskRef::from_raw(task.cast_mut()).wake(),
    |_| {},
);

#[cfg(all(test, loom))]
mod models;
