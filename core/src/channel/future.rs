//! Sends and receives as futures, for any executor.
//!
//! They are the waits of the blocking calls (`wait.rs`), polled by somebody else. Dropped at any time they lose nothing: a send
//! either has sent or drops its value with itself; a receive takes its value out of the channel only in the poll that returns
//! it, and what a rendezvous has handed to it goes back (P3).

use super::{
    Receiver, Sender,
    error::{RecvError, SendError},
    home::{Home, OnHeap},
    lines::Kind,
    wait::Wait,
};
use crate::channel::buffer::Buffer;
#[cfg(feature = "alloc")]
use crate::park::Alarm;
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

impl<T, H: Home<T>> Sender<T, H> {
    /// As [`send`](Self::send), as a future.
    ///
    /// # Cancellation
    ///
    /// Dropped before it is ready, it has either sent the value or drops it. To keep a value that could not be sent, wait with
    /// [`send_timeout`](Self::send_timeout), or try.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let (tx, rx) = greenlight_core::channel::bounded(1);
    /// let mut sending = pin!(tx.send_async(1));
    /// assert_eq!(sending.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())));
    /// assert_eq!(rx.recv(), Ok(1));
    /// ```
    pub fn send_async(&self, value: T) -> SendFuture<'_, T, H> {
        SendFuture { wait: Wait::send(self.shared(), value) }
    }
}

impl<T, H: Home<T>> Receiver<T, H> {
    /// As [`recv`](Self::recv), as a future.
    ///
    /// # Cancellation
    ///
    /// Dropped before it is ready, it has taken nothing out of the channel.
    ///
    /// # The clock
    ///
    /// A channel of `after`, `at` or `tick` has no sender that would wake this future. The alarms of a runtime do
    /// ([`Hooks::with_alarms`](crate::park::Hooks::with_alarms)): that of the `greenlight` crate brings them. Where there are
    /// none, it is ready if it is polled when the time has come, and nobody sees to it that it is: await a timer of the
    /// executor beside it, or instead. The blocking calls, and `recv` in a `select!`, need nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let (tx, rx) = greenlight_core::channel::bounded(1);
    /// let mut receiving = pin!(rx.recv_async());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(receiving.as_mut().poll(&mut context).is_pending());
    /// tx.send(1).unwrap();
    /// assert_eq!(receiving.as_mut().poll(&mut context), Poll::Ready(Ok(1)));
    /// ```
    pub fn recv_async(&self) -> RecvFuture<'_, T, H> {
        let shared = self.shared();
        let kind = if shared.buffer.is_rendezvous() { Kind::Value } else { Kind::Look };
        RecvFuture {
            wait: Wait::receive(shared, kind),
            #[cfg(feature = "alloc")]
            alarm: Alarm::default(),
        }
    }
}

/// The future of [`Sender::send_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct SendFuture<'a, T, H: Home<T> = OnHeap<T>> {
    wait: Wait<'a, T, H::Buffer>,
}

/// The future of [`Receiver::recv_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct RecvFuture<'a, T, H: Home<T> = OnHeap<T>> {
    wait: Wait<'a, T, H::Buffer>,
    /// For the channels that the clock fills. All of them are on the heap.
    #[cfg(feature = "alloc")]
    alarm: Alarm,
}

// SAFETY: a `Wait` is `Send` and `Sync` if its value is `Send` and its buffer is `Sync`, which with such a value it is, by the
// promise of `Sealed`. The other fields are both by themselves.
unsafe impl<T: Send, H: Home<T>> Send for SendFuture<'_, T, H> {}
// SAFETY: as above.
unsafe impl<T: Send, H: Home<T>> Sync for SendFuture<'_, T, H> {}
// SAFETY: as above.
unsafe impl<T: Send, H: Home<T>> Send for RecvFuture<'_, T, H> {}
// SAFETY: as above.
unsafe impl<T: Send, H: Home<T>> Sync for RecvFuture<'_, T, H> {}

impl<T, H: Home<T>> SendFuture<'_, T, H> {
    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.wait.is_over()
    }
}

impl<T, H: Home<T>> RecvFuture<'_, T, H> {
    /// Whether it has returned its result: then it must not be polled again.
    pub fn is_terminated(&self) -> bool {
        self.wait.is_over()
    }
}

impl<T, H: Home<T>> Future for SendFuture<'_, T, H> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(!this.wait.is_over(), "a `SendFuture` was polled after it was ready");
        this.wait.update_waker(context.waker());
        // SAFETY: P1: pinned, and the wait's drop runs before its memory goes.
        unsafe { this.wait.poll_send(context.waker()) }
    }
}

impl<T, H: Home<T>> Future for RecvFuture<'_, T, H> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(!this.wait.is_over(), "a `RecvFuture` was polled after it was ready");
        this.wait.update_waker(context.waker());
        // SAFETY: P1: pinned, and the wait's drop runs before its memory goes.
        let received = unsafe { this.wait.poll_recv(context.waker()) };
        #[cfg(feature = "alloc")]
        match received {
            // Asked after the look: if the time has come since, the alarm goes off at once.
            Poll::Pending => this.alarm.set(this.wait.ripe_at(), context.waker()),
            Poll::Ready(_) => this.alarm.take_back(),
        }
        received.map_err(|_| RecvError)
    }
}

impl<T, H: Home<T>> fmt::Debug for SendFuture<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendFuture { .. }")
    }
}

impl<T, H: Home<T>> fmt::Debug for RecvFuture<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvFuture { .. }")
    }
}
