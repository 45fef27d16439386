//! The half of a channel that receives, and its iterators.

use super::{
    buffer::Buffer,
    common,
    error::{RecvError, RecvTimeoutError, TryRecvError},
    home::{Home, OnHeap},
    shared::Shared,
};
use crate::park;
use core::{
    fmt,
    iter::FusedIterator,
    marker::PhantomData,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::atomic::Ordering::*,
    time::Duration,
};

/// The half of a channel that receives. Cloning makes another receiver of the same channel: each value goes to one.
///
/// Where the channel lives is its second parameter: on the heap unless it says otherwise.
pub struct Receiver<T, H: Home<T> = OnHeap<T>> {
    pub(super) home: H,
    _value: PhantomData<fn() -> T>,
}

impl<T, H: Home<T>> Receiver<T, H> {
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
        match self.shared().try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => self.shared().recv_wait(None, site).map_err(|_| RecvError),
        }
    }

    /// Receives a value if that needs no wait.
    ///
    /// # Errors
    ///
    /// `Empty` or `Disconnected`.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.shared().try_recv()
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
        match self.shared().try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        self.shared().recv_wait(park::deadline_after(limit), Location::caller()).map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// The values as they come, until the channel is closed and drained. Waits between them.
    #[track_caller]
    pub fn iter(&self) -> Iter<'_, T, H> {
        Iter { receiver: self, site: Location::caller() }
    }

    /// The values that are there, until there is none. Never waits.
    pub fn try_iter(&self) -> TryIter<'_, T, H> {
        TryIter { receiver: self }
    }

    /// As [`recv_timeout`](Self::recv_timeout), with the point in time at which to give up.
    ///
    /// # Errors
    ///
    /// `Timeout` or `Disconnected`. A value that came at the last moment is returned, never lost.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn recv_deadline(&self, deadline: std::time::Instant) -> Result<T, RecvTimeoutError> {
        self.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }
}

common!(Receiver, receiver_handles);

impl<T, H: Home<T>> Drop for Receiver<T, H> {
    fn drop(&mut self) {
        if self.home.counts() && self.home.channel().receiver_handles.fetch_sub(1, AcqRel) == 1 {
            self.shared().discard();
        }
    }
}

/// Iterator of [`Receiver::iter`].
pub struct Iter<'a, T, H: Home<T> = OnHeap<T>> {
    receiver: &'a Receiver<T, H>,
    /// Where it was made: in `next`, the caller may be an adaptor of the standard library.
    site: &'static Location<'static>,
}

/// Iterator of [`Receiver::try_iter`].
pub struct TryIter<'a, T, H: Home<T> = OnHeap<T>> {
    receiver: &'a Receiver<T, H>,
}

/// Iterator that owns its receiver.
pub struct IntoIter<T, H: Home<T> = OnHeap<T>> {
    receiver: Receiver<T, H>,
    /// As in [`Iter`].
    site: &'static Location<'static>,
}

impl<T, H: Home<T>> Iterator for Iter<'_, T, H> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv_at(self.site).ok()
    }
}

impl<T, H: Home<T>> Iterator for TryIter<'_, T, H> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T, H: Home<T>> Iterator for IntoIter<T, H> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv_at(self.site).ok()
    }
}

impl<T, H: Home<T>> fmt::Debug for Iter<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T, H: Home<T>> fmt::Debug for TryIter<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T, H: Home<T>> fmt::Debug for IntoIter<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}

impl<T, H: Home<T>> FusedIterator for Iter<'_, T, H> {}
impl<T, H: Home<T>> FusedIterator for IntoIter<T, H> {}

impl<'a, T, H: Home<T>> IntoIterator for &'a Receiver<T, H> {
    type Item = T;
    type IntoIter = Iter<'a, T, H>;

    #[track_caller]
    fn into_iter(self) -> Iter<'a, T, H> {
        self.iter()
    }
}

impl<T, H: Home<T>> IntoIterator for Receiver<T, H> {
    type Item = T;
    type IntoIter = IntoIter<T, H>;

    #[track_caller]
    fn into_iter(self) -> IntoIter<T, H> {
        IntoIter { receiver: self, site: Location::caller() }
    }
}
