//! Time limits, cancels, panics; and random histories of futures against a sequential model. The cases that other libraries
//! test are in the `tests` package.

use super::*;
use crate::test_support::{Woken, assert_not, block_on};
use core::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use proptest::prelude::*;
use std::{
    boxed::Box,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

type Wait<'a> = Pin<Box<CondvarWait<'a, u32>>>;

fn poll<'a>(wait: &mut Wait<'a>, waker: &Waker) -> Poll<MutexGuard<'a, u32>> {
    wait.as_mut().poll(&mut Context::from_waker(waker))
}

fn waiting<'a>(condvar: &'a Condvar, mutex: &'a Mutex<u32>) -> (Wait<'a>, Arc<Woken>) {
    let (woken, waker) = Woken::new();
    let mut wait = Box::pin(condvar.wait_async(mutex.lock()));
    assert!(mutex.try_lock().is_none(), "until it is polled");
    assert!(poll(&mut wait, &waker).is_pending());
    assert!(mutex.try_lock().is_some());
    (wait, woken)
}

fn is_ready(wait: &mut Wait<'_>) -> bool {
    poll(wait, Waker::noop()).is_ready()
}

#[test]
fn every_kind_of_wait_is_notified() {
    static MUTEX: Mutex<u32> = Mutex::new(0);
    static CONDVAR: Condvar = Condvar::new();
    let waits: [fn() -> u32; 5] = [
        || {
            let mut guard = MUTEX.lock();
            while *guard == 0 {
                guard = CONDVAR.wait(guard);
            }
            *guard
        },
        || *CONDVAR.wait_while(MUTEX.lock(), |value| *value == 0),
        || {
            let mut guard = MUTEX.lock();
            while *guard == 0 {
                let (again, in_time) = CONDVAR.wait_timeout(guard, LONG);
                assert_eq!(in_time, Ok(()));
                guard = again;
            }
            *guard
        },
        || {
            let (guard, in_time) = CONDVAR.wait_timeout_while(MUTEX.lock(), LONG, |value| *value == 0);
            assert_eq!(in_time, Ok(()));
            *guard
        },
        || {
            block_on(async {
                let mut guard = MUTEX.lock();
                while *guard == 0 {
                    guard = CONDVAR.wait_async(guard).await;
                }
                *guard
            })
        },
    ];
    // More than one batch of wakers.
    let waiting: Vec<_> = waits.iter().copied().cycle().take(45).map(thread::spawn).collect();
    thread::sleep(SHORT);
    CONDVAR.notify_all(); // in vain: nothing has changed
    thread::sleep(SHORT);
    *MUTEX.lock() = 7;
    CONDVAR.notify_all();
    waiting.into_iter().for_each(|waiting| assert_eq!(waiting.join().unwrap(), 7));
    assert!(CONDVAR.line.lock().0.is_empty());
}

#[test]
fn a_wait_that_ran_out_of_time_leaves_no_trace() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let (guard, in_time) = condvar.wait_timeout(mutex.lock(), SHORT);
    assert_eq!(in_time, Err(TimedOut));
    let (guard, in_time) = condvar.wait_timeout(guard, Duration::ZERO);
    assert_eq!(in_time, Err(TimedOut));
    let (guard, in_time) = condvar.wait_timeout_while(guard, SHORT, |_| true);
    assert_eq!(in_time, Err(TimedOut));
    let (guard, in_time) = condvar.wait_timeout_while(guard, Duration::ZERO, |_| false);
    assert_eq!(in_time, Ok(()));
    assert!(condvar.line.lock().0.is_empty());
    drop(guard);
    condvar.notify_one(); // nobody: it is not kept
    assert_eq!(condvar.wait_timeout(mutex.lock(), SHORT).1, Err(TimedOut));
}

/// A future that is dropped at any step, with another behind it: that one gets the notification.
#[test]
fn a_wait_dropped_at_any_step_passes_its_notification_on() {
    for (notified, held) in [(false, false), (true, false), (true, true)] {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let (mut goes, woken) = waiting(&condvar, &mutex);
        let (mut next, next_woken) = waiting(&condvar, &mutex);
        if notified {
            condvar.notify_one();
        }
        assert_eq!((woken.times(), next_woken.times()), (usize::from(notified), 0));
        let guard = held.then(|| mutex.lock());
        if held {
            assert!(!is_ready(&mut goes), "notified, and the mutex is another's");
        }
        drop(goes);
        assert_eq!(Arc::strong_count(&woken), 1, "no waker is left");
        assert_eq!(next_woken.times(), usize::from(notified));
        drop(guard);
        assert_eq!(is_ready(&mut next), notified);
        assert!(mutex.try_lock().is_some());
    }
    // Before its first poll it has the mutex.
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    drop(condvar.wait_async(mutex.lock()));
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_notification_that_was_used_is_not_passed_on() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let (mut first, _) = waiting(&condvar, &mutex);
    let (mut next, woken) = waiting(&condvar, &mutex);
    condvar.notify_one();
    assert!(is_ready(&mut first) && first.is_terminated());
    drop(first);
    assert_eq!(woken.times(), 0);
    assert!(!is_ready(&mut next));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let (mut wait, first) = waiting(&condvar, &mutex);
    let (second, waker) = Woken::new();
    assert!(poll(&mut wait, &waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 1);
    condvar.notify_all();
    assert_eq!(second.times(), 1);
}

#[test]
fn a_leaked_wait_harms_nobody_else() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let (leaked, woken) = waiting(&condvar, &mutex);
    // SAFETY: it stays in its box.
    let leaked = Box::into_raw(unsafe { Pin::into_inner_unchecked(leaked) });
    let (mut next, _) = waiting(&condvar, &mutex);
    condvar.notify_all();
    assert_eq!(woken.times(), 1);
    assert!(is_ready(&mut next));
    // SAFETY: nobody else has it; for the leak check.
    drop(unsafe { Box::from_raw(leaked) });
}

#[test]
fn panics_leave_the_mutex_free() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let panic = catch_unwind(AssertUnwindSafe(|| drop(condvar.wait_while(mutex.lock(), |_| panic!("asked")))));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"asked"));
    assert!(mutex.try_lock().is_some() && condvar.line.lock().0.is_empty());
}

/// Guards of two mutexes at one variable: each gets its own back.
#[test]
fn two_mutexes_may_share_a_variable() {
    let (one, two, condvar) = (Mutex::new(1), Mutex::new(2), Condvar::new());
    let ((mut first, _), (mut second, _)) = (waiting(&condvar, &one), waiting(&condvar, &two));
    condvar.notify_all();
    let values = [&mut first, &mut second].map(|wait| match poll(wait, Waker::noop()) {
        Poll::Ready(guard) => *guard,
        Poll::Pending => panic!("notified"),
    });
    assert_eq!(values, [1, 2]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Polls the future in a slot, a new one if there is none.
    Poll(usize),
    Drop(usize),
    NotifyOne,
    NotifyAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize).prop_map(Step::Poll),
        3 => (0..4_usize).prop_map(Step::Drop),
        3 => Just(Step::NotifyOne),
        1 => Just(Step::NotifyAll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// A line, and who of those taken out of it has not used his notification yet.
    #[test]
    fn random_histories(steps in proptest::collection::vec(step(), 1..60)) {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let wakers: [_; 4] = core::array::from_fn(|_| Woken::new());
        let mut futures: [Option<Wait<'_>>; 4] = [const { None }; 4];
        let (mut line, mut notified, mut woken) = (VecDeque::new(), [false; 4], [0; 4]);
        let notify_one = |line: &mut VecDeque<usize>, notified: &mut [bool; 4], woken: &mut [usize; 4]| {
            if let Some(first) = line.pop_front() {
                notified[first] = true;
                woken[first] += 1;
            }
        };
        for step in steps {
            match step {
                Step::Poll(i) => {
                    let future = futures[i].get_or_insert_with(|| {
                        line.push_back(i);
                        Box::pin(condvar.wait_async(mutex.lock()))
                    });
                    let ready = poll(future, &wakers[i].1).is_ready();
                    prop_assert_eq!(ready, notified[i]);
                    if ready {
                        notified[i] = false;
                        futures[i] = None;
                    }
                }
                Step::Drop(i) => {
                    futures[i] = None;
                    line.retain(|waiting| *waiting != i);
                    if std::mem::take(&mut notified[i]) {
                        notify_one(&mut line, &mut notified, &mut woken);
                    }
                }
                Step::NotifyOne => {
                    condvar.notify_one();
                    notify_one(&mut line, &mut notified, &mut woken);
                }
                Step::NotifyAll => {
                    condvar.notify_all();
                    while !line.is_empty() {
                        notify_one(&mut line, &mut notified, &mut woken);
                    }
                }
            }
            prop_assert_eq!(core::array::from_fn(|i| wakers[i].0.times()), woken);
        }
        prop_assert!(mutex.try_lock().is_some());
    }
}

const _: fn() = || {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    sync::<Condvar>();
    send::<CondvarWait<'_, Cell<u8>>>();
};
assert_not!(CondvarWait<'static, *const u8>: Send);
assert_not!(CondvarWait<'static, u8>: Unpin);
