//! The parts of the runtime, each by itself: what a switch, a queue, a ring, a timer, a stack costs.
//!
//! ```text
//! cargo bench -p greenlight-benches                  all of them, in less than 3 minutes
//! cargo bench -p greenlight-benches -- ring          those whose name contains it; --quick, --save-baseline NAME …: Criterion's
//! ```
//!
//! Beside `compare`, which says how fast the whole is, and `instructions`, which says whether it has become slower: when it has,
//! these say which part. Through the public API where that isolates a part, on a runtime of one worker, so that nobody else's
//! work is counted; else by `greenlight::parts`, which is for this file alone.

use criterion::{
    BenchmarkId, Criterion, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use greenlight::{
    Runtime, SpinMutex,
    channel::{TryRecvError, TrySendError, bounded},
    go, go_near,
    park::{self, Why},
    parts::{Queue, Stack, Switch, Wheel},
    yield_now,
};
use greenlight_benches::process;
use std::{
    hint::black_box,
    iter,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};

criterion_main!(parts);

criterion_group! {
    name = parts;
    // Half a minute for all of them; the spread of most is below 2 % on a quiet machine.
    config = Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .nresamples(10_000);
    targets = switches, parks, queues, rings, timers, stacks, tasks
}

/// The CPU time of this process: nothing here waits for a clock or runs beside anything else, so it is the time that passes, less
/// what others take of the CPU.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        process::cpu_time()
    }

    fn end(&self, start: Duration) -> Duration {
        process::cpu_time() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// The time that `work` takes on a worker that has nothing else to do.
fn on_worker(runtime: &Runtime, work: impl FnOnce() + Send + 'static) -> Duration {
    runtime.run(move || {
        let start = CpuTime.start();
        work();
        CpuTime.end(start)
    })
}

fn runtime() -> Runtime {
    Runtime::builder().workers(1).build().expect("a runtime")
}

/// From stack to stack, without and with the scheduler between.
fn switches(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("switch");
    let mut switch = Switch::new();
    group.bench_function("to another stack and back", |bencher| bencher.iter(|| switch.there_and_back()));
    let runtime = runtime();
    for tasks in [2, 1_000] {
        group.bench_function(BenchmarkId::new("yield, tasks", tasks), |bencher| {
            bencher.iter_custom(|times| on_worker(&runtime, move || yields(tasks, times)));
        });
    }
}

/// So many yields in all, by the tasks in turn.
fn yields(tasks: u64, times: u64) {
    let each = move |task| times / tasks + u64::from(task < times % tasks);
    let yielding = |task| go_near(move || (0..each(task)).for_each(|_| yield_now()));
    let tasks: Vec<_> = (0..tasks).map(yielding).collect();
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
}

/// A task sleeps, and is woken.
fn parks(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("park");
    let runtime = runtime();
    group.bench_function("park, and be woken by another task", |bencher| {
        bencher.iter_custom(|times| on_worker(&runtime, move || hand_to_and_fro(times as usize)));
    });
    group.bench_function("wake a task that is awake", |bencher| {
        bencher.iter_custom(|times| on_worker(&runtime, move || wake_oneself(times)));
    });
}

/// What two tasks hand to each other: whose turn it is.
#[derive(Default)]
struct Ball {
    thrown: AtomicUsize,
    waiting: [SpinMutex<Option<Waker>>; 2],
}

impl Ball {
    /// Until the ball was thrown so often. One worker, so nothing comes between the look and the waker.
    fn wait(&self, me: usize, thrown: usize) {
        let why = Why { what: "wait for the ball", object: 0, site: Location::caller() };
        let waited = park::wait(&why, None, &mut |waker| {
            if self.thrown.load(Relaxed) == thrown {
                return Poll::Ready(());
            }
            *self.waiting[me].lock() = Some(waker.clone());
            Poll::Pending
        });
        waited.expect("no limit");
    }

    fn throw(&self, to: usize) {
        self.thrown.fetch_add(1, Relaxed);
        let waiting = self.waiting[to].lock().take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Each throw is a wake-up, and each catch the end of a park.
fn hand_to_and_fro(times: usize) {
    let ball = Arc::new(Ball::default());
    let task = |me: usize| {
        let ball = Arc::clone(&ball);
        move || {
            for turn in (me..times).step_by(2) {
                ball.wait(me, turn);
                ball.throw(1 - me);
            }
        }
    };
    let tasks = [0, 1].map(|me| go_near(task(me)));
    tasks.into_iter().for_each(|task| task.join().expect("no panic"));
    assert_eq!(ball.thrown.load(Relaxed), times);
}

/// Its park ends at once.
fn wake_oneself(times: u64) {
    let why = Why { what: "wait for nothing", object: 0, site: Location::caller() };
    for _ in 0..times {
        let mut woken = false;
        let waited = park::wait(&why, None, &mut |waker| {
            if woken {
                return Poll::Ready(());
            }
            waker.wake_by_ref();
            woken = true;
            Poll::Pending
        });
        waited.expect("no limit");
    }
}

/// A worker's lists of tasks: what stands around is the length of the list.
fn queues(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("run queue");
    for len in [2, 1_000, 50_000] {
        let mut queue = Queue::of(len);
        group.bench_function(BenchmarkId::new("take the first, put it last; tasks", len), |bencher| {
            bencher.iter(|| queue.turn());
        });
        group.bench_function(BenchmarkId::new("take the newest, put it back; tasks", len), |bencher| {
            bencher.iter(|| queue.turn_newest());
        });
        assert_eq!(queue.len(), len);
    }
    let mut queue = Queue::of(64);
    group.bench_function("take 32 of 64 from the end, put them back", |bencher| bencher.iter(|| queue.steal_half()));
    let lock = SpinMutex::new(0);
    group.bench_function("the lock around a list that thieves take from", |bencher| {
        bencher.iter(|| *black_box(&lock).lock() += 1);
    });
}

/// The buffer of a bounded channel, with nobody in line.
fn rings(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ring");
    for capacity in [1, 128, 65_536] {
        let (tx, rx) = bounded(capacity);
        group.bench_function(BenchmarkId::new("put one in, take it out; capacity", capacity), |bencher| {
            bencher.iter(|| {
                tx.try_send(1_u64).expect("room");
                rx.try_recv().expect("a value")
            });
        });
    }
    let (tx, rx) = bounded(128);
    group.bench_function("put 128 in, take them out", |bencher| {
        bencher.iter(|| {
            (0..128_u64).for_each(|value| tx.try_send(value).expect("room"));
            assert_eq!(iter::from_fn(|| rx.try_recv().ok()).sum::<u64>(), 127 * 64);
        });
    });
    group.bench_function("nothing is in", |bencher| {
        bencher.iter(|| assert_eq!(rx.try_recv(), Err(TryRecvError::Empty)));
    });
    (0..128).for_each(|value| tx.try_send(value).expect("room"));
    group.bench_function("no room", |bencher| {
        bencher.iter(|| assert!(matches!(tx.try_send(1), Err(TrySendError::Full(_)))));
    });
    let (tx, rx) = bounded(128);
    group.bench_function("put one of 64 bytes in, take it out", |bencher| {
        bencher.iter(|| {
            tx.try_send([1_u64; 8]).expect("room");
            rx.try_recv().expect("a value")
        });
    });
}

const SECOND: u64 = 1_000_000_000;

/// Like random, and the same in each run.
fn ticks(below: u64) -> impl Iterator<Item = u64> {
    iter::successors(Some(1_u64), |number| Some(number.wrapping_mul(6_364_136_223_846_793_005)))
        .map(move |number| (number >> 20) % below)
}

/// The wheel above the heap, in which every alarm stands.
fn timers(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("timers");
    for others in [0, 1_000, 1_000_000] {
        let mut wheel = Wheel::new();
        ticks(60 * SECOND).take(others).for_each(|tick| _ = wheel.set(tick));
        let mut limits = ticks(10 * SECOND);
        group.bench_function(BenchmarkId::new("set and cancel, beside", others), |bencher| {
            bencher.iter(|| {
                let alarm = wheel.set(limits.next().expect("endless"));
                assert!(wheel.cancel(alarm));
            });
        });
    }
    for others in [1_000, 1_000_000] {
        // All within one grain of time, as those are that are due next.
        let mut heap = Wheel::new();
        ticks(60_000).take(others).for_each(|tick| _ = heap.set(tick));
        let mut limits = ticks(60_000);
        group.bench_function(BenchmarkId::new("set and cancel in the heap, beside", others), |bencher| {
            bencher.iter(|| {
                let alarm = heap.set(limits.next().expect("endless"));
                assert!(heap.cancel(alarm));
            });
        });
    }
    group.bench_function("set 1000 for the next 10 s, and fire them", |bencher| {
        let mut wheel = Wheel::new();
        let mut now = 0;
        bencher.iter(|| {
            ticks(10 * SECOND).take(1_000).for_each(|tick| _ = wheel.set(now + tick));
            now += 10 * SECOND;
            assert_eq!(iter::from_fn(|| wheel.fire(now).then_some(())).count(), 1_000);
        });
    });
}

/// The pool of stacks.
fn stacks(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("stack pool");
    group.bench_function("take one, give it back", |bencher| bencher.iter(|| drop(black_box(Stack::take()))));
    let mut taken = Vec::with_capacity(64);
    group.bench_function("take 64, give them back", |bencher| {
        bencher.iter(|| {
            taken.extend(iter::repeat_with(Stack::take).take(64));
            taken.clear();
        });
    });
}

/// What all of it comes to.
fn tasks(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("task");
    let runtime = runtime();
    group.bench_function("start, run, join", |bencher| {
        bencher.iter_custom(|times| {
            on_worker(&runtime, move || {
                (0..times).for_each(|turn| assert_eq!(go(move || turn).join().expect("no panic"), turn))
            })
        });
    });
}
