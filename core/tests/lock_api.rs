//! The raw locks in `lock_api`'s types: mapped guards, guards that own an `Arc` of their lock, fair unlocks, time limits, and
//! code that is generic over the lock.
//!
//! Among them are embassy-sync's cases of its mutex (a mapped guard gives the lock back when it is dropped), written anew.
#![cfg(all(feature = "lock_api", feature = "std"))]

use greenlight_core::raw::{RawMutex, RawRwLock, RawSpinMutex, RawTicketMutex};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(2);

/// What every mutex can do, whichever it is.
fn a_mutex<R: lock_api::RawMutex<GuardMarker = lock_api::GuardSend> + Send + Sync + 'static>() {
    let lock = Arc::new(lock_api::Mutex::<R, [u32; 2]>::new([0, 1]));
    {
        let guard = lock.lock();
        assert!(lock.is_locked() && lock.try_lock().is_none());
        let mut second = lock_api::MutexGuard::map(guard, |pair| &mut pair[1]);
        *second = 2;
        assert!(lock.is_locked(), "the mapped guard holds it");
    }
    assert!(!lock.is_locked());
    // A guard that borrows nothing moves to another thread, and is dropped there.
    let guard = lock.lock_arc();
    let elsewhere = thread::spawn(move || {
        let mut guard = guard;
        guard[0] = 7;
    });
    elsewhere.join().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let lock = lock.clone();
            thread::spawn(move || (0..500).for_each(|_| lock.lock()[1] += 1))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*lock.lock(), [7, 2002]);
}

#[test]
fn every_mutex() {
    a_mutex::<RawMutex>();
    a_mutex::<RawSpinMutex>();
    a_mutex::<RawTicketMutex>();
}

#[test]
fn fair_unlocks() {
    static SLEEPING: lock_api::Mutex<RawMutex, u32> = lock_api::Mutex::new(0);
    static TICKETS: lock_api::Mutex<RawTicketMutex, u32> = lock_api::Mutex::new(0);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                for _ in 0..200 {
                    let mut value = SLEEPING.lock();
                    *value += 1;
                    lock_api::MutexGuard::bump(&mut value);
                    *value += 1;
                    lock_api::MutexGuard::unlock_fair(value);
                    let mut value = TICKETS.lock();
                    *value += 1;
                    lock_api::MutexGuard::unlock_fair(value);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((*SLEEPING.lock(), *TICKETS.lock()), (1_600, 800));
}

#[test]
fn time_limits() {
    let lock = lock_api::Mutex::<RawMutex, u32>::new(1);
    let guard = lock.try_lock_for(SHORT).expect("free");
    assert!(lock.try_lock_for(SHORT).is_none() && lock.try_lock_until(Instant::now() + SHORT).is_none());
    drop(guard);
    assert!(lock.try_lock_until(Instant::now()).is_some());

    let lock = lock_api::RwLock::<RawRwLock, u32>::new(1);
    let writing = lock.try_write_for(SHORT).expect("free");
    assert!(lock.try_read_for(SHORT).is_none() && lock.try_read_until(Instant::now()).is_none());
    assert!(lock.try_read_recursive_for(SHORT).is_none() && lock.try_read_recursive_until(Instant::now()).is_none());
    drop(writing);
    let reading = lock.try_read_until(Instant::now()).expect("free");
    assert!(lock.try_write_for(SHORT).is_none() && lock.try_write_until(Instant::now()).is_none());
    assert!(lock.try_read_recursive_for(SHORT).is_some());
    drop(reading);
    assert!(lock.try_write_until(Instant::now()).is_some());
}

#[test]
fn an_rw_lock() {
    let lock = Arc::new(lock_api::RwLock::<RawRwLock, (u32, u32)>::new((1, 2)));
    let first = lock_api::RwLockReadGuard::map(lock.read(), |pair| &pair.0);
    assert!(lock.try_write().is_none() && lock.is_locked() && !lock.is_locked_exclusive());
    let owned = lock.read_arc();
    assert_eq!(*first + owned.1 + lock.read_recursive().0 + lock.try_read_recursive().unwrap().0, 5);
    drop(first);
    let last = thread::spawn(move || owned.1);
    assert_eq!(last.join().unwrap(), 2);
    let mut second = lock_api::RwLockWriteGuard::map(lock.write(), |pair| &mut pair.1);
    *second = 5;
    assert!(lock.try_read().is_none() && lock.is_locked_exclusive());
    drop(second);
    let mut writing = lock.write_arc();
    writing.0 = 9;
    let reading = lock_api::ArcRwLockWriteGuard::downgrade(writing);
    assert_eq!((*reading, *lock.read()), ((9, 5), (9, 5)));
    drop(reading);
    assert!(lock.try_write().is_some());
}
