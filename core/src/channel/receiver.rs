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
    /// With a value there: a few atomic operations (a rendezvous: one short lock), no allocation. Without: a pause of up to a microsecond,
    /// where that has helped lately, and the wait.
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

    /// Always inlined, as `Sender::send` is, which the compiler would do of itself but for the look in `give_way`: it costs
    /// nothing, where a call costs 1 ns.
    #[inline(always)]
    fn recv_at(&self, site: &'static Location<'static>) -> Result<T, RecvError> {
        park::give_way();
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
        park::give_way();
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

    /// The values that are there now: no more than were there when this was called, however quickly others come. Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = greenlight_core::channel::unbounded();
    /// (0..3).for_each(|i| tx.send(i).unwrap());
    /// // A loop that sends as many as it takes ends all the same.
    /// for value in rx.drain() {
    ///     tx.send(value + 10).unwrap();
    /// }
    /// assert_eq!(rx.drain().collect::<Vec<_>>(), [10, 11, 12]);
    /// ```
    pub fn drain(&self) -> Drain<'_, T, H> {
        Drain { receiver: self, left: self.len() }
    }

    /// Receives up to `limit` values into `values`, and returns how many: waits for the first, and takes what is there behind
    /// it. With a `limit` of 0 it returns 0 at once.
    ///
    /// # Errors
    ///
    /// If the channel is closed and nothing is left in it.
    ///
    /// # Panics
    ///
    /// If `values` does while it takes a value; those before it are in `values`.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = greenlight_core::channel::bounded(8);
    /// (0..5).for_each(|i| tx.send(i).unwrap());
    /// let mut batch = Vec::new();
    /// assert_eq!(rx.recv_many(&mut batch, 3), Ok(3));
    /// assert_eq!(rx.recv_many(&mut batch, 3), Ok(2));
    /// assert_eq!(batch, [0, 1, 2, 3, 4]);
    /// ```
    #[track_caller]
    pub fn recv_many(&self, values: &mut impl Extend<T>, limit: usize) -> Result<usize, RecvError> {
        if limit == 0 {
            return Ok(0);
        }
        let mut next = Some(self.recv_at(Location::caller())?);
        let mut count = 0;
        while let Some(value) = next {
            values.extend(Some(value));
            count += 1;
            next = if count < limit { self.try_recv().ok() } else { None };
        }
        Ok(count)
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

/// Iterator of [`Receiver::drain`].
pub struct Drain<'a, T, H: Home<T> = OnHeap<T>> {
    receiver: &'a Receiver<T, H>,
    left: usize,
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

impl<T, H: Home<T>> Iterator for Drain<'_, T, H> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let value = self.receiver.try_recv().ok();
        if value.is_none() {
            self.left = 0;
        }
        value
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
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

impl<T, H: Home<T>> fmt::Debug for Drain<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Drain { .. }")
    }
}

impl<T, H: Home<T>> fmt::Debug for IntoIter<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}

impl<T, H: Home<T>> FusedIterator for Iter<'_, T, H> {}
impl<T, H: Home<T>> FusedIterator for Drain<'_, T, H> {}
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
