//! Time: points in it, sleeping until them, limits, timers that can be stopped, tickers.
//!
//! | to …                                        | there is                                                              |
//! |---------------------------------------------|-----------------------------------------------------------------------|
//! | sleep                                       | [`sleep`], [`sleep_until`]; as futures [`sleep_async`], [`sleep_until_async`] |
//! | limit a future                              | [`timeout`], [`timeout_at`]                                           |
//! | limit a blocking call                       | its own `…_timeout`                                                   |
//! | have one case of a `select!` end it         | `default(limit)`, or [`channel::after`](crate::channel::after)       |
//!
//! Everything reads one clock, that of [`park::now`](crate::park::now). Any `Duration` will do: what the clock cannot reach is
//! never.

pub(crate) mod alarms;

pub(crate) mod driver;

mod instant;
mod sleep;

pub use crate::{park::TimedOut, sleep};
pub use instant::Instant;
pub use sleep::{Sleep, Timeout, sleep_async, sleep_until, sleep_until_async, timeout, timeout_at};
