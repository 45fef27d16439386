//! The lock from OS threads, by futures polled by hand, and against a sequential model.

use super::{raw::Wait, *};
use crate::{
    seat::{Kind, PATIENCE},
    test_support::{Woken, assert_not, block_on, poll_once},
};
use core::task::{Poll, Waker};
use proptest::prelude::*;
use std::{
    boxed::Box,
    cell::Cell,
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::*},
    },
    task::Wake,
    thread,
    time::Instant,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn counts_right_under_contention() {
    let lock = Arc::new(Mutex::new(0_u64));
    let bumps: [fn(&Mutex<u64>); 4] = [
        |lock| *lock.lock() += 1,
        |lock| *block_on(lock.lock_async()) += 1,
        |lock| {
            while lock.lock_timeout(Duration::from_micros(50)).map(|mut value| *value += 1).is_err() {}
        },
        |lock| {
            let mut guard = lock.lock();
            *guard += 1;
            MutexGuard::unlock_fair(guard);
        },
    ];
    let threads: Vec<_> = bumps
        .into_iter()
        .cycle()
        .take(8)
        .map(|bump| {
            let lock = lock.clone();
            thread::spawn(move || (0..5_000).for_each(|_| bump(&lock)))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*lock.lock(), 40_000);
}

#[test]
fn a_panic_unlocks() {
    let lock = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.lock();
        panic!("holding the lock");
    }));
    assert!(panicked.is_err());
    assert_eq!(*lock.lock(), 1);
}

#[test]
fn try_lock_never_waits_and_unsized_values_work() {
    let lock: &Mutex<[u8]> = &Mutex::new([1, 2, 3]);
    let guard = lock.lock();
    assert!(lock.try_lock().is_none());
    assert_eq!(guard.len(), 3);
    assert!(core::ptr::eq(MutexGuard::mutex(&guard), lock));
    drop(guard);
    assert!(lock.try_lock().is_some());
}

#[test]
fn the_value_comes_out_and_is_dropped_once() {
    let value = Rc::new(1);
    let mut lock = Mutex::new(value.clone());
    assert_eq!(**lock.get_mut(), 1);
    assert_eq!(Rc::strong_count(&lock.into_inner()), 2);
    drop(Mutex::from(value.clone()));
    assert_eq!(Rc::strong_count(&value), 1);
    assert_eq!(Mutex::<u8>::default().into_inner(), 0);
}

#[test]
fn what_is_printed() {
    let lock = Mutex::new(5);
    assert_eq!(std::format!("{lock:?}"), "Mutex(5)");
    let guard = lock.lock();
    assert_eq!(std::format!("{lock:?} {guard:?} {guard}"), "Mutex(<locked>) 5 5");
}

/// A guard and a future may move to another thread if the value may; a lock may be shared if the value may move.
#[test]
fn threads_are_promised_what_is_kept() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<MutexGuard<'_, u8>>();
    sync::<MutexGuard<'_, u8>>();
    send::<MutexLockFuture<'_, Cell<u8>>>();
    sync::<Mutex<Cell<u8>>>();
    assert_not!(Mutex<Rc<u8>>: Sync);
    assert_not!(Mutex<Rc<u8>>: Send);
    assert_not!(MutexGuard<'static, Cell<u8>>: Sync);
    assert_not!(MutexGuard<'static, Rc<u8>>: Send);
    assert_not!(MutexLockFuture<'static, Rc<u8>>: Send);
    assert_not!(MutexLockFuture<'static, u8>: Unpin);
}

/// A waiter gets the lock although the holder takes it again at once, for ever.
#[test]
fn a_barging_holder_does_not_starve_the_line() {
    let lock = Arc::new(Mutex::new(false));
    let waiter = {
        let lock = lock.clone();
        thread::spawn(move || *lock.lock() = true)
    };
    while !*lock.lock() {
        thread::yield_now();
    }
    waiter.join().unwrap();
}

/// The bound of a blocking call: woken in vain four times, it is handed the lock by the fifth unlock.
#[test]
fn the_fifth_unlock_is_for_who_was_passed_by_four_times() {
    let lock = Mutex::new(());
    let mut guard = lock.lock();
    let (woken, waker) = Woken::new();
    let call = Box::pin(Wait::new(&lock.raw, Kind::Patient));
    for round in 0..PATIENCE as usize {
        assert!(call.as_ref().poll(&waker).is_pending());
        drop(guard);
        assert_eq!(woken.times(), round + 1);
        guard = lock.try_lock().expect("only woken, so whoever runs may take it");
    }
    assert!(call.as_ref().poll(&waker).is_pending());
    drop(guard);
    assert!(lock.try_lock().is_none(), "handed over");
    assert!(call.as_ref().poll(&waker).is_ready());
    // SAFETY: ours, as it said.
    unsafe { lock.raw.give_back() };
    assert!(lock.try_lock().is_some());
}

#[test]
fn the_time_runs_out_and_leaves_nothing_behind() {
    let lock = Mutex::new(0);
    let guard = lock.lock();
    let before = Instant::now();
    assert_eq!(lock.lock_timeout(SHORT).map(drop), Err(TimedOut));
    assert!(before.elapsed() >= SHORT);
    assert_eq!(lock.lock_timeout(Duration::ZERO).map(drop), Err(TimedOut));
    assert_eq!(lock.lock_deadline(Instant::now()).map(drop), Err(TimedOut));
    drop(guard);
    *lock.lock_timeout(Duration::ZERO).expect("free: no time is needed") += 1;
    *lock.lock_timeout(Duration::MAX).unwrap() += 1;
    *lock.lock_deadline(Instant::now() + SHORT).unwrap() += 1;
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn a_wait_with_a_limit_is_woken() {
    let lock = Arc::new(Mutex::new(0));
    let guard = lock.lock();
    let waiter = {
        let lock = lock.clone();
        thread::spawn(move || lock.lock_timeout(Duration::from_secs(600)).map(|value| *value))
    };
    thread::sleep(SHORT);
    drop(guard);
    assert_eq!(waiter.join().unwrap(), Ok(0));
}

/// A future in the place of a select's other arm: polled once, and then kept, while others go on. None of them misses the
/// lock, whether the forgotten one stands before them in line again or is out of it.
#[test]
fn a_future_that_nobody_polls_keeps_nobody_from_the_lock() {
    const ROUNDS: usize = 5_000;
    let lock = Arc::new(Mutex::new(0));
    let forgotten_lock = lock.clone();
    let workers: Vec<_> = [true, false, true, false]
        .into_iter()
        .map(|blocking| {
            let lock = lock.clone();
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    if blocking {
                        *lock.lock() += 1;
                    } else {
                        *block_on(lock.lock_async()) += 1;
                    }
                }
            })
        })
        .collect();
    let mut forgotten: Vec<Pin<Box<MutexLockFuture<'_, usize>>>> = Vec::new();
    while !workers.iter().all(|worker| worker.is_finished()) {
        // A new one each time that the lock is taken, none of them polled again.
        let mut future = Box::pin(forgotten_lock.lock_async());
        if poll_once(&mut future, Waker::noop()).is_pending() && forgotten.len() < 100 {
            forgotten.push(future);
        }
        thread::yield_now();
    }
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(*lock.lock(), 4 * ROUNDS);
    drop(forgotten);
    assert_eq!(*lock.lock(), 4 * ROUNDS);
}

/// The same in one task: the future of the arm that was not chosen lives on while the task itself locks.
#[test]
fn a_task_locks_while_a_future_of_its_own_stands_in_line() {
    let lock = Arc::new(Mutex::new(0));
    let guard = lock.lock();
    let ((_, arm), (woken, task)) = (Woken::new(), Woken::new());
    let mut other_arm = Box::pin(lock.lock_async());
    assert!(poll_once(&mut other_arm, &arm).is_pending());
    let mut inner = Box::pin(lock.lock_async());
    assert!(poll_once(&mut inner, &task).is_pending());
    drop(guard);
    assert_eq!(woken.times(), 1, "although it was the second in line");
    assert!(poll_once(&mut inner, &task).is_ready());
    assert!(poll_once(&mut other_arm, &arm).is_ready());
}

/// More futures than one batch of wakers holds.
#[test]
fn an_unlock_wakes_all_futures_up_to_the_first_blocking_call() {
    let lock = Mutex::new(());
    let guard = lock.lock();
    let (woken, waker) = Woken::new();
    let mut futures: Vec<_> = (0..50).map(|_| Box::pin(lock.lock_async())).collect();
    let calls = [(); 2].map(|()| Box::pin(Wait::new(&lock.raw, Kind::Patient)));
    let (first, rest) = futures.split_at_mut(40);
    first.iter_mut().for_each(|future| assert!(poll_once(future, &waker).is_pending()));
    let (called, call_waker) = Woken::new();
    calls.iter().for_each(|call| assert!(call.as_ref().poll(&call_waker).is_pending()));
    rest.iter_mut().for_each(|future| assert!(poll_once(future, &waker).is_pending()));
    drop(guard);
    assert_eq!((woken.times(), called.times()), (40, 1));
    drop(lock.try_lock().expect("free"));
    assert_eq!((woken.times(), called.times()), (40, 2), "each unlock lets the next in line go");
    drop(lock.try_lock().expect("free"));
    assert_eq!((woken.times(), called.times()), (50, 2));
}

/// Among futures only, no wake-up is lost when those that were woken are dropped instead of polled.
#[test]
fn futures_dropped_after_their_wake_up_leave_the_lock_to_others() {
    let lock = Mutex::new(());
    let guard = lock.lock();
    let (woken, waker) = Woken::new();
    let mut futures: Vec<_> = (0..3).map(|_| Box::pin(lock.lock_async())).collect();
    futures.iter_mut().for_each(|future| assert!(poll_once(future, &waker).is_pending()));
    drop(guard);
    assert_eq!(woken.times(), 3);
    let mut last = futures.pop().unwrap();
    drop(futures);
    assert!(poll_once(&mut last, &waker).is_ready());
}

/// Dropped after each number of polls, a future leaves the lock as it was.
#[test]
fn a_future_can_be_dropped_at_every_poll() {
    for polls in 0..6 {
        let lock = Mutex::new(0);
        let mut guard = Some(lock.lock());
        let (_, waker) = Woken::new();
        let mut behind = Box::pin(lock.lock_async());
        let mut future = Box::pin(lock.lock_async());
        for poll in 0..polls {
            if poll == 4 {
                drop(guard.take());
            }
            match poll_once(&mut future, &waker) {
                Poll::Ready(mut value) => *value += 1,
                Poll::Pending => assert!(guard.is_some()),
            }
            if future.is_terminated() {
                break;
            }
            assert!(poll_once(&mut behind, &waker).is_pending());
        }
        drop(future);
        drop(guard);
        assert!(poll_once(&mut behind, &waker).is_ready());
        assert!(lock.try_lock().is_some());
    }
}

#[test]
fn a_future_knows_that_it_is_over_and_says_who_polls_it_again() {
    let lock = Mutex::new(0);
    let mut future = Box::pin(lock.lock_async());
    assert!(!future.is_terminated());
    assert!(poll_once(&mut future, Waker::noop()).is_ready());
    assert!(future.is_terminated());
    let panic = catch_unwind(AssertUnwindSafe(|| _ = poll_once(&mut future, Waker::noop()))).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("MutexLockFuture"));
    assert!(lock.try_lock().is_some());
}

/// A forgotten guard: locked for ever, for all that do not wait for ever.
#[test]
fn a_forgotten_guard_locks_for_ever() {
    let mut lock = Mutex::new(1);
    mem::forget(lock.lock());
    assert!(lock.try_lock().is_none());
    assert_eq!(lock.lock_timeout(SHORT).map(drop), Err(TimedOut));
    let mut future = Box::pin(lock.lock_async());
    assert!(poll_once(&mut future, Waker::noop()).is_pending());
    drop(future);
    assert_eq!(*lock.get_mut(), 1);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker's panic");
    }
}

/// A waker that panics costs nobody else the wake-up, also beyond the batch it is in, and leaves the lock free.
#[test]
fn a_waker_that_panics() {
    let lock = Mutex::new(0);
    let guard = lock.lock();
    let (woken, waker) = Woken::new();
    let mut futures: Vec<_> = (0..40).map(|_| Box::pin(lock.lock_async())).collect();
    for (i, future) in futures.iter_mut().enumerate() {
        let waker = if i == 3 { &Waker::from(Arc::new(Panics)) } else { &waker };
        assert!(poll_once(future, waker).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(guard))).is_err());
    assert_eq!(woken.times(), 39);
    assert!(lock.try_lock().is_some());
}

/// Wakers are foreign code: they may use the lock.
#[test]
fn a_waker_that_locks() {
    struct Locks(Arc<Mutex<u32>>, AtomicBool);
    impl Wake for Locks {
        fn wake(self: Arc<Self>) {
            *self.0.lock() += 1;
            self.1.store(true, SeqCst);
        }
    }
    let lock = Arc::new(Mutex::new(0));
    let locks = Arc::new(Locks(lock.clone(), AtomicBool::new(false)));
    let guard = lock.lock();
    let mut future = Box::pin(lock.lock_async());
    assert!(poll_once(&mut future, &Waker::from(locks.clone())).is_pending());
    drop(guard);
    assert!(locks.1.load(SeqCst));
    let Poll::Ready(value) = poll_once(&mut future, Waker::noop()) else { panic!("it is free") };
    assert_eq!(*value, 1);
}

// The sequential model.

const WAITERS: usize = 5;
/// The first of them are futures, the others blocking calls polled by hand.
const FUTURES: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    TryLock,
    Unlock { fair: bool },
    Poll(usize),
    Drop(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::TryLock),
        3 => any::<bool>().prop_map(|fair| Step::Unlock { fair: fair && cfg!(not(miri)) }),
        8 => (0..WAITERS).prop_map(Step::Poll),
        1 => (0..WAITERS).prop_map(Step::Drop),
        1 => (FUTURES..WAITERS).prop_map(Step::GiveUp),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum At {
    Away,
    InLine,
    Woken,
    Granted,
}

/// What the docs say, with nothing at the same time.
struct Model {
    locked: bool,
    line: VecDeque<usize>,
    at: [At; WAITERS],
    vain: [u32; WAITERS],
    wakes: [usize; WAITERS],
}

impl Model {
    fn new() -> Self {
        let (at, vain, wakes) = ([At::Away; WAITERS], [0; WAITERS], [0; WAITERS]);
        Self { locked: false, line: VecDeque::new(), at, vain, wakes }
    }

    fn take(&mut self) -> bool {
        !mem::replace(&mut self.locked, true)
    }

    fn unlock(&mut self, fair: bool) {
        if let Some(call) = self.line.iter().position(|waiter| *waiter >= FUTURES) {
            let waiter = self.line[call];
            if fair || self.vain[waiter] >= PATIENCE {
                self.line.remove(call);
                self.wakes[waiter] += 1;
                self.at[waiter] = At::Granted;
                return;
            }
        }
        self.locked = false;
        while let Some(waiter) = self.line.pop_front() {
            self.wakes[waiter] += 1;
            self.at[waiter] = At::Woken;
            if waiter >= FUTURES {
                break;
            }
        }
    }

    /// Whether it has the lock then.
    fn poll(&mut self, waiter: usize) -> bool {
        let before = mem::replace(&mut self.at[waiter], At::Away);
        if before == At::InLine && waiter >= FUTURES {
            self.at[waiter] = At::InLine;
            return false;
        }
        self.vain[waiter] += u32::from(before == At::Woken);
        if before == At::Granted || self.take() {
            self.line.retain(|other| *other != waiter);
            self.vain[waiter] = 0;
            return true;
        }
        self.at[waiter] = At::InLine;
        match before {
            At::InLine => {}
            _ if self.vain[waiter] > 0 => self.line.push_front(waiter),
            _ => self.line.push_back(waiter),
        }
        false
    }

    fn drop(&mut self, waiter: usize) {
        self.vain[waiter] = 0;
        match mem::replace(&mut self.at[waiter], At::Away) {
            At::Away => {}
            At::InLine => self.line.retain(|other| *other != waiter),
            At::Granted => self.unlock(false),
            At::Woken => {
                if self.take() {
                    self.unlock(false);
                }
            }
        }
    }

    fn give_up(&mut self, waiter: usize) -> bool {
        self.vain[waiter] = 0;
        match mem::replace(&mut self.at[waiter], At::Away) {
            At::Away => false,
            At::InLine => {
                self.line.retain(|other| *other != waiter);
                false
            }
            At::Granted => true,
            At::Woken => self.take(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1_000 }))]

    /// Futures and calls, polled, woken, dropped and out of time in every order: the lock, its line and every wake-up are
    /// what the model says.
    #[test]
    fn it_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        let lock = RawMutex::unlocked();
        let mut model = Model::new();
        let wakers: Vec<_> = (0..WAITERS).map(|_| Woken::new()).collect();
        let kind = |waiter| if waiter < FUTURES { Kind::Future } else { Kind::Patient };
        let wait = |waiter| Box::pin(Wait::new(&lock, kind(waiter)));
        let mut waits: Vec<_> = (0..WAITERS).map(wait).collect();
        for step in steps {
            match step {
                Step::TryLock => prop_assert_eq!(lock.take(), model.take()),
                // Unlocked by whoever was polled to the end: the test holds it for him.
                Step::Unlock { .. } if !model.locked || model.at.contains(&At::Granted) => {}
                // SAFETY: locked, and not on its way to a waiter: ours.
                Step::Unlock { fair } => unsafe {
                    if fair { lock.hand_over() } else { lock.give_back() }
                    model.unlock(fair);
                },
                Step::Poll(i) => {
                    let ready = waits[i].as_ref().poll(&wakers[i].1).is_ready();
                    prop_assert_eq!(ready, model.poll(i));
                    if ready {
                        waits[i] = wait(i);
                    }
                }
                Step::Drop(i) => {
                    waits[i] = wait(i);
                    model.drop(i);
                }
                Step::GiveUp(i) => {
                    prop_assert_eq!(waits[i].give_up(), model.give_up(i));
                    waits[i] = wait(i);
                }
            }
            prop_assert_eq!(lock.is_taken(), model.locked);
            for (i, (woken, _)) in wakers.iter().enumerate() {
                prop_assert_eq!(woken.times(), model.wakes[i], "wake-ups of waiter {}", i);
            }
        }
    }
}
