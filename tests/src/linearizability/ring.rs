//! A ring of stamped slots in which nobody waits for anybody: what `Hides::BehindSlots` describes, and no more.
//!
//! ```text
//!   slot `ticket % capacity`:   2·ticket ──send──▶ 2·ticket+1 ──receive──▶ 2·(ticket+capacity)
//!                               free for it         filled                  free for the next lap
//! ```
//!
//! `first` and `end` are the tickets of the next receive and of the next send; the low bit of `end` says closed.
//! Between a ticket and its stamp a call may lose the processor, here on purpose. Waits are loops of tries.

use super::{
    history::{Call, Outcome, Value},
    run::Subject,
};
use std::{
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::*},
    thread,
    time::{Duration, Instant},
};

/// See the file's head.
pub struct Ring {
    slots: Vec<Slot>,
    first: AtomicUsize,
    end: AtomicUsize,
}

struct Slot {
    stamp: AtomicUsize,
    value: AtomicU32,
}

impl Ring {
    /// One for `capacity` values, 1 at least.
    pub fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|ticket| Slot { stamp: AtomicUsize::new(2 * ticket), value: AtomicU32::new(0) });
        Self { slots: slots.collect(), first: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    fn slot(&self, ticket: usize) -> &Slot {
        &self.slots[ticket % self.slots.len()]
    }

    fn try_send(&self, value: Value) -> Outcome {
        loop {
            let end = self.end.load(SeqCst);
            if end & 1 == 1 {
                return Outcome::Disconnected;
            }
            let (ticket, slot) = (end >> 1, self.slot(end >> 1));
            let stamp = slot.stamp.load(SeqCst);
            if stamp < 2 * ticket {
                return Outcome::Full;
            }
            if stamp == 2 * ticket && self.end.compare_exchange(end, end + 2, SeqCst, SeqCst).is_ok() {
                thread::yield_now();
                slot.value.store(value, SeqCst);
                slot.stamp.store(2 * ticket + 1, SeqCst);
                return Outcome::Sent;
            }
        }
    }

    fn try_recv(&self) -> Outcome {
        loop {
            let ticket = self.first.load(SeqCst);
            let slot = self.slot(ticket);
            let stamp = slot.stamp.load(SeqCst);
            if stamp <= 2 * ticket {
                return if self.end.load(SeqCst) == ticket << 1 | 1 { Outcome::Disconnected } else { Outcome::Empty };
            }
            if stamp == 2 * ticket + 1 && self.first.compare_exchange(ticket, ticket + 1, SeqCst, SeqCst).is_ok() {
                let value = slot.value.load(SeqCst);
                thread::yield_now();
                slot.stamp.store(2 * (ticket + self.slots.len()), SeqCst);
                return Outcome::Received(value);
            }
        }
    }

    fn len(&self) -> usize {
        let first = self.first.load(SeqCst);
        ((self.end.load(SeqCst) >> 1) - first).min(self.slots.len())
    }
}

/// Tries until it is something else than `not_yet`.
fn wait(limit: Option<Duration>, not_yet: Outcome, attempt: impl Fn() -> Outcome) -> Outcome {
    let start = Instant::now();
    loop {
        let outcome = attempt();
        if outcome != not_yet {
            return outcome;
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            return Outcome::TimedOut;
        }
        thread::yield_now();
    }
}

impl Subject for Ring {
    fn call(&self, call: Call) -> Outcome {
        match call {
            Call::TrySend(value) => self.try_send(value),
            Call::SendTimeout(value, limit) => wait(Some(limit), Outcome::Full, || self.try_send(value)),
            Call::Send(value) => wait(None, Outcome::Full, || self.try_send(value)),
            Call::TryRecv => self.try_recv(),
            Call::RecvTimeout(limit) => wait(Some(limit), Outcome::Empty, || self.try_recv()),
            Call::Recv => wait(None, Outcome::Empty, || self.try_recv()),
            Call::Close(_) => Outcome::Flag(self.end.fetch_or(1, SeqCst) & 1 == 0),
            Call::IsClosed => Outcome::Flag(self.end.load(SeqCst) & 1 == 1),
            Call::Len => Outcome::Count(self.len()),
            Call::IsEmpty => Outcome::Flag(self.len() == 0),
            Call::IsFull => Outcome::Flag(self.len() >= self.slots.len()),
        }
    }
}
