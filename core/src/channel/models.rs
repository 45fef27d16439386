//! Models of the channel's protocols: two or three threads, every interleaving up to the preemption bound.
//!
//! A lost wake-up is a deadlock, which the checker reports; a waiter touched after its end is an access that it catches.

use super::*;
use crate::sync::UnsafeCell;
use crate::test_support::{Counted, poll_once};
use core::{sync::atomic::Ordering::*, task::Waker};
use loom::thread;
use std::{boxed::Box, sync::Arc, vec::Vec};

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

/// A receive that was polled is dropped while a send comes: the value that it was given, or told of, goes to the next receiver.
fn dropped_receive_meets_send(capacity: usize, send: fn(&Sender<u32>)) {
    loom::model(move || {
        let (tx, rx) = bounded(capacity);
        let mut receive = Box::pin(rx.recv_async());
        assert!(poll_once(&mut receive, Waker::noop()).is_pending());
        let sender = thread::spawn(move || send(&tx));
        drop(receive);
        assert_eq!(rx.recv(), Ok(7));
        sender.join().unwrap();
    });
}

#[test]
fn channel_dropped_receive_meets_send() {
    dropped_receive_meets_send(1, |tx| tx.send(7).unwrap());
}

#[test]
fn channel_dropped_receive_meets_send_in_a_rendezvous() {
    dropped_receive_meets_send(0, |tx| tx.send(7).unwrap());
}

/// The sender has claimed the receive, and makes the value only then: the drop waits for it (P2).
#[test]
fn channel_dropped_receive_meets_a_select_that_sends() {
    dropped_receive_meets_send(0, |tx| crate::select! { send(tx, 7) -> sent => sent.unwrap() });
}

/// A receive that was told of a value is dropped: another receiver, who sleeps, hears of it (C5).
#[test]
fn channel_dropped_receive_passes_on() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        let other = rx.clone();
        let mut receive = Box::pin(rx.recv_async());
        assert!(poll_once(&mut receive, Waker::noop()).is_pending());
        let receiver = thread::spawn(move || other.recv());
        tx.try_send(7).unwrap();
        drop(receive);
        assert_eq!(receiver.join().unwrap(), Ok(7));
    });
}

/// A send that was polled is dropped while room is made: its value is in the channel, or gone with it.
#[test]
fn channel_dropped_send_meets_recv() {
    loom::model(|| {
        let ((first, _drops), (second, drops)) = (Counted::new(), Counted::new());
        let (tx, rx) = bounded(1);
        tx.try_send(first).map_err(drop).unwrap();
        let mut send = Box::pin(tx.send_async(second));
        assert!(poll_once(&mut send, Waker::noop()).is_pending());
        let receiver = {
            let rx = rx.clone();
            thread::spawn(move || drop(rx.try_recv().map_err(drop).unwrap()))
        };
        drop(send);
        receiver.join().unwrap();
        assert_eq!(drops.load(SeqCst), usize::from(rx.is_empty()));
        assert_eq!(rx.try_recv().is_ok(), drops.load(SeqCst) == 0);
        assert_eq!(drops.load(SeqCst), 1);
    });
}

/// A value comes into one channel before the other's only one is taken: a select with a default finds one of them.
#[test]
fn select_default_finds_what_was_there_all_the_while() {
    loom::model(|| {
        let ((a_tx, a_rx), (b_tx, b_rx)) = (bounded(1), bounded(1));
        b_tx.try_send(2).unwrap();
        let other = {
            let b_rx = b_rx.clone();
            thread::spawn(move || (a_tx.try_send(1).unwrap(), b_rx.try_recv().is_ok()).1)
        };
        let got = crate::select_biased! {
            recv(a_rx) -> got => got.unwrap(),
            recv(b_rx) -> got => got.unwrap(),
            default => 0,
        };
        assert_eq!(got, if other.join().unwrap() { 1 } else { 2 });
    });
}

/// In rendezvous, somebody waits at one before he leaves the other: he is found at one of them.
#[test]
fn select_default_finds_who_waits_all_the_while() {
    loom::model(|| {
        let ((a_tx, a_rx), (b_tx, b_rx)) = (bounded(0), bounded(0));
        let mut at_b = Box::pin(b_tx.send_async(2));
        assert!(poll_once(&mut at_b, Waker::noop()).is_pending());
        let other = thread::spawn(move || {
            crate::select_biased! {
                recv(a_rx) -> got => got.unwrap(),
                recv(b_rx) -> got => got.unwrap(),
                default => 0,
            }
        });
        let mut at_a = Box::pin(a_tx.send_async(1));
        _ = poll_once(&mut at_a, Waker::noop());
        drop(at_b);
        assert_ne!(other.join().unwrap(), 0);
    });
}

/// Who finds the channel closed because nobody is left on the other side sees what each of them did before he went.
#[test]
fn channel_end_shows_what_all_senders_did() {
    loom::model(|| {
        let (tx, rx) = bounded::<u32>(1);
        end_shows_what_all_did([tx.clone(), tx], || rx.try_recv().is_err_and(|error| error.is_disconnected()));
    });
}

#[test]
fn channel_end_shows_what_all_receivers_did() {
    loom::model(|| {
        let (tx, rx) = bounded::<u32>(1);
        end_shows_what_all_did([rx.clone(), rx], || tx.try_send(1).is_err_and(|error| error.is_disconnected()));
    });
}

fn end_shows_what_all_did<H: Send + 'static>(handles: [H; 2], has_ended: impl Fn() -> bool) {
    let cells = Arc::new([(); 2].map(|()| UnsafeCell::new(0)));
    let mut me = 0;
    let goers = handles.map(|handle| {
        let (cells, mine) = (cells.clone(), me);
        me += 1;
        thread::spawn(move || {
            // SAFETY: the other side reads it after this handle has gone.
            cells[mine].with_mut(|cell| unsafe { *cell = 7 });
            drop(handle);
        })
    });
    if has_ended() {
        // SAFETY: both writers are done.
        cells.iter().for_each(|cell| assert_eq!(cell.with(|cell| unsafe { *cell }), 7));
    }
    goers.into_iter().for_each(|goer| goer.join().unwrap());
}

/// A weak handle is upgraded while the last full one goes: the channel stays open for it, or has ended.
#[test]
fn channel_upgrade_meets_the_last_drop() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        let weak = tx.downgrade();
        let goer = thread::spawn(move || drop(tx));
        let upgraded = weak.upgrade();
        goer.join().unwrap();
        match upgraded {
            Some(tx) => assert_eq!((tx.try_send(7), rx.try_recv()), (Ok(()), Ok(7))),
            None => assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected)),
        }
    });
}
