//! Loops over all CPUs, whose bodies may borrow.
//!
//! ```text
//!   caller:  open gate ─ start helpers ─ work ────────────────────── close gate ─ wait until nobody is inside ─ return
//!   helper:               enter, if it is open ─ work ─ leave        (who finds it closed goes home)
//! ```
//!
//! * L1  `work` borrows from the caller's frame. It is touched by a helper that is inside only, and the caller leaves the frame only
//!   after he closed the gate and found nobody inside: also when he or a helper panics, and when his own wait is torn away.
//! * L2  A helper that starts too late holds a counted gate and a pointer that it never follows. So the caller waits for
//!   nobody who has not begun.
//!
//! Who is quick takes more: all take batches from one iterator behind a lock.

use crate::{
    header::{Spawn, discard},
    runtime,
    task::shield,
};
use greenlight_core::{Mutex, SpinMutex, Waitable, park::Why};
use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::*},
    },
    thread,
};

/// Batches for each task, by default: enough that the last ones end at about the same time.
const BATCHES_A_TASK: usize = 8;
const LARGEST_BATCH: usize = 1024;

/// Calls `f` with each item, on all CPUs at once. It may borrow. Returns when all calls have returned.
///
/// The caller works, too. The items of a slice are `slice` or `slice.iter_mut()`; any iterator will do, also one that waits.
///
/// # Panics
///
/// With the first panic of `f`, after all that were at work have ended. What had not been begun is dropped.
///
/// # Cancellation
///
/// If the caller is torn away while it waits, it still waits for those at work.
///
/// # Cost
///
/// A green thread for each worker but one. A lock and a buffer for each batch of items; see [`Parallel::chunk`]. If a call takes
/// but a few nanoseconds, loop over `slice.chunks(4096)`, and over the items inside.
///
/// # Examples
///
/// ```
/// use greenlight::group::parallel_for;
///
/// let mut numbers: Vec<u64> = (0..1000).collect();
/// parallel_for(&mut numbers, |n| *n *= *n);
/// assert_eq!(numbers[31], 961);
/// ```
#[track_caller]
pub fn parallel_for<I>(items: I, f: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send, Item: Send>,
{
    Parallel::new().for_each(items, f);
}

/// What `f` returns for each item, in their order, computed on all CPUs at once. See [`parallel_for`].
///
/// # Panics
///
/// As [`parallel_for`].
///
/// # Examples
///
/// ```
/// use greenlight::group::parallel_map;
///
/// let words = ["all", "cpus", "at", "once"];
/// assert_eq!(parallel_map(&words, |word| word.len()), [3, 4, 2, 4]);
/// ```
#[track_caller]
pub fn parallel_map<I, R>(items: I, f: impl Fn(I::Item) -> R + Sync) -> Vec<R>
where
    I: IntoIterator<IntoIter: Send, Item: Send>,
    R: Send,
{
    Parallel::new().map(items, f)
}

/// Settings for a parallel loop.
///
/// # Examples
///
/// ```
/// use greenlight::group::Parallel;
///
/// // Calls that wait: more at once than there are CPUs, one item at a time.
/// let lengths = Parallel::new().tasks(50).chunk(1).map(1..=100, |i| {
///     greenlight::sleep(std::time::Duration::from_millis(1));
///     i
/// });
/// assert_eq!(lengths.len(), 100);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Parallel {
    tasks: Option<usize>,
    chunk: Option<usize>,
}

impl Parallel {
    /// As many tasks as there are workers, and batches of a fitting size.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many calls run at once, at most: the number of workers, by default. More, for calls that wait.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn tasks(mut self, tasks: usize) -> Self {
        assert!(tasks > 0, "a loop needs a task to run it");
        self.tasks = Some(tasks);
        self
    }

    /// How many items are taken at a time: by default an eighth of a task's share, and 1024 at most. One, for calls that
    /// take long; many, for short ones.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn chunk(mut self, chunk: usize) -> Self {
        assert!(chunk > 0, "a batch has at least one item");
        self.chunk = Some(chunk);
        self
    }

    /// [`parallel_for`], with these settings.
    ///
    /// # Panics
    ///
    /// As [`parallel_for`].
    #[track_caller]
    pub fn for_each<I>(self, items: I, f: impl Fn(I::Item) + Sync)
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
    {
        self.batches(items, |_, batch| batch.for_each(&f));
    }

    /// [`parallel_map`], with these settings.
    ///
    /// # Panics
    ///
    /// As [`parallel_for`].
    #[track_caller]
    pub fn map<I, R>(self, items: I, f: impl Fn(I::Item) -> R + Sync) -> Vec<R>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        R: Send,
    {
        let done = Mutex::new(Vec::new());
        self.batches(items, |number, batch| {
            let results: Vec<R> = batch.map(&f).collect();
            done.lock().push((number, results));
        });
        let mut done = done.into_inner();
        done.sort_unstable_by_key(|(number, _)| *number);
        let mut all = Vec::with_capacity(done.iter().map(|(_, results)| results.len()).sum());
        done.into_iter().for_each(|(_, mut results)| all.append(&mut results));
        all
    }

    /// Calls `f` with numbered batches, until there are none.
    #[track_caller]
    fn batches<I>(self, items: I, f: impl Fn(usize, std::vec::Drain<'_, I::Item>) + Sync)
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
    {
        let items = items.into_iter();
        let tasks = self.tasks.unwrap_or_else(|| runtime::here().workers().len());
        let (least, most) = items.size_hint();
        let length = most.unwrap_or(least);
        let chunk = self.chunk.unwrap_or_else(|| (length / (tasks * BATCHES_A_TASK)).clamp(1, LARGEST_BATCH));
        // No more than there are batches; who knows how many there are, if the iterator does not?
        let tasks = most.map_or(tasks, |most| tasks.min(most.div_ceil(chunk)));
        let source = Mutex::new((items, 0));
        together(tasks, &|stop| {
            let mut batch = Vec::new();
            while !stop.load(Relaxed) {
                let number = {
                    let mut source = source.lock();
                    batch.extend(source.0.by_ref().take(chunk));
                    source.1 += 1;
                    source.1
                };
                if batch.is_empty() {
                    return;
                }
                f(number, batch.drain(..));
            }
        });
    }
}

/// What the helpers share with the caller, and keep if they come too late.
struct Gate {
    inside: Waitable<Inside>,
    /// The first panic. A spin lock: a wait could be torn away here, with helpers inside.
    panic: SpinMutex<Option<Box<dyn Any + Send>>>,
    /// Somebody panicked. Relaxed: a hint not to begin anything more.
    stop: AtomicBool,
}

struct Inside {
    open: bool,
    helpers: usize,
}

type Work<'a> = dyn Fn(&AtomicBool) + Sync + 'a;

/// What a helper gets.
struct Errand {
    gate: Arc<Gate>,
    work: *const Work<'static>,
}

// SAFETY: the pointer is followed inside the gate only, when what it points to is there (L1), and `Sync`.
unsafe impl Send for Errand {}

impl Errand {
    fn run(self) {
        let entered = self.gate.inside.with(|inside| {
            inside.helpers += usize::from(inside.open);
            inside.open
        });
        if !entered {
            return;
        }
        // SAFETY: L1: we are inside, and say that we left after the last use.
        let work = unsafe { &*self.work };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(&self.gate.stop))) {
            self.gate.keep(payload);
        }
        self.gate.inside.change(|inside| inside.helpers -= 1);
    }
}

impl Gate {
    fn keep(&self, payload: Box<dyn Any + Send>) {
        self.stop.store(true, Relaxed);
        let mut panic = self.panic.lock();
        let unwanted = match &mut *panic {
            first @ None => {
                *first = Some(payload);
                None
            }
            Some(_) => Some(payload),
        };
        drop(panic);
        discard(|| drop(unwanted)); // code of the program's, without the lock
    }
}

/// Has up to `tasks` do `work` at the same time, the caller one of them. Returns when all that have begun have ended.
#[track_caller]
fn together(tasks: usize, work: &Work<'_>) {
    let gate = Arc::new(Gate {
        inside: Waitable::new(Inside { open: true, helpers: 0 }),
        panic: SpinMutex::new(None),
        stop: AtomicBool::new(false),
    });
    let why = Why { what: "run a parallel loop", object: Arc::as_ptr(&gate).addr(), site: Location::caller() };
    // SAFETY: only the lifetime changes, and L1 takes its place: from here on nothing unwinds before the gate is empty.
    let erased = unsafe { mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // A wait during a panic would block the worker, and with it helpers of ours.
        let helpers = if thread::panicking() { 0 } else { tasks.saturating_sub(1) };
        for _ in 0..helpers {
            let errand = Errand { gate: gate.clone(), work: erased };
            // Without the memory for more, with fewer.
            let start = || drop(runtime::here().spawn(Spawn::at(why.site), move || errand.run()));
            if catch_unwind(AssertUnwindSafe(start)).is_err() {
                break;
            }
        }
        work(&gate.stop);
    }));
    if let Err(payload) = outcome {
        gate.keep(payload);
    }
    gate.inside.with(|inside| inside.open = false);
    // Whoever is torn away here tells the helpers to stop, and comes back, not to be torn away again: one that unwound at each
    // wait would keep its worker, and with it helpers that have begun there.
    let mut torn = false;
    while gate.inside.with(|inside| inside.helpers > 0) {
        let empty = |inside: &mut Inside| (inside.helpers == 0).then_some(());
        let wait = || gate.inside.wait(&why, None, empty);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| if torn { shield(wait) } else { wait() })) {
            gate.keep(payload);
            torn = true;
        }
    }
    let panic = gate.panic.lock().take();
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
}
