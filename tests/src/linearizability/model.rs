//! The channel as it should be: a queue with a capacity and a flag, to which one thing happens at a time.
//!
//! | outcome                          | right when                                        | then              |
//! |----------------------------------|---------------------------------------------------|-------------------|
//! | `Sent`                           | open, and room                                    | value at the end  |
//! | `Received(v)`                    | `v` is the first                                  | the first is gone |
//! | `Full`; `TimedOut` of a send     | open, and no room                                 |                   |
//! | `Empty`; `TimedOut` of a receive | open, and no value                                |                   |
//! | `Disconnected` of a send         | closed                                            |                   |
//! | `Disconnected` of a receive      | closed, and no value                              |                   |
//! | `Flag` of a close                | true if open                                      | closed            |
//! | `Flag` of `is_closed`            | as it is                                          |                   |
//!
//! **Capacity 0** has neither room nor values, so the table holds but for its first two lines: a send and a receive
//! happen together, when open, unless both are `try_` calls (then nobody would have been waiting). Who waits cannot be
//! seen from outside: a receive that was called may not have come so far. So `Full` and `Empty` are right whenever
//! open.
//!
//! **[`Hides::BehindSlots`]**: a ring of stamped slots. A send takes effect when
//! it takes the next place at the end, and fills its slot later; a receive when it takes the first place, and frees its
//! slot later. Who looks at a slot that a call in the middle of its work holds does not wait for it:
//!
//! * `Empty` is right also when the send of the *first* value is in the middle of its work, closed or not, whatever
//!   stands behind. Later ones hide nothing. Nor do receives: they move the first place on before they read.
//! * `Full` is right also when open and the receive that took the value `capacity` places before the *end* is in the
//!   middle of its work: its slot is the next. Other receives hide nothing, and no send does: its place is taken.
//!
//! Nothing weaker is needed (no chain of calls that overlap with calls that overlap), because such a look is one
//! moment: the stamp of the slot at `first` says "not filled" only while `first` has not moved on, and the place then
//! either is not taken (empty) or its send is at work. The same holds for `end`, at the moment in which it was read.
//! `Disconnected` stays exact: that nobody is at work is in `first` and `end`. The argument wants every value to go
//! through the ring; one handed over beside it would shift what is `capacity` places before the end.
//!
//! **[`Hides::Places`]**: a pool of places. A send takes any place that is free, before it takes effect; a receive frees the
//! place of its value after that. So a call in the middle of its work may have one place that holds nothing yet, or no more:
//! `Full` is right also when open and no more places are free than there are such calls. `Empty` stays exact.

use super::history::{Call, Operation, Outcome, Pending, Value};
use std::collections::VecDeque;

/// Which channel it is.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// `None` for unbounded.
    pub capacity: Option<usize>,
    /// What its calls do not see while others are in the middle of their work.
    pub hides: Hides,
}

/// Whether `Empty` and `Full` may be due to a call that is in the middle of its work. See the file's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hides {
    /// Neither.
    Nothing,
    /// `Empty` and `Full`.
    BehindSlots,
    /// `Full`.
    Places,
}

/// A call, as its number in the history.
pub(super) type CallId = usize;

#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct State {
    pub(super) queue: VecDeque<(Value, CallId)>,
    pub(super) closed: bool,
    /// The last receives, `capacity` at most; only where they can hide something.
    receives: VecDeque<CallId>,
}

impl Model {
    /// The strict model: what the calls see is always exact.
    pub fn strict(capacity: Option<usize>) -> Self {
        Self { capacity, hides: Hides::Nothing }
    }

    /// A ring of stamped slots.
    pub fn ring(capacity: usize) -> Self {
        Self { capacity: Some(capacity), hides: Hides::BehindSlots }
    }

    /// A pool of places.
    pub fn pool(capacity: usize) -> Self {
        Self { capacity: Some(capacity), hides: Hides::Places }
    }

    fn has_room(&self, state: &State) -> bool {
        self.capacity.is_none_or(|capacity| state.queue.len() < capacity)
    }

    /// The state after the call number `id` if its outcome is right now; `at_work` says who is in the middle of a call,
    /// `others` how many are.
    pub(super) fn step(
        &self,
        state: &State,
        id: CallId,
        op: &Operation,
        at_work: impl Fn(CallId) -> bool,
        others: impl Fn() -> usize,
    ) -> Option<State> {
        use Outcome::*;
        let (closed, no_value) = (state.closed, state.queue.is_empty());
        let same = |right: bool| right.then(|| state.clone());
        match (op.call, op.outcome) {
            (Call::TrySend(value) | Call::SendTimeout(value, _) | Call::Send(value), Sent) => {
                let mut next = same(!closed && self.has_room(state))?;
                next.queue.push_back((value, id));
                Some(next)
            }
            (Call::TrySend(_), Full) | (Call::SendTimeout(..), TimedOut) => {
                let hidden = || self.room_is_hidden(state, at_work) || self.places_are_held(state, others);
                same(!closed && (!self.has_room(state) || hidden()))
            }
            (Call::TrySend(_) | Call::SendTimeout(..) | Call::Send(_), Disconnected) => same(closed),

            (Call::TryRecv | Call::RecvTimeout(_) | Call::Recv, Received(value)) => {
                let mut next = same(state.queue.front().is_some_and(|(first, _)| *first == value))?;
                next.queue.pop_front();
                if self.hides == Hides::BehindSlots {
                    next.receives.push_back(id);
                    if Some(next.receives.len()) > self.capacity {
                        next.receives.pop_front();
                    }
                }
                Some(next)
            }
            (Call::TryRecv, Empty) | (Call::RecvTimeout(_), TimedOut) => {
                same(!closed && no_value || self.value_is_hidden(state, at_work))
            }
            (Call::TryRecv | Call::RecvTimeout(_) | Call::Recv, Disconnected) => same(closed && no_value),

            (Call::Close(_), Flag(closes)) => same(closes != closed).map(|next| State { closed: true, ..next }),
            (Call::IsClosed, Flag(flag)) => same(flag == closed),
            _ => None,
        }
    }

    /// Whether the two calls meet now, a send and a receive without a buffer between them. It changes nothing.
    pub(super) fn meet(&self, state: &State, send: &Operation, receive: &Operation) -> bool {
        let sent = send.call.value().filter(|_| send.outcome == Outcome::Sent);
        let received = match receive.outcome {
            Outcome::Received(value) => Some(value),
            _ => None,
        };
        self.capacity == Some(0)
            && !state.closed
            && sent.is_some()
            && sent == received
            && !(send.call.is_try() && receive.call.is_try())
    }

    fn value_is_hidden(&self, state: &State, at_work: impl Fn(CallId) -> bool) -> bool {
        self.hides == Hides::BehindSlots && state.queue.front().is_some_and(|(_, send)| at_work(*send))
    }

    fn room_is_hidden(&self, state: &State, at_work: impl Fn(CallId) -> bool) -> bool {
        // Where nothing hides, no receive is remembered.
        let Some(capacity) = self.capacity else { return false };
        let before_end =
            capacity.checked_sub(state.queue.len()).and_then(|free| state.receives.len().checked_sub(free));
        before_end.and_then(|at| state.receives.get(at)).is_some_and(|receive| at_work(*receive))
    }

    fn places_are_held(&self, state: &State, others: impl Fn() -> usize) -> bool {
        let free = self.capacity.map(|capacity| capacity.saturating_sub(state.queue.len()));
        self.hides == Hides::Places && free.is_some_and(|free| free <= others())
    }

    /// Whether `call`, which waits, need not wait in this state, given who waits beside it.
    pub(super) fn is_owed(&self, state: &State, call: Call, waiting: &[Pending]) -> bool {
        let sends = call.value().is_some();
        let peer_waits = || waiting.iter().any(|peer| peer.call.value().is_some() != sends);
        let at_once = if sends { self.has_room(state) } else { !state.queue.is_empty() };
        state.closed || at_once || peer_waits()
    }
}
