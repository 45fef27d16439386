//! The end against a receiver that waits.

use super::*;
use loom::thread;

/// The last sender's last change is seen, and then the end. Fails if the end wakes nobody.
#[test]
fn watch_last_change_then_the_end() {
    loom::model(|| {
        let (tx, mut rx) = channel(0);
        let sender = thread::spawn(move || tx.send(1).unwrap());
        assert_eq!(rx.changed(), Ok(()));
        assert_eq!(rx.get(), 1);
        assert_eq!(rx.changed(), Err(RecvError));
        sender.join().unwrap();
    });
}

/// Two senders go at once: one of them is the last.
#[test]
fn watch_two_senders_go() {
    loom::model(|| {
        let (tx, mut rx) = channel(());
        let other = tx.clone();
        let going = thread::spawn(move || drop(other));
        let last = thread::spawn(move || drop(tx));
        assert_eq!(rx.changed(), Err(RecvError));
        going.join().unwrap();
        last.join().unwrap();
    });
}
