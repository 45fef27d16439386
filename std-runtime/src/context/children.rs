//! What is to hear of a context's end: put in and taken out in constant time, and kept in an order that does not depend on
//! addresses or on luck.

use super::node::Node;
use std::sync::{Arc, Weak};

/// Who hears of the end.
pub(super) enum Child {
    /// Weak: the child holds its parent, and takes itself out when it goes.
    Context(Weak<Node>),
    /// With the context itself, if the call is detached from its handle.
    Call(Box<dyn FnOnce() + Send>, Option<Arc<Node>>),
}

/// Names one child; never that of another, though the slot is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    slot: usize,
    number: u64,
}

/// A slab: slots with a list of the free ones through them.
#[derive(Default)]
pub(super) struct Children {
    slots: Vec<Slot>,
    first_free: Option<usize>,
    taken: usize,
    numbers: u64,
}

enum Slot {
    Taken(u64, Child),
    Free(Option<usize>),
}

impl Children {
    pub(super) fn put(&mut self, child: impl FnOnce(Place) -> Child) -> Place {
        let place = Place { slot: self.first_free.unwrap_or(self.slots.len()), number: self.numbers };
        let taken = Slot::Taken(place.number, child(place));
        self.numbers += 1;
        self.taken += 1;
        match self.slots.get_mut(place.slot) {
            None => self.slots.push(taken),
            Some(slot) => {
                if let Slot::Free(next) = std::mem::replace(slot, taken) {
                    self.first_free = next;
                }
            }
        }
        place
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Child> {
        match self.slots.get_mut(place.slot)? {
            Slot::Taken(number, child) if *number == place.number => Some(child),
            _ => None,
        }
    }

    /// None if it is not there any more. The child is the caller's to drop, without the lock.
    pub(super) fn take_out(&mut self, place: Place) -> Option<Child> {
        self.get_mut(place)?;
        let freed = Slot::Free(self.first_free.replace(place.slot));
        let Slot::Taken(_, child) = std::mem::replace(&mut self.slots[place.slot], freed) else { return None };
        self.taken -= 1;
        if self.taken == 0 {
            // What a burst of children took goes back.
            *self = Self { numbers: self.numbers, ..Self::default() };
        }
        Some(child)
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// All of them, in the order of their slots.
    pub(super) fn into_children(self) -> impl Iterator<Item = Child> {
        self.slots.into_iter().filter_map(|slot| match slot {
            Slot::Taken(_, child) => Some(child),
            Slot::Free(_) => None,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn call(_: Place) -> Child {
        Child::Call(Box::new(|| {}), None)
    }

    #[test]
    fn a_place_that_was_left_is_not_its_successors() {
        let mut children = Children::default();
        let _stays = children.put(call);
        let first = children.put(call);
        assert!(children.take_out(first).is_some());
        let second = children.put(call);
        assert_eq!(first.slot, second.slot);
        assert!(children.take_out(first).is_none());
        assert!(children.take_out(second).is_some());
        assert_eq!(children.into_children().count(), 1);
    }

    #[test]
    fn the_memory_of_a_burst_goes_back_and_old_places_stay_void() {
        let mut children = Children::default();
        let places: Vec<_> = (0..100).map(|_| children.put(call)).collect();
        assert!(places.iter().all(|place| children.take_out(*place).is_some()));
        assert_eq!(children.slots.capacity(), 0);
        let next = children.put(call);
        assert!(places.iter().all(|place| children.take_out(*place).is_none()));
        assert!(children.take_out(next).is_some());
    }
}
