//! Channels as streams and sinks, with the combinators of `futures-util`.

use futures_executor::block_on;
use futures_util::{
    FutureExt, Sink, SinkExt, Stream, StreamExt, future::FusedFuture, pin_mut, stream, stream::FusedStream,
};
use greenlight::{
    channel::{SendError, StaticChannel, bounded, unbounded},
    go,
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
};

#[test]
fn a_stream_ends_when_the_channel_is_closed_and_drained() {
    for capacity in [0, 1, 3] {
        let (tx, rx) = bounded(capacity);
        let sender = thread::spawn(move || (0..100).for_each(|i| tx.send(i).unwrap()));
        let stream = rx.into_stream();
        pin_mut!(stream);
        let got: Vec<u32> = block_on(stream.by_ref().collect());
        assert!(got.into_iter().eq(0..100));
        assert!(stream.is_terminated());
        assert_eq!(block_on(stream.next()), None);
        sender.join().unwrap();
    }
}

#[test]
fn streams_of_one_channel_share_its_values() {
    let (tx, rx) = unbounded();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let tx = tx.clone();
            go(move || (0..250).for_each(|i| tx.send(i).unwrap()))
        })
        .collect();
    drop(tx);
    let sum = block_on(async {
        let sum = |rx: greenlight::channel::Receiver<u32>| async move {
            rx.stream().fold(0, |a, b| async move { a + b }).await
        };
        let (a, b) = futures_util::future::join(sum(rx.clone()), sum(rx)).await;
        a + b
    });
    assert_eq!(sum, 4 * (0..250).sum::<u32>());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_sink_waits_for_room_and_gives_back_what_a_closed_channel_refuses() {
    let (tx, rx) = bounded(2);
    let receiver = thread::spawn(move || {
        let got: Vec<u32> = rx.iter().take(10).collect();
        drop(rx);
        got
    });
    let sink = tx.into_sink();
    pin_mut!(sink);
    block_on(sink.send_all(&mut stream::iter((0..10).map(Ok)))).unwrap();
    assert!(receiver.join().unwrap().into_iter().eq(0..10));
    assert_eq!(block_on(sink.send(10)), Err(SendError(10)));
}

#[test]
fn closing_a_sink_ends_the_channel_of_its_last_sender() {
    let (tx, rx) = bounded(1);
    let sink = tx.into_sink();
    pin_mut!(sink);
    let mut context = Context::from_waker(Waker::noop());
    sink.as_mut().start_send(1).unwrap();
    sink.as_mut().start_send(2).unwrap(); // one beyond the room
    assert!(Sink::<u32>::poll_close(sink.as_mut(), &mut context).is_pending());
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(Sink::<u32>::poll_close(sink.as_mut(), &mut context), Poll::Ready(Ok(())));
    assert_eq!((rx.recv(), rx.recv().is_err()), (Ok(2), true));
}

#[test]
fn dropped_at_any_time_they_lose_nothing_and_leave_nothing() {
    let value = Arc::new(());
    let (tx, rx) = bounded(1);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut stream = pin!(rx.stream());
        assert!(stream.as_mut().poll_next(&mut context).is_pending());
    }
    tx.try_send(value.clone()).unwrap();
    assert_eq!(rx.len(), 1);
    {
        let mut sink = pin!(tx.sink());
        sink.as_mut().start_send(value.clone()).unwrap();
        assert!(Sink::<Arc<()>>::poll_flush(sink.as_mut(), &mut context).is_pending());
        assert_eq!(Arc::strong_count(&value), 3);
    }
    assert_eq!((Arc::strong_count(&value), rx.drain().count()), (2, 1));
    assert!(rx.try_recv().unwrap_err().is_empty());
}

#[test]
fn futures_know_that_they_have_ended() {
    let channel = StaticChannel::<u32, 1>::new();
    let (tx, rx) = channel.split();
    let mut receiving = pin!(rx.recv_async());
    assert!(receiving.as_mut().now_or_never().is_none() && !FusedFuture::is_terminated(&*receiving));
    let mut sending = pin!(tx.send_async(7));
    assert_eq!(sending.as_mut().now_or_never(), Some(Ok(())));
    assert_eq!(receiving.as_mut().now_or_never(), Some(Ok(7)));
    assert!(FusedFuture::is_terminated(&*receiving) && FusedFuture::is_terminated(&*sending));
}

#[test]
#[should_panic(expected = "wait for `poll_ready` first")]
fn two_values_at_once_are_too_many() {
    let (tx, _rx) = bounded(0);
    let mut sink = pin!(tx.sink());
    sink.as_mut().start_send(1).unwrap();
    let _ = sink.as_mut().start_send(2);
}
