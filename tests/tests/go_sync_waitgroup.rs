//! Go's cases of `sync.WaitGroup` (waitgroup_test.go), on green threads.
//!
//! Left out: the misuse that is only sometimes detected there (an `Add` beside a `Wait`, and a group used again before all of
//! a wait's callers have returned). Here both are defined: who waited is woken by the zero that he waited for, and the group's
//! next use does not concern him; the latter is tested below. Alignment: Rust's types see to it. Benchmarks.

use greenlight::{Runtime, WaitGroup, WaitTokens, channel::bounded, go};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::*},
};

fn on_workers(test: fn()) {
    for workers in [1, 2, 4] {
        Runtime::builder().workers(workers).build().unwrap().run(test);
    }
}

/// A barrier of two groups: nobody is past the second before it is done.
fn barrier(first: &WaitGroup, second: &WaitGroup) {
    const TASKS: usize = 16;
    first.add(TASKS);
    second.add(TASKS);
    let (exited, exits) = bounded(TASKS);
    for _ in 0..TASKS {
        let (first, second, exited) = (first.clone(), second.clone(), exited.clone());
        go(move || {
            first.done();
            second.wait();
            exited.send(()).unwrap();
        });
    }
    first.wait();
    for _ in 0..TASKS {
        assert!(exits.try_recv().is_err(), "released too soon");
        second.done();
    }
    (0..TASKS).for_each(|_| exits.recv().unwrap());
}

#[test]
fn wait_group() {
    on_workers(|| {
        let (first, second) = (WaitGroup::new(), WaitGroup::new());
        // A few times, so that the group must come out as it went in.
        (0..8).for_each(|_| barrier(&first, &second));
    });
}

#[test]
fn misuse() {
    let misuse = go(|| {
        let wg = WaitGroup::new();
        wg.add(1);
        wg.done();
        wg.done();
    });
    let panic = misuse.join().unwrap_err();
    assert!(panic.message().unwrap().contains("negative counter"));
}

/// The group is used again by one who waited, while another may not have returned from his wait yet.
#[test]
fn used_again_before_all_have_returned() {
    on_workers(|| {
        for _ in 0..2_000 {
            let wg = WaitGroup::new();
            wg.add(1);
            let worker = wg.clone();
            go(move || worker.done());
            let again = wg.clone();
            let other = go(move || {
                again.wait();
                again.add(1);
                let worker = again.clone();
                go(move || worker.done());
                again.wait();
            });
            wg.wait();
            other.join().unwrap();
        }
    });
}

/// No wait ends before all is done.
#[test]
fn race() {
    on_workers(|| {
        for _ in 0..1_000 {
            let (wg, n) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
            for _ in 0..2 {
                wg.add(1);
                let (wg, n) = (wg.clone(), n.clone());
                go(move || {
                    n.fetch_add(1, Relaxed);
                    wg.done();
                });
            }
            wg.wait();
            assert_eq!(n.load(Relaxed), 2);
        }
    });
}

/// `WaitGroup.Go`, and the group that has nothing else.
#[test]
fn go_counts_by_itself() {
    on_workers(|| {
        let (wg, tokens, n) = (WaitGroup::new(), WaitTokens::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..20 {
            let (one, two, three) = (n.clone(), n.clone(), n.clone());
            wg.go(move || one.fetch_add(1, Relaxed));
            tokens.go(move || two.fetch_add(1, Relaxed));
            tokens.token().go(move || three.fetch_add(1, Relaxed));
        }
        wg.wait();
        tokens.wait();
        assert_eq!((n.load(Relaxed), tokens.count()), (60, 0));
    });
}
