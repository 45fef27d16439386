//! Channels whose messages the clock sends: the instant at which each was due.

use super::{
    Receiver, timed,
    timer::{Due, Period, Timer},
};
use crate::park;
use std::time::{Duration, Instant};

/// A channel that delivers one message `limit` from now: the instant at which it is due. Then nothing comes any more.
///
/// Each call makes a channel; nothing runs and nothing is allocated besides until the time has come. So a future on it
/// ([`recv_async`](Receiver::recv_async), a stream) is woken only where somebody sets alarms for futures:
/// [`Hooks::with_alarms`](crate::park::Hooks::with_alarms). That is so for [`at`] and [`tick`], too.
///
/// # Examples
///
/// ```
/// use greenlight_core::{channel::{after, unbounded}, select};
/// use std::time::Duration;
///
/// let (_tx, rx) = unbounded::<u32>();
/// let timed_out = select! {
///     recv(rx) -> _ => false,
///     recv(after(Duration::from_millis(5))) -> _ => true,
/// };
/// assert!(timed_out);
/// ```
pub fn after(limit: Duration) -> Receiver<Instant> {
    Instant::now().checked_add(limit).map_or_else(super::never, |instant| timer(instant, limit, None))
}

/// A channel that delivers one message at `instant`: the instant itself. As to futures, see [`after`].
///
/// # Examples
///
/// ```
/// use greenlight_core::channel::at;
/// use std::time::{Duration, Instant};
///
/// let soon = Instant::now() + Duration::from_millis(2);
/// assert_eq!(at(soon).recv(), Ok(soon));
/// ```
pub fn at(instant: Instant) -> Receiver<Instant> {
    timer(instant, instant.saturating_duration_since(Instant::now()), None)
}

/// A channel that delivers a message every `period`: the instant at which it was due.
///
/// It holds one message. A tick for which nobody came in time is late, not made up for: the next one is due a whole
/// period after it was taken. As to futures, see [`after`].
///
/// # Examples
///
/// ```
/// use greenlight_core::channel::tick;
/// use std::time::Duration;
///
/// let ticks = tick(Duration::from_millis(2));
/// let first = ticks.recv().unwrap();
/// assert!(ticks.recv().unwrap() - first >= Duration::from_millis(2));
/// ```
pub fn tick(period: Duration) -> Receiver<Instant> {
    let later = |instant: &Instant, nanos| *instant + Duration::from_nanos(nanos);
    match (Instant::now().checked_add(period), u64::try_from(period.as_nanos())) {
        (Some(first), Ok(nanos)) => timer(first, period, Some(Period { nanos, later })),
        _ => super::never(),
    }
}

/// `first` is the message; when it is due says `limit`, on the seam's clock, which may be a virtual one.
fn timer(first: Instant, limit: Duration, period: Option<Period<Instant>>) -> Receiver<Instant> {
    let due = park::deadline_after(limit).map(|when| Due { when, message: first });
    timed(Timer::new(due, period))
}
