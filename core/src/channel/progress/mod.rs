//! What `mod.rs` promises under "Progress", tested: one thread stops for ever in the middle of an operation, at each of its
//! steps in turn, and the others must get on.
//!
//! ```text
//!   the stopped thread   ── operation ── k-th step ■ · · · · · · · · · · · · · · · · ▶ late: goes on to the operation's end
//!   two others                                     ── try_send, try_recv ──▶
//!   one more                                                                ── look, drain, close ──▶
//! ```
//!
//! * V1  Every call of the others returns: a hang fails the test, by the name of its case.
//! * V2  Nothing comes twice, and each producer's values come in order to whoever takes them.
//! * V3  What was sent is received, or still there when the channel is drained, but for the one value that the stopped thread
//!   may have in its hands. Behind a stopped thread's slot in a `Ring`, up to a whole ring may be hidden.
//! * V4  Whoever slept for what the others bring is awake.
//! * V5  When the thread goes on after all, late, it comes to its end, and every value has then come to exactly one end of its
//!   own: hidden ones included.
//!
//! The steps are those of `sync/steps.rs`. `GREENLIGHT_PROGRESS_OPS` says how many `try_` calls the two others make together,
//! at each step of each case.

use super::{Receiver, Sender, TryRecvError, TrySendError, bounded, bounded_strict, unbounded};
use crate::{
    park::{self, Hooks, Why},
    sync::steps::{self, At, Watch},
};
use cases::{CASES, Case, Helper, Holds, Keeps};
use core::time::Duration;
use std::{
    boxed::Box,
    format, println,
    string::String,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::*},
        mpsc,
    },
    thread,
    time::Instant,
    vec::Vec,
};

mod cases;

const OPERATIONS: usize = 10_000;
/// For a call, to return: it detects a hang, it measures nothing.
const LIMIT: Duration = Duration::from_secs(60);
/// More steps than any operation has.
const MANY: u64 = 2_000;

/// A kind of channel, and where in it the case begins.
pub(super) struct Kind {
    name: &'static str,
    /// None: unbounded.
    capacity: Option<usize>,
    /// Nothing hides anything: `bounded_strict`, and with it the channels in statics, whose buffer is the same.
    strict: bool,
    /// Values that have passed through before.
    passed: usize,
}

impl Kind {
    fn is_rendezvous(&self) -> bool {
        self.capacity == Some(0)
    }

    fn is_unbounded(&self) -> bool {
        self.capacity.is_none()
    }

    /// How many values may be out of reach behind a stopped thread (R3 in `ring.rs`).
    fn hides(&self) -> usize {
        self.capacity.filter(|_| !self.strict).unwrap_or(0)
    }

    fn make(&self) -> (Sender<Token>, Receiver<Token>) {
        match self.capacity {
            None => unbounded(),
            Some(capacity) if self.strict => bounded_strict(capacity),
            Some(capacity) => bounded(capacity),
        }
    }
}

/// Who made a value: in each hand, its values are in order.
const MAKERS: usize = 5;
const SETUP: usize = 2;
const STOPPED: usize = 3;
const HELPER: usize = 4;

/// What became of every value of a run.
struct Ledger {
    /// Values of one maker.
    each: usize,
    made: Box<[AtomicU8]>,
    sent: Box<[AtomicU8]>,
    ended: Box<[AtomicU8]>,
}

impl Ledger {
    fn new(each: usize) -> Arc<Self> {
        let none = || (0..each * MAKERS).map(|_| AtomicU8::new(0)).collect();
        Arc::new(Self { each, made: none(), sent: none(), ended: none() })
    }

    fn make(self: &Arc<Self>, maker: usize, number: usize) -> Token {
        assert!(number < self.each);
        let id = maker * self.each + number;
        self.made[id].fetch_add(1, SeqCst);
        Token { id, ledger: self.clone() }
    }

    /// How many values are out of reach: sent, not received. Or which one came twice.
    fn missing(&self) -> Result<usize, String> {
        let mut missing = 0;
        for (id, ended) in self.ended.iter().enumerate() {
            match ended.load(SeqCst) {
                0 => missing += usize::from(self.sent[id].load(SeqCst) > 0),
                1 => {}
                _ => return Err(format!("{} came twice", self.name(id))),
            }
        }
        Ok(missing)
    }

    /// Every value has come to its end, once.
    fn close(&self) -> Result<(), String> {
        let ends = |id: &usize| self.ended[*id].load(SeqCst) != self.made[*id].load(SeqCst);
        match (0..self.ended.len()).find(ends) {
            Some(id) => Err(format!("{} came to {} ends", self.name(id), self.ended[id].load(SeqCst))),
            None => Ok(()),
        }
    }

    fn name(&self, id: usize) -> String {
        format!("value {} of maker {}", id % self.each, id / self.each)
    }
}

/// A value whose end, by receipt or by drop, is in the ledger.
pub(super) struct Token {
    id: usize,
    ledger: Arc<Ledger>,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.ledger.ended[self.id].fetch_add(1, SeqCst);
    }
}

/// What one of the others has received: the number after the last, of each maker (V2).
#[derive(Clone, Copy, Default)]
struct Seen([usize; MAKERS]);

impl Seen {
    fn receive(&mut self, token: &Token) -> Result<(), String> {
        let (maker, number) = (token.id / token.ledger.each, token.id % token.ledger.each);
        let next = &mut self.0[maker];
        if number < *next {
            return Err(format!("{} after one with number {}", token.ledger.name(token.id), *next - 1));
        }
        *next = number + 1;
        Ok(())
    }

    fn with(self, other: Self) -> Self {
        Self(core::array::from_fn(|maker| self.0[maker].max(other.0[maker])))
    }
}

/// One thread's handles; what it is to send, and what has come to it.
pub(super) struct Hands {
    tx: Option<Sender<Token>>,
    rx: Option<Receiver<Token>>,
    /// The other channel of a select, on which nothing happens.
    other: (Sender<Token>, Receiver<Token>),
    value: Option<Token>,
    kept: Vec<Token>,
}

impl Hands {
    fn new(tx: Option<Sender<Token>>, rx: Option<Receiver<Token>>, value: Token) -> Self {
        Self { tx, rx, other: bounded(1), value: Some(value), kept: Vec::new() }
    }
}

/// A thread that is watched.
struct Watched {
    watch: &'static Watch,
    done: mpsc::Receiver<u64>,
}

impl Watched {
    fn start(mut hands: Hands, stop: u64, operation: fn(&mut Hands)) -> Self {
        let (tell, done) = mpsc::channel();
        let watch = Watch::new();
        spawn(move || {
            let steps = watch.over(stop, || operation(&mut hands));
            drop(hands);
            _ = tell.send(steps);
        });
        Self { watch, done }
    }

    /// Where it is once it does not run.
    fn settle(&self) -> Result<At, String> {
        match self.watch.wait_while(|at| at == At::Running, LIMIT) {
            At::Running => Err(String::from("the thread neither stops nor sleeps nor finishes")),
            at => Ok(at),
        }
    }

    fn steps(&self) -> Result<u64, String> {
        self.done.recv_timeout(LIMIT).map_err(|_| String::from("a thread does not come to its end, or panicked"))
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    // Thousands may be alive, if a test fails to let them go.
    thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap();
}

/// Runs `calls` on another thread, and waits for them, but not for ever (V1).
fn guarded<R: Send + 'static>(
    what: &'static str,
    calls: impl FnOnce() -> Result<R, String> + Send + 'static,
) -> impl FnOnce() -> Result<R, String> {
    let (tell, told) = mpsc::channel();
    spawn(move || _ = tell.send(calls()));
    move || match told.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("{what}: a call does not return")),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(format!("{what}: a panic")),
    }
}

/// What the stopped thread does when everybody else is through.
#[derive(Clone, Copy, Debug)]
enum Late {
    /// It goes on in an open channel.
    Open,
    /// The channel was closed, and drained, meanwhile.
    Closed,
}

struct Run {
    kind: &'static Kind,
    case: &'static Case,
    stop: u64,
    late: Late,
    operations: usize,
}

struct Outcome {
    /// The operation has fewer steps than were asked for.
    over: bool,
    hidden: usize,
}

impl Run {
    fn go(&self) -> Result<Outcome, String> {
        let Self { kind, case, .. } = *self;
        let ledger = Ledger::new(self.operations + 256);
        let (tx, rx) = kind.make();
        self.set_up(&ledger, &tx, &rx);
        let helper = case.helper.map(|helper| {
            let operation = match helper {
                Helper::Receives => cases::recv,
                Helper::Sends => cases::send,
            };
            let handles = match helper {
                Helper::Receives => (None, Some(rx.clone())),
                Helper::Sends => (Some(tx.clone()), None),
            };
            Watched::start(Hands::new(handles.0, handles.1, ledger.make(HELPER, 0)), u64::MAX, operation)
        });
        if let Some(helper) = &helper {
            assert_eq!(helper.settle()?, At::Waiting, "the case wants somebody who waits");
        }

        let (stopped, tx, rx) = match case.keeps {
            Keeps::Both => {
                (Hands::new(Some(tx.clone()), Some(rx.clone()), ledger.make(STOPPED, 0)), Some(tx), Some(rx))
            }
            Keeps::LastSender => (Hands::new(Some(tx), None, ledger.make(STOPPED, 0)), None, Some(rx)),
            Keeps::LastReceiver => (Hands::new(None, Some(rx), ledger.make(STOPPED, 0)), Some(tx), None),
        };
        let stopped = Watched::start(stopped, self.stop, case.operation);
        let before = stopped.settle()?;

        let others = [0, 1].map(|maker| {
            let other = Other { ledger: ledger.clone(), maker, tx: tx.clone(), rx: rx.clone(), seen: Seen::default() };
            let (operations, refuses) = (self.operations / 2, !kind.is_unbounded());
            let closes = case.closes;
            guarded("try_send, try_recv", move || other.go(operations, refuses, closes))
        });
        let mut seen = Seen::default();
        for other in others {
            seen = seen.with(other()?);
        }
        if before == At::Waiting {
            self.is_awake(&stopped, tx.as_ref(), rx.as_ref())?;
        }

        let last = Other { ledger: ledger.clone(), maker: SETUP, tx: tx.clone(), rx: rx.clone(), seen };
        let late = self.late;
        let (end, drained) = guarded("look, drain, close", move || last.finish(late))()?;
        let at = stopped.watch.wait_while(|_| false, Duration::ZERO);
        let mut hidden = 0;
        if rx.is_some() {
            let held = usize::from(case.holds == Holds::Another) + usize::from(case.helper == Some(Helper::Receives));
            let missing = drained.saturating_sub(held);
            if missing > kind.hides() {
                return Err(format!("{drained} values are out of reach: {held} may be, and {} hidden", kind.hides()));
            }
            hidden = missing;
            if matches!(late, Late::Closed)
                && kind.hides() == 0
                && !kind.is_rendezvous()
                && end != Some(TryRecvError::Disconnected)
            {
                return Err(format!("closed and drained, it says {end:?}"));
            }
        }

        // Late.
        stopped.watch.release();
        let settled = stopped.settle()?;
        _ = (tx.map(|tx| tx.close()), rx.as_ref().map(Receiver::close));
        let steps = stopped.steps()?;
        if let Some(helper) = helper {
            helper.steps()?;
        }
        drop(rx);
        ledger.close().map_err(|why| format!("late ({late:?}, {at:?}, then {settled:?}): {why}"))?;
        Ok(Outcome { over: steps < self.stop, hidden })
    }

    fn set_up(&self, ledger: &Arc<Ledger>, tx: &Sender<Token>, rx: &Receiver<Token>) {
        let mut number = 0;
        let mut send = || {
            let token = ledger.make(SETUP, number);
            let id = token.id;
            number += 1;
            assert!(tx.try_send(token).is_ok());
            ledger.sent[id].store(1, SeqCst);
        };
        for _ in 0..self.kind.passed {
            send();
            assert!(rx.try_recv().is_ok());
        }
        (0..self.case.filled.values(self.kind)).for_each(|_| send());
    }

    /// V4. It may sleep on if there is nothing for it now: another was quicker.
    fn is_awake(
        &self,
        stopped: &Watched,
        tx: Option<&Sender<Token>>,
        rx: Option<&Receiver<Token>>,
    ) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let at = stopped.watch.wait_while(|at| at == At::Waiting, Duration::from_millis(100));
            let in_vain = match self.case.holds {
                Holds::Own => tx.is_some_and(Sender::is_full),
                Holds::Another => rx.is_some_and(Receiver::is_empty),
            };
            if at != At::Waiting || (in_vain && !self.kind.is_rendezvous()) {
                return Ok(());
            }
            if begin.elapsed() > LIMIT {
                return Err(String::from("the thread sleeps on: its wake-up is lost"));
            }
        }
    }
}

/// One of the threads that must get on.
struct Other {
    ledger: Arc<Ledger>,
    maker: usize,
    tx: Option<Sender<Token>>,
    rx: Option<Receiver<Token>>,
    seen: Seen,
}

impl Other {
    /// Sends some, receives some, and so on: more than a ring holds, so that it meets both of its ends.
    fn go(mut self, operations: usize, refuses: bool, closes: bool) -> Result<Seen, String> {
        const SOME: usize = 5;
        for number in 0..operations {
            if (number / SOME).is_multiple_of(2) {
                let Some(tx) = &self.tx else { continue };
                let token = self.ledger.make(self.maker, number);
                let id = token.id;
                match tx.try_send(token) {
                    Ok(()) => self.ledger.sent[id].store(1, SeqCst),
                    Err(TrySendError::Full(_)) if refuses => {}
                    Err(TrySendError::Disconnected(_)) if closes => {}
                    Err(error) => return Err(format!("try_send says {error:?}")),
                }
            } else {
                let Some(rx) = &self.rx else { continue };
                match rx.try_recv() {
                    Ok(token) => self.seen.receive(&token)?,
                    Err(TryRecvError::Disconnected) if !closes => return Err(String::from("closed by nobody")),
                    Err(_) => {}
                }
            }
        }
        Ok(self.seen)
    }

    /// All that is left, and how many are missing then. Closes the channel meanwhile, if it is to be closed.
    fn finish(mut self, late: Late) -> Result<(Option<TryRecvError>, usize), String> {
        // What else must not wait.
        _ = self.tx.clone().map(|tx| (tx.len(), tx.is_full(), tx.is_closed(), tx.capacity()));
        _ = self.rx.clone().map(|rx| (rx.len(), rx.is_empty(), rx.is_closed(), rx.capacity()));
        let mut end = self.drain()?;
        if let Late::Closed = late {
            _ = self.tx.as_ref().map(Sender::close);
            _ = self.rx.as_ref().map(Receiver::close);
            end = self.drain()?.or(end);
        }
        Ok((end, self.ledger.missing()?))
    }

    fn drain(&mut self) -> Result<Option<TryRecvError>, String> {
        let Some(rx) = &self.rx else { return Ok(None) };
        loop {
            match rx.try_recv() {
                Ok(token) => self.seen.receive(&token)?,
                Err(end) => return Ok(Some(end)),
            }
        }
    }
}

/// So that a watch hears of a sleep. Of any that may last: one with a time limit is a step on the way.
static HOOKS: Hooks = Hooks {
    wait: |_: &Why, deadline, poll| {
        let mut poll = |waker: &core::task::Waker| {
            let polled = poll(waker);
            if polled.is_pending() && deadline.is_none() {
                steps::about_to_wait();
            }
            polled
        };
        park::thread::wait(deadline, &mut poll, || false)
    },
    now: park::thread::now,
    random: park::default_random,
    cancel: None,
};

/// Every case of one kind of channel, stopped at every step.
fn every_case(kind: &'static Kind) {
    // SAFETY: the wait is `thread::wait`, which keeps the contract.
    unsafe { park::install(&HOOKS) }.unwrap();
    let operations = std::env::var("GREENLIGHT_PROGRESS_OPS").map_or(OPERATIONS, |n| n.parse().unwrap());
    let begin = Instant::now();
    let (mut cases, mut places, mut hidden) = (0, 0, 0);
    for case in CASES.iter().filter(|case| (case.on)(kind)) {
        cases += 1;
        let mut stop = 0;
        let mut over = false;
        while !over {
            stop += 1;
            over = true;
            assert!(stop < MANY, "{}: {}: it has no end", kind.name, case.name);
            for late in [Late::Open, Late::Closed] {
                let run = Run { kind, case, stop, late, operations };
                let outcome = run.go().unwrap_or_else(|why| {
                    panic!("{}: {}, stopped at step {stop}, late {late:?}: {why}", kind.name, case.name)
                });
                hidden += usize::from(outcome.hidden > 0);
                over &= outcome.over;
            }
        }
        places += stop - 1;
        println!("{}: {}: {} steps", kind.name, case.name, stop - 1);
    }
    assert!(cases > 0 && places > 0);
    let took = begin.elapsed();
    println!("{}: {cases} cases, {places} steps, hidden values in {hidden} runs, {took:.1?}", kind.name);
}

/// A test for each kind.
macro_rules! kinds {
    ($($test:ident: $name:literal, $capacity:expr, $strict:expr, $passed:expr;)*) => {
        $(#[test]
        fn $test() {
            static KIND: Kind = Kind { name: $name, capacity: $capacity, strict: $strict, passed: $passed };
            every_case(&KIND);
        })*
    };
}

kinds! {
    progress_bounded_0: "bounded(0)", Some(0), false, 0;
    progress_bounded_1: "bounded(1)", Some(1), false, 0;
    progress_bounded_2: "bounded(2)", Some(2), false, 1;
    progress_bounded_4: "bounded(4)", Some(4), false, 7;
    progress_strict_1: "bounded_strict(1)", Some(1), true, 0;
    progress_strict_2: "bounded_strict(2)", Some(2), true, 1;
    progress_strict_4: "bounded_strict(4)", Some(4), true, 7;
    progress_unbounded: "unbounded", None, false, 0;
    // 31 cells a segment: the last of the first one, and the way into the second and the third.
    progress_unbounded_in_its_first_segment: "unbounded, after 7", None, false, 7;
    progress_unbounded_before_its_segments_end: "unbounded, after 30", None, false, 30;
    progress_unbounded_at_its_segments_end: "unbounded, after 31", None, false, 31;
    progress_unbounded_at_its_second_segments_end: "unbounded, after 62", None, false, 62;
}
