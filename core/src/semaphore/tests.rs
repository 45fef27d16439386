//! Order, futures that nobody polls, cancels, limits; and random histories of futures against a sequential model. The cases
//! that other libraries test are in the `tests` package.

use super::*;
use crate::test_support::{Woken, assert_not};
use core::{
    future::Future,
    mem,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Context, Poll, Waker},
};
use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind},
    string::{String, ToString},
    sync::Arc,
    thread,
    vec::Vec,
};

mod history;

const SHORT: Duration = Duration::from_millis(20);

type Acquire<'a> = Pin<Box<SemaphoreAcquire<'a>>>;

fn poll<'a>(acquire: &mut Acquire<'a>, waker: &Waker) -> Poll<Result<SemaphorePermit<'a>, AcquireError>> {
    acquire.as_mut().poll(&mut Context::from_waker(waker))
}

fn waiting(semaphore: &Semaphore, permits: usize) -> (Acquire<'_>, Arc<Woken>) {
    let (woken, waker) = Woken::new();
    let mut acquire = Box::pin(semaphore.acquire_async(permits));
    assert!(poll(&mut acquire, &waker).is_pending());
    (acquire, woken)
}

fn is_ready(acquire: &mut Acquire<'_>) -> bool {
    poll(acquire, Waker::noop()).is_ready()
}

fn assert_untouched(semaphore: &Semaphore, permits: usize) {
    assert_eq!(semaphore.state.load(SeqCst), permits * ONE);
    let line = semaphore.line.lock();
    assert!(line.queue.is_empty() && line.called == 0 && line.threads == 0);
}

/// The text of the panic of `f`.
fn panic_of(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .unwrap_or_else(|| panic.downcast_ref::<String>().unwrap().clone())
}

// Order ---------------------------------------------------------------------------------------------------------------

#[test]
fn a_large_request_is_not_passed_by_small_ones() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.acquire(1).unwrap();
    let (mut large, woken) = waiting(&semaphore, 2);
    let (mut small, _) = waiting(&semaphore, 1);
    assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::NoPermits));
    assert_eq!(semaphore.acquire_timeout(1, SHORT).err(), Some(AcquireTimeoutError::Timeout));
    assert!(!is_ready(&mut small));
    assert_eq!((semaphore.available_permits(), woken.times()), (1, 0));
    drop(held);
    assert_eq!(woken.times(), 1);
    let Poll::Ready(Ok(both)) = poll(&mut large, Waker::noop()) else { panic!("two are free") };
    assert!(!is_ready(&mut small));
    drop(both);
    assert!(is_ready(&mut small));
}

/// When the large one at the head goes, the small ones behind it get what is there.
#[test]
fn who_goes_from_the_head_makes_room() {
    let semaphore = Semaphore::new(2);
    let (large, _) = waiting(&semaphore, 3);
    let (mut small, woken) = waiting(&semaphore, 2);
    drop(large);
    assert_eq!(woken.times(), 1);
    assert!(is_ready(&mut small));
    drop(small);
    assert_untouched(&semaphore, 2);
}

#[test]
fn threads_are_served_in_the_order_they_came() {
    let semaphore = Semaphore::new(0);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for i in 0..10 {
            let (semaphore, served) = (&semaphore, &served);
            scope.spawn(move || {
                semaphore.acquire(1).unwrap().forget();
                assert_eq!(served.fetch_add(1, SeqCst), i);
            });
            while semaphore.line.lock().threads <= i {
                thread::yield_now();
            }
        }
        for i in 0..10 {
            semaphore.add_permits(1);
            while served.load(SeqCst) <= i {
                thread::yield_now();
            }
        }
    });
    assert_untouched(&semaphore, 0);
}

#[test]
fn no_permits_can_be_had_at_any_time() {
    let semaphore = Semaphore::new(0);
    let (_waiting, _) = waiting(&semaphore, 1);
    drop((semaphore.acquire(0).unwrap(), semaphore.try_acquire(0).unwrap()));
    assert!(is_ready(&mut Box::pin(semaphore.acquire_async(0))));
    semaphore.close();
    assert!(semaphore.acquire(0).is_err() && semaphore.try_acquire(0).is_err());
}

// Futures that nobody polls (P4) --------------------------------------------------------------------------------------

/// The plain case of a "futurelock": a task keeps a future that was let go, and waits for another one on the same semaphore.
#[test]
fn a_task_that_does_not_poll_its_first_future_gets_on_with_its_second() {
    for second_came_before_the_release in [true, false] {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire(1).unwrap();
        let (idle, woken) = waiting(&semaphore, 1);
        let mut held = Some(held);
        let mut second = if second_came_before_the_release {
            waiting(&semaphore, 1).0
        } else {
            held = None;
            Box::pin(semaphore.acquire_async(1))
        };
        drop(held);
        assert_eq!(woken.times(), 1, "so the task is polled, and its second future with it");
        // The first one is let run once.
        let (again, waker) = Woken::new();
        assert!(poll(&mut second, &waker).is_pending());
        assert_eq!(again.times(), 1);
        assert!(poll(&mut second, &waker).is_ready());
        drop((idle, second));
        assert_untouched(&semaphore, 1);
    }
}

#[test]
fn a_thread_behind_an_idle_future_gets_the_permit() {
    let semaphore = Semaphore::new(0);
    let (idle, _) = waiting(&semaphore, 1);
    let (behind, woken) = waiting(&semaphore, 1);
    thread::scope(|scope| {
        let thread = scope.spawn(|| semaphore.acquire(1).unwrap().forget());
        while semaphore.line.lock().threads == 0 {
            thread::yield_now();
        }
        semaphore.add_permits(1);
        thread.join().unwrap();
    });
    assert_eq!(woken.times(), 0);
    drop((idle, behind));
    assert_untouched(&semaphore, 0);
}

#[test]
fn who_comes_after_an_idle_future_was_called_gets_the_permit() {
    let semaphore = Semaphore::new(0);
    let (idle, _) = waiting(&semaphore, 1);
    semaphore.add_permits(1);
    drop(semaphore.try_acquire(1).unwrap());
    drop(semaphore.acquire(1).unwrap());
    drop(semaphore.acquire_timeout(1, Duration::from_secs(60)).unwrap());
    drop(idle);
    assert_untouched(&semaphore, 1);
}

/// With any operation, the next future behind an idle one is woken.
#[test]
fn each_operation_calls_one_more() {
    let operations: [fn(&Semaphore); 3] = [
        |semaphore| assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::NoPermits)),
        |semaphore| semaphore.add_permits(1),
        |semaphore| assert!(semaphore.acquire_timeout(1, Duration::ZERO).is_err()),
    ];
    for operation in operations {
        let semaphore = Semaphore::new(0);
        let (_idle, first) = waiting(&semaphore, 1);
        let (mut next, woken) = waiting(&semaphore, 1);
        semaphore.add_permits(1);
        assert_eq!((first.times(), woken.times()), (1, 0));
        operation(&semaphore);
        assert_eq!((first.times(), woken.times()), (1, 1));
        assert!(is_ready(&mut next));
    }
}

#[test]
fn a_future_that_came_too_late_keeps_its_place() {
    let semaphore = Semaphore::new(0);
    let (mut first, woken) = waiting(&semaphore, 1);
    let (_second, behind) = waiting(&semaphore, 1);
    semaphore.add_permits(1);
    // One more comes, so that the second is called, too, and takes the permit.
    let (_third, _) = waiting(&semaphore, 1);
    assert_eq!((woken.times(), behind.times()), (1, 1));
    assert_eq!(semaphore.forget_permits(1), 1);
    assert!(!is_ready(&mut first));
    semaphore.add_permits(1);
    assert!(is_ready(&mut first), "before the third");
}

// Cancels -------------------------------------------------------------------------------------------------------------

#[test]
fn a_wait_that_ran_out_of_time_leaves_no_trace() {
    let semaphore = Semaphore::new(1);
    assert_eq!(semaphore.acquire_timeout(2, SHORT).err(), Some(AcquireTimeoutError::Timeout));
    assert_untouched(&semaphore, 1);
    drop(semaphore.acquire_timeout(1, SHORT).unwrap());
    semaphore.close();
    assert_eq!(semaphore.acquire_timeout(1, SHORT).err(), Some(AcquireTimeoutError::Closed));
}

/// A wait of either kind that is dropped at any step, with another behind it: that one gets the permit.
#[test]
fn a_wait_dropped_at_any_step_passes_its_permit_on() {
    for thread in [false, true] {
        for polls in 0..3 {
            for released in [false, true] {
                let semaphore = Semaphore::new(0);
                let (woken, waker) = Woken::new();
                let wait = Box::pin(Wait::new(&semaphore, Want { permits: 1, thread }));
                (0..polls).for_each(|_| assert!(wait.as_ref().poll(&waker).is_pending()));
                let (mut next, next_woken) = waiting(&semaphore, 1);
                if released {
                    semaphore.add_permits(1);
                }
                assert_eq!(woken.times(), usize::from(released && polls > 0));
                assert_eq!(semaphore.available_permits(), usize::from(released && !(thread && polls > 0)));
                drop(wait);
                drop(waker);
                assert_eq!(Arc::strong_count(&woken), 1, "no waker is left");
                assert_eq!(next_woken.times(), usize::from(released));
                assert_eq!(is_ready(&mut next), released);
                drop(next);
                assert_untouched(&semaphore, usize::from(released));
            }
        }
    }
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let semaphore = Semaphore::new(0);
    let ((first, one), (second, two)) = (Woken::new(), Woken::new());
    let mut acquire = Box::pin(semaphore.acquire_async(1));
    assert!(poll(&mut acquire, &one).is_pending() && poll(&mut acquire, &two).is_pending());
    drop(one);
    assert_eq!(Arc::strong_count(&first), 1);
    semaphore.add_permits(1);
    assert_eq!((first.times(), second.times()), (0, 1));
}

/// Leaked in line, called, and with permits.
#[test]
fn what_is_leaked_harms_nobody_else() {
    static SEMAPHORE: Semaphore = Semaphore::new(3);
    mem::forget(SEMAPHORE.try_acquire(2).unwrap());
    let (leaked, _) = waiting(&SEMAPHORE, 2);
    let leaked = Box::into_raw(unsafe_into_inner(leaked));
    SEMAPHORE.add_permits(1);
    drop(SEMAPHORE.acquire(2).unwrap());
    let (mut next, _) = waiting(&SEMAPHORE, 3);
    SEMAPHORE.add_permits(1);
    assert!(is_ready(&mut next));
    // SAFETY: nobody else has it; for the leak check.
    drop(unsafe { Box::from_raw(leaked) });
}

/// To be kept where it is.
fn unsafe_into_inner(acquire: Acquire<'_>) -> Box<SemaphoreAcquire<'_>> {
    // SAFETY: the caller leaves it in its box.
    unsafe { Pin::into_inner_unchecked(acquire) }
}

/// More than a batch of wakers, the first of which panics: all the others are woken, by a release and by a close.
#[test]
fn a_waker_that_panics_costs_nobody_else_the_wake_up() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let wakes: [fn(&Semaphore); 2] = [|semaphore| semaphore.add_permits(40), Semaphore::close];
    for wake in wakes {
        let semaphore = Semaphore::new(0);
        let (woken, waker) = Woken::new();
        let bomb = Waker::from(Arc::new(Bomb));
        let mut waits: Vec<_> = (0..40).map(|_| Box::pin(semaphore.acquire_async(1))).collect();
        for (i, wait) in waits.iter_mut().enumerate() {
            assert!(poll(wait, if i == 0 { &bomb } else { &waker }).is_pending());
        }
        assert_eq!(panic_of(|| wake(&semaphore)), "in a waker");
        assert_eq!(woken.times(), 39);
        assert!(waits.iter_mut().all(is_ready));
    }
}

// Limits and misuse ---------------------------------------------------------------------------------------------------

#[test]
fn counts_beyond_the_limit_are_panics_that_name_it_and_change_nothing() {
    const MAX: usize = Semaphore::MAX_PERMITS;
    let semaphore = Semaphore::new(MAX);
    assert!(panic_of(|| semaphore.add_permits(1)).contains("more than MAX_PERMITS"));
    assert!(panic_of(|| semaphore.add_permits(usize::MAX)).contains("more than MAX_PERMITS"));
    assert!(panic_of(|| _ = Semaphore::new(MAX + 1)).contains("more than MAX_PERMITS"));
    assert!(panic_of(|| drop(semaphore.acquire(MAX + 1))).contains("can never be had"));
    assert!(panic_of(|| drop(semaphore.try_acquire(usize::MAX))).contains("can never be had"));
    assert!(panic_of(|| drop(semaphore.acquire_async(MAX + 1))).contains("can never be had"));
    let all = semaphore.acquire(MAX).unwrap();
    let (mut next, _) = waiting(&semaphore, MAX);
    semaphore.add_permits(MAX - 1);
    assert!(panic_of(|| drop(all)).contains("more than MAX_PERMITS"), "it was full without them");
    semaphore.add_permits(1);
    assert!(is_ready(&mut next));
    assert_untouched(&semaphore, MAX);
}

#[test]
fn permits_of_two_semaphores_do_not_mix() {
    let semaphores = [Semaphore::new(1), Semaphore::new(1)];
    let [mut one, other] = semaphores.each_ref().map(|semaphore| semaphore.acquire(1).unwrap());
    assert!(panic_of(|| one.merge(other)).contains("two semaphores"));
    assert_eq!(one.permits(), 1);
    drop(one);
    semaphores.iter().for_each(|semaphore| assert_untouched(semaphore, 1));
}

#[test]
fn permits_are_split_merged_and_forgotten() {
    let semaphore = Semaphore::new(5);
    let mut four = semaphore.acquire(4).unwrap();
    assert!(four.split(5).is_none());
    assert_eq!(four.split(0).map(|none| none.permits()), Some(0));
    let one = four.split(1).unwrap();
    assert!(core::ptr::eq(one.semaphore(), &semaphore));
    four.merge(one);
    four.split(2).unwrap().forget();
    drop(four);
    assert_eq!(semaphore.available_permits(), 3);
    assert_eq!((semaphore.forget_permits(2), semaphore.forget_permits(2)), (2, 1));
    assert_untouched(&semaphore, 0);
}

#[test]
fn a_closed_semaphore_takes_permits_back() {
    let semaphore = Semaphore::new(2);
    let permit = semaphore.acquire(1).unwrap();
    let (mut called, _) = waiting(&semaphore, 2);
    let (mut in_line, woken) = waiting(&semaphore, 2);
    semaphore.add_permits(1);
    semaphore.close();
    semaphore.close();
    assert!(semaphore.is_closed());
    assert_eq!(woken.times(), 1);
    for wait in [&mut called, &mut in_line] {
        assert!(matches!(poll(wait, Waker::noop()), Poll::Ready(Err(AcquireError))));
        assert!(wait.is_terminated());
    }
    drop(permit);
    assert_eq!(semaphore.available_permits(), 3);
    assert_eq!(semaphore.try_acquire(1).err().map(|error| error.to_string()), Some("the semaphore is closed".into()));
    assert_untouched(&Semaphore::new(7), 7);
}

#[test]
fn no_more_are_inside_than_there_are_permits() {
    static SEMAPHORE: Semaphore = Semaphore::new(3);
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let threads: Vec<_> = (0..8_usize)
        .map(|i| {
            thread::spawn(move || {
                for round in 0..2_000_usize {
                    let permits = 1 + (i + round) % 3;
                    let acquired = match round % 4 {
                        0 => crate::test_support::block_on(SEMAPHORE.acquire_async(permits)).ok(),
                        1 => SEMAPHORE.try_acquire(permits).ok(),
                        2 => SEMAPHORE.acquire_timeout(permits, Duration::from_micros(20)).ok(),
                        _ => SEMAPHORE.acquire(permits).ok(),
                    };
                    if acquired.is_some() {
                        assert!(INSIDE.fetch_add(permits, SeqCst) + permits <= 3);
                        INSIDE.fetch_sub(permits, SeqCst);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_untouched(&SEMAPHORE, 3);
}

const _: fn() = || {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    sync::<Semaphore>();
    sync::<SemaphorePermit<'_>>();
    send::<SemaphorePermit<'_>>();
    send::<SemaphoreAcquire<'_>>();
};
assert_not!(SemaphoreAcquire<'static>: Unpin);
