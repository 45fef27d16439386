//! What the tests of other libraries check of such primitives, checked of ours: spin (`once.rs`, `lazy.rs`, `barrier.rs`),
//! tokio (`sync_once_cell`, `sync_semaphore`, `sync_notify`, `sync_barrier`), maitake-sync (`semaphore`, `wait_queue`) and
//! embassy-sync (`semaphore.rs`, `once_lock.rs`, `lazy_lock.rs`). The code is our own, on green threads where theirs is on
//! OS threads or tasks.
//!
//! | their test                                    | here, or why not                                               |
//! |-----------------------------------------------|----------------------------------------------------------------|
//! | spin: smoke_once, stampede, call_once_test    | `go_sync_once.rs`                                              |
//! | spin: smoke_once_value, get, poll, wait       | [`a_value_is_there_once_it_is_made`], the core's tests         |
//! | spin: get_no_wait                             | [`a_look_does_not_wait_for_the_initialiser`]                   |
//! | spin: panic (it poisons)                      | `go_sync_once.rs`: ours does not                               |
//! | spin: try_call_once_err                       | `go_sync_once.rs`, one after the other tries                   |
//! | spin: drop_occurs_and_skip_uninit_drop        | the core's tests: values are dropped once                      |
//! | spin: test_barrier                            | [`nobody_passes_a_barrier_before_the_last`]                    |
//! | tokio once cell: set_while_initializing       | [`a_set_during_an_initialiser`]                                |
//! | tokio once cell: get_or_init, …_panic, the rest | the core's tests of the cell                                 |
//! | tokio semaphore: no_permits … merge, split    | the core's tests, [`permits_that_come_and_go`]                 |
//! | tokio semaphore: stress_test                  | [`permits_are_conserved_under_stress`]                         |
//! | tokio semaphore: blocking_acquire_…           | all our calls can block                                        |
//! | tokio semaphore: …_owned                      | left out: ours are borrowed, so that they work in statics      |
//! | tokio notify: …_one, …_multi, …_drop          | [`notifications_go_to_the_first_in_line`]                      |
//! | tokio notify: notify_last                     | left out: one order, first come, first served                  |
//! | tokio notify: enable                          | left out: a poll does that                                     |
//! | tokio notify: unpolled future …               | [`to_let_all_go_keeps_the_one`]                                |
//! | tokio notify: notify_in_drop_after_wake       | `advisories_sync.rs`, wakers that call back                    |
//! | tokio barrier: zero, single, tango, lots      | [`a_hundred_futures_pass_a_barrier_again_and_again`]           |
//! | maitake: basic_concurrency_limit, countdown   | [`no_more_at_a_time_than_permits`], [`a_count_down`]           |
//! | maitake: loom models                          | the core's models                                              |
//! | maitake: wait queue close                     | [`a_close_wakes_all`], on a semaphore: a `Notify` has no end   |
//! | embassy: greedy and fair semaphores           | [`permits_that_come_and_go`]; there is one kind, and it is fair |
//! | embassy: once_lock, lazy_lock                 | [`a_static_is_made_once`]                                      |

use futures_util::FutureExt;
use greenlight::{
    Barrier, Lazy, Notify, OnceCell, Semaphore, TryAcquireError, TrySetError, WaitGroup, channel::bounded, go,
    yield_now,
};
use greenlight_tests::on_workers;
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::{Context, Poll, Waker},
};

fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_value_is_there_once_it_is_made() {
    on_workers(|| {
        let cell = Arc::new(OnceCell::new());
        assert_eq!((cell.get(), cell.get_or_init(|| 1), cell.get_or_init(|| 2), cell.get()), (None, &1, &1, Some(&1)));
        let cell = Arc::new(OnceCell::new());
        let waiter = {
            let cell = cell.clone();
            go(move || *cell.wait())
        };
        yield_now();
        assert!(cell.get().is_none() && !waiter.is_finished());
        cell.get_or_init(|| 3);
        assert_eq!(waiter.join().unwrap(), 3);
    });
}

#[test]
fn a_look_does_not_wait_for_the_initialiser() {
    on_workers(|| {
        let cell = Arc::new(OnceCell::new());
        let (begin, begun) = bounded(0);
        let (end, ended) = bounded::<()>(0);
        let maker = {
            let cell = cell.clone();
            go(move || {
                *cell.get_or_init(|| {
                    begin.send(()).unwrap();
                    ended.recv().unwrap();
                    42
                })
            })
        };
        begun.recv().unwrap();
        assert_eq!((cell.get(), cell.try_get_or_init(|| 0)), (None, None));
        end.send(()).unwrap();
        assert_eq!((maker.join().unwrap(), cell.get()), (42, Some(&42)));
    });
}

#[test]
fn a_set_during_an_initialiser() {
    let cell = OnceCell::new();
    let mut making = pin!(cell.get_or_init_async(async || {
        let mut polled = false;
        std::future::poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(5) } else { Poll::Pending })
            .await
    }));
    assert!(poll(&mut making).is_pending());
    assert_eq!(cell.try_set(6), Err(TrySetError::Busy(6)));
    assert_eq!(poll(&mut making), Poll::Ready(&5));
    assert_eq!((cell.try_set(6), cell.set(6)), (Err(TrySetError::Full(6)), Err(6)));
}

#[test]
fn a_static_is_made_once() {
    static CELL: OnceCell<Vec<u32>> = OnceCell::new();
    static LAZY: Lazy<usize> = Lazy::new(|| CELL.get_or_init(|| vec![1, 2, 3]).len());
    on_workers(|| {
        let tasks: Vec<_> = (0..10).map(|_| go(|| *LAZY)).collect();
        assert!(tasks.into_iter().all(|task| task.join().unwrap() == 3));
        assert_eq!(CELL.get().map(Vec::len), Some(3));
    });
}

#[test]
fn nobody_passes_a_barrier_before_the_last() {
    const TASKS: usize = 10;
    on_workers(|| {
        let barrier = Arc::new(Barrier::new(TASKS));
        for _ in 0..3 {
            let (tx, rx) = bounded(TASKS);
            let tasks: Vec<_> = (1..TASKS)
                .map(|_| {
                    let (barrier, tx) = (barrier.clone(), tx.clone());
                    go(move || tx.send(barrier.wait().is_leader()).unwrap())
                })
                .collect();
            (0..50).for_each(|_| yield_now());
            assert!(rx.try_recv().is_err(), "the last one is missing");
            let leads = barrier.wait().is_leader();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            let others = rx.try_iter().filter(|leads| *leads).count();
            assert_eq!(others + usize::from(leads), 1);
        }
    });
}

#[test]
fn a_hundred_futures_pass_a_barrier_again_and_again() {
    let barrier = Barrier::new(100);
    for _ in 0..10 {
        let mut waits: Vec<_> = (1..100).map(|_| Box::pin(barrier.wait_async())).collect();
        for _ in 0..2 {
            assert!(waits.iter_mut().all(|wait| poll(&mut wait.as_mut()).is_pending()));
        }
        assert!(barrier.wait_async().now_or_never().unwrap().is_leader());
        assert!(waits.into_iter().all(|wait| wait.now_or_never().is_some_and(|result| !result.is_leader())));
    }
}

#[test]
fn permits_that_come_and_go() {
    let semaphore = Semaphore::new(3);
    let one = semaphore.try_acquire(1).unwrap();
    assert_eq!(semaphore.try_acquire(3).err(), Some(TryAcquireError::NoPermits));
    let mut two = semaphore.try_acquire(2).unwrap();
    assert!(semaphore.acquire_async(1).now_or_never().is_none(), "and it is gone again");
    two.merge(one);
    assert_eq!((two.permits(), semaphore.available_permits()), (3, 0));
    let mut all = pin!(semaphore.acquire_async(3));
    assert!(poll(&mut all).is_pending());
    drop(two.split(1));
    assert!(poll(&mut all).is_pending());
    assert!(semaphore.acquire_async(1).now_or_never().is_none(), "all three come first");
    drop(two);
    assert!(matches!(poll(&mut all), Poll::Ready(Ok(permits)) if permits.permits() == 3));
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn permits_are_conserved_under_stress() {
    on_workers(|| {
        let (semaphore, wg) = (Arc::new(Semaphore::new(5)), WaitGroup::new());
        for i in 0..200 {
            let semaphore = semaphore.clone();
            wg.go(move || {
                let mut permits = semaphore.acquire(1 + i % 5).unwrap();
                yield_now();
                let half = permits.split(permits.permits() / 2);
                drop(permits);
                yield_now();
                drop(half);
            });
        }
        wg.wait();
        assert_eq!(semaphore.available_permits(), 5);
    });
}

#[test]
fn no_more_at_a_time_than_permits() {
    on_workers(|| {
        let (semaphore, running, wg) = (Arc::new(Semaphore::new(4)), Arc::new(AtomicUsize::new(0)), WaitGroup::new());
        for _ in 0..20 {
            let (semaphore, running) = (semaphore.clone(), running.clone());
            wg.go(move || {
                let _permit = semaphore.acquire(1).unwrap();
                assert!(running.fetch_add(1, SeqCst) < 4);
                yield_now();
                running.fetch_sub(1, SeqCst);
            });
        }
        wg.wait();
    });
}

#[test]
fn a_count_down() {
    on_workers(|| {
        let (semaphore, done) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..4 {
            let (semaphore, done) = (semaphore.clone(), done.clone());
            go(move || {
                yield_now();
                done.fetch_add(1, Relaxed);
                semaphore.add_permits(1);
            });
        }
        semaphore.acquire(4).unwrap().forget();
        assert_eq!(done.load(Relaxed), 4);
    });
}

#[test]
fn a_close_wakes_all() {
    on_workers(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let tasks: Vec<_> = (0..20)
            .map(|i| {
                let semaphore = semaphore.clone();
                go(move || semaphore.acquire(i + 1).is_err())
            })
            .collect();
        yield_now();
        semaphore.close();
        assert!(tasks.into_iter().all(|task| task.join().unwrap()));
        assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::Closed));
    });
}

#[test]
fn notifications_go_to_the_first_in_line() {
    let notify = Notify::new();
    let mut waits: Vec<_> = (0..4).map(|_| Box::pin(notify.notified())).collect();
    assert!(waits.iter_mut().all(|wait| poll(&mut wait.as_mut()).is_pending()));
    notify.notify_one();
    // The first is notified and goes, the second hears of it.
    drop(waits.remove(0));
    assert!(poll(&mut waits[1].as_mut()).is_pending() && poll(&mut waits[2].as_mut()).is_pending());
    assert!(poll(&mut waits[0].as_mut()).is_ready());
    // The last one goes, the other is notified.
    drop(waits.remove(2));
    notify.notify_one();
    assert!(poll(&mut waits[1].as_mut()).is_ready());
    assert!(!notify.try_wait());
}

#[test]
fn to_let_all_go_keeps_the_one() {
    let notify = Notify::new();
    let early = notify.notified();
    notify.notify_waiters();
    notify.notify_one();
    assert!(early.now_or_never().is_some());
    assert!(notify.notified().now_or_never().is_some());
    assert!(notify.notified().now_or_never().is_none());
}

/// Green threads, an OS thread and a future hand one notification around.
#[test]
fn a_notification_goes_round() {
    on_workers(|| {
        let ring: Arc<[Notify; 4]> = Arc::default();
        let rounds = Arc::new(AtomicUsize::new(0));
        let step = |i: usize| {
            let (ring, rounds) = (ring.clone(), rounds.clone());
            move || {
                for _ in 0..200 {
                    if i == 2 {
                        futures_executor::block_on(ring[i].notified());
                    } else {
                        ring[i].wait();
                    }
                    rounds.fetch_add(1, Relaxed);
                    ring[(i + 1) % 4].notify_one();
                }
            }
        };
        let green = [go(step(0)), go(step(1))];
        let os = [2, 3].map(|i| std::thread::spawn(step(i)));
        ring[0].notify_one();
        green.into_iter().for_each(|task| task.join().unwrap());
        os.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(rounds.load(Relaxed), 800);
        assert!(ring[0].try_wait());
    });
}
