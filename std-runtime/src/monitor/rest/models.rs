//! The monitor, which goes to rest, against workers that take up tasks.

use super::*;
use crate::{
    runtime::models as runtimes,
    sync::atomic::AtomicBool,
    worker::{Worker, models as workers},
};
use loom::{sync::Arc, thread};

struct World {
    state: State,
    helpers: Helpers,
}

impl World {
    /// With a monitor that watches. Its word is written SeqCst, see there.
    fn new(state: u8) -> Arc<Self> {
        let world = Self { state: State::new(), helpers: Helpers::new() };
        world.state.0.store(state, SeqCst);
        Arc::new(world)
    }

    /// A worker that slept takes up a task. What it has to do for the monitor.
    fn take_up(&self, worker: &Worker) -> Call {
        workers::awake(worker);
        if self.state.is_watching() { Call::Nothing } else { self.state.call(&self.helpers) }
    }

    /// The monitor finds nobody at work. True if it sleeps then.
    fn rest(&self, workers: &[Worker]) -> bool {
        self.state.rest(&self.helpers, || workers.iter().any(|worker| !worker.rests()))
    }

    fn monitor_is_up(&self) -> bool {
        !self.state.is_resting() && self.helpers.asleep() == 0
    }
}

/// The monitor goes to rest while a worker takes up a task: it does not rest while that one is at work. Fails if one of the two says
/// what it does, or looks what the other does, with less than SeqCst: the monitor's state, or the worker's mode.
#[test]
fn monitor_watches_who_is_awake() {
    loom::model(|| {
        let shared = runtimes::shared(1);
        let world = World::new(WATCHING);
        workers::fall_asleep(&shared.workers()[0]);
        let worker = {
            let world = world.clone();
            thread::spawn(move || world.take_up(&shared.workers()[0]))
        };
        let slept = world.rest(shared.workers());
        let call = worker.join().unwrap();
        assert!(world.monitor_is_up(), "it rests, and a worker is awake");
        assert!(call != Call::Start && (!slept || call == Call::Wake));
        // SAFETY: the other thread has ended.
        unsafe { runtimes::free(shared) };
    });
}

/// Two workers take up tasks while the monitor goes to rest: one of them, at most, wakes it; and it counts as asleep no more. Fails if
/// the exchange of `call`, or that of `rest`, is a store.
#[test]
fn monitor_is_woken_once() {
    loom::model(|| {
        let shared = runtimes::shared(2);
        let world = World::new(WATCHING);
        shared.workers().iter().for_each(workers::fall_asleep);
        let threads = [0, 1].map(|i| {
            let world = world.clone();
            thread::spawn(move || world.take_up(&shared.workers()[i]))
        });
        let slept = world.rest(shared.workers());
        let calls = threads.map(|thread| thread.join().unwrap());
        let woken = calls.iter().filter(|call| **call == Call::Wake).count();
        assert!(world.monitor_is_up() && woken <= 1 && (!slept || woken == 1));
        // SAFETY: the other threads have ended.
        unsafe { runtimes::free(shared) };
    });
}

/// A worker that takes up a task when it knows nothing of the monitor yet, which rests already: to wake it, it finds the thread. Fails if
/// the exchange of `call` is Relaxed, or what `rest` stores.
#[test]
fn monitor_is_found_by_who_wakes_it() {
    loom::model(|| {
        let world = Arc::new(World { state: State::new(), helpers: Helpers::new() });
        let thread = Arc::new(AtomicBool::new(false));
        let monitor = {
            let (world, thread) = (world.clone(), thread.clone());
            thread::spawn(move || {
                if world.state.change(ABSENT, WATCHING) {
                    thread.store(true, Relaxed);
                    assert!(world.rest(&[]));
                }
            })
        };
        if !world.state.is_watching() && world.state.call(&world.helpers) == Call::Wake {
            assert!(thread.load(Relaxed), "nobody to wake");
        }
        monitor.join().unwrap();
    });
}

/// The first tasks of two workers: one of them starts the monitor. Fails if the exchange of `call` is a store.
#[test]
fn monitor_is_started_once() {
    loom::model(|| {
        let world = World::new(ABSENT);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.state.call(&world.helpers))
        };
        let calls = [world.state.call(&world.helpers), other.join().unwrap()];
        assert!(calls.contains(&Call::Start) && calls.contains(&Call::Nothing));
    });
}
