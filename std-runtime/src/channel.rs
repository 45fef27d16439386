//! Channels: typed queues between tasks, with the names and errors of crossbeam-channel 0.5 and Go's `close`.
//!
//! All of [`greenlight_core::channel`], where they are described: [`bounded`], [`unbounded`], [`never()`]; for one value
//! [`oneshot`], for the latest [`watch`], for every value to everybody [`broadcast`]. And the channels of the clock, [`after`],
//! [`at`] and [`tick`], which here also wake the futures of any executor.

use crate::hooks;
use std::time::{Duration, Instant};

#[doc(inline)]
pub use greenlight_core::channel::*;

/// A channel that delivers one message `limit` from now: the instant at which it is due. Then nothing comes any more.
///
/// Whoever waits for it may be a green thread, an OS thread, an arm of a [`select!`](crate::select), or a future of any executor
/// ([`recv_async`](Receiver::recv_async), a stream). For one call with a time limit, there is
/// [`recv_timeout`](Receiver::recv_timeout).
///
/// # Cost
///
/// A channel. Only a future costs more while it waits, a timer, and the first of them a thread for the timers.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::{after, unbounded}, select};
/// use std::time::Duration;
///
/// let (_tx, rx) = unbounded::<u32>();
/// let timed_out = select! {
///     recv(rx) -> _ => false,
///     recv(after(Duration::from_millis(5))) -> _ => true,
/// };
/// assert!(timed_out);
///
/// greenlight::block_on(async {
///     after(Duration::from_millis(5)).recv_async().await.unwrap();
/// });
/// ```
pub fn after(limit: Duration) -> Receiver<Instant> {
    hooks::install_early();
    greenlight_core::channel::after(limit)
}

/// A channel that delivers one message at `instant`: the instant itself. See [`after`].
///
/// # Examples
///
/// ```
/// use greenlight::channel::at;
/// use std::time::{Duration, Instant};
///
/// let soon = Instant::now() + Duration::from_millis(2);
/// assert_eq!(at(soon).recv(), Ok(soon));
/// ```
pub fn at(instant: Instant) -> Receiver<Instant> {
    hooks::install_early();
    greenlight_core::channel::at(instant)
}

/// A channel that delivers a message every `period`: the instant at which it was due. See [`after`].
///
/// It holds one message. A tick for which nobody came in time is late, not made up for: the next one is due a whole
/// period after it was taken.
///
/// # Examples
///
/// ```
/// use greenlight::channel::tick;
/// use std::time::Duration;
///
/// let ticks = tick(Duration::from_millis(2));
/// let first = ticks.recv().unwrap();
/// assert!(ticks.recv().unwrap() - first >= Duration::from_millis(2));
/// ```
pub fn tick(period: Duration) -> Receiver<Instant> {
    hooks::install_early();
    greenlight_core::channel::tick(period)
}
