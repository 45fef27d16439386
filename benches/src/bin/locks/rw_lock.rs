//! One lock that readers share, one counter in it.

use crate::share;
use greenlight_benches::{Column, GreenThreads, Options, OsThreads, Tasks, Team, Whose::*, Workload, tokio_team};
use std::{future::Future, hint::black_box, sync::Arc, time::Duration};

/// Every how many operations of a task is a write; with 0, none is.
struct Shape {
    tasks: usize,
    write_every: usize,
}

const fn row(name: &'static str, tasks: usize, write_every: usize) -> Workload<Shape> {
    // A lock that hands itself from one sleeping thread to the next is a thousand times slower once it has begun to: such a
    // run is to end, too.
    let most = if tasks > 1 && write_every > 0 { 1 << 17 } else { 1 << 24 };
    Workload { name, shape: Shape { tasks, write_every }, least: crate::least(tasks), most }
}

const WORKLOADS: &[Workload<Shape>] = &[
    row("rwlock, 1 task, reads", 1, 0),
    row("rwlock, 1 task, writes", 1, 1),
    row("rwlock, 2 tasks, reads", 2, 0),
    row("rwlock, 8 tasks, reads", 8, 0),
    row("rwlock, 8 tasks, 1 in 10 writes", 8, 10),
    row("rwlock, 100 tasks, reads", 100, 0),
    row("rwlock, 100 tasks, 1 in 10 writes", 100, 10),
];

pub(crate) fn table(options: &Options) {
    let columns = [
        Column { name: "greenlight, OS threads", whose: Ours, run: run::<greenlight::RwLock<usize>, OsThreads> },
        Column {
            name: "greenlight, green threads",
            whose: OursGreen,
            run: run::<greenlight::RwLock<usize>, GreenThreads>,
        },
        Column { name: "std", whose: Peers, run: run::<std::sync::RwLock<usize>, OsThreads> },
        Column { name: "parking_lot", whose: Peers, run: run::<parking_lot::RwLock<usize>, OsThreads> },
        Column { name: "spin", whose: Peers, run: run::<spin::RwLock<usize>, OsThreads> },
        Column { name: "tokio", whose: Peers, run: run_async::<tokio::sync::RwLock<usize>> },
        Column { name: "async-lock, tokio tasks", whose: Peers, run: run_async::<async_lock::RwLock<usize>> },
        Column { name: "maitake-sync, tokio tasks", whose: Peers, run: run_async::<maitake_sync::RwLock<usize>> },
    ];
    greenlight_benches::table(options, "lock and unlock", WORKLOADS, &columns);
}

impl Shape {
    /// Whether a task writes in its round of this number.
    fn is_write(&self, round: usize) -> bool {
        self.write_every != 0 && round.is_multiple_of(self.write_every)
    }

    /// How many writes there are, all tasks together.
    fn writes(&self, operations: usize) -> usize {
        let writes_of = |task| (0..share(task, self.tasks, operations)).filter(|round| self.is_write(*round)).count();
        (0..self.tasks).map(writes_of).sum()
    }
}

trait Lock: Send + Sync + 'static {
    fn new() -> Self;
    fn read(&self) -> usize;
    fn add_one(&self);
}

fn run<L: Lock, K: Tasks>(&Shape { tasks, write_every }: &Shape, operations: usize) -> Option<Duration> {
    K::host(move || {
        let (lock, mut team) = (Arc::new(L::new()), Team::<K, ()>::new(tasks));
        for task in 0..tasks {
            let (lock, shape) = (lock.clone(), Shape { tasks, write_every });
            team.start(move || {
                for round in 0..share(task, tasks, operations) {
                    if shape.is_write(round) {
                        lock.add_one();
                    } else {
                        black_box(lock.read());
                    }
                }
            });
        }
        let (elapsed, _) = team.finish();
        assert_eq!(lock.read(), Shape { tasks, write_every }.writes(operations), "every write was counted");
        Some(elapsed)
    })
}

trait AsyncLock: Send + Sync + 'static {
    fn new() -> Self;
    fn read_value(&self) -> impl Future<Output = usize> + Send;
    fn add_one(&self) -> impl Future<Output = ()> + Send;
}

fn run_async<L: AsyncLock>(&Shape { tasks, write_every }: &Shape, operations: usize) -> Option<Duration> {
    let lock = Arc::new(L::new());
    let (elapsed, _) = tokio_team((0..tasks).map(|task| {
        let (lock, shape) = (lock.clone(), Shape { tasks, write_every });
        async move {
            for round in 0..share(task, tasks, operations) {
                if shape.is_write(round) {
                    lock.add_one().await;
                } else {
                    black_box(lock.read_value().await);
                }
            }
        }
    }));
    let (_, counts) = tokio_team([async move { lock.read_value().await }]);
    assert_eq!(counts, [Shape { tasks, write_every }.writes(operations)], "every write was counted");
    Some(elapsed)
}

/// Locks whose `read` and `write` bring guards; `$unwrap` is what is to be called on these.
macro_rules! guards {
    ($($lock:ty $(, $unwrap:ident)?;)+) => {
        $(impl Lock for $lock {
            fn new() -> Self {
                <$lock>::new(0)
            }

            #[inline]
            fn read(&self) -> usize {
                *<$lock>::read(self)$(.$unwrap())?
            }

            #[inline]
            fn add_one(&self) {
                *self.write()$(.$unwrap())? += 1;
            }
        })+
    };
}

guards! {
    greenlight::RwLock<usize>;
    std::sync::RwLock<usize>, unwrap;
    parking_lot::RwLock<usize>;
    spin::RwLock<usize>;
}

macro_rules! future_guards {
    ($($lock:ty),+) => {
        $(impl AsyncLock for $lock {
            fn new() -> Self {
                <$lock>::new(0)
            }

            #[inline]
            async fn read_value(&self) -> usize {
                *self.read().await
            }

            #[inline]
            async fn add_one(&self) {
                *self.write().await += 1;
            }
        })+
    };
}

future_guards!(tokio::sync::RwLock<usize>, async_lock::RwLock<usize>, maitake_sync::RwLock<usize>);
