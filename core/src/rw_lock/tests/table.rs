//! Readers who stand in the table.

use super::*;
use crate::rw_lock::slots::Place;

fn biased() -> RwLock<u32> {
    let lock = RwLock::new(0);
    lock.raw.begin_bias();
    lock
}

/// How many readers stand in the table, and whether the word counts one.
fn counted<T>(lock: &RwLock<T>) -> (usize, bool) {
    (lock.raw.bias.standing(), lock.raw.is_read())
}

/// Readers who meet another are counted, a write takes the count back; where that goes on, readers go to the table, and a
/// writer ends that.
#[test]
fn readers_who_meet_all_the_time_go_to_the_table_until_somebody_writes() {
    let lock = RwLock::new(0);
    let meet = |times| {
        let _another = lock.read_recursive();
        (0..times).for_each(|_| drop(lock.read()));
    };
    meet(112); // each sixteenth counts, as sixteen
    assert_eq!(counted(&lock), (0, false));
    (0..1_000).for_each(|_| drop(lock.read()));
    let alone = lock.read();
    assert_eq!(counted(&lock), (0, true), "who reads alone meets nobody");
    drop(alone);
    *lock.write() += 1;
    meet(112);
    let in_the_word = lock.read();
    assert_eq!(counted(&lock), (0, true));
    meet(16);
    let in_the_table = lock.read();
    assert_eq!(counted(&lock), (1, true));
    assert!(lock.try_write().is_none(), "both are inside");
    assert_eq!(counted(&lock), (0, true), "moved");
    drop(in_the_word);
    assert!(lock.try_write().is_none(), "the one who was moved");
    drop(in_the_table);
    *lock.try_write().expect("everybody has left") += 1;
    drop(lock.read());
    assert_eq!((*lock.read(), counted(&lock)), (2, (0, true)), "in the word again");
}

/// More guards than the table has slots, of more locks than a row has: those beyond are in the word, and a writer finds all.
#[test]
fn a_table_that_is_full() {
    let locks: Vec<_> = (0..20).map(|_| biased()).collect();
    let guards: Vec<_> = locks.iter().flat_map(|lock| (0..5).map(|_| lock.read())).collect();
    let standing: usize = locks.iter().map(|lock| lock.raw.bias.standing()).sum();
    assert_eq!(standing, 8);
    assert!(locks.iter().all(|lock| lock.try_write().is_none()));
    drop(guards);
    assert!(locks.iter().all(|lock| lock.try_write().is_some()));
}

/// Guards that are forgotten hold their lock for ever, in the table as in the word, and wherever the lock goes; and no other, not
/// even one that is made in the same place.
#[test]
fn forgotten_guards_in_the_table_hold_their_lock_and_no_other() {
    let mut place = biased();
    mem::forget(place.read());
    assert_eq!(counted(&place).0, 1);
    let moved = mem::replace(&mut place, biased());
    assert!(place.try_write().is_some(), "another lock");
    assert!(moved.try_write().is_none());
    assert!(moved.write_timeout(SHORT).is_err());
    place.raw.begin_bias();
    mem::forget(place.read());
    assert_eq!(counted(&place).0, 1);
    place = biased();
    assert!(place.try_write().is_some() && moved.try_write().is_none());
    assert_eq!(place.into_inner() + moved.into_inner(), 0);
}

/// A guard in the table goes to another thread, which leaves it there; a panic gives it back; a downgraded writer is in the word.
#[test]
fn guards_in_the_table_end_anywhere() {
    let lock = biased();
    let guard = lock.read();
    thread::scope(|scope| _ = scope.spawn(move || drop(guard)));
    assert_eq!(counted(&lock), (0, false));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.read();
        assert_eq!(counted(&lock), (1, false));
        panic!("reading");
    }));
    assert!(panicked.is_err());
    assert_eq!(counted(&lock), (0, false));
    let reading = RwLockWriteGuard::downgrade(lock.write());
    lock.raw.begin_bias();
    let other = lock.read();
    assert_eq!(counted(&lock), (1, true));
    drop((reading, other));
    assert!(lock.try_write().is_some());
}

/// Every way to write waits for a reader in the table, and is woken when it leaves.
#[test]
fn who_waits_for_a_reader_in_the_table_is_woken() {
    for way in 0..3 {
        let lock = biased();
        let reading = lock.read();
        thread::scope(|scope| {
            let writer = scope.spawn(|| match way {
                0 => *lock.write() += 1,
                1 => *lock.write_timeout(Duration::MAX).unwrap() += 1,
                _ => *block_on(lock.write_async()) += 1,
            });
            while lock.try_read().is_some() {
                thread::yield_now(); // until the writer stands in line
            }
            assert_eq!((counted(&lock), *reading), ((0, true), 0));
            drop(reading);
            writer.join().unwrap();
        });
        assert_eq!(lock.into_inner(), 1);
    }
}

/// A reader who was moved leaves while another has its slot: each takes a count, whichever it is (B2).
#[test]
fn readers_may_swap_places() {
    let lock = biased();
    let first = lock.raw.read_at_once().unwrap();
    assert!(lock.try_write().is_none());
    lock.raw.begin_bias();
    let second = lock.raw.read_at_once().unwrap();
    assert_eq!(counted(&lock), (1, true));
    // SAFETY: the one unlock of a reader.
    let leave = |place| unsafe { lock.raw.leave_place(place) };
    leave(first);
    assert_eq!(counted(&lock), (0, true), "the other's slot is empty now, and it is counted in the word");
    assert!(lock.try_write().is_none());
    leave(second);
    assert!(lock.try_write().is_some());
}

/// The word is full: those who are moved into it still fit.
#[test]
fn a_full_word_has_room_for_those_in_the_table() {
    let raw = RawRwLock::with_readers(MAX_READERS - 1);
    raw.begin_bias();
    let place = raw.read_at_once().unwrap();
    assert!(raw.try_enter(Access::Read, Manners::InLine), "the last that fits");
    assert_eq!((raw.bias.standing(), raw.read_at_once().is_some()), (1, true), "the table does not count them");
    assert!(!raw.try_enter(Access::Write, Manners::InLine), "moves it");
    assert!(catch_unwind(AssertUnwindSafe(|| raw.try_enter(Access::Read, Manners::InLine))).is_err());
    // SAFETY: the one unlock of a reader.
    let leave = |place| unsafe { raw.leave_place(place) };
    leave(place);
    leave(place);
    raw.begin_bias();
    assert!(raw.read_at_once().is_none(), "no bias where there is no room");
    leave(Place::WORD);
    assert!(raw.try_enter(Access::Read, Manners::InLine), "there is room again");
}
