//! Panics, cancelled and leaked futures, time limits; and random histories of futures against a sequential model. The cases
//! that other libraries test are in the `tests` package.

use super::*;
use crate::test_support::{Woken, assert_not, block_on};
use core::{
    cell::Cell,
    future::{pending, ready},
    mem,
    task::Waker,
};
use proptest::prelude::*;
use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    thread,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn a_panic_leaves_it_to_one_of_those_who_wait() {
    static ONCE: Once = Once::new();
    let calls = Arc::new(core::sync::atomic::AtomicU32::new(0));
    let mut waiting = Vec::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        ONCE.call_once(|| {
            for _ in 0..20 {
                let calls = calls.clone();
                waiting.push(thread::spawn(move || {
                    ONCE.call_once(|| _ = calls.fetch_add(1, Relaxed));
                    assert!(ONCE.is_completed());
                }));
            }
            thread::sleep(SHORT);
            panic!("in the middle");
        })
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"in the middle"));
    waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    assert_eq!(calls.load(Relaxed), 1);
}

#[test]
fn a_wait_that_ran_out_of_time_leaves_no_trace() {
    let once = Once::new();
    assert_eq!(once.wait_timeout(SHORT), Err(TimedOut));
    assert!(once.line.lock().sleepers.is_empty());
    once.call_once(|| ());
    assert_eq!(once.wait_timeout(SHORT), Ok(()));
    assert!(once.try_call_once(|| unreachable!("done")));
}

/// An initialiser that is pending twice, dropped after each number of polls, while another waits.
#[test]
fn a_call_dropped_at_any_poll_leaves_it_to_the_next() {
    for polls in 0..4 {
        let once = Once::new();
        let (woken, waker) = Woken::new();
        let mut call = Box::pin(once.call_once_async(async || {
            for _ in 0..2 {
                yield_once().await;
            }
        }));
        for i in 0..polls {
            assert_eq!(poll(call.as_mut(), Waker::noop()).is_ready(), i == 2, "poll {i}");
            if i == 2 {
                break;
            }
        }
        let mut next = pin!(once.call_once_async(|| ready(())));
        if polls == 0 || polls == 3 {
            assert_eq!(poll(next.as_mut(), &waker), Poll::Ready(()));
        } else {
            assert!(poll(next.as_mut(), &waker).is_pending());
            assert_eq!(once.wait_timeout(Duration::ZERO), Err(TimedOut));
        }
        assert_eq!(call.is_terminated(), polls == 3);
        drop(call);
        if !next.is_terminated() {
            assert_eq!(woken.times(), 1);
            assert_eq!(poll(next.as_mut(), &waker), Poll::Ready(()));
        }
        assert!(once.is_completed() && next.is_terminated());
        assert!(once.line.lock().sleepers.is_empty());
    }
}

async fn yield_once() {
    let mut polled = false;
    core::future::poll_fn(|_| if mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await
}

#[test]
fn a_panic_in_a_future_gives_it_back_at_once() {
    let once = Once::new();
    let mut call = pin!(once.call_once_async(async || {
        yield_once().await;
        panic!("in a poll")
    }));
    assert!(poll(call.as_mut(), Waker::noop()).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut(), Waker::noop()))).is_err());
    assert!(!call.is_terminated(), "it is there yet");
    assert!(once.try_call_once(|| ()));
    let again = catch_unwind(AssertUnwindSafe(|| poll(call.as_mut(), Waker::noop()))).unwrap_err();
    assert!(again.downcast_ref::<std::string::String>().is_none_or(|text| text.contains("panicked")));
}

#[test]
fn a_panic_in_the_function_gives_it_back_at_once() {
    let once = Once::new();
    let mut call = pin!(once.call_once_async(|| -> core::future::Ready<()> { panic!("before the future") }));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut(), Waker::noop()))).is_err());
    assert!(once.try_call_once(|| ()));
}

#[test]
fn a_leaked_wait_harms_nobody() {
    static ONCE: Once = Once::new();
    let (woken, waker) = Woken::new();
    let wait = Box::leak(Box::new(ONCE.wait_async()));
    // SAFETY: it stays where it is for ever.
    assert!(poll(unsafe { Pin::new_unchecked(&mut *wait) }, &waker).is_pending());
    ONCE.call_once(|| ());
    assert_eq!(woken.times(), 1);
    // SAFETY: nobody else has it; for the leak check.
    drop(unsafe { Box::from_raw(wait) });
}

/// More than a batch of wakers, the first of which panics: all the others are woken.
#[test]
fn a_waker_that_panics_costs_nobody_else_the_wake_up() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let once = Once::new();
    let (woken, waker) = Woken::new();
    let bomb = Waker::from(Arc::new(Bomb));
    let mut waits: Vec<_> = (0..40).map(|_| Box::pin(once.wait_async())).collect();
    for (i, wait) in waits.iter_mut().enumerate() {
        assert!(poll(wait.as_mut(), if i == 0 { &bomb } else { &waker }).is_pending());
    }
    assert!(catch_unwind(|| once.call_once(|| ())).is_err());
    assert!(once.is_completed());
    assert_eq!(woken.times(), 39);
    waits.into_iter().for_each(block_on);
}

/// What the futures of a history are doing, without threads, wakers or lines.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    New,
    Waiting,
    /// It waited when a run ended, and has not been polled since.
    Woken,
    Running(u8),
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Poll(usize),
    Drop(usize),
    Try,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize).prop_map(Step::Poll),
        2 => (0..4_usize).prop_map(Step::Drop),
        1 => Just(Step::Try),
    ]
}

proptest! {
    /// Four places for calls whose initialisers are pending `length` times; polled, dropped and replaced at random.
    #[test]
    fn random_histories(steps in proptest::collection::vec(step(), 1..60), length in 1..4_u8, succeed in any::<bool>()) {
        let once = Once::new();
        let calls = Cell::new(0);
        let call = || Box::pin(once.call_once_async(async || {
            for _ in 0..length {
                yield_once().await;
            }
            if !succeed {
                pending::<()>().await;
            }
            calls.set(calls.get() + 1);
        }));
        let mut futures: [_; 4] = core::array::from_fn(|_| call());
        let wakers: [_; 4] = core::array::from_fn(|_| Woken::new());
        let mut models = [Model::New; 4];
        let mut done = false;
        for step in steps {
            let times = core::array::from_fn::<_, 4, _>(|i| wakers[i].0.times());
            let running = models.iter().position(|model| matches!(model, Model::Running(_)));
            match step {
                Step::Poll(i) if models[i] == Model::Over => {}
                Step::Poll(i) => {
                    models[i] = match models[i] {
                        _ if done => Model::Over,
                        Model::Running(1) if succeed => {
                            done = true;
                            Model::Over
                        }
                        Model::Running(left) => Model::Running(left.saturating_sub(1).max(1)),
                        _ if running.is_some() => Model::Waiting,
                        _ => Model::Running(length),
                    };
                    let ready = poll(futures[i].as_mut(), &wakers[i].1).is_ready();
                    prop_assert_eq!(ready, models[i] == Model::Over, "{}: {:?}", i, models[i]);
                    prop_assert_eq!(futures[i].is_terminated(), ready);
                }
                Step::Drop(i) => {
                    futures[i] = call();
                    models[i] = Model::New;
                }
                Step::Try => {
                    let free = running.is_none();
                    prop_assert_eq!(once.try_call_once(|| calls.set(calls.get() + 1)), done || free);
                    done |= free;
                }
            }
            prop_assert_eq!(once.is_completed(), done);
            prop_assert_eq!(calls.get(), u32::from(done));
            // The end of a run wakes all who wait.
            let ended = running.is_some_and(|i| !matches!(models[i], Model::Running(_)));
            for i in 0..4 {
                if ended && models[i] == Model::Waiting {
                    prop_assert_eq!(wakers[i].0.times(), times[i] + 1, "{} sleeps on", i);
                    models[i] = Model::Woken;
                }
            }
        }
    }
}

const _: fn() = || {
    fn send<T: Send + Sync>(_: &T) {}
    fn unpin_free<T: Send>(_: &T) {}
    send(&Once::new());
    let once = Once::new();
    unpin_free(&once.wait_async());
    unpin_free(&once.call_once_async(async || ()));
};
assert_not!(OnceWait<'static>: Unpin);
