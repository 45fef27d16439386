//! Schedules: who does what, in which order; written down, so that they can be replayed and shortened.
//!
//! A step that cannot be taken (no such handle any more, a future is pending, the channel has no such operation) is
//! skipped. So every part of a schedule is a schedule, and to shorten one is to leave steps out.

use super::CHANNELS;
use std::fmt;

/// What an actor does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Sends if that needs no wait.
    TrySend,
    /// Sends within so many microseconds.
    SendTimeout(u8),
    /// Receives if that needs no wait.
    TryRecv,
    /// Receives within so many microseconds.
    RecvTimeout(u8),
    /// Makes a future that sends, and does not poll it.
    SendAsync,
    /// Makes a future that receives, and does not poll it.
    RecvAsync,
    /// Polls the actor's future.
    Poll,
    /// Polls the actor's future with another waker than before.
    PollAnew,
    /// Drops the actor's future.
    Cancel,
    /// Drops the actor's future by unwinding.
    CancelByPanic,
    /// Receives if that needs no wait, and panics with the value in hand.
    RecvAndPanic,
    /// Makes a value, and panics before it is sent.
    PanicBeforeSend,
    /// Receives from whichever channel is first, within so many microseconds.
    SelectRecv(u8),
    /// Sends to this channel or receives from the other, if that needs no wait.
    SelectSend,
    /// Closes the channel by the sender.
    CloseSender,
    /// Closes the channel by the receiver.
    CloseReceiver,
    /// Clones both halves and drops the clones.
    CloneBoth,
    /// Drops this actor's sender.
    DropSender,
    /// Drops this actor's receiver.
    DropReceiver,
}

use Op::*;

/// One actor's next operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Which actor.
    pub actor: u8,
    /// On which channel.
    pub on: u8,
    /// What it does.
    pub op: Op,
}

/// How a schedule ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finale {
    /// Futures that were woken are polled to their end, the rest are cancelled, what is left is received.
    Drain,
    /// Everything is dropped as it stands, actor by actor.
    Abandon,
}

/// Some actors and what they do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Where it came from, if from chance.
    pub seed: Option<u64>,
    /// Of all its channels; `None` is unbounded.
    pub capacity: Option<usize>,
    /// Whether its values are larger than a pointer.
    pub large: bool,
    /// How many actors there are; each has a sender and a receiver of every channel.
    pub actors: u8,
    /// Whether each actor is a thread. If not, the steps happen in their order.
    pub threads: bool,
    /// Its end.
    pub finale: Finale,
    /// Its steps.
    pub steps: Vec<Step>,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capacity = self.capacity.map_or("unbounded".into(), |capacity| format!("capacity {capacity}"));
        let size = if self.large { "large" } else { "small" };
        let threads = if self.threads { "threads" } else { "actors" };
        write!(f, "[{capacity}, {size} values, {} {threads}", self.actors)?;
        if let Some(seed) = self.seed {
            write!(f, ", from seed {seed}")?;
        }
        f.write_str("]")?;
        for Step { actor, on, op } in &self.steps {
            let channel = if *on == 0 { "" } else { "'" };
            write!(f, " {actor}:{op:?}{channel}")?;
        }
        write!(f, " {:?}", self.finale)
    }
}

impl Schedule {
    /// Two actors that take turns on one channel, small values, and what is left is received: for findings to keep.
    pub fn of(capacity: Option<usize>, steps: &[(u8, Op)]) -> Self {
        let steps = steps.iter().map(|(actor, op)| Step { actor: *actor, on: 0, op: *op }).collect();
        Self { seed: None, capacity, large: false, actors: 2, threads: false, finale: Finale::Drain, steps }
    }

    /// A schedule by chance: 2 to 4 actors that take turns, mostly on the first channel.
    pub fn seeded(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let actors = 2 + dice.below(3) as u8;
        let length = 4 + dice.below(28);
        Self::by_chance(seed, &mut dice, actors, false, length)
    }

    /// A schedule by chance whose 2 or 3 actors are threads.
    pub fn seeded_threads(seed: u64) -> Self {
        let mut dice = Dice(seed ^ 0x7468_7265_6164);
        let actors = 2 + dice.below(2) as u8;
        let length = actors as usize * (10 + dice.below(40));
        Self::by_chance(seed, &mut dice, actors, true, length)
    }

    fn by_chance(seed: u64, dice: &mut Dice, actors: u8, threads: bool, length: usize) -> Self {
        let capacity = [Some(0), Some(1), Some(2), None][dice.below(4)];
        let large = dice.below(2) == 0;
        let finale = if dice.below(3) == 0 { Finale::Abandon } else { Finale::Drain };
        // Most schedules close nothing, so that a good part of their steps has an effect.
        let ending = dice.below(3) == 0;
        let step = |dice: &mut Dice| {
            let on = if dice.below(5) == 0 { 1 } else { 0 };
            Step { actor: dice.below(actors as usize) as u8, on, op: op_by_chance(dice, threads, ending) }
        };
        let steps = (0..length).map(|_| step(dice)).collect();
        Self { seed: Some(seed), capacity, large, actors, threads, finale, steps }
    }

    /// Each future, polled so many times, dropped in each way, with every two operations of another actor in between,
    /// polls between those too, over every capacity and every fill.
    pub fn enumerated() -> impl Iterator<Item = Self> {
        let fills =
            [(Some(0), 0), (Some(1), 0), (Some(1), 1), (Some(2), 0), (Some(2), 1), (Some(2), 2), (None, 0), (None, 1)];
        let shapes = fills.into_iter().flat_map(|fill| {
            let finales = [Finale::Drain, Finale::Abandon];
            finales.into_iter().flat_map(move |finale| [false, true].map(|large| (fill, finale, large)))
        });
        shapes.flat_map(|((capacity, fill), finale, large)| {
            plots().map(move |plot| {
                let fill = (0..fill).map(|_| Step { actor: 1, on: 0, op: TrySend });
                let steps = fill.chain(plot).collect();
                Self { seed: None, capacity, large, actors: 2, threads: false, finale, steps }
            })
        })
    }

    /// The schedule with its first `length` steps only.
    pub fn prefix(&self, length: usize) -> Self {
        Self { steps: self.steps[..length].to_vec(), ..self.clone() }
    }

    /// The schedule without one of its steps.
    pub fn without(&self, index: usize) -> Self {
        let mut shorter = self.clone();
        shorter.steps.remove(index);
        shorter
    }
}

/// What the other actor may do in between.
const TURNS: [&[Op]; 16] = [
    &[],
    &[TrySend],
    &[TryRecv],
    &[SendTimeout(0)],
    &[RecvTimeout(0)],
    &[SendAsync, Poll],
    &[RecvAsync, Poll],
    &[SendAsync, Poll, Cancel],
    &[RecvAsync, Poll, Cancel],
    &[RecvAndPanic],
    &[SelectRecv(0)],
    &[SelectSend],
    &[CloseSender],
    &[CloseReceiver],
    &[DropSender],
    &[DropReceiver],
];

fn plots() -> impl Iterator<Item = Vec<Step>> {
    let polls: [&[Op]; 4] = [&[], &[Poll], &[Poll, Poll], &[Poll, PollAnew]];
    let endings = [Some(Cancel), Some(CancelByPanic), Some(Poll), None];
    let futures = [SendAsync, RecvAsync].into_iter().flat_map(move |start| polls.map(|polls| (start, polls)));
    let first = futures.flat_map(|future| TURNS.map(|turn| (future, turn)));
    let second = first.flat_map(|(future, turn)| [None, Some(Poll)].map(|poll| (future, turn, poll)));
    let third = second.flat_map(|(future, turn, poll)| TURNS.map(|last| (future, turn, poll, last)));
    third.flat_map(move |((start, polls), turn, poll, last)| {
        endings.map(|ending| {
            let ours = |op: &Op| Step { actor: 0, on: 0, op: *op };
            let theirs = |op: &Op| Step { actor: 1, on: 0, op: *op };
            let mut steps = vec![ours(&start)];
            steps.extend(polls.iter().map(ours));
            steps.extend(turn.iter().map(theirs));
            steps.extend(poll.iter().map(ours));
            steps.extend(last.iter().map(theirs));
            steps.extend(ending.iter().map(ours));
            steps
        })
    })
}

fn op_by_chance(dice: &mut Dice, threads: bool, ending: bool) -> Op {
    // Alone on its thread, nobody comes while one waits: a longer limit only takes time.
    let longest = if threads { 60 } else { 1 };
    let limit = if dice.below(4) == 0 { dice.below(longest) as u8 } else { 0 };
    let all = if ending { 100 } else { 91 };
    match dice.below(all) {
        0..10 => TrySend,
        10..14 => SendTimeout(limit),
        14..24 => TryRecv,
        24..28 => RecvTimeout(limit),
        28..40 => SendAsync,
        40..52 => RecvAsync,
        52..68 => Poll,
        68..72 => PollAnew,
        72..79 => Cancel,
        79..81 => CancelByPanic,
        81..83 => RecvAndPanic,
        83..84 => PanicBeforeSend,
        84..87 => SelectRecv(limit),
        87..90 => SelectSend,
        90..91 => CloneBoth,
        91..93 => CloseSender,
        93..95 => CloseReceiver,
        95..98 => DropSender,
        _ => DropReceiver,
    }
}

/// SplitMix64: the same numbers for a seed everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % limit as u64) as usize
    }
}

const _: () = assert!(CHANNELS == 2, "a step names its channel, and the other one is the other one");
