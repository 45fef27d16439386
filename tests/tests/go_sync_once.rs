//! What Go's tests of `sync.Once` and of the functions built on it check (golang/go, `src/sync/once_test.go`,
//! `oncefunc_test.go`), checked of ours. The code is our own.
//!
//! | Go's test                            | here                                                                    |
//! |--------------------------------------|-------------------------------------------------------------------------|
//! | TestOnce                             | [`many_come_and_it_is_done_once`]                                       |
//! | TestOncePanic                        | [`a_panic_leaves_it_to_the_next`]: ours is not done by a panic, on purpose |
//! | TestOnceFunc, TestOnceValue(s)       | [`a_value_is_made_once`]; a function is a `Lazy<()>`, two values a tuple |
//! | TestOnceFuncPanic, …ValuePanic       | [`a_panic_of_a_lazy_value_is_told_to_all`]                              |
//! | TestOnceFuncPanicNil                 | left out: a panic of ours has a payload                                 |
//! | TestOnceFuncGoexit                   | left out: a green thread ends by a return or a panic                    |
//! | TestOnceFuncPanicTraceback           | left out: backtraces are the panic hook's, in the first panic           |
//! | TestOnceXGC                          | [`the_initialiser_is_dropped_when_it_has_run`]                          |
//! | Benchmark…                           | left out: measured beside std, tokio and spin                           |

use greenlight::{Lazy, Once, OnceCell, WaitGroup, channel::bounded, go, yield_now};
use greenlight_tests::on_workers;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::*},
};

#[test]
fn many_come_and_it_is_done_once() {
    on_workers(|| {
        let (once, done) = (Arc::new(Once::new()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (once, done) = (once.clone(), done.clone());
                go(move || {
                    once.call_once(|| {
                        yield_now(); // the others come meanwhile
                        done.fetch_add(1, SeqCst);
                    });
                    assert_eq!(done.load(SeqCst), 1);
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn a_panic_leaves_it_to_the_next() {
    on_workers(|| {
        let once = Arc::new(Once::new());
        let panics = {
            let once = once.clone();
            go(move || once.call_once(|| panic!("failed")))
        };
        assert!(panics.join().is_err());
        assert!(!once.is_completed());
        let mut called = false;
        once.call_once(|| called = true);
        assert!(called && once.is_completed());
    });
}

/// The others wait for the first in line to fail, and one after the other fails, until one does not.
#[test]
fn one_after_the_other_tries() {
    on_workers(|| {
        let (cell, tries) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (cell, tries) = (cell.clone(), tries.clone());
                go(move || {
                    let result = cell.get_or_try_init(|| {
                        yield_now();
                        let nth = tries.fetch_add(1, SeqCst);
                        if nth < 9 { Err(nth) } else { Ok(nth) }
                    });
                    result.copied()
                })
            })
            .collect();
        let results: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 9);
        assert_eq!(results.iter().filter(|result| **result == Ok(9)).count(), 11);
        assert_eq!(tries.load(SeqCst), 10);
    });
}

#[test]
fn a_value_is_made_once() {
    on_workers(|| {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        CALLS.store(0, SeqCst);
        let values = Arc::new(Lazy::new(|| (CALLS.fetch_add(1, SeqCst), "two")));
        for _ in 0..10 {
            let values = values.clone();
            assert_eq!(go(move || **values).join().unwrap(), (0, "two"));
        }
        assert_eq!(CALLS.load(SeqCst), 1);
        // The function of it: its result is there for as long as the lazy value.
        let f = || Lazy::force(&values);
        assert!(std::ptr::eq(f(), f()));
    });
}

#[test]
fn a_panic_of_a_lazy_value_is_told_to_all() {
    on_workers(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let lazy = {
            let calls = calls.clone();
            Arc::new(Lazy::new(move || -> u32 {
                calls.fetch_add(1, SeqCst);
                panic!("the first")
            }))
        };
        for round in 0..3 {
            let lazy = lazy.clone();
            let panic = go(move || **lazy).join().unwrap_err();
            let text = panic.message().unwrap();
            assert!(if round == 0 { text == "the first" } else { text.contains("has panicked") }, "{text}");
        }
        assert_eq!(calls.load(SeqCst), 1);
    });
}

#[test]
fn the_initialiser_is_dropped_when_it_has_run() {
    let captured = Arc::new(());
    let lazy = {
        let captured = captured.clone();
        Lazy::new(move || Arc::strong_count(&captured))
    };
    assert_eq!((Arc::strong_count(&captured), *lazy, Arc::strong_count(&captured)), (2, 2, 1));
}

/// Waits, for what another task will make, on green threads and OS threads at once.
#[test]
fn a_value_is_waited_for_by_all_kinds() {
    on_workers(|| {
        let (cell, wg) = (Arc::new(OnceCell::new()), WaitGroup::new());
        let (tx, rx) = bounded(20);
        for i in 0..20 {
            let (cell, tx) = (cell.clone(), tx.clone());
            let wait = move || tx.send(*cell.wait()).unwrap();
            if i % 5 == 0 {
                std::thread::spawn(wait);
            } else {
                wg.go(wait);
            }
        }
        drop(tx);
        yield_now();
        cell.set(3).unwrap();
        wg.wait();
        assert_eq!(rx.iter().sum::<u32>(), 60);
    });
}
