//! What `Select::ready` promises: whoever is the only one on his side finds what it said.

use super::*;
use crate::channel::{arms::SendArm, buffer::Buffer, flavor::Flavor, ring::Ring, select::Arm};

/// A value on its way in is not there yet, and a place on its way out is not free.
#[test]
fn a_slot_that_is_claimed_is_not_ready() {
    let ring = Ring::new(2);
    let ready = || (ring.can_pop(), ring.can_push());
    assert_eq!(ready(), (false, true));
    let place = ring.reserve().unwrap();
    assert_eq!(ready(), (false, true));
    // SAFETY: reserved above.
    unsafe { ring.fill(place, 1) }.unwrap();
    ring.push(2).unwrap();
    assert_eq!(ready(), (true, false));
    let claimed = ring.stop_in_pop();
    assert_eq!((ready(), ring.may_push()), ((true, false), true));
    ring.go_on_popping(claimed);
    assert_eq!((ready(), ring.pop()), ((true, true), Ok(2)));
    let claimed = ring.stop_in_push();
    assert_eq!((ready(), ring.may_pop(), ring.pop()), ((false, true), true, Err(TryRecvError::Empty)));
    ring.go_on_pushing(claimed, 3);
    assert_eq!((ready(), ring.pop()), ((true, true), Ok(3)));
    ring.close();
    assert_eq!(ready(), (true, true));
}

/// Nor does a list say so.
#[test]
fn a_list_waits_for_who_is_in_the_middle_of_a_call() {
    let (tx, rx) = bounded(2);
    let Flavor::Ring(ring) = &tx.shared().buffer else { unreachable!("bounded") };
    let (mut receive, mut send) = (Select::new(), Select::new());
    receive.recv(&rx);
    send.send(&tx);
    let mut ready = || (receive.try_ready().is_ok(), send.try_ready().is_ok());
    let claimed = ring.stop_in_push();
    assert_eq!(ready(), (false, true));
    ring.go_on_pushing(claimed, 1);
    assert_eq!(ready(), (true, true));
    tx.send(2).unwrap();
    let claimed = ring.stop_in_pop();
    assert_eq!(ready(), (true, false));
    ring.go_on_popping(claimed);
    assert_eq!(ready(), (true, true));
}

/// Places that were given back behind a value are nothing to receive, and make room.
#[test]
fn a_place_given_back_is_passed_over() {
    let (tx, rx) = bounded(3);
    tx.send(1).unwrap();
    let shared = tx.shared();
    let mut given_up = [SendArm::new(shared), SendArm::new(shared)];
    assert!(given_up.iter_mut().all(Arm::attempt));
    drop(given_up);
    let mut list = Select::new();
    list.recv(&rx);
    assert_eq!((list.try_ready(), rx.recv()), (Ok(0), Ok(1)));
    assert!(list.try_ready().is_err());
    assert_eq!(rx.len(), 0);
    tx.send(2).unwrap();
    assert_eq!((list.try_ready(), rx.try_recv()), (Ok(0), Ok(2)));
}

/// One receiver, told that a receive would not wait, while the senders are in the middle of their work.
#[test]
fn the_only_receiver_finds_what_is_ready() {
    const VALUES: usize = if cfg!(miri) { 50 } else { 30_000 };
    for (tx, rx) in [unbounded(), bounded(2), bounded_strict(2)] {
        let (go, turn) = bounded(1);
        let sender = thread::spawn(move || {
            for i in 0..VALUES {
                tx.send(i).unwrap();
                turn.recv().unwrap();
            }
        });
        let mut list = Select::new();
        list.recv(&rx);
        for i in 0..VALUES {
            assert_eq!((list.ready(), rx.try_recv()), (0, Ok(i)));
            if go.send(()).is_err() {
                break; // what went wrong is in the sender's message
            }
        }
        sender.join().unwrap();
    }
}

/// The same for the only sender.
#[test]
fn the_only_sender_finds_room() {
    const VALUES: usize = if cfg!(miri) { 50 } else { 30_000 };
    for (tx, rx) in [bounded(2), bounded_strict(2)] {
        let receiver = thread::spawn(move || rx.iter().count());
        let mut list = Select::new();
        list.send(&tx);
        for i in 0..VALUES {
            assert_eq!((list.ready(), tx.try_send(i)), (0, Ok(())));
        }
        drop(list);
        drop(tx);
        assert_eq!(receiver.join().unwrap(), VALUES);
    }
}
