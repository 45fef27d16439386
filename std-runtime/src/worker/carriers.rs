//! Tasks without a stack, on a worker: they are polled by carriers, green threads of the worker's own.
//!
//! A blocking call in a poll parks the carrier; with none at work, the worker takes another for the futures that wait.

use super::{After, Worker, acquire_slot, current_task};
use crate::{
    header::{Spawn, TaskRef},
    stack::Class,
    stackless::{Queue, Share},
    sync::atomic::Ordering::*,
};

/// How many futures a carrier polls before it lets the green threads go.
const POLLS_IN_A_ROW: u32 = 32;
/// How many carriers without work a worker keeps.
const IDLE_CARRIERS: usize = 2;
/// How many futures a thief takes at most: it walks through them under a spinning lock.
const STOLEN_AT_ONCE: usize = 64;

pub(super) struct Futures {
    pub(super) queue: Queue,
    pub(super) closed: bool,
}

impl Futures {
    pub(super) const fn new() -> Self {
        Self { queue: Queue::new(), closed: false }
    }
}

impl Worker {
    /// Puts a future here that wants to be polled, from the worker `here`. Gives it back if this worker has ended. True if somebody
    /// else should help: it will have to wait for more than the end of the poll that has woken it.
    pub(crate) fn place_future(&self, future: Share, here: Option<&Worker>) -> Result<bool, Share> {
        let mut futures = self.futures.lock();
        if futures.closed {
            return Err(future);
        }
        futures.queue.push(future);
        let len = futures.queue.len();
        self.futures_len.store(len, SeqCst);
        drop(futures);
        self.rouse();
        let is_mine = here.is_some_and(|here| std::ptr::eq(here, self));
        let is_next = is_mine && len == 1 && self.watched.task().is_some_and(|task| task.get().is_carrier.get());
        // Of those that events have woken, `deliver` thinks when they are all here.
        let comes_with_others = is_mine && self.delivers();
        Ok(!is_next && !comes_with_others)
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
        self.count_bound(1);
        self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        Some(carrier)
    }

    #[cold]
    fn new_carrier(&'static self) -> Option<TaskRef> {
        let slot = acquire_slot(Some(self), Class::DEFAULT).ok()?;
        // SAFETY: nothing is borrowed.
        let outcome = unsafe { TaskRef::prepare(slot, self.shared, Spawn::here(), move || self.carry()) };
        let carrier = outcome.task();
        carrier.make_carrier();
        carrier.bind(self);
        self.count_bound(1);
        self.local.busy_carriers.set(self.local.busy_carriers.get() + 1);
        Some(carrier)
    }

    /// The life of a carrier.
    fn carry(&'static self) {
        let me = current_task().expect("a carrier is a green thread");
        let mut polls = 0;
        loop {
            if let Some(future) = self.pop_future() {
                future.run(me);
                polls += 1;
                if self.watched.is_asked() {
                    self.give_way(me);
                } else if polls % POLLS_IN_A_ROW == 0 {
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

    pub(crate) fn pop_future(&self) -> Option<Share> {
        if self.futures_len.load(Relaxed) == 0 {
            return None;
        }
        let mut futures = self.futures.lock();
        let future = futures.queue.pop();
        self.futures_len.store(futures.queue.len(), SeqCst);
        future
    }

    /// Takes half of another worker's futures. False if there is none.
    fn steal_futures(&self) -> bool {
        self.watched.is_engaged()
            && self.shared.others(self.index).any(|other| {
                if other.futures_len.load(SeqCst) == 0 {
                    return false;
                }
                let mut theirs = other.futures.lock();
                let half = theirs.queue.len().div_ceil(2);
                let taken = theirs.queue.take(half.min(STOLEN_AT_ONCE));
                other.futures_len.store(theirs.queue.len(), SeqCst);
                drop(theirs);
                let found = taken.len() > 0;
                let mut mine = self.futures.lock();
                // Not closed: that happens on this thread.
                mine.queue.append(taken);
                self.futures_len.store(mine.queue.len(), SeqCst);
                found
            })
    }
}
