//! Every value to every receiver: events, log lines, orders to a crew.
//!
//! A sender never waits. The channel keeps the last `capacity` values; a receiver that falls behind by more is told once how
//! many it has missed ([`RecvError::Lagged`]) and goes on with the oldest that is left. Each receiver gets a clone, and the
//! last to receive a value gets the value itself. A receiver hears of what is sent after it was made.
//!
//! `T: Clone + Send` is enough: a value is cloned by one thread at a time. Receivers that come for it at the same moment
//! wait for each other's `clone`; the sender does not. A value moves to be cloned: send large ones in an `Arc`.
//!
//! The values and who wants them are in `ring`; this file is the two halves, and how they sleep.
//!
//! # Examples
//!
//! ```
//! use greenlight_core::channel::broadcast::{self, RecvError};
//!
//! let (tx, mut rx) = broadcast::channel(2);
//! let mut slow = tx.subscribe();
//! for order in ["left", "right", "stop"] {
//!     tx.send(order).unwrap();
//!     assert_eq!(rx.recv(), Ok(order));
//! }
//! drop(tx);
//! assert_eq!(rx.recv(), Err(RecvError::Closed));
//! assert_eq!(slow.recv(), Err(RecvError::Lagged(1)));
//! assert_eq!((slow.recv(), slow.recv()), (Ok("right"), Ok("stop")));
//! ```

mod error;
mod ring;

pub use error::{RecvError, RecvTimeoutError, SendError, TryRecvError};

use crate::{
    park::{self, Tick, Why},
    sleeper::{Sleeper, wake_all},
    spin::SpinMutex,
    sync::Arc,
};
use core::{
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use ring::{Found, Nothing, Ring};

/// A channel that keeps the last `capacity` values, with one sender and one receiver.
///
/// # Panics
///
/// If `capacity` is 0, or if that many values do not fit in memory's address space.
///
/// # Cost
///
/// One allocation for both halves and one for the values; none after that.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast channel holds one value at least: a sender does not wait for its receivers");
    let shared = Arc::new(SpinMutex::new(Ring::new(capacity)));
    (Sender { shared: shared.clone() }, Receiver { shared, at: 0 })
}

/// The half that sends. Cloning makes another sender.
pub struct Sender<T> {
    shared: Arc<SpinMutex<Ring<T>>>,
}

/// The half that receives: every value that is sent while it is there, or the news that it was too slow.
pub struct Receiver<T> {
    shared: Arc<SpinMutex<Ring<T>>>,
    /// The position of the value that it gets next.
    at: u64,
}

// A panic in a caller, or in a value's clone or drop, leaves the channel whole: no user code runs inside its lock.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends `value` to all receivers there are now. Never waits; a full channel drops its oldest value.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is no receiver now. [`subscribe`](Self::subscribe) makes one.
    ///
    /// # Panics
    ///
    /// Only if the oldest value's drop or a waker does; the value is sent all the same.
    ///
    /// # Cost
    ///
    /// One short lock, and one for each 16 receivers that wait. No allocation.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut ring = self.shared.lock();
        if ring.receivers == 0 {
            return Err(SendError(value));
        }
        let _oldest = ring.push(value); // dropped at the end, without the lock
        wake_all(&self.shared, ring);
        Ok(())
    }

    /// A receiver of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut ring = self.shared.lock();
        ring.receivers += 1;
        let at = ring.next;
        drop(ring);
        Receiver { shared: self.shared.clone(), at }
    }

    /// How many receivers there are now.
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().receivers
    }

    /// Whether there is no receiver now.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// How many values the channel keeps for who is slow.
    pub fn capacity(&self) -> usize {
        self.shared.lock().capacity()
    }
}

impl<T> Receiver<T> {
    /// How many values there are for this receiver now; those that it has missed do not count.
    pub fn len(&self) -> usize {
        self.shared.lock().len(self.at)
    }

    /// Whether there is no value for this receiver now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every sender is gone. There may still be values for this receiver.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().senders == 0
    }

    /// How many values the channel keeps for who is slow.
    pub fn capacity(&self) -> usize {
        self.shared.lock().capacity()
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, waiting for it if need be.
    ///
    /// # Errors
    ///
    /// `Lagged` once, with the number of values that were missed since the last call; `Closed` if every sender is gone and
    /// nothing is left.
    ///
    /// # Panics
    ///
    /// If `clone` does. The value counts as received by this receiver; the others get it.
    ///
    /// # Cost
    ///
    /// With a value there: one short lock, the clone, and a second short lock; for the last to receive it the first lock
    /// only. No allocation but `clone`'s.
    #[track_caller]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        // Without a time limit there is always an answer.
        self.wait(None, Location::caller()).unwrap_or(Err(RecvError::Closed))
    }

    /// Receives the next value if it is there.
    ///
    /// It never waits for a value to be sent. If another receiver is cloning the one that is there, it waits for that.
    ///
    /// # Errors
    ///
    /// `Empty`, or as for [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// As for [`recv`](Self::recv).
    #[track_caller]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let (shared, at) = (&*self.shared, &mut self.at);
        let mut look = |ring: &mut Ring<T>| match ring.take(shared, at) {
            Ok(found) => Some(Some(found)),
            Err(Nothing::Empty) => Some(None),
            Err(Nothing::Lent) => None,
        };
        let at_once = look(&mut shared.lock());
        let found = at_once.or_else(|| {
            let why = Why::new("wait for another receiver's clone of a broadcast value", shared, Location::caller());
            Sleeper::block(shared, &why, None, look)
        });
        Ok(receive(found.flatten().ok_or(TryRecvError::Empty)?)?)
    }

    /// Receives the next value, waiting for `limit` at most.
    ///
    /// # Errors
    ///
    /// `Timeout`, or as for [`recv`](Self::recv). After `Timeout` nothing is missed.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`]. If `clone` does: see [`recv`](Self::recv).
    #[track_caller]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<T, RecvTimeoutError> {
        let received = self.wait(park::deadline_after(limit), Location::caller());
        Ok(received.ok_or(RecvTimeoutError::Timeout)??)
    }

    /// [`recv`](Self::recv), as a future.
    ///
    /// # Cancellation
    ///
    /// It can be dropped at any time: a value that it did not return is still to be received.
    pub fn recv_async(&mut self) -> Recv<'_, T> {
        Recv { sleeper: Sleeper::new(&self.shared), shared: &self.shared, at: &mut self.at }
    }

    /// `None` if the time is up.
    fn wait(&mut self, deadline: Option<Tick>, site: &'static Location<'static>) -> Option<Result<T, RecvError>> {
        park::give_way();
        let (shared, at) = (&*self.shared, &mut self.at);
        // In a statement of its own: the lock is given back at its end.
        let at_once = shared.lock().take(shared, at).ok();
        let found = at_once.or_else(|| {
            let why = Why::new("receive from a broadcast channel", shared, site);
            Sleeper::block(shared, &why, deadline, |ring| ring.take(shared, at).ok())
        });
        found.map(receive)
    }
}

/// Makes a value of what was found, without the lock: here `clone` runs.
fn receive<T: Clone>(found: Found<'_, T>) -> Result<T, RecvError> {
    match found {
        Found::Last(value) => Ok(value),
        Found::Lent(lent) => Ok(lent.copy()),
        Found::Error(error) => Err(error),
    }
}

/// Future of [`Receiver::recv_async`]. Polled again after it was ready, it receives another value.
#[must_use = "a future does nothing until it is polled"]
pub struct Recv<'a, T> {
    sleeper: Sleeper<'a, Ring<T>>,
    shared: &'a SpinMutex<Ring<T>>,
    at: &'a mut u64,
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `sleeper` is pinned whenever we are: nobody moves it out, there is no `Drop` and no `Unpin` of our own.
        let (sleeper, shared, at) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&this.sleeper), this.shared, &mut *this.at)
        };
        sleeper.poll(cx.waker(), |ring| ring.take(shared, at).ok()).map(receive)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // `Arc` aborts before this count, which is never above its own, could wrap.
        let shared = self.shared.clone();
        shared.lock().senders += 1;
        Self { shared }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut ring = self.shared.lock();
        ring.senders -= 1;
        if ring.senders == 0 {
            wake_all(&self.shared, ring);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut ring = self.shared.lock();
        ring.receivers -= 1;
        let (first, end) = (ring.next - ring.len(self.at) as u64, ring.next);
        drop(ring);
        for position in first..end {
            // One lock each, so that the value is dropped without it. If that panics, the later ones stay until the sender
            // comes round.
            let unwanted = self.shared.lock().forgo(position);
            drop(unwanted);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sender");
        shown.field("capacity", &self.capacity()).field("receivers", &self.receiver_count()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Receiver");
        shown.field("len", &self.len()).field("capacity", &self.capacity()).field("closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
