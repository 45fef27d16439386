//! The end of a runtime, with a deadline.

use crate::{
    header::{TaskId, TaskRef},
    runtime::Shared,
    sleep, stack, task, worker,
};
use std::{
    collections::HashSet,
    fmt,
    panic::Location,
    sync::atomic::Ordering::*,
    time::{Duration, Instant},
};

/// How long to wait before the next look at what is left: at first and at most.
const FIRST_NAP: Duration = Duration::from_micros(50);
const LAST_NAP: Duration = Duration::from_millis(2);

/// What came of [`Runtime::shutdown`](crate::Runtime::shutdown).
#[derive(Clone, Debug)]
pub struct ShutdownReport {
    ended: usize,
    left: Vec<LeftTask>,
}

/// A green thread, or a future, that did not end in time.
#[derive(Clone, Debug)]
pub struct LeftTask {
    id: TaskId,
    spawn_site: &'static Location<'static>,
}

impl ShutdownReport {
    /// How many were asked to end, and did. Not counted: what was started only after all had been asked, and was cancelled before its
    /// first step.
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Those that did not end in time.
    pub fn left(&self) -> &[LeftTask] {
        &self.left
    }
}

impl LeftTask {
    /// Its number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The line of the program that started it.
    pub fn spawn_site(&self) -> &'static Location<'static> {
        self.spawn_site
    }
}

impl fmt::Display for LeftTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}, spawned at {}", self.id, self.spawn_site)
    }
}

#[track_caller]
pub(crate) fn run(shared: &'static Shared, limit: Duration) -> ShutdownReport {
    let end = Instant::now().checked_add(limit);
    let is_over = || end.is_some_and(|end| Instant::now() >= end);
    let mut asked = HashSet::new();
    let mut nap = FIRST_NAP;
    let mut left = cancel_all(shared, &mut asked);
    // After the first look, so that all who were there are asked and counted, also those who only wait for one who begins now.
    shared.set_ending(true);
    while !left.is_empty() && !is_over() {
        sleep(nap);
        nap = LAST_NAP.min(nap * 2);
        left = cancel_all(shared, &mut asked);
    }
    shared.end();
    shared.set_ending(false); // from now on only what is left, and the caller's task, can spawn
    let is_inside = worker::current().is_some_and(|here| std::ptr::eq(here.shared, shared));
    while left.is_empty() && !is_inside && !is_over() && shared.everybody().any(|worker| !worker.ended.load(SeqCst)) {
        sleep(FIRST_NAP);
    }
    ShutdownReport { ended: asked.len() - left.len(), left }
}

/// Asks all tasks of the runtime but the caller to end. Those that have not yet.
pub(crate) fn cancel_all(shared: &Shared, asked: &mut HashSet<TaskId>) -> Vec<LeftTask> {
    let mut left = Vec::new();
    let caller = task::current_id();
    stack::for_each_slot(|slot| {
        let task = TaskRef::of(slot);
        if let Some((id, spawn_site)) = task.survey(shared).filter(|(id, _)| Some(*id) != caller) {
            task.cancel(id);
            asked.insert(id);
            left.push(LeftTask { id, spawn_site });
        }
    });
    for future in shared.live_futures().all() {
        let (id, spawn_site) = (future.id, future.site());
        if Some(id) != caller {
            asked.insert(id);
            left.push(LeftTask { id, spawn_site });
            future.cancel();
        }
    }
    left
}
