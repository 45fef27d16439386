//! The monitor: one thread for the process, which looks at the workers now and then and keeps one task from stopping the others.
//!
//! ```text
//!   WATCHING, every 2.5 ms, for each worker:  not switched for 5 ms?  ask its task to give way (core: `park::ask_to_yield`);
//!                                             its sockets are served for it; new work goes elsewhere, if need be to
//!                                             a spare worker
//! ```
//!
//! * M1, M2  It watches while somebody works, and rests while nobody does: `monitor/rest.rs`.
//! * M3  Nothing of it is on the way of a switch but two plain stores (`worker/watched.rs`).
//! * M4  As many workers as the runtime is to have are to be at work: those that block their threads do not count. So while one is stuck,
//!   and there is work for others, and nobody is idle, a spare worker is engaged for each that blocks. If all are stuck, one is
//!   engaged in any case: for what will come. When there is one too many, a spare one takes up nothing new; and ends, in time.
//!
//! A thread of its own, not a duty of idle workers: there may be none. Not a signal that takes the CPU from a task, as Go's: it
//! would come anywhere, in the middle of a thread-local's borrow, of an allocation, of foreign code.

use crate::{
    deadlock::HELPERS,
    runtime::{Shared, for_each_runtime, for_each_worker},
    sync::protocol_static,
    worker::Worker,
};

#[cfg(any(feature = "log", feature = "tracing"))]
mod blame;
mod rest;

#[cfg(any(feature = "log", feature = "tracing"))]
use self::blame::Blame;
use self::rest::{Call, State};

use greenlight_core::park::{self, Tick, thread::now};
use std::{
    sync::{OnceLock, atomic::Ordering::SeqCst},
    thread::{self, Thread},
    time::Duration,
};

/// How often it looks.
const ROUND: Duration = Duration::from_micros(2_500);
/// A task that has run for so long is to give way. It is found between one and one and a half times that.
const TOO_LONG: Tick = 5_000_000;
/// How many looks in a row find nobody at work before it rests: it is not to be woken at each short sleep of a worker.
const IDLE_ROUNDS: u32 = 8;

protocol_static! {
    static STATE: State = State::new();
}
static THREAD: OnceLock<Thread> = OnceLock::new();

/// A worker takes up a task: somebody has to watch it (M1).
#[inline]
pub(crate) fn watch() {
    if !STATE.is_watching() {
        begin();
    }
}

#[cold]
fn begin() {
    match STATE.call(&HELPERS) {
        Call::Nothing => {}
        Call::Wake => THREAD.get().into_iter().for_each(Thread::unpark),
        Call::Start => {
            if thread::Builder::new().name("greenlight-mon".into()).spawn(main).is_err() {
                STATE.could_not_start(); // the next task will try again
            }
        }
    }
}

fn main() {
    let _ = THREAD.set(thread::current());
    let (mut idle, mut blame) = (0, Blame::default());
    loop {
        thread::sleep(ROUND);
        let at_work = look(now(), &mut blame);
        idle = if at_work { 0 } else { idle + 1 };
        if idle >= IDLE_ROUNDS {
            if STATE.rest(&HELPERS, is_anybody_awake) {
                HELPERS.sleep(None, || STATE.is_resting());
            }
            idle = 0;
        }
    }
}

fn is_anybody_awake() -> bool {
    let mut awake = false;
    for_each_worker(|worker| awake |= !worker.rests());
    awake
}

/// Nobody is told.
#[cfg(not(any(feature = "log", feature = "tracing")))]
#[derive(Default)]
struct Blame {}

#[cfg(not(any(feature = "log", feature = "tracing")))]
impl Blame {
    fn consider(&mut self, _: &Worker, _: Tick, _: bool, _: Tick) {}
}

/// True if somebody is at work.
fn look(now: Tick, blame: &mut Blame) -> bool {
    let (mut at_work, mut stuck) = (false, Vec::new());
    for_each_runtime(|shared| {
        let crew = Crew::of(shared, now);
        crew.engage_as_needed(shared);
        at_work |= crew.at_work;
        stuck.extend(crew.stuck);
    });
    park::ask_to_yield(!stuck.is_empty());
    // Not inside: wakers are foreign code, as is a future that is dropped, and may want the list of runtimes.
    for Stuck { worker, time, computes } in stuck {
        blame.consider(worker, time, computes, now);
        worker.poller.serve_for_its_worker();
    }
    at_work
}

/// A worker that has not switched for too long.
struct Stuck {
    worker: &'static Worker,
    time: Tick,
    computes: bool,
}

/// The workers of one runtime, at one look.
#[derive(Default)]
struct Crew {
    at_work: bool,
    stuck: Vec<Stuck>,
    /// Of them, those whose threads compute.
    computing: usize,
    /// The others, as far as they take up new work.
    open: usize,
    /// Of them, whether one has nothing to do.
    idle: bool,
    /// Whether there is something to do that needs no certain worker.
    work: bool,
    /// The last spare worker that takes up new work, and is not stuck.
    spare: Option<&'static Worker>,
}

impl Crew {
    fn of(shared: &'static Shared, now: Tick) -> Self {
        let mut crew = Self::default();
        for worker in shared.everybody().filter(|worker| !worker.ended.load(SeqCst)) {
            crew.at_work |= !worker.rests();
            crew.work |= worker.has_free_work();
            let watched = &worker.watched;
            if let Some(time) = watched.stands_for(now).filter(|time| *time >= TOO_LONG) {
                let computes = watched.computes(time);
                watched.ask();
                crew.computing += usize::from(computes);
                crew.stuck.push(Stuck { worker, time, computes });
            } else if watched.is_engaged() {
                crew.open += 1;
                crew.idle |= worker.is_idle();
                if watched.is_spare() {
                    crew.spare = Some(worker);
                }
            }
        }
        crew
    }

    /// M4.
    fn engage_as_needed(&self, shared: &'static Shared) {
        let (wanted, have) = (shared.workers().len(), self.open + self.computing);
        if self.idle && !self.stuck.is_empty() && self.work {
            // Put there when nobody was idle, or left to a task that was soon to park.
            shared.everybody().find(|worker| worker.is_open() && worker.is_idle()).inspect(|idle| idle.rouse());
        }
        let all_stuck = !self.stuck.is_empty() && self.open == 0;
        if !self.idle && (all_stuck && have <= wanted || !self.stuck.is_empty() && self.work && have < wanted) {
            let mut disengaged = shared.everybody().filter(|worker| !worker.watched.is_engaged());
            let ready = disengaged.find(|spare| !spare.ended.load(SeqCst) && !spare.watched.is_asked());
            if let Some(spare) = ready.or_else(|| shared.start_spare()) {
                spare.watched.engage(true);
                spare.rouse();
            }
        } else if let Some(spare) = self.spare.filter(|_| have > wanted && self.open > 1) {
            spare.watched.engage(false);
            spare.rouse(); // it may end, after a while
        }
    }
}
