//! Holders against each other, and against those who wait in every way.

use super::{raw::Wait, *};
use crate::{
    seat::Kind,
    test_support::{Woken, block_on, poll_once},
};
use core::task::Waker;
use loom::thread;
use std::{boxed::Box, sync::Arc, vec::Vec};

fn contend(threads: usize, rounds: usize, bump: fn(&Mutex<usize>)) {
    loom::model(move || {
        let lock = Arc::new(Mutex::new(0));
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || (0..rounds).for_each(|_| bump(&lock)))
            })
            .collect();
        (0..rounds).for_each(|_| *lock.lock() += 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(*lock.lock(), threads * rounds);
    });
}

/// Holders see each other's writes, and every sleeper is woken. Fails if setting L, or clearing it with nobody in line, is Relaxed,
/// or if Q is set without the queue lock.
#[test]
fn mutex_two_threads_twice() {
    contend(2, 2, |lock| *lock.lock() += 1);
}

/// With two sleepers, a wake-up in vain is not lost (M3). Fails if clearing L with a call at the head of the line is Relaxed.
#[test]
fn mutex_three_threads() {
    contend(3, 1, |lock| *lock.lock() += 1);
}

/// The same where one waits as a future. Fails if a woken future does not sit down again.
#[test]
fn mutex_call_against_future() {
    contend(2, 2, |lock| *block_on(lock.lock_async()) += 1);
}

/// A future, polled once and then never again, does not keep the lock from who stands behind it, another future or a call
/// (M4). Fails if an unlock wakes the first future only, if it grants, or if its clearing of L is Relaxed.
fn forgotten(bump: fn(&Mutex<u32>)) {
    loom::model(move || {
        let lock = Arc::new(Mutex::new(0));
        let guard = lock.lock();
        let mut forgotten = Box::pin(lock.lock_async());
        assert!(poll_once(&mut forgotten, Waker::noop()).is_pending());
        let other = {
            let lock = lock.clone();
            thread::spawn(move || bump(&lock))
        };
        drop(guard);
        other.join().unwrap();
        assert_eq!(*lock.lock(), 1);
    });
}

#[test]
fn mutex_forgotten_future_is_passed_by_a_future() {
    forgotten(|lock| *block_on(lock.lock_async()) += 1);
}

#[test]
fn mutex_forgotten_future_is_passed_by_a_call() {
    forgotten(|lock| *lock.lock() += 1);
}

/// A call that unwinds out of its sleep, or runs out of time, while the lock is given back: who stands behind it gets the
/// lock. Fails if a withdrawal drops the wake-up that it had.
fn withdraw(give_up: bool, unlock: fn(&Mutex<u32>)) {
    loom::model(move || {
        let lock = Arc::new(Mutex::new(0));
        assert!(lock.raw.take());
        let other = {
            let wait = Box::pin(Wait::new(&lock.raw, Kind::Patient));
            assert!(wait.as_ref().poll(Waker::noop()).is_pending());
            let other = {
                let lock = lock.clone();
                thread::spawn(move || *lock.lock() += 1)
            };
            let holder = {
                let lock = lock.clone();
                thread::spawn(move || unlock(&lock))
            };
            if give_up && wait.give_up() {
                // SAFETY: ours, as it says.
                unsafe { lock.raw.give_back() };
            }
            drop(wait);
            holder.join().unwrap();
            other
        };
        other.join().unwrap();
        assert_eq!(*lock.lock(), 1);
    });
}

/// The one unlock by the holder that the test took it for.
fn give_back(lock: &Mutex<u32>) {
    // SAFETY: it is locked, and its holder does nothing else.
    unsafe { lock.raw.give_back() }
}

fn hand_over(lock: &Mutex<u32>) {
    // SAFETY: as above.
    unsafe { lock.raw.hand_over() }
}

#[test]
fn mutex_unwinding_wait_passes_on() {
    withdraw(false, give_back);
}

#[test]
fn mutex_unwinding_wait_passes_a_grant_on() {
    withdraw(false, hand_over);
}

#[test]
fn mutex_wait_out_of_time_passes_on() {
    withdraw(true, give_back);
}

#[test]
fn mutex_wait_out_of_time_keeps_a_grant() {
    withdraw(true, hand_over);
}

/// A future that is polled by another task while the lock is given back: the waker of the last poll is woken if that said
/// `Pending`. Fails if the seat keeps the first waker.
#[test]
fn mutex_new_waker_meets_unlock() {
    loom::model(|| {
        let lock = Arc::new(Mutex::new(0));
        let ((_, old), (new, waker)) = (Woken::new(), Woken::new());
        assert!(lock.raw.take());
        let mut future = Box::pin(lock.lock_async());
        assert!(poll_once(&mut future, &old).is_pending());
        let other = {
            let lock = lock.clone();
            thread::spawn(move || give_back(&lock))
        };
        let ready = poll_once(&mut future, &waker).is_ready();
        other.join().unwrap();
        assert!(ready || new.times() == 1 && poll_once(&mut future, &waker).is_ready());
    });
}

/// A future that is dropped while the lock is given back: nobody touches what is gone, and the lock is free.
#[test]
fn mutex_drop_meets_unlock() {
    loom::model(|| {
        let lock = Arc::new(Mutex::new(0));
        assert!(lock.raw.take());
        let mut future = Box::pin(lock.lock_async());
        assert!(poll_once(&mut future, Waker::noop()).is_pending());
        let other = {
            let lock = lock.clone();
            thread::spawn(move || give_back(&lock))
        };
        drop(future);
        other.join().unwrap();
        assert!(lock.try_lock().is_some());
    });
}

/// A lock that is granted is held, and shows what its last holder wrote.
#[test]
fn mutex_handed_over() {
    loom::model(|| {
        let lock = Arc::new(Mutex::new(0));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || *lock.lock() += 1)
        };
        let mut guard = lock.lock();
        *guard += 1;
        MutexGuard::unlock_fair(guard);
        other.join().unwrap();
        assert_eq!(*lock.lock(), 2);
    });
}

/// While an impatient call is in line, nobody comes in between the two steps of an unlock (M5), and that unlock is the last
/// that it waits for. Fails if `take` does not heed S.
fn impatient(give_up: bool) {
    loom::model(move || {
        let lock = Arc::new(Mutex::new(0));
        assert!(lock.raw.take());
        let wait = Box::pin(Wait::new(&lock.raw, Kind::Impatient));
        assert!(wait.as_ref().poll(Waker::noop()).is_pending());
        let holder = {
            let lock = lock.clone();
            thread::spawn(move || give_back(&lock))
        };
        if give_up {
            let ours = wait.give_up();
            holder.join().unwrap();
            if ours {
                give_back(&lock);
            }
            drop(wait);
        } else {
            assert!(lock.try_lock().is_none());
            holder.join().unwrap();
            assert!(wait.as_ref().poll(Waker::noop()).is_ready());
            drop(wait);
            give_back(&lock);
        }
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn mutex_impatient_is_not_passed() {
    impatient(false);
}

#[test]
fn mutex_impatient_gives_up() {
    impatient(true);
}

/// What a holder wrote who came in between the two steps of an unlock is seen by the next. Fails if setting L again is Relaxed.
#[test]
fn mutex_between_the_steps_of_an_unlock() {
    loom::model(|| {
        let lock = Arc::new(Mutex::new(0));
        let guard = lock.lock();
        let mut future = Box::pin(lock.lock_async());
        assert!(poll_once(&mut future, Waker::noop()).is_pending());
        let other = {
            let lock = lock.clone();
            thread::spawn(move || lock.try_lock().map(|mut value| *value = 1).is_some())
        };
        drop(guard);
        if lock.try_lock().is_some_and(|value| *value == 1) {
            assert!(other.join().unwrap());
        }
    });
}
