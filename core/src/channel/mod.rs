//! Channels: typed queues between tasks, with the names and errors of crossbeam-channel 0.5 and Go's `close`.
//!
//! | made by          | holds        | a send waits                              |
//! |------------------|--------------|-------------------------------------------|
//! | [`bounded(0)`]   | nothing      | until a receiver takes the value: both meet |
//! | [`bounded(n)`]   | `n` values   | while it is full                          |
//! | [`unbounded`]    | any number   | never                                     |
//! | [`never()`]      |              | (a receiver for which nothing ever comes) |
//!
//! [`bounded(0)`]: bounded
//! [`bounded(n)`]: bounded
//!
//! Both halves can be cloned and shared. A channel is **closed** by [`Sender::close`] or [`Receiver::close`], or when
//! the last sender or the last receiver goes. Then sends give their values back, and receivers get what is left before
//! they hear of it. Closing twice is fine.
//!
//! Waiters are served first come, first served. A waiting receiver gets its value straight from the sender.
//!
//! A wait parks the caller in its own way (see [`park`]): a green thread, an OS thread, a bare CPU. All of
//! them can use one channel at once.
//!
//! # Progress
//!
//! Each operation takes a spin lock for a few dozen instructions. The `try_` calls never sleep, but may spin while
//! another thread is inside: they are not for interrupt handlers.

#[allow(dead_code)] // until the channels move onto it
mod buffer;
mod error;
#[allow(dead_code)]
mod segments;
mod select;
mod shared;

pub use error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
#[doc(hidden)]
pub use select::{Arm, Limit, RecvArm, SendArm, run_select};

use crate::park;
use alloc::sync::Arc;
use core::{
    fmt,
    iter::FusedIterator,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::atomic::Ordering::*,
    time::Duration,
};
use shared::Channel;

/// A channel for `capacity` values; with 0, each send meets a receive.
///
/// # Panics
///
/// If `capacity` values do not fit in memory's address space.
///
/// # Examples
///
/// ```
/// let (tx, rx) = greenlight_core::channel::bounded(2);
/// tx.send("a").unwrap();
/// tx.send("b").unwrap();
/// assert!(tx.try_send("c").unwrap_err().is_full());
/// tx.close();
/// assert_eq!(rx.iter().collect::<Vec<_>>(), ["a", "b"]);
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    halves(Channel::new(capacity, capacity))
}

/// A channel without a limit: `send` never waits.
///
/// It grows with what is in it; a producer that is quicker than its consumer fills the memory.
///
/// # Examples
///
/// ```
/// let (tx, rx) = greenlight_core::channel::unbounded();
/// for i in 0..1000 {
///     tx.send(i).unwrap();
/// }
/// assert_eq!(rx.len(), 1000);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    halves(Channel::new(usize::MAX, 0))
}

/// A receiver for which nothing ever comes: an arm of a `select!` that is switched off. Go's nil channel.
///
/// # Examples
///
/// ```
/// let rx = greenlight_core::channel::never::<u32>();
/// assert!(rx.try_recv().unwrap_err().is_empty());
/// ```
pub fn never<T>() -> Receiver<T> {
    // The one sender that the count knows of does not exist, so it never goes.
    Receiver { channel: Arc::new(Channel::new(0, 0)) }
}

fn halves<T>(channel: Channel<T>) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(channel);
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// The half of a channel that sends. Cloning makes another sender of the same channel.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// The half of a channel that receives. Cloning makes another receiver of the same channel: each value goes to one.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

// A panic in a caller, or in a value's drop, leaves the channel whole: no user code runs inside its lock.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends `value`, waiting while the channel is full.
    ///
    /// # Errors
    ///
    /// Gives the value back if the channel is closed, or becomes closed while this waits.
    ///
    /// # Cost
    ///
    /// With room: one short lock, no allocation (`unbounded`: when it grows).
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = greenlight_core::channel::bounded(1);
    /// tx.send(1).unwrap();
    /// drop(rx);
    /// assert_eq!(tx.send(2).unwrap_err().into_inner(), 2);
    /// ```
    #[track_caller]
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.channel.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => {
                self.channel.send_wait(value, None, Location::caller()).map_err(|error| SendError(error.into_inner()))
            }
        }
    }

    /// Sends `value` if that needs no wait: there is room, or somebody waits to receive it.
    ///
    /// # Errors
    ///
    /// Gives the value back: `Full` or `Disconnected`.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.channel.try_send(value)
    }

    /// Sends `value`, waiting for `limit` at most while the channel is full.
    ///
    /// # Errors
    ///
    /// Gives the value back: `Timeout` or `Disconnected`. After an error no receiver has seen it.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn send_timeout(&self, value: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        let value = match self.channel.try_send(value) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(value)) => return Err(SendTimeoutError::Disconnected(value)),
            Err(TrySendError::Full(value)) => value,
        };
        self.channel.send_wait(value, park::deadline_after(limit), Location::caller()).map_err(|error| match error {
            TrySendError::Full(value) => SendTimeoutError::Timeout(value),
            TrySendError::Disconnected(value) => SendTimeoutError::Disconnected(value),
        })
    }
}

impl<T> Receiver<T> {
    /// Receives a value, waiting while the channel is empty.
    ///
    /// # Errors
    ///
    /// If the channel is closed and nothing is left in it.
    ///
    /// # Cost
    ///
    /// With a value there: one short lock, no allocation.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = greenlight_core::channel::bounded(1);
    /// tx.send(1).unwrap();
    /// drop(tx);
    /// assert_eq!(rx.recv(), Ok(1));
    /// assert!(rx.recv().is_err());
    /// ```
    #[track_caller]
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_at(Location::caller())
    }

    #[inline]
    fn recv_at(&self, site: &'static Location<'static>) -> Result<T, RecvError> {
        match self.channel.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => self.channel.recv_wait(None, site).map_err(|_| RecvError),
        }
    }

    /// Receives a value if that needs no wait.
    ///
    /// # Errors
    ///
    /// `Empty` or `Disconnected`.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv()
    }

    /// Receives a value, waiting for `limit` at most while the channel is empty.
    ///
    /// # Errors
    ///
    /// `Timeout` or `Disconnected`. A value that came at the last moment is returned, never lost.
    ///
    /// # Panics
    ///
    /// If there is no clock: see [`park::now`].
    #[track_caller]
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, RecvTimeoutError> {
        match self.channel.try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        self.channel.recv_wait(park::deadline_after(limit), Location::caller()).map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// The values as they come, until the channel is closed and drained. Waits between them.
    #[track_caller]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self, site: Location::caller() }
    }

    /// The values that are there, until there is none. Never waits.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

/// What both halves can do.
macro_rules! common {
    ($half:ident, $handles:ident) => {
        impl<T> $half<T> {
            /// Closes the channel: from now on sends give their values back, and receivers get what is left. Wakes all who
            /// wait. Returns whether this call closed it; a second one changes nothing.
            ///
            /// To close at the end of a scope, also when it ends by a panic: `defer!(tx.close())`.
            pub fn close(&self) -> bool {
                self.channel.close()
            }

            /// Whether the channel takes no values any more. It may still hold some.
            pub fn is_closed(&self) -> bool {
                self.channel.is_closed()
            }

            /// How many values are in the channel now.
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// Whether no value is in the channel now.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether a send would have to wait for room now; always so with capacity 0.
            pub fn is_full(&self) -> bool {
                self.capacity().is_some_and(|capacity| self.len() >= capacity)
            }

            /// How many values it can hold; `None` for [`unbounded`].
            pub fn capacity(&self) -> Option<usize> {
                Some(self.channel.capacity()).filter(|capacity| *capacity != usize::MAX)
            }

            /// Whether both belong to one channel.
            pub fn same_channel(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.channel, &other.channel)
            }
        }

        impl<T> Clone for $half<T> {
            fn clone(&self) -> Self {
                // `Arc` aborts before this count, which is never above its own, could wrap.
                let channel = self.channel.clone();
                channel.$handles.fetch_add(1, Relaxed);
                Self { channel }
            }
        }

        impl<T> fmt::Debug for $half<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($half));
                shown.field("len", &self.len()).field("capacity", &self.capacity());
                shown.field("closed", &self.is_closed()).finish()
            }
        }
    };
}

common!(Sender, sender_handles);
common!(Receiver, receiver_handles);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.channel.sender_handles.fetch_sub(1, AcqRel) == 1 {
            self.channel.close();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.channel.receiver_handles.fetch_sub(1, AcqRel) == 1 {
            self.channel.discard();
        }
    }
}

/// Iterator of [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    /// Where it was made: in `next`, the caller may be an adaptor of the standard library.
    site: &'static Location<'static>,
}

/// Iterator of [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// Iterator that owns its receiver.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
    /// As in [`Iter`].
    site: &'static Location<'static>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv_at(self.site).ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv_at(self.site).ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[track_caller]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    #[track_caller]
    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self, site: Location::caller() }
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
