//! Letting others go first: a runtime that cannot take the CPU from a task asks for it, and the task gives it at its next
//! blocking call.
//!
//! ```text
//!   recv, lock, acquire …  ──▶ asked?  no: go on (one load of what hardly ever changes)
//!                                     yes: the hook, which knows who is meant
//! ```
//!
//! * Y1  Only at the beginning of a call that may wait anyway: a `try_` call, a send without a bound, an unlock never give way,
//!   since a caller who relies on their not waiting may hold a spin lock, or a lock of std's.
//! * Y2  Nothing of the call has happened yet: it stands in no line, and has taken nothing.

use super::hooks;
use crate::sync::plain::{AtomicBool, Ordering::*};

/// | operation | order   | so that                                                                            |
/// |-----------|---------|------------------------------------------------------------------------------------|
/// | both      | Relaxed | nothing: it says that it is worth asking, and whoever sees it late gives way later |
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether blocking calls ask the hook of [`Hooks::with_yield`](super::Hooks::with_yield) at their beginning: off at first.
///
/// It is for the whole process, and meant to be on for the short time in which some task has run for too long: while it is off, a
/// call pays for it with a load and a branch; while it is on, with a call of the hook.
pub fn ask_to_yield(asked: bool) {
    ASKED.store(asked, Relaxed);
}

/// At the beginning of a call that may wait (Y1, Y2).
#[inline(always)]
pub(crate) fn give_way() {
    if ASKED.load(Relaxed) {
        ask_hook();
    }
}

/// [`give_way`], if what is called may wait.
#[inline(always)]
pub(crate) fn give_way_if<T>(called: &T, may_wait: fn(&T) -> bool) {
    if ASKED.load(Relaxed) {
        ask_hook_if(called, may_wait);
    }
}

#[cold]
#[inline(never)]
fn ask_hook_if<T>(called: &T, may_wait: fn(&T) -> bool) {
    if may_wait(called) {
        ask_hook();
    }
}

#[cold]
#[inline(never)]
fn ask_hook() {
    if let Some(yield_now) = hooks::yield_hook() {
        yield_now();
    }
}
