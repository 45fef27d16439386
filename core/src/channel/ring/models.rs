//! Models of the ring: its slots are the checker's cells, so a value that is read before it is published, or written while it
//! is read, is caught. What it owes the channel as any buffer does is in `buffer/models.rs`.

use super::*;
use loom::thread;
use std::{sync::Arc, vec::Vec};

fn spawn<R: 'static>(ring: &Arc<Ring<u32>>, run: impl FnOnce(&Ring<u32>) -> R + 'static) -> thread::JoinHandle<R> {
    let ring = ring.clone();
    thread::spawn(move || run(&ring))
}

/// After all other threads: everything in it, in order.
fn drain(ring: &Ring<u32>) -> Vec<u32> {
    thread::yield_now();
    core::iter::from_fn(|| ring.pop().ok()).collect()
}

/// Two pushes meet a pop: everything arrives, once.
#[test]
fn ring_two_pushes_meet_a_pop() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(2));
        let pushes = [1, 2].map(|value| spawn(&ring, move |ring| ring.push(value).unwrap()));
        let mut got: Vec<_> = ring.pop().into_iter().collect();
        pushes.into_iter().for_each(|push| push.join().unwrap());
        got.extend(drain(&ring));
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

/// The only slot goes round between two threads: its memory is with one of them at a time.
#[test]
fn ring_slot_is_used_again() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(1));
        ring.push(1).unwrap();
        let other = spawn(&ring, |ring| (ring.push(2).is_ok(), ring.pop().ok()));
        let first = ring.pop().ok();
        let pushed = ring.push(3).is_ok();
        let (other_pushed, second) = other.join().unwrap();
        let mut got: Vec<_> = first.into_iter().chain(second).chain(drain(&ring)).collect();
        got.sort_unstable();
        let sent = [Some(1), other_pushed.then_some(2), pushed.then_some(3)];
        assert_eq!(got, sent.into_iter().flatten().collect::<Vec<_>>());
    });
}

/// A reservation, filled or given back, meets a push and a pop.
fn reservation_meets_push_and_pop(value: Option<u32>) {
    loom::model(move || {
        let ring = Arc::new(Ring::new(2));
        let push = spawn(&ring, |ring| ring.push(1).is_ok());
        let pop = spawn(&ring, |ring| ring.pop().ok());
        if let Ok(place) = ring.reserve() {
            // SAFETY: reserved a line ago.
            match value {
                Some(value) => unsafe { ring.fill(place, value) }.unwrap(),
                None => unsafe { ring.give_back(place) },
            }
        }
        assert!(push.join().unwrap());
        let got: Vec<_> = pop.join().unwrap().into_iter().chain(drain(&ring)).collect();
        assert!(
            got == [1].into_iter().chain(value).collect::<Vec<_>>()
                || got == value.into_iter().chain([1]).collect::<Vec<_>>()
        );
        assert_eq!([2, 3, 4].map(|value| ring.push(value).is_ok()), [true, true, false]);
        assert_eq!(drain(&ring), [2, 3]);
    });
}

#[test]
fn ring_reservation_filled_meets_push_and_pop() {
    reservation_meets_push_and_pop(Some(2));
}

#[test]
fn ring_reservation_given_back_meets_push_and_pop() {
    reservation_meets_push_and_pop(None);
}

/// A place that was given back behind a value is room as soon as the value is out, whoever came first.
#[test]
fn ring_place_given_back_is_room() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(2));
        ring.push(1).unwrap();
        let place = ring.reserve().unwrap();
        let pop = spawn(&ring, |ring| ring.pop().unwrap());
        // SAFETY: reserved above.
        unsafe { ring.give_back(place) };
        assert_eq!(pop.join().unwrap(), 1);
        thread::yield_now();
        assert_eq!((ring.may_push(), ring.can_push()), (true, true));
        assert_eq!([2, 3, 4].map(|value| ring.push(value).is_ok()), [true, true, false]);
        assert_eq!(drain(&ring), [2, 3]);
    });
}
