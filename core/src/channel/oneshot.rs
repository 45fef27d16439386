//! One value, once, from one task to another: the answer to a question, the result of a job.
//!
//! ```text
//!              send                     receive
//!   WAITING ──────────▶ SENT(value) ──────────────┐
//!      │                    │ receiver dropped     ▼
//!      └────────────────────┴─────────────────▶ CLOSED
//!            either half dropped
//! ```
//!
//! * O1  Every step is one transition under the lock, by one half; `CLOSED` is the end. So the value is in one place: with
//!   the sender, in `SENT`, or with the receiver.
//! * O2  Whoever leaves `WAITING` takes the waker along and wakes it; whoever leaves `SENT` takes the value along.
//! * O3  A value or a waker that is not wanted any more is dropped after the lock is given back: both are foreign code.
//!
//! No wait queue: the one receiver is the whole line, so its waker lies in the state itself. There is then nothing that
//! has to stay in place, the [`Receiver`] is a future that may move, and this file needs no `unsafe`.
//!
//! # Examples
//!
//! ```
//! use greenlight_core::channel::oneshot;
//!
//! let (answer, question) = oneshot::channel();
//! std::thread::spawn(move || answer.send(6 * 7));
//! assert_eq!(question.recv(), Ok(42));
//! ```

use crate::{
    park::{self, Stopped, Tick, Why},
    spin::SpinMutex,
    sync::Arc,
};
use core::{
    error::Error,
    fmt,
    future::Future,
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A channel for one value.
///
/// # Cost
///
/// One allocation, for both halves; none after it.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(SpinMutex::new(State::Waiting(None)));
    (Sender { shared: shared.clone() }, Receiver { shared })
}

enum State<T> {
    /// Nothing was sent, both halves are there; with the waker of a receiver that sleeps.
    Waiting(Option<Waker>),
    /// The value waits for the receiver; the sender is gone.
    Sent(T),
    /// The value was received, or one of the halves went before it could be.
    Closed,
}

impl<T> State<T> {
    /// Leaves `WAITING` for `next`, with the waker to call (O2); gives `next` back from any other state.
    fn leave_waiting(&mut self, next: Self) -> Result<Option<Waker>, Self> {
        let Self::Waiting(waker) = self else { return Err(next) };
        let waker = waker.take();
        *self = next;
        Ok(waker)
    }

    /// What a receiver finds.
    fn receive(&mut self) -> Result<T, TryRecvError> {
        match self {
            Self::Waiting(_) => Err(TryRecvError::Empty),
            Self::Closed => Err(TryRecvError::Closed),
            Self::Sent(_) => match mem::replace(self, Self::Closed) {
                Self::Sent(value) => Ok(value),
                _ => unreachable!("it was sent a line ago, and we hold the lock"),
            },
        }
    }
}

/// The half that sends. It sends once, or is dropped and tells the receiver that nothing will come.
pub struct Sender<T> {
    shared: Arc<SpinMutex<State<T>>>,
}

/// The half that receives: by a call that waits, or as a future.
///
/// As a future it may be polled by reference, moved between polls, and dropped at any time: a value that was sent by then
/// is dropped with it. Nothing of it is lost by dropping a *reference* to it, as a `select!` of an executor does.
///
/// Once it has received, every further question is answered with `RecvError` or `Closed`: polling again does not panic.
///
/// # Examples
///
/// ```
/// use greenlight_core::channel::oneshot;
///
/// async fn double(question: oneshot::Receiver<u32>) -> Result<u32, oneshot::RecvError> {
///     Ok(2 * question.await?)
/// }
/// # let (answer, question) = oneshot::channel();
/// # answer.send(4).unwrap();
/// # let mut double = std::pin::pin!(double(question));
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # assert_eq!(double.as_mut().poll(&mut cx), std::task::Poll::Ready(Ok(8)));
/// ```
#[must_use = "without its receiver, the value cannot be sent"]
pub struct Receiver<T> {
    shared: Arc<SpinMutex<State<T>>>,
}

// A panic in a caller leaves the channel whole (O1): no user code runs inside its lock.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends `value`. Never waits.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver is gone. `Ok` does not promise that it is ever received: the receiver may be
    /// dropped later, and the value with it.
    ///
    /// # Panics
    ///
    /// Only if the receiver's waker does; the value is sent all the same.
    ///
    /// # Cost
    ///
    /// Two short locks. No allocation.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = greenlight_core::channel::oneshot::channel();
    /// drop(rx);
    /// assert_eq!(tx.send("too late").unwrap_err().into_inner(), "too late");
    /// ```
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let left = self.shared.lock().leave_waiting(State::Sent(value));
        match left {
            Ok(waker) => waker.into_iter().for_each(Waker::wake),
            Err(State::Sent(value)) => return Err(SendError(value)),
            Err(_) => unreachable!("what comes back is what was given"),
        }
        Ok(())
    }

    /// Whether the receiver is gone: then there is no use in working out the value.
    pub fn is_closed(&self) -> bool {
        matches!(*self.shared.lock(), State::Closed)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // After a send this finds another state, and changes nothing.
        let left = self.shared.lock().leave_waiting(State::Closed);
        if let Ok(Some(waker)) = left {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// If the sender is dropped without sending, or the value was received before.
    ///
    /// # Cost
    ///
    /// With the value there: one short lock. No allocation.
    #[track_caller]
    pub fn recv(self) -> Result<T, RecvError> {
        self.wait(None, Location::caller()).map_err(|_| RecvError)
    }

    /// Receives the value if it is there. Never waits.
    ///
    /// # Errors
    ///
    /// `Empty` or `Closed`.
    ///
    /// # Examples
    ///
    /// ```
    /// use greenlight_core::channel::oneshot::{self, TryRecvError};
    ///
    /// let (tx, mut rx) = oneshot::channel();
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.send(1).unwrap();
    /// assert_eq!(rx.try_recv(), Ok(1));
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.lock().receive()
    }

    /// Waits for the value, for `limit` at most.
    ///
    /// # Errors
    ///
    /// `Timeout` or `Closed`. A value that comes at the last moment is returned; one that comes later can be received by
    /// another call.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<T, RecvTimeoutError> {
        self.wait(park::deadline_after(limit), Location::caller()).map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Closed => RecvTimeoutError::Closed,
        })
    }

    /// `Empty` if the time is up.
    fn wait(&self, deadline: Option<Tick>, site: &'static Location<'static>) -> Result<T, TryRecvError> {
        let why = Why::new("receive from a oneshot channel", &*self.shared, site);
        let mut received = Err(TryRecvError::Empty);
        let ended = park::wait_or_stop(&why, deadline, &mut |waker| {
            received = self.receive_or_leave(waker);
            if matches!(received, Err(TryRecvError::Empty)) { Poll::Pending } else { Poll::Ready(()) }
        });
        if let Err(stopped) = ended {
            let mut state = self.shared.lock();
            // The wait is over: nobody is to wake it, and its waker is not to stay until the sender goes.
            let State::Waiting(left) = &mut *state else { return state.receive() };
            let left = left.take();
            drop(state);
            drop(left);
            if stopped == Stopped::Cancelled {
                park::unwind();
            }
        }
        received
    }

    /// Receives, or leaves `waker` for who sends.
    fn receive_or_leave(&self, waker: &Waker) -> Result<T, TryRecvError> {
        // Declared first, dropped last: whatever is in it at the end goes after the lock is given back (O3).
        let mut fresh = None;
        loop {
            let mut state = self.shared.lock();
            let State::Waiting(left) = &mut *state else { return state.receive() };
            if left.as_ref().is_some_and(|left| left.will_wake(waker)) {
                return Err(TryRecvError::Empty);
            }
            if fresh.is_some() {
                mem::swap(left, &mut fresh);
                return Err(TryRecvError::Empty);
            }
            drop(state);
            fresh = Some(waker.clone());
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.receive_or_leave(cx.waker()) {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError)),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let last = mem::replace(&mut *self.shared.lock(), State::Closed);
        drop(last); // the lock was given back a line ago (O3)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match *self.shared.lock() {
            State::Waiting(_) => "waiting",
            State::Sent(_) => "sent",
            State::Closed => "closed",
        };
        f.debug_struct("Receiver").field("state", &state).finish()
    }
}

/// The receiver is gone; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// The sender was dropped without sending, or the value was received before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvError;

/// Why a receive that does not wait brought nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryRecvError {
    /// Nothing was sent yet.
    Empty,
    /// Nothing will come: see [`RecvError`].
    Closed,
}

/// Why a receive with a time limit brought nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvTimeoutError {
    /// The time is up.
    Timeout,
    /// Nothing will come: see [`RecvError`].
    Closed,
}

const CLOSED: &str = "receiving from a closed oneshot channel: its sender is gone, or its value was received before";

impl<T> SendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

// By hand, so that errors can be unwrapped whatever the value is.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sending on a closed oneshot channel: its receiver is gone")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "receiving from an empty oneshot channel",
            Self::Closed => CLOSED,
        })
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timed out waiting to receive from a oneshot channel",
            Self::Closed => CLOSED,
        })
    }
}

impl<T> Error for SendError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
