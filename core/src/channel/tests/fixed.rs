//! Channels in statics: what their handles do beside what all channels do.

use super::*;
use core::task::{Context, Poll, Waker};
use std::{future::Future, pin::pin};

#[test]
fn a_static_serves_threads_and_closes_with_the_last_of_a_split() {
    static NUMBERS: StaticChannel<u64, 3> = StaticChannel::new();
    const EACH: u64 = if cfg!(miri) { 50 } else { 5_000 };
    let (tx, rx) = NUMBERS.split();
    let sum: u64 = thread::scope(|scope| {
        for sender in 0..3 {
            let tx = tx.clone();
            scope.spawn(move || (0..EACH).for_each(|i| tx.send(3 * i + sender).unwrap()));
        }
        drop(tx);
        let receivers = [0; 2].map(|_| {
            let rx = rx.clone();
            scope.spawn(move || rx.iter().sum::<u64>())
        });
        receivers.map(|receiver| receiver.join().unwrap()).iter().sum()
    });
    assert_eq!(sum, (0..3 * EACH).sum());
    assert!(NUMBERS.receiver().is_closed());
    assert_eq!(NUMBERS.sender().send(1).unwrap_err().into_inner(), 1);
    // Once closed it stays so.
    let (tx, again) = NUMBERS.split();
    assert!(tx.send(1).is_err() && again.recv().is_err());
}

#[test]
fn handles_that_are_not_counted_close_nothing() {
    let channel = StaticChannel::<_, 2>::new();
    drop((channel.sender().clone(), channel.receiver().clone()));
    channel.sender().send(1).unwrap();
    let (tx, rx) = channel.split();
    drop(channel.sender());
    drop(channel.receiver());
    assert!(!tx.is_closed());
    assert!(tx.same_channel(&channel.sender()));
    assert!(!StaticChannel::<i32, 2>::new().sender().same_channel(&tx));
    assert_eq!((rx.len(), rx.capacity(), tx.is_full()), (1, Some(2), false));
    drop(tx.clone());
    assert!(!rx.is_closed());
    drop(tx);
    assert!(rx.is_closed());
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError)));
}

#[test]
fn what_is_left_in_it_is_dropped_with_it_or_with_the_last_receiver() {
    let value = Arc::new(());
    let channel = StaticChannel::<_, 2>::new();
    channel.sender().send(value.clone()).unwrap();
    drop(channel);
    assert_eq!(Arc::strong_count(&value), 1);

    let channel = StaticChannel::<_, 2>::new();
    let (tx, rx) = channel.split();
    tx.send(value.clone()).unwrap();
    drop(rx);
    assert_eq!(Arc::strong_count(&value), 1);
    assert!(tx.send(value.clone()).is_err());
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_static_waits_in_selects_and_as_a_future() {
    static LEFT: StaticChannel<u32, 1> = StaticChannel::new();
    let (tx, heap) = bounded(1);
    let (left_tx, left) = (LEFT.sender(), LEFT.receiver());
    // The thread's senders are not the last ones: an arm whose channel it closed would be ready, too, and might be chosen.
    let (kept, left_kept) = (tx.clone(), left_tx.clone());
    let other = thread::spawn(move || {
        left_tx.send(1).unwrap();
        tx.send(2).unwrap();
    });
    let mut got = [0; 2].map(|_| {
        select! {
            recv(left) -> value => value.unwrap(),
            recv(heap) -> value => value.unwrap(),
        }
    });
    other.join().unwrap();
    drop((kept, left_kept));
    got.sort_unstable();
    assert_eq!(got, [1, 2]);

    select! {
        send(LEFT.sender(), 3) -> sent => sent.unwrap(),
        default => unreachable!("there is room"),
    }
    let mut context = Context::from_waker(Waker::noop());
    let left_tx = LEFT.sender();
    let mut sending = pin!(left_tx.send_async(4));
    assert!(sending.as_mut().poll(&mut context).is_pending());
    assert_eq!(left.try_recv(), Ok(3));
    assert_eq!(sending.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    assert_eq!(left.try_recv(), Ok(4));

    // The list that is made at run time takes both kinds.
    LEFT.sender().send(5).unwrap();
    let mut list = Select::new();
    let index = list.recv(&left);
    list.recv(&heap);
    let mut seen = None;
    while seen.is_none() {
        let chosen = list.select();
        if chosen.index() == index { seen = Some(chosen.recv(&left)) } else { assert!(chosen.recv(&heap).is_err()) }
    }
    assert_eq!(seen, Some(Ok(5)));
}

/// A reserved place takes room and shows nothing; a select that is given up gives it back.
#[test]
fn a_chosen_send_holds_its_place_until_it_ends() {
    let channel = StaticChannel::<_, 1>::new();
    let (tx, rx) = (channel.sender(), channel.receiver());
    let panicked = std::panic::catch_unwind(|| {
        let value = || -> u32 {
            assert_eq!((rx.len(), tx.try_send(9).is_err()), (0, true));
            panic!("no value")
        };
        select! { send(tx, value()) -> _ => {} }
    });
    assert!(panicked.is_err());
    tx.try_send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
}

#[test]
fn one_type_for_all_lengths() {
    fn total(channels: &[StaticReceiver<'_, u32>]) -> u32 {
        channels.iter().flat_map(Receiver::try_iter).sum()
    }
    let (short, long) = (StaticChannel::<u32, 1>::new(), StaticChannel::<u32, 100>::default());
    short.sender().send(1).unwrap();
    (0..100).for_each(|_| long.sender().send(2).unwrap());
    assert_eq!(total(&[short.receiver(), long.receiver()]), 201);
    #[cfg(target_pointer_width = "64")]
    assert!(size_of::<StaticChannel<u64, 100>>() <= 768 + 100 * (16 + 8));
    assert_eq!(std::format!("{short:?} {:?}", long.sender()), "StaticChannel { .. } Sender { .. }");
}
