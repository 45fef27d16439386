//! The half of a channel that sends.

use super::{
    buffer::Buffer,
    common,
    error::{SendError, SendTimeoutError, TrySendError},
    home::{Home, OnHeap},
    shared::Shared,
};
use crate::park;
use core::{
    fmt,
    marker::PhantomData,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::atomic::Ordering::*,
    time::Duration,
};

/// The half of a channel that sends. Cloning makes another sender of the same channel.
///
/// Where the channel lives is its second parameter: on the heap unless it says otherwise.
pub struct Sender<T, H: Home<T> = OnHeap<T>> {
    pub(super) home: H,
    _value: PhantomData<fn() -> T>,
}

impl<T, H: Home<T>> Sender<T, H> {
    /// Sends `value`, waiting while the channel is full.
    ///
    /// # Errors
    ///
    /// Gives the value back if the channel is closed, or becomes closed while this waits.
    ///
    /// # Cost
    ///
    /// With room: a few atomic operations (a rendezvous: one short lock), no allocation (`unbounded`: when it grows). Without: a pause of up
    /// to a microsecond, where that has helped lately, and the wait.
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
    #[inline(always)]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.give_way();
        match self.shared().try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => {
                let sent = self.shared().send_wait(value, None, Location::caller());
                sent.map_err(|error| SendError(error.into_inner()))
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
        self.shared().try_send(value)
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
        self.give_way();
        let value = match self.shared().try_send(value) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(value)) => return Err(SendTimeoutError::Disconnected(value)),
            Err(TrySendError::Full(value)) => value,
        };
        self.shared().send_wait(value, park::deadline_after(limit), Location::caller()).map_err(|error| match error {
            TrySendError::Full(value) => SendTimeoutError::Timeout(value),
            TrySendError::Disconnected(value) => SendTimeoutError::Disconnected(value),
        })
    }

    /// As [`send_timeout`](Self::send_timeout), with the point in time at which to give up.
    ///
    /// # Errors
    ///
    /// Gives the value back: `Timeout` or `Disconnected`. After an error no receiver has seen it.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn send_deadline(&self, value: T, deadline: std::time::Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_timeout(value, deadline.saturating_duration_since(std::time::Instant::now()))
    }
}

impl<T, H: Home<T>> Sender<T, H> {
    /// Where there is always room, nobody expects to wait (Y1 of `park/give_way.rs`).
    #[inline(always)]
    fn give_way(&self) {
        park::give_way_if(self, |this| this.shared().buffer.capacity() != usize::MAX);
    }
}

common!(Sender, sender_handles);

impl<T, H: Home<T>> Drop for Sender<T, H> {
    fn drop(&mut self) {
        if self.home.counts() && self.home.channel().sender_handles.fetch_sub(1, AcqRel) == 1 {
            self.shared().close();
        }
    }
}
