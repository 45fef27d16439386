//! Futures as arms of a select.

use super::*;
use crate::{
    Watch,
    channel::{lines, oneshot, wait_arm},
    select_biased,
};
use core::{
    cell::Cell,
    future::{Future, poll_fn, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use std::sync::Mutex;

/// Ready once it is told so; says which wakers it has, how often it was polled, and that it is gone.
#[derive(Clone, Default)]
struct Event(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    happened: bool,
    waker: Option<Waker>,
    polls: usize,
    dropped: bool,
}

impl Event {
    fn happen(&self) {
        let mut state = self.0.lock().unwrap();
        state.happened = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn future(&self) -> Happens {
        Happens(self.clone())
    }
}

struct Happens(Event);

impl Future for Happens {
    type Output = &'static str;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
        let mut state = self.0.0.lock().unwrap();
        state.polls += 1;
        state.waker = Some(context.waker().clone());
        if state.happened { Poll::Ready("happened") } else { Poll::Pending }
    }
}

impl Drop for Happens {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().dropped = true;
    }
}

#[test]
fn an_event_ends_a_select_that_sleeps() {
    let event = Event::default();
    let (_tx, rx) = bounded::<u32>(1);
    let other = {
        let event = event.clone();
        thread::spawn(move || {
            thread::sleep(SHORT);
            event.happen();
        })
    };
    let said = select! {
        wait(event.future()) -> said => said,
        recv(rx) -> _ => unreachable!("nobody sends"),
    };
    assert_eq!(said, "happened");
    other.join().unwrap();
}

#[test]
fn a_channel_ends_a_select_that_also_waits_for_an_event() {
    let event = Event::default();
    let (tx, rx) = bounded(0);
    let other = thread::spawn(move || {
        thread::sleep(SHORT);
        tx.send(7).unwrap();
    });
    select! {
        wait(event.future()) -> _ => unreachable!("it does not happen"),
        recv(rx) -> got => {
            assert_eq!(got, Ok(7));
            assert!(event.0.lock().unwrap().dropped, "dropped before the body");
        }
    }
    other.join().unwrap();
}

#[test]
fn a_lost_event_is_dropped_before_a_value_is_made() {
    let event = Event::default();
    let (tx, rx) = bounded(1);
    select! {
        send(tx, event.0.lock().unwrap().dropped) -> sent => sent.unwrap(),
        wait(event.future()) -> _ => unreachable!("it does not happen"),
    }
    assert_eq!(rx.recv(), Ok(true));
}

/// A wake-up that means nothing puts the other arms back in their lines: a value that comes then is received.
#[test]
fn woken_in_vain_it_waits_again() {
    let event = Event::default();
    let (tx, rx) = bounded(0);
    let other = {
        let event = event.clone();
        thread::spawn(move || {
            // It is polled twice before each sleep, and only the second waker counts.
            let mut seen = 0;
            let mut asleep_again = || loop {
                let state = event.0.lock().unwrap();
                if state.polls > seen && state.polls.is_multiple_of(2) {
                    seen = state.polls;
                    return state.waker.clone().expect("it was polled");
                }
                drop(state);
                thread::yield_now();
            };
            (0..5).for_each(|_| asleep_again().wake());
            drop(asleep_again());
            while tx.shared().lines.flags() & lines::RECEIVERS == 0 {
                thread::yield_now();
            }
            tx.try_send(7).expect("a receiver is in line");
        })
    };
    let got = select! {
        recv(rx) -> got => got,
        wait(event.future()) -> _ => unreachable!("it does not happen"),
    };
    assert_eq!(got, Ok(7));
    other.join().unwrap();
}

#[test]
fn default_and_time_limits_hold_beside_events() {
    let event = Event::default();
    let passed = select! {
        wait(event.future()) -> _ => false,
        default => true,
    };
    assert!(passed && event.0.lock().unwrap().dropped);
    let passed = select! {
        wait(event.future()) -> _ => false,
        default(SHORT) => true,
    };
    assert!(passed);
    event.happen();
    let said = select! {
        wait(event.future()) -> said => said,
        default => unreachable!("it has happened"),
    };
    assert_eq!(said, "happened");
}

/// One kept outside goes on where it was.
#[test]
fn a_pinned_future_outlives_the_selects_that_it_loses() {
    let (tx, rx) = oneshot::channel();
    let mut answer = pin!(async move { rx.await.unwrap() });
    let (work_tx, work) = unbounded();
    (0..3).for_each(|i| work_tx.send(i).unwrap());
    let mut done = Vec::new();
    let answer: u32 = loop {
        if done.len() == 3 {
            tx.send(42).unwrap();
            break select! { wait(answer.as_mut()) -> answer => answer };
        }
        select! {
            wait(answer.as_mut()) -> _ => unreachable!("not sent yet"),
            recv(work) -> i => done.push(i.unwrap()),
        }
    };
    assert_eq!((answer, done), (42, [0, 1, 2].to_vec()));
}

/// What happens is not lost beside a channel that is quick: each of the two is counted once.
#[test]
fn either_one_or_the_other() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };
    for round in 0..ROUNDS {
        let (tx, rx) = bounded(1);
        let (one, other) = oneshot::channel();
        let (a, b) = (thread::spawn(move || tx.send(1).unwrap()), thread::spawn(move || one.send(2).unwrap()));
        let mut wanted = pin!(other);
        let first = select! {
            recv(rx) -> got => got.unwrap(),
            wait(wanted.as_mut()) -> got => got.unwrap(),
        };
        let second = if first == 1 {
            select! { wait(wanted) -> got => got.unwrap() }
        } else {
            rx.recv().unwrap()
        };
        assert_eq!(first + second, 3, "round {round}");
        a.join().unwrap();
        b.join().unwrap();
    }
}

#[test]
fn whatever_is_awaited() {
    let watch = Watch::new(0);
    let mut watcher = watch.subscribe();
    watch.send(1);
    let number = Cell::new(0);
    for _ in 0..3 {
        select_biased! {
            wait(watcher.changed_async()) -> () => number.set(number.get() + 1),
            wait(poll_fn(|_| Poll::<()>::Pending)) -> _ => unreachable!(),
            wait(ready(10)) -> ten => number.set(number.get() + ten),
        }
    }
    assert_eq!(number.get(), 21);
    // With nothing else, it blocks on it.
    select! { wait(async { number.set(5) }) -> () => {} }
    assert_eq!(number.get(), 5);
    let mut slot = pin!(Some(ready(1)));
    drop(wait_arm(slot.as_mut()));
    assert!(slot.is_none());
}

#[test]
fn a_panic_of_a_future_leaves_the_channels_whole() {
    let (tx, rx) = bounded::<u32>(0);
    let polls = Cell::new(0);
    let future = poll_fn(|context| {
        polls.set(polls.get() + 1);
        assert!(polls.get() < 3, "enough");
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        select! {
            recv(rx) -> _ => unreachable!("nobody sends"),
            wait(future) -> () => unreachable!("it panics"),
        }
    }));
    assert!(panicked.is_err());
    assert!(tx.try_send(1).unwrap_err().is_full(), "nobody is left in the line");
}
