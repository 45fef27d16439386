//! Go's cases of `sync.Mutex` (mutex_test.go), on green threads.
//!
//! Left out: unlocking what is not locked, in all its forms, which does not compile here: the guard unlocks. The runtime's
//! semaphore, which is not public. The mutex profile. Benchmarks. Added: waits of every kind beside each other, and with futures
//! that nobody polls in line.

use greenlight::{Mutex, Runtime, WaitGroup, channel::bounded, go, sleep};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

/// `TryLock` of what is locked and of what is not, and then everybody at once.
#[test]
fn mutex() {
    for workers in [1, 2, 4] {
        Runtime::builder().workers(workers).build().unwrap().run(|| {
            let lock = Arc::new(Mutex::new(0_u32));
            let guard = lock.lock();
            assert!(lock.try_lock().is_none());
            drop(guard);
            assert!(lock.try_lock().is_some());
            let (done, all) = bounded(0);
            for _ in 0..10 {
                let (lock, done) = (lock.clone(), done.clone());
                go(move || {
                    for i in 0..1_000 {
                        match i % 3 {
                            0 => *lock.lock() += 1,
                            1 => *lock.lock_timeout(Duration::from_secs(600)).unwrap() += 1,
                            _ => {
                                while lock.try_lock().map(|mut value| *value += 1).is_none() {
                                    greenlight::yield_now();
                                }
                            }
                        }
                    }
                    done.send(()).unwrap();
                });
            }
            (0..10).for_each(|_| all.recv().unwrap());
            assert_eq!(*lock.lock(), 10_000);
        });
    }
}

/// One holds it nearly all the time, another wants it now and then: he gets it. The first goes on until he has.
#[test]
fn fairness() {
    for workers in [1, 2] {
        Runtime::builder().workers(workers).build().unwrap().run(|| {
            let (lock, (stop, stopped)) = (Arc::new(Mutex::new(())), bounded::<()>(0));
            let busy = lock.clone();
            let holder = go(move || {
                while stopped.try_recv().is_err_and(|error| error.is_empty()) {
                    let _guard = busy.lock();
                    sleep(Duration::from_micros(100));
                }
            });
            for _ in 0..10 {
                sleep(Duration::from_micros(100));
                drop(lock.lock());
            }
            drop(stop);
            holder.join().unwrap();
        });
    }
}

/// In every task a future stands in line that was polled once, like the arm of a select that was not chosen, while the task itself
/// locks over and over.
#[test]
fn futures_that_nobody_polls() {
    Runtime::builder().workers(2).build().unwrap().run(|| {
        let (lock, wg) = (Arc::new(Mutex::new(0_u32)), WaitGroup::new());
        for _ in 0..8 {
            let lock = lock.clone();
            wg.go(move || {
                for _ in 0..200 {
                    let mut arm = pin!(lock.lock_async());
                    let first = lock.lock();
                    assert!(arm.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    drop(first);
                    for _ in 0..5 {
                        let mut value = lock.lock();
                        greenlight::yield_now();
                        *value += 1;
                    }
                }
            });
        }
        wg.wait();
        assert_eq!(*lock.lock(), 8_000);
    });
}
