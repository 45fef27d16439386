//! A point in time on the seam's clock.

use greenlight_core::park::{self, Tick};
use std::{
    fmt,
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// A point in time, on the clock that everything here waits by. As [`std::time::Instant`], but no sum overflows: what lies
/// beyond the clock's 584 years is [`Instant::NEVER`].
///
/// # Examples
///
/// ```
/// use greenlight::time::Instant;
/// use std::time::Duration;
///
/// let start = Instant::now();
/// assert!(start + Duration::from_secs(1) > start);
/// assert_eq!(start + Duration::MAX, Instant::NEVER);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Tick);

impl Instant {
    /// Later than any point in time: who waits for it waits for ever.
    pub const NEVER: Self = Self(Tick::MAX);

    /// The time now.
    pub fn now() -> Self {
        Self(park::now())
    }

    /// `limit` from now; [`NEVER`](Self::NEVER) if the clock cannot reach it.
    pub(crate) fn after(limit: Duration) -> Self {
        Self::now() + limit
    }

    pub(crate) fn from_tick(tick: Tick) -> Self {
        Self(tick)
    }

    pub(crate) fn tick(self) -> Tick {
        self.0
    }

    /// What a wait takes for its end: none, for [`NEVER`](Self::NEVER).
    pub(crate) fn deadline(self) -> Option<Tick> {
        Some(self.0).filter(|tick| *tick != Tick::MAX)
    }

    /// The time since `earlier`; zero if that is later.
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time since this point; zero if it lies ahead.
    pub fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).map_or(Tick::MAX, |nanos| self.0.saturating_add(nanos)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// [`duration_since`](Self::duration_since).
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.deadline() {
            Some(tick) => write!(f, "Instant({:?})", Duration::from_nanos(tick)),
            None => f.write_str("Instant(NEVER)"),
        }
    }
}
