//! Time: points in it, sleeping until them, limits, timers that can be stopped, tickers.
//!
//! | to …                                  | there is                                                       |
//! |---------------------------------------|----------------------------------------------------------------|
//! | sleep                                 | [`sleep`](fn@sleep), [`sleep_until`]                                     |
//! | sleep in a future                     | [`sleep_async`], [`sleep_until_async`]                         |
//! | limit a future                        | [`timeout`], [`timeout_at`]                                    |
//! | limit a blocking call                 | its own `…_timeout`                                            |
//! | limit a `select!`                     | `default(limit)`, [`channel::after`](crate::channel::after)    |
//! | be told once, unless it is taken back | [`Timer`]                                                      |
//! | be told again and again               | [`Ticker`], [`channel::tick`](crate::channel::tick)            |
//! | have a function called later          | [`after_func`](fn@after_func)                                                 |
//!
//! Everything reads one clock, that of [`park::now`](crate::park::now). Any `Duration` will do: what the clock cannot reach is
//! never.

pub(crate) mod alarms;

pub(crate) mod driver;

pub(crate) mod pace;

mod after_func;
mod bell;
mod instant;
mod sleep;
mod timer;

pub use crate::{park::TimedOut, sleep};
pub use after_func::{AfterFunc, after_func};
pub use bell::{MissedTicks, TimerWait};
pub use instant::Instant;
pub use sleep::{Sleep, Timeout, sleep_async, sleep_until, sleep_until_async, timeout, timeout_at};
pub use timer::{Ticker, Timer};

#[cfg(all(test, not(loom)))]
mod tests;
