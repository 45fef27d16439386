//! A channel that is right because it is slow: everything under one mutex, everybody woken at each change. And the ways
//! in which it can be made wrong, to see that the examination finds each of them.

use super::{
    history::{Call, Outcome, Value},
    run::Subject,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// What is wrong with a [`Reference`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// The last value comes first.
    Lifo,
    /// Every third receive leaves what it takes.
    Duplicates,
    /// `try_recv` says `Empty` while another call holds the lock.
    EmptyWhenBusy,
    /// `try_send` says `Full` while another call holds the lock.
    FullWhenBusy,
    /// `try_send` and `try_recv` say `Disconnected` while another call holds the lock.
    DisconnectedWhenBusy,
    /// Who waits to receive is not told of the value that it was given.
    ForgetsReceivers,
    /// Who waits to send is not told that its value was taken.
    ForgetsSenders,
    /// A receive whose time is up does not look whether it was given a value at the last moment.
    DropsLateValues,
    /// A send whose time is up does not look whether its value was taken at the last moment.
    DeniesLateSends,
    /// A close drops what is in the channel.
    CloseDiscards,
    /// A closed channel takes values.
    SendsWhenClosed,
    /// A receive hears of the close before the last values.
    ClosedBeforeDrained,
    /// Each close is the first.
    ClosesTwice,
    /// Failed sends give back another value.
    GivesBackOther,
    /// It holds one value more than it should.
    OneTooMany,
    /// It counts one value more than there are.
    Miscounts,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Lifo,
        Self::Duplicates,
        Self::EmptyWhenBusy,
        Self::FullWhenBusy,
        Self::DisconnectedWhenBusy,
        Self::ForgetsReceivers,
        Self::ForgetsSenders,
        Self::DropsLateValues,
        Self::DeniesLateSends,
        Self::CloseDiscards,
        Self::SendsWhenClosed,
        Self::ClosedBeforeDrained,
        Self::ClosesTwice,
        Self::GivesBackOther,
        Self::OneTooMany,
        Self::Miscounts,
    ];
}

/// A channel of a mutex and a condition variable.
pub struct Reference {
    capacity: usize,
    flaw: Option<Flaw>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Value>,
    closed: bool,
    /// Who waits to send, by ticket.
    offers: VecDeque<(u64, Value)>,
    /// Who waits to receive.
    wanting: VecDeque<u64>,
    /// What they were given.
    given: HashMap<u64, Value>,
    tickets: u64,
}

impl Reference {
    /// One with or without a flaw.
    pub fn new(capacity: Option<usize>, flaw: Option<Flaw>) -> Self {
        let capacity = capacity.unwrap_or(usize::MAX);
        Self { capacity, flaw, state: Mutex::default(), changed: Condvar::new() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics")
    }

    fn try_send(&self, state: &mut State, value: Value) -> Outcome {
        if state.closed && !self.has(Flaw::SendsWhenClosed) {
            return Outcome::Disconnected;
        }
        if let Some(ticket) = state.wanting.pop_front() {
            state.given.insert(ticket, value);
            self.tell(Flaw::ForgetsReceivers);
            return Outcome::Sent;
        }
        if state.queue.len() < self.capacity.saturating_add(self.has(Flaw::OneTooMany).into()) {
            state.queue.push_back(value);
            return Outcome::Sent;
        }
        Outcome::Full
    }

    fn try_recv(&self, state: &mut State) -> Outcome {
        if state.closed && self.has(Flaw::ClosedBeforeDrained) {
            return Outcome::Disconnected;
        }
        let first = if self.has(Flaw::Lifo) { state.queue.pop_back() } else { state.queue.pop_front() };
        // Once closed, what was only offered goes back to its sender.
        let offered = if state.closed { None } else { state.offers.pop_front().map(|(_, value)| value) };
        if offered.is_some() {
            self.tell(Flaw::ForgetsSenders);
        }
        let value = if first.is_some() {
            state.queue.extend(offered);
            first
        } else {
            offered
        };
        match value {
            Some(value) => {
                state.tickets += 1;
                if self.has(Flaw::Duplicates) && state.tickets.is_multiple_of(3) {
                    state.queue.push_front(value);
                }
                Outcome::Received(value)
            }
            None if state.closed => Outcome::Disconnected,
            None => Outcome::Empty,
        }
    }

    fn send(&self, value: Value, limit: Option<Duration>) -> Outcome {
        let mut state = self.lock();
        match self.try_send(&mut state, value) {
            Outcome::Full => {}
            other => return other,
        }
        state.tickets += 1;
        let ticket = state.tickets;
        state.offers.push_back((ticket, value));
        let offered = |state: &State| state.offers.iter().any(|offer| offer.0 == ticket);
        let mut state = self.wait(state, limit, |state| offered(state) && !state.closed);
        let taken = !offered(&state);
        state.offers.retain(|offer| offer.0 != ticket);
        match () {
            () if taken && !(self.has(Flaw::DeniesLateSends) && limit.is_some()) => Outcome::Sent,
            () if state.closed => Outcome::Disconnected,
            () => Outcome::TimedOut,
        }
    }

    fn recv(&self, limit: Option<Duration>) -> Outcome {
        let mut state = self.lock();
        match self.try_recv(&mut state) {
            Outcome::Empty => {}
            other => return other,
        }
        state.tickets += 1;
        let ticket = state.tickets;
        state.wanting.push_back(ticket);
        let mut state = self.wait(state, limit, |state| !state.given.contains_key(&ticket) && !state.closed);
        state.wanting.retain(|other| *other != ticket);
        match state.given.remove(&ticket) {
            Some(value) if !(self.has(Flaw::DropsLateValues) && limit.is_some()) => Outcome::Received(value),
            _ if state.closed => Outcome::Disconnected,
            _ => Outcome::TimedOut,
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
        while_so: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let (mut state, start) = (state, Instant::now());
        while while_so(&state) {
            let Some(limit) = limit else {
                state = self.changed.wait(state).expect("nobody panics");
                continue;
            };
            let Some(left) = limit.checked_sub(start.elapsed()) else { break };
            state = self.changed.wait_timeout(state, left).expect("nobody panics").0;
        }
        state
    }

    fn close(&self) -> bool {
        let mut state = self.lock();
        let first = !state.closed || self.has(Flaw::ClosesTwice);
        state.closed = true;
        if self.has(Flaw::CloseDiscards) {
            state.queue.clear();
        }
        self.changed.notify_all();
        first
    }

    fn tell(&self, forgotten: Flaw) {
        if !self.has(forgotten) {
            self.changed.notify_all();
        }
    }

    fn len(&self) -> usize {
        self.lock().queue.len() + usize::from(self.has(Flaw::Miscounts))
    }
}

impl Subject for Reference {
    fn call(&self, call: Call) -> Outcome {
        let busy = call.is_try() && self.state.try_lock().is_err();
        let outcome = match call {
            _ if busy && self.has(Flaw::DisconnectedWhenBusy) => Outcome::Disconnected,
            Call::TryRecv if busy && self.has(Flaw::EmptyWhenBusy) => Outcome::Empty,
            Call::TrySend(_) if busy && self.has(Flaw::FullWhenBusy) => Outcome::Full,
            Call::TrySend(value) => self.try_send(&mut self.lock(), value),
            Call::SendTimeout(value, limit) => self.send(value, Some(limit)),
            Call::Send(value) => self.send(value, None),
            Call::TryRecv => self.try_recv(&mut self.lock()),
            Call::RecvTimeout(limit) => self.recv(Some(limit)),
            Call::Recv => self.recv(None),
            Call::Close(_) => Outcome::Flag(self.close()),
            Call::IsClosed => Outcome::Flag(self.lock().closed),
            Call::Len => Outcome::Count(self.len()),
            Call::IsEmpty => Outcome::Flag(self.len() == 0),
            Call::IsFull => Outcome::Flag(self.len() >= self.capacity),
        };
        match (call.value(), outcome) {
            (Some(value), Outcome::Full | Outcome::TimedOut | Outcome::Disconnected)
                if self.has(Flaw::GivesBackOther) =>
            {
                Outcome::GaveBackOther(value + 1)
            }
            _ => outcome,
        }
    }
}
