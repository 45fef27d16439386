//! Models of `Segments`, in segments of two cells: of which a push that grows fills the first, so that the second is
//! where a sender can be late. Every use of a segment, and its end, is an access that the checker sees.
//!
//! Each row of the tables in `segments.rs`, `segment.rs` and `limbo.rs` was weakened by one step:
//!
//! | row                                       | fails                                                                |
//! |-------------------------------------------|----------------------------------------------------------------------|
//! | `tail`: claim; go on, by the linker       | `push_meets_waiter`, `grow_meets_waiter`                             |
//! | `tail`: go on, by a helper                | `helped_grow_meets_waiter`                                           |
//! | `tail`: close                             | `close_meets_waiter`; Relaxed, `refused_see_the_closer`              |
//! | `tail`: first glance, and a failed claim  | `refused_see_the_closer`                                             |
//! | `tail`: look, `is_closed`                 | `close_meets_waiter`, `closes_cross` (`buffer/models.rs`)            |
//! | `tail`: is it past?                       | `close_meets_grow` (a link that is not there yet)                    |
//! | `head`: claim                             | `pops_cross_at_len`; Relaxed, `empty_brings` (`buffer/models.rs`)    |
//! | `head`: look, Relaxed                     | `empty_brings`                                                       |
//! | `next`: link, refused, follow             | `close_meets_two_grow`, `helped_grow_meets_waiter`                   |
//! | cell: fill, look, refused break           | `close_meets_push`                                                   |
//! | `done`: finish, sweep, look               | `two_receivers_leave_a_segment`                                      |
//! | `visitors`: enter, leave                  | `retire_meets_visitor`                                               |
//! | `visitors`: nobody?                       | `retire_meets_visitor`: the first Relaxed, the second by one step    |
//! | `list`: shelve, look                      | `retire_meets_visitor`                                               |
//! | `spare`: lay in, take                     | `spare_changes_hands`                                                |
//!
//! Argued, because nothing fails with three preemptions:
//!
//! * `head` and `tail`, go on and the looks of visitors, and the first "nobody?" as Acquire: G5 is store against load on both
//!   sides, count and then look, leave and then look; all four are SeqCst or none need be. That the one can pass the other takes a
//!   segment's end, a new life and a visitor in between, which is too long for these models.
//! * A refused "go on" is Acquire: a push that another finished has to come, in its own order, before its look at the flags (B4).
//!   The checker runs the two in that order anyhow.
//! * The glance after a broken cell, as the first one: a closed queue brings what the closer did.
//! * A refused fill, and break: the sender finishes the cell, and may end the segment, that the breaker has looked at.
//! * `list`, take: the taker ends segments that others have used; the sweep brings the uses, the shelver's, who owned it, come by this.
//! * `ended`: who counts an end has seen `head` gone from there (Release), and who sees the count looks after it (Acquire).
//! * `len`'s looks at `tail`, one of which would do; `pops` and `can_pop`'s look at `head`: as in the ring, for one order of all
//!   answers.

use super::*;
use crate::sync::UnsafeCell;
use loom::thread;
use std::{sync::Arc, vec, vec::Vec};

/// A queue that has done `pushed` pushes, of 0, 1, 2 ..., and `popped` pops: so that the checker, for whom a value that
/// a word was made with is never outdated, takes its SeqCst reads for what they are.
fn queue(pushed: u32, popped: u32) -> Arc<Segments<u32>> {
    let queue = Segments::new();
    (0..pushed).for_each(|i| queue.push(i).unwrap());
    (0..popped).for_each(|i| assert_eq!(queue.pop(), Ok(i)));
    queue.limbo.touch();
    Arc::new(queue)
}

fn spawn<R: 'static>(
    queue: &Arc<Segments<u32>>,
    f: impl FnOnce(&Segments<u32>) -> R + 'static,
) -> thread::JoinHandle<R> {
    let queue = queue.clone();
    thread::spawn(move || f(&queue))
}

/// After all other threads: what is left in `queue`. Nobody may be there: then nothing is in limbo.
fn drain(queue: &Segments<u32>) -> Vec<u32> {
    thread::yield_now();
    assert!(queue.limbo.is_empty(), "the last visitor has freed it");
    core::iter::from_fn(|| queue.pop().ok()).collect()
}

/// Two senders at a segment's last cell and one receiver: each value comes once.
#[test]
fn segments_push_push_pop() {
    loom::model(|| {
        let queue = queue(1, 1);
        let senders = [7, 8].map(|value| spawn(&queue, move |queue| queue.push(value).unwrap()));
        let mut taken: Vec<_> = queue.pop().into_iter().collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        taken.extend(drain(&queue));
        taken.sort_unstable();
        assert_eq!(taken, [7, 8]);
    });
}

/// A receiver comes before its sender is done, and the segment's end is near: the value comes once, in its sender's
/// order. Fails if `fill`, `look` or `break`, or a refusal of them, is weaker, and if `finish` is.
#[test]
fn segments_broken_cell() {
    loom::model(|| {
        let queue = queue(1, 1);
        let sender = spawn(&queue, |queue| (7..9).for_each(|i| queue.push(i).unwrap()));
        let mut taken: Vec<_> = (0..2).filter_map(|_| queue.pop().ok()).collect();
        sender.join().unwrap();
        taken.extend(drain(&queue));
        assert_eq!(taken, [7, 8]);
    });
}

/// Two receivers at a segment's end, one sender behind it: one of them ends the segment, after the other's last use.
#[test]
fn segments_two_receivers_leave_a_segment() {
    loom::model(|| {
        let queue = queue(3, 1);
        let receiver = spawn(&queue, |queue| queue.pop().unwrap());
        let mut taken = [queue.pop().unwrap(), receiver.join().unwrap()];
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        assert_eq!(drain(&queue), []);
        assert_eq!(queue.limbo.live(), 2);
    });
}

/// Two senders at a full segment: one links the next, either moves `tail` there, and the loser's value is behind the
/// winner's. A third thread follows the link that it finds. Fails if `link` or `follow` is weaker.
#[test]
fn segments_two_grow() {
    loom::model(|| {
        let queue = queue(2, 1);
        let senders = [7, 8].map(|value| spawn(&queue, move |queue| queue.push(value).unwrap()));
        let mut taken: Vec<_> = (0..2).filter_map(|_| queue.pop().ok()).collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        taken.extend(drain(&queue));
        assert_eq!(taken[0], 1);
        taken.sort_unstable();
        assert_eq!(taken, [1, 7, 8]);
    });
}

/// A visitor reads in the segments that a receiver leaves: they end after its stay, and they do end.
#[test]
fn segments_retire_meets_visitor() {
    loom::model(|| {
        let queue = queue(3, 1);
        let visitor = spawn(&queue, |queue| queue.len());
        assert_eq!((queue.pop(), queue.pop()), (Ok(1), Ok(2)));
        assert!(visitor.join().unwrap() <= 2);
        assert_eq!(drain(&queue), []);
        assert_eq!(queue.limbo.live(), 2);
    });
}

/// Two visitors, a sender that grows and `len`, and a receiver that leaves the segment.
#[test]
fn segments_retire_meets_grow() {
    loom::model(|| {
        let queue = queue(2, 1);
        let sender = spawn(&queue, |queue| queue.push(2).unwrap());
        let mut taken: Vec<_> = (0..2).filter_map(|_| queue.pop().ok()).collect();
        sender.join().unwrap();
        taken.extend(drain(&queue));
        assert_eq!(taken, [1, 2]);
    });
}

/// Between its looks at `head` and `tail`, a receiver sleeps through the life of their segment and into the next at the
/// same address, which is less full. It must not take that for an empty queue: there was no such moment.
#[test]
fn segments_used_again_is_not_empty() {
    loom::model(|| {
        let queue = queue(2, 1);
        let other = spawn(&queue, |queue| {
            (2..4).for_each(|i| queue.push(i).unwrap());
            (1..3).for_each(|i| assert_eq!(queue.pop(), Ok(i)));
            queue.push(4).unwrap();
        });
        assert!(queue.may_pop());
        other.join().unwrap();
        assert_eq!(drain(&queue), [3, 4]);
    });
}

/// One thread ends a segment, another makes it anew. Fails if `lay in`, or `take` of the spare segment, is Relaxed.
#[test]
fn segments_spare_changes_hands() {
    loom::model(|| {
        let queue = queue(4, 1);
        let sender = spawn(&queue, |queue| queue.push(4).unwrap());
        assert_eq!((queue.pop(), queue.pop()), (Ok(1), Ok(2)));
        sender.join().unwrap();
        assert_eq!(drain(&queue), [3, 4]);
    });
}

/// A close meets a push into a segment's last cell (`pushed` 1), or one that grows (2): it took effect, or it came
/// back.
fn close_meets_push(pushed: u32) {
    loom::model(move || {
        let queue = queue(pushed, pushed);
        let sender = spawn(&queue, |queue| queue.push(7));
        let closer = spawn(&queue, |queue| queue.close());
        let taken = queue.pop();
        assert!(closer.join().unwrap());
        match sender.join().unwrap() {
            Ok(()) => assert_eq!(taken.into_iter().chain(drain(&queue)).collect::<Vec<_>>(), [7]),
            Err(error) => {
                assert_eq!(error, TrySendError::Disconnected(7));
                assert!(taken.is_err());
                assert_eq!(drain(&queue), []);
            }
        }
        assert_eq!(queue.pop(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn segments_close_meets_push() {
    close_meets_push(1);
}

#[test]
fn segments_close_meets_grow() {
    close_meets_push(2);
}

/// Two senders grow, one for the other perhaps, and the queue is closed: none is lost, none comes back and is there
/// too.
#[test]
fn segments_close_meets_two_grow() {
    loom::model(|| {
        let queue = queue(2, 2);
        let senders = [7, 8].map(|value| spawn(&queue, move |queue| queue.push(value).is_ok().then_some(value)));
        queue.close();
        let mut pushed: Vec<_> = senders.into_iter().filter_map(|sender| sender.join().unwrap()).collect();
        let mut taken = drain(&queue);
        (pushed.sort_unstable(), taken.sort_unstable());
        assert_eq!(pushed, taken);
    });
}

struct SharedCell(Arc<loom::cell::UnsafeCell<u32>>);
// SAFETY: the model uses it from one thread at a time, which is what it checks.
unsafe impl Send for SharedCell {}

/// What the sender wrote before the push, the receiver sees: in a claimed cell, and in one that came with its segment.
#[test]
fn segments_hand_over_is_seen() {
    loom::model(|| {
        let queue = Arc::new(Segments::new());
        let sender = {
            let queue = queue.clone();
            thread::spawn(move || {
                for i in 0..2 {
                    let cell = Arc::new(loom::cell::UnsafeCell::new(0));
                    // SAFETY: not shared yet.
                    cell.with_mut(|value| unsafe { *value = 7 + i });
                    assert!(queue.push(SharedCell(cell)).is_ok());
                }
            })
        };
        let mut taken: Vec<_> = (0..2).filter_map(|_| queue.pop().ok()).collect();
        // SAFETY: the sender does not touch it after the push.
        let read = |cell: &SharedCell| cell.0.with(|value| unsafe { *value });
        let early: Vec<_> = taken.iter().map(read).collect();
        assert!([vec![], vec![7], vec![7, 8]].contains(&early));
        sender.join().unwrap();
        thread::yield_now();
        taken.extend(core::iter::from_fn(|| queue.pop().ok()));
        assert_eq!(taken.iter().map(read).collect::<Vec<_>>(), [7, 8]);
    });
}

/// B4: who announces that he waits and then looks, and who changes the queue by `change` and then looks for waiters:
/// one of them sees the other.
fn waiter_meets(pushed: u32, change: fn(&Segments<u32>), other: Option<fn(&Segments<u32>)>) {
    loom::model(move || {
        let queue = queue(pushed, pushed);
        let waits = Arc::new(crate::sync::atomic::AtomicUsize::new(1));
        waits.fetch_sub(1, SeqCst);
        let changer = {
            let waits = waits.clone();
            spawn(&queue, move |queue| {
                change(queue);
                waits.load(SeqCst) == 1
            })
        };
        let other = other.map(|other| spawn(&queue, other));
        waits.fetch_add(1, SeqCst);
        let seen = queue.may_pop();
        assert!(changer.join().unwrap() || seen, "asleep beside a value");
        other.map(|other| other.join().unwrap());
    });
}

#[test]
fn segments_push_meets_waiter() {
    waiter_meets(1, |queue| queue.push(7).unwrap(), None);
}

#[test]
fn segments_grow_meets_waiter() {
    waiter_meets(2, |queue| queue.push(7).unwrap(), None);
}

/// The push takes effect by another sender's hand.
#[test]
fn segments_helped_grow_meets_waiter() {
    waiter_meets(2, |queue| queue.push(7).unwrap(), Some(|queue| _ = queue.grow(8)));
}

#[test]
fn segments_close_meets_waiter() {
    waiter_meets(1, |queue| assert!(queue.close()), None);
}

/// Who is refused sees what the closer did before.
#[test]
fn segments_refused_see_the_closer() {
    loom::model(|| {
        let queue = queue(1, 1);
        let cell = Arc::new(UnsafeCell::new(0));
        let closer = {
            let cell = cell.clone();
            spawn(&queue, move |queue| {
                // SAFETY: the others read after the close.
                cell.with_mut(|value| unsafe { *value = 7 });
                queue.close()
            })
        };
        if queue.push(1).is_err() {
            // SAFETY: the closer wrote before it closed.
            assert_eq!(cell.with(|value| unsafe { *value }), 7);
        }
        closer.join().unwrap();
    });
}
