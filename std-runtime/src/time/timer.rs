//! Timers, which can be stopped and set again, and tickers.

use super::{
    Instant,
    bell::{Bell, MissedTicks, State, TimerWait, nanos},
};
use greenlight_core::park::TimedOut;
use std::{
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    time::Duration,
};

/// Goes off once, for one who waits; it can be stopped, and set again, by anybody who shares it. Go's `time.Timer`.
///
/// After [`stop`](Self::stop) or [`reset`](Self::reset) has returned, nobody hears of the time that was set before, whether it
/// had come or not: there is no stale value to drain.
///
/// # Cost
///
/// To make, stop or set one again: a short lock. A blocking wait is a timer of its worker; a future that waits, one of the
/// timer thread's.
///
/// # Examples
///
/// ```
/// use greenlight::{channel::bounded, go, select, time::Timer};
/// use std::time::Duration;
///
/// let (beat, beats) = bounded(0);
/// go(move || (0..3).for_each(|i| beat.send(i).unwrap()));
/// let silence = Timer::new(Duration::from_millis(50));
/// loop {
///     select! {
///         recv(beats) -> beat => if beat.is_err() { break },
///         wait(silence.wait_async()) -> _ => panic!("nobody there"),
///     }
///     silence.reset(Duration::from_millis(50));
/// }
/// assert!(silence.stop());
/// ```
pub struct Timer {
    bell: Bell,
}

impl Timer {
    /// Goes off `time` from now. `Duration::MAX` is never.
    pub fn new(time: Duration) -> Self {
        Self::at(Instant::after(time))
    }

    /// Goes off at `when`.
    pub fn at(when: Instant) -> Self {
        let missed = MissedTicks::default();
        Self { bell: Bell::new(State { when: Some(when.tick()), period: 0, missed }) }
    }

    /// It will not go off. True if it would have: nobody has stopped it before, and nobody has been told.
    pub fn stop(&self) -> bool {
        self.bell.set(|state| state.when = None).is_due()
    }

    /// It goes off `time` from now, and not at the time that was set before. True if nobody had stopped it, or been told.
    /// Those who wait go on waiting, for the new time.
    pub fn reset(&self, time: Duration) -> bool {
        self.reset_at(Instant::after(time))
    }

    /// [`reset`](Self::reset), to a point in time.
    pub fn reset_at(&self, when: Instant) -> bool {
        self.bell.set(|state| state.when = Some(when.tick())).is_due()
    }

    /// When it goes off. None if it is stopped, or somebody has been told.
    pub fn deadline(&self) -> Option<Instant> {
        self.bell.look().when.map(Instant::from_tick)
    }

    /// Blocks until it goes off, and tells for when that was set. Of several who wait, one is told. Who waits for a stopped
    /// timer waits until somebody sets it.
    ///
    /// # Cancellation
    ///
    /// [`wait_async`](Self::wait_async) can be dropped at any time: if it was not ready, it has taken nothing.
    #[track_caller]
    pub fn wait(&self) -> Instant {
        let site = Location::caller();
        loop {
            if let Ok(rang) = self.bell.wait("wait for a timer", Instant::NEVER, site) {
                return rang;
            }
        }
    }

    /// Whether it has gone off, and nobody has been told before. Never waits.
    pub fn try_wait(&self) -> Option<Instant> {
        self.bell.try_wait()
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up first.
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<Instant, TimedOut> {
        self.bell.wait("wait for a timer", Instant::after(limit), Location::caller())
    }

    /// [`wait`](Self::wait) as a future, and a case for `select!`: `wait(timer.wait_async()) -> when => …`.
    pub fn wait_async(&self) -> TimerWait<'_> {
        self.bell.wait_async()
    }
}

// No code of the program runs in the middle of a change.
impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}
impl UnwindSafe for Ticker {}
impl RefUnwindSafe for Ticker {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("deadline", &self.deadline()).finish()
    }
}

/// Goes off again and again, a period apart. Go's `time.Ticker`.
///
/// A tick that is heard a little late does not put off the next. What becomes of those that are missed altogether is a
/// policy: [`MissedTicks`]. Of several who wait, one hears each tick.
///
/// # Examples
///
/// ```
/// use greenlight::time::{Instant, Ticker};
/// use std::time::Duration;
///
/// let start = Instant::now();
/// let ticker = Ticker::new(Duration::from_millis(2));
/// let ticks: Vec<_> = (0..3).map(|_| ticker.wait()).collect();
/// assert!(start.elapsed() >= Duration::from_millis(6));
/// assert!(ticks.is_sorted());
/// ```
pub struct Ticker {
    bell: Bell,
}

impl Ticker {
    /// Ticks each `period`, at first a period from now. Ticks that are missed are left out.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    #[track_caller]
    pub fn new(period: Duration) -> Self {
        Self::with_policy(period, MissedTicks::default())
    }

    /// [`new`](Self::new), with what becomes of missed ticks.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    #[track_caller]
    pub fn with_policy(period: Duration, missed: MissedTicks) -> Self {
        assert!(!period.is_zero(), "a ticker's period must not be zero");
        let when = Some(Instant::after(period).tick());
        Self { bell: Bell::new(State { when, period: nanos(period), missed }) }
    }

    /// It ticks no more: who waits, waits until somebody [`reset`](Self::reset)s it. No tick from before comes.
    pub fn stop(&self) {
        self.bell.set(|state| state.when = None);
    }

    /// It ticks each `period` from now on. No tick from before comes.
    ///
    /// # Panics
    ///
    /// If `period` is zero; the ticker is as it was.
    #[track_caller]
    pub fn reset(&self, period: Duration) {
        assert!(!period.is_zero(), "a ticker's period must not be zero");
        let when = Some(Instant::after(period).tick());
        self.bell.set(|state| *state = State { when, period: nanos(period), missed: state.missed });
    }

    /// Blocks until the next tick, and tells for when that was due.
    ///
    /// # Cancellation
    ///
    /// As for [`Timer::wait`].
    #[track_caller]
    pub fn wait(&self) -> Instant {
        let site = Location::caller();
        loop {
            if let Ok(tick) = self.bell.wait("wait for a ticker", Instant::NEVER, site) {
                return tick;
            }
        }
    }

    /// A tick that is due and that nobody has heard. Never waits.
    pub fn try_wait(&self) -> Option<Instant> {
        self.bell.try_wait()
    }

    /// [`wait`](Self::wait), for `limit` at most.
    ///
    /// # Errors
    ///
    /// If the time is up first.
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> Result<Instant, TimedOut> {
        self.bell.wait("wait for a ticker", Instant::after(limit), Location::caller())
    }

    /// [`wait`](Self::wait) as a future, and a case for `select!`: `wait(ticker.wait_async()) -> when => …`.
    pub fn wait_async(&self) -> TimerWait<'_> {
        self.bell.wait_async()
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { when, period, missed } = self.bell.look();
        f.debug_struct("Ticker")
            .field("next", &when.map(Instant::from_tick))
            .field("period", &Duration::from_nanos(period))
            .field("missed", &missed)
            .finish()
    }
}
