//! Whether the monitor is there, watches, or rests; and who ends its rest.
//!
//! ```text
//!            watch: the first task                 all workers asleep for a while
//!   ABSENT ──────────────────────▶ WATCHING ─────────────────────────────────────▶ RESTING
//!                                     ▲                                              │
//!                                     └──────── watch: a worker takes up a task ─────┘
//! ```
//!
//! * M1  A worker that runs a task is watched. Resting: say so (RESTING), then look whether all workers sleep, then sleep. Taking up a
//!   task after a sleep: be awake, then look whether the monitor rests. One of the two sees the other. (A task that is
//!   taken up without a sleep in between finds the monitor watching: it does not rest while a worker is awake.)
//! * M2  While it rests it counts as one that sleeps and has nothing to do (`deadlock.rs`): whoever ends the rest says so first. While
//!   it does not, no deadlock is claimed.

use crate::{
    deadlock::Helpers,
    sync::{
        atomic::{AtomicU8, Ordering::*},
        const_unless_loom,
    },
};

const ABSENT: u8 = 0;
const WATCHING: u8 = 1;
const RESTING: u8 = 2;

/// | operation           | order   | pairs with      | so that                                                          | model |
/// |---------------------|---------|-----------------|------------------------------------------------------------------|-------|
/// | `rest`: RESTING     | SeqCst  | `is_watching`   | M1, with the mode of a worker: the look at it comes behind this, | 1     |
/// | `is_watching`       | SeqCst  | `rest`: RESTING | and its change before this, both SeqCst as well                  | 1     |
/// | `call`: end a rest  | Acquire | `rest`: RESTING | who wakes the monitor's thread finds it                          | 2     |
/// | other changes       | Relaxed | nothing         | who makes it is all that it decides                              |       |
/// | `is_resting`        | Relaxed | nothing         | the unpark of who has ended the rest brings it                   |       |
///
/// Each weakened by one step, and the worker's part as well, fails a model: 1 `monitor_watches_who_is_awake`,
/// 2 `monitor_is_found_by_who_wakes_it`.
pub(super) struct State(AtomicU8);

/// What a worker that takes up a task has to do for the monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Nothing,
    /// To start its thread.
    Start,
    /// To wake its thread.
    Wake,
}

impl State {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self(AtomicU8::new(ABSENT))
        }
    }

    /// Asked by a worker behind its change of mode (M1).
    #[inline]
    pub(super) fn is_watching(&self) -> bool {
        self.0.load(SeqCst) == WATCHING
    }

    /// It does not watch, and is to.
    pub(super) fn call(&self, helpers: &Helpers) -> Call {
        if self.change(RESTING, WATCHING) {
            helpers.is_woken(); // M2
            Call::Wake
        } else if self.change(ABSENT, WATCHING) {
            Call::Start
        } else {
            Call::Nothing
        }
    }

    pub(super) fn could_not_start(&self) {
        self.0.store(ABSENT, Relaxed);
    }

    /// M1, M2: by the monitor. True if it is to sleep, while it [rests](Self::is_resting).
    pub(super) fn rest(&self, helpers: &Helpers, is_anybody_awake: impl FnOnce() -> bool) -> bool {
        // Counted a moment too early: but then either a worker is awake, or everybody sleeps indeed.
        helpers.falls_asleep();
        self.0.store(RESTING, SeqCst);
        if !is_anybody_awake() {
            return true;
        }
        if self.change(RESTING, WATCHING) {
            helpers.rises();
        }
        false
    }

    pub(super) fn is_resting(&self) -> bool {
        self.0.load(Relaxed) == RESTING
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Acquire, Relaxed).is_ok()
    }
}

#[cfg(all(test, loom))]
mod models;
