//! Notifications against waits and cancels.

use super::*;
use crate::test_support::block_on;
use core::task::Waker;
use loom::{cell::UnsafeCell, sync::atomic::AtomicBool, thread};
use std::{boxed::Box, sync::Arc};

#[derive(Default)]
struct Shared {
    notify: Notify,
    data: UnsafeCell<u32>,
    has_posted: AtomicBool,
}

// SAFETY: the cells are what the model checks: loom reports a race on them.
unsafe impl Sync for Shared {}
// SAFETY: plain data.
unsafe impl Send for Shared {}

impl Shared {
    fn write(&self) {
        // SAFETY: the cell is the thread's own until it notifies.
        self.data.with_mut(|data| unsafe { *data = 1 });
    }

    fn read(&self) -> u32 {
        // SAFETY: who wrote has notified.
        self.data.with(|data| unsafe { *data })
    }
}

fn spawn<R: 'static>(shared: &Arc<Shared>, f: impl FnOnce(&Shared) -> R + 'static) -> thread::JoinHandle<R> {
    let shared = shared.clone();
    thread::spawn(move || f(&shared))
}

/// One is notified, before or after it sleeps, and sees what came before. Fails if the post is Relaxed.
#[test]
fn notify_one_is_heard() {
    for future in [false, true] {
        loom::model(move || {
            let shared = Arc::new(Shared::default());
            let other = spawn(&shared, |shared| {
                shared.write();
                shared.notify.notify_one();
            });
            if future {
                block_on(shared.notify.notified());
            } else {
                shared.notify.wait();
            }
            assert_eq!(shared.read(), 1);
            other.join().unwrap();
        });
    }
}

/// One notification is kept of two; who takes it knows what came before both (F3). Fails if a post that keeps nothing
/// writes nothing, or decides by a look at what may be taken meanwhile.
#[test]
fn notify_kept_one_shows_what_came_before_both() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        shared.notify.notify_one();
        let other = spawn(&shared, |shared| {
            shared.write();
            shared.notify.notify_one();
            shared.has_posted.store(true, Relaxed);
        });
        thread::yield_now();
        assert!(shared.notify.try_wait());
        // Posted, and nothing is kept: that post came before the take. Neither look orders anything.
        let state = &shared.notify.semaphore.state;
        if shared.has_posted.load(Relaxed) && state.fetch_or(0, Relaxed) < ONE {
            assert_eq!(shared.read(), 1);
        }
        other.join().unwrap();
    });
}

/// All who wait are let go at once, without a permit.
#[test]
fn notify_waiters_frees_all() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let mut future = Box::pin(shared.notify.notified());
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = spawn(&shared, |shared| {
            shared.write();
            shared.notify.notify_waiters();
        });
        block_on(future);
        assert_eq!(shared.read(), 1);
        assert!(!shared.notify.try_wait());
        other.join().unwrap();
    });
}

/// One goes away while a notification comes: it is kept for the next.
#[test]
fn notify_cancel_meets_notification() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let mut goes = Box::pin(shared.notify.notified());
        assert!(goes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = spawn(&shared, |shared| shared.notify.notify_one());
        drop(goes);
        shared.notify.wait();
        other.join().unwrap();
        assert!(!shared.notify.try_wait());
    });
}
