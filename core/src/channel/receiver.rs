//! The half of a channel that receives, and its iterators.

use super::{
    Channel,
    buffer::Buffer,
    common,
    error::{RecvError, RecvTimeoutError, TryRecvError},
};
use crate::park;
use alloc::sync::Arc;
use core::{
    fmt,
    iter::FusedIterator,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::atomic::Ordering::*,
    time::Duration,
};

/// The half of a channel that receives. Cloning makes another receiver of the same channel: each value goes to one.
pub struct Receiver<T> {
    pub(super) channel: Arc<Channel<T>>,
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
        match self.channel.shared.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => self.channel.shared.recv_wait(None, site).map_err(|_| RecvError),
        }
    }

    /// Receives a value if that needs no wait.
    ///
    /// # Errors
    ///
    /// `Empty` or `Disconnected`.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.shared.try_recv()
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
        match self.channel.shared.try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        self.channel.shared.recv_wait(park::deadline_after(limit), Location::caller()).map_err(|error| match error {
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

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.channel.receiver_handles.fetch_sub(1, AcqRel) == 1 {
            self.channel.shared.discard();
        }
    }
}

/// Iterator of [`Receiver::iter`].
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    /// Where it was made: in `next`, the caller may be an adaptor of the standard library.
    site: &'static Location<'static>,
}

/// Iterator of [`Receiver::try_iter`].
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// Iterator that owns its receiver.
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

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
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
