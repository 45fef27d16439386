//! What a `Notify` adds to a semaphore: one notification is kept, and all can be let go. The cases that other libraries test
//! are in the `tests` package.

use super::*;
use crate::test_support::{Woken, assert_not};
use core::task::Waker;
use proptest::prelude::*;
use std::{boxed::Box, collections::VecDeque, sync::Arc, thread, vec::Vec};

const SHORT: Duration = Duration::from_millis(20);

type Wait<'a> = Pin<Box<Notified<'a>>>;

fn is_ready(wait: &mut Wait<'_>, waker: &Waker) -> bool {
    wait.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
}

fn waiting(notify: &Notify) -> (Wait<'_>, Arc<Woken>) {
    let (woken, waker) = Woken::new();
    let mut wait = Box::pin(notify.notified());
    assert!(!is_ready(&mut wait, &waker));
    (wait, woken)
}

#[test]
fn one_notification_is_kept() {
    let notify = Notify::new();
    assert!(!notify.try_wait());
    (0..3).for_each(|_| notify.notify_one());
    assert!(notify.try_wait() && !notify.try_wait());
    notify.notify_one();
    assert_eq!(notify.wait_timeout(SHORT), Ok(()));
    assert_eq!(notify.wait_timeout(SHORT), Err(TimedOut));
    notify.notify_waiters();
    assert!(!notify.try_wait(), "that is for those who wait");
}

#[test]
fn all_who_wait_are_let_go() {
    static NOTIFY: Notify = Notify::new();
    // More than one batch of wakers.
    let threads: Vec<_> = (0..40).map(|_| thread::spawn(|| NOTIFY.wait())).collect();
    while NOTIFY.semaphore.line.lock().threads < 40 {
        thread::yield_now();
    }
    NOTIFY.notify_waiters();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(NOTIFY.semaphore.state.load(SeqCst), 0, "no trace");
}

/// A future dropped at any step: what it was notified of goes to the next, or one is kept.
#[test]
fn a_notification_is_used_or_passed_on() {
    for polls in 0..3 {
        for (notified, somebody_behind) in [(false, true), (true, false), (true, true)] {
            let notify = Notify::new();
            let (woken, waker) = Woken::new();
            let mut goes = Box::pin(notify.notified());
            (0..polls).for_each(|_| assert!(!is_ready(&mut goes, &waker)));
            let mut next = somebody_behind.then(|| waiting(&notify));
            if notified {
                notify.notify_one();
            }
            assert_eq!(woken.times(), usize::from(notified && polls > 0));
            drop(goes);
            if let Some((next, next_woken)) = &mut next {
                assert_eq!(next_woken.times(), usize::from(notified));
                assert_eq!(is_ready(next, &waker), notified);
            } else {
                assert!(notify.try_wait());
            }
            drop(next);
            assert_eq!(notify.semaphore.state.load(SeqCst), 0, "no trace");
        }
    }
}

/// Two were notified and both go: one notification is kept, not two.
#[test]
fn what_comes_back_does_not_pile_up() {
    let notify = Notify::new();
    let waits = [waiting(&notify), waiting(&notify)];
    (0..3).for_each(|_| notify.notify_one());
    drop(waits);
    assert!(notify.try_wait() && !notify.try_wait());
}

/// A future that was notified and is not polled keeps it from nobody, and is itself notified again.
#[test]
fn an_idle_future_keeps_nothing() {
    let notify = Notify::new();
    let (mut idle, woken) = waiting(&notify);
    notify.notify_one();
    notify.wait();
    assert!(!is_ready(&mut idle, Waker::noop()), "somebody was quicker");
    notify.notify_one();
    assert_eq!(woken.times(), 1, "the last waker is another one");
    assert!(is_ready(&mut idle, Waker::noop()));
}

#[test]
fn to_be_let_go_counts_from_the_making_of_the_future() {
    let notify = Notify::new();
    let (mut early, mut idle) = (Box::pin(notify.notified()), waiting(&notify).0);
    notify.notify_one(); // the idle one's
    notify.notify_waiters();
    let mut late = Box::pin(notify.notified());
    assert!(is_ready(&mut early, Waker::noop()));
    assert!(is_ready(&mut idle, Waker::noop()));
    assert!(!is_ready(&mut late, Waker::noop()));
    notify.notify_one();
    assert!(is_ready(&mut late, Waker::noop()) && !notify.try_wait());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Poll(usize),
    Drop(usize),
    One,
    All,
    Try,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    Fresh,
    InLine,
    Called,
    Freed,
}

/// The line, and how many notifications are there.
struct Model {
    free: usize,
    line: VecDeque<usize>,
    stages: [Stage; 4],
    yielded: [bool; 4],
    woken: [usize; 4],
}

impl Model {
    fn called(&self) -> usize {
        self.stages.iter().filter(|stage| **stage == Stage::Called).count()
    }

    fn let_go(&mut self) {
        for _ in 0..self.free {
            let Some(first) = self.line.pop_front() else { break };
            self.stages[first] = Stage::Called;
            self.woken[first] += 1;
        }
    }

    /// Whether the future is ready.
    fn poll(&mut self, i: usize) -> bool {
        let first = match self.stages[i] {
            Stage::Freed => return true,
            Stage::Fresh => self.line.is_empty(),
            Stage::Called => true,
            Stage::InLine => self.line.front() == Some(&i),
        };
        if first && self.free > 0 {
            let asks_early = self.stages[i] != Stage::Called && !self.yielded[i];
            if asks_early && self.called() > 0 {
                self.yielded[i] = true;
                self.woken[i] += 1;
                return false;
            }
            self.free -= 1;
            self.line.retain(|waiting| *waiting != i);
            self.stages[i] = Stage::Fresh;
            self.let_go();
            return true;
        }
        match self.stages[i] {
            Stage::InLine => {}
            Stage::Called => self.line.push_front(i),
            _ => self.line.push_back(i),
        }
        self.stages[i] = Stage::InLine;
        if self.called() > 0 {
            self.let_go();
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_histories(steps in proptest::collection::vec(prop_oneof![
        8 => (0..4_usize).prop_map(Step::Poll),
        3 => (0..4_usize).prop_map(Step::Drop),
        4 => Just(Step::One),
        1 => Just(Step::All),
        2 => Just(Step::Try),
    ], 1..80)) {
        let notify = Notify::new();
        let wakers: [_; 4] = core::array::from_fn(|_| Woken::new());
        let mut futures: [_; 4] = core::array::from_fn(|_| Box::pin(notify.notified()));
        let mut model = Model { free: 0, line: VecDeque::new(), stages: [Stage::Fresh; 4], yielded: [false; 4], woken: [0; 4] };
        // Called, and freed since: with a notification or without.
        let mut freed = [false; 4];
        for step in steps {
            match step {
                Step::Poll(i) => {
                    let expected = if freed[i] && model.stages[i] == Stage::Called {
                        model.free -= usize::from(model.free > 0);
                        true
                    } else {
                        freed[i] || model.poll(i)
                    };
                    if expected {
                        model.stages[i] = Stage::Fresh;
                        model.let_go();
                    }
                    prop_assert_eq!(is_ready(&mut futures[i], &wakers[i].1), expected, "{}: {:?}", i, model.stages);
                    if expected {
                        futures[i] = Box::pin(notify.notified());
                        (freed[i], model.yielded[i]) = (false, false);
                    }
                }
                Step::Drop(i) => {
                    futures[i] = Box::pin(notify.notified());
                    model.line.retain(|waiting| *waiting != i);
                    let stage = core::mem::replace(&mut model.stages[i], Stage::Fresh);
                    (freed[i], model.yielded[i]) = (false, false);
                    if matches!(stage, Stage::InLine | Stage::Called | Stage::Freed) {
                        if model.line.is_empty() {
                            model.free = model.free.min(model.called() + 1);
                        }
                        model.let_go();
                    }
                }
                Step::One => {
                    notify.notify_one();
                    model.free += usize::from(model.free <= model.called());
                    model.let_go();
                }
                Step::All => {
                    notify.notify_waiters();
                    for i in model.line.drain(..) {
                        model.stages[i] = Stage::Freed;
                        model.woken[i] += 1;
                    }
                    freed = [true; 4];
                }
                Step::Try => {
                    let expected = model.line.is_empty() && model.free > 0;
                    prop_assert_eq!(notify.try_wait(), expected);
                    model.free -= usize::from(expected);
                    if !expected {
                        model.let_go();
                    }
                }
            }
            prop_assert_eq!(notify.semaphore.available_permits(), model.free);
            prop_assert_eq!(core::array::from_fn(|i| wakers[i].0.times()), model.woken, "{:?}", model.stages);
        }
    }
}

const _: fn() = || {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    sync::<Notify>();
    send::<Notified<'_>>();
};
assert_not!(Notified<'static>: Unpin);
