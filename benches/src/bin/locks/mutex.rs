//! One lock, one counter in it: lock, add one, unlock.

use crate::share;
use greenlight_benches::{Column, GreenThreads, Options, OsThreads, Tasks, Team, Whose::*, Workload, tokio_team};
use std::{future::Future, sync::Arc, time::Duration};

/// How many tasks.
struct Shape {
    tasks: usize,
}

const fn row(name: &'static str, tasks: usize) -> Workload<Shape> {
    Workload { name, shape: Shape { tasks }, least: crate::least(tasks), most: 1 << 24 }
}

const SLEEPING: &[Workload<Shape>] =
    &[row("mutex, 1 task", 1), row("mutex, 2 tasks", 2), row("mutex, 8 tasks", 8), row("mutex, 100 tasks", 100)];

const SPINNING: &[Workload<Shape>] =
    &[row("spin mutex, 1 task", 1), row("spin mutex, 2 tasks", 2), row("spin mutex, 8 tasks", 8)];

pub(crate) fn table(options: &Options) {
    let sleeping = [
        Column { name: "greenlight, OS threads", whose: Ours, run: run::<greenlight::Mutex<usize>, OsThreads> },
        Column {
            name: "greenlight, green threads",
            whose: OursGreen,
            run: run::<greenlight::Mutex<usize>, GreenThreads>,
        },
        Column { name: "std", whose: Peers, run: run::<std::sync::Mutex<usize>, OsThreads> },
        Column { name: "parking_lot", whose: Peers, run: run::<parking_lot::Mutex<usize>, OsThreads> },
        Column { name: "tokio", whose: Peers, run: run_async::<tokio::sync::Mutex<usize>> },
        Column { name: "async-lock, tokio tasks", whose: Peers, run: run_async::<async_lock::Mutex<usize>> },
        Column { name: "maitake-sync, tokio tasks", whose: Peers, run: run_async::<maitake_sync::Mutex<usize>> },
    ];
    greenlight_benches::table(options, "lock and unlock", SLEEPING, &sleeping);
    let spinning = [
        Column { name: "greenlight SpinMutex", whose: Ours, run: run::<greenlight::SpinMutex<usize>, OsThreads> },
        Column { name: "spin", whose: Peers, run: run::<spin::Mutex<usize>, OsThreads> },
        Column {
            name: "maitake-sync blocking",
            whose: Peers,
            run: run::<maitake_sync::blocking::Mutex<usize>, OsThreads>,
        },
    ];
    greenlight_benches::table(options, "lock and unlock", SPINNING, &spinning);
}

trait Lock: Send + Sync + 'static {
    fn new() -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut usize) -> R) -> R;
}

fn run<L: Lock, K: Tasks>(&Shape { tasks }: &Shape, operations: usize) -> Option<Duration> {
    K::host(move || {
        let (lock, mut team) = (Arc::new(L::new()), Team::<K, ()>::new(tasks));
        for task in 0..tasks {
            let lock = lock.clone();
            team.start(move || (0..share(task, tasks, operations)).for_each(|_| lock.with(|count| *count += 1)));
        }
        let (elapsed, _) = team.finish();
        assert_eq!(lock.with(|count| *count), operations, "everybody was counted");
        Some(elapsed)
    })
}

trait AsyncLock: Send + Sync + 'static {
    fn new() -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut usize) -> R + Send) -> impl Future<Output = R> + Send;
}

fn run_async<L: AsyncLock>(&Shape { tasks }: &Shape, operations: usize) -> Option<Duration> {
    let lock = Arc::new(L::new());
    let (elapsed, _) = tokio_team((0..tasks).map(|task| {
        let lock = lock.clone();
        async move {
            for _ in 0..share(task, tasks, operations) {
                lock.with(|count| *count += 1).await;
            }
        }
    }));
    let (_, counts) = tokio_team([async move { lock.with(|count| *count).await }]);
    assert_eq!(counts, [operations], "everybody was counted");
    Some(elapsed)
}

/// Locks whose `lock` brings a guard.
macro_rules! guards {
    ($($lock:ty),+) => {
        $(impl Lock for $lock {
            fn new() -> Self {
                <$lock>::new(0)
            }

            #[inline]
            fn with<R>(&self, work: impl FnOnce(&mut usize) -> R) -> R {
                work(&mut *self.lock())
            }
        })+
    };
}

guards!(greenlight::Mutex<usize>, greenlight::SpinMutex<usize>, parking_lot::Mutex<usize>, spin::Mutex<usize>);

impl Lock for std::sync::Mutex<usize> {
    fn new() -> Self {
        Self::new(0)
    }

    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut usize) -> R) -> R {
        work(&mut self.lock().expect("nobody panics"))
    }
}

impl Lock for maitake_sync::blocking::Mutex<usize> {
    fn new() -> Self {
        Self::new(0)
    }

    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut usize) -> R) -> R {
        self.with_lock(work)
    }
}

/// Locks whose `lock` is a future of a guard.
macro_rules! future_guards {
    ($($lock:ty),+) => {
        $(impl AsyncLock for $lock {
            fn new() -> Self {
                <$lock>::new(0)
            }

            #[inline]
            async fn with<R>(&self, work: impl FnOnce(&mut usize) -> R + Send) -> R {
                work(&mut *self.lock().await)
            }
        })+
    };
}

future_guards!(tokio::sync::Mutex<usize>, async_lock::Mutex<usize>, maitake_sync::Mutex<usize>);
