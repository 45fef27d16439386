//! Whether a worker's thread runs, sleeps, or is on its way to or from its sleep.
//!
//! ```text
//!   AWAKE ──▶ SPINNING ──▶ AWAKE ──▶ DOZING ──▶ ASLEEP or TIMED
//!     ▲                                 │            │
//!     └──────────── WAKING ◀────────────┴────────────┘   by who brings work; by itself, when a socket's event comes: AWAKE
//! ```
//!
//! A spin is ended by whoever brings work (SPINNING to AWAKE), so that the next one without work may spin at once: in a to and fro
//! between two workers, each begins to look for work just when the other has been given some.
//!
//! * W3  Going to sleep: say so (DOZING), fence, look at every source of work once more, sleep. Bringing work: put it there,
//!   fence, look at the mode. One of the two sees the other, so no work is left with a sleeping worker; but for what it leaves alone
//!   (rule 5 of `free.rs`) during a sleep that ends by itself.
//!
//! SeqCst throughout: W3, and deadlock detection, which compares pictures of all workers.

use crate::sync::{
    atomic::{AtomicU8, AtomicUsize, Ordering::*, fence},
    const_unless_loom, protocol_static,
};

const AWAKE: u8 = 0;
const SPINNING: u8 = 1;
const ASLEEP: u8 = 2;
/// Asleep with a timer that will wake it.
const TIMED: u8 = 3;
/// Woken by somebody, but its thread does not run yet.
const WAKING: u8 = 4;
/// About to sleep, if its last look finds nothing. To be woken like a sleeper, but not counted as one: it may still find
/// work that came before, and whose bringer saw no sleeper.
const DOZING: u8 = 5;

protocol_static! {
    /// How many sleeps of workers were ended by others, or by an event of a socket, ever: see `deadlock.rs`.
    pub(crate) static WAKES: AtomicUsize = AtomicUsize::new(0);
}

pub(super) struct Mode(AtomicU8);

/// What a bringer of work has found, and changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Roused {
    /// It runs: it will look.
    Nobody,
    /// It spins, and does not count as one of the spinners any more.
    Spinner,
    /// It sleeps: the caller has to wake its thread.
    Sleeper,
}

impl Mode {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self(AtomicU8::new(AWAKE))
        }
    }

    // ---- from any thread ------------------------------------------------------------------------------------------

    /// Whether the worker would take work up at once.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.0.load(SeqCst), SPINNING | ASLEEP | TIMED | DOZING)
    }

    /// Asleep until somebody wakes it.
    pub(super) fn is_asleep(&self) -> bool {
        self.0.load(SeqCst) == ASLEEP
    }

    /// Asleep until a timer is due, or somebody wakes it.
    pub(super) fn is_asleep_until_timer(&self) -> bool {
        self.0.load(SeqCst) == TIMED
    }

    /// Asleep, with or without a timer.
    pub(super) fn rests(&self) -> bool {
        matches!(self.0.load(SeqCst), ASLEEP | TIMED)
    }

    /// Relaxed, as the next one: a hint, or behind a fence (W3).
    pub(super) fn is_spinning(&self) -> bool {
        self.0.load(Relaxed) == SPINNING
    }

    pub(super) fn is_waking(&self) -> bool {
        self.0.load(Relaxed) == WAKING
    }

    /// W3, behind the bringing of work.
    pub(super) fn rouse(&self) -> Roused {
        fence(SeqCst);
        let mut mode = self.0.load(SeqCst);
        loop {
            let (to, roused) = match mode {
                ASLEEP | TIMED | DOZING => (WAKING, Roused::Sleeper),
                SPINNING => (AWAKE, Roused::Spinner),
                _ => return Roused::Nobody,
            };
            match self.0.compare_exchange(mode, to, SeqCst, SeqCst) {
                Ok(_) => {
                    if roused == Roused::Sleeper {
                        WAKES.fetch_add(1, SeqCst);
                    }
                    return roused;
                }
                Err(now) => mode = now,
            }
        }
    }

    // ---- on the worker's thread -----------------------------------------------------------------------------------

    pub(super) fn spin(&self) {
        self.0.store(SPINNING, SeqCst);
    }

    /// Whether nobody has brought work since [`spin`](Self::spin). Relaxed: the worker asks again.
    pub(super) fn spins(&self) -> bool {
        self.0.load(Relaxed) == SPINNING
    }

    /// True if nobody has ended the spin before.
    pub(super) fn end_spin(&self) -> bool {
        self.0.swap(AWAKE, SeqCst) == SPINNING
    }

    /// By a swap, which comes after what a waker wrote. So would a store, as nothing comes between a waker's exchange and what
    /// that read; but the model checker does not know of it.
    pub(super) fn awake(&self) {
        self.0.swap(AWAKE, SeqCst);
    }

    /// Wakes by itself, for something that will wake tasks. Counted like a sleep that others end.
    pub(super) fn rise(&self) {
        if self.0.swap(AWAKE, SeqCst) == ASLEEP {
            WAKES.fetch_add(1, SeqCst);
        }
    }

    /// W3. False if there is work: then the worker is awake. Else it is asleep until [`awake`](Self::awake), and the caller
    /// sleeps unless it was roused.
    pub(super) fn fall_asleep(&self, timed: bool, has_work: impl FnOnce() -> bool) -> bool {
        let asleep = if timed { TIMED } else { ASLEEP };
        self.0.store(DOZING, SeqCst);
        fence(SeqCst);
        if has_work() || self.0.compare_exchange(DOZING, asleep, SeqCst, SeqCst).is_err() {
            self.awake();
            return false;
        }
        true
    }
}

#[cfg(all(test, loom))]
mod models;
