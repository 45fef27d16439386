//! What the halves add to a watch: counts, and an end. The rest is tested there.

use super::*;
use crate::test_support::{Counted, assert_not, block_on};
use core::{cell::Cell, sync::atomic::Ordering::*};
use std::{string::ToString, thread};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn the_last_change_is_seen_before_the_end() {
    let (tx, rx) = channel(0);
    let mut receivers = [rx.clone(), rx.clone(), rx.clone(), rx];
    tx.send(1).unwrap();
    drop(tx);
    let [a, b, c, d] = &mut receivers;
    assert_eq!((a.changed(), a.changed()), (Ok(()), Err(RecvError)));
    assert_eq!((b.try_changed(), b.try_changed()), (Ok(()), Err(TryRecvError::Closed)));
    assert_eq!((c.changed_timeout(SHORT), c.changed_timeout(SHORT)), (Ok(()), Err(RecvTimeoutError::Closed)));
    assert_eq!((block_on(d.changed_async()), block_on(d.changed_async())), (Ok(()), Err(RecvError)));
    assert!(a.is_closed());
    assert_eq!(receivers.map(|mut rx| rx.get()), [1; 4], "the value stays");
}

#[test]
fn the_last_sender_wakes_all_who_wait() {
    let (tx, rx) = channel(());
    let waits: [fn(Receiver<()>); 3] = [
        |mut rx| assert_eq!(rx.changed(), Err(RecvError)),
        |mut rx| assert_eq!(rx.changed_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Closed)),
        |mut rx| assert_eq!(block_on(rx.changed_async()), Err(RecvError)),
    ];
    let waiting = waits.map(|wait| {
        let rx = rx.clone();
        thread::spawn(move || wait(rx))
    });
    let another = tx.clone();
    drop(tx);
    thread::sleep(SHORT);
    assert!(!rx.is_closed() && waiting.iter().all(|waiting| !waiting.is_finished()));
    drop(another);
    waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
}

#[test]
fn a_sender_knows_whether_somebody_watches() {
    let (tx, rx) = channel(0);
    let other = rx.clone();
    assert_eq!(tx.receiver_count(), 2);
    drop((rx, other));
    assert!(tx.is_closed());
    assert_eq!(tx.send(1), Err(SendError(1)));
    assert_eq!((tx.get(), tx.send_replace(2)), (0, 0));
    tx.send_modify(|value| *value += 1);
    let mut rx = tx.subscribe();
    assert_eq!((rx.try_changed(), rx.get()), (Err(TryRecvError::Unchanged), 3));
    assert_eq!(tx.send(4), Ok(()));
    assert_eq!((rx.try_changed(), rx.with(|value| *value)), (Ok(()), 4));
}

#[test]
fn values_are_dropped_once() {
    let (value, drops) = Counted::new();
    let (tx, rx) = channel(value.clone());
    tx.send(value.clone()).unwrap();
    assert_eq!(drops.load(SeqCst), 1);
    drop(rx);
    drop(tx.send(value).unwrap_err());
    assert_eq!(drops.load(SeqCst), 2);
    drop(tx);
    assert_eq!(drops.load(SeqCst), 3);
}

#[test]
fn watchers_end_with_the_latest_value_under_load() {
    let rounds: u64 = if cfg!(miri) { 50 } else { 20_000 };
    let (tx, rx) = channel(0);
    let watchers = [0; 4].map(|_| {
        let mut rx = rx.clone();
        thread::spawn(move || {
            let (mut last, mut changes) = (0, 0);
            while rx.changed().is_ok() {
                let value = rx.get();
                assert!(value > last, "a change is seen once, and never goes back");
                (last, changes) = (value, changes + 1);
            }
            (last, changes)
        })
    });
    let senders = [0; 2].map(|_| {
        let tx = tx.clone();
        thread::spawn(move || (0..rounds).for_each(|_| tx.send_modify(|value| *value += 1)))
    });
    drop(tx);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    for watcher in watchers {
        let (last, changes) = watcher.join().unwrap();
        assert!(last == 2 * rounds && changes <= last, "{last} {changes}");
    }
}

#[test]
fn errors_say_what_happened() {
    assert!(SendError(()).to_string().contains("no receiver"));
    assert!(RecvError.to_string().contains("last sender is gone"));
    assert!(TryRecvError::Unchanged.to_string().contains("not changed"));
    assert!(RecvTimeoutError::Timeout.to_string().contains("timed out"));
    let (tx, rx) = channel(Cell::new(1));
    assert_eq!(std::format!("{tx:?}"), "Sender { version: 0, closed: false }");
    assert_eq!(std::format!("{rx:?}"), "Receiver { seen: 0, version: 0, closed: false }");
    assert_eq!(std::format!("{:?}", tx.send(Cell::new(2))), "Ok(())");
}

const _: fn() = || {
    fn both<T: Send + Sync>() {}
    fn send<T: Send>() {}
    both::<Sender<u8>>();
    both::<Receiver<u8>>();
    send::<Changed<'_>>();
};
// Readers share the value, and the last half may drop it on any thread.
assert_not!(Sender<Cell<u8>>: Send);
assert_not!(Receiver<Cell<u8>>: Send);
assert_not!(Receiver<std::sync::MutexGuard<'static, u8>>: Send);
assert_not!(Changed<'static>: Unpin);
