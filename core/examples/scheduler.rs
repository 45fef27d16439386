//! A runtime in one file, on greenlight-core: tasks that run one at a time, in an order drawn from a seed, in virtual time.
//!
//! ```text
//!            pass_on: one of them, drawn by lot
//!   Ready ──────────────────────────────────────▶ Running ──▶ ended, and passes on
//!     ▲ ▲                                           │
//!     │ └─── woken while it ran ────────────────────┤ its blocking call cannot go on, and passes on
//!     └───── a waker, or its deadline ─── Asleep ◀──┘
//! ```
//!
//! A task is an OS thread, and one of them has the baton. A blocking call of the core that has to wait passes it on, so every
//! switch happens in such a call: a program whose tasks share nothing else does the same again for the same seed. When nobody
//! can run, the clock jumps to the earliest deadline: sleeping costs no time. When there is none either, they are stuck.
//!
//! It is a closed world: no thread outside wakes a task. What a runtime has to bring is `wait`, `now` and `random` below.
//!
//! ```text
//! cargo run -p greenlight-core --example scheduler
//! ```

use greenlight_core::{
    Mutex, WaitGroup,
    channel::{RecvTimeoutError, after, bounded},
    park::{self, Hooks, PollFn, Tick, TimedOut, Why},
    select,
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::Location,
    sync::{
        Arc, Condvar, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    task::{Poll, Wake, Waker},
    thread,
    time::Duration,
};

// SAFETY: `wait` returns Ok in the arm of a Ready poll and nowhere else, and Err behind a check of the deadline; the task's
// waker is the same each time. A task is one OS thread from beginning to end, and nothing here unwinds.
static HOOKS: Hooks = unsafe { Hooks::new().with_wait(wait) }.with_clock(now).with_random(random);

/// The core sleeps: here, if the caller is a task.
fn wait(why: &Why, deadline: Option<Tick>, poll: &mut PollFn<'_>) -> Result<(), TimedOut> {
    let Some(me) = ME.get() else {
        return park::thread::wait(deadline, poll, || false);
    };
    let waker = Waker::from(Arc::new(Id(me)));
    loop {
        if poll(&waker).is_ready() {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| now() >= deadline) {
            return Err(TimedOut);
        }
        let mut world = world();
        let woken = matches!(world.tasks.get(&me), Some(State::Running { woken: true }));
        world.tasks.insert(me, if woken { State::Ready } else { State::Asleep { why: *why, deadline } });
        world.pass_on();
        take_baton(world, me);
    }
}

static CLOCK: AtomicU64 = AtomicU64::new(0);

fn now() -> Tick {
    CLOCK.load(SeqCst)
}

static DRAWS: AtomicU32 = AtomicU32::new(0);

fn random() -> u32 {
    let x = DRAWS.fetch_add(0x9E37_79B9, SeqCst);
    let x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

enum State {
    Ready,
    /// It has the baton. A wake-up that comes meanwhile is not to be lost.
    Running {
        woken: bool,
    },
    Asleep {
        why: Why,
        deadline: Option<Tick>,
    },
}

struct World {
    /// Those that have not ended, by number. One at most is `Running`.
    tasks: BTreeMap<usize, State>,
    spawned: usize,
    panicked: bool,
}

static WORLD: StdMutex<World> = StdMutex::new(World { tasks: BTreeMap::new(), spawned: 0, panicked: false });
/// The baton went to another task, or to nobody.
static BATON: Condvar = Condvar::new();

thread_local! {
    static ME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Never held while the core is called, whose wakers and clock come here.
fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn pass_on(&mut self) {
        if !self.tasks.values().any(|state| matches!(state, State::Ready)) {
            self.let_time_pass();
        }
        let ready: Vec<usize> =
            self.tasks.iter().filter(|(_, state)| matches!(state, State::Ready)).map(|(id, _)| *id).collect();
        if !ready.is_empty() {
            let next = ready[random() as usize % ready.len()];
            self.tasks.insert(next, State::Running { woken: false });
        }
        BATON.notify_all();
    }

    /// To the first deadline, if there is one.
    fn let_time_pass(&mut self) {
        let deadline_of = |state: &State| if let State::Asleep { deadline, .. } = state { *deadline } else { None };
        let Some(first) = self.tasks.values().filter_map(deadline_of).min() else { return };
        CLOCK.fetch_max(first, SeqCst);
        for state in self.tasks.values_mut().filter(|state| deadline_of(state) == Some(first)) {
            *state = State::Ready;
        }
    }
}

fn take_baton(world: MutexGuard<'_, World>, me: usize) {
    let not_mine = |world: &mut World| !matches!(world.tasks.get(&me), Some(State::Running { .. }));
    drop(BATON.wait_while(world, not_mine).unwrap_or_else(PoisonError::into_inner));
}

/// The waker of a task. It may come late: then it finds the task awake, or gone.
struct Id(usize);

impl Wake for Id {
    fn wake(self: Arc<Self>) {
        match world().tasks.get_mut(&self.0) {
            Some(State::Running { woken }) => *woken = true,
            Some(state @ State::Asleep { .. }) => *state = State::Ready,
            Some(State::Ready) | None => {}
        }
    }
}

/// Starts a task.
fn spawn(task: impl FnOnce() + Send + 'static) {
    struct Ends(usize);
    impl Drop for Ends {
        fn drop(&mut self) {
            ME.set(None); // what its thread-locals still do, they do as any thread
            let mut world = world();
            world.tasks.remove(&self.0);
            world.panicked |= thread::panicking();
            world.pass_on();
        }
    }

    let mut world = world();
    let id = world.spawned;
    world.spawned += 1;
    world.tasks.insert(id, State::Ready);
    thread::spawn(move || {
        ME.set(Some(id));
        take_baton(self::world(), id);
        let _ends = Ends(id);
        task();
    });
}

/// Lets others run: a wait that is over as soon as it is asked again.
#[track_caller]
fn yield_now() {
    let why = Why { what: "yield", object: 0, site: Location::caller() };
    let mut asked = false;
    let _ = park::wait(&why, None, &mut |waker| {
        waker.wake_by_ref();
        if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }
    });
}

/// Runs `main` and the tasks that it starts until all have ended, or are stuck: then it says what each of them waits for.
/// One run at a time.
fn run(seed: u32, main: impl FnOnce() + Send + 'static) -> Result<(), Vec<String>> {
    park::install(&HOOKS).expect("the only runtime of this process");
    DRAWS.store(seed, SeqCst);
    spawn(main);
    let mut world = world();
    world.pass_on();
    let busy = |world: &mut World| world.tasks.values().any(|state| matches!(state, State::Running { .. }));
    let mut world = BATON.wait_while(world, busy).unwrap_or_else(PoisonError::into_inner);
    let stuck: Vec<String> = std::mem::take(&mut world.tasks)
        .into_iter()
        .filter_map(|(id, state)| {
            if let State::Asleep { why, .. } = state { Some(format!("task {id} waits to {why}")) } else { None }
        })
        .collect();
    assert!(!std::mem::take(&mut world.panicked), "a task panicked");
    if stuck.is_empty() { Ok(()) } else { Err(stuck) }
}

/// Three workers share the orders of one shop; who gets which is the scheduler's choice.
fn shop(seed: u32) -> Vec<(char, u32)> {
    let done = Arc::new(Mutex::new(Vec::new()));
    let log = done.clone();
    run(seed, move || {
        let (orders, work) = bounded(1);
        let group = Arc::new(WaitGroup::new());
        for worker in ['a', 'b', 'c'] {
            let (work, log, group) = (work.clone(), log.clone(), group.clone());
            group.add(1);
            spawn(move || {
                for order in &work {
                    yield_now(); // … work …
                    log.lock().push((worker, order));
                }
                group.done();
            });
        }
        (0..12).for_each(|order| orders.send(order).unwrap());
        drop(orders);
        group.wait();
    })
    .unwrap();
    std::mem::take(&mut *done.lock())
}

#[cfg_attr(test, test)]
fn main() {
    let first = shop(1);
    println!("seed 1: {first:?}");
    assert_eq!(first.len(), 12);
    assert!((0..3).all(|_| shop(1) == first), "the same again");
    assert!((2..20).any(|seed| shop(seed) != first), "another seed, another order");

    run(1, || {
        let begin = now();
        let (_tx, rx) = bounded::<()>(1);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(rx.recv_timeout(365 * day), Err(RecvTimeoutError::Timeout));
        select! {
            recv(rx) -> _ => unreachable!(),
            recv(after(day)) -> _ => {}
        }
        println!("{} days later", (now() - begin) / day.as_nanos() as u64);
        assert_eq!(u128::from(now() - begin), 366 * day.as_nanos());
    })
    .unwrap();

    let stuck = run(1, || {
        let ((tx_a, a), (tx_b, b)) = (bounded::<u8>(0), bounded(0));
        spawn(move || tx_a.send(b.recv().unwrap()).unwrap());
        spawn(move || tx_b.send(a.recv().unwrap()).unwrap());
    });
    let stuck = stuck.expect_err("each waits for the other");
    println!("stuck:\n  {}", stuck.join("\n  "));
    assert_eq!(stuck.len(), 2);
    assert!(stuck.iter().all(|task| task.contains("receive from a channel") && task.contains("scheduler.rs")));
}
