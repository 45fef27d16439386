//! One group, which each task joins and leaves, again and again.

use crate::share;
use greenlight_benches::{Column, GreenThreads, Options, OsThreads, Tasks, Team, Whose::*, Workload};
use std::{sync::Arc, time::Duration};

/// How many tasks.
struct Shape {
    tasks: usize,
}

const fn row(name: &'static str, tasks: usize) -> Workload<Shape> {
    Workload { name, shape: Shape { tasks }, least: crate::least(tasks), most: 1 << 24 }
}

const WORKLOADS: &[Workload<Shape>] = &[
    row("wait group, 1 task", 1),
    row("wait group, 2 tasks", 2),
    row("wait group, 8 tasks", 8),
    row("wait group, 100 tasks", 100),
];

pub(crate) fn table(options: &Options) {
    let columns = [
        Column { name: "greenlight, OS threads", whose: Ours, run: run::<greenlight::WaitGroup, OsThreads> },
        Column { name: "greenlight, green threads", whose: OursGreen, run: run::<greenlight::WaitGroup, GreenThreads> },
        Column { name: "crossbeam", whose: Peers, run: run::<Crossbeam, OsThreads> },
    ];
    greenlight_benches::table(options, "add and done", WORKLOADS, &columns);
}

trait Group: Send + Sync + 'static {
    fn new() -> Self;
    /// One more thing to wait for, and it is done.
    fn pass(&self);
    fn wait(self);
}

fn run<G: Group, K: Tasks>(&Shape { tasks }: &Shape, operations: usize) -> Option<Duration> {
    K::host(move || {
        let (group, mut team) = (Arc::new(G::new()), Team::<K, ()>::new(tasks));
        for task in 0..tasks {
            let group = group.clone();
            team.start(move || (0..share(task, tasks, operations)).for_each(|_| group.pass()));
        }
        let (elapsed, _) = team.finish();
        Arc::into_inner(group).expect("the tasks have ended").wait();
        Some(elapsed)
    })
}

impl Group for greenlight::WaitGroup {
    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn pass(&self) {
        self.add(1);
        self.done();
    }

    fn wait(self) {
        (*self).wait();
    }
}

/// A clone is one more thing to wait for, and is done by its drop.
struct Crossbeam(crossbeam_utils::sync::WaitGroup);

impl Group for Crossbeam {
    fn new() -> Self {
        Self(crossbeam_utils::sync::WaitGroup::new())
    }

    #[inline]
    fn pass(&self) {
        drop(self.0.clone());
    }

    fn wait(self) {
        self.0.wait();
    }
}
