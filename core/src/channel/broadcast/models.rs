//! Receivers against each other, the sender, and the end.

use super::*;
use crate::{
    sync::UnsafeCell,
    test_support::{Counted, block_on},
};
use core::sync::atomic::Ordering::*;
use loom::thread;

/// A value that is `Send` but not `Sync`, whose clone changes it: the checker reports two of them at once.
struct Touchy {
    number: u64,
    clones: UnsafeCell<u32>,
    _drops: Counted,
}

impl Touchy {
    fn new(number: u64, drops: &Counted) -> Self {
        Self { number, clones: UnsafeCell::new(0), _drops: drops.clone() }
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        // SAFETY: what the model checks: nobody else has a reference to this value.
        self.clones.with_mut(|clones| unsafe { *clones += 1 });
        thread::yield_now(); // while the others come
        Self::new(self.number, &self._drops)
    }
}

/// Two receivers take one value at the same moment: both get it, one clone is made, and never two at once.
/// Fails if who brings the value back wakes nobody.
#[test]
fn broadcast_two_receivers_meet_at_a_value() {
    loom::model(|| {
        let (counted, drops) = Counted::new();
        let (tx, mut rx) = channel(1);
        let mut other = tx.subscribe();
        tx.send(Touchy::new(0, &counted)).map_err(drop).unwrap();
        let receiver = thread::spawn(move || assert!(other.recv().is_ok()));
        assert!(rx.recv().is_ok());
        receiver.join().unwrap();
        assert_eq!(drops.load(SeqCst), 2);
    });
}

/// One of them by a future, and both before the value is there: both are woken.
#[test]
fn broadcast_all_are_woken() {
    loom::model(|| {
        let (tx, mut rx) = channel(1);
        let mut other = tx.subscribe();
        let receiver = thread::spawn(move || assert_eq!(block_on(other.recv_async()), Ok(1)));
        let sender = thread::spawn(move || tx.send(1).unwrap());
        assert_eq!(rx.recv(), Ok(1));
        receiver.join().unwrap();
        sender.join().unwrap();
    });
}

/// The sender comes round while the value is lent: nobody waits for what does not come back, and each value is dropped once.
/// Fails if a value goes back to a slot that has moved on.
#[test]
fn broadcast_sender_comes_round_meets_clone() {
    loom::model(|| {
        let (counted, drops) = Counted::new();
        let (tx, mut rx) = channel(1);
        let other = tx.subscribe();
        tx.send(Touchy::new(0, &counted)).map_err(drop).unwrap();
        let sender = {
            let value = Touchy::new(1, &counted);
            thread::spawn(move || tx.send(value).map_err(drop).unwrap())
        };
        let mut next = 0;
        loop {
            match rx.recv() {
                Ok(value) => assert_eq!(value.number, next),
                Err(RecvError::Lagged(missed)) => assert_eq!((missed, next), (1, 0)),
                Err(RecvError::Closed) => break,
            }
            next += 1;
        }
        assert_eq!(next, 2);
        sender.join().unwrap();
        drop((rx, other));
        assert_eq!(Arc::strong_count(&drops), 2, "ours and the counter's own: no value is left");
    });
}

/// A receiver goes while another takes the value that both wanted: it is cloned or not, and dropped once.
/// Fails if a value that nobody wants goes back.
#[test]
fn broadcast_receiver_goes_meets_clone() {
    loom::model(|| {
        let (counted, drops) = Counted::new();
        let (tx, mut rx) = channel(1);
        let other = tx.subscribe();
        tx.send(Touchy::new(0, &counted)).map_err(drop).unwrap();
        let going = thread::spawn(move || drop(other));
        let _received = rx.recv().map_err(drop).unwrap();
        going.join().unwrap();
        assert_eq!(Arc::strong_count(&drops), 3, "as above, and the received one: nobody wants what is in the channel");
    });
}

/// The last sender goes: who waits hears of its value, and of the end.
#[test]
fn broadcast_the_end_meets_recv() {
    loom::model(|| {
        let (tx, mut rx) = channel(1);
        let sender = thread::spawn(move || tx.send(1).unwrap());
        assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Closed)));
        sender.join().unwrap();
    });
}
