//! Counting, misuse, every kind of wait, and a sequential model.

use super::*;
use crate::test_support::{Woken, assert_not, block_on, poll_once};
use proptest::prelude::*;
use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Wake,
    thread,
    time::Instant,
    vec::Vec,
};

#[test]
fn a_done_too_many_panics_by_name_and_leaves_the_group_usable() {
    let group = WaitGroup::new();
    let panic = catch_unwind(|| group.done()).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("negative counter"));
    assert_eq!(group.count(), 0);
    group.add(1);
    group.done();
    group.wait();
}

#[test]
fn the_count_stops_below_its_wrap() {
    let group = WaitGroup::new();
    group.add(usize::MAX / 2);
    assert!(catch_unwind(|| group.add(1)).is_err());
    assert!(catch_unwind(|| group.add(usize::MAX)).is_err());
    assert_eq!(group.count(), usize::MAX / 2);
    group.done();
    group.add(1);
    assert_eq!(group.count(), usize::MAX / 2);
}

#[test]
fn more_waiters_than_one_batch_of_wakers() {
    let group = Arc::new(WaitGroup::new());
    group.add(1);
    let waiters: std::vec::Vec<_> = (0..50)
        .map(|_| {
            let group = group.clone();
            std::thread::spawn(move || group.wait())
        })
        .collect();
    std::thread::sleep(core::time::Duration::from_millis(20));
    group.done();
    for waiter in waiters {
        waiter.join().unwrap();
    }
}

#[test]
fn the_guard_reports_done_through_a_panic() {
    let group = WaitGroup::new();
    group.add(1);
    let panic = catch_unwind(|| {
        let _done = group.done_on_drop();
        panic!("work failed");
    });
    assert!(panic.is_err());
    assert_eq!(group.count(), 0);
}

#[test]
fn every_kind_of_wait_is_woken_and_the_group_can_be_used_again() {
    static GROUP: WaitGroup = WaitGroup::new();
    let waits: [fn(); 4] = [
        || GROUP.wait(),
        || GROUP.wait_timeout(Duration::from_secs(600)).unwrap(),
        || GROUP.wait_deadline(Instant::now() + Duration::from_secs(600)).unwrap(),
        || block_on(GROUP.wait_async()),
    ];
    for _ in 0..if cfg!(miri) { 2 } else { 50 } {
        let token = GROUP.token();
        let waiting: Vec<_> = waits.into_iter().map(thread::spawn).collect();
        let clone = token.clone();
        thread::spawn(move || drop(clone));
        drop(token);
        waiting.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(GROUP.count(), 0);
    }
}

#[test]
fn the_time_runs_out_and_leaves_nothing_behind() {
    let mut group = WaitGroup::new();
    group.add(1);
    let before = Instant::now();
    assert_eq!(group.wait_timeout(Duration::from_millis(5)), Err(TimedOut));
    assert!(before.elapsed() >= Duration::from_millis(5));
    assert_eq!(group.wait_deadline(Instant::now()), Err(TimedOut));
    assert!(group.queue.get_mut().is_empty());
    group.done();
    assert_eq!(group.wait_timeout(Duration::ZERO), Ok(()));
}

#[test]
fn tokens_count_by_themselves() {
    let mut group = WaitGroup::new();
    let mut tokens = group.tokens();
    for _ in 0..2 {
        let kept = tokens.token();
        thread::scope(|scope| {
            for i in 0..4 {
                let token = kept.clone();
                scope.spawn(move || {
                    let _token = token;
                    assert!(catch_unwind(|| assert!(i == 7)).is_err());
                });
            }
            assert_eq!(tokens.wait_timeout(Duration::from_millis(1)), Err(TimedOut));
            drop(kept);
            tokens.wait();
        });
        assert_eq!(tokens.count(), 0);
    }
    block_on(tokens.wait_async());
    assert_eq!(
        std::format!("{tokens:?} {:?}", tokens.token()),
        "WaitTokens { count: 1 } WaitToken { group: WaitGroup { count: 1 } }"
    );
}

/// `mem::forget` of a token: the group waits for ever, for those who do.
#[test]
fn a_forgotten_token_is_missed() {
    let group = WaitGroup::new();
    core::mem::forget(group.token());
    assert_eq!(group.wait_timeout(Duration::from_millis(2)), Err(TimedOut));
    group.done();
    group.wait();
}

#[test]
fn tokens_stop_below_the_wrap() {
    let group = WaitGroup::new();
    group.add(usize::MAX / 2 - 1);
    let last = group.token();
    let one_more: [fn(&WaitGroup, &WaitToken<'_>); 2] =
        [|group, _| drop(group.token()), |_, token| drop(token.clone())];
    for one_more in one_more {
        let panic = catch_unwind(AssertUnwindSafe(|| one_more(&group, &last))).unwrap_err();
        assert!(panic.downcast_ref::<&str>().unwrap().contains("would pass"));
    }
    assert_eq!(group.count(), usize::MAX / 2);
    drop(last);
    assert_eq!(group.count(), usize::MAX / 2 - 1);
}

/// A waker that panics costs nobody else the wake-up, also beyond the batch it is in.
#[test]
fn a_waker_that_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's panic");
        }
    }
    let group = WaitGroup::new();
    group.add(1);
    let (woken, waker) = Woken::new();
    let mut futures: Vec<_> = (0..40).map(|_| Box::pin(group.wait_async())).collect();
    for (i, future) in futures.iter_mut().enumerate() {
        let waker = if i == 3 { &Waker::from(Arc::new(Panics)) } else { &waker };
        assert!(poll_once(future, waker).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| group.done())).is_err());
    assert_eq!((woken.times(), group.count()), (39, 0));
    assert!(futures.iter_mut().all(|future| poll_once(future, &waker).is_ready()));
}

#[test]
fn a_future_knows_that_it_is_over_and_says_who_polls_it_again() {
    let group = WaitGroup::new();
    let mut future = Box::pin(group.wait_async());
    assert!(!future.is_terminated());
    assert!(poll_once(&mut future, Waker::noop()).is_ready());
    assert!(future.is_terminated());
    let panic = catch_unwind(AssertUnwindSafe(|| poll_once(&mut future, Waker::noop()).is_ready())).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("WaitGroupFuture"));
}

#[test]
fn threads_are_promised_what_is_kept() {
    fn send<T: Send>() {}
    send::<WaitGroupFuture<'_>>();
    send::<WaitToken<'_>>();
    send::<WaitTokens<'_>>();
    assert_not!(WaitTokens<'static>: Sync);
    assert_not!(WaitTokens<'static>: Clone);
    assert_not!(WaitGroupFuture<'static>: Unpin);
}

// The sequential model.

const WAITERS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(usize),
    Done,
    Poll(usize),
    Drop(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_usize).prop_map(Step::Add),
        4 => Just(Step::Done),
        6 => (0..WAITERS).prop_map(Step::Poll),
        1 => (0..WAITERS).prop_map(Step::Drop),
        1 => (0..WAITERS).prop_map(Step::GiveUp),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum At {
    Away,
    InLine,
    Done,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1_000 }))]

    /// Waits of every kind, polled, dropped and out of time, against a number: who waits is woken when it becomes zero, once,
    /// and remembers that whatever it is later.
    #[test]
    fn it_does_what_a_number_does(steps in proptest::collection::vec(step(), 1..60)) {
        let group = WaitGroup::new();
        let (mut count, mut at, mut wakes) = (0, [At::Away; WAITERS], [0; WAITERS]);
        let wakers: Vec<_> = (0..WAITERS).map(|_| Woken::new()).collect();
        let mut waits: Vec<_> = (0..WAITERS).map(|_| Box::pin(Wait::new(&group))).collect();
        for step in steps {
            match step {
                Step::Add(n) => {
                    group.add(n);
                    count += n;
                }
                Step::Done if count == 0 => {
                    prop_assert!(catch_unwind(AssertUnwindSafe(|| group.done())).is_err());
                }
                Step::Done => {
                    group.done();
                    count -= 1;
                    if count == 0 {
                        for i in (0..WAITERS).filter(|i| at[*i] == At::InLine).collect::<Vec<_>>() {
                            at[i] = At::Done;
                            wakes[i] += 1;
                        }
                    }
                }
                Step::Poll(i) => {
                    let over = at[i] == At::Done || at[i] == At::Away && count == 0;
                    prop_assert_eq!(waits[i].as_ref().poll(&wakers[i].1).is_ready(), over);
                    at[i] = if over { At::Away } else { At::InLine };
                }
                Step::Drop(i) => {
                    waits[i] = Box::pin(Wait::new(&group));
                    at[i] = At::Away;
                }
                Step::GiveUp(i) => {
                    prop_assert_eq!(waits[i].give_up(), at[i] == At::Done);
                    at[i] = At::Away;
                }
            }
            prop_assert_eq!(group.count(), count);
            for (i, (woken, _)) in wakers.iter().enumerate() {
                prop_assert_eq!(woken.times(), wakes[i], "wake-ups of waiter {}", i);
            }
        }
    }
}
