//! Readers and writers against each other, and against those who wait in every way.

use super::{raw::Wait, *};
use crate::{
    seat::Kind,
    test_support::{Woken, block_on, poll_once},
};
use core::task::Waker;
use loom::thread;
use std::{boxed::Box, sync::Arc, vec::Vec};

type Use = fn(&RwLock<u32>);

/// Each on a thread of its own but the last; the sum of what they wrote.
fn run(uses: &'static [Use], sum: u32) {
    run_on(|| RwLock::new(0), uses, sum);
}

/// The same, with readers who find a table of two slots.
fn run_biased(uses: &'static [Use], sum: u32) {
    run_on(biased, uses, sum);
}

fn biased() -> RwLock<u32> {
    let lock = RwLock::new(0);
    lock.raw.begin_bias();
    lock
}

fn run_on(make: fn() -> RwLock<u32>, uses: &'static [Use], sum: u32) {
    loom::model(move || {
        let lock = Arc::new(make());
        let (last, others) = uses.split_last().unwrap();
        let others: Vec<_> = others
            .iter()
            .map(|one| {
                let lock = lock.clone();
                thread::spawn(move || one(&lock))
            })
            .collect();
        last(&lock);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(*lock.read(), sum);
    });
}

const READ: Use = |lock| assert!(*lock.read() <= 2);
const WRITE: Use = |lock| *lock.write() += 1;

/// Two writers and a reader: writes are seen, nobody sleeps on. Fails if a reader's or a writer's entering, at once, past
/// others or under the lock of the line, or the leaving of either is Relaxed; and if the last reader does not look at the line.
#[test]
fn rw_lock_two_writers_one_reader() {
    run(&[WRITE, WRITE, READ], 2);
}

/// The same with futures among them. Fails if a woken future does not sit down again, or is let in, or if who sits down does not
/// say so.
#[test]
fn rw_lock_calls_against_futures() {
    run(&[|lock| *block_on(lock.write_async()) += 1, WRITE, |lock| assert!(*block_on(lock.read_async()) <= 2)], 2);
}

/// A reader who was a writer has seen his own write and no other; who waits comes in after it, or beside it. Fails if the
/// change of the word is Relaxed.
fn downgrade(other: Use, sum: u32) {
    loom::model(move || {
        let lock = Arc::new(RwLock::new(0));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || other(&lock))
        };
        let mut writing = lock.write();
        *writing += 1;
        let mine = *writing;
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(*reading, mine);
        if sum == 1 {
            other.join().unwrap(); // a reader, while we read
        } else {
            drop(reading);
            other.join().unwrap();
        }
        assert_eq!(*lock.read(), sum);
    });
}

#[test]
fn rw_lock_downgrade_lets_a_reader_in() {
    downgrade(READ, 1);
}

#[test]
fn rw_lock_downgrade_keeps_a_writer_out() {
    downgrade(WRITE, 2);
}

/// Futures, polled once and then never again, do not keep the lock from those behind them (R4). Fails if a future is let in
/// like a call, and if the walk ends at the first future.
fn forgotten(poll: fn(&'static RwLock<u32>)) {
    loom::model(move || {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
        let held = lock.write();
        poll(lock);
        let others = [WRITE, |lock| *block_on(lock.write_async()) += 1].map(|one| thread::spawn(move || one(lock)));
        drop(held);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(*lock.read(), 2);
    });
}

#[test]
fn rw_lock_forgotten_writer_is_passed_by() {
    forgotten(|lock| {
        let future = Box::leak(Box::new(lock.write_async()));
        // SAFETY: it is leaked, so it stays where it is.
        let mut future = unsafe { core::pin::Pin::new_unchecked(future) };
        assert!(poll_once(&mut future, Waker::noop()).is_pending());
    });
}

#[test]
fn rw_lock_forgotten_reader_is_passed_by() {
    forgotten(|lock| {
        let future = Box::leak(Box::new(lock.read_async()));
        // SAFETY: it is leaked, so it stays where it is.
        let mut future = unsafe { core::pin::Pin::new_unchecked(future) };
        assert!(poll_once(&mut future, Waker::noop()).is_pending());
    });
}

/// A call that unwinds out of its sleep, or runs out of time, while the lock is given back: who stands behind it comes in.
/// `kind` is also that of a future. Fails if a withdrawal keeps what it was granted.
fn withdraw(kind: Kind, give_up: bool) {
    loom::model(move || {
        let lock = Arc::new(RwLock::new(0));
        assert!(lock.raw.try_enter(Access::Read, Manners::InLine));
        let wait = Box::pin(Wait::new(&lock.raw, Access::Write, kind));
        assert!(wait.as_ref().poll(Waker::noop()).is_pending());
        // Behind one who is let in there is none: two threads are enough to show that it keeps nothing.
        let reader = (kind != Kind::Impatient).then(|| {
            let lock = lock.clone();
            thread::spawn(move || assert_eq!(*lock.read(), 0))
        });
        let holder = {
            let lock = lock.clone();
            // SAFETY: it is held, and this is its holder's one unlock.
            thread::spawn(move || unsafe { lock.raw.leave(Access::Read) })
        };
        if give_up && wait.give_up() {
            // SAFETY: ours, as it says.
            unsafe { lock.raw.leave(Access::Write) };
        }
        drop(wait);
        holder.join().unwrap();
        reader.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn rw_lock_unwinding_wait_passes_on() {
    withdraw(Kind::Patient, false);
}

#[test]
fn rw_lock_wait_out_of_time_passes_on() {
    withdraw(Kind::Patient, true);
}

#[test]
fn rw_lock_unwinding_wait_passes_on_what_it_was_let_into() {
    withdraw(Kind::Impatient, false);
}

#[test]
fn rw_lock_wait_out_of_time_keeps_what_it_was_let_into() {
    withdraw(Kind::Impatient, true);
}

#[test]
fn rw_lock_dropped_future_passes_on() {
    withdraw(Kind::Future, false);
}

/// A writer who is let in by the last of two readers comes after both. Fails if entering on his behalf is Relaxed, or a reader's
/// leaving.
#[test]
fn rw_lock_let_in_after_two_readers() {
    loom::model(|| {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
        let (mine, other) = (lock.read(), lock.read());
        let writer = Box::pin(Wait::new(&lock.raw, Access::Write, Kind::Impatient));
        assert!(writer.as_ref().poll(Waker::noop()).is_pending());
        let other = thread::spawn(move || {
            assert_eq!(*other, 0);
            drop(other);
        });
        drop(mine);
        let ready = writer.as_ref().poll(Waker::noop()).is_ready();
        if ready {
            *lock.write_guard() += 1;
        }
        other.join().unwrap();
        if !ready {
            assert!(writer.as_ref().poll(Waker::noop()).is_ready());
            *lock.write_guard() += 1;
        }
        assert_eq!(*lock.read(), 1);
    });
}

/// A writer who withdraws lets in the reader behind him, beside the reader who is inside and stays. Fails if a withdrawal does
/// not look who fits in now.
#[test]
fn rw_lock_withdrawal_lets_in() {
    loom::model(|| {
        let lock = Arc::new(RwLock::new(0));
        let inside = lock.read();
        let writer = Box::pin(Wait::new(&lock.raw, Access::Write, Kind::Patient));
        assert!(writer.as_ref().poll(Waker::noop()).is_pending());
        let reader = {
            let lock = lock.clone();
            thread::spawn(move || assert_eq!(*lock.read(), 0))
        };
        drop(writer);
        reader.join().unwrap();
        drop(inside);
        assert!(lock.try_write().is_some());
    });
}

/// A reader who was woken, behind a future that writes, does not keep out the reader behind him, who comes in beside him or
/// was quicker. Fails if an unlock wakes the first reader only.
#[test]
fn rw_lock_readers_come_in_together() {
    loom::model(|| {
        let lock = Arc::new(RwLock::new(0));
        assert!(lock.raw.try_enter(Access::Write, Manners::InLine));
        let mut forgotten = Box::pin(lock.write_async());
        assert!(poll_once(&mut forgotten, Waker::noop()).is_pending());
        let first = Box::pin(Wait::new(&lock.raw, Access::Read, Kind::Patient));
        assert!(first.as_ref().poll(Waker::noop()).is_pending());
        let second = {
            let lock = lock.clone();
            thread::spawn(move || assert_eq!(*lock.read(), 0))
        };
        // SAFETY: written, by us.
        unsafe { lock.raw.leave(Access::Write) };
        let ready = first.as_ref().poll(Waker::noop()).is_ready();
        second.join().unwrap();
        assert!(ready || first.as_ref().poll(Waker::noop()).is_ready());
        // SAFETY: read, by us.
        unsafe { lock.raw.leave(Access::Read) };
        drop(forgotten);
        assert!(lock.try_write().is_some());
    });
}

/// A future that is polled by another task while the lock is given back: the waker of the last poll is woken if that said
/// `Pending`.
#[test]
fn rw_lock_new_waker_meets_unlock() {
    loom::model(|| {
        let lock = Arc::new(RwLock::new(0));
        let ((_, old), (new, waker)) = (Woken::new(), Woken::new());
        assert!(lock.raw.try_enter(Access::Write, Manners::InLine));
        let mut future = Box::pin(lock.read_async());
        assert!(poll_once(&mut future, &old).is_pending());
        let other = {
            let lock = lock.clone();
            // SAFETY: it is held, and this is its holder's one unlock.
            thread::spawn(move || unsafe { lock.raw.leave(Access::Write) })
        };
        let ready = poll_once(&mut future, &waker).is_ready();
        other.join().unwrap();
        assert!(ready || new.times() == 1 && poll_once(&mut future, &waker).is_ready());
    });
}

/// Who comes in at once, or not at all: with those who wait the models would be too large for three.
const READ_AT_ONCE: Use = |lock| {
    if let Some(place) = lock.raw.read_at_once() {
        assert!(*lock.read_guard(place) <= 2);
    }
};

const TRY_WRITE: Use = |lock| {
    if let Some(mut writing) = lock.try_write() {
        *writing += 1;
        *writing -= 1;
    }
};

/// A reader in the table against a writer, who moves it and waits for it to leave. Fails if a reader does not look again after
/// it took its slot.
#[test]
fn rw_lock_biased_reader_and_writer() {
    run_biased(&[READ, WRITE], 1);
}

/// Readers in the table and in the word, who have the one slot in turn, while somebody tries to write.
#[test]
fn rw_lock_biased_two_readers() {
    let one_slot = || {
        let lock = biased();
        lock.raw.bias.occupy_a_slot();
        lock
    };
    run_on(one_slot, &[READ_AT_ONCE, READ_AT_ONCE, TRY_WRITE], 0);
}

/// Two try to write at the same time, one of whom revokes. Fails if the one who finds the bias gone comes in while the other is
/// still moving.
#[test]
fn rw_lock_biased_two_writers() {
    run_biased(&[READ_AT_ONCE, TRY_WRITE, TRY_WRITE], 0);
}

/// A reader leaves while it is moved, and another stays in the table. Fails if a reader is counted after its slot was emptied, not before:
/// then it takes the revoker's count, and the other writer comes in.
#[test]
fn rw_lock_biased_reader_leaves_while_it_is_moved() {
    loom::model(|| {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(biased()));
        let readers = [lock.read(), lock.read()];
        // The table is walked from slot 0 on: the one who stays comes last.
        let [leaves, stays] = readers;
        let (leaves, stays) = if leaves.place.is_before(stays.place) { (leaves, stays) } else { (stays, leaves) };
        let reader = thread::spawn(move || drop(leaves));
        let writers = [(); 2].map(|()| thread::spawn(move || TRY_WRITE(lock)));
        assert_eq!(*stays, 0);
        reader.join().unwrap();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert!(lock.try_write().is_none());
        drop(stays);
        *lock.try_write().expect("everybody has left") += 1;
    });
}

/// A reader who was moved wakes who waits for it, also if the bias begins anew while that one sits down. Fails if who takes the bias as it
/// sits down does not move the readers.
#[test]
fn rw_lock_biased_reader_who_was_moved_wakes() {
    const WRITE_ASYNC: Use = |lock| *block_on(lock.write_async()) += 1;
    for write in [WRITE, WRITE_ASYNC] {
        loom::model(move || {
            let lock: &'static RwLock<u32> = Box::leak(Box::new(biased()));
            let reading = lock.read();
            let writer = thread::spawn(move || write(lock));
            lock.raw.begin_bias();
            assert_eq!(*reading, 0);
            drop(reading);
            writer.join().unwrap();
            assert_eq!(*lock.read(), 1);
        });
    }
}

/// The bias begins while somebody writes. Fails if it may begin then, and if a revoker does not know the lock's number.
#[test]
fn rw_lock_bias_begins() {
    const BEGIN: Use = |lock| {
        lock.raw.begin_bias();
        READ_AT_ONCE(lock);
    };
    run(&[BEGIN, WRITE, READ_AT_ONCE], 1);
}

/// A reader who was moved gives back a slot that another has taken since, and that one then a count in the word (B2).
#[test]
fn rw_lock_biased_readers_swap_places() {
    loom::model(|| {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(biased()));
        let first = lock.read();
        let second = thread::spawn(move || {
            TRY_WRITE(lock); // moves the first
            lock.raw.begin_bias();
            READ_AT_ONCE(lock);
        });
        let writer = thread::spawn(move || TRY_WRITE(lock));
        assert_eq!(*first, 0);
        drop(first);
        second.join().unwrap();
        writer.join().unwrap();
        *lock.try_write().expect("everybody has left") += 1;
    });
}

/// A writer writes between two biases: a reader who is moved in the second, though it looked in vain in the first, has seen
/// what was written. Fails if giving back a slot in vain is Relaxed, and if the mover's change is.
#[test]
fn rw_lock_biased_again() {
    loom::model(|| {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(biased()));
        let reader = thread::spawn(move || READ_AT_ONCE(lock));
        if let Some(mut writing) = lock.try_write() {
            *writing += 1;
        }
        lock.raw.begin_bias();
        TRY_WRITE(lock);
        reader.join().unwrap();
        *lock.try_write().expect("everybody has left") += 1;
    });
}
