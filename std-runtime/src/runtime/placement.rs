//! Where a task goes: which worker it is given to, and who is woken for it.
//!
//! What comes from outside goes to an idle worker, of several to the one with the fewest live tasks; else to the worker with the
//! fewest. What a worker's own tasks spawn stays there for now, and is shared out: `worker/free.rs`.

use super::{Shared, global};
use crate::{
    header::TaskRef,
    stackless::Share,
    sync::atomic::{Ordering::*, fence},
    worker::Worker,
};

impl Shared {
    /// Puts a task that was spawned on the worker `here`, if it was on one.
    pub(crate) fn place_spawned(&'static self, here: Option<&'static Worker>, task: TaskRef) {
        // One that is to give way, or to take up nothing new, has others for it.
        let Some(here) = here.filter(|here| here.is_open()) else { return self.place(task) };
        match here.place_own(task) {
            // Rule 1.
            Ok(len) if len.is_power_of_two() && !self.is_alone() => self.offer(here),
            Ok(_) => {}
            // It takes none only at its very end, from what its last carriers drop.
            Err(task) => self.place_elsewhere(None, task),
        }
    }

    /// There is new work at `here`, which is at work, that somebody else could do. Wakes one who is idle, unless somebody looks for work
    /// anyway, or is about to: he looks once more before he sleeps, behind a fence, and sees this (W3). By the modes, not by the
    /// number of those who spin: that may be behind. Whoever would leave it alone for now (rule 5) does not count as such, and is the last
    /// to be woken: then he sleeps for a while only.
    pub(crate) fn offer(&self, here: &Worker) {
        fence(SeqCst);
        let looks = |other: &Worker| (other.is_waking() || other.is_spinning()) && other.leaves_alone(here).is_none();
        if !self.others(here.index).any(looks) {
            self.rouse_idle(here);
        }
    }

    /// Wakes one who is idle, for what is with `home`. True if there was one.
    fn rouse_idle(&self, home: &Worker) -> bool {
        let mut last = None;
        for idle in self.others(home.index).filter(|other| other.is_idle() && other.is_open()) {
            last = Some(idle);
            if idle.leaves_alone(home).is_none() {
                break;
            }
        }
        last.inspect(|idle| idle.rouse()).is_some()
    }

    /// Puts a task that has not started, or that roams, where it will not wait: see the top of the file.
    pub(super) fn place(&'static self, task: TaskRef) {
        let (mut idle, mut emptiest) = (None, None);
        for worker in self.everybody().filter(|worker| worker.is_open()) {
            let best = if worker.is_idle() { &mut idle } else { &mut emptiest };
            if best.is_none_or(|best: &Worker| worker.live() < best.live()) {
                *best = Some(worker);
            }
        }
        let home = idle.or(emptiest).unwrap_or(&self.workers()[0]); // all are stuck: the monitor looks after it
        match home.place(task) {
            Ok(()) => self.rouse_beside(home),
            Err(task) => self.place_elsewhere(None, task),
        }
    }

    /// The one that was chosen has ended. The spawner's own hardly ever has, since it runs the spawner.
    #[cold]
    pub(super) fn place_elsewhere(&'static self, here: Option<&'static Worker>, mut task: TaskRef) {
        for worker in here.into_iter().chain(self.workers()) {
            match worker.place(task) {
                Ok(()) => return self.rouse_beside(worker),
                Err(back) => task = back,
            }
        }
        // All have ended: a thread-local's destructor spawns while its worker's thread ends. The global runtime never does.
        global().shared.place(task);
    }

    /// A worker that was busy when it was passed over may have fallen asleep before the task was there to see. One look behind
    /// the push: either we see it asleep, or its last look sees the task.
    fn rouse_beside(&self, home: &Worker) {
        self.rouse_another(home);
    }

    /// Wakes a worker that has nothing to do, for what is with `home`. True if there was one.
    pub(crate) fn rouse_another(&self, home: &Worker) -> bool {
        !self.is_alone() && !home.is_idle() && self.rouse_idle(home)
    }

    /// Puts a roaming task that was woken: with the worker that has woken it, where what it was woken for is at hand. One more in the
    /// line there is reason to wake somebody who has nothing to do.
    pub(crate) fn place_woken(&'static self, task: TaskRef) {
        let here = self.here().filter(|here| here.is_open());
        match here.map_or(Err(task), |here| here.place(task)) {
            Err(task) => self.place(task),
            Ok(()) => {
                if let Some(here) = here.filter(|here| here.free_tasks() > 1) {
                    self.rouse_another(here);
                }
            }
        }
    }

    /// Puts a future that wants to be polled where it will be: with the worker that has woken it, unless that one has others
    /// to poll and there is an idle one.
    pub(crate) fn place_future(&'static self, future: Share) {
        let here = self.here();
        let home = here.filter(|here| here.is_open()).unwrap_or_else(|| self.home_of_a_future());
        match home.place_future(future, here) {
            Ok(true) => self.rouse_beside(home), // as in `place`
            Ok(false) => {}
            Err(future) => self.place_future_elsewhere(future),
        }
    }

    /// For one that is woken from outside.
    fn home_of_a_future(&self) -> &Worker {
        let open = || self.everybody().filter(|worker| worker.is_open());
        open().find(|worker| worker.is_idle()).unwrap_or_else(|| {
            let (workers, next) = (self.workers(), self.next.fetch_add(1, Relaxed));
            let turns = (0..workers.len()).map(|i| &workers[(next + i) % workers.len()]);
            turns.chain(open()).find(|worker| worker.is_open()).unwrap_or(&workers[next % workers.len()])
        })
    }

    /// The one that was chosen has ended.
    #[cold]
    fn place_future_elsewhere(&'static self, mut future: Share) {
        for worker in self.workers() {
            match worker.place_future(future, None) {
                Ok(_) => return self.rouse_beside(worker),
                Err(back) => future = back,
            }
        }
        // All have ended; the global runtime never does.
        global().shared.place_future(future);
    }
}
