//! The latest value: the halves of a [`Watch`] that is shared by counting, and that tell when the other side is gone.
//!
//! Every receiver sees the latest value at least once, and perhaps not those between. [`Watch`] says what that costs.
//!
//! * H1  Senders and receivers are counted under the lock of the versions. The last sender wakes all after it has counted
//!   itself out: a receiver sees the last change first, and then the end.
//!
//! # Examples
//!
//! ```
//! use greenlight_core::channel::watch;
//!
//! let (tx, mut rx) = watch::channel("starting");
//! let watcher = std::thread::spawn(move || {
//!     while rx.changed().is_ok() {}
//!     rx.get()
//! });
//! tx.send("running").unwrap();
//! tx.send("done").unwrap();
//! drop(tx);
//! assert_eq!(watcher.join().unwrap(), "done");
//! ```

use crate::{
    park,
    sleeper::wake_all,
    sync::Arc,
    watch::{Change, Closed},
};
use core::{
    error::Error,
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

pub use crate::watch::Watch;

/// A value with one sender and one receiver, who has seen `initial`. Both can be cloned.
pub fn channel<T>(initial: T) -> (Sender<T>, Receiver<T>) {
    // It counts one sender from the start.
    let sender = Sender { shared: Arc::new(Watch::new(initial)) };
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// The half that changes the value. It can read it too. Cloning makes another sender.
pub struct Sender<T> {
    shared: Arc<Watch<T>>,
}

/// The half that watches the value. A clone has seen what this one has.
pub struct Receiver<T> {
    shared: Arc<Watch<T>>,
    seen: u64,
}

impl<T> Sender<T> {
    /// Puts `value` in the place of the one that is there, and wakes all who wait for a change. It waits for those who read
    /// the value at this moment.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is no receiver now. To store it all the same: [`send_replace`](Self::send_replace).
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = greenlight_core::channel::watch::channel(0);
    /// assert_eq!(tx.send(1), Ok(()));
    /// drop(rx);
    /// assert_eq!(tx.send(2).unwrap_err().into_inner(), 2);
    /// assert_eq!(tx.send_replace(3), 1);
    /// assert_eq!(tx.subscribe().get(), 3);
    /// ```
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.shared.send(value);
        Ok(())
    }

    /// Puts `value` in place whether there are receivers or not, and returns the old one.
    #[track_caller]
    pub fn send_replace(&self, value: T) -> T {
        self.shared.send_replace(value)
    }

    /// Changes the value in place, whether there are receivers or not: [`Watch::send_modify`].
    ///
    /// # Panics
    ///
    /// If `change` panics. Half a change stays, and is announced.
    #[track_caller]
    pub fn send_modify<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        self.shared.send_modify(change)
    }

    /// A clone of the latest value.
    #[track_caller]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.shared.get()
    }

    /// Calls `look` with the latest value. Do not use the channel inside: [`Watch`] says why.
    #[track_caller]
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.shared.with(look)
    }

    /// Another receiver, who has seen the value as it is now.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.state.lock();
        state.receivers += 1;
        let seen = state.version;
        drop(state);
        Receiver { shared: self.shared.clone(), seen }
    }

    /// How many receivers there are now.
    pub fn receiver_count(&self) -> usize {
        self.shared.state.lock().receivers
    }

    /// Whether there is no receiver now. [`subscribe`](Self::subscribe) makes one.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }
}

impl<T> Receiver<T> {
    /// Waits until there is a change that this receiver has not seen; it counts as seen then.
    ///
    /// # Errors
    ///
    /// If every sender is gone and the last change was seen.
    #[track_caller]
    pub fn changed(&mut self) -> Result<(), RecvError> {
        match self.shared.wait(&mut self.seen, None, Location::caller()) {
            Some(Err(Closed)) => Err(RecvError),
            _ => Ok(()), // without a time limit there is always an answer
        }
    }

    /// Asks for a change that this receiver has not seen; it counts as seen then. Never waits.
    ///
    /// # Errors
    ///
    /// `Unchanged` or `Closed`.
    pub fn try_changed(&mut self) -> Result<(), TryRecvError> {
        let found = self.shared.state.lock().look(&mut self.seen);
        found.ok_or(TryRecvError::Unchanged)?.map_err(|Closed| TryRecvError::Closed)
    }

    /// [`changed`](Self::changed), for `limit` at most.
    ///
    /// # Errors
    ///
    /// `Timeout` or `Closed`.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn changed_timeout(&mut self, limit: Duration) -> Result<(), RecvTimeoutError> {
        let found = self.shared.wait(&mut self.seen, park::deadline_after(limit), Location::caller());
        found.ok_or(RecvTimeoutError::Timeout)?.map_err(|Closed| RecvTimeoutError::Closed)
    }

    /// [`changed`](Self::changed), as a future.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time: a change that it did not report is still unseen.
    pub fn changed_async(&mut self) -> Changed<'_> {
        Changed(Change::new(&self.shared, &mut self.seen))
    }

    /// A clone of the latest value, which counts as seen.
    #[track_caller]
    pub fn get(&mut self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Calls `look` with the latest value, which counts as seen. Do not use the channel inside: [`Watch`] says why.
    #[track_caller]
    pub fn with<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        self.shared.with_seen(&mut self.seen, look)
    }

    /// Whether every sender is gone. There may still be a change that this receiver has not seen.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().senders == 0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // `Arc` aborts before this count, which is never above its own, could wrap.
        let shared = self.shared.clone();
        shared.state.lock().senders += 1;
        Self { shared }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let shared = self.shared.clone();
        shared.state.lock().receivers += 1;
        Self { shared, seen: self.seen }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            wake_all(&self.shared.state, state); // H1
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.state.lock().receivers -= 1;
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sender");
        shown.field("version", &self.shared.version()).field("closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Receiver");
        shown.field("seen", &self.seen).field("version", &self.shared.version());
        shown.field("closed", &self.is_closed()).finish()
    }
}

/// Future of [`Receiver::changed_async`]. Polled again after it was ready, it waits for another change.
#[must_use = "a future does nothing until it is polled"]
pub struct Changed<'a>(Change<'a>);

impl Future for Changed<'_> {
    type Output = Result<(), RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned whenever we are: it is not moved out, there is no `Drop` and no `Unpin` of our own.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx).map_err(|Closed| RecvError)
    }
}

impl fmt::Debug for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}

/// There is no receiver now; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Every sender is gone, and the last change was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvError;

/// Why a question that does not wait brought no change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryRecvError {
    /// The last change was seen.
    Unchanged,
    /// No other will come: see [`RecvError`].
    Closed,
}

/// Why a wait with a time limit brought no change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvTimeoutError {
    /// The time is up.
    Timeout,
    /// No other will come: see [`RecvError`].
    Closed,
}

const CLOSED: &str = "waiting for a change of a watched value whose last sender is gone";

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
        f.write_str("sending a watched value that nobody watches: there is no receiver now")
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
            Self::Unchanged => "the watched value has not changed",
            Self::Closed => CLOSED,
        })
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timed out waiting for a change of a watched value",
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
