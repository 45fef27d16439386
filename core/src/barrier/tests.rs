//! Rounds, cancels, limits; and random histories of futures against a count. The cases that other libraries test are in the
//! `tests` package.

use super::*;
use crate::test_support::{Woken, assert_not, block_on};
use core::task::Waker;
use proptest::prelude::*;
use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);

type Wait<'a> = Pin<Box<BarrierWait<'a>>>;

fn poll(wait: &mut Wait<'_>, waker: &Waker) -> Option<bool> {
    match wait.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Ready(result) => Some(result.is_leader()),
        Poll::Pending => None,
    }
}

fn waiting(barrier: &Barrier) -> (Wait<'_>, Arc<Woken>) {
    let (woken, waker) = Woken::new();
    let mut wait = Box::pin(barrier.wait_async());
    assert_eq!(poll(&mut wait, &waker), None);
    (wait, woken)
}

#[test]
fn none_and_one_never_wait() {
    for parties in [0, 1] {
        let barrier = Barrier::new(parties);
        for _ in 0..3 {
            assert!(barrier.wait().is_leader());
            assert_eq!(barrier.try_wait().map(|result| result.is_leader()), Some(true));
            assert_eq!(barrier.wait_timeout(SHORT).map(|result| result.is_leader()), Ok(true));
            assert!(block_on(barrier.wait_async()).is_leader());
        }
    }
}

/// Many rounds of every kind of wait: nobody is a round ahead, and each has one leader.
#[test]
fn rounds_do_not_mix() {
    const PARTIES: usize = 20;
    static BARRIER: Barrier = Barrier::new(PARTIES);
    static LEADERS: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
    use core::sync::atomic::Ordering::SeqCst;
    let waits: [fn() -> BarrierWaitResult; 3] = [
        || BARRIER.wait(),
        || BARRIER.wait_timeout(Duration::from_secs(60)).unwrap(),
        || block_on(BARRIER.wait_async()),
    ];
    let threads: Vec<_> = (0..PARTIES)
        .map(|i| {
            thread::spawn(move || {
                for round in 0..50 {
                    assert!((round..=round + 1).contains(&LEADERS.load(SeqCst)));
                    if waits[(i + round) % 3]().is_leader() {
                        LEADERS.fetch_add(1, SeqCst);
                    }
                    // The leader has counted by the time the next round is over.
                    waits[i % 3]();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(LEADERS.load(SeqCst), 50);
}

#[test]
fn a_wait_that_ran_out_of_time_has_not_arrived() {
    let barrier = Barrier::new(2);
    assert_eq!(barrier.wait_timeout(SHORT), Err(TimedOut));
    assert!(barrier.try_wait().is_none());
    let round = barrier.round.lock();
    assert!(round.arrived == 0 && round.sleepers.is_empty());
}

#[test]
fn a_future_dropped_at_any_step_takes_its_arrival_back_or_was_let_go() {
    for polls in 0..3 {
        let barrier = Barrier::new(2);
        let (woken, waker) = Woken::new();
        let mut wait = Box::pin(barrier.wait_async());
        (0..polls).for_each(|_| assert_eq!(poll(&mut wait, &waker), None));
        assert_eq!(barrier.round.lock().arrived, polls.min(1));
        drop(wait);
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1, "no waker is left");
        assert_eq!(barrier.round.lock().arrived, 0);
    }
    let barrier = Barrier::new(2);
    let (wait, woken) = waiting(&barrier);
    assert!(barrier.wait().is_leader());
    assert_eq!(woken.times(), 1);
    drop(wait);
    assert_eq!(barrier.round.lock().arrived, 0, "its round was over");
}

#[test]
fn a_leaked_future_has_arrived() {
    let barrier = Barrier::new(2);
    let (wait, _) = waiting(&barrier);
    // SAFETY: it stays in its box.
    let leaked = Box::into_raw(unsafe { Pin::into_inner_unchecked(wait) });
    assert!(barrier.wait().is_leader());
    assert!(barrier.try_wait().is_none());
    // SAFETY: nobody else has it; for the leak check.
    drop(unsafe { Box::from_raw(leaked) });
}

/// More than a batch of wakers, the first of which panics: the round is over for all.
#[test]
fn a_waker_that_panics_costs_nobody_else_the_wake_up() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let barrier = Barrier::new(41);
    let bomb = Waker::from(Arc::new(Bomb));
    let (woken, waker) = Woken::new();
    let mut waits: Vec<_> = (0..40).map(|_| Box::pin(barrier.wait_async())).collect();
    for (i, wait) in waits.iter_mut().enumerate() {
        assert_eq!(poll(wait, if i == 0 { &bomb } else { &waker }), None);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| barrier.wait())).is_err());
    assert_eq!(woken.times(), 39);
    assert!(waits.iter_mut().all(|wait| poll(wait, &waker) == Some(false)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Poll(usize),
    Drop(usize),
    Try,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Who has arrived, and who is let go, is all there is to it.
    #[test]
    fn random_histories(parties in 0..5_usize, steps in proptest::collection::vec(prop_oneof![
        5 => (0..5_usize).prop_map(Step::Poll),
        2 => (0..5_usize).prop_map(Step::Drop),
        1 => Just(Step::Try),
    ], 1..60)) {
        let barrier = Barrier::new(parties);
        let wakers: [_; 5] = core::array::from_fn(|_| Woken::new());
        let mut futures: [_; 5] = core::array::from_fn(|_| Box::pin(barrier.wait_async()));
        let (mut arrived, mut let_go, mut woken) = ([false; 5], [false; 5], [0; 5]);
        for step in steps {
            let all_but_one = arrived.iter().filter(|is| **is).count() + 1 >= parties;
            let mut ends = false;
            match step {
                Step::Poll(i) => {
                    let leads = !arrived[i] && !let_go[i] && all_but_one;
                    ends = leads;
                    let expected = if let_go[i] { Some(false) } else { leads.then_some(true) };
                    prop_assert_eq!(poll(&mut futures[i], &wakers[i].1), expected);
                    arrived[i] |= expected.is_none();
                    if expected.is_some() {
                        prop_assert!(futures[i].is_terminated());
                        let_go[i] = false;
                        futures[i] = Box::pin(barrier.wait_async());
                    }
                }
                Step::Drop(i) => {
                    futures[i] = Box::pin(barrier.wait_async());
                    (arrived[i], let_go[i]) = (false, false);
                }
                Step::Try => {
                    ends = all_but_one;
                    prop_assert_eq!(barrier.try_wait().is_some(), ends);
                }
            }
            if ends {
                for i in 0..5 {
                    woken[i] += usize::from(arrived[i]);
                    let_go[i] |= core::mem::take(&mut arrived[i]);
                }
            }
            prop_assert_eq!(barrier.round.lock().arrived, arrived.iter().filter(|is| **is).count());
            prop_assert_eq!(core::array::from_fn(|i| wakers[i].0.times()), woken);
        }
    }
}

const _: fn() = || {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    sync::<Barrier>();
    send::<BarrierWait<'_>>();
};
assert_not!(BarrierWait<'static>: Unpin);
