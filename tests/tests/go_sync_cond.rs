//! What Go's tests of `sync.Cond` check (golang/go, `src/sync/cond_test.go`), checked of ours. The code is our own.
//!
//! | Go's test                 | here                                                                          |
//! |---------------------------|-------------------------------------------------------------------------------|
//! | TestCondSignal            | [`each_notification_wakes_one`]                                               |
//! | TestCondSignalGenerations | [`who_came_first_is_woken_first`]                                             |
//! | TestCondBroadcast         | [`all_are_woken_once_each_time`]                                              |
//! | TestRace                  | [`three_in_turn`]                                                             |
//! | TestCondSignalStealing    | [`a_newcomer_takes_nobodys_notification`]                                     |
//! | TestCondCopy              | left out: ours cannot be copied                                               |
//! | BenchmarkCond…            | left out: a barrier of so many tasks is in the core's tests                   |

use greenlight::{
    Condvar, Mutex,
    channel::{TryRecvError, bounded},
    go, yield_now,
};
use greenlight_tests::on_workers;
use std::sync::Arc;

type Shared<T> = Arc<(Mutex<T>, Condvar)>;

fn shared<T>(value: T) -> Shared<T> {
    Arc::new((Mutex::new(value), Condvar::new()))
}

#[test]
fn each_notification_wakes_one() {
    on_workers(|| {
        let shared = shared(());
        let (running, is_running) = bounded(3);
        let (awake, is_awake) = bounded(3);
        for _ in 0..3 {
            let (shared, running, awake) = (shared.clone(), running.clone(), awake.clone());
            go(move || {
                let guard = shared.0.lock();
                running.send(()).unwrap();
                let _guard = shared.1.wait(guard);
                awake.send(()).unwrap();
            });
        }
        (0..3).for_each(|_| is_running.recv().unwrap());
        for round in 0..3 {
            assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty), "nobody was notified");
            {
                let _guard = (round % 2 == 0).then(|| shared.0.lock());
                // Without the mutex, too: who has sent is in line once he has given it back.
                drop((round % 2 == 1).then(|| shared.0.lock()));
                shared.1.notify_one();
            }
            is_awake.recv().unwrap();
            yield_now();
            assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty), "one was notified");
        }
        shared.1.notify_one(); // nobody
    });
}

#[test]
fn who_came_first_is_woken_first() {
    on_workers(|| {
        let shared = shared(());
        let (running, is_running) = bounded(1);
        let (awake, is_awake) = bounded(100);
        for i in 0..100 {
            let (waits, running, awake) = (shared.clone(), running.clone(), awake.clone());
            go(move || {
                let guard = waits.0.lock();
                running.send(()).unwrap();
                let _guard = waits.1.wait(guard);
                awake.send(i).unwrap();
            });
            if i > 0 {
                assert_eq!(is_awake.recv(), Ok(i - 1));
            }
            is_running.recv().unwrap();
            let _guard = shared.0.lock();
            shared.1.notify_one();
        }
    });
}

#[test]
fn all_are_woken_once_each_time() {
    const TASKS: usize = 50;
    on_workers(|| {
        let shared = shared(false);
        let (running, is_running) = bounded(TASKS);
        let (awake, is_awake) = bounded(TASKS);
        let tasks: Vec<_> = (0..TASKS)
            .map(|i| {
                let (shared, running, awake) = (shared.clone(), running.clone(), awake.clone());
                go(move || {
                    let mut exit = shared.0.lock();
                    while !*exit {
                        running.send(()).unwrap();
                        exit = shared.1.wait(exit);
                        awake.send(i).unwrap();
                    }
                })
            })
            .collect();
        for round in 0..10 {
            (0..TASKS).for_each(|_| is_running.recv().unwrap());
            assert_eq!(is_awake.try_recv(), Err(TryRecvError::Empty));
            {
                let mut exit = shared.0.lock();
                *exit = round == 9;
                shared.1.notify_all();
            }
            let mut seen = [false; TASKS];
            for _ in 0..TASKS {
                assert!(!std::mem::replace(&mut seen[is_awake.recv().unwrap()], true), "woken twice");
            }
        }
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert!(is_running.try_recv().is_err());
        shared.1.notify_all(); // nobody
    });
}

#[test]
fn three_in_turn() {
    on_workers(|| {
        let shared = shared(0);
        let tasks: [fn(&Mutex<u32>, &Condvar); 3] = [
            |mutex, condvar| {
                let mut x = mutex.lock();
                *x = 1;
                let mut x = condvar.wait(x);
                assert_eq!(*x, 2);
                *x = 3;
                condvar.notify_one();
            },
            |mutex, condvar| {
                loop {
                    let mut x = mutex.lock();
                    if *x == 1 {
                        *x = 2;
                        return condvar.notify_one();
                    }
                    drop(x);
                    yield_now();
                }
            },
            |mutex, condvar| {
                loop {
                    let x = mutex.lock();
                    match *x {
                        2 => return assert_eq!(*condvar.wait(x), 3),
                        3 => return,
                        _ => {}
                    }
                    drop(x);
                    yield_now();
                }
            },
        ];
        let tasks = tasks.map(|task| {
            let shared = shared.clone();
            go(move || task(&shared.0, &shared.1))
        });
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn a_newcomer_takes_nobodys_notification() {
    on_workers(|| {
        for _ in 0..200 {
            let shared = shared(false);
            let (tx, rx) = bounded(0);
            let first = {
                let shared = shared.clone();
                go(move || {
                    let guard = shared.0.lock();
                    tx.send(()).unwrap();
                    drop(shared.1.wait(guard));
                })
            };
            rx.recv().unwrap();
            drop(shared.0.lock()); // so the first one is in line
            let notifier = {
                let shared = shared.clone();
                go(move || shared.1.notify_all())
            };
            let newcomer = {
                let shared = shared.clone();
                go(move || drop(shared.1.wait_while(shared.0.lock(), |done| !*done)))
            };
            first.join().unwrap();
            *shared.0.lock() = true;
            shared.1.notify_all();
            notifier.join().unwrap();
            newcomer.join().unwrap();
        }
    });
}
