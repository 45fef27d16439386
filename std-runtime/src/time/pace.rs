//! How exact a thread is that sleeps from one alarm to the next.
//!
//! One alarm at a time goes off as soon as the system wakes the thread. Where they come by the thousand, a sleep and a wake-up for
//! each few of them would cost more than all the rest: then the thread sleeps a little longer than until the next, and serves
//! together what has come by then. (Go and tokio round each sleep of an idle thread up to a millisecond.)

use greenlight_core::park::Tick;

/// Counts what went off since the last sleep.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    many: usize,
    pause: Tick,
    fired: usize,
}

impl Pace {
    /// What threads have: 0.2 ms at least, where 8 or more went off between two sleeps.
    pub(crate) const USUAL: Self = Self::new(8, 200_000);

    pub(crate) const fn new(many: usize, pause: Tick) -> Self {
        Self { many, pause, fired: 0 }
    }

    pub(crate) fn count(&mut self, fired: usize) {
        self.fired += fired;
    }

    /// Until when to sleep, if the next one is due at `first`.
    pub(crate) fn until(&self, first: Tick, now: Tick) -> Tick {
        if self.fired >= self.many { first.max(now.saturating_add(self.pause)) } else { first }
    }

    /// The thread sleeps.
    pub(crate) fn rest(&mut self) {
        self.fired = 0;
    }
}
