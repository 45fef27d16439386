//! Everything at once, at random, for as long as one likes: nothing hangs, nothing breaks, and nothing is left behind.
//!
//! ```text
//!   round:  a runtime of 1, 2 or 8 workers ─▶ batches of acts as tasks (acts.rs), some of them cancelled on the way
//!           ─▶ all joined and the runtime dropped, or shut down in the middle ─▶ its threads are gone, each value dropped
//!
//!   first round ─▶ count ─▶ rounds … ─▶ count again: stacks, threads, descriptors, areas of memory, bytes (count.rs)
//! ```
//!
//! What an act does follows from its seed; how the acts meet is up to the machine. The seed is printed at the start.
//!
//! * `GREENLIGHT_SOAK_SECONDS`: how long; by default it only shows that it works. `.ci/soak` takes a minute.
//! * `GREENLIGHT_SOAK_SEED`: the seed of an earlier run.
//! * `GREENLIGHT_SOAK_ACT`: only the acts with this in their names.
//!
//! If nothing has happened for a minute, it says what was going on and where each thread is, and aborts.

mod acts;
mod count;

use acts::{ACTS, Planned, World};
use greenlight::{JoinHandle, Runtime, blocking};
use std::{
    env, panic, process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::*},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long it runs beside all the other tests.
const SHORT: u64 = 2;
/// How long one runtime is used.
const ROUND: Duration = Duration::from_millis(300);
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(60);
const SHUTDOWN: Duration = Duration::from_secs(50);

static PROGRESS: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicBool = AtomicBool::new(false);

/// SplitMix64: every stream of lots from one number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// Dice of somebody else's.
    fn fork(&mut self) -> Self {
        Self(self.roll(u64::MAX))
    }

    fn moment(&mut self) -> Duration {
        Duration::from_micros(self.roll(400))
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn main() {
    let seed = number("GREENLIGHT_SOAK_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        now.as_nanos() as u64 % 1_000_000_007
    });
    let seconds = number("GREENLIGHT_SOAK_SECONDS").unwrap_or(SHORT);
    println!("soak: {seconds} s, GREENLIGHT_SOAK_SEED={seed}");
    watch_panics();
    thread::Builder::new().name("watchdog".into()).spawn(watch_progress).expect("a thread starts");
    blocking::global().set_keep_alive(Duration::from_millis(50));

    let (mut dice, start) = (Dice(seed), Instant::now());
    let mut made = 0;
    // Each kind of runtime once, so that what is made once is there: the global one for calls that the clock makes.
    greenlight::run(|| ());
    [1, 2, 8].into_iter().for_each(|workers| made += round(workers, &mut dice));
    let before = count::settled();
    println!("before: {before:?}");
    let (mut rounds, mut middle) = (0_u64, None);
    while start.elapsed().as_secs() < seconds {
        let workers = [1, 2, 8][dice.roll(3) as usize];
        made += round(workers, &mut dice);
        rounds += 1;
        if middle.is_none() && start.elapsed().as_secs() >= seconds / 3 {
            let now = count::settled();
            println!("after {rounds} rounds: {now:?}");
            middle = Some((now, made + acts::inner_runtimes()));
        }
    }
    let after = count::settled();
    made += acts::inner_runtimes(); // of one worker each
    println!("after {rounds} rounds, {} acts, {made} workers: {after:?}", acts::done());
    acts::table().into_iter().for_each(|(name, done)| println!("{done:10} {name}"));
    before.compare(&after);
    if let Some((middle, then)) = middle {
        middle.compare_bytes(&after, made - then);
    }
    assert!(!FAILED.load(SeqCst));
    println!("1 passed, 0 failed");
}

/// Returns how many workers it made.
fn round(workers: usize, dice: &mut Dice) -> usize {
    let runtime = Runtime::builder().workers(workers).name("round").build().expect("the workers start");
    let start = Instant::now();
    while start.elapsed() < ROUND {
        let world = Arc::new(World::new());
        let handles = begin(&runtime, dice, &world);
        end(handles, dice, world);
    }
    let world = Arc::new(World::new());
    let handles = begin(&runtime, dice, &world);
    if dice.one_in(2) {
        thread::sleep(dice.moment() * 10);
        let report = runtime.shutdown(SHUTDOWN);
        let left: Vec<_> = report.left().iter().map(ToString::to_string).collect();
        assert!(left.is_empty(), "left by a shutdown: {left:#?}");
    } else {
        drop(runtime);
    }
    end(handles, dice, world);
    // What acts have started and left alone ends by itself, and with it the workers' threads.
    count::wait_for_threads("round");
    workers
}

/// Starts some acts, and cancels some of them.
fn begin(runtime: &Runtime, dice: &mut Dice, world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let wanted = env::var("GREENLIGHT_SOAK_ACT").unwrap_or_default();
    let acts: Vec<_> = ACTS.iter().filter(|act| act.name.contains(&wanted)).collect();
    let count = 20 + dice.roll(200);
    let handles: Vec<_> = (0..count)
        .map(|_| {
            let (world, mut own) = (world.clone(), dice.fork());
            let act = acts[dice.roll(acts.len() as u64) as usize];
            runtime.go(move || {
                acts::run(act, &mut own, &world);
                PROGRESS.fetch_add(1, Relaxed);
            })
        })
        .collect();
    for _ in 0..dice.roll(20) {
        if dice.one_in(3) {
            thread::sleep(dice.moment());
        }
        handles[dice.roll(count) as usize].cancel();
    }
    handles
}

/// Joins them. Afterwards everything that they have made is gone.
fn end(handles: Vec<JoinHandle<()>>, dice: &mut Dice, world: Arc<World>) {
    for handle in handles {
        if dice.one_in(100) {
            continue; // left alone
        }
        match handle.join() {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => assert!(error.into_panic().is::<Planned>(), "a panic that nobody planned"),
        }
        PROGRESS.fetch_add(1, Relaxed);
    }
    // Delayed calls, blocking ones, and futures that outlived their runtime may be under way. What never ends is the
    // watchdog's affair.
    while Arc::strong_count(&world) > 1 {
        thread::sleep(Duration::from_micros(100));
    }
    world.end();
    while acts::live() > 0 {
        thread::sleep(Duration::from_micros(100));
    }
}

/// A panic that is not planned is the end, wherever it happens. (The planned ones are raised without this hook.)
fn watch_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        previous(info);
        FAILED.store(true, SeqCst);
        tell();
        process::abort();
    }));
}

/// What goes on just now.
fn tell() {
    static ONCE: Mutex<()> = Mutex::new(());
    let _one = ONCE.lock();
    for (name, running) in acts::running() {
        eprintln!("{running:6} in {name}");
    }
    eprintln!("{} values that nobody has dropped", acts::live());
    count::print_threads();
}

fn watch_progress() {
    let (mut last, mut since) = (PROGRESS.load(Relaxed), Instant::now());
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = PROGRESS.load(Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            eprintln!("soak: nothing has happened for {PATIENCE:?}");
            tell();
            process::abort();
        }
    }
}
