//! When the parked tasks of one worker are to be woken, whatever else happens.
//!
//! Touched by the worker's thread alone (W1).

use crate::{
    header::TaskRef,
    time::{
        alarms::{Alarms, Key},
        pace::Pace,
    },
};
use greenlight_core::park::{Tick, thread::now};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

pub(super) struct Timers {
    alarms: RefCell<Alarms<TaskRef>>,
    /// The first of `alarms`; `Tick::MAX` if there is none.
    first: Cell<Tick>,
    pace: Cell<Pace>,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { alarms: RefCell::new(Alarms::new()), first: Cell::new(Tick::MAX), pace: Cell::new(Pace::USUAL) }
    }

    /// The worker has ended, and lives for ever: so it keeps no room.
    pub(super) fn give_back(&self) {
        if !self.any() {
            *self.alarms.borrow_mut() = Alarms::new();
        }
    }

    pub(super) fn any(&self) -> bool {
        self.first.get() != Tick::MAX
    }

    /// Whether one is due by `time` from now. Reads the clock only if there is a timer.
    pub(super) fn is_due_in(&self, time: Tick) -> bool {
        self.first.get() != Tick::MAX && self.first.get() <= now().saturating_add(time)
    }

    pub(super) fn set(&self, tick: Tick, task: TaskRef) -> Key {
        self.first.set(self.first.get().min(tick));
        self.alarms.borrow_mut().set(tick, task)
    }

    /// True if it has fired.
    pub(super) fn clear(&self, key: Key) -> bool {
        let mut alarms = self.alarms.borrow_mut();
        let fired = alarms.take_out(key).is_none();
        if !fired {
            self.first.set(alarms.first().unwrap_or(Tick::MAX));
        }
        fired
    }

    /// Wakes the tasks whose time has come. Returns how long the next one has to wait.
    pub(super) fn fire(&self) -> Option<Duration> {
        self.fire_by().map(|time| Duration::from_nanos(self.first.get() - time))
    }

    /// The same, but how long the worker may sleep now.
    pub(super) fn fire_before_sleep(&self) -> Option<Duration> {
        self.fire_by().map(|time| Duration::from_nanos(self.pace.get().until(self.first.get(), time) - time))
    }

    /// The worker has slept.
    pub(super) fn rested(&self) {
        let mut pace = self.pace.get();
        pace.rest();
        self.pace.set(pace);
    }

    /// Returns what the clock says, if one is left.
    fn fire_by(&self) -> Option<Tick> {
        if self.first.get() == Tick::MAX {
            return None;
        }
        let time = now();
        let (mut alarms, mut pace) = (self.alarms.borrow_mut(), self.pace.get());
        while let Some(task) = alarms.pop_due(time) {
            task.wake();
            pace.count(1);
        }
        self.pace.set(pace);
        self.first.set(alarms.first().unwrap_or(Tick::MAX));
        alarms.first().map(|_| time)
    }
}
