//! Waits against notifications, cancels and time.

use super::*;
use crate::test_support::block_on;
use core::{
    future::Future,
    task::{Context, Waker},
};
use loom::thread;
use std::{boxed::Box, sync::Arc};

#[derive(Default)]
struct Shared {
    count: Mutex<u32>,
    condvar: Condvar,
}

fn add_one(shared: &Shared, with_the_lock: bool) {
    let mut count = shared.count.lock();
    *count += 1;
    if !with_the_lock {
        drop(count);
        return shared.condvar.notify_one();
    }
    shared.condvar.notify_one();
}

/// A change under the mutex and its notification, with the mutex or without, are not missed. Fails if the waiter joins the
/// line after it has unlocked (N1).
#[test]
fn condvar_notification_is_not_missed() {
    for (future, with_the_lock) in [(false, false), (false, true), (true, false), (true, true)] {
        loom::model(move || {
            let shared = Arc::new(Shared::default());
            let other = {
                let shared = shared.clone();
                thread::spawn(move || add_one(&shared, with_the_lock))
            };
            let mut count = shared.count.lock();
            while *count == 0 {
                count = if future { block_on(shared.condvar.wait_async(count)) } else { shared.condvar.wait(count) };
            }
            drop(count);
            other.join().unwrap();
        });
    }
}

/// Two wait, a thread and a future, and two notifications of one each wake both.
#[test]
fn condvar_each_notification_wakes_one() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let mut future = Box::pin(shared.condvar.wait_async(shared.count.lock()));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let thread = {
            let shared = shared.clone();
            thread::spawn(move || drop(shared.condvar.wait_while(shared.count.lock(), |count| *count < 2)))
        };
        add_one(&shared, false);
        add_one(&shared, false);
        drop(block_on(future));
        thread.join().unwrap();
    });
}

/// A waiter goes away while a notification comes: the one behind it gets that, or it is the first. Fails if a notification
/// is not passed on.
#[test]
fn condvar_cancel_meets_notification() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let mut goes = Box::pin(shared.condvar.wait_async(shared.count.lock()));
        assert!(goes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = {
            let shared = shared.clone();
            thread::spawn(move || add_one(&shared, false))
        };
        let waiter = {
            let shared = shared.clone();
            thread::spawn(move || drop(shared.condvar.wait_while(shared.count.lock(), |count| *count == 0)))
        };
        drop(goes);
        waiter.join().unwrap();
        other.join().unwrap();
    });
}
