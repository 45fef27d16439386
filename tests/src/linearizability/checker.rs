//! The search for an order in which the model does what the history says: Wing and Gong's, with Lowe's memory.
//!
//! A call may come next if no other that is left had ended before it began. The search takes one that may and whose
//! outcome is right (or two that meet), goes on from there, and goes back when it is stuck. Whether what is left can be
//! explained depends only on which calls those are and on the state, so each such pair is tried once.
//!
//! The moments: each call of the order is given the earliest there is, just after the latest beginning among those up
//! to it. That is right for all (ends are later, or the call could not have come next), and it is best for whoever
//! needs another call to be *still* at work, which is all that the model asks about moments.

use super::{
    history::{History, Operation, Outcome, Pending},
    model::{CallId, Model, State},
};
use std::{collections::HashSet, fmt};

/// Why a history is none of a correct channel.
#[derive(Clone, Debug)]
pub struct Unexplained(String);

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order that explains the operations that returned, as their places in the history; the counts are not among them.
///
/// # Errors
///
/// If there is none.
///
/// # Panics
///
/// With more than 64 operations.
pub fn check(model: &Model, history: &History) -> Result<Vec<usize>, Unexplained> {
    let mut search = Search::new(model, &history.operations, |_| true);
    if search.run() { Ok(search.order) } else { Err(search.why()) }
}

/// What there is to say when all who have not finished wait without a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standstill {
    /// Some order explains what returned, and why each of the others waits.
    Right,
    /// Whatever the order, somebody waits for what is there. He may just be on his way.
    Owed,
    /// What returned cannot be explained without those who have not: they are on their way.
    Unexplained,
}

/// Whether those who wait do so rightly.
pub fn standstill(model: &Model, history: &History) -> Standstill {
    let waiting: &[Pending] = &history.pending;
    let right = |state: &State| !waiting.iter().any(|one| model.is_owed(state, one.call, waiting));
    if Search::new(model, &history.operations, right).run() {
        Standstill::Right
    } else if Search::new(model, &history.operations, |_| true).run() {
        Standstill::Owed
    } else {
        Standstill::Unexplained
    }
}

/// The weaker check: each count lies between those that the calls around it allow.
///
/// Sends that had ended before it are in the channel, unless received by somebody who began before its end; and at most
/// those are that began before its end, without those received before it began. Never more than the capacity.
///
/// Without a limit, a send takes its place in the order before it puts the value there, and a receive that does not wait
/// for it may send it to another place, or into a close. So a send that fails may be counted while it is at work.
///
/// # Errors
///
/// If one does not.
pub fn check_counts(model: &Model, history: &History) -> Result<(), Unexplained> {
    let of = |outcome: fn(&Operation) -> bool| history.operations.iter().filter(move |op| outcome(op));
    let sent = || of(|op| op.outcome == Outcome::Sent);
    let received = || of(|op| matches!(op.outcome, Outcome::Received(_)));
    let refused = || of(|op| op.call.value().is_some() && op.outcome == Outcome::Disconnected);
    for look in of(|op| op.call.is_count()) {
        use super::history::Call::*;
        let surely_in = sent().filter(|op| op.end < look.begin).count();
        let maybe_in = sent().filter(|op| op.begin < look.end).count();
        let surely_out = received().filter(|op| op.end < look.begin).count();
        let maybe_out = received().filter(|op| op.begin < look.end).count();
        let least = surely_in.saturating_sub(maybe_out);
        let at_work = |op: &&Operation| op.begin < look.end && look.begin < op.end;
        let most = match model.capacity {
            Some(capacity) => maybe_in.saturating_sub(surely_out).min(capacity),
            None => (maybe_in + refused().filter(at_work).count()).saturating_sub(surely_out),
        };
        let right = match (look.call, look.outcome) {
            (Len, Outcome::Count(count)) => (least..=most).contains(&count),
            (IsEmpty, Outcome::Flag(empty)) => {
                if empty {
                    least == 0
                } else {
                    most > 0
                }
            }
            (IsFull, Outcome::Flag(true)) => model.capacity.is_some_and(|capacity| most >= capacity),
            (IsFull, Outcome::Flag(false)) => model.capacity.is_none_or(|capacity| least < capacity),
            _ => false,
        };
        if !right {
            let why = format!("{}: {:?}, but between {least} and {most} values were there", look.call, look.outcome);
            return Err(Unexplained(why));
        }
    }
    Ok(())
}

struct Search<'a, A> {
    model: &'a Model,
    operations: &'a [Operation],
    /// Whether it may end in this state.
    accept: A,
    /// All that the order has to hold, and what it holds, a bit for each place in `operations`.
    all: u64,
    order: Vec<usize>,
    tried: HashSet<(u64, State)>,
    deepest: (Vec<usize>, State),
}

impl<'a, A: Fn(&State) -> bool> Search<'a, A> {
    fn new(model: &'a Model, operations: &'a [Operation], accept: A) -> Self {
        assert!(operations.len() <= 64, "a history of {} operations is too long", operations.len());
        let in_search = operations.iter().enumerate().filter(|(_, op)| !op.call.is_count());
        let all = in_search.map(|(id, _)| 1 << id).sum();
        Self { model, operations, accept, all, order: vec![], tried: HashSet::new(), deepest: Default::default() }
    }

    fn run(&mut self) -> bool {
        self.go_on(0, 0, &State::default())
    }

    /// From the moment `now`, when the calls of `done` are over and left `state` behind.
    fn go_on(&mut self, done: u64, now: u64, state: &State) -> bool {
        if done == self.all {
            return (self.accept)(state);
        }
        if !self.tried.insert((done, state.clone())) {
            return false;
        }
        if self.order.len() >= self.deepest.0.len() {
            self.deepest = (self.order.clone(), state.clone());
        }
        let next = self.next(done);
        for &id in &next {
            let op = &self.operations[id];
            let then = now.max(op.begin);
            let at_work = |other: CallId| self.operations[other].end > then;
            let overlap = |other: &CallId| *other != id && at_work(*other) && self.operations[*other].begin < op.end;
            let others = || (0..self.operations.len()).filter(overlap).count();
            let after = self.model.step(state, id, op, at_work, others);
            if after.is_some_and(|after| self.take(&[id], done, then, &after)) {
                return true;
            }
            for &peer_id in &next {
                let peer = &self.operations[peer_id];
                if self.model.meet(state, op, peer) && self.take(&[id, peer_id], done, then.max(peer.begin), state) {
                    return true;
                }
            }
        }
        false
    }

    fn take(&mut self, ids: &[usize], done: u64, now: u64, after: &State) -> bool {
        self.order.extend(ids);
        let found = self.go_on(ids.iter().fold(done, |done, id| done | 1 << id), now, after);
        if !found {
            self.order.truncate(self.order.len() - ids.len());
        }
        found
    }

    /// The calls that may come next.
    fn next(&self, done: u64) -> Vec<usize> {
        let left = || (0..self.operations.len()).filter(move |id| self.all & !done & 1 << id != 0);
        let first_end = left().map(|id| self.operations[id].end).min();
        left().filter(|id| Some(self.operations[*id].begin) < first_end).collect()
    }

    /// How far the longest order came.
    fn why(&self) -> Unexplained {
        let (order, state) = &self.deepest;
        let names = |ids: &[usize]| {
            let ops = ids.iter().map(|id| &self.operations[*id]);
            ops.map(|op| format!("\n    thread {} {}: {:?}", op.thread, op.call, op.outcome)).collect::<String>()
        };
        let done = order.iter().fold(0, |done, id| done | 1 << id);
        let queue: Vec<_> = state.queue.iter().map(|(value, _)| value).collect();
        let open = if state.closed { "closed" } else { "open" };
        let (order, next) = (names(order), names(&self.next(done)));
        Unexplained(format!(
            "no order explains it. The longest that does, as far as it goes:{order}\n\
             Then it is {open} and holds {queue:?}, and none of these can come next, or what follows cannot:{next}"
        ))
    }
}
