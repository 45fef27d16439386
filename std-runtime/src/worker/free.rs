//! The tasks that a worker could leave to another: those that have not started, and those that roam. And how they are shared out.
//!
//! ```text
//!   spawned by a task ──▶ own   the newest first: a tree of tasks is walked in depth  ──▶ this worker
//!   from outside,                                                                      │
//!   or roaming        ──▶ rest  first come, first served                               ▼ the oldest half
//!                                                         to others: they steal, or are given (`spread`)
//! ```
//!
//! A task that has run once stays on its worker, so where it starts matters more than where it is queued. It starts where it is
//! spawned, unless somebody else has less to do; what goes to others goes by halves, in the order of the spawns, so that neighbours in
//! a chain of tasks stay neighbours, and a line between two processors is crossed once for many.
//!
//! 1. A spawn wakes an idle worker, unless one is on its way, or looks for work, already. If others wait here before it, not each spawn
//!    looks, but the first, the second, the fourth and so on: nobody who has looked since sleeps beside them, but for those whom
//!    a worker that was just waking is to give some by the next rule, and for a while by rule 5.
//! 2. Before a worker starts the first of its new tasks, it gives half of them to each idle worker in turn. If there is none, it gives the
//!    one that has the least to do so many that the two are even, if it has clearly more.
//! 3. A lone new task goes to an idle worker, too, unless its parent is the only task here and waits for no clock and no socket: then
//!    the two belong together, and nobody else has to wait.
//! 4. An idle worker steals half from one that has more; a lone task not before its worker has had time to start it. Before it sleeps, it
//!    takes one in any case, but for the next rule.
//! 5. Where several went from one worker to another in one go, given or stolen, the one they came from leaves the other alone for half a
//!    millisecond, unless it has less by two tasks: it takes nothing, and is given nothing. It is idle because its tasks wait, perhaps for
//!    those that the other has had no time to start: of a pipeline it would take another stage. It sleeps for no longer meanwhile,
//!    so that what else is there waits for no longer. Whoever has work to offer asks it last.
//!
//! Thieves alone would not do: a pool that is spawned in one go would start, and so be bound, on its spawner's worker before the first
//! thief is awake.

use super::Worker;
use crate::{
    header::{TaskList, TaskRef},
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering::*},
        const_unless_loom,
    },
};
use greenlight_core::park::{Tick, thread::now};
use std::time::Duration;

/// How many tasks a thief takes at most: it walks through them under a spinning lock.
const STOLEN_AT_ONCE: usize = 64;

/// Rule 5.
const GIVEN_NANOS: Tick = 500_000;

pub(super) struct Free {
    own: TaskList,
    rest: TaskList,
    /// W4.
    pub(super) closed: bool,
}

impl Free {
    pub(super) const fn new() -> Self {
        Self { own: TaskList::new(), rest: TaskList::new(), closed: false }
    }

    fn len(&self) -> usize {
        self.own.len() + self.rest.len()
    }

    /// Adds one that was spawned by a task, or that roams.
    fn push_new(&mut self, task: TaskRef) {
        if task.roams() {
            self.rest.push(task);
        } else {
            self.own.push_first(task);
        }
    }

    /// The next one in depth.
    pub(super) fn pop(&mut self) -> Option<TaskRef> {
        self.own.pop().or_else(|| self.rest.pop())
    }

    /// One that has waited for long.
    pub(super) fn pop_old(&mut self) -> Option<TaskRef> {
        self.rest.pop().or_else(|| self.own.pop_last())
    }

    /// The oldest, for others.
    fn take(&mut self, count: usize) -> TaskList {
        let taken = TaskList::new();
        (0..count).filter_map(|_| self.pop_old()).for_each(|task| taken.push(task));
        taken
    }
}

/// Rule 5: from whom a worker has got tasks last, and until when that one leaves it alone.
///
/// | operation | order   | pairs with | so that                                                                                       |
/// |-----------|---------|------------|-----------------------------------------------------------------------------------------------|
/// | note      | Relaxed | nothing    | a hint: of two that come at once, one may be noted with the other's time                      |
/// | look      | Relaxed | nothing    | the same; not to sleep without a limit is the last look's business, which asks for no time: W3 |
pub(super) struct Given {
    by: AtomicUsize,
    until: AtomicU64,
}

impl Given {
    const_unless_loom! {
        pub(super) fn nothing() -> Self {
            Self { by: AtomicUsize::new(usize::MAX), until: AtomicU64::new(0) }
        }
    }

    /// Its time is not made longer by what comes before it is over: else it need never be.
    pub(super) fn note(&self, by: &Worker) {
        let now = now();
        if self.by.load(Relaxed) != by.index || self.until.load(Relaxed) <= now {
            self.set(by, now + GIVEN_NANOS);
        }
    }

    pub(super) fn set(&self, by: &Worker, until: Tick) {
        self.by.store(by.index, Relaxed);
        self.until.store(until, Relaxed);
    }
}

impl Worker {
    // ---- from any thread ------------------------------------------------------------------------------------------

    /// How many tasks wait here that another worker could take.
    pub(crate) fn free_tasks(&self) -> usize {
        self.free_len.load(Relaxed)
    }

    /// Puts a task here that has not started, or that roams. Gives it back if this worker has ended.
    pub(crate) fn place(&self, task: TaskRef) -> Result<(), TaskRef> {
        let free = self.free.lock();
        if free.closed {
            return Err(task);
        }
        free.rest.push(task);
        self.free_len.store(free.len(), Relaxed);
        drop(free);
        self.rouse();
        Ok(())
    }

    /// Puts tasks here that another worker's have spawned, the oldest first in the list. They start as they would have there.
    fn place_all(&self, tasks: TaskList) -> Result<(), TaskList> {
        let mut free = self.free.lock();
        if free.closed {
            return Err(tasks);
        }
        while let Some(task) = tasks.pop() {
            free.push_new(task);
        }
        self.free_len.store(free.len(), Relaxed);
        drop(free);
        self.rouse();
        Ok(())
    }

    /// For a thief, who has so many `live` tasks: half, but no more than makes the two even, for what is stolen stays as a rule. If it is
    /// `desperate`, one in any case.
    pub(super) fn give_half(&self, live: usize, desperate: bool) -> Option<TaskList> {
        let fair = self.live().saturating_sub(live).div_ceil(2).max(usize::from(desperate));
        if self.free_len.load(Relaxed) == 0 || fair == 0 {
            return None;
        }
        let mut free = self.free.lock();
        let half = free.len().div_ceil(2);
        let taken = free.take(half.min(fair).min(STOLEN_AT_ONCE));
        self.free_len.store(free.len(), Relaxed);
        Some(taken).filter(|taken| taken.len() > 0)
    }

    // ---- on this worker's thread ----------------------------------------------------------------------------------

    /// Puts a task here that one of this worker's has spawned, and says how many are here now. Gives it back if this worker has ended.
    pub(crate) fn place_own(&self, task: TaskRef) -> Result<usize, TaskRef> {
        let mut free = self.free.lock();
        if free.closed {
            return Err(task);
        }
        free.push_new(task);
        let len = free.len();
        self.free_len.store(len, Relaxed);
        drop(free);
        self.local.unspread.set(true);
        Ok(len)
    }

    /// Puts a roaming task back that has just run here.
    pub(super) fn take_back_free(&self, task: TaskRef) {
        let free = self.free.lock();
        // Not closed: that happens on this thread.
        free.rest.push(task);
        self.free_len.store(free.len(), Relaxed);
    }

    /// Takes one, to start it here.
    pub(super) fn pop_free(&self, which: fn(&mut Free) -> Option<TaskRef>) -> Option<TaskRef> {
        if self.free_len.load(Relaxed) == 0 {
            return None;
        }
        if self.local.unspread.take() && !self.shared.is_alone() {
            self.spread();
        }
        let mut free = self.free.lock();
        let task = which(&mut free)?;
        self.free_len.store(free.len(), Relaxed);
        drop(free);
        self.count_bound(1);
        Some(task)
    }

    /// Rules 2 and 3.
    #[cold]
    fn spread(&self) {
        // What they do is asked first: it changes seldom, and the rest with each switch.
        let idle = || self.least_busy(|other| other.wants_more() && other.leaves_alone(self).is_none());
        if self.free_tasks() == 1 {
            if self.keeps_lone_task() {
                return;
            }
            let to = idle().map(|idle| (idle, 0)).or_else(|| Some((self.least_busy(|_| true)?, 1)));
            if let Some((other, _)) = to.filter(|(other, slack)| self.gives_next_to(other, *slack)) {
                self.give(other, 1);
            }
            return;
        }
        let mut given = false;
        // Who was given something does not want more.
        for _ in self.shared.others(self.index) {
            let (free, Some(idle)) = (self.free_tasks(), idle()) else { break };
            if free < 2 {
                return;
            }
            self.give(idle, (self.live().saturating_sub(idle.live()) / 2).max(free / 2).min(free));
            given = true;
        }
        if !given && let Some(other) = self.least_busy(|_| true) {
            let count = self.live().saturating_sub(other.live()) / 2;
            if count > 0 {
                self.give(other, count.min(self.free_tasks()));
            }
        }
    }

    /// Of the others that take up new work.
    fn least_busy(&self, among: impl Fn(&Self) -> bool) -> Option<&Self> {
        let others = self.shared.others(self.index).filter(|other| among(other) && other.is_open());
        others.min_by_key(|other| other.live())
    }

    /// Whether the next of tasks that come one by one goes to the other worker: several in a row do, and then several stay, an eighth
    /// of all, since one is often the next one's neighbour.
    fn gives_next_to(&self, other: &Worker, least: usize) -> bool {
        let (mine, theirs) = (self.bound.load(Relaxed), other.live());
        let slack = least + mine.max(theirs) / 8;
        let gives = if self.local.gives.get() { mine + slack >= theirs } else { mine > theirs + slack };
        self.local.gives.set(gives);
        gives
    }

    /// Nothing to do, and nothing given that it does not know of yet.
    fn wants_more(&self) -> bool {
        self.mode.is_idle() || self.mode.is_waking() && self.free_tasks() == 0
    }

    /// Rule 3.
    fn keeps_lone_task(&self) -> bool {
        match self.bound.load(Relaxed) {
            0 => true,
            1 => !self.local.timers.any() && !self.poller.has_sockets(),
            _ => false,
        }
    }

    fn give(&self, other: &Worker, count: usize) {
        let mut free = self.free.lock();
        let tasks = free.take(count);
        self.free_len.store(free.len(), Relaxed);
        drop(free);
        if count > 1 {
            other.given.note(self);
        }
        if let Err(back) = other.place_all(tasks) {
            let free = self.free.lock();
            free.rest.append(back);
            self.free_len.store(free.len(), Relaxed);
        }
    }

    /// Rule 4. The first of what was taken is to run here.
    pub(super) fn steal(&self, desperate: bool) -> Option<TaskRef> {
        if !self.watched.is_engaged() {
            return None;
        }
        let mut others = self.shared.others(self.index).filter(|other| self.is_ripe(other, desperate));
        let (from, taken) = others.find_map(|other| Some((other, other.give_half(self.live(), desperate)?)))?;
        let first = taken.pop();
        self.count_bound(1);
        if taken.len() > 0 {
            self.given.note(from);
            let free = self.free.lock();
            // Not closed: that happens on this thread.
            free.rest.append(taken);
            self.free_len.store(free.len(), Relaxed);
            drop(free);
            self.shared.offer(self);
        }
        first
    }

    /// Rule 5: for how long it takes nothing from the other one, and is given nothing.
    pub(crate) fn leaves_alone(&self, other: &Worker) -> Option<Tick> {
        if other.given.by.load(Relaxed) != self.index || self.live() + 1 < other.live() {
            return None;
        }
        other.given.until.load(Relaxed).checked_sub(now()).filter(|left| *left > 0)
    }

    /// Whether another one has something that this one might leave alone: without a look at the clock, whose next answer may be another.
    pub(super) fn may_leave_something(&self) -> bool {
        let is_it = |other: &Worker| other.given.by.load(Relaxed) == self.index && !other.mode.is_waking();
        self.watched.is_engaged() && self.shared.others(self.index).any(|other| other.free_tasks() > 0 && is_it(other))
    }

    /// How long it may sleep at most, because it leaves alone what it would else take (W3).
    pub(super) fn patience(&self) -> Option<Duration> {
        let others = self.shared.others(self.index).filter(|other| other.free_tasks() > 0);
        others.filter_map(|other| self.leaves_alone(other)).min().map(Duration::from_nanos)
    }

    /// Whether the other one has something to steal; unless `desperate`, something that it would not rather keep. Never from a worker that
    /// is just waking up: it was given that a moment ago so that both work.
    pub(super) fn is_ripe(&self, other: &Worker, desperate: bool) -> bool {
        let free = other.free_len.load(Relaxed);
        if free == 0 || other.mode.is_waking() || self.leaves_alone(other).is_some() {
            return false;
        }
        // A lone task has to be seen twice, and its worker at the same pick.
        let look = (other.index, other.watched.picks());
        desperate || self.live() < other.live() && (free > 1 || self.local.seen.replace(look) == look)
    }
}
