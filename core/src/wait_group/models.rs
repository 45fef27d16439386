//! Those who work against those who wait.

use super::*;
use crate::test_support::{Woken, block_on, poll_once};
use loom::{cell::UnsafeCell, thread};
use std::sync::Arc;

struct Shared {
    group: WaitGroup,
    data: [UnsafeCell<u32>; 2],
}

// SAFETY: the cells are what the model checks: loom reports a race on them.
unsafe impl Sync for Shared {}
// SAFETY: plain data.
unsafe impl Send for Shared {}

fn shared(count: usize) -> Arc<Shared> {
    let group = WaitGroup::new();
    group.add(count);
    Arc::new(Shared { group, data: [UnsafeCell::new(0), UnsafeCell::new(0)] })
}

/// The waiter sees what both workers wrote, and never sleeps on. Fails if `done` or the look of `wait` is Relaxed,
/// or if W is set without the queue lock.
#[test]
fn wait_group_waiter_sees_all_work() {
    loom::model(|| {
        let shared = shared(2);
        for i in 0..2 {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: the cell is this thread's until its `done`.
                shared.data[i].with_mut(|d| unsafe { *d = 1 });
                shared.group.done();
            });
        }
        shared.group.wait();
        for cell in &shared.data {
            // SAFETY: both have reported done.
            assert_eq!(cell.with(|d| unsafe { *d }), 1);
        }
    });
}

/// A wait that finds the count at zero returns at once, and has seen the work all the same. Fails if that look is
/// Relaxed.
#[test]
fn wait_group_finished_group_shows_its_work() {
    loom::model(|| {
        let shared = shared(1);
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: ours until `done`.
                shared.data[0].with_mut(|d| unsafe { *d = 1 });
                shared.group.done();
            })
        };
        thread::yield_now(); // the checker does not try by itself what a first look finds after the worker's end
        if shared.group.count() == 0 {
            shared.group.wait();
            // SAFETY: the worker has reported done.
            assert_eq!(shared.data[0].with(|d| unsafe { *d }), 1);
        }
        worker.join().unwrap();
    });
}

/// Two waiters, one done: both wake and have seen the work, one of them perhaps by a look alone. Fails if the last
/// `done` that wakes is not Release.
#[test]
fn wait_group_wakes_all() {
    loom::model(|| {
        let shared = shared(1);
        let wait_and_look = |shared: &Shared| {
            shared.group.wait();
            // SAFETY: the worker has reported done.
            assert_eq!(shared.data[0].with(|d| unsafe { *d }), 1);
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                thread::yield_now(); // as above
                wait_and_look(&shared)
            })
        };
        let done = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: ours until `done`.
                shared.data[0].with_mut(|d| unsafe { *d = 1 });
                shared.group.done()
            })
        };
        wait_and_look(&shared);
        other.join().unwrap();
        done.join().unwrap();
    });
}

/// A group that is used again right after a wait: the second waiter is not woken by the first use's end, and is
/// woken by the second's.
#[test]
fn wait_group_reuse() {
    loom::model(|| {
        let shared = shared(1);
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || shared.group.done())
        };
        shared.group.wait();
        shared.group.add(1);
        let second = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: ours until `done`.
                shared.data[0].with_mut(|d| unsafe { *d = 2 });
                shared.group.done();
            })
        };
        shared.group.wait();
        // SAFETY: the second use is over.
        assert_eq!(shared.data[0].with(|d| unsafe { *d }), 2);
        worker.join().unwrap();
        second.join().unwrap();
    });
}

/// A future is woken by the last of two `done`s, and has seen the work of both.
#[test]
fn wait_group_future_sees_all_work() {
    loom::model(|| {
        let shared = shared(2);
        let workers = [0, 1].map(|i| {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: the cell is this thread's until its `done`.
                shared.data[i].with_mut(|d| unsafe { *d = 1 });
                shared.group.done()
            })
        });
        block_on(shared.group.wait_async());
        for cell in &shared.data {
            // SAFETY: both have reported done.
            assert_eq!(cell.with(|d| unsafe { *d }), 1);
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// A wait that is given up, or polled by another task, while the last `done` comes: the waker of the last poll is woken if that
/// said `Pending`, and nobody touches what is gone.
#[test]
fn wait_group_new_waker_and_drop_meet_done() {
    loom::model(|| {
        let shared = shared(1);
        let ((_, old), (new, waker)) = (Woken::new(), Woken::new());
        let mut future = std::boxed::Box::pin(shared.group.wait_async());
        assert!(poll_once(&mut future, &old).is_pending());
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || shared.group.done())
        };
        if poll_once(&mut future, &waker).is_ready() || new.times() == 0 {
            drop(future);
            worker.join().unwrap();
        } else {
            assert!(poll_once(&mut future, &waker).is_ready());
            worker.join().unwrap();
        }
        shared.group.wait();
    });
}

/// The last of two tokens wakes, whichever that is, and shows what both have done (G3: one is a clone, made by the other's
/// task).
#[test]
fn wait_group_last_token_wakes() {
    loom::model(|| {
        let shared: &'static Shared = std::boxed::Box::leak(std::boxed::Box::new(Shared {
            group: WaitGroup::new(),
            data: [UnsafeCell::new(0), UnsafeCell::new(0)],
        }));
        let token = shared.group.token();
        let first = thread::spawn(move || {
            let clone = token.clone();
            let second = thread::spawn(move || {
                // SAFETY: the cell is this thread's until its token is gone.
                shared.data[1].with_mut(|d| unsafe { *d = 1 });
                drop(clone);
            });
            // SAFETY: as above.
            shared.data[0].with_mut(|d| unsafe { *d = 1 });
            drop(token);
            second
        });
        shared.group.wait();
        for cell in &shared.data {
            // SAFETY: both tokens are gone.
            assert_eq!(cell.with(|d| unsafe { *d }), 1);
        }
        first.join().unwrap().join().unwrap();
    });
}
