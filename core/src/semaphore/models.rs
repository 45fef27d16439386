//! Holders in turn, sleepers, cancels and closes against releases.

use super::*;
use crate::test_support::block_on;
use core::task::{Context, Poll, Waker};
use loom::{cell::UnsafeCell, thread};
use std::{boxed::Box, future::Future, sync::Arc};

struct Shared {
    semaphore: Semaphore,
    data: [UnsafeCell<u32>; 2],
}

// SAFETY: the cells are what the model checks: loom reports a race on them.
unsafe impl Sync for Shared {}
// SAFETY: plain data.
unsafe impl Send for Shared {}

fn shared(permits: usize) -> Arc<Shared> {
    Arc::new(Shared { semaphore: Semaphore::new(permits), data: [UnsafeCell::new(0), UnsafeCell::new(0)] })
}

impl Shared {
    fn bump(&self, i: usize) {
        // SAFETY: the holder of all permits is alone, or the cell is the thread's own until it puts permits in.
        self.data[i].with_mut(|data| unsafe { *data += 1 });
    }

    fn read(&self, i: usize) -> u32 {
        // SAFETY: as above.
        self.data[i].with(|data| unsafe { *data })
    }
}

fn spawn(shared: &Arc<Shared>, f: impl FnOnce(&Shared) + 'static) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || f(&shared))
}

fn poll_once<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Holders in turn see each other's writes, without anybody in line. Fails if taking or putting back is Relaxed in the
/// calls that do not wait.
#[test]
fn semaphore_try_holders_see_each_other() {
    loom::model(|| {
        let shared = shared(1);
        let bump = |shared: &Shared| {
            if let Ok(_permit) = shared.semaphore.try_acquire(1) {
                shared.bump(0);
            }
        };
        let other = spawn(&shared, bump);
        bump(&shared);
        other.join().unwrap();
        assert!(shared.read(0) >= 1);
    });
}

/// A thread and a future take turns, twice: each is woken and sees what the other did. Fails if taking under the lock is
/// Relaxed.
#[test]
fn semaphore_thread_and_future_take_turns() {
    loom::model(|| {
        let shared = shared(1);
        let other = spawn(&shared, |shared| {
            let _permit = block_on(shared.semaphore.acquire_async(1)).unwrap();
            shared.bump(0);
        });
        for _ in 0..2 {
            let _permit = shared.semaphore.acquire(1).unwrap();
            shared.bump(0);
        }
        other.join().unwrap();
        assert_eq!(shared.read(0), 3);
        assert_eq!(shared.semaphore.state.load(Relaxed), ONE, "nobody is left, nor are traces");
    });
}

/// Three contend for one permit; with two asleep a wake-up is used or passed on.
#[test]
fn semaphore_three_take_turns() {
    loom::model(|| {
        let shared = shared(1);
        let others = [false, true].map(|future| {
            spawn(&shared, move |shared| {
                let acquired =
                    if future { block_on(shared.semaphore.acquire_async(1)) } else { shared.semaphore.acquire(1) };
                shared.bump(0);
                drop(acquired);
            })
        });
        let permit = shared.semaphore.acquire(1).unwrap();
        shared.bump(0);
        drop(permit);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(shared.read(0), 3);
    });
}

/// Who takes two permits sees what both did who put one in, whether it slept or not.
#[test]
fn semaphore_all_who_put_in_are_seen() {
    loom::model(|| {
        let shared = shared(0);
        let others = [0, 1].map(|i| {
            spawn(&shared, move |shared| {
                shared.bump(i);
                shared.semaphore.add_permits(1);
            })
        });
        let permits = shared.semaphore.acquire(2).unwrap();
        assert_eq!((shared.read(0), shared.read(1)), (1, 1));
        permits.forget();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// A release with somebody in line leaves a permit over: who takes that without the lock sees what came before. Fails if the
/// putting back under the lock is Relaxed.
#[test]
fn semaphore_rest_of_a_release_shows_what_came_before() {
    loom::model(|| {
        let shared = shared(0);
        let in_line = Box::pin(Wait::new(&shared.semaphore, Want { permits: 1, thread: true }));
        assert!(in_line.as_ref().poll(Waker::noop()).is_pending());
        let other = spawn(&shared, |shared| {
            shared.bump(0);
            shared.semaphore.add_permits(2);
        });
        thread::yield_now();
        if let Ok(_permit) = shared.semaphore.try_acquire(1) {
            assert_eq!(shared.read(0), 1);
        }
        other.join().unwrap();
    });
}

/// One who waits, as a thread or as a future, goes away while a permit comes: it is free, or the next one's.
#[test]
fn semaphore_cancel_meets_release() {
    for is_thread in [false, true] {
        loom::model(move || {
            let shared = shared(0);
            let semaphore = &shared.semaphore;
            let mut goes = Box::pin(Wait::new(semaphore, Want { permits: 1, thread: is_thread }));
            assert!(goes.as_mut().as_ref().poll(Waker::noop()).is_pending());
            let other = spawn(&shared, |shared| {
                shared.bump(0);
                shared.semaphore.add_permits(1);
            });
            drop(goes);
            let permit = semaphore.acquire(1).unwrap();
            assert_eq!(shared.read(0), 1);
            drop(permit);
            other.join().unwrap();
            assert_eq!(semaphore.state.load(Relaxed), ONE);
        });
    }
}

/// A future that was in line first and is not polled any more: the thread behind it gets the permit (P4). Fails if no thread
/// is called with it.
#[test]
fn semaphore_unpolled_future_stops_no_thread() {
    loom::model(|| {
        let shared = shared(0);
        let mut idle = Box::pin(shared.semaphore.acquire_async(1));
        assert!(poll_once(idle.as_mut()).is_pending());
        let other = spawn(&shared, |shared| shared.semaphore.acquire(1).unwrap().forget());
        shared.semaphore.add_permits(1);
        other.join().unwrap();
        drop(idle);
        assert_eq!(shared.semaphore.state.load(Relaxed), 0);
    });
}

/// A close ends every wait, or the permit was quicker.
#[test]
fn semaphore_close_ends_waits() {
    loom::model(|| {
        let shared = shared(0);
        let other = spawn(&shared, |shared| assert_eq!(shared.semaphore.acquire(1).err(), Some(AcquireError)));
        let closing = spawn(&shared, |shared| shared.semaphore.close());
        assert!(block_on(shared.semaphore.acquire_async(1)).is_err());
        other.join().unwrap();
        closing.join().unwrap();
        assert_eq!(shared.semaphore.state.load(Relaxed), CLOSED);
    });
}
