//! Tasks without a stack, on a worker: they are polled by carriers, green threads of the worker's own.
//!
//! A blocking call in a poll parks the carrier; with none at work, the worker takes another for the futures that wait.

use super::{After, Worker, current, current_task};
use crate::{
    header::{Spawn, TaskRef, discard},
    stack,
    stackless::Run,
};
use std::{
    collections::VecDeque,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering::*},
};

/// How many futures a carrier polls before it lets the green threads go.
const POLLS_IN_A_ROW: u32 = 32;
/// How many carriers without work a worker keeps.
const IDLE_CARRIERS: usize = 2;

pub(super) struct Futures {
    pub(super) queue: VecDeque<Arc<dyn Run>>,
    pub(super) closed: bool,
}

impl Futures {
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), closed: false }
    }
}

impl Worker {
    pub(super) fn futures(&self) -> MutexGuard<'_, Futures> {
        self.futures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a future here that wants to be polled. Gives it back if this worker has ended. True if somebody else should help: it
    /// will have to wait for more than the end of the poll that has woken it.
    pub(crate) fn place_future(&self, future: Arc<dyn Run>) -> Result<bool, Arc<dyn Run>> {
        let mut futures = self.futures();
        if futures.closed {
            return Err(future);
        }
        futures.queue.push_back(future);
        let len = futures.queue.len();
        self.futures_len.store(len, SeqCst);
        drop(futures);
        self.rouse();
        let is_next = len == 1
            && current().is_some_and(|here| std::ptr::eq(here, self))
            && current_task().is_some_and(|task| task.get().is_carrier.get());
        Ok(!is_next)
    }

    /// A carrier for the futures that are queued, here or elsewhere, unless one is at work already.
    pub(super) fn pick_carrier(&'static self) -> Option<TaskRef> {
        if self.local.busy_carriers.get() > 0 || (self.futures_len.load(Relaxed) == 0 && !self.steal_futures()) {
            return None;
        }
        // Without memory for one, the futures wait until a stack is free.
        self.take_idle_carrier().or_else(|| self.new_carrier())
    }

    /// It counts as live while it is at work.
    pub(super) fn take_idle_carrier(&self) -> Option<TaskRef> {
        let carrier = self.local.idle_carriers.borrow_mut().pop()?;
        self.live.fetch_add(1, Relaxed);
        self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        Some(carrier)
    }

    #[cold]
    fn new_carrier(&'static self) -> Option<TaskRef> {
        let slot = stack::acquire().ok()?;
        // SAFETY: nothing is borrowed.
        let outcome = unsafe { TaskRef::prepare(slot, self.shared, Spawn::here(), move || self.carry()) };
        let carrier = outcome.task();
        carrier.make_carrier();
        carrier.bind(self);
        self.live.fetch_add(1, Relaxed);
        self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        Some(carrier)
    }

    /// The life of a carrier.
    fn carry(&'static self) {
        let me = current_task().expect("a carrier is a green thread");
        let mut polls = 0;
        loop {
            if let Some(future) = self.pop_future() {
                // Its last share may go there, and with it the future, whose drop may panic.
                discard(|| future.run(me));
                polls += 1;
                if polls % POLLS_IN_A_ROW == 0 {
                    self.yield_now(me);
                }
            } else if self.local.closing.get() {
                break;
            } else if !self.steal_futures() {
                if self.local.idle_carriers.borrow().len() >= IDLE_CARRIERS {
                    break;
                }
                self.local.busy_carriers.set(self.local.busy_carriers.get() - 1);
                self.leave(Some(me), After::Rest(me), self.pick());
            }
        }
        self.local.busy_carriers.set(self.local.busy_carriers.get() - 1);
    }

    fn pop_future(&self) -> Option<Arc<dyn Run>> {
        if self.futures_len.load(Relaxed) == 0 {
            return None;
        }
        let mut futures = self.futures();
        let future = futures.queue.pop_front();
        self.futures_len.store(futures.queue.len(), SeqCst);
        future
    }

    /// Takes half of another worker's futures. False if there is none.
    fn steal_futures(&self) -> bool {
        let workers = self.shared.workers();
        (1..workers.len()).map(|i| &workers[(self.index + i) % workers.len()]).any(|other| {
            if other.futures_len.load(SeqCst) == 0 {
                return false;
            }
            let mut theirs = other.futures();
            let half = theirs.queue.len().div_ceil(2);
            let taken: Vec<_> = theirs.queue.drain(..half).collect();
            other.futures_len.store(theirs.queue.len(), SeqCst);
            drop(theirs);
            let found = !taken.is_empty();
            let mut mine = self.futures();
            // Not closed: that happens on this thread.
            mine.queue.extend(taken);
            self.futures_len.store(mine.queue.len(), SeqCst);
            found
        })
    }
}
