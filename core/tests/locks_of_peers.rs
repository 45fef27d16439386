//! The cases that spin, maitake-sync and embassy-sync have for their sleeping locks and their reader-writer locks, written anew.
//!
//! spin's mutexes are in `src/spin/tests.rs`, embassy-sync's mapped guards in `tests/lock_api.rs`. Left out: forced unlocks and
//! `leak`, which ours do not have; upgradable reads, which ours do not have; owned guards of an `Arc`, which `lock_api` has;
//! mutexes that are generic over a raw one inside (maitake-sync, embassy-sync), which ours are not; maitake-sync's loom models,
//! which ours are more of.

use greenlight_core::{Mutex, MutexLockFuture, RwLock};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
};

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// One poll of a future that is ready, or of one that is given up.
macro_rules! now {
    ($future:expr) => {
        match pin!($future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    };
}

// maitake-sync's mutex.

#[test]
fn mutex_single_threaded() {
    let lock = Mutex::new(1);
    for i in 1..4 {
        block_on(async {
            let mut value = lock.lock_async().await;
            assert_eq!(*value, i);
            *value += 1;
        });
    }
}

#[test]
fn mutex_multi_threaded() {
    let lock = Arc::new(Mutex::new(0));
    let threads = [(); 2].map(|()| {
        let lock = lock.clone();
        thread::spawn(move || block_on(async move { *lock.lock_async().await += 1 }))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*block_on(lock.lock_async()), 2);
}

#[test]
fn lock_future_is_a_future() {
    fn is_future<F: Future + Send>() {}
    is_future::<MutexLockFuture<'_, ()>>();
}

// maitake-sync's and embassy-sync's reader-writer lock.

#[test]
fn reads_together() {
    let lock = RwLock::new(100);
    let (one, two) = (now!(lock.read_async()).unwrap(), now!(lock.read_async()).unwrap());
    assert_eq!(*one + *two, 200);
}

#[test]
fn a_write_waits_for_a_read_and_a_read_for_a_write() {
    let lock = RwLock::new(100);
    let reading = now!(lock.read_async()).unwrap();
    assert!(now!(lock.write_async()).is_none());
    drop(reading);
    let writing = now!(lock.write_async()).unwrap();
    assert!(now!(lock.read_async()).is_none() && now!(lock.write_async()).is_none());
    drop(writing);
    assert!(now!(lock.read_async()).is_some());
}

#[test]
fn a_write_that_waits_is_woken_by_the_end_of_the_read() {
    let lock = RwLock::new(100);
    let reading = now!(lock.read_async()).unwrap();
    let mut writing = pin!(lock.write_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(writing.as_mut().poll(&mut context).is_pending());
    drop(reading);
    assert!(writing.as_mut().poll(&mut context).is_ready());
}

#[test]
fn two_reads_one_of_which_ends_beside_a_write_that_waits() {
    let lock = RwLock::new(100);
    let (one, two) = (now!(lock.read_async()).unwrap(), now!(lock.read_async()).unwrap());
    let mut writing = pin!(lock.write_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(writing.as_mut().poll(&mut context).is_pending());
    drop(one);
    assert!(writing.as_mut().poll(&mut context).is_pending());
    drop(two);
    assert!(writing.as_mut().poll(&mut context).is_ready());
}

#[test]
fn guards_give_the_lock_back() {
    let lock = RwLock::new([0, 1]);
    for _ in 0..2 {
        assert_eq!(*block_on(lock.read_async()), [0, 1]);
    }
    block_on(lock.write_async())[1] = 2;
    assert_eq!(*block_on(lock.read_async()), [0, 2]);
}

// spin's reader-writer lock.

#[test]
fn smoke() {
    let lock = RwLock::new(());
    drop(lock.read());
    drop(lock.write());
    drop((lock.read(), lock.read_recursive()));
    drop(lock.write());
}

/// A writer takes the value apart and together again; no reader sees it in between.
#[test]
fn readers_see_no_half_of_a_write() {
    let lock = Arc::new(RwLock::new(0));
    let writer = {
        let lock = lock.clone();
        thread::spawn(move || {
            for _ in 0..10 {
                let mut value = lock.write();
                let before = *value;
                *value = -1;
                thread::yield_now();
                *value = before + 1;
            }
        })
    };
    let readers = [(); 5].map(|()| {
        let lock = lock.clone();
        thread::spawn(move || assert!(*lock.read() >= 0))
    });
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    writer.join().unwrap();
    assert_eq!(*lock.read(), 10);
}

#[test]
fn used_by_a_drop_during_a_panic() {
    struct Unwinder<'a>(&'a RwLock<i32>);
    impl Drop for Unwinder<'_> {
        fn drop(&mut self) {
            *self.0.write() += 1;
        }
    }
    let lock = RwLock::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _unwinder = Unwinder(&lock);
        panic!("unwinding");
    }));
    assert!(panicked.is_err());
    assert_eq!(*lock.read(), 2);
}

#[test]
fn unsized_values() {
    let lock: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
    lock.write()[0] = 4;
    assert_eq!(*lock.read(), [4, 2, 3]);
    assert_eq!(block_on(lock.read_async()).len(), 3);
}

#[test]
fn tries() {
    let lock = RwLock::new(0);
    let reading = lock.read();
    assert!(lock.try_write().is_none() && lock.try_read().is_some());
    drop(reading);
    let writing = lock.try_write().unwrap();
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
    drop(writing);
}

#[test]
fn the_value_comes_out_and_is_dropped_once() {
    let value = Arc::new(());
    let lock = RwLock::new(value.clone());
    let inner = lock.into_inner();
    assert_eq!(Arc::strong_count(&value), 2);
    drop(inner);
    assert_eq!(Arc::strong_count(&value), 1);
}
