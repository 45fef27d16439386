//! What a worker does without work: it spins a little, then sleeps.

use super::Worker;
use greenlight_core::park::thread::now;
use std::{sync::atomic::Ordering::*, thread::Thread, time::Duration};

/// How long a worker without work looks for some before it sleeps: about what waking a sleeper costs.
const SPIN_NANOS: u64 = 20_000;
/// How long a worker sleeps before it asks whether the program is deadlocked, at first and at last.
const FIRST_NAP: Duration = Duration::from_millis(10);
const LAST_NAP: Duration = Duration::from_millis(640);

impl Worker {
    /// Spins, then sleeps, until there may be work. False if the thread is to end.
    pub(super) fn find_work(&self) -> bool {
        if self.shared.start_spinning() {
            self.mode.spin();
            let end = now() + SPIN_NANOS;
            let found = loop {
                if (0..32).any(|_| {
                    std::hint::spin_loop();
                    self.has_work(false)
                }) {
                    break true;
                }
                if now() >= end {
                    break false;
                }
            };
            self.mode.awake();
            self.shared.stop_spinning();
            if found {
                return true;
            }
        }
        let until_timer = self.local.timers.fire();
        if let Some(task) = self.steal(true) {
            self.local.ready.borrow_mut().push(task);
            return true;
        }
        if self.shared.is_ended() && self.close() {
            return false;
        }
        self.sleep(until_timer);
        true
    }

    /// Whether any source of work has something. With `desperate`, also what was given to a worker that is still waking.
    pub(super) fn has_work(&self, desperate: bool) -> bool {
        // `next` may be full too: a timer's wake-up goes there.
        let mine = !self.inbox.is_empty() || self.free_len.load(SeqCst) > 0;
        let woken = self.local.next.take().inspect(|task| self.local.next.set(Some(*task))).is_some();
        mine || woken
            || self.shared.workers().iter().any(|worker| worker.futures_len.load(SeqCst) > 0)
            || self.local.ready.borrow().len() > 0
            || self
                .shared
                .workers()
                .iter()
                .any(|other| other.free_len.load(SeqCst) > 0 && (desperate || !other.mode.is_waking()))
    }

    /// W3, W4: whether there is something to do, if only to end.
    fn last_look(&self) -> bool {
        self.has_work(true) || (self.shared.is_ended() && self.live() == 0)
    }

    /// W3.
    fn sleep(&self, until_timer: Option<Duration>) {
        if !self.mode.fall_asleep(until_timer.is_some(), || self.last_look()) {
            return;
        }
        match until_timer {
            Some(left) => std::thread::park_timeout(left),
            None => {
                let mut nap = FIRST_NAP;
                std::thread::park_timeout(nap);
                while self.mode.is_asleep() {
                    while crate::stack::trim() && self.mode.is_asleep() {}
                    if !crate::deadlock::look() || nap > LAST_NAP {
                        break;
                    }
                    nap *= 2;
                    std::thread::park_timeout(nap);
                }
                while self.mode.is_asleep() {
                    std::thread::park();
                }
            }
        }
        self.mode.awake();
    }

    /// Wakes the worker's thread if it sleeps (W3: after the work was put there).
    pub(crate) fn rouse(&self) {
        if self.mode.rouse() {
            match self.host.get() {
                Some(host) => host.wake(),
                None => self.thread.get().into_iter().for_each(Thread::unpark),
            }
        }
    }
}

#[cfg(all(test, loom))]
mod models;
