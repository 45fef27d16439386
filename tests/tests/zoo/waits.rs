//! Every call of the crate's that waits: the name of the wait, and a round of it with everything held.
//!
//! Who ends a wait is, in turn, another task of the same worker, which cannot act before the waiter is parked; a task of any
//! worker; and a plain OS thread.

use crate::held::across;
use greenlight::{
    Barrier, Condvar, Lazy, Mutex, Notify, Once, OnceCell, Runtime, RwLock, Semaphore, WaitGroup, WaitTokens, Watch,
    block_on, blocking,
    channel::{
        Receiver, RecvTimeoutError, Select, StaticChannel, after, at, bounded, bounded_strict, broadcast, never,
        oneshot, tick, unbounded, watch,
    },
    context::Context,
    fs, go, go_async, go_near,
    group::{Group, Pool, SingleFlight, parallel_for, parallel_map},
    process, run, scope, select, select_biased, sleep,
    task::shield,
    time::{self, Ticker, Timer, sleep_async, sleep_until, timeout},
    yield_now,
};
use std::{
    future::ready,
    panic::resume_unwind,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::*},
        mpsc,
    },
    time::{Duration, Instant},
};

const MOMENT: Duration = Duration::from_micros(50);
const LONG: Duration = Duration::from_secs(3600);

/// One wait with everything held; what it returns are lots drawn before and after.
type Round = fn() -> [u128; 2];

macro_rules! waits {
    ($($name:ident => $wait:expr;)+) => {
        pub const WAITS: &[(&str, Round)] = &[$((stringify!($name), || across(|| $wait))),+];
    };
}

waits! {
    recv_at_a_rendezvous => { let (tx, rx) = bounded(0); help(move || tx.send(1).unwrap()); got(rx.recv()) };
    send_at_a_rendezvous => { let (tx, rx) = bounded(0); help(move || got(rx.recv())); tx.send(1).unwrap() };
    recv_bounded => { let (tx, rx) = bounded(1); help(move || tx.send(1).unwrap()); got(rx.recv()) };
    send_bounded => {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        help(move || got_all(&rx, 2));
        tx.send(1).unwrap();
    };
    recv_strict => { let (tx, rx) = bounded_strict(1); help(move || tx.send(1).unwrap()); got(rx.recv()) };
    send_strict => {
        let (tx, rx) = bounded_strict(1);
        tx.send(1).unwrap();
        help(move || got_all(&rx, 2));
        tx.send(1).unwrap();
    };
    recv_unbounded => { let (tx, rx) = unbounded(); help(move || tx.send(1).unwrap()); got(rx.recv()) };
    recv_static => {
        let channel = Arc::new(StaticChannel::<u32, 1>::new());
        let sender = channel.clone();
        help(move || sender.sender().send(1).unwrap());
        got(channel.receiver().recv());
    };
    send_static => {
        let channel = Arc::new(StaticChannel::<u32, 1>::new());
        channel.sender().send(1).unwrap();
        let receiver = channel.clone();
        help(move || { got(receiver.receiver().recv()); got(receiver.receiver().recv()) });
        channel.sender().send(1).unwrap();
    };
    recv_timeout => { let (tx, rx) = bounded(0); help(move || tx.send(1).unwrap()); got(rx.recv_timeout(LONG)) };
    recv_deadline => {
        let (tx, rx) = bounded(0);
        help(move || tx.send(1).unwrap());
        got(rx.recv_deadline(Instant::now() + LONG));
    };
    send_timeout => { let (tx, rx) = bounded(0); help(move || got(rx.recv())); tx.send_timeout(1, LONG).unwrap() };
    send_deadline => {
        let (tx, rx) = bounded(0);
        help(move || got(rx.recv()));
        tx.send_deadline(1, Instant::now() + LONG).unwrap();
    };
    recv_in_vain => assert_eq!(never::<u32>().recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
    iteration => {
        let (tx, rx) = bounded(0);
        help(move || (0..3).for_each(|_| tx.send(1).unwrap()));
        assert_eq!(rx.iter().count(), 3);
    };
    recv_many => {
        let (tx, rx) = unbounded();
        help(move || tx.send(1).unwrap());
        rx.recv_many(&mut Vec::new(), 9).unwrap();
    };
    oneshot_recv => { let (tx, rx) = oneshot::channel(); help(move || tx.send(1).unwrap()); got(rx.recv()) };
    oneshot_recv_timeout => {
        let (tx, mut rx) = oneshot::channel();
        help(move || tx.send(1).unwrap());
        got(rx.recv_timeout(LONG));
    };
    watch_channel => { let (tx, mut rx) = watch::channel(0); help(move || tx.send(1).unwrap()); rx.changed().unwrap() };
    watch_channel_timeout => {
        let (tx, mut rx) = watch::channel(0);
        help(move || tx.send(1).unwrap());
        rx.changed_timeout(LONG).unwrap();
    };
    broadcast_recv => { let (tx, mut rx) = broadcast::channel(1); help(move || tx.send(1).unwrap()); got(rx.recv()) };
    broadcast_timeout => {
        let (tx, mut rx) = broadcast::channel(1);
        help(move || tx.send(1).unwrap());
        got(rx.recv_timeout(LONG));
    };
    recv_after => _ = after(MOMENT).recv().unwrap();
    recv_at => _ = at(Instant::now() + MOMENT).recv().unwrap();
    recv_tick => { let ticks = tick(MOMENT); ticks.recv().unwrap(); ticks.recv().unwrap(); };
    select_recv => {
        let (tx, rx) = bounded(0);
        help(move || tx.send(1).unwrap());
        select! { recv(never::<u32>()) -> _ => unreachable!(), recv(rx) -> value => got(value) }
    };
    select_send => {
        let (tx, rx) = bounded(0);
        help(move || got(rx.recv()));
        select! { recv(never::<u32>()) -> _ => unreachable!(), send(tx, 1) -> sent => sent.unwrap() }
    };
    select_default => select! { recv(never::<u32>()) -> _ => unreachable!(), default(MOMENT) => {} };
    select_after => select! {
        recv(never::<u32>()) -> _ => unreachable!(),
        recv(after(MOMENT)) -> due => assert!(due.is_ok()),
    };
    select_future => select! { recv(never::<u32>()) -> _ => unreachable!(), wait(sleep_async(MOMENT)) -> () => {} };
    select_join => {
        let task = go(|| { sleep(MOMENT); 1 });
        select! { recv(never::<u32>()) -> _ => unreachable!(), wait(task) -> value => got(value) }
    };
    select_biased => {
        let (tx, rx) = bounded(0);
        help(move || tx.send(1).unwrap());
        select_biased! { recv(never::<u32>()) -> _ => unreachable!(), recv(rx) -> value => got(value) }
    };
    select_list => {
        let ((tx, rx), dead) = (bounded(0), never::<u32>());
        help(move || tx.send(1).unwrap());
        let mut list = Select::new();
        list.recv(&dead);
        list.recv(&rx);
        got(list.select().recv(&rx));
    };
    select_ready => {
        let (tx, rx) = bounded(1);
        help(move || tx.send(1).unwrap());
        let mut list = Select::new();
        list.recv(&rx);
        assert_eq!(list.ready(), 0);
    };
    mutex => { let lock = held_lock(); *lock.lock() += 1 };
    mutex_timeout => { let lock = held_lock(); *lock.lock_timeout(LONG).unwrap() += 1 };
    mutex_deadline => { let lock = held_lock(); *lock.lock_deadline(Instant::now() + LONG).unwrap() += 1 };
    rw_lock_read => { let lock = written_lock(); got(Some(*lock.read())) };
    rw_lock_read_timeout => { let lock = written_lock(); got(lock.read_timeout(LONG).map(|value| *value)) };
    rw_lock_read_recursive => { let lock = written_lock(); got(Some(*lock.read_recursive())) };
    rw_lock_write => { let lock = read_lock(); *lock.write() += 1 };
    rw_lock_write_timeout => { let lock = read_lock(); *lock.write_timeout(LONG).unwrap() += 1 };
    semaphore => {
        let permits = shared(Semaphore::new(0), |permits| permits.add_permits(2));
        permits.acquire(2).unwrap().forget();
    };
    semaphore_timeout => {
        let permits = shared(Semaphore::new(0), |permits| permits.add_permits(2));
        permits.acquire_timeout(2, LONG).unwrap().forget();
    };
    condvar => {
        let pair = shared((Mutex::new(false), Condvar::new()), |(ready, heard)| {
            *ready.lock() = true;
            heard.notify_one();
        });
        let mut ready = pair.0.lock();
        while !*ready { ready = pair.1.wait(ready) }
    };
    condvar_while => {
        let pair = shared((Mutex::new(false), Condvar::new()), |(ready, heard)| {
            *ready.lock() = true;
            heard.notify_all();
        });
        assert!(*pair.1.wait_while(pair.0.lock(), |ready| !*ready));
    };
    condvar_timeout => {
        let (lock, heard) = (Mutex::new(0), Condvar::new());
        drop(heard.wait_timeout(lock.lock(), MOMENT));
    };
    barrier => _ = shared(Barrier::new(2), |barrier| _ = barrier.wait()).wait();
    barrier_timeout => _ = shared(Barrier::new(2), |barrier| _ = barrier.wait()).wait_timeout(LONG).unwrap();
    wait_group => { let group = WaitGroup::new(); let token = group.token(); help(move || drop(token)); group.wait() };
    wait_group_timeout => {
        let group = WaitGroup::new();
        let token = group.token();
        help(move || drop(token));
        group.wait_timeout(LONG).unwrap();
    };
    wait_tokens => {
        let tokens = WaitTokens::new();
        let token = tokens.token();
        help(move || drop(token));
        tokens.wait();
    };
    notify => shared(Notify::new(), Notify::notify_one).wait();
    notify_timeout => shared(Notify::new(), Notify::notify_one).wait_timeout(LONG).unwrap();
    once => {
        let (once, busy) = (Arc::new(Once::new()), bounded(0));
        let first = once.clone();
        help(move || first.call_once(|| { busy.0.send(1).unwrap(); sleep(MOMENT) }));
        got(busy.1.recv());
        once.call_once(|| unreachable!("somebody else does it"));
    };
    once_wait => shared(Once::new(), |once| once.call_once(|| sleep(MOMENT))).wait();
    once_cell => {
        let (cell, busy) = (Arc::new(OnceCell::new()), bounded(0));
        let first = cell.clone();
        help(move || _ = first.get_or_init(|| { busy.0.send(1).unwrap(); sleep(MOMENT); 1 }));
        got(busy.1.recv());
        got(Some(*cell.get_or_init(|| unreachable!("somebody else does it"))));
    };
    once_cell_wait => got(Some(*shared(OnceCell::new(), |cell| cell.set(1).unwrap()).wait()));
    once_cell_own_init => got(Some(*OnceCell::new().get_or_init(|| { sleep(MOMENT); 1 })));
    lazy => {
        let busy = Arc::new(Semaphore::new(0));
        let begun = busy.clone();
        let lazy = Arc::new(Lazy::new(move || { begun.add_permits(1); sleep(MOMENT); 1 }));
        let first = lazy.clone();
        help(move || _ = Lazy::force(&first));
        busy.acquire(1).unwrap().forget();
        got(Some(*Lazy::force(&lazy)));
    };
    watch => {
        let level = Arc::new(Watch::new(0));
        let mut watcher = level.subscribe();
        let changer = level.clone();
        help(move || changer.send(1));
        watcher.changed();
    };
    asleep => sleep(MOMENT);
    asleep_until => sleep_until(time::Instant::now() + MOMENT);
    timer => _ = Timer::new(MOMENT).wait();
    ticker => _ = Ticker::new(MOMENT).wait();
    yields => { yield_now(); yield_now() };
    join => got(go(|| { yield_now(); 1 }).join());
    join_near => got(go_near(|| { yield_now(); 1 }).join());
    join_timeout => got(go(|| { sleep(MOMENT); 1 }).join_timeout(LONG).unwrap());
    join_future => got(go_async(async { sleep_async(MOMENT).await; 1 }).join());
    join_of_one_that_panics => {
        let task = go_near(|| { yield_now(); resume_unwind(Box::new("quietly")) });
        assert!(task.join().unwrap_err().is_panic());
    };
    join_of_one_that_is_cancelled => {
        let task = go_near(|| never::<u32>().recv());
        yield_now();
        task.cancel();
        drop(task.join());
    };
    scoped => { let mut value = 0; scope(|s| { s.spawn(|| { yield_now(); value = 1 }); }); got(Some(value)) };
    scoped_join => scope(|s| got(s.spawn(|| { sleep(MOMENT); 1 }).join()));
    run_here => got(Some(run(|| { yield_now(); 1 })));
    run_elsewhere => got(Some(ELSEWHERE.run(|| { yield_now(); 1 })));
    shielded => shield(|| sleep(MOMENT));
    block_on_the_clock => block_on(sleep_async(MOMENT));
    block_on_a_channel => {
        let (tx, rx) = bounded(0);
        help(move || tx.send(1).unwrap());
        got(block_on(rx.recv_async()));
    };
    block_on_a_lock => { let lock = held_lock(); *block_on(lock.lock_async()) += 1 };
    block_on_a_limit => assert!(block_on(timeout(MOMENT, never::<u32>().recv_async())).is_err());
    block_on_what_is_ready => block_on(ready(()));
    blocking_call => got(blocking(|| { std::thread::yield_now(); 1 }).join());
    file => assert!(fs::metadata("/").unwrap().is_dir());
    processes => assert!(process::wait(PROCESS.spawn()).unwrap().success());
    context_wait => {
        let (ctx, cancel) = Context::background().with_cancel();
        help(move || cancel.cancel());
        _ = ctx.wait();
    };
    context_deadline => { let (ctx, _cancel) = Context::background().with_timeout(MOMENT); _ = ctx.wait(); };
    context_timeout => {
        let (ctx, cancel) = Context::background().with_cancel();
        help(move || cancel.cancel());
        _ = ctx.wait_timeout(LONG).unwrap();
    };
    group => {
        let group = Group::collect_all(&Context::background());
        group.go(yield_now);
        group.go(yield_now);
        assert_eq!(group.wait().len(), 2);
    };
    group_with_a_limit => {
        let group = Group::collect_all(&Context::background());
        group.set_limit(1);
        (0..3).for_each(|_| group.go(|| sleep(MOMENT)));
        drop(group.wait());
    };
    pool => { let pool = Pool::new(1, 0); got(pool.submit(|| { yield_now(); 1 }).join().ok()); pool.shutdown() };
    parallel_loop => parallel_for(0..4, |_| yield_now());
    parallel_results => assert_eq!(parallel_map(0..4, |i| { yield_now(); i }), [0, 1, 2, 3]);
    single_flight => got(Some(FLIGHTS.call(7, || { yield_now(); 1 }).0));
}

/// Another runtime, with one worker.
static ELSEWHERE: LazyLock<Runtime> = LazyLock::new(|| Runtime::builder().workers(1).build().unwrap());
static FLIGHTS: LazyLock<SingleFlight<u32, u32>> = LazyLock::new(SingleFlight::new);

struct Program;
static PROCESS: Program = Program;

impl Program {
    fn spawn(&self) -> std::process::Child {
        std::process::Command::new("true").spawn().expect("every system has it")
    }
}

/// An OS thread that does what it is told.
static OUTSIDE: LazyLock<mpsc::Sender<Box<dyn FnOnce() + Send>>> = LazyLock::new(|| {
    let (tx, rx) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    std::thread::spawn(move || rx.iter().for_each(|call| call()));
    tx
});

/// Has somebody else do `act`.
fn help(act: impl FnOnce() + Send + 'static) {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    match TURN.fetch_add(1, Relaxed) % 4 {
        0 => drop(go_near(act)),
        1 => drop(go(act)),
        2 => drop(go(|| {
            sleep(MOMENT);
            act();
        })),
        _ => OUTSIDE.send(Box::new(act)).expect("it never ends"),
    }
}

/// An object that somebody else does something with.
fn shared<T: Send + Sync + 'static>(object: T, act: impl FnOnce(&T) + Send + 'static) -> Arc<T> {
    let object = Arc::new(object);
    let other = object.clone();
    help(move || act(&other));
    object
}

/// A lock that somebody else has, for a while.
fn held_lock() -> Arc<Mutex<u32>> {
    let ((tx, rx), lock) = (bounded(0), Arc::new(Mutex::new(1)));
    let other = lock.clone();
    help(move || {
        let _guard = other.lock();
        tx.send(1).unwrap();
        sleep(MOMENT);
    });
    got(rx.recv());
    lock
}

fn written_lock() -> Arc<RwLock<u32>> {
    let ((tx, rx), lock) = (bounded(0), Arc::new(RwLock::new(1)));
    let other = lock.clone();
    help(move || {
        let _guard = other.write();
        tx.send(1).unwrap();
        sleep(MOMENT);
    });
    got(rx.recv());
    lock
}

fn read_lock() -> Arc<RwLock<u32>> {
    let ((tx, rx), lock) = (bounded(0), Arc::new(RwLock::new(1)));
    let other = lock.clone();
    help(move || {
        let _guard = other.read();
        tx.send(1).unwrap();
        sleep(MOMENT);
    });
    got(rx.recv());
    lock
}

/// The one value that goes round in here.
fn got(value: impl IntoIterator<Item = u32>) {
    assert!(value.into_iter().eq([1]));
}

fn got_all(rx: &Receiver<u32>, count: usize) {
    (0..count).for_each(|_| got(rx.recv()));
}
