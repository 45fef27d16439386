//! What the tasks of a soak do: each act uses one part of the crate, by lot, alone or with others of its round.
//!
//! Any of them may be cancelled at any wait, so none relies on a partner to come: it waits with a limit, or on a channel that
//! closes when the partner is gone.

use crate::Dice;
use greenlight::{
    Barrier, Condvar, JoinHandle, Lazy, Mutex, Notify, Once, OnceCell, Runtime, RwLock, Semaphore, WaitGroup, Watch,
    block_on, blocking,
    channel::{
        Receiver, RecvTimeoutError, Select, Sender, StaticChannel, after, bounded, bounded_strict, broadcast, oneshot,
        tick, unbounded, watch,
    },
    context::Context,
    fs, go, go_async, go_near,
    group::{Group, Pool, SingleFlight, parallel_for, parallel_map},
    scope, select, sleep,
    task::{Builder, check_cancelled, shield},
    task_local,
    time::{Ticker, Timer, after_func, sleep_async, timeout},
    yield_now,
};
use std::{
    cell::{Cell, RefCell},
    future::{poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicIsize, AtomicU64, Ordering::*},
    },
    task::Poll,
    thread,
    time::Duration,
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

fn shared_channels(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(30) {
        let (tx, rx) = world.channel(dice);
        match dice.roll(6) {
            0 => drop(tx.try_send(Value::new())),
            1 => drop(rx.try_recv()),
            2 => drop(tx.send_timeout(Value::new(), dice.moment())),
            3 => drop(rx.recv_timeout(dice.moment()).inspect(Value::look)),
            4 => drop(rx.drain().next()),
            _ => drop(block_on(timeout(dice.moment(), rx.recv_async()))),
        }
    }
}

fn fixed_channel(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        match dice.roll(3) {
            0 => drop(world.fixed.sender().send_timeout(Value::new(), dice.moment())),
            1 => drop(world.fixed.receiver().recv_timeout(dice.moment()).inspect(Value::look)),
            _ => drop(world.fixed.receiver().try_recv()),
        }
    }
}

/// Producers, a stage, a consumer; any of them may be cancelled, and all of it ends.
fn pipeline(dice: &mut Dice, _: &Arc<World>) {
    let make = |dice: &mut Dice| -> Ends {
        match dice.roll(4) {
            0 => bounded(0),
            1 => bounded(1 + dice.roll(8) as usize),
            2 => bounded_strict(1 + dice.roll(8) as usize),
            _ => unbounded(),
        }
    };
    let ((tx, rx), (out, done)) = (make(dice), make(dice));
    let count = dice.roll(50);
    let mut tasks: Vec<_> = (0..1 + dice.roll(4))
        .map(|_| {
            let tx = tx.clone();
            go(move || (0..count).take_while(|_| tx.send(Value::new()).is_ok()).count())
        })
        .collect();
    tasks.extend((0..1 + dice.roll(3)).map(|_| {
        let (rx, out) = (rx.clone(), out.clone());
        go(move || rx.iter().take_while(|value| out.send(value.clone()).is_ok()).count())
    }));
    drop((tx, rx, out));
    if dice.one_in(3) {
        tasks[dice.roll(tasks.len() as u64) as usize].cancel();
    }
    if dice.one_in(5) {
        drop(done);
    } else {
        done.iter().for_each(|value| value.look());
    }
    tasks.into_iter().for_each(|task| _ = task.join());
}

fn selects(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        let ((tx, _), (_, rx), (_, other)) = (world.channel(dice), world.channel(dice), world.channel(dice));
        let limit = dice.moment();
        if dice.one_in(2) {
            select! {
                send(tx, Value::new()) -> sent => drop(sent),
                recv(rx) -> value => drop(value),
                recv(other) -> value => drop(value),
                default(limit) => {}
            }
        } else {
            let mut watcher = world.level.subscribe();
            select! {
                recv(rx) -> value => drop(value),
                wait(watcher.changed_async()) -> () => {},
                wait(world.permits.acquire_async(1)) -> permit => drop(permit),
                recv(after(limit)) -> _ => {},
            }
        }
    }
}

fn dynamic_select(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(10) {
        let mut list = Select::new();
        let receivers: Vec<_> = (0..1 + dice.roll(4)).map(|_| &world.channel(dice).1).collect();
        receivers.iter().for_each(|rx| _ = list.recv(rx));
        if dice.one_in(2) {
            if let Ok(chosen) = list.select_timeout(dice.moment()) {
                let index = chosen.index();
                drop(chosen.recv(receivers[index]));
            }
        } else if let Ok(index) = list.ready_timeout(dice.moment()) {
            drop(receivers[index].try_recv());
        }
    }
}

fn one_value(dice: &mut Dice, _: &Arc<World>) {
    let (tx, mut rx) = oneshot::channel();
    let sends = !dice.one_in(4);
    let pause = dice.moment();
    let task = go(move || {
        sleep(pause);
        if sends {
            drop(tx.send(Value::new()));
        }
    });
    if dice.one_in(4) {
        task.cancel();
    }
    drop(rx.recv_timeout(dice.moment()));
    if dice.one_in(2) {
        drop(rx.recv());
    }
}

fn latest_value(dice: &mut Dice, world: &Arc<World>) {
    let (tx, rx) = watch::channel(Value::new());
    let watchers: Vec<_> = (0..dice.roll(4))
        .map(|_| {
            let mut rx = rx.clone();
            go(move || {
                while rx.changed().is_ok() {
                    rx.with(Value::look);
                }
            })
        })
        .collect();
    for _ in 0..dice.roll(10) {
        drop(tx.send(Value::new()));
        world.level.send_modify(|level| *level += 1);
        yield_now();
    }
    drop(tx);
    watchers.into_iter().for_each(|task| _ = task.join()); // cancelled, if all are
    let _ = world.level.subscribe().changed_timeout(dice.moment());
}

fn all_values(dice: &mut Dice, world: &Arc<World>) {
    let mut listener = world.news.subscribe();
    for _ in 0..dice.roll(10) {
        match dice.roll(3) {
            0 => drop(world.news.send(Value::new())),
            1 => drop(listener.recv_timeout(dice.moment())),
            _ => drop(listener.try_recv()),
        }
    }
}

fn locks(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        let pause = dice.one_in(4);
        let step = |[one, other]: &mut [u64; 2]| {
            *one += 1;
            // A task that is cancelled here would break the pair; what is not to be torn is shielded.
            if pause {
                shield(yield_now);
            }
            *other += 1;
        };
        match dice.roll(8) {
            0 => step(&mut world.lock.lock()),
            1 => drop(world.lock.try_lock().map(|mut guard| step(&mut guard))),
            2 => drop(world.lock.lock_timeout(dice.moment()).map(|mut guard| step(&mut guard))),
            3 => step(&mut block_on(world.lock.lock_async())),
            4 => step(&mut world.rw_lock.write()),
            5 => drop(world.rw_lock.write_timeout(dice.moment()).map(|mut guard| step(&mut guard))),
            6 => {
                let guard = world.rw_lock.read();
                yield_now();
                assert_eq!(guard[0], guard[1]);
            }
            _ => drop(world.rw_lock.read_timeout(dice.moment()).map(|guard| assert_eq!(guard[0], guard[1]))),
        }
    }
}

fn permits(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(20) {
        let count = 1 + dice.roll(3) as usize;
        match dice.roll(4) {
            0 => drop(world.permits.try_acquire(count)),
            1 => drop(world.permits.acquire_timeout(count, dice.moment()).inspect(|_| yield_now())),
            2 => drop(block_on(timeout(dice.moment(), world.permits.acquire_async(count)))),
            _ => {
                let _permit = world.permits.acquire(count).expect("nobody closes it");
                sleep(dice.moment() / 8);
            }
        }
    }
}

fn condition(dice: &mut Dice, world: &Arc<World>) {
    let (number, changed) = &world.changed;
    for _ in 0..dice.roll(10) {
        if dice.one_in(2) {
            *number.lock() += 1;
            if dice.one_in(2) { changed.notify_one() } else { changed.notify_all() }
        } else {
            let guard = number.lock();
            drop(changed.wait_timeout(guard, dice.moment()));
        }
    }
}

fn barrier(dice: &mut Dice, _: &Arc<World>) {
    let parties = 1 + dice.roll(5) as usize;
    let barrier = Barrier::new(parties);
    let give_up = dice.one_in(4);
    let rounds = dice.roll(4);
    scope(|s| {
        for _ in 0..parties {
            let limit = if give_up { dice.moment() } else { Duration::from_secs(30) };
            let barrier = &barrier;
            s.spawn(move || (0..rounds).all(|_| barrier.wait_timeout(limit).is_ok()));
        }
    });
    if !give_up {
        assert_eq!(barrier.try_wait().is_some(), parties == 1, "no round is under way");
    }
}

fn once(dice: &mut Dice, world: &Arc<World>) {
    let pause = dice.moment();
    world.once.get_or_init(|| {
        sleep(pause);
        Value::new()
    });
    let (once, lazy) = (Once::new(), Lazy::new(Value::new));
    let fails = dice.one_in(3);
    scope(|s| {
        for i in 0..dice.roll(4) {
            let (once, lazy) = (&once, &lazy);
            s.spawn(move || {
                let first = catch_unwind(AssertUnwindSafe(|| {
                    once.call_once(|| if fails && i == 0 { planned() } else { yield_now() });
                }));
                Lazy::force(lazy).look();
                drop(first);
                check_cancelled();
            });
        }
    });
}

fn notice(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(10) {
        match dice.roll(3) {
            0 => world.notify.notify_one(),
            1 => world.notify.notify_waiters(),
            _ => _ = world.notify.wait_timeout(dice.moment()),
        }
    }
}

fn scopes(dice: &mut Dice, world: &Arc<World>) {
    fn tree(dice: &mut Dice, depth: u64, seen: &AtomicU64) {
        let fate = dice.roll(12);
        let children: Vec<_> = (0..dice.roll(4)).map(|_| dice.fork()).collect();
        scope(|s| {
            for mut dice in children {
                s.spawn(move || {
                    seen.fetch_add(1, Relaxed);
                    sleep(dice.moment() / 4);
                    if depth > 0 {
                        tree(&mut dice, depth - 1, seen);
                    }
                });
            }
            match fate {
                0 => planned(),
                1 => s.cancel(),
                2 => drop(s.spawn(|| planned())),
                _ => {}
            }
        });
    }
    let seen = AtomicU64::new(0);
    let held = world.rw_lock.try_read_recursive();
    let ended = catch_unwind(AssertUnwindSafe(|| tree(dice, 2, &seen)));
    drop(held);
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

fn panics(dice: &mut Dice, _: &Arc<World>) {
    struct DropsLate(Duration, Value);
    impl Drop for DropsLate {
        fn drop(&mut self) {
            // While it unwinds, this blocks the worker.
            sleep(self.0);
            self.1.look();
        }
    }
    let tasks: Vec<_> = (0..dice.roll(6))
        .map(|_| {
            let (pause, late) = (dice.moment(), DropsLate(dice.moment() / 8, Value::new()));
            go(move || {
                let _late = late;
                sleep(pause);
                planned()
            })
        })
        .collect();
    for task in tasks {
        if dice.one_in(3) {
            task.cancel();
        }
        if dice.one_in(2) {
            let task: Result<(), _> = task.join();
            assert!(task.is_err());
        }
    }
    if dice.one_in(2) {
        planned();
    }
}

task_local! {
    static MINE: RefCell<Vec<Value>> = RefCell::default();
}

fn names_and_locals(dice: &mut Dice, _: &Arc<World>) {
    thread_local!(static HERE: Rc<Cell<u64>> = Rc::default());
    for _ in 0..dice.roll(5) {
        let turns = dice.roll(5) as usize;
        let task = Builder::new().name("an act's").spawn(move || {
            let here = HERE.with(Rc::clone);
            for _ in 0..turns {
                MINE.with(|mine| {
                    let mut mine = mine.borrow_mut();
                    yield_now();
                    mine.push(Value::new());
                });
                here.set(here.get() + 1);
                assert!(HERE.with(|there| Rc::ptr_eq(there, &here)));
            }
            MINE.with(|mine| mine.borrow().len())
        });
        assert_eq!(task.name(), Some("an act's"));
        assert!(task.join().map_or_else(|error| error.is_cancelled(), |len| len == turns));
    }
}

fn timers(dice: &mut Dice, _: &Arc<World>) {
    let timer = Timer::new(dice.moment());
    for _ in 0..dice.roll(8) {
        match dice.roll(4) {
            0 => _ = timer.reset(dice.moment()),
            1 => _ = timer.stop(),
            2 => _ = timer.wait_timeout(dice.moment()),
            _ => sleep(dice.moment()),
        }
    }
}

fn delayed_calls(dice: &mut Dice, _: &Arc<World>) {
    for _ in 0..dice.roll(8) {
        let value = Value::new();
        let call = after_func(dice.moment(), move || value.look());
        match dice.roll(4) {
            0 => call.detach(),
            1 => _ = call.stop(),
            2 => _ = call.reset(dice.moment()),
            _ => sleep(dice.moment()),
        }
    }
}

fn ticks(dice: &mut Dice, _: &Arc<World>) {
    let period = Duration::from_micros(50) + dice.moment();
    let ticker = Ticker::new(period);
    let ticks = tick(period);
    for _ in 0..dice.roll(5) {
        if dice.one_in(2) {
            ticker.wait();
        } else {
            ticks.recv().expect("it never ends");
        }
    }
}

fn contexts(dice: &mut Dice, _: &Arc<World>) {
    let (root, cancel) = Context::background().with_timeout(Duration::from_millis(1) + dice.moment());
    let tasks: Vec<_> = (0..dice.roll(8))
        .map(|_| {
            let (child, own) = root.with_value(Value::new()).with_timeout(dice.moment() * 4);
            let value = Value::new();
            let last = child.after_func(move || drop(value));
            last.detach();
            let waits = dice.one_in(2);
            go(move || {
                child.value::<Value>().expect("it was given").look();
                if waits {
                    child.wait();
                }
                drop(own);
            })
        })
        .collect();
    if dice.one_in(2) {
        cancel.cancel();
    }
    root.wait();
    tasks.into_iter().for_each(|task| _ = task.join());
}

fn groups(dice: &mut Dice, _: &Arc<World>) {
    let group = Group::<greenlight::group::FirstError<u64>>::new(&Context::background());
    if dice.one_in(2) {
        group.set_limit(1 + dice.roll(3) as usize);
    }
    for i in 0..dice.roll(8) {
        let (fate, pause, ctx) = (dice.roll(12), dice.moment(), group.context().clone());
        group.go(move || match fate {
            0 => Err(i),
            1 => planned(),
            2 => ctx.wait_timeout(pause).map(drop).map_err(|_| i),
            _ => {
                sleep(pause);
                Ok(())
            }
        });
    }
    let _ = group.wait();
}

fn pools(dice: &mut Dice, _: &Arc<World>) {
    let pool = Pool::new(1 + dice.roll(3) as usize, dice.roll(3) as usize);
    let jobs: Vec<_> = (0..dice.roll(10))
        .map(|_| {
            let (value, fails) = (Value::new(), dice.one_in(8));
            pool.submit(move || if fails { planned() } else { value })
        })
        .collect();
    if dice.one_in(2) {
        jobs.into_iter().for_each(|job| drop(job.join()));
    }
    if dice.one_in(2) {
        pool.shutdown();
    }
}

fn parallel(dice: &mut Dice, _: &Arc<World>) {
    let values: Vec<_> = (0..dice.roll(30)).map(|_| Value::new()).collect();
    parallel_for(&values, |value| {
        yield_now();
        value.look();
    });
    let copies = parallel_map(&values, Value::clone);
    assert_eq!(copies.len(), values.len());
}

fn flights(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(6) {
        let (key, pause) = (dice.roll(3), dice.moment());
        if dice.one_in(2) {
            // Started on a task of its own: nobody is a leader who may be cancelled.
            let flight = world.flights.start(key, move || {
                shield(|| sleep(pause));
                key
            });
            drop(flight);
        } else {
            world.flights.forget(&key);
        }
    }
}

fn blocking_calls(dice: &mut Dice, _: &Arc<World>) {
    for _ in 0..dice.roll(3) {
        let (value, pause) = (Value::new(), dice.moment());
        let mut call = blocking(move || {
            thread::sleep(pause);
            value
        });
        match dice.roll(4) {
            0 => drop(call.cancel()),
            1 => drop(call.join_timeout(dice.moment())),
            2 => drop(fs::read("/proc/self/comm").expect("Linux")),
            _ => drop(call.join().expect("it does not panic")),
        }
    }
}

fn os_threads(dice: &mut Dice, world: &Arc<World>) {
    let ((tx, rx), (back, results)) = (bounded::<Value>(0), bounded::<Value>(1));
    let world = world.clone();
    let thread = thread::Builder::new().name("round-foreign".into()).spawn(move || {
        for value in rx {
            world.level.send_modify(|level| *level += 1);
            if back.send(value).is_err() {
                break;
            }
        }
    });
    for _ in 0..dice.roll(6) {
        if tx.send_timeout(Value::new(), Duration::from_secs(30)).is_err() {
            break;
        }
        results.recv().expect("it comes back").look();
    }
    drop((tx, results));
    // Not joined, which would block the worker; the round waits for the thread.
    drop(thread.expect("a thread starts"));
}

async fn step() {
    let mut first = true;
    poll_fn(|asked| {
        if std::mem::take(&mut first) {
            asked.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

fn futures(dice: &mut Dice, world: &Arc<World>) {
    let (tx, rx) = bounded::<Value>(dice.roll(3) as usize);
    let mut tasks: Vec<_> = (0..dice.roll(4))
        .map(|_| {
            let (tx, count, world) = (tx.clone(), dice.roll(10), world.clone());
            go_async(async move {
                for _ in 0..count {
                    step().await;
                    if tx.send_async(Value::new()).await.is_err() {
                        return;
                    }
                    drop(world.permits.acquire_async(1).await);
                }
            })
        })
        .collect();
    drop(tx);
    let (limit, fails) = (dice.moment() * 8, dice.one_in(6));
    tasks.push(go_async(async move {
        while let Ok(Ok(value)) = timeout(limit, rx.recv_async()).await {
            value.look();
            sleep_async(limit / 64).await;
        }
        if fails {
            planned();
        }
    }));
    if dice.one_in(3) {
        tasks[dice.roll(tasks.len() as u64) as usize].cancel();
    }
    for task in tasks {
        match dice.roll(3) {
            0 => drop(task.join()),
            1 => drop(block_on(task)),
            _ => drop(task),
        }
    }
}

/// Blocking calls inside polls.
fn blocked_futures(dice: &mut Dice, _: &Arc<World>) {
    let (tx, rx) = bounded::<Value>(1);
    let tasks: Vec<_> = (0..1 + dice.roll(5))
        .map(|_| {
            let (rx, pause) = (rx.clone(), dice.moment());
            go_async(async move {
                sleep(pause);
                ready(()).await;
                rx.recv().is_ok()
            })
        })
        .collect();
    if dice.one_in(3) {
        tasks[0].cancel();
    }
    drop(rx);
    for _ in 0..tasks.len() {
        if tx.send(Value::new()).is_err() {
            break;
        }
    }
    drop(tx);
    tasks.into_iter().for_each(|task| drop(task.join()));
}

/// Cancels the future that it belongs to, also if the act is cancelled itself.
struct CancelOnDrop(JoinHandle<()>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn cancelled_futures(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(6) {
        let world = world.clone();
        let kind = dice.roll(4);
        let value = Value::new();
        let task = CancelOnDrop(go_async(async move {
            match kind {
                0 => drop(world.channels[0].1.recv_async().await),
                1 => drop(world.lock.lock_async().await),
                2 => world.notify.notified().await,
                _ => sleep_async(Duration::from_secs(3600)).await,
            }
            value.look();
        }));
        if dice.one_in(2) {
            yield_now();
        }
        task.0.cancel();
        if dice.one_in(2) {
            let mut task = task;
            drop(block_on(&mut task.0));
        }
    }
}

/// A runtime inside, for a while.
fn runtimes(dice: &mut Dice, _: &Arc<World>) {
    if !dice.one_in(50) {
        return; // each costs a thread, and a little memory for ever
    }
    let runtime = Runtime::builder().workers(1).name("round-inner").build().expect("it starts");
    let (tx, rx) = bounded::<Value>(0);
    let inside: Vec<_> = (0..dice.roll(5))
        .map(|_| {
            let rx = rx.clone();
            runtime.go(move || rx.recv().is_ok())
        })
        .collect();
    let _ = tx.send_timeout(Value::new(), dice.moment());
    if dice.one_in(2) {
        let report = shield(|| runtime.shutdown(Duration::from_secs(50)));
        assert!(report.left().is_empty(), "{:?}", report.left());
    }
    drop((tx, rx));
    inside.into_iter().for_each(|task| drop(task.join()));
}

fn bursts(dice: &mut Dice, _: &Arc<World>) {
    let group = WaitGroup::new();
    for _ in 0..dice.roll(20) {
        let (value, near) = (Value::new(), dice.one_in(4));
        let token = group.token();
        let call = move || {
            let _token = token;
            yield_now();
            value.look();
        };
        drop(if near { go_near(call) } else { go(call) });
    }
    group.wait();
}

fn shields(dice: &mut Dice, world: &Arc<World>) {
    for _ in 0..dice.roll(5) {
        shield(|| {
            sleep(dice.moment() / 4);
            let received = world.channel(dice).1.recv_timeout(dice.moment());
            assert!(!matches!(received, Err(RecvTimeoutError::Disconnected)));
        });
        check_cancelled();
    }
    static ALWAYS: LazyLock<Mutex<u64>> = LazyLock::new(Mutex::default);
    *ALWAYS.lock() += 1;
}
