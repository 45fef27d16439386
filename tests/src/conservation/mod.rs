//! The conservation law of channels, and a harness that tries to break it.
//!
//! A channel neither makes nor loses values, whatever is cancelled, times out, panics, closes or loses a select:
//!
//! ```text
//!   sent  =  received  +  still queued            created  =  dropped, each once
//! ```
//!
//! | clause           | for every value                                                                            |
//! |------------------|--------------------------------------------------------------------------------------------|
//! | [`Leaked`]       | when all handles and futures are gone it has been dropped                                   |
//! | [`DroppedTwice`] | … and no more than once                                                                     |
//! | [`Duplicated`]   | it is received once, or given back once, or neither; never more                             |
//! | [`NotReturned`]  | if its send reported an error, it was given back                                            |
//! | [`Lost`]         | if its send reported success, it was received, or still queued when the last receiver went; |
//! |                  | if its send was cancelled, the same, or it was dropped with the future                      |
//! | [`LostByCancel`] | if a future was to receive it and is dropped first, it goes to another receiver             |
//! | [`Stranded`]     | nobody sleeps on beside what he waits for: a cancelled wait hands its wake-up on            |
//! | [`Panicked`]     | no operation panics                                                                         |
//!
//! "Still queued" means that the value was dropped once no receiver was left. Where a schedule ends by receiving until
//! nothing comes, it is no excuse. [`Stranded`] is not about values, but it is what a channel breaks that mends the
//! others carelessly; it is looked at before a schedule receives what is left, when everybody who was called has come.
//!
//! A channel may document that it drops refused values, or that closing discards what is queued: [`Abilities`] says so
//! then, and it counts as kept.
//!
//! [`Schedule`]s are either actors that take turns on one thread (exact, and replayable from their printed steps) or
//! actors on threads (races, replayable as far as the scheduler of the system lets it).

mod actor;
mod payload;
mod schedule;

pub use Clause::*;
pub use payload::{CHANNELS, Key, Large, Small, Value};
pub use schedule::{Finale, Op, Schedule, Step};

use payload::{Ledger, Rules};
use std::{
    any::type_name,
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A future of either half.
pub type BoxFuture<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// What one actor does, for whoever runs it.
pub type Job = Box<dyn FnOnce() + Send>;

/// `future`, with its result put into the harness's terms.
pub fn mapped<'a, F, R>(future: F, map: fn(F::Output) -> R) -> BoxFuture<'a, R>
where
    F: Future + Send + 'a,
    R: 'a,
{
    // An argument, so that it is there before the first poll: it can be cancelled without one.
    Box::pin(async move { map(future.await) })
}

/// What closing does to the values in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// They can still be received.
    Drains,
    /// They are dropped.
    Discards,
}

/// Which operations a channel has, and what it documents about them. The harness does not call the others.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// `send_timeout` and `recv_timeout`.
    pub timeouts: bool,
    /// `close_sender` and `close_receiver`.
    pub close: Option<Close>,
    /// Whether a send that fails drops its value, by design.
    pub drops_refused: bool,
    /// `select_recv` and `select_send`.
    pub select: bool,
}

/// What came of a select over a send and a receive.
#[derive(Debug)]
pub enum Selected<T> {
    /// The value was sent.
    Sent,
    /// The channel was closed: it gave the value back.
    Refused(T),
    /// The send lost against a value; the select has dropped its own.
    Received(T),
    /// Neither was possible, or the other channel was closed; the select has dropped the value.
    Neither,
}

/// What came of a send: its error is the value, if that was given back.
pub type Sent<T> = Result<(), Option<T>>;

/// A channel under test. An operation that is not among its [`Abilities`] is never called.
pub trait Subject: 'static {
    /// The half that sends.
    type Sender<T: Value>: Clone + Send + Sync + 'static;
    /// The half that receives.
    type Receiver<T: Value>: Clone + Send + Sync + 'static;

    /// What it can do.
    const ABILITIES: Abilities;

    /// Whether it can do `send_async` and `recv_async`.
    const FUTURES: bool = false;

    /// A channel of this capacity, or none if there is no such channel. `None` is unbounded.
    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Self::Sender<T>, Self::Receiver<T>)>;

    /// Sends if that needs no wait.
    fn try_send<T: Value>(tx: &Self::Sender<T>, value: T) -> Sent<T>;

    /// Receives if that needs no wait.
    fn try_recv<T: Value>(rx: &Self::Receiver<T>) -> Option<T>;

    /// Sends within `limit`.
    fn send_timeout<T: Value>(_tx: &Self::Sender<T>, _value: T, _limit: Duration) -> Sent<T> {
        unsupported()
    }

    /// Receives within `limit`.
    fn recv_timeout<T: Value>(_rx: &Self::Receiver<T>, _limit: Duration) -> Option<T> {
        unsupported()
    }

    /// Closes the channel by its sender.
    fn close_sender<T: Value>(_tx: &Self::Sender<T>) {
        unsupported()
    }

    /// Closes the channel by its receiver.
    fn close_receiver<T: Value>(_rx: &Self::Receiver<T>) {
        unsupported()
    }

    /// The future that sends.
    fn send_async<T: Value>(_tx: &Self::Sender<T>, _value: T) -> BoxFuture<'_, Sent<T>> {
        unsupported()
    }

    /// The future that receives.
    fn recv_async<T: Value>(_rx: &Self::Receiver<T>) -> BoxFuture<'_, Option<T>> {
        unsupported()
    }

    /// Receives from whichever of two channels is first, within `limit`.
    fn select_recv<T: Value>(_a: &Self::Receiver<T>, _b: &Self::Receiver<T>, _limit: Duration) -> Option<T> {
        unsupported()
    }

    /// Sends or receives, if one of them needs no wait.
    fn select_send<T: Value>(_tx: &Self::Sender<T>, _value: T, _rx: &Self::Receiver<T>) -> Selected<T> {
        unsupported()
    }

    /// Runs jobs at the same time and waits for them all.
    fn concurrently(jobs: Vec<Job>) {
        std::thread::scope(|scope| jobs.into_iter().for_each(|job| drop(scope.spawn(job))));
    }
}

fn unsupported<R>() -> R {
    unreachable!("not one of its abilities")
}

/// A part of the law; the table at the top of the module says what each asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Clause {
    Leaked,
    DroppedTwice,
    Duplicated,
    NotReturned,
    Lost,
    LostByCancel,
    Stranded,
    Panicked,
}

/// Which clauses `schedule` breaks. One with threads may break another, or none, the next time.
pub fn run<S: Subject>(schedule: &Schedule) -> BTreeSet<Clause> {
    if schedule.large { run_with::<S, Large>(schedule) } else { run_with::<S, Small>(schedule) }
}

fn run_with<S: Subject, T: Value>(schedule: &Schedule) -> BTreeSet<Clause> {
    let ledger = Ledger::open();
    let mut broken = match actor::cast::<S, T>(schedule, &ledger) {
        Some(actors) => actor::play(schedule, actors, &ledger),
        None => BTreeSet::new(), // no such channel
    };
    broken.extend(ledger.judge(Rules {
        close_discards: S::ABILITIES.close == Some(Close::Discards),
        drops_refused: S::ABILITIES.drops_refused,
    }));
    broken
}

/// Runs `schedules` and gathers what they find.
pub fn examine<S: Subject>(schedules: impl IntoIterator<Item = Schedule>) -> Findings {
    let mut findings = Findings { subject: type_name::<S>(), schedules: 0, broken: BTreeMap::new() };
    for schedule in schedules {
        findings.schedules += 1;
        for clause in run::<S>(&schedule) {
            findings.add(clause, &schedule, |part| run::<S>(part).contains(&clause));
        }
    }
    findings
}

/// How often a subject broke each clause, and the shortest schedule that makes it do so.
#[derive(Debug)]
pub struct Findings {
    subject: &'static str,
    schedules: usize,
    broken: BTreeMap<Clause, Finding>,
}

#[derive(Debug)]
struct Finding {
    times: usize,
    shortest: Schedule,
}

impl Findings {
    /// How many schedules broke `clause`.
    pub fn times(&self, clause: Clause) -> usize {
        self.broken.get(&clause).map_or(0, |finding| finding.times)
    }

    /// The clauses that were broken.
    pub fn broken(&self) -> Vec<Clause> {
        self.broken.keys().copied().collect()
    }

    /// # Panics
    ///
    /// If anything was found, with all of it.
    #[track_caller]
    pub fn assert_none(&self) {
        assert!(self.broken.is_empty(), "the conservation law is broken\n{self}");
    }

    /// Shortening takes time: the first few findings of a clause are enough for it.
    fn add(&mut self, clause: Clause, schedule: &Schedule, breaks: impl Fn(&Schedule) -> bool) {
        let enough = if schedule.threads { 2 } else { 10 };
        let finding = self.broken.entry(clause).or_insert_with(|| Finding { times: 0, shortest: schedule.clone() });
        finding.times += 1;
        if finding.times <= enough {
            let shorter = shortened(schedule, breaks);
            if finding.times == 1 || shorter.steps.len() < finding.shortest.steps.len() {
                finding.shortest = shorter;
            }
        }
    }
}

/// The shortest prefix of `schedule` that still `breaks`, less every step that it can do without.
fn shortened(schedule: &Schedule, breaks: impl Fn(&Schedule) -> bool) -> Schedule {
    // A race may need some luck.
    let tries = if schedule.threads { 10 } else { 1 };
    let breaks = |part: &Schedule| (0..tries).any(|_| breaks(part));
    let lengths = (0..schedule.steps.len()).step_by(1 + schedule.steps.len() / 32);
    let prefix = lengths.map(|length| schedule.prefix(length)).find(|prefix| breaks(prefix));
    let mut shortest = prefix.unwrap_or_else(|| schedule.clone());
    loop {
        let before = shortest.steps.len();
        for index in (0..before).rev() {
            let shorter = shortest.without(index);
            if breaks(&shorter) {
                shortest = shorter;
            }
        }
        // What one step was needed for may be gone now.
        if shortest.steps.len() == before || schedule.threads {
            return shortest;
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} schedules", self.subject, self.schedules)?;
        for (clause, Finding { times, shortest }) in &self.broken {
            writeln!(f, "  {clause:?}: {times}, shortest: {shortest}")?;
        }
        Ok(())
    }
}

/// The seeds to try with actors that take turns: `0..default`, or what the environment variable `CONSERVATION_SEEDS`
/// says: `20000`, or `20000..40000`.
///
/// # Panics
///
/// If the variable says anything else.
pub fn seeds(default: u64) -> Range<u64> {
    let number = |text: &str| text.parse().expect("CONSERVATION_SEEDS is a number or a range of numbers");
    match std::env::var("CONSERVATION_SEEDS") {
        Err(_) => 0..default,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        },
    }
}

/// The seeds to try with threads, which take longer: a tenth of [`seeds`].
pub fn thread_seeds(default: u64) -> Range<u64> {
    let seeds = seeds(default * 10);
    seeds.start / 10..seeds.end / 10
}

/// Where actors leave what they are when their threads end.
type Stage<A> = Arc<Mutex<Vec<A>>>;
