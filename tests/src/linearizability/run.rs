//! Runs a program on OS threads, again and again, so that its calls overlap in ever other ways.
//!
//! The threads of a run start at a spin barrier and dawdle a little before each call: some spins, or a turn for another
//! thread, drawn from the seed. What the scheduler adds cannot be drawn, so a seed does not repeat a run.
//!
//! The caller of [`examine`] looks on. When all who have not finished wait without a limit, and the tick counter
//! stands, it asks whether they do so rightly ([`standstill`]). If so it closes the channel, which is one more call of
//! the history. If a call is owed what it waits for, the thread may be about to wake: that gets its time
//! ([`Effort::patience`]), then it is a lost wake-up. At the end the looker-on takes out what is left, so that what was
//! lost, or is there twice, is seen.

use super::{
    checker::{Standstill, check, check_counts, standstill},
    history::{Call, Half, History, Operation, Outcome, Pending},
    model::Model,
};
use std::{
    fmt, hint, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::*},
    },
    thread,
    time::{Duration, Instant},
};

/// How long what returned may lack what did not; then the run is ended and judged as a whole.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);

const GLANCE: Duration = Duration::from_micros(40);

/// A channel under examination. All threads share it.
pub trait Subject: Send + Sync + 'static {
    /// Calls an operation.
    fn call(&self, call: Call) -> Outcome;
}

/// How much to look.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often a program is run.
    pub repetitions: u64,
    /// How long a thread may take to get on, on a busy machine, before it counts as stuck.
    pub patience: Duration,
}

/// The calls of each thread. No value is sent twice.
#[derive(Clone, Debug)]
pub struct Program(pub Vec<Vec<Call>>);

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (thread, calls) in self.0.iter().enumerate() {
            let calls: Vec<_> = calls.iter().map(Call::to_string).collect();
            writeln!(f, "thread {thread}: {}", calls.join(", "))?;
        }
        Ok(())
    }
}

/// A run that no correct channel can have.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is wrong.
    pub why: String,
    /// What was run.
    pub program: Program,
    /// What happened. The thread after the last is the looker-on.
    pub history: History,
    /// What the dawdling was drawn from.
    pub seed: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, program, history, seed } = self;
        write!(f, "{why}\n\nThe program:\n{program}\nThe history:\n{history}\nThe seed of this run: {seed:#x}")
    }
}

/// Runs `program` with `effort`, each time on a new subject, and checks what happened.
///
/// # Errors
///
/// The first history that `model` does not allow. Threads that a lost wake-up left waiting are left behind.
///
/// # Panics
///
/// If a call panics.
pub fn examine<S: Subject>(
    subject: impl Fn() -> S,
    model: &Model,
    program: &Program,
    effort: Effort,
    seed: u64,
) -> Result<(), Box<Failure>> {
    for repetition in 0..effort.repetitions {
        let seed = seed.wrapping_add(repetition);
        let run = Arc::new(Run::new(subject(), program));
        let threads = run.start(program, seed);
        let stuck = run.look_on(model, effort.patience);
        if stuck.is_none() {
            threads.into_iter().for_each(|thread| thread.join().expect("no call panics"));
        }
        let history = run.history();
        let why = stuck.map_or_else(
            || check(model, &history).and_then(|_| check_counts(model, &history)).map_err(|why| why.to_string()),
            |why| Err(why.to_owned()),
        );
        why.map_err(|why| Box::new(Failure { why, program: program.clone(), history, seed }))?;
    }
    Ok(())
}

struct Run<S> {
    subject: S,
    ticks: AtomicU64,
    /// Who has not come to the start yet.
    missing: AtomicUsize,
    /// One for each thread, and one for the looker-on. A thread's own, but for glances.
    logs: Vec<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    done: Vec<Operation>,
    now: Option<Pending>,
    finished: bool,
}

impl<S: Subject> Run<S> {
    fn new(subject: S, program: &Program) -> Self {
        let threads = program.0.len();
        let logs = (0..=threads).map(|_| Mutex::default()).collect();
        Self { subject, ticks: AtomicU64::new(0), missing: AtomicUsize::new(threads), logs }
    }

    fn start(self: &Arc<Self>, program: &Program, seed: u64) -> Vec<thread::JoinHandle<()>> {
        let threads = program.0.iter().cloned().enumerate().map(|(thread, calls)| {
            let run = self.clone();
            thread::spawn(move || run.thread(thread, &calls, Dawdle(seed ^ (thread as u64) << 32)))
        });
        threads.collect()
    }

    fn thread(&self, thread: usize, calls: &[Call], mut dawdle: Dawdle) {
        self.missing.fetch_sub(1, AcqRel);
        let mut spins = 0;
        while self.missing.load(Acquire) > 0 {
            spins += 1;
            // There may be fewer processors than threads.
            if spins % 256 == 0 { thread::yield_now() } else { hint::spin_loop() }
        }
        for &call in calls {
            dawdle.once();
            self.call(thread, call);
        }
        self.log(thread).finished = true;
    }

    fn call(&self, thread: usize, call: Call) -> Outcome {
        let begin = {
            let mut log = self.log(thread);
            let begin = self.tick();
            log.now = Some(Pending { thread, call, begin });
            begin
        };
        let outcome = self.subject.call(call);
        let end = self.tick();
        let mut log = self.log(thread);
        log.now = None;
        log.done.push(Operation { thread, call, outcome, begin, end });
        outcome
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, SeqCst)
    }

    /// Until all threads have finished. Why not, if they cannot.
    fn look_on(&self, model: &Model, patience: Duration) -> Option<&'static str> {
        let looker_on = self.logs.len() - 1;
        let (mut ticks, mut since, mut closed) = (self.ticks.load(SeqCst), Instant::now(), false);
        while !self.logs[..looker_on].iter().all(|log| lock(log).finished) {
            thread::sleep(GLANCE);
            let before = mem::replace(&mut ticks, self.ticks.load(SeqCst));
            if ticks != before {
                since = Instant::now();
                continue;
            }
            let history = self.history();
            let all_wait = self.logs[..looker_on].iter().all(|log| {
                let log = lock(log);
                log.finished || log.now.is_some_and(|now| now.call.is_patient())
            });
            // If the counter still stands, the glances at the threads were one.
            let stands = all_wait && !history.pending.is_empty() && self.ticks.load(SeqCst) == ticks;
            let close = stands && !closed && {
                match standstill(model, &history) {
                    Standstill::Right => true,
                    Standstill::Owed => false,
                    Standstill::Unexplained => since.elapsed() > SHORT_PATIENCE,
                }
            };
            if close {
                closed = true;
                self.call(looker_on, Call::Close(Half::Sender));
            } else if since.elapsed() > patience {
                return Some("somebody waits for what is there: a lost wake-up");
            }
        }
        // One more than there can be shows that there are too many.
        let calls: usize = self.logs.iter().map(|log| lock(log).done.len()).sum();
        (0..=calls).find(|_| !matches!(self.call(looker_on, Call::TryRecv), Outcome::Received(_)));
        None
    }

    fn history(&self) -> History {
        let mut history = History::default();
        for log in &self.logs {
            let log = lock(log);
            history.operations.extend(&log.done);
            history.pending.extend(log.now);
        }
        history
    }

    fn log(&self, thread: usize) -> MutexGuard<'_, Log> {
        lock(&self.logs[thread])
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Small random delays.
struct Dawdle(u64);

impl Dawdle {
    fn once(&mut self) {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        match bits % 8 {
            0 => thread::yield_now(),
            1..4 => {}
            _ => (0..bits >> 8 & 0x7F).for_each(|_| hint::spin_loop()),
        }
    }
}
