//! Callers against each other, against an initialiser that fails, and against those who wait.

use super::*;
use crate::test_support::block_on;
use loom::{cell::UnsafeCell, thread};
use std::sync::Arc;

struct Shared {
    once: Once,
    data: UnsafeCell<u32>,
}

// SAFETY: the cell is what the model checks: loom reports a race on it.
unsafe impl Sync for Shared {}
// SAFETY: plain data.
unsafe impl Send for Shared {}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { once: Once::new(), data: UnsafeCell::new(0) })
}

impl Shared {
    fn call(&self) {
        // SAFETY: once, so nobody else is there.
        self.once.call_once(|| self.data.with_mut(|data| unsafe { *data += 1 }));
    }

    fn read(&self) -> u32 {
        // SAFETY: done: nobody writes any more.
        self.data.with(|data| unsafe { *data })
    }
}

/// Three come, one of them a future: it is done once, and each of them sees it.
#[test]
fn once_is_done_once() {
    loom::model(|| {
        let shared = shared();
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.call();
                assert_eq!(shared.read(), 1);
            })
        };
        let future = {
            let shared = shared.clone();
            thread::spawn(move || {
                block_on(shared.once.call_once_async(async || {
                    // SAFETY: once, so nobody else is there.
                    shared.data.with_mut(|data| unsafe { *data += 1 });
                }));
                assert_eq!(shared.read(), 1);
            })
        };
        shared.call();
        assert_eq!(shared.read(), 1);
        other.join().unwrap();
        future.join().unwrap();
    });
}

/// A look without the lock shows what was done. Fails if either the store or the look is Relaxed.
#[test]
fn once_look_sees_what_was_done() {
    loom::model(|| {
        let shared = shared();
        let other = {
            let shared = shared.clone();
            thread::spawn(move || shared.call())
        };
        thread::yield_now(); // the checker does not try by itself what a first look finds after the other's end
        if shared.once.is_completed() {
            assert_eq!(shared.read(), 1);
        }
        other.join().unwrap();
    });
}

/// One gives up in the middle while two wait: one of them does it, the other sees it. Fails if
/// nobody is woken.
#[test]
fn once_given_up_is_retried() {
    loom::model(|| {
        let shared = shared();
        let Some(Entry::Mine(running)) = shared.once.try_enter() else { unreachable!() };
        let others = [0; 2].map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.call();
                assert_eq!(shared.read(), 1);
            })
        });
        drop(running);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// Who waits, as a thread or as a future, is woken.
#[test]
fn once_waits_end() {
    for future in [false, true] {
        loom::model(move || {
            let shared = shared();
            let calling = {
                let shared = shared.clone();
                thread::spawn(move || shared.call())
            };
            if future {
                block_on(shared.once.wait_async());
            } else {
                shared.once.wait();
            }
            assert_eq!(shared.read(), 1);
            calling.join().unwrap();
        });
    }
}
