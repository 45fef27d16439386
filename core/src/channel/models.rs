//! Models of the channel's protocols: two or three threads, every interleaving up to the preemption bound.
//!
//! A lost wake-up is a deadlock, which the checker reports; a waiter touched after its end is an access that it catches.

use super::*;
use loom::thread;
use std::vec::Vec;

/// A model too large for the usual number of preemptions.
fn model_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.min(preemptions));
    builder.check(model);
}

/// What the sender wrote before the send, the receiver sees. Fails if `finish` or `outcome` is Relaxed.
#[test]
fn channel_hand_over_is_seen() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || {
            let boxed = loom::sync::Arc::new(loom::cell::UnsafeCell::new(0));
            // SAFETY: not shared yet.
            boxed.with_mut(|value| unsafe { *value = 7 });
            tx.send(SharedCell(boxed)).unwrap();
        });
        let SharedCell(boxed) = rx.recv().unwrap();
        // SAFETY: the sender does not touch it after the send.
        assert_eq!(boxed.with(|value| unsafe { *value }), 7);
        sender.join().unwrap();
    });
}

struct SharedCell(loom::sync::Arc<loom::cell::UnsafeCell<u32>>);
// SAFETY: the model uses it from one thread at a time, which is what it checks.
unsafe impl Send for SharedCell {}

/// A close meets a waiting sender: the value is received or comes back, never both, never neither.
#[test]
fn channel_close_meets_send() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let sender = {
            let tx = tx.clone();
            thread::spawn(move || tx.send(1))
        };
        let closer = {
            let rx = rx.clone();
            thread::spawn(move || rx.close())
        };
        let received = rx.try_recv().is_ok();
        assert!(closer.join().unwrap());
        assert_eq!(received, sender.join().unwrap().is_ok());
    });
}

/// Two selects over the same two channels, each sending on one and receiving on the other: they meet once, on one
/// channel, and neither sleeps on.
#[test]
fn select_meets_select() {
    loom::model(|| {
        let (a_tx, a_rx) = bounded::<u32>(0);
        let (b_tx, b_rx) = bounded::<u32>(0);
        let other = {
            let (a_rx, b_tx) = (a_rx.clone(), b_tx.clone());
            thread::spawn(move || {
                crate::select! {
                    send(b_tx, 2) -> sent => { sent.unwrap(); 0 }
                    recv(a_rx) -> got => got.unwrap(),
                }
            })
        };
        let mine = crate::select! {
            send(a_tx, 1) -> sent => { sent.unwrap(); 0 }
            recv(b_rx) -> got => got.unwrap(),
        };
        let theirs = other.join().unwrap();
        // Either channel `a` carried 1 to them, or `b` carried 2 to us.
        assert!((mine, theirs) == (0, 1) || (mine, theirs) == (2, 0), "{mine} {theirs}");
    });
}

/// A receiver that goes to sleep while a value is pushed hears of it (C1), and sees it.
#[test]
fn channel_push_meets_a_receiver_going_to_sleep() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        let sender = {
            let tx = tx.clone();
            thread::spawn(move || tx.try_send(7).unwrap())
        };
        assert_eq!(rx.recv(), Ok(7));
        sender.join().unwrap();
    });
}

/// A sender that goes to sleep while room is made hears of it.
#[test]
fn channel_pop_meets_a_sender_going_to_sleep() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        tx.try_send(1).unwrap();
        let receiver = {
            let rx = rx.clone();
            thread::spawn(move || rx.try_recv().unwrap())
        };
        tx.send(2).unwrap();
        assert_eq!((receiver.join().unwrap(), rx.try_recv()), (1, Ok(2)));
    });
}

/// A receiver that goes to sleep while the channel is closed hears of it.
#[test]
fn channel_close_meets_a_receiver_going_to_sleep() {
    loom::model(|| {
        let (tx, rx) = bounded::<u32>(1);
        let closer = thread::spawn(move || drop(tx));
        assert_eq!(rx.recv(), Err(RecvError));
        closer.join().unwrap();
    });
}

/// One value, one sender, one receiver, nothing in between.
#[test]
fn channel_rendezvous() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || tx.send(7).unwrap());
        assert_eq!(rx.recv(), Ok(7));
        sender.join().unwrap();
    });
}

/// The same through the segments.
#[test]
fn channel_unbounded_push_meets_a_receiver_going_to_sleep() {
    loom::model(|| {
        let (tx, rx) = unbounded();
        let sender = {
            let tx = tx.clone();
            thread::spawn(move || tx.try_send(7).unwrap())
        };
        assert_eq!(rx.recv(), Ok(7));
        sender.join().unwrap();
    });
}

/// A select that receives goes to sleep while a value is pushed.
#[test]
fn select_going_to_sleep_meets_a_push() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        let sender = {
            let tx = tx.clone();
            thread::spawn(move || tx.try_send(7).unwrap())
        };
        let got = crate::select! { recv(rx) -> got => got };
        assert_eq!(got, Ok(7));
        sender.join().unwrap();
    });
}

/// A full buffer: the receiver moves the waiting sender's value in, and order is kept.
#[test]
fn channel_full_buffer_keeps_order() {
    model_within(1, || {
        let (tx, rx) = bounded(1);
        let sender = thread::spawn(move || (0..3).for_each(|i| tx.send(i).unwrap()));
        assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Ok(0), Ok(1), Ok(2)));
        sender.join().unwrap();
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

/// The last sender goes while a receiver waits.
#[test]
fn channel_drop_wakes_receiver() {
    model_within(2, || {
        let (tx, rx) = bounded::<u32>(1);
        let other = tx.clone();
        let dropper = thread::spawn(move || drop(other));
        let sender = thread::spawn(move || tx.send(1).unwrap());
        assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
        dropper.join().unwrap();
        sender.join().unwrap();
    });
}

/// A wait that is given up (its hook unwound) takes its node out while a sender may be coming: the sender's value is in
/// the slot, or still with the sender's next receiver.
#[test]
fn channel_withdrawn_receiver_leaves_no_trace() {
    loom::model(|| {
        let (tx, rx) = bounded::<u32>(1);
        let sender = {
            let tx = tx.clone();
            thread::spawn(move || tx.send(1).unwrap())
        };
        let taken = wait::poll_once_and_end(rx.shared());
        sender.join().unwrap();
        assert_eq!(taken.is_some(), rx.try_recv().is_err(), "the value is in exactly one place");
    });
}

/// A select over two channels, each with a sender: one value is taken, the other is still there.
#[test]
fn select_takes_one_and_leaves_the_other() {
    model_within(1, || {
        let (a_tx, a_rx) = bounded::<u32>(1);
        let (b_tx, b_rx) = bounded::<u32>(1);
        let a = thread::spawn(move || a_tx.send(1).unwrap());
        let b = thread::spawn(move || b_tx.send(2).unwrap());
        let first = crate::select! {
            recv(a_rx) -> got => got.unwrap(),
            recv(b_rx) -> got => got.unwrap(),
        };
        let second = if first == 1 { b_rx.recv() } else { a_rx.recv() };
        assert_eq!(first + second.unwrap(), 3);
        a.join().unwrap();
        b.join().unwrap();
    });
}
