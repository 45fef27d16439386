//! The alarm of a future that waits for the clock: whoever blocks instead bounds its sleep by a deadline, a future has only its
//! waker.
//!
//! * L1  While it is set, the hook has one alarm for it, with this waker, or that one has gone off; once it is taken back, by
//!   `Drop` at the latest, the hook has none.

use super::{NOBODY, Tick, hooks};
use alloc::boxed::Box;
use core::task::Waker;

/// Foreign code runs in each call: the hook, and the waker's. Not under a lock.
#[derive(Default)]
pub(crate) struct Alarm {
    /// Few futures have one: the others need not have the room.
    set: Option<Box<Set>>,
}

struct Set {
    tick: Tick,
    number: u64,
    waker: Waker,
}

impl Alarm {
    /// Has `waker` woken at `tick`, instead of whatever it was set to before; with `None`, nobody. Without a hook nothing
    /// happens.
    ///
    /// It is for a future that has looked at the clock before, and was told to wait: so an alarm that has gone off is not set
    /// again for the same tick.
    pub(crate) fn set(&mut self, tick: Option<Tick>, waker: &Waker) {
        let Some(tick) = tick else { return self.take_back() };
        let is_set = self.set.as_ref().is_some_and(|set| set.tick == tick && set.waker.will_wake(waker));
        if is_set || waker.will_wake(NOBODY) {
            return;
        }
        let Some(alarms) = hooks::alarms() else { return };
        self.take_back();
        let waker = waker.clone();
        self.set = Some(Box::new(Set { tick, number: (alarms.set)(tick, &waker), waker }));
    }

    pub(crate) fn take_back(&mut self) {
        if let Some((set, alarms)) = self.set.take().zip(hooks::alarms()) {
            (alarms.take_back)(set.tick, set.number);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.take_back();
    }
}
