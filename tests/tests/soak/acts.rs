//! What the tasks of a soak do: each act uses one part of the crate, by lot, alone or with others of its round.
//!
//! Any of them may be cancelled at any wait, so none relies on a partner to come: it waits with a limit, or on a channel that
//! closes when the partner is gone.

mod channels;
mod foreign;
mod locks;
mod structure;
mod times;

pub use foreign::inner_runtimes;

use self::{channels::*, foreign::*, locks::*, structure::*, times::*};
use crate::Dice;
use greenlight::{
    Condvar, Mutex, Notify, OnceCell, RwLock, Semaphore, Watch,
    channel::{Receiver, Sender, StaticChannel, bounded, bounded_strict, broadcast, unbounded},
    group::SingleFlight,
};
use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicIsize, AtomicU64, Ordering::*},
    },
};

/// What a planned panic carries.
pub struct Planned(#[allow(dead_code)] Value);

/// Panics without a word.
fn planned() -> ! {
    resume_unwind(Box::new(Planned(Value::new())))
}

/// One of those that must all be dropped in the end.
pub struct Value(Box<u64>);

static LIVE: AtomicIsize = AtomicIsize::new(0);

impl Value {
    fn new() -> Self {
        LIVE.fetch_add(1, SeqCst);
        Self(Box::new(0x600d))
    }

    fn look(&self) {
        assert_eq!(*self.0, 0x600d);
    }
}

/// How many values there are.
pub fn live() -> isize {
    LIVE.load(SeqCst)
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.look();
        Self::new()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.look();
        *self.0 = 0xdead;
        LIVE.fetch_sub(1, SeqCst);
    }
}

type Ends = (Sender<Value>, Receiver<Value>);

/// What the acts of one round share.
pub struct World {
    channels: Vec<Ends>,
    fixed: StaticChannel<Value, 3>,
    lock: Mutex<[u64; 2]>,
    rw_lock: RwLock<[u64; 2]>,
    permits: Semaphore,
    changed: (Mutex<u64>, Condvar),
    notify: Notify,
    level: Watch<u64>,
    news: broadcast::Sender<Value>,
    once: OnceCell<Value>,
    flights: SingleFlight<u64, u64>,
}

impl World {
    pub fn new() -> Self {
        let channels = vec![bounded(0), bounded(1), bounded(7), bounded_strict(2), unbounded()];
        Self {
            channels,
            fixed: StaticChannel::new(),
            lock: Mutex::new([0; 2]),
            rw_lock: RwLock::new([0; 2]),
            permits: Semaphore::new(3),
            changed: (Mutex::new(0), Condvar::new()),
            notify: Notify::new(),
            level: Watch::new(0),
            news: broadcast::channel(4).0,
            once: OnceCell::new(),
            flights: SingleFlight::new(),
        }
    }

    /// Everybody is gone.
    pub fn end(self: Arc<Self>) {
        let world = Arc::into_inner(self).expect("everybody is gone");
        assert_eq!(world.permits.available_permits(), 3, "permits are conserved");
        let [one, other] = world.lock.into_inner();
        assert_eq!(one, other, "the lock excludes");
        let [one, other] = world.rw_lock.into_inner();
        assert_eq!(one, other, "the lock excludes");
    }

    fn channel(&self, dice: &mut Dice) -> &Ends {
        &self.channels[dice.roll(self.channels.len() as u64) as usize]
    }
}

/// One act: its name, what it does, how many are at it now, how many there were.
pub struct Act {
    pub name: &'static str,
    act: fn(&mut Dice, &Arc<World>),
    running: AtomicU64,
    begun: AtomicU64,
}

macro_rules! acts {
    ($($name:ident)+) => {
        pub static ACTS: [Act; [$(stringify!($name)),+].len()] = [$(Act {
            name: stringify!($name),
            act: $name,
            running: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        }),+];
    };
}

acts! {
    shared_channels fixed_channel pipeline selects dynamic_select one_value latest_value all_values
    locks permits condition barrier once notice scopes panics names_and_locals
    timers delayed_calls ticks contexts groups pools parallel flights
    blocking_calls os_threads futures blocked_futures cancelled_futures runtimes bursts shields
}

pub fn run(act: &'static Act, dice: &mut Dice, world: &Arc<World>) {
    struct Leave(&'static Act);
    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.running.fetch_sub(1, Relaxed);
        }
    }
    act.running.fetch_add(1, Relaxed);
    act.begun.fetch_add(1, Relaxed);
    let _leave = Leave(act);
    (act.act)(dice, world);
}

pub fn done() -> u64 {
    ACTS.iter().map(|act| act.begun.load(Relaxed)).sum()
}

pub fn table() -> Vec<(&'static str, u64)> {
    ACTS.iter().map(|act| (act.name, act.begun.load(Relaxed))).collect()
}

pub fn running() -> Vec<(&'static str, u64)> {
    let all = ACTS.iter().map(|act| (act.name, act.running.load(Relaxed)));
    all.filter(|(_, running)| *running > 0).collect()
}
