//! A channel's halves as the `futures` crates' [`Stream`] and [`Sink`], and its futures as [`FusedFuture`]s (feature
//! `futures`).
//!
//! Each item is a `RecvFuture`, each value a `SendFuture`, made in place when it is needed: no allocation.
//!
//! * M1  The future borrows from a handle: the caller's, or the one in `owner`. That one stands behind the future in the
//!   struct, so it is dropped after it, and what the future points to, the channel itself, does not move with it.

use super::{
    Receiver, RecvFuture, SendFuture, Sender,
    error::{SendError, TryRecvError, TrySendError},
    home::{Home, OnHeap},
};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use futures_core::{FusedFuture, FusedStream, Stream};
use futures_sink::Sink;

/// The values of a channel as a [`Stream`]: of [`Receiver::stream`] and [`Receiver::into_stream`].
///
/// It ends when the channel is closed and drained. Dropped at any time, it has taken nothing that it did not return. It has to be
/// pinned before it is polled.
#[must_use = "a stream does nothing unless it is polled"]
pub struct RecvStream<'a, T, H: Home<T> = OnHeap<T>> {
    receiving: Option<RecvFuture<'a, T, H>>,
    receiver: Handle<'a, Receiver<T, H>>,
    ended: bool,
}

/// A channel as a [`Sink`]: of [`Sender::sink`] and [`Sender::into_sink`].
///
/// It takes one value beyond what the channel has room for: `poll_flush` waits until that is in the channel. Dropped before, it
/// drops the value. Closing it flushes it, and closes the channel if it owns the last sender. It has to be pinned before it
/// is polled.
#[must_use = "a sink does nothing unless it is polled"]
pub struct SendSink<'a, T, H: Home<T> = OnHeap<T>> {
    sending: Option<SendFuture<'a, T, H>>,
    sender: Handle<'a, Sender<T, H>>,
}

/// A half, or a borrow of one.
enum Handle<'a, S> {
    Borrowed(&'a S),
    /// None once it is closed.
    Owned(Option<S>),
}

impl<'a, S> Handle<'a, S> {
    fn get(&self) -> Option<&S> {
        match self {
            Self::Borrowed(half) => Some(half),
            Self::Owned(half) => half.as_ref(),
        }
    }

    /// # Safety
    ///
    /// What comes of it does not outlive the handle, nor touch the half itself, only the channel behind it.
    unsafe fn extended(&self) -> Option<&'a S> {
        // SAFETY: a borrowed half lives for 'a; of an owned one the caller takes care.
        self.get().map(|half| unsafe { &*core::ptr::from_ref(half) })
    }
}

impl<T, H: Home<T>> Receiver<T, H> {
    /// The values as a [`Stream`], which borrows this receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use futures_core::Stream;
    ///
    /// let (tx, rx) = greenlight_core::channel::bounded(2);
    /// tx.send(1).unwrap();
    /// tx.close();
    /// let mut stream = pin!(rx.stream());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(stream.as_mut().poll_next(&mut context), Poll::Ready(Some(1)));
    /// assert_eq!(stream.as_mut().poll_next(&mut context), Poll::Ready(None));
    /// ```
    pub fn stream(&self) -> RecvStream<'_, T, H> {
        RecvStream { receiving: None, receiver: Handle::Borrowed(self), ended: false }
    }

    /// The values as a [`Stream`] that owns this receiver.
    pub fn into_stream<'a>(self) -> RecvStream<'a, T, H>
    where
        Self: 'a,
    {
        RecvStream { receiving: None, receiver: Handle::Owned(Some(self)), ended: false }
    }
}

impl<T, H: Home<T>> Sender<T, H> {
    /// The channel as a [`Sink`], which borrows this sender.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use futures_sink::Sink;
    ///
    /// let (tx, rx) = greenlight_core::channel::bounded(2);
    /// let mut sink = pin!(tx.sink());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(sink.as_mut().poll_ready(&mut context), Poll::Ready(Ok(())));
    /// sink.as_mut().start_send(1).unwrap();
    /// assert_eq!(sink.as_mut().poll_flush(&mut context), Poll::Ready(Ok(())));
    /// assert_eq!(rx.recv(), Ok(1));
    /// ```
    pub fn sink(&self) -> SendSink<'_, T, H> {
        SendSink { sending: None, sender: Handle::Borrowed(self) }
    }

    /// The channel as a [`Sink`] that owns this sender.
    pub fn into_sink<'a>(self) -> SendSink<'a, T, H>
    where
        Self: 'a,
    {
        SendSink { sending: None, sender: Handle::Owned(Some(self)) }
    }
}

impl<T, H: Home<T>> Stream for RecvStream<'_, T, H> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: what is pinned, the future, is not moved: it is made, polled and dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        if this.ended {
            return Poll::Ready(None);
        }
        if this.receiving.is_none() {
            // SAFETY: M1.
            let receiver = unsafe { this.receiver.extended() };
            let Some(receiver) = receiver else { return Poll::Ready(None) };
            match receiver.try_recv() {
                Ok(value) => return Poll::Ready(Some(value)),
                Err(TryRecvError::Disconnected) => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Err(TryRecvError::Empty) => {}
            }
            this.receiving = Some(receiver.recv_async());
        }
        let Some(receiving) = &mut this.receiving else { unreachable!("just made") };
        // SAFETY: pinned with the stream, and dropped in place.
        let received = core::task::ready!(unsafe { Pin::new_unchecked(receiving) }.poll(context));
        this.receiving = None;
        this.ended = received.is_err();
        Poll::Ready(received.ok())
    }
}

impl<T, H: Home<T>> FusedStream for RecvStream<'_, T, H> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T, H: Home<T>> SendSink<'_, T, H> {
    fn poll_sent(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        // SAFETY: what is pinned, the future, is not moved: it is polled and dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(sending) = &mut this.sending else { return Poll::Ready(Ok(())) };
        // SAFETY: pinned with the sink, and dropped in place.
        let sent = core::task::ready!(unsafe { Pin::new_unchecked(sending) }.poll(context));
        this.sending = None;
        Poll::Ready(sent)
    }
}

impl<T, H: Home<T>> Sink<T> for SendSink<'_, T, H> {
    type Error = SendError<T>;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.poll_sent(context)
    }

    /// Gives the value back if the channel is closed.
    ///
    /// # Panics
    ///
    /// If `poll_ready` has not said that it is ready, or the sink was closed.
    fn start_send(self: Pin<&mut Self>, value: T) -> Result<(), SendError<T>> {
        // SAFETY: what is pinned, the future, is not moved: one is made where none is.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(this.sending.is_none(), "`start_send` on a sink that is not ready: wait for `poll_ready` first");
        // SAFETY: M1.
        let sender = unsafe { this.sender.extended() };
        let Some(sender) = sender else { panic!("`start_send` on a sink that was closed") };
        match sender.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => {
                this.sending = Some(sender.send_async(value));
                Ok(())
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.poll_sent(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let sent = core::task::ready!(self.as_mut().poll_sent(context));
        // SAFETY: what is pinned, the future, is gone; so by M1 nothing points to the sender's channel.
        let this = unsafe { self.get_unchecked_mut() };
        if let Handle::Owned(sender) = &mut this.sender {
            *sender = None;
        }
        Poll::Ready(sent)
    }
}

impl<T, H: Home<T>> FusedFuture for RecvFuture<'_, T, H> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}

impl<T, H: Home<T>> FusedFuture for SendFuture<'_, T, H> {
    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }
}

impl<T, H: Home<T>> fmt::Debug for RecvStream<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvStream { .. }")
    }
}

impl<T, H: Home<T>> fmt::Debug for SendSink<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendSink { .. }")
    }
}
