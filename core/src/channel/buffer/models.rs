//! What every buffer owes the channel when two threads meet, one model for all of them: B4, that a "no" is true of one moment,
//! and that it brings what was done before.
//!
//! The checker keeps the order of all SeqCst operations only among values that were written SeqCst, which the first value of a
//! word is not: so each buffer is `touch`ed before the threads start.

use super::Buffer;
use crate::{
    channel::{pool::InlinePool, rendezvous::Rendezvous, ring::Ring, segments::Segments, timer::Timer},
    sync::{
        UnsafeCell,
        atomic::{AtomicUsize, Ordering::*},
    },
};
use loom::thread;
use std::sync::Arc;

trait Small: Buffer<u32, Place = usize> + Send + Sync + 'static {}

impl<B: Buffer<u32, Place = usize> + Send + Sync + 'static> Small for B {}

fn ring() -> Ring<u32> {
    Ring::new(1)
}

fn pool() -> InlinePool<u32, 1> {
    InlinePool::new()
}

/// In the middle of a segment.
fn segments() -> Segments<u32> {
    let segments = Segments::new();
    push(&segments, 0);
    pop(&segments, 0);
    segments
}

fn rendezvous() -> Rendezvous<u32> {
    Rendezvous::new()
}

fn timer() -> Timer<u32> {
    Timer::new(None, None)
}

// What somebody does: some with a place that was reserved before, and one of them reserves it.

fn push(buffer: &impl Small, _: usize) -> usize {
    buffer.push(1).unwrap();
    0
}

fn pop(buffer: &impl Small, _: usize) -> usize {
    buffer.pop().unwrap();
    0
}

fn close(buffer: &impl Small, _: usize) -> usize {
    assert!(buffer.close());
    0
}

fn reserve(buffer: &impl Small, _: usize) -> usize {
    buffer.reserve().unwrap_or_else(|_| unreachable!("there is room"))
}

fn fill(buffer: &impl Small, place: usize) -> usize {
    // SAFETY: reserved, in the models that have this.
    unsafe { buffer.fill(place, 1) }.unwrap();
    0
}

fn take_back(buffer: &impl Small, _: usize) -> usize {
    buffer.take_back(1);
    0
}

fn meet(buffer: &impl Small, _: usize) -> usize {
    buffer.met();
    0
}

fn try_to_push(buffer: &impl Small, _: usize) -> usize {
    _ = buffer.push(1);
    0
}

fn try_to_pop(buffer: &impl Small, _: usize) -> usize {
    _ = buffer.pop();
    0
}

fn try_to_reserve(buffer: &impl Small, _: usize) -> usize {
    buffer.reserve().unwrap_or(0)
}

fn nothing(_: &impl Small, _: usize) -> usize {
    0
}

// What somebody sees.

fn may_pop(buffer: &impl Small) -> bool {
    buffer.may_pop()
}

fn may_push(buffer: &impl Small) -> bool {
    buffer.may_push()
}

fn pops(buffer: &impl Small) -> bool {
    buffer.pop().map_err(|error| assert!(error.is_empty())).is_ok()
}

fn pushes(buffer: &impl Small) -> bool {
    buffer.push(1).map_err(|error| assert!(error.is_full())).is_ok()
}

fn finds_the_end(buffer: &impl Small) -> bool {
    buffer.pop().is_err_and(|error| error.is_disconnected())
}

fn is_refused(buffer: &impl Small) -> bool {
    buffer.push(1).is_err_and(|error| error.is_disconnected())
}

fn is_empty(buffer: &impl Small) -> bool {
    buffer.pop().is_err()
}

fn is_full(buffer: &impl Small) -> bool {
    buffer.push(1).is_err()
}

fn has_length(buffer: &impl Small) -> bool {
    buffer.len() > 0
}

fn has_no_length(buffer: &impl Small) -> bool {
    buffer.len() == 0
}

fn is_closed(buffer: &impl Small) -> bool {
    buffer.is_closed()
}

fn can_pop(buffer: &impl Small) -> bool {
    buffer.can_pop()
}

fn can_push(buffer: &impl Small) -> bool {
    buffer.can_push()
}

fn cannot_pop(buffer: &impl Small) -> bool {
    !buffer.can_pop()
}

fn cannot_push(buffer: &impl Small) -> bool {
    !buffer.can_push()
}

fn has_popped(buffer: &impl Small) -> bool {
    buffer.pops() != 0
}

fn has_pushed(buffer: &impl Small) -> bool {
    buffer.pushes() != 0
}

type Act<B> = fn(&B, usize) -> usize;
type Look<B> = fn(&B) -> bool;

/// B4: of one who says that he waits and then looks, and one who changes the buffer and then looks whether anybody waits, one
/// sees the other.
fn waiter_meets<B: Small>(make: fn() -> B, before: Act<B>, change: Act<B>, look: Look<B>) {
    loom::model(move || {
        let (buffer, waits) = (Arc::new(make()), Arc::new(AtomicUsize::new(0)));
        let place = before(&buffer, 0);
        buffer.touch();
        waits.fetch_add(0, SeqCst);
        let changer = {
            let (buffer, waits) = (buffer.clone(), waits.clone());
            thread::spawn(move || {
                change(&buffer, place);
                waits.load(SeqCst) == 1
            })
        };
        waits.fetch_add(1, SeqCst);
        let seen = look(&buffer);
        assert!(changer.join().unwrap() || seen, "asleep beside what he waits for");
    });
}

/// A "no" is true of one moment: of two who each change one buffer and then look at the other, one sees what the other did.
fn crossing<B: Small>(make: fn() -> B, before: Act<B>, change: Act<B>, look: Look<B>) {
    loom::model(move || {
        let both = Arc::new([make(), make()]);
        for buffer in &*both {
            before(buffer, 0);
            buffer.touch();
        }
        let other = {
            let both = both.clone();
            thread::spawn(move || {
                change(&both[1], 0);
                look(&both[0])
            })
        };
        change(&both[0], 0);
        let seen = look(&both[1]);
        assert!(other.join().unwrap() || seen, "each says that he was first");
    });
}

/// An answer brings what was done before the step that it is due to. Who asks is the other thread, which the checker lets see
/// every older value that it may.
fn answer_brings<B: Small>(make: fn() -> B, before: Act<B>, change: Act<B>, look: Look<B>) {
    loom::model(move || {
        let (buffer, cell) = (Arc::new(make()), Arc::new(UnsafeCell::new(0)));
        before(&buffer, 0);
        let asker = {
            let (buffer, cell) = (buffer.clone(), cell.clone());
            thread::spawn(move || {
                if look(&buffer) {
                    // SAFETY: the change is seen, and the writer wrote before it.
                    assert_eq!(cell.with(|cell| unsafe { *cell }), 7);
                }
            })
        };
        // SAFETY: the other one reads it after he has seen the change.
        cell.with_mut(|cell| unsafe { *cell = 7 });
        change(&buffer, 0);
        asker.join().unwrap();
    });
}

/// `model name: before, change, look => buffers` makes a test for each of the buffers.
macro_rules! models {
    ($($model:ident $name:ident: $before:ident, $change:ident, $look:ident => $($buffer:ident)+;)+) => {$(
        mod $name {
            $(#[test] fn $buffer() {
                super::$model(super::$buffer, super::$before, super::$change, super::$look);
            })+
        }
    )+};
}

models! {
    waiter_meets push_meets_waiter: nothing, push, may_pop => ring pool segments;
    waiter_meets fill_meets_waiter: reserve, fill, may_pop => ring pool;
    waiter_meets pop_meets_waiter: push, pop, may_push => ring pool;
    waiter_meets close_meets_receiver: nothing, close, may_pop => ring pool segments rendezvous timer;
    waiter_meets close_meets_sender: push, close, may_push => ring pool;
    waiter_meets close_meets_a_sender_in_a_rendezvous: nothing, close, may_push => rendezvous;
    waiter_meets value_taken_back_meets_waiter: nothing, take_back, may_pop => rendezvous;

    crossing pushes_cross_at_empty: nothing, push, pops => ring pool segments;
    crossing pops_cross_at_full: push, pop, pushes => ring pool;
    crossing pushes_cross_at_len: nothing, push, has_length => ring pool segments;
    crossing pops_cross_at_len: push, pop, has_no_length => ring segments;
    crossing closes_cross: nothing, close, is_closed => ring pool segments rendezvous timer;
    crossing closes_cross_at_the_end: nothing, close, finds_the_end => ring pool segments rendezvous;
    crossing closes_cross_at_can_pop: nothing, close, can_pop => ring pool segments rendezvous;
    crossing closes_cross_at_can_push: push, close, can_push => ring pool;
    crossing values_taken_back_cross: nothing, take_back, pops => rendezvous;

    answer_brings end_brings: nothing, close, finds_the_end => ring pool segments rendezvous timer;
    answer_brings refusal_brings: nothing, close, is_refused => ring pool segments rendezvous;
    answer_brings closed_brings: nothing, close, is_closed => ring pool segments rendezvous timer;
    answer_brings empty_brings: push, try_to_pop, is_empty => ring pool segments;
    answer_brings nothing_left_brings_who_took_it: take_back, try_to_pop, has_no_length => rendezvous;
    answer_brings full_brings: nothing, try_to_push, is_full => ring pool;
    answer_brings full_of_places_brings: nothing, try_to_reserve, is_full => ring pool;
    answer_brings can_pop_brings_the_close: nothing, close, can_pop => ring pool segments rendezvous;
    answer_brings cannot_pop_brings: push, try_to_pop, cannot_pop => ring pool segments;
    answer_brings cannot_push_brings: nothing, try_to_push, cannot_push => ring pool;
    answer_brings number_of_pops_brings: push, pop, has_popped => ring pool;
    answer_brings number_of_pushes_brings: nothing, push, has_pushed => ring pool;
    answer_brings number_of_meetings_brings_the_sender: nothing, meet, has_pushed => rendezvous;
    answer_brings number_of_meetings_brings: nothing, meet, has_popped => rendezvous;
}
