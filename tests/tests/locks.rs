//! Points 3 and 4: locks on green threads.

use greenlight::{Mutex, Runtime, RwLock, RwMutex, WaitGroup, run, sleep, yield_now};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    time::Duration,
};

#[test]
fn a_shared_result_list() {
    run(|| {
        let (results, wg) = (Arc::new(Mutex::new(Vec::new())), WaitGroup::new());
        for i in 0..50 {
            let results = results.clone();
            wg.go(move || {
                sleep(Duration::from_millis(i % 3));
                results.lock().push(i);
            });
        }
        wg.wait();
        let mut results = results.lock().clone();
        results.sort_unstable();
        assert_eq!(results, (0..50).collect::<Vec<_>>());
    });
}

/// The lock held across a wait: others park, one at a time is inside, on one worker and on several.
#[test]
fn one_at_a_time_across_waits() {
    for workers in [1, 2, 4] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        runtime.run(|| {
            let (lock, wg) = (Arc::new(Mutex::new(0_u32)), WaitGroup::new());
            let inside = Arc::new(AtomicUsize::new(0));
            for _ in 0..20 {
                let (lock, inside) = (lock.clone(), inside.clone());
                wg.go(move || {
                    for _ in 0..50 {
                        let mut value = lock.lock();
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        yield_now();
                        *value += 1;
                        assert_eq!(inside.fetch_sub(1, SeqCst), 1);
                    }
                });
            }
            wg.wait();
            assert_eq!(*lock.lock(), 1_000);
        });
    }
}

#[test]
fn a_panicking_holder_unlocks() {
    run(|| {
        let lock = Arc::new(Mutex::new(1));
        let holder = {
            let lock = lock.clone();
            greenlight::go(move || {
                let _guard = lock.lock();
                panic!("inside");
            })
        };
        assert!(holder.join().is_err());
        assert_eq!(*lock.lock(), 1);
    });
}

#[test]
fn readers_together_writers_alone() {
    run(|| {
        let (lock, wg) = (Arc::new(RwMutex::new(0_u32)), WaitGroup::new());
        let (readers, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..8 {
            let (lock, readers, most) = (lock.clone(), readers.clone(), most.clone());
            wg.go(move || {
                let _value = lock.read();
                most.fetch_max(readers.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(Duration::from_millis(20));
                readers.fetch_sub(1, SeqCst);
            });
        }
        wg.wait();
        assert!(most.load(SeqCst) > 1, "readers overlap");
        for _ in 0..4 {
            let (writing, readers) = (lock.clone(), readers.clone());
            wg.go(move || {
                for _ in 0..20 {
                    let mut value = writing.write();
                    assert_eq!(readers.fetch_add(1, SeqCst), 0, "a writer is alone");
                    yield_now();
                    *value += 1;
                    readers.fetch_sub(1, SeqCst);
                }
            });
            let lock = lock.clone();
            wg.go(move || assert!(*lock.read() <= 80));
        }
        wg.wait();
        assert_eq!(*lock.read(), 80);
    });
}

/// A stream of readers does not keep a writer out.
#[test]
fn readers_do_not_starve_a_writer() {
    run(|| {
        let (lock, wg) = (Arc::new(RwLock::new(false)), WaitGroup::new());
        for _ in 0..6 {
            let lock = lock.clone();
            wg.go(move || {
                // Until the writer was in: for ever, if it never gets in.
                while !*lock.read() {
                    yield_now();
                }
            });
        }
        *lock.write() = true;
        wg.wait();
    });
}
