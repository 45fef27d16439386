//! Point 2: wait groups on green threads.

use greenlight::{Runtime, WaitGroup, go, run, sleep, yield_now};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    time::Duration,
};

#[test]
fn add_done_wait() {
    run(|| {
        let (wg, done) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        wg.add(20);
        for i in 0..20 {
            let (wg, done) = (wg.clone(), done.clone());
            go(move || {
                sleep(Duration::from_millis(i % 4));
                done.fetch_add(1, SeqCst);
                wg.done();
            });
        }
        wg.wait();
        assert_eq!(done.load(SeqCst), 20);
    });
}

#[test]
fn go_and_the_guard_count_down_through_panics() {
    run(|| {
        let wg = WaitGroup::new();
        for i in 0..10 {
            wg.go(move || assert!(i % 2 == 0, "an odd one"));
            wg.add(1);
            let done = wg.done_on_drop();
            go(move || {
                let _done = done;
                assert!(i % 2 == 0, "an odd one");
            });
        }
        wg.wait();
        assert_eq!(wg.count(), 0);
    });
}

#[test]
fn a_negative_counter_is_a_panic_that_names_the_misuse() {
    let wg = WaitGroup::new();
    let misuse = {
        let wg = wg.clone();
        go(move || wg.done())
    };
    let error = misuse.join().unwrap_err();
    let text = error.message().expect("a message");
    assert!(text.contains("negative counter") && text.contains("done"), "{text}");
    // The group is as good as before.
    wg.go(|| ());
    wg.wait();
}

#[test]
fn green_threads_and_os_threads_wait_for_one_group_again_and_again() {
    let wg = WaitGroup::new();
    for _ in 0..100 {
        wg.add(3);
        let green: Vec<_> = (0..3)
            .map(|_| {
                let wg = wg.clone();
                go(move || wg.wait())
            })
            .collect();
        let os = {
            let wg = wg.clone();
            std::thread::spawn(move || wg.wait())
        };
        for _ in 0..3 {
            let wg = wg.clone();
            go(move || wg.done());
        }
        wg.wait();
        green.into_iter().for_each(|waiter| waiter.join().unwrap());
        os.join().unwrap();
    }
}

/// A wait parks the green thread, and only it: on one worker, those it waits for can run.
#[test]
fn a_wait_does_not_block_the_worker() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let wg = WaitGroup::new();
        for _ in 0..10 {
            wg.go(|| (0..10).for_each(|_| yield_now()));
        }
        wg.wait();
    });
}
