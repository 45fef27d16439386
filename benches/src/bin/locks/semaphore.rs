//! Two permits: acquire one, release it.

use crate::share;
use greenlight_benches::{Column, GreenThreads, Options, OsThreads, Tasks, Team, Whose::*, Workload, tokio_team};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// How many tasks.
struct Shape {
    tasks: usize,
}

const PERMITS: usize = 2;

const fn row(name: &'static str, tasks: usize) -> Workload<Shape> {
    Workload { name, shape: Shape { tasks }, least: crate::least(tasks), most: 1 << 24 }
}

const WORKLOADS: &[Workload<Shape>] = &[
    row("semaphore, 1 task", 1),
    row("semaphore, 2 tasks", 2),
    row("semaphore, 8 tasks", 8),
    row("semaphore, 100 tasks", 100),
];

pub(crate) fn table(options: &Options) {
    let columns = [
        Column { name: "greenlight, OS threads", whose: Ours, run: run::<greenlight::Semaphore, OsThreads> },
        Column { name: "greenlight, green threads", whose: OursGreen, run: run::<greenlight::Semaphore, GreenThreads> },
        Column { name: "greenlight, tokio tasks", whose: OursBeside, run: run_async::<greenlight::Semaphore> },
        Column { name: "async-lock, OS threads", whose: Peers, run: run::<async_lock::Semaphore, OsThreads> },
        Column { name: "async-lock, tokio tasks", whose: Peers, run: run_async::<async_lock::Semaphore> },
        Column { name: "tokio", whose: Peers, run: run_async::<tokio::sync::Semaphore> },
        Column { name: "maitake-sync, tokio tasks", whose: Peers, run: run_async::<maitake_sync::Semaphore> },
    ];
    greenlight_benches::table(options, "acquire and release", WORKLOADS, &columns);
}

trait Semaphore: Send + Sync + 'static {
    fn new() -> Self;
    /// Does `work` with a permit.
    fn with(&self, work: impl FnOnce());
}

/// How many are inside, at most as many as there are permits.
#[derive(Default)]
struct Inside(AtomicUsize);

impl Inside {
    #[inline]
    fn pass(&self) {
        assert!(self.0.fetch_add(1, Relaxed) < PERMITS, "no more than there are permits");
        self.0.fetch_sub(1, Relaxed);
    }
}

fn run<S: Semaphore, K: Tasks>(&Shape { tasks }: &Shape, operations: usize) -> Option<Duration> {
    K::host(move || {
        let (shared, mut team) = (Arc::new((S::new(), Inside::default())), Team::<K, ()>::new(tasks));
        for task in 0..tasks {
            let shared = shared.clone();
            team.start(move || {
                let (semaphore, inside) = &*shared;
                (0..share(task, tasks, operations)).for_each(|_| semaphore.with(|| inside.pass()));
            });
        }
        Some(team.finish().0)
    })
}

trait AsyncSemaphore: Send + Sync + 'static {
    fn new() -> Self;
    fn with(&self, work: impl FnOnce() + Send) -> impl Future<Output = ()> + Send;
}

fn run_async<S: AsyncSemaphore>(&Shape { tasks }: &Shape, operations: usize) -> Option<Duration> {
    let shared = Arc::new((S::new(), Inside::default()));
    let (elapsed, _) = tokio_team((0..tasks).map(|task| {
        let shared = shared.clone();
        async move {
            let (semaphore, inside) = &*shared;
            for _ in 0..share(task, tasks, operations) {
                semaphore.with(|| inside.pass()).await;
            }
        }
    }));
    Some(elapsed)
}

impl Semaphore for greenlight::Semaphore {
    fn new() -> Self {
        Self::new(PERMITS)
    }

    #[inline]
    fn with(&self, work: impl FnOnce()) {
        let _permit = self.acquire(1).expect("nobody closes it");
        work();
    }
}

impl AsyncSemaphore for greenlight::Semaphore {
    fn new() -> Self {
        Self::new(PERMITS)
    }

    #[inline]
    async fn with(&self, work: impl FnOnce() + Send) {
        let _permit = self.acquire_async(1).await.expect("nobody closes it");
        work();
    }
}

impl Semaphore for async_lock::Semaphore {
    fn new() -> Self {
        Self::new(PERMITS)
    }

    #[inline]
    fn with(&self, work: impl FnOnce()) {
        let _permit = self.acquire_blocking();
        work();
    }
}

impl AsyncSemaphore for async_lock::Semaphore {
    fn new() -> Self {
        Self::new(PERMITS)
    }

    #[inline]
    async fn with(&self, work: impl FnOnce() + Send) {
        let _permit = self.acquire().await;
        work();
    }
}

impl AsyncSemaphore for tokio::sync::Semaphore {
    fn new() -> Self {
        Self::new(PERMITS)
    }

    #[inline]
    async fn with(&self, work: impl FnOnce() + Send) {
        let _permit = self.acquire().await.expect("nobody closes it");
        work();
    }
}

impl AsyncSemaphore for maitake_sync::Semaphore {
    fn new() -> Self {
        Self::new(PERMITS)
    }

    #[inline]
    async fn with(&self, work: impl FnOnce() + Send) {
        let _permit = self.acquire(1).await.expect("nobody closes it");
        work();
    }
}
