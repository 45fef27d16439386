//! Many values in one call, and handles that do not keep a channel open.

use super::*;

#[test]
fn a_drain_ends_though_others_send() {
    for (tx, rx) in [bounded(4), bounded_strict(4), unbounded()] {
        (0..3).for_each(|i| tx.send(i).unwrap());
        let mut drain = rx.drain();
        assert_eq!((drain.next(), drain.size_hint()), (Some(0), (0, Some(2))));
        tx.send(3).unwrap();
        assert_eq!(drain.collect::<Vec<_>>(), [1, 2]);
        let stale = rx.drain();
        assert_eq!(rx.recv(), Ok(3));
        assert_eq!(stale.count(), 0);
        tx.close();
        assert_eq!(rx.drain().count(), 0);
    }
}

/// It makes room for those who wait, and takes what they bring only if it was there.
#[test]
fn a_drain_wakes_senders() {
    let (tx, rx) = bounded(2);
    let sender = thread::spawn(move || (0..6).for_each(|i| tx.send(i).unwrap()));
    let mut got = Vec::new();
    while got.len() < 6 {
        let batch: Vec<_> = rx.drain().collect();
        assert!(batch.len() <= 2);
        got.extend(batch);
        thread::yield_now();
    }
    assert_eq!(got, (0..6).collect::<Vec<_>>());
    sender.join().unwrap();
}

#[test]
fn many_are_received_at_once() {
    let (tx, rx) = bounded(0);
    let sender = thread::spawn(move || (0..100).for_each(|i| tx.send(i).unwrap()));
    let mut got = Vec::new();
    assert_eq!(rx.recv_many(&mut got, 0), Ok(0));
    while let Ok(count) = rx.recv_many(&mut got, 7) {
        assert!((1..=7).contains(&count));
    }
    assert_eq!(got, (0..100).collect::<Vec<_>>());
    sender.join().unwrap();
}

#[test]
fn weak_handles_keep_nothing_open() {
    let (tx, rx) = bounded(1);
    let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
    let (a, b) = (weak_tx.upgrade().unwrap(), weak_rx.clone().upgrade().unwrap());
    drop(tx);
    assert!(!rx.is_closed(), "the upgraded one counts");
    a.send(Arc::new(())).unwrap();
    let value = b.recv().unwrap();
    a.send(value.clone()).unwrap();
    drop((rx, b));
    assert!(a.is_closed() && weak_rx.upgrade().is_none());
    assert_eq!(Arc::strong_count(&value), 1, "what was left went with the last receiver");
    drop(a);
    assert!(weak_tx.upgrade().is_none());
    assert_eq!(std::format!("{weak_tx:?} {weak_rx:?}"), "WeakSender { .. } WeakReceiver { .. }");
}

/// Upgrades meet the drop of the last handle: either it is in time, and the channel stays open, or it finds none.
#[test]
fn an_upgrade_is_in_time_or_comes_to_nothing() {
    for _ in 0..if cfg!(miri) { 20 } else { 2_000 } {
        let (tx, rx) = bounded::<u32>(1);
        let weak = tx.downgrade();
        let other = thread::spawn(move || drop(tx));
        if let Some(tx) = weak.upgrade() {
            tx.send(1).unwrap();
            drop(tx);
            assert_eq!(rx.recv(), Ok(1));
        }
        assert!(rx.recv().is_err());
        other.join().unwrap();
    }
}
