//! What timers and tickers have inside: a bell that rings at a time, once or again and again, for one who waits.
//!
//! ```text
//!            set                      heard by a waiter, once the time has come
//!   silent ─────▶ due: Some(when) ───────────────────▶ silent, or due one period later
//!      ▲                │
//!      └──── stop ──────┘
//! ```
//!
//! * B1  Whether it has rung is no event that could be stale: it is what the clock says against `when` in the moment in which a
//!   waiter looks. So after `stop` or `set` nobody hears of the time that was set before, and what these return is exact.
//! * B2  One waiter hears each ring, with the lock held. A change of `when` wakes all who wait, and they sleep until the
//!   new time; a ring that another one has heard needs nobody woken.
//!
//! The state machine is given the time. So it can be tested on any.

use super::{Instant, driver::Alarm};
use greenlight_core::{
    Waitable, Waiting,
    park::{self, Tick, TimedOut, Why},
};
use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// What becomes of the ticks that nobody was there to hear in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MissedTicks {
    /// All of them come, one right after the other, until the ticker has caught up. For work whose amount counts.
    Burst,
    /// The next one comes a whole period after the late one was heard. For pauses that must not be shorter.
    Delay,
    /// They are left out, and the next one comes when it would have come anyway. Go's way, and the default.
    #[default]
    Skip,
}

/// When it rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// `Tick::MAX`: due, but never.
    pub(super) when: Option<Tick>,
    /// Zero: it rings once.
    pub(super) period: u64,
    pub(super) missed: MissedTicks,
}

impl State {
    pub(super) fn is_due(&self) -> bool {
        self.when.is_some()
    }

    /// Hears it, if it has rung by `now`: for which time.
    pub(super) fn hear(&mut self, now: Tick) -> Option<Tick> {
        let rang = self.when.filter(|when| *when <= now && *when != Tick::MAX)?;
        self.when = (self.period > 0).then(|| {
            let next = rang.saturating_add(self.period);
            match self.missed {
                MissedTicks::Burst => next,
                MissedTicks::Delay if next <= now => now.saturating_add(self.period),
                // A waiter is always a little late; that is not to add up.
                MissedTicks::Delay => next,
                MissedTicks::Skip => {
                    next.saturating_add((now.saturating_sub(rang) / self.period).saturating_mul(self.period))
                }
            }
        });
        Some(rang)
    }
}

pub(super) struct Bell {
    state: Waitable<State>,
}

impl Bell {
    pub(super) fn new(state: State) -> Self {
        Self { state: Waitable::new(state) }
    }

    /// Changes when it rings, and returns what it was before.
    pub(super) fn set(&self, change: impl FnOnce(&mut State)) -> State {
        self.state.change(|state| {
            let before = *state;
            change(state);
            before
        })
    }

    pub(super) fn look(&self) -> State {
        self.state.with(|state| *state)
    }

    pub(super) fn try_wait(&self) -> Option<Instant> {
        self.state.with(|state| state.hear(park::now())).map(Instant::from_tick)
    }

    pub(super) fn wait(
        &self,
        what: &'static str,
        limit: Instant,
        site: &'static Location<'static>,
    ) -> Result<Instant, TimedOut> {
        let why = Why { what, object: std::ptr::from_ref(self).addr(), site };
        loop {
            let when = self.look().when;
            let until = when.map_or(limit, |when| limit.min(Instant::from_tick(when)));
            let found = self.state.wait(&why, until.deadline(), |state| match state.hear(park::now()) {
                Some(rang) => Some(Some(rang)),
                None if state.when != when => Some(None),
                None => None,
            });
            match found {
                Some(Some(rang)) => return Ok(Instant::from_tick(rang)),
                None if Instant::now() >= limit && limit != Instant::NEVER => {
                    return self.try_wait().ok_or(TimedOut);
                }
                _ => {}
            }
        }
    }

    pub(super) fn wait_async(&self) -> TimerWait<'_> {
        TimerWait { waiting: self.state.waiting(), alarm: Alarm::default() }
    }
}

/// Future of [`Timer::wait_async`](super::Timer::wait_async) and [`Ticker::wait_async`](super::Ticker::wait_async). Polled
/// again after it was ready, it waits for the next time.
#[must_use = "a future does nothing until it is polled"]
pub struct TimerWait<'a> {
    waiting: Waiting<'a, State>,
    alarm: Alarm,
}

impl Future for TimerWait<'_> {
    type Output = Instant;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        // SAFETY: `waiting` is pinned whenever we are: it is never moved out, there is no `Drop` and no `Unpin` of ours.
        // `alarm` is `Unpin`.
        let (waiting, alarm) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.waiting), &mut this.alarm)
        };
        let mut when = None;
        let heard = waiting.poll(cx.waker(), |state| {
            when = state.when;
            state.hear(park::now())
        });
        // A change from here on wakes us, and we set the alarm anew.
        match when.and_then(|when| Instant::from_tick(when).deadline()).filter(|_| heard.is_pending()) {
            Some(tick) => alarm.set(tick, cx.waker()),
            None => alarm.clear(),
        }
        heard.map(Instant::from_tick)
    }
}

impl fmt::Debug for TimerWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerWait").finish_non_exhaustive()
    }
}

/// What [`Duration`] a period is on the clock: never zero.
pub(super) fn nanos(period: Duration) -> u64 {
    u64::try_from(period.as_nanos()).unwrap_or(u64::MAX)
}
