//! Go's cases of `sync.RWMutex` (rwmutex_test.go), on green threads.
//!
//! Left out: unlocking what is not locked, which does not compile here; `RLocker`'s interface, for which a read guard stands,
//! though its case is below; benchmarks. Added: the nested read with a writer in between.

use greenlight::{Runtime, RwLockReadGuard, RwLockWriteGuard, RwMutex, WaitGroup, channel::bounded, go};
use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering::*},
};

/// All of them are inside at once.
#[test]
fn parallel_readers() {
    for (readers, workers) in [(1, 4), (3, 4), (4, 2)] {
        Runtime::builder().workers(workers).build().unwrap().run(move || {
            let lock = Arc::new(RwMutex::new(()));
            let (locked, all_locked) = bounded(0);
            let (unlock, may_unlock) = bounded(0);
            let wg = WaitGroup::new();
            for _ in 0..readers {
                let (lock, locked, may_unlock) = (lock.clone(), locked.clone(), may_unlock.clone());
                wg.go(move || {
                    let _reading = lock.read();
                    locked.send(()).unwrap();
                    may_unlock.recv().unwrap();
                });
            }
            (0..readers).for_each(|_| all_locked.recv().unwrap());
            assert!(lock.try_write().is_none());
            (0..readers).for_each(|_| unlock.send(()).unwrap());
            wg.wait();
            assert!(lock.try_write().is_some());
        });
    }
}

/// The number of readers inside, and 10,000 for each writer.
fn hammer(workers: usize, readers: usize) {
    const ROUNDS: usize = 500;
    Runtime::builder().workers(workers).build().unwrap().run(move || {
        let (lock, activity, wg) = (Arc::new(RwMutex::new(0_usize)), Arc::new(AtomicI32::new(0)), WaitGroup::new());
        let start = |writes: bool| {
            let (lock, activity) = (lock.clone(), activity.clone());
            wg.go(move || {
                for round in 0..ROUNDS {
                    let pause = || {
                        if round % 16 == 0 {
                            greenlight::yield_now();
                        }
                    };
                    if writes {
                        let mut value = lock.write();
                        assert_eq!(activity.fetch_add(10_000, SeqCst), 0);
                        pause();
                        *value += 1;
                        activity.fetch_sub(10_000, SeqCst);
                        if round % 4 == 0 {
                            let mine = *value;
                            assert_eq!(*RwLockWriteGuard::downgrade(value), mine);
                        }
                    } else {
                        let _reading: RwLockReadGuard<'_, _> = lock.read();
                        let inside = activity.fetch_add(1, SeqCst);
                        assert!((0..10_000).contains(&inside), "{inside}");
                        pause();
                        activity.fetch_sub(1, SeqCst);
                    }
                }
            });
        };
        start(true);
        (0..readers / 2).for_each(|_| start(false));
        start(true);
        (readers / 2..readers).for_each(|_| start(false));
        wg.wait();
        assert_eq!(*lock.read(), 2 * ROUNDS);
    });
}

#[test]
fn rw_mutex() {
    for workers in [1, 2, 4] {
        [1, 3, 10].into_iter().for_each(|readers| hammer(workers, readers));
    }
}

/// Two reads are two: a writer waits for both; and a reader waits for a writer.
#[test]
fn reads_and_writes_in_turn() {
    greenlight::run(|| {
        let lock = Arc::new(RwMutex::new(()));
        let (read, reads) = bounded(0);
        let (written, writes) = bounded(0);
        let (unlock, may_unlock) = bounded::<()>(0);
        let locker = lock.clone();
        let other = go(move || {
            for _ in 0..10 {
                let (one, two) = (locker.read(), locker.read());
                read.send(()).unwrap();
                may_unlock.recv().unwrap();
                drop(one);
                may_unlock.recv().unwrap();
                drop(two);
                let writing = locker.write();
                written.send(()).unwrap();
                may_unlock.recv().unwrap();
                drop(writing);
            }
        });
        for _ in 0..10 {
            reads.recv().unwrap();
            assert!(lock.try_write().is_none() && lock.try_read().is_some());
            unlock.send(()).unwrap();
            assert!(lock.try_write().is_none(), "the second is a read of its own");
            unlock.send(()).unwrap();
            writes.recv().unwrap();
            assert!(lock.try_write().is_none() && lock.try_read().is_none());
            unlock.send(()).unwrap();
        }
        other.join().unwrap();
    });
}

/// On one worker, where all tasks share a thread: the nested read of one is told from the first read of another.
#[test]
fn a_nested_read_is_named_and_another_tasks_read_is_not() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let lock = Arc::new(RwMutex::new(0));
        let outer = lock.read();
        let writer = lock.clone();
        let writer = go(move || *writer.write() += 1);
        while lock.try_read().is_some() {
            greenlight::yield_now();
        }
        let other = lock.clone();
        let other = go(move || *other.read());
        assert_eq!(*lock.read_recursive(), 0);
        #[cfg(debug_assertions)]
        {
            let nested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| _ = lock.read()));
            assert!(nested.unwrap_err().downcast_ref::<&str>().unwrap().contains("read_recursive"));
        }
        (0..10).for_each(|_| greenlight::yield_now());
        assert!(!other.is_finished(), "it waits behind the writer, and nothing is wrong with that");
        drop(outer);
        assert_eq!((writer.join().unwrap(), other.join().unwrap()), ((), 1));
    });
}
