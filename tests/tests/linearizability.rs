//! Point 6: whatever threads do with a channel at once, a queue that does one thing at a time could have done, too.
//!
//! Programs are drawn at random, each is run many times, and each history must have an explanation: see
//! `greenlight_tests::linearizability`. That the examination finds what is wrong is shown with channels that are.
//!
//! `LINEARIZABILITY_CASES`, or `PROPTEST_CASES`, is the number of programs for each channel. The programs come from a
//! random seed, which a failure prints; with `LINEARIZABILITY_SEED` they come again.

use greenlight::channel as greenlight_channel;
use greenlight::channel::{Receiver, Sender, StaticChannel, bounded, bounded_strict, unbounded};
use greenlight_tests::linearizability::{
    Call, Effort, Failure, Flaw, Half, Model, Outcome, Program, Reference, Ring, Subject, examine,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use std::{
    cell::RefCell,
    collections::hash_map::RandomState,
    env,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

const CASES: u32 = 100;
const EFFORT: Effort = Effort { repetitions: 20, patience: Duration::from_secs(10) };

/// For channels known to be wrong: they need no proof.
const LITTLE_EFFORT: Effort = Effort { patience: Duration::from_millis(100), ..EFFORT };

struct Greenlight(Sender<u32>, Receiver<u32>);

impl Greenlight {
    fn new(capacity: Option<usize>) -> Self {
        let (tx, rx) = capacity.map_or_else(unbounded, bounded);
        Self(tx, rx)
    }

    fn strict(capacity: usize) -> Self {
        let (tx, rx) = bounded_strict(capacity);
        Self(tx, rx)
    }

    fn model(capacity: Option<usize>) -> Model {
        match capacity {
            Some(capacity) if capacity > 0 => Model::ring(capacity),
            _ => Model::strict(capacity),
        }
    }
}

/// The calls that greenlight and crossbeam-channel share, by the same names.
macro_rules! shared_calls {
    ($channel:ident, $tx:expr, $rx:expr, $call:expr) => {
        match $call {
            Call::TrySend(value) => match $tx.try_send(value) {
                Ok(()) => Outcome::Sent,
                Err($channel::TrySendError::Full(back)) => failed(value, back, Outcome::Full),
                Err($channel::TrySendError::Disconnected(back)) => failed(value, back, Outcome::Disconnected),
            },
            Call::SendTimeout(value, limit) => match $tx.send_timeout(value, limit) {
                Ok(()) => Outcome::Sent,
                Err($channel::SendTimeoutError::Timeout(back)) => failed(value, back, Outcome::TimedOut),
                Err($channel::SendTimeoutError::Disconnected(back)) => failed(value, back, Outcome::Disconnected),
            },
            Call::Send(value) => match $tx.send(value) {
                Ok(()) => Outcome::Sent,
                Err(error) => failed(value, error.into_inner(), Outcome::Disconnected),
            },
            Call::TryRecv => match $rx.try_recv() {
                Ok(value) => Outcome::Received(value),
                Err($channel::TryRecvError::Empty) => Outcome::Empty,
                Err($channel::TryRecvError::Disconnected) => Outcome::Disconnected,
            },
            Call::RecvTimeout(limit) => match $rx.recv_timeout(limit) {
                Ok(value) => Outcome::Received(value),
                Err($channel::RecvTimeoutError::Timeout) => Outcome::TimedOut,
                Err($channel::RecvTimeoutError::Disconnected) => Outcome::Disconnected,
            },
            Call::Recv => $rx.recv().map_or(Outcome::Disconnected, Outcome::Received),
            Call::Len => Outcome::Count($rx.len()),
            Call::IsEmpty => Outcome::Flag($rx.is_empty()),
            Call::IsFull => Outcome::Flag($tx.is_full()),
            other => unreachable!("{other} is not shared"),
        }
    };
}

fn failed(value: u32, back: u32, outcome: Outcome) -> Outcome {
    if value == back { outcome } else { Outcome::GaveBackOther(back) }
}

impl Subject for Greenlight {
    fn call(&self, call: Call) -> Outcome {
        let Self(tx, rx) = self;
        match call {
            Call::Close(Half::Sender) => Outcome::Flag(tx.close()),
            Call::Close(Half::Receiver) => Outcome::Flag(rx.close()),
            Call::IsClosed => Outcome::Flag(rx.is_closed()),
            other => shared_calls!(greenlight_channel, tx, rx, other),
        }
    }
}

struct InStatic<const N: usize>(StaticChannel<u32, N>);

impl<const N: usize> Subject for InStatic<N> {
    fn call(&self, call: Call) -> Outcome {
        let (tx, rx) = (self.0.sender(), self.0.receiver());
        match call {
            Call::Close(Half::Sender) => Outcome::Flag(tx.close()),
            Call::Close(Half::Receiver) => Outcome::Flag(rx.close()),
            Call::IsClosed => Outcome::Flag(rx.is_closed()),
            other => shared_calls!(greenlight_channel, tx, rx, other),
        }
    }
}

/// It has no `close`: that is for the last handle.
struct Crossbeam(crossbeam_channel::Sender<u32>, crossbeam_channel::Receiver<u32>);

impl Subject for Crossbeam {
    fn call(&self, call: Call) -> Outcome {
        shared_calls!(crossbeam_channel, self.0, self.1, call)
    }
}

/// Which calls a program may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    All,
    /// None that closes, and none that waits without a limit: that a close must end.
    WithoutClose,
}

fn programs(calls: Calls) -> impl Strategy<Value = Program> {
    let limit = || prop_oneof![Just(0), Just(30), Just(200)].prop_map(Duration::from_micros);
    let send = prop_oneof![
        4 => Just(Call::TrySend(0)),
        2 => limit().prop_map(|limit| Call::SendTimeout(0, limit)),
    ];
    let recv = prop_oneof![
        4 => Just(Call::TryRecv),
        2 => limit().prop_map(Call::RecvTimeout),
    ];
    let count = prop_oneof![Just(Call::Len), Just(Call::IsEmpty), Just(Call::IsFull)];
    let closing =
        prop_oneof![Just(Call::Close(Half::Sender)), Just(Call::Close(Half::Receiver)), Just(Call::IsClosed),];
    let patient = prop_oneof![Just(Call::Send(0)), Just(Call::Recv)];
    let more = u32::from(calls == Calls::All);
    // A weight may not be 0.
    let call = prop_oneof![
        60 => send,
        60 => recv,
        8 => count,
        1 + 11 * more => if more == 1 { closing.boxed() } else { Just(Call::Len).boxed() },
        1 + 31 * more => if more == 1 { patient.boxed() } else { Just(Call::Len).boxed() },
    ];
    vec(vec(call, 2..=5), 2..=4).prop_map(numbered)
}

/// With a value of its own for each send: thread 2's second call sends 22.
fn numbered(mut threads: Vec<Vec<Call>>) -> Program {
    for (thread, calls) in threads.iter_mut().enumerate() {
        for (at, call) in calls.iter_mut().enumerate() {
            if let Call::TrySend(value) | Call::SendTimeout(value, _) | Call::Send(value) = call {
                *value = (10 * thread + at + 1) as u32;
            }
        }
    }
    Program(threads)
}

/// A search for a failure.
struct Hunt {
    calls: Calls,
    /// Programs.
    cases: u32,
    effort: Effort,
    /// How long to look for a smaller program, once one has failed. It may fail seldom.
    shrink: Duration,
}

impl Hunt {
    fn thorough(calls: Calls, cases: u32) -> Self {
        Self { calls, cases, effort: EFFORT, shrink: Duration::from_secs(20) }
    }

    fn quick(cases: u32) -> Self {
        Self { calls: Calls::All, cases, effort: LITTLE_EFFORT, shrink: Duration::ZERO }
    }

    /// The first failure, and the seed of the programs.
    fn run<S: Subject>(&self, model: &Model, subject: impl Fn() -> S) -> Result<(), (Box<Failure>, u64)> {
        let seed = from_env("LINEARIZABILITY_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            max_shrink_time: self.shrink.as_millis() as u32,
            max_shrink_iters: if self.shrink.is_zero() { 0 } else { u32::MAX },
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));

        let last = RefCell::new(None);
        let result = runner.run(&(programs(self.calls), any::<u64>().no_shrink()), |(program, seed)| {
            examine(&subject, model, &program, self.effort, seed).map_err(|failure| {
                last.replace(Some(failure));
                TestCaseError::fail("see the failure")
            })
        });
        match (result, last.into_inner()) {
            (Ok(()), _) => Ok(()),
            (Err(TestError::Fail(..)), Some(failure)) => Err((failure, seed)),
            (Err(other), _) => panic!("{other}"),
        }
    }
}

fn from_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

fn cases() -> u32 {
    let set = from_env("LINEARIZABILITY_CASES").or_else(|| from_env("PROPTEST_CASES"));
    set.map_or(CASES, |cases| cases.try_into().expect("a number of cases"))
}

#[track_caller]
fn assert_linearizable<S: Subject>(calls: Calls, cases: u32, model: &Model, subject: impl Fn() -> S) {
    if let Err((failure, seed)) = Hunt::thorough(calls, cases).run(model, subject) {
        panic!("{model:?}: {failure}\nThe programs again: LINEARIZABILITY_SEED={seed}");
    }
}

#[track_caller]
fn assert_greenlight(capacity: Option<usize>) {
    assert_linearizable(Calls::All, cases(), &Greenlight::model(capacity), || Greenlight::new(capacity));
}

#[test]
fn unbuffered() {
    assert_greenlight(Some(0));
}

#[test]
fn buffer_of_one() {
    assert_greenlight(Some(1));
}

#[test]
fn buffer_of_two() {
    assert_greenlight(Some(2));
}

#[test]
fn buffer_of_three() {
    assert_greenlight(Some(3));
}

#[test]
fn strict_buffers() {
    for capacity in 1..=3 {
        let cases = cases().div_ceil(2);
        assert_linearizable(Calls::All, cases, &Model::pool(capacity), || Greenlight::strict(capacity));
    }
}

#[test]
fn in_a_static() {
    assert_linearizable(Calls::All, cases(), &Model::pool(2), || InStatic::<2>(StaticChannel::new()));
}

#[test]
fn without_a_limit() {
    assert_greenlight(None);
}

// The examination itself ----------------------------------------------------------------------------------------------

const CAPACITIES: [Option<usize>; 5] = [Some(0), Some(1), Some(2), Some(3), None];

/// No false alarm.
#[test]
fn a_correct_channel_passes() {
    for capacity in CAPACITIES {
        assert_linearizable(Calls::All, cases() / 5, &Model::strict(capacity), || Reference::new(capacity, None));
    }
}

#[test]
fn each_flaw_is_found() {
    for flaw in Flaw::ALL {
        let found = (0..1_000).find_map(|round| {
            let capacity = CAPACITIES[round % CAPACITIES.len()];
            Hunt::quick(5).run(&Model::strict(capacity), || Reference::new(capacity, Some(flaw))).err()
        });
        let (failure, _) = found.unwrap_or_else(|| panic!("{flaw:?} was not found"));
        println!("{flaw:?}: {failure}\n");
    }
}

/// A ring that does not wait fails the strict examination, and passes the one that knows rings.
#[test]
fn a_ring_hides_values_and_room_behind_calls_at_work() {
    for capacity in 1..=3 {
        let strict = Hunt::quick(5_000).run(&Model::strict(Some(capacity)), || Ring::new(capacity));
        let (failure, _) = strict.expect_err("a ring is not a strict queue");
        println!("{failure}\n");
        assert_linearizable(Calls::All, cases() / 3, &Model::ring(capacity), || Ring::new(capacity));
    }
}

/// Not for CI: what is wrong with others is not ours to say each day.
#[test]
#[ignore = "examines crossbeam-channel"]
fn a_peer() {
    for capacity in CAPACITIES {
        assert_linearizable(Calls::WithoutClose, cases(), &Model::strict(capacity), || {
            let (tx, rx) = capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
            Crossbeam(tx, rx)
        });
        println!("{capacity:?}: nothing found");
    }
}
