//! Each half's end at each step of the other's, by drops counted; the future polled, moved, left.

use super::*;
use crate::test_support::{Counted, Woken, assert_not, block_on, poll_once};
use core::{cell::Cell, sync::atomic::Ordering::*};
use std::{string::ToString, sync::Arc, thread, vec::Vec};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_value_is_received_by_every_kind_of_call() {
    let sent = || {
        let (tx, rx) = channel();
        tx.send(7).unwrap();
        rx
    };
    assert_eq!(sent().recv(), Ok(7));
    assert_eq!(sent().try_recv(), Ok(7));
    assert_eq!(sent().recv_timeout(SHORT), Ok(7));
    assert_eq!(block_on(sent()), Ok(7));
}

#[test]
fn a_receiver_that_waits_gets_what_another_thread_sends() {
    let receives: [fn(Receiver<u32>) -> u32; 3] = [
        |rx| rx.recv().unwrap(),
        |mut rx| rx.recv_timeout(Duration::from_secs(60)).unwrap(),
        |rx| block_on(rx).unwrap(),
    ];
    for receive in receives {
        let (tx, rx) = channel();
        let receiver = thread::spawn(move || receive(rx));
        thread::sleep(SHORT);
        tx.send(7).unwrap();
        assert_eq!(receiver.join().unwrap(), 7);
    }
}

#[test]
fn a_sender_that_goes_ends_every_kind_of_wait() {
    let receives: [fn(Receiver<u32>); 4] = [
        |rx| assert_eq!(rx.recv(), Err(RecvError)),
        |mut rx| assert_eq!(rx.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Closed)),
        |rx| assert_eq!(block_on(rx), Err(RecvError)),
        |mut rx| {
            while rx.try_recv() == Err(TryRecvError::Empty) {
                thread::yield_now();
            }
            assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
        },
    ];
    for receive in receives {
        let (tx, rx) = channel();
        let receiver = thread::spawn(move || receive(rx));
        thread::sleep(SHORT);
        drop(tx);
        receiver.join().unwrap();
    }
}

#[test]
fn the_value_is_dropped_once_whoever_goes_first() {
    // Received.
    let (value, drops) = Counted::new();
    let (tx, rx) = channel();
    tx.send(value).unwrap();
    drop(rx.recv().unwrap());
    assert_eq!(drops.load(SeqCst), 1);
    // Sent, never received.
    let (value, drops) = Counted::new();
    let (tx, rx) = channel();
    tx.send(value).unwrap();
    assert_eq!(drops.load(SeqCst), 0);
    drop(rx);
    assert_eq!(drops.load(SeqCst), 1);
    // The receiver was gone: the value comes back.
    let (value, drops) = Counted::new();
    let (tx, rx) = channel();
    assert!(!tx.is_closed());
    drop(rx);
    assert!(tx.is_closed());
    let back = tx.send(value).unwrap_err();
    assert_eq!(drops.load(SeqCst), 0);
    drop(back);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_future_that_is_dropped_after_a_poll_keeps_no_waker_and_loses_no_value() {
    let (woken, waker) = Woken::new();
    let (value, drops) = Counted::new();
    let (tx, mut rx) = channel();
    assert!(poll_once(&mut rx, &waker).is_pending());
    drop(waker);
    drop(rx);
    assert_eq!(Arc::strong_count(&woken), 1, "the channel let the waker go");
    drop(tx.send(value).unwrap_err());
    assert_eq!((woken.times(), drops.load(SeqCst)), (0, 1));

    // The same with the send in between.
    let (woken, waker) = Woken::new();
    let (value, drops) = Counted::new();
    let (tx, mut rx) = channel();
    assert!(poll_once(&mut rx, &waker).is_pending());
    tx.send(value).unwrap();
    assert_eq!((woken.times(), drops.load(SeqCst)), (1, 0));
    drop(rx);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn the_last_waker_is_the_one_that_is_woken_and_the_future_may_move() {
    let ((first, one), (second, two)) = (Woken::new(), Woken::new());
    let (tx, mut rx) = channel();
    assert!(poll_once(&mut rx, &one).is_pending());
    assert!(poll_once(&mut rx, &one).is_pending());
    let mut moved = std::boxed::Box::new(rx);
    assert!(poll_once(&mut moved, &two).is_pending());
    drop(one);
    assert_eq!(Arc::strong_count(&first), 1);
    tx.send(1).unwrap();
    assert_eq!((first.times(), second.times()), (0, 1));
    assert_eq!(poll_once(&mut moved, &two), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(&mut moved, &two), Poll::Ready(Err(RecvError)), "fused");
}

#[test]
fn a_wait_that_ran_out_of_time_can_be_taken_up_again() {
    let (tx, mut rx) = channel();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(matches!(*rx.shared.lock(), State::Waiting(None)), "no waker of the wait that is over");
    tx.send(1).unwrap();
    assert_eq!(rx.recv_timeout(SHORT), Ok(1));
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Closed));
}

#[test]
fn zero_sized_and_large_values_pass() {
    let (tx, rx) = channel();
    tx.send(()).unwrap();
    assert_eq!(rx.recv(), Ok(()));
    let (tx, rx) = channel();
    tx.send([3_u8; 10_000]).unwrap();
    assert!(rx.recv().unwrap() == [3; 10_000]);
}

#[test]
fn many_pairs_race_and_each_value_is_dropped_once() {
    let (value, drops) = Counted::new();
    let rounds = if cfg!(miri) { 20 } else { 5_000 };
    for _ in 0..rounds {
        let (tx, mut rx) = channel();
        let value = value.clone();
        let sender = thread::spawn(move || drop(tx.send(value)));
        if poll_once(&mut rx, Waker::noop()).is_pending() {
            drop(rx);
        }
        sender.join().unwrap();
    }
    assert_eq!(drops.load(SeqCst), rounds);
}

#[test]
fn errors_say_what_happened() {
    let texts: Vec<_> = [
        SendError(()).to_string(),
        RecvError.to_string(),
        TryRecvError::Empty.to_string(),
        RecvTimeoutError::Timeout.to_string(),
    ]
    .into();
    assert!(texts.iter().all(|text| text.contains("oneshot channel")), "{texts:?}");
    assert_eq!(std::format!("{:?}", SendError(Cell::new(1))), "SendError(..)");
    let (tx, rx) = channel::<Cell<u8>>();
    assert_eq!(std::format!("{tx:?} {rx:?}"), "Sender { closed: false } Receiver { state: \"waiting\" }");
}

// The value moves whole: `Send` is enough, and needed.
const _: fn() = || {
    fn both<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    both::<Sender<Cell<u8>>>();
    both::<Receiver<Cell<u8>>>();
};
assert_not!(Sender<*const u8>: Send);
assert_not!(Receiver<*const u8>: Send);
assert_not!(Sender<*const u8>: Sync);
assert_not!(Receiver<*const u8>: Sync);
