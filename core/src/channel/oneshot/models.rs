//! The two halves' ends against each other, in every order.

use super::*;
use crate::test_support::{Counted, Woken, block_on, poll_once};
use core::sync::atomic::Ordering::*;
use loom::thread;
use std::boxed::Box;

/// A receiver that waits is woken and has the value, and what the sender wrote before it.
#[test]
fn oneshot_send_meets_recv() {
    loom::model(|| {
        let written = Box::new(crate::sync::UnsafeCell::new(0));
        let (tx, rx) = channel();
        let sender = thread::spawn(move || {
            // SAFETY: not shared yet.
            written.with_mut(|cell| unsafe { *cell = 7 });
            tx.send(written).unwrap();
        });
        let written = rx.recv().unwrap();
        // SAFETY: the sender does not touch it after the send.
        assert_eq!(written.with(|cell| unsafe { *cell }), 7);
        sender.join().unwrap();
    });
}

/// A receiver that goes while the sender sends: the value comes back or is dropped in the channel; once.
#[test]
fn oneshot_send_meets_receiver_drop() {
    loom::model(|| {
        let (value, drops) = Counted::new();
        let (tx, rx) = channel();
        let sender = thread::spawn(move || drop(tx.send(value)));
        drop(rx);
        sender.join().unwrap();
        assert_eq!(drops.load(SeqCst), 1);
    });
}

/// The same for a future that was polled before, and then looks once more: what it does not get is not lost.
#[test]
fn oneshot_send_meets_poll_and_drop() {
    loom::model(|| {
        let (value, drops) = Counted::new();
        let (woken, waker) = Woken::new();
        let (tx, mut rx) = channel();
        assert!(poll_once(&mut rx, &waker).is_pending());
        let sender = thread::spawn(move || tx.send(value).map_err(drop).is_ok());
        let received = rx.try_recv().is_ok();
        drop(rx);
        let sent = sender.join().unwrap();
        assert!(sent || !received);
        assert_eq!((woken.times(), drops.load(SeqCst)), (usize::from(sent), 1));
    });
}

/// A sender that goes wakes the receiver.
#[test]
fn oneshot_sender_drop_meets_recv() {
    loom::model(|| {
        let (tx, rx) = channel::<u32>();
        let sender = thread::spawn(move || drop(tx));
        assert_eq!(block_on(rx), Err(RecvError));
        sender.join().unwrap();
    });
}

/// A future that moves to another waker while the sender sends: if it still had to wait then, the new one is woken.
#[test]
fn oneshot_send_meets_new_waker() {
    loom::model(|| {
        let ((_, old), (new, waker)) = (Woken::new(), Woken::new());
        let (tx, mut rx) = channel();
        assert!(poll_once(&mut rx, &old).is_pending());
        let sender = thread::spawn(move || tx.send(1).unwrap());
        let pending = poll_once(&mut rx, &waker).is_pending();
        sender.join().unwrap();
        assert_eq!(new.times(), usize::from(pending));
    });
}
