//! Who gets what, from one thread against a sequential model and from many at once; panics, drops, cancelled futures.

use super::*;
use crate::sleeper::HasSleepers;
use crate::test_support::{Counted, Woken, assert_not, block_on};
use core::{cell::Cell, sync::atomic::Ordering::*};
use proptest::prelude::*;
use std::{
    boxed::Box,
    panic::catch_unwind,
    pin::pin,
    string::ToString,
    sync::Arc,
    sync::{Barrier, atomic::AtomicBool},
    thread,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn every_receiver_gets_every_value_by_every_kind_of_call() {
    let (tx, mut a) = channel(4);
    let (mut b, mut c, mut d) = (tx.subscribe(), tx.subscribe(), tx.subscribe());
    (0..4).for_each(|i| tx.send(i).unwrap());
    assert_eq!((a.len(), tx.receiver_count()), (4, 4));
    for i in 0..4 {
        assert_eq!((a.recv(), b.try_recv(), c.recv_timeout(SHORT)), (Ok(i), Ok(i), Ok(i)));
        assert_eq!(block_on(d.recv_async()), Ok(i));
    }
    assert!(a.is_empty());
    assert_eq!((b.try_recv(), c.recv_timeout(SHORT)), (Err(TryRecvError::Empty), Err(RecvTimeoutError::Timeout)));
    assert!(tx.shared.lock().sleepers().is_empty(), "who ran out of time is out of the line");
    drop(tx);
    assert!(a.is_closed());
    assert_eq!((a.recv(), b.try_recv()), (Err(RecvError::Closed), Err(TryRecvError::Closed)));
    assert_eq!(c.recv_timeout(SHORT), Err(RecvTimeoutError::Closed));
    assert_eq!(block_on(d.recv_async()), Err(RecvError::Closed));
}

#[test]
fn every_kind_of_wait_is_woken_by_a_value_and_by_the_end() {
    type Wait = fn(&mut Receiver<u32>) -> Result<u32, RecvError>;
    let waits: [Wait; 3] =
        [|rx| rx.recv(), |rx| rx.recv_timeout(LONG).map_err(|_| RecvError::Closed), |rx| block_on(rx.recv_async())];
    let (tx, _rx) = channel(1);
    // More than one batch of wakers.
    let waiting: Vec<_> = waits
        .into_iter()
        .cycle()
        .take(48)
        .map(|wait| {
            let mut rx = tx.subscribe();
            thread::spawn(move || (wait(&mut rx), wait(&mut rx)))
        })
        .collect();
    thread::sleep(SHORT);
    tx.send(7).unwrap();
    thread::sleep(SHORT);
    drop(tx);
    waiting.into_iter().for_each(|waiting| assert_eq!(waiting.join().unwrap(), (Ok(7), Err(RecvError::Closed))));
}

#[test]
fn who_falls_behind_is_told_once() {
    let (tx, mut rx) = channel(3);
    (0..10).for_each(|i| tx.send(i).unwrap());
    assert_eq!(rx.len(), 3);
    assert_eq!(rx.recv(), Err(RecvError::Lagged(7)));
    assert_eq!(rx.recv(), Ok(7));
    (10..12).for_each(|i| tx.send(i).unwrap());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Lagged(1)));
    assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Ok(9), Ok(10), Ok(11)));
    (12..16).for_each(|i| tx.send(i).unwrap());
    drop(tx);
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Lagged(1)));
    assert_eq!((rx.recv(), rx.recv(), rx.recv(), rx.recv()), (Ok(13), Ok(14), Ok(15), Err(RecvError::Closed)));
}

#[test]
fn without_receivers_the_value_comes_back() {
    let (tx, rx) = channel(1);
    drop(rx);
    assert!(tx.is_closed());
    assert_eq!(tx.send(1).unwrap_err().into_inner(), 1);
    let mut rx = tx.subscribe();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.clone().send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
}

#[test]
#[should_panic(expected = "one value at least")]
fn a_channel_for_nothing_is_refused() {
    channel::<()>(0);
}

#[test]
fn the_last_one_gets_the_value_itself_and_nothing_stays() {
    let (value, drops) = Counted::new();
    let alive = || Arc::strong_count(&drops) - 2; // but for `value`, and the counter's own
    let (tx, mut a) = channel(4);
    let (mut b, c) = (tx.subscribe(), tx.subscribe());
    tx.send(value.clone()).unwrap();
    drop((a.recv().unwrap(), b.recv().unwrap()));
    assert_eq!((alive(), drops.load(SeqCst)), (1, 2), "one for the one that has not received");
    drop(c);
    assert_eq!((alive(), drops.load(SeqCst)), (0, 3));
    tx.send(value.clone()).unwrap();
    let (a_got, b_got) = (a.recv().unwrap(), b.recv().unwrap());
    assert_eq!(alive(), 2, "one clone for two");
    drop((a_got, b_got));
    // Those that nobody came for.
    (0..9).for_each(|_| tx.send(value.clone()).unwrap());
    assert_eq!(alive(), 4, "no more than the capacity");
    drop(a);
    assert_eq!(alive(), 4);
    drop(b);
    assert_eq!(alive(), 0);
}

/// Does what its test says when it is cloned.
struct Cloning<F: Fn()>(F);

impl<F: Fn() + Clone> Clone for Cloning<F> {
    fn clone(&self) -> Self {
        (self.0)();
        Self(self.0.clone())
    }
}

#[test]
fn a_clone_that_panics_costs_one_receiver_one_value() {
    let panics = Arc::new(AtomicBool::new(true));
    let value = {
        let panics = panics.clone();
        Cloning(move || assert!(!panics.load(SeqCst), "cannot clone"))
    };
    let (tx, mut rx) = channel(2);
    let mut other = tx.subscribe();
    let mut third = tx.subscribe();
    tx.send(value).map_err(drop).unwrap();
    // Each of the two that clone, by a call and by a future.
    assert!(catch_unwind(core::panic::AssertUnwindSafe(|| rx.recv().is_ok())).is_err());
    assert!(rx.try_recv().is_err(), "it counts as received");
    assert!(catch_unwind(core::panic::AssertUnwindSafe(|| block_on(other.recv_async()).is_ok())).is_err());
    panics.store(false, SeqCst);
    assert!(third.recv().is_ok(), "the value is still there");
    assert!(other.is_empty() && third.is_empty());
}

/// A value whose first clone waits at both barriers.
fn slow() -> (Cloning<impl Fn() + Clone + Send + 'static>, Arc<Barrier>, Arc<Barrier>) {
    let (inside, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (first, barriers) = (Arc::new(AtomicBool::new(true)), (inside.clone(), go_on.clone()));
    let clone = move || {
        if first.swap(false, SeqCst) {
            barriers.0.wait();
            barriers.1.wait();
        }
    };
    (Cloning(clone), inside, go_on)
}

#[test]
fn a_slow_clone_does_not_hold_up_the_sender() {
    let (slow, inside, go_on) = slow();
    let (tx, mut rx) = channel(1);
    let mut other = tx.subscribe();
    tx.send(Cloning(slow.0.clone())).map_err(drop).unwrap();
    let receiver = thread::spawn(move || rx.recv().is_ok());
    inside.wait();
    let (woken, waker) = Woken::new();
    {
        let mut wants_it = pin!(other.recv_async());
        assert!(wants_it.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "it is lent");
        // The sender comes round: it does not wait, and who wanted the lent value hears of it.
        tx.send(Cloning(slow.0.clone())).map_err(drop).unwrap();
        assert_eq!(woken.times(), 1);
        let Poll::Ready(received) = wants_it.as_mut().poll(&mut Context::from_waker(&waker)) else { panic!("woken") };
        assert!(matches!(received, Err(RecvError::Lagged(1))));
    }
    go_on.wait();
    assert!(receiver.join().unwrap());
    assert!(other.recv().is_ok());
}

#[test]
fn who_wants_a_lent_value_sleeps_until_it_is_back() {
    let (slow, inside, go_on) = slow();
    let (tx, mut rx) = channel(1);
    let mut others = [tx.subscribe(), tx.subscribe(), tx.subscribe()];
    tx.send(slow).map_err(drop).unwrap();
    let receiver = thread::spawn(move || rx.recv().is_ok());
    inside.wait();
    assert!(matches!(others[0].recv_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
    let waits: [fn(&mut Receiver<_>) -> bool; 3] =
        [|rx| rx.recv().is_ok(), |rx| rx.try_recv().is_ok(), |rx| block_on(rx.recv_async()).is_ok()];
    thread::scope(|scope| {
        let waiting: Vec<_> = others.iter_mut().zip(waits).map(|(rx, wait)| scope.spawn(move || wait(rx))).collect();
        thread::sleep(SHORT);
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        go_on.wait();
        waiting.into_iter().for_each(|waiting| assert!(waiting.join().unwrap()));
    });
    assert!(receiver.join().unwrap());
}

#[test]
fn a_future_that_is_dropped_at_any_step_takes_nothing_along() {
    let (tx, mut rx) = channel(2);
    for (i, sends) in [false, true].into_iter().enumerate() {
        let (woken, waker) = Woken::new();
        drop(rx.recv_async());
        let mut receive = Box::pin(rx.recv_async());
        assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if sends {
            tx.send(i).unwrap();
        }
        assert_eq!(woken.times(), usize::from(sends));
        drop((receive, waker));
        assert_eq!(Arc::strong_count(&woken), 1, "no waker is left");
    }
    assert_eq!(rx.try_recv(), Ok(1));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let (tx, mut rx) = channel(1);
    let ((first, one), (second, two)) = (Woken::new(), Woken::new());
    let mut receive = pin!(rx.recv_async());
    assert!(receive.as_mut().poll(&mut Context::from_waker(&one)).is_pending());
    assert!(receive.as_mut().poll(&mut Context::from_waker(&two)).is_pending());
    tx.send(1).unwrap();
    assert_eq!((first.times(), second.times()), (0, 1));
    assert_eq!(receive.as_mut().poll(&mut Context::from_waker(&two)), Poll::Ready(Ok(1)));
    assert!(receive.as_mut().poll(&mut Context::from_waker(&two)).is_pending(), "it waits for another");
}

#[test]
fn zero_sized_values_are_counted_like_others() {
    let (tx, mut rx) = channel(3);
    (0..5).for_each(|_| tx.send(()).unwrap());
    assert_eq!(rx.recv(), Err(RecvError::Lagged(2)));
    assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(()); 3]);
    assert!(rx.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    Recv(usize),
    Subscribe,
    Leave(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 512 }, failure_persistence: None, ..<_>::default() })]

    /// The model of a receiver is its position in the list of all values.
    #[test]
    fn random_histories(
        capacity in 1_usize..5,
        steps in proptest::collection::vec(prop_oneof![
            4 => Just(Step::Send),
            6 => (0_usize..4).prop_map(Step::Recv),
            1 => Just(Step::Subscribe),
            1 => (0_usize..4).prop_map(Step::Leave),
        ], 0..80),
    ) {
        let (value, drops) = Counted::new();
        let (tx, rx) = channel::<(u64, Counted)>(capacity);
        let mut sent = 0;
        let mut receivers = std::vec![(rx, 0)];
        for step in steps {
            match step {
                Step::Send if receivers.is_empty() => prop_assert!(tx.send((sent, value.clone())).is_err()),
                Step::Send => {
                    prop_assert!(tx.send((sent, value.clone())).is_ok());
                    sent += 1;
                }
                Step::Subscribe => receivers.push((tx.subscribe(), sent)),
                Step::Leave(i) if i < receivers.len() => drop(receivers.swap_remove(i)),
                Step::Recv(i) if i < receivers.len() => {
                    let (rx, at) = &mut receivers[i];
                    let oldest = sent.saturating_sub(capacity as u64);
                    let expected = if *at < oldest {
                        Err(TryRecvError::Lagged(oldest - core::mem::replace(at, oldest)))
                    } else if *at == sent {
                        Err(TryRecvError::Empty)
                    } else {
                        *at += 1;
                        Ok(*at - 1)
                    };
                    prop_assert_eq!(rx.try_recv().map(|(number, _)| number), expected);
                    prop_assert_eq!(rx.len() as u64, sent - (*at).max(oldest));
                }
                Step::Leave(_) | Step::Recv(_) => {}
            }
            // What is kept: the values in reach that somebody still wants.
            let kept = (sent.saturating_sub(capacity as u64)..sent)
                .filter(|position| receivers.iter().any(|(_, at)| at <= position))
                .count();
            prop_assert_eq!(Arc::strong_count(&drops) - 2, kept);
        }
    }
}

#[test]
fn under_load_values_are_in_order_and_all_are_counted() {
    let rounds: u64 = if cfg!(miri) { 30 } else { 5_000 };
    let (tx, rx) = channel(64);
    let mut receivers: Vec<_> = (0..4).map(|_| tx.subscribe()).collect();
    receivers.push(rx);
    let receivers: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(i, mut rx)| {
            thread::spawn(move || {
                let (mut last, mut received, mut missed) = ([None; 2], 0, 0);
                loop {
                    match if i % 2 == 0 { rx.recv() } else { block_on(rx.recv_async()) } {
                        Ok((sender, number)) => {
                            assert!(last[sender] < Some(number), "each sender's in its order");
                            (last[sender], received) = (Some(number), received + 1);
                        }
                        Err(RecvError::Lagged(n)) => missed += n,
                        Err(RecvError::Closed) => return received + missed,
                    }
                }
            })
        })
        .collect();
    let senders = [0, 1].map(|sender| {
        let tx = tx.clone();
        thread::spawn(move || (0..rounds).for_each(|number| tx.send((sender, number)).unwrap()))
    });
    drop(tx);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    receivers.into_iter().for_each(|receiver| assert_eq!(receiver.join().unwrap(), 2 * rounds));
}

#[test]
fn errors_say_what_happened() {
    assert!(SendError(()).to_string().contains("nobody receives"));
    assert!(RecvError::Lagged(3).to_string().contains("3 values were missed"));
    assert_eq!(TryRecvError::from(RecvError::Closed).to_string(), RecvError::Closed.to_string());
    assert_eq!(RecvTimeoutError::from(RecvError::Lagged(1)), RecvTimeoutError::Lagged(1));
    let (tx, rx) = channel::<Cell<u8>>(2);
    assert_eq!(std::format!("{tx:?}"), "Sender { capacity: 2, receivers: 1 }");
    assert_eq!(std::format!("{rx:?}"), "Receiver { len: 0, capacity: 2, closed: false }");
}

// A value is never shared, so it need not be `Sync`.
const _: fn() = || {
    fn both<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn send<T: Send>() {}
    both::<Sender<Cell<u8>>>();
    both::<Receiver<Cell<u8>>>();
    send::<Recv<'_, Cell<u8>>>();
};
assert_not!(Sender<*const u8>: Send);
assert_not!(Receiver<*const u8>: Send);
assert_not!(Sender<*const u8>: Sync);
assert_not!(Recv<'static, *const u8>: Send);
assert_not!(Recv<'static, u8>: Unpin);
