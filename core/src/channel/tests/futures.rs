//! Sends and receives as futures, polled by hand: what a poll finds, and what is left when one is dropped half-way.

use super::*;
use crate::channel::{RecvFuture, SendFuture};
use core::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use std::{boxed::Box, task::Wake};

/// Counts its wake-ups.
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell(AtomicUsize::new(0)));
    (bell.clone(), Waker::from(bell))
}

fn rings(bell: &Bell) -> usize {
    bell.0.load(SeqCst)
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

fn waiting_receive<'a, T>(rx: &'a Receiver<T>, waker: &Waker) -> Pin<Box<RecvFuture<'a, T>>> {
    let mut future = Box::pin(rx.recv_async());
    assert!(poll(future.as_mut(), waker).is_pending());
    future
}

fn waiting_send<'a, T>(tx: &'a Sender<T>, value: T, waker: &Waker) -> Pin<Box<SendFuture<'a, T>>> {
    let mut future = Box::pin(tx.send_async(value));
    assert!(poll(future.as_mut(), waker).is_pending());
    future
}

#[test]
fn a_receive_waits_for_a_value_and_for_the_close() {
    for (tx, rx) in [bounded(0), bounded(1), unbounded()] {
        let (bell, waker) = bell();
        let mut first = waiting_receive(&rx, &waker);
        let mut second = waiting_receive(&rx, &waker);
        tx.try_send(7).unwrap();
        assert_eq!(rings(&bell), 1);
        assert_eq!(poll(first.as_mut(), &waker), Poll::Ready(Ok(7)));
        assert!(first.is_terminated() && !second.is_terminated());
        assert!(poll(second.as_mut(), &waker).is_pending());
        tx.close();
        assert_eq!(rings(&bell), 2);
        assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(Err(RecvError)));
    }
}

#[test]
fn a_send_waits_for_room_and_gives_back_at_the_close() {
    for capacity in [0, 2] {
        let (tx, rx) = bounded(capacity);
        (0..capacity).for_each(|i| tx.try_send(i).unwrap());
        let (bell, waker) = bell();
        let mut first = waiting_send(&tx, 7, &waker);
        let mut second = waiting_send(&tx, 8, &waker);
        assert_eq!(rx.try_recv(), Ok(if capacity == 0 { 7 } else { 0 }));
        assert_eq!(rings(&bell), 1);
        assert_eq!(poll(first.as_mut(), &waker), Poll::Ready(Ok(())));
        assert!(poll(second.as_mut(), &waker).is_pending());
        rx.close();
        assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(Err(SendError(8))));
        assert_eq!(rx.iter().collect::<Vec<_>>(), if capacity == 0 { std::vec![] } else { std::vec![1, 7] });
    }
}

/// Told of a value, and dropped before it looked: the next one is told.
#[test]
fn a_dropped_receive_passes_the_news_on() {
    for (tx, rx) in [bounded(1), unbounded()] {
        let ((_, first_waker), (second_bell, second_waker)) = (bell(), bell());
        let first = waiting_receive(&rx, &first_waker);
        let mut second = waiting_receive(&rx, &second_waker);
        tx.try_send(7).unwrap();
        assert_eq!(rings(&second_bell), 0);
        drop(first);
        assert_eq!(rings(&second_bell), 1);
        assert_eq!(poll(second.as_mut(), &second_waker), Poll::Ready(Ok(7)));
    }
}

/// What a dropped future had been given was sent before what a sender still waits with: so it is received before.
#[test]
fn what_a_dropped_receive_had_goes_before_a_sender_in_line() {
    let mut context = Context::from_waker(Waker::noop());
    let (tx, rx) = bounded(0);
    let mut first = Box::pin(rx.recv_async());
    assert!(first.as_mut().poll(&mut context).is_pending());
    tx.try_send(1).unwrap();
    let mut second = Box::pin(tx.send_async(2));
    assert!(second.as_mut().poll(&mut context).is_pending());
    drop(first);
    let mut next = || Box::pin(rx.recv_async()).as_mut().poll(&mut context);
    assert_eq!((next(), next()), (Poll::Ready(Ok(1)), Poll::Ready(Ok(2))));
}

/// A rendezvous has handed its value over already: it goes to the next, or to whoever comes.
#[test]
fn a_value_in_a_dropped_receive_goes_back() {
    let (tx, rx) = bounded(0);
    let (bell, waker) = bell();
    let first = waiting_receive(&rx, &waker);
    tx.try_send(7).unwrap();
    drop(first);
    assert_eq!((rx.len(), rx.try_recv()), (1, Ok(7)));

    let first = waiting_receive(&rx, &waker);
    let mut second = waiting_receive(&rx, &waker);
    tx.try_send(8).unwrap();
    drop(first);
    assert_eq!(rings(&bell), 3);
    assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(Ok(8)));
}

#[test]
fn a_dropped_wait_leaves_its_line() {
    let (tx, rx) = bounded(1);
    let (bell, waker) = bell();
    drop(waiting_receive(&rx, &waker));
    tx.try_send(1).unwrap();
    drop(waiting_send(&tx, 2, &waker));
    assert_eq!((rx.try_recv(), rx.try_recv().is_err(), rings(&bell)), (Ok(1), true, 0));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    for (tx, rx) in [bounded(0), bounded(1)] {
        let ((old_bell, old), (new_bell, new)) = (bell(), bell());
        let mut receive = waiting_receive(&rx, &old);
        assert!(poll(receive.as_mut(), &new).is_pending());
        tx.try_send(1).unwrap();
        assert_eq!((rings(&old_bell), rings(&new_bell)), (0, 1));
        assert_eq!(poll(receive.as_mut(), &new), Poll::Ready(Ok(1)));
    }
}

#[test]
fn threads_and_futures_wait_in_one_line() {
    for (tx, rx) in [bounded(0), bounded(2)] {
        let (_bell, waker) = bell();
        let mut future = waiting_receive(&rx, &waker);
        let receiver = {
            let rx = rx.clone();
            thread::spawn(move || rx.recv())
        };
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        let by_thread = receiver.join().unwrap().unwrap();
        let Poll::Ready(Ok(by_future)) = poll(future.as_mut(), &waker) else { panic!("two values for two") };
        assert_eq!(by_thread + by_future, 3);
    }
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_finished_future_is_not_polled_again() {
    let (tx, rx) = bounded(1);
    tx.try_send(1).unwrap();
    let mut future = pin!(rx.recv_async());
    assert_eq!(poll(future.as_mut(), Waker::noop()), Poll::Ready(Ok(1)));
    let _ = poll(future.as_mut(), Waker::noop());
}

/// A future that was never polled has done nothing, and one that is forgotten, boxed, harms nobody but itself.
#[test]
#[cfg_attr(greenlight_asan, ignore = "it leaks")]
fn unpolled_and_forgotten_futures() {
    let (tx, rx) = bounded(1);
    drop((tx.send_async(1), rx.recv_async()));
    core::mem::forget((Box::pin(tx.send_async(2)), Box::pin(rx.recv_async())));
    tx.try_send(3).unwrap();
    assert_eq!(rx.try_recv(), Ok(3));
}

/// What a parked task costs is little more than this.
#[cfg(target_pointer_width = "64")]
#[test]
fn waiting_futures_stay_small() {
    use crate::{channel::lines::Seat, queue::Waiter, turn::Turn};
    let sizes = [
        ("Turn", size_of::<Turn>(), 24),
        ("Waiter", size_of::<Waiter<Seat<()>>>(), 40),
        ("RecvFuture of ()", size_of::<RecvFuture<'_, ()>>(), 88),
        ("RecvFuture of u64", size_of::<RecvFuture<'_, u64>>(), 112),
        ("SendFuture of u64", size_of::<SendFuture<'_, u64>>(), 104),
    ];
    for (what, bytes, before) in sizes {
        assert!(bytes <= before, "{what} has grown from {before} bytes to {bytes}; all: {sizes:?}");
    }
}

/// In one function for every home: the compiler knows nothing of it but that it is one.
#[test]
fn futures_of_any_home_are_tasks() {
    fn on_a_thread<H: Home<u32> + Send + Sync + 'static>(tx: Sender<u32, H>, rx: Receiver<u32, H>) -> u32 {
        let task = async move {
            tx.send_async(7).await.unwrap();
            rx.recv_async().await.unwrap()
        };
        let polled = thread::spawn(move || pin!(task).poll(&mut Context::from_waker(Waker::noop())));
        let Poll::Ready(value) = polled.join().unwrap() else { panic!("there is room, and a value") };
        value
    }
    static CHANNEL: StaticChannel<u32, 1> = StaticChannel::new();
    let (tx, rx) = bounded(1);
    assert_eq!(on_a_thread(tx, rx), 7);
    assert_eq!(on_a_thread(CHANNEL.sender(), CHANNEL.receiver()), 7);
}
