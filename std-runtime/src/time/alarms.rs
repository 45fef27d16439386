//! What is to happen when: a sorted list, which reads no clock. So a test can run it on any time it likes.

use greenlight_core::park::Tick;
use std::collections::BTreeMap;

/// Names one alarm of an [`Alarms`]. Those that are due at the same tick go off in the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) tick: Tick,
    pub(crate) number: u64,
}

/// Not a heap with the places of its entries in the entries: half as much code, and about as fast up to a million.
pub(crate) struct Alarms<A> {
    due: BTreeMap<Key, A>,
    numbers: u64,
}

impl<A> Alarms<A> {
    pub(crate) const fn new() -> Self {
        Self { due: BTreeMap::new(), numbers: 0 }
    }

    pub(crate) fn set(&mut self, tick: Tick, action: A) -> Key {
        let key = Key { tick, number: self.numbers };
        self.numbers += 1;
        self.due.insert(key, action);
        key
    }

    /// None if it has gone off, or was taken out before.
    pub(crate) fn take_out(&mut self, key: Key) -> Option<A> {
        self.due.remove(&key)
    }

    /// The next one whose time has come.
    pub(crate) fn pop_due(&mut self, now: Tick) -> Option<A> {
        let next = self.due.first_entry().filter(|next| next.key().tick <= now)?;
        Some(next.remove())
    }

    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// When the next one is due.
    pub(crate) fn first(&self) -> Option<Tick> {
        self.due.first_key_value().map(|(key, _)| key.tick)
    }
}
