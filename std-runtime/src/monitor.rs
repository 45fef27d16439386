//! The monitor: one thread for the process, which looks at the workers now and then and keeps one task from stopping the others.
//!
//! ```text
//!            watch: the first task                 all workers asleep for a while
//!   ABSENT ──────────────────────▶ WATCHING ─────────────────────────────────────▶ RESTING
//!                                     ▲                                              │
//!                                     └──────── watch: a worker takes up a task ─────┘
//!
//!   WATCHING, every 2.5 ms, for each worker:  not switched for 5 ms?  ask its task to give way (core: `park::ask_to_yield`)
//! ```
//!
//! * M1  A worker that runs a task is watched. Resting: say so (RESTING), then look whether all workers sleep, then sleep. Taking up a
//!   task after a sleep: be awake, then look whether the monitor rests. One of the two sees the other. (A task that is
//!   taken up without a sleep in between finds the monitor watching: it does not rest while a worker is awake.)
//! * M2  While it rests it counts as one that sleeps and has nothing to do (`deadlock.rs`): whoever ends the rest says so first. While
//!   it does not, no deadlock is claimed.
//! * M3  Nothing of it is on the way of a switch but two plain stores (`worker/watched.rs`).
//!
//! A thread of its own, not a duty of idle workers: there may be none. Not a signal that takes the CPU from a task, as Go's: it
//! would come anywhere, in the middle of a thread-local's borrow, of an allocation, of foreign code.

use crate::{deadlock::HELPERS, runtime::for_each_worker, worker::Worker};
use greenlight_core::park::{self, Tick, thread::now};
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering::*},
    },
    thread::{self, Thread},
    time::Duration,
};

/// How often it looks.
const ROUND: Duration = Duration::from_micros(2_500);
/// A task that has run for so long is to give way. It is found between one and one and a half times that.
const TOO_LONG: Tick = 5_000_000;
/// How many looks in a row find nobody at work before it rests: it is not to be woken at each short sleep of a worker.
const IDLE_ROUNDS: u32 = 8;

const ABSENT: u8 = 0;
const WATCHING: u8 = 1;
const RESTING: u8 = 2;

/// SeqCst throughout: M1, with the workers' modes.
static STATE: AtomicU8 = AtomicU8::new(ABSENT);
static THREAD: OnceLock<Thread> = OnceLock::new();

/// A worker takes up a task: somebody has to watch it (M1).
#[inline]
pub(crate) fn watch() {
    if STATE.load(SeqCst) != WATCHING {
        begin();
    }
}

#[cold]
fn begin() {
    if STATE.compare_exchange(RESTING, WATCHING, SeqCst, SeqCst).is_ok() {
        HELPERS.is_woken(); // M2
        if let Some(thread) = THREAD.get() {
            thread.unpark();
        }
    } else if STATE.compare_exchange(ABSENT, WATCHING, SeqCst, SeqCst).is_ok()
        && thread::Builder::new().name("greenlight-mon".into()).spawn(main).is_err()
    {
        STATE.store(ABSENT, SeqCst); // the next task will try again
    }
}

fn main() {
    let _ = THREAD.set(thread::current());
    let mut idle = 0;
    loop {
        thread::sleep(ROUND);
        let at_work = look(now());
        idle = if at_work { 0 } else { idle + 1 };
        if idle >= IDLE_ROUNDS {
            rest();
            idle = 0;
        }
    }
}

/// M1, M2.
fn rest() {
    // Counted a moment too early: but then either a worker is awake, or everybody sleeps indeed.
    HELPERS.falls_asleep();
    STATE.store(RESTING, SeqCst);
    if is_anybody_awake() {
        if STATE.compare_exchange(RESTING, WATCHING, SeqCst, SeqCst).is_ok() {
            HELPERS.rises();
        }
        return;
    }
    HELPERS.sleep(None, || STATE.load(SeqCst) == RESTING);
}

fn is_anybody_awake() -> bool {
    let mut awake = false;
    for_each_worker(|worker| awake |= !worker.rests());
    awake
}

/// True if somebody is at work.
fn look(now: Tick) -> bool {
    let (mut at_work, mut asks) = (false, false);
    for_each_worker(|worker| {
        at_work |= !worker.rests();
        if stands_too_long(worker, now) {
            worker.watched.ask();
            asks = true;
        }
    });
    park::ask_to_yield(asks);
    at_work
}

fn stands_too_long(worker: &Worker, now: Tick) -> bool {
    worker.watched.stands_since(now).is_some_and(|time| time >= TOO_LONG)
}
