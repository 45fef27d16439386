//! What a worker does without work: it spins a little, then sleeps: parked, or in its poller if it has one.
//!
//! * W6  `in_poller` is set before the worker says that it sleeps, and read after somebody has ended that. So he knows how it
//!   sleeps; or it only dozed and does not sleep, or sleeps a second time already, and is woken in vain.

use super::{Worker, mode::Roused};
use greenlight_core::park::thread::now;
use std::{
    sync::{PoisonError, atomic::Ordering::*},
    time::Duration,
};

/// How long a worker without work looks for some before it sleeps: about what waking a sleeper costs.
const SPIN_NANOS: u64 = 20_000;
/// The same for one with sockets, which looks after them too while it spins: shorter, since its system calls slow down whoever
/// shares the CPU. (Echo over 64 connections on two busy CPUs: 14.2 µs of CPU time a round trip, 15.8 with the longer one.)
const SPIN_NANOS_WITH_SOCKETS: u64 = 5_000;
/// How often every worker looks: for some 3 µs, with a pause of 25 ns each. Only half of them look for longer.
const BRIEF_LOOKS: u32 = 128;
/// Every so many looks are also at the less likely sources of work of its own, and at the others': rarely, since each such look takes
/// from them the lines that they write when they spawn.
const LOOKS_AT_ITSELF: u32 = 4;
const LOOKS_AT_OTHERS: u32 = 32;
/// How long a worker sleeps before it asks whether the program is deadlocked, at first and at last.
const FIRST_NAP: Duration = Duration::from_millis(10);
const LAST_NAP: Duration = Duration::from_millis(640);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spin {
    /// There may be some.
    Work,
    /// What the caller knows of has happened.
    Over,
    /// The worker may not spin, or has for long enough.
    Nothing,
}

impl Worker {
    /// Spins, then sleeps, until there may be work. False if the thread is to end.
    pub(super) fn find_work(&self) -> bool {
        if self.poller.has_sockets() && self.poller.serve() {
            return true;
        }
        // A task that found nothing to switch to has spun already, on its own stack. Where timers bring the work, a spin is in vain.
        if !self.local.has_spun.take() && !self.local.on_timers.get() && self.spin(|| false) == Spin::Work {
            return true;
        }
        let until_timer = self.local.timers.fire_before_sleep();
        if let Some(task) = self.steal(true) {
            self.local.ready.push(task);
            return true;
        }
        if (self.shared.is_ended() || self.local.retires.take()) && self.close() {
            return false;
        }
        self.sleep(until_timer, self.patience());
        // It may have been woken for more than it can start at once.
        self.local.unspread.set(true);
        true
    }

    /// Looks for work for about as long as waking a sleeper takes, or until `is_over`, which the caller knows of.
    pub(super) fn spin(&self, is_over: impl Fn() -> bool) -> Spin {
        // What is most likely is looked for most often, and costs least.
        let looks = |count: u32| {
            (0..count).find_map(|look| {
                std::hint::spin_loop();
                if is_over() {
                    return Some(Spin::Over);
                }
                let work = !self.inbox.is_empty()
                    || look % LOOKS_AT_ITSELF == LOOKS_AT_ITSELF - 1 && self.has_own_work()
                    || look % LOOKS_AT_OTHERS == LOOKS_AT_OTHERS - 1 && self.others_have_work(false);
                work.then_some(Spin::Work)
            })
        };
        if !self.shared.may_spin() {
            return Spin::Nothing;
        }
        // At first uncounted: in a to and fro, it is over by then, and the count would be one more thing to hand to and fro.
        if let Some(found) = looks(BRIEF_LOOKS) {
            return found;
        }
        let has_sockets = self.poller.has_sockets();
        let longest = if has_sockets { SPIN_NANOS_WITH_SOCKETS } else { SPIN_NANOS };
        // Not until the next timer, nor where timers bring the work: where they are many, that would be most of what they cost.
        if self.local.on_timers.get() || self.local.timers.is_due_in(longest) || !self.shared.start_spinning() {
            return Spin::Nothing;
        }
        self.mode.spin();
        let end = now() + longest;
        let found = loop {
            if let Some(found) = looks(64) {
                break found;
            }
            if !self.mode.spins() || (has_sockets && self.poller.serve()) {
                break Spin::Work;
            }
            if now() >= end {
                break Spin::Nothing;
            }
        };
        if self.mode.end_spin() {
            self.shared.stop_spinning();
        }
        // Whoever has spawned meanwhile has left it to us to see that.
        if found != Spin::Nothing && self.shared.everybody().any(Worker::has_free_work) {
            self.shared.offer(self);
        }
        found
    }

    /// Whether any source of work has something. With `desperate`, also what its worker would rather keep.
    pub(super) fn has_work(&self, desperate: bool) -> bool {
        self.has_own_work() || self.others_have_work(desperate)
    }

    fn has_own_work(&self) -> bool {
        // `next` may be full too: a timer's wake-up goes there.
        let mine = !self.inbox.is_empty() || self.free_len.load(Relaxed) > 0 || self.futures_len.load(SeqCst) > 0;
        let woken = self.local.next.take().inspect(|task| self.local.next.set(Some(*task))).is_some();
        mine || woken || self.local.ready.len() > 0
    }

    fn others_have_work(&self, desperate: bool) -> bool {
        let has_work = |other: &Worker| other.futures_len.load(SeqCst) > 0 || self.is_ripe(other, desperate);
        self.watched.is_engaged() && self.shared.others(self.index).any(has_work)
    }

    /// W4, once it has slept for a while.
    fn may_retire(&self) -> bool {
        self.watched.is_spare() && !self.watched.is_engaged() && self.live() == 0
    }

    /// W3, W4: whether there is something to do, if only to end; or, unless it naps, to leave alone, so that it should.
    fn last_look(&self, naps: bool) -> bool {
        self.has_work(true) || (!naps && self.may_leave_something()) || (self.shared.is_ended() && self.live() == 0)
    }

    /// W3.
    fn sleep(&self, until_timer: Option<Duration>, nap: Option<Duration>) {
        self.local.on_timers.set(false);
        let limit = until_timer.into_iter().chain(nap).min();
        if !self.doze(limit.is_some(), nap.is_some(), self.poller.is_open()) {
            return;
        }
        match limit {
            Some(left) => {
                self.rest(Some(left));
                let by_itself = self.mode.is_asleep_until_timer();
                self.local.on_timers.set(by_itself && self.local.timers.is_due_in(0));
            }
            None => {
                let mut nap = FIRST_NAP;
                self.rest(Some(nap));
                while self.mode.is_asleep() {
                    self.local.stacks.give_back();
                    while crate::stack::trim(crate::header::TaskRef::stack_of) && self.mode.is_asleep() {}
                    if !crate::deadlock::look() || nap > LAST_NAP {
                        break;
                    }
                    nap *= 2;
                    self.rest(Some(nap));
                }
                while self.mode.is_asleep() {
                    if self.may_retire() {
                        self.local.retires.set(true);
                        break;
                    }
                    self.rest(None);
                }
            }
        }
        self.local.timers.rested();
        self.mode.awake();
    }

    /// W3, W6. False if there is something to do.
    fn doze(&self, timed: bool, naps: bool, in_poller: bool) -> bool {
        self.in_poller.store(in_poller, Relaxed);
        self.mode.fall_asleep(timed, || self.last_look(naps))
    }

    /// One sleep, until the worker is roused or a socket has an event, for `limit` at most; it may be shorter.
    fn rest(&self, limit: Option<Duration>) {
        match limit {
            _ if self.in_poller.load(Relaxed) => self.poller.wait(limit, || self.mode.rise()),
            Some(limit) => std::thread::park_timeout(limit),
            None => std::thread::park(),
        }
    }

    /// Wakes the worker's thread if it sleeps (W3: after the work was put there).
    pub(crate) fn rouse(&self) {
        match self.mode.rouse() {
            Roused::Nobody => {}
            Roused::Spinner => self.shared.stop_spinning(),
            Roused::Sleeper => self.wake_thread(),
        }
    }

    #[cold]
    fn wake_thread(&self) {
        if let Some(host) = self.host.get() {
            host.wake();
        } else if self.in_poller.load(Relaxed) {
            self.poller.ring(); // W6
        } else if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }
}

#[cfg(all(test, loom))]
mod models;
