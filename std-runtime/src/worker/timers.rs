//! When the parked tasks of one worker are to be woken, whatever else happens.
//!
//! Touched by the worker's thread alone (W1).

use crate::header::TaskRef;
use greenlight_core::park::{Tick, thread::now};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

pub(super) struct Timers {
    /// A task is its address.
    set: RefCell<BTreeSet<(Tick, usize)>>,
    /// The first of `set`; `Tick::MAX` if there is none.
    first: Cell<Tick>,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { set: RefCell::new(BTreeSet::new()), first: Cell::new(Tick::MAX) }
    }

    /// Reads the clock only if there is a timer.
    pub(super) fn is_due(&self) -> bool {
        self.first.get() != Tick::MAX && self.first.get() <= now()
    }

    pub(super) fn set(&self, tick: Tick, task: TaskRef) {
        self.set.borrow_mut().insert((tick, task.as_raw().expose_provenance()));
        self.first.set(self.first.get().min(tick));
    }

    pub(super) fn clear(&self, tick: Tick, task: TaskRef) {
        let mut set = self.set.borrow_mut();
        set.remove(&(tick, task.as_raw().addr()));
        self.first.set(set.first().map_or(Tick::MAX, |first| first.0));
    }

    /// Wakes the tasks whose time has come. Returns how long the next one has to wait.
    pub(super) fn fire(&self) -> Option<Duration> {
        let mut set = self.set.borrow_mut();
        let mut time = None;
        self.first.set(Tick::MAX);
        while let Some(&(tick, task)) = set.first() {
            let time = *time.get_or_insert_with(now);
            if tick > time {
                self.first.set(tick);
                return Some(Duration::from_nanos(tick - time));
            }
            set.pop_first();
            TaskRef::from_raw(std::ptr::with_exposed_provenance_mut(task)).wake();
        }
        None
    }
}
