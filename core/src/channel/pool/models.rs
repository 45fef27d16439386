//! Models of the pool: every interleaving, and every old value that a look may return, up to the preemption bound.
//!
//! The slots are the checker's cells: a value read while another writes it, or before it is published, is caught.

use super::*;
use loom::thread;
use std::{sync::Arc, vec, vec::Vec};

type Small = InlinePool<u32, 1>;
type Double = InlinePool<u32, 2>;

/// Everything in it, in order.
fn drain(pool: &impl Buffer<u32>) -> Vec<u32> {
    // So that nothing that happened before is news.
    thread::yield_now();
    core::iter::from_fn(|| pool.pop().ok()).collect()
}

fn spawn<P: Send + Sync + 'static, R: 'static>(
    pool: &Arc<P>,
    run: impl FnOnce(&P) -> R + 'static,
) -> thread::JoinHandle<R> {
    let pool = pool.clone();
    thread::spawn(move || run(&pool))
}

/// Two pushes meet a pop: everything arrives, once, and there is room for both.
#[test]
fn pool_two_pushes_meet_a_pop() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        let pushes = [1, 2].map(|value| spawn(&pool, move |pool| pool.push(value).unwrap()));
        let mut got: Vec<_> = pool.pop().into_iter().collect();
        pushes.into_iter().for_each(|push| push.join().unwrap());
        got.extend(drain(&*pool));
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

/// Node and slot go round between a push and a pop: the value's memory is with one of them at a time.
#[test]
fn pool_slot_is_used_again() {
    loom::model(|| {
        let pool = Arc::new(Small::new());
        pool.push(1).unwrap();
        let other = spawn(&pool, |pool| {
            let pushed = pool.push(2).is_ok();
            (pushed, pool.pop().ok())
        });
        let first = pool.pop().ok();
        let pushed = pool.push(3).is_ok();
        let (other_pushed, second) = other.join().unwrap();
        let mut got: Vec<_> = first.into_iter().chain(second).chain(drain(&*pool)).collect();
        got.sort_unstable();
        let sent = [Some(1), other_pushed.then_some(2), pushed.then_some(3)];
        assert_eq!(got, sent.into_iter().flatten().collect::<Vec<_>>());
    });
}

/// Two pops share two values and free two pairs of mixed-up nodes and slots; then both places are there again.
#[test]
fn pool_two_pops_meet_a_push() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        pool.push(1).unwrap();
        pool.push(2).unwrap();
        let pops = [(); 2].map(|()| spawn(&pool, |pool| pool.pop().ok()));
        let pushed = pool.push(3).is_ok();
        let mut got: Vec<_> = pops.into_iter().filter_map(|pop| pop.join().unwrap()).collect();
        assert_eq!(got.len(), 2);
        let rest = drain(&*pool);
        assert!(rest.is_sorted());
        got.extend(rest);
        got.sort_unstable();
        assert_eq!(got, if pushed { vec![1, 2, 3] } else { vec![1, 2] });
        pool.push(4).unwrap();
        pool.push(5).unwrap();
        assert!(pool.push(6).is_err());
        assert_eq!(drain(&*pool), [4, 5]);
    });
}

/// Two pops, one of which may find `head` moved by the other, and the first push ever.
#[test]
fn pool_two_pops_of_one_push() {
    loom::model(|| {
        let pool = Arc::new(Small::new());
        let push = spawn(&pool, |pool| pool.push(1).unwrap());
        let pop = spawn(&pool, |pool| pool.pop().ok());
        let mut got: Vec<_> = pool.pop().into_iter().collect();
        assert!(got.is_empty() || !pool.may_pop());
        got.extend(pop.join().unwrap());
        push.join().unwrap();
        got.extend(drain(&*pool));
        assert_eq!(got, [1]);
    });
}

/// `may_pop` finds the `next` that belongs to the head it found: it is wrong only if somebody popped meanwhile.
#[test]
fn pool_may_pop_looks_in_order() {
    loom::model(|| {
        let pool = Arc::new(Small::new());
        let push = spawn(&pool, |pool| pool.push(1).unwrap());
        let pop = spawn(&pool, |pool| pool.pop().is_ok());
        pool.may_pop();
        push.join().unwrap();
        let popped = pop.join().unwrap();
        thread::yield_now();
        assert_eq!(pool.may_pop(), !popped);
    });
}

/// The old head is reused at once: it is not taken for the end of the line, there is always a value.
#[test]
fn pool_is_never_empty() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        pool.push(1).unwrap();
        pool.push(2).unwrap();
        let other = spawn(&pool, |pool| (pool.pop().unwrap(), pool.push(3).unwrap()).0);
        let got = pool.pop().unwrap();
        assert_eq!(other.join().unwrap() + got, 3);
        assert_eq!(drain(&*pool), [3]);
    });
}

/// `len` while values come and go.
#[test]
fn pool_len_stays_in_bounds() {
    loom::model(|| {
        let pool = Arc::new(Small::new());
        let push = spawn(&pool, |pool| (pool.push(1).unwrap(), pool.push(2).is_ok()).1);
        let pop = spawn(&pool, |pool| pool.pop().is_ok());
        assert!(pool.len() <= 1);
        let (pushed, popped) = (push.join().unwrap(), pop.join().unwrap());
        thread::yield_now();
        assert_eq!(pool.len(), 1 + usize::from(pushed) - usize::from(popped));
    });
}

/// A close meets a push: what was pushed comes out before `Disconnected`, what was not comes back; and who hears of the
/// close sees what was done before it.
#[test]
fn pool_close_meets_a_push() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        let before = Arc::new(UnsafeCell::new(0));
        let push = spawn(&pool, |pool| pool.push(1));
        let close = {
            let before = before.clone();
            spawn(&pool, move |pool| {
                // SAFETY: nobody knows that it is closed yet.
                before.with_mut(|before| unsafe { *before = 1 });
                pool.close()
            })
        };
        let mut got = Vec::new();
        loop {
            match pool.pop() {
                Ok(value) => got.push(value),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => thread::yield_now(),
            }
        }
        // SAFETY: it is closed, so the writer is done.
        assert_eq!(before.with(|before| unsafe { *before }), 1);
        assert!(close.join().unwrap());
        match push.join().unwrap() {
            Ok(()) => assert_eq!(got, [1]),
            Err(error) => assert_eq!((error, got), (TrySendError::Disconnected(1), vec![])),
        }
        assert_eq!((pool.pop(), pool.len()), (Err(TryRecvError::Disconnected), 0));
        assert!(!pool.close());
    });
}

/// A reservation, given back or filled, meets a push and a pop: a reserved place is taken, and hides nothing.
#[test]
fn pool_reservation_meets_push_and_pop() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        let place = pool.reserve().ok().unwrap();
        let push = spawn(&pool, |pool| (pool.push(1).unwrap(), pool.push(2).is_ok()).1);
        let pop = spawn(&pool, |pool| pool.pop().ok());
        // SAFETY: reserved above.
        unsafe { pool.fill(place, 3) }.unwrap();
        let second = push.join().unwrap();
        let first = pop.join().unwrap();
        let got: Vec<_> = first.into_iter().chain(drain(&*pool)).collect();
        assert!(got.len() == 2 + usize::from(second) && got.contains(&1) && got.contains(&3));
        if second {
            assert!(got.iter().position(|value| *value == 1) < got.iter().position(|value| *value == 2));
        }
    });
}

fn give_back(pool: &Double, place: usize) {
    // SAFETY: the model below uses up what it reserved in this pool.
    unsafe { pool.give_back(place) };
}

/// Places go from hand to hand, the topmost back to where it was while another looks at it: the free list never gives
/// one to two. Fails also if `take` leaves the tag as it was.
#[test]
fn pool_place_has_one_owner() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        let reserve = |pool: &Double| {
            let place = pool.reserve().ok()?;
            let cell = pool.cell(pool.slot_of(place as Number));
            // SAFETY: ours, which is what the checker checks.
            cell.with_mut(|cell| unsafe { _ = (*cell).write(1) });
            Some(place)
        };
        let other = spawn(&pool, move |pool| {
            let places = [reserve(pool), reserve(pool)];
            places.into_iter().flatten().for_each(|place| give_back(pool, place));
            reserve(pool).into_iter().for_each(|place| give_back(pool, place));
        });
        let places = [reserve(&pool), reserve(&pool)];
        places.into_iter().flatten().for_each(|place| give_back(&pool, place));
        other.join().unwrap();
        thread::yield_now();
        pool.push(1).unwrap();
        pool.push(2).unwrap();
        assert_eq!(drain(&*pool), [1, 2]);
    });
}

/// Who looks at the end of the line helps a push along, or is helped; it never finds a node older than the way to it.
#[test]
fn pool_tail_is_helped_along() {
    loom::model(|| {
        let pool = Arc::new(Double::new());
        let helper = spawn(&pool, |pool| pool.is_closed());
        let push = spawn(&pool, |pool| pool.push(1).unwrap());
        pool.push(2).unwrap();
        let closed = helper.join().unwrap();
        push.join().unwrap();
        assert!(!closed);
        thread::yield_now();
        assert_eq!(pool.len(), 2);
        assert_eq!(drain(&*pool).len(), 2);
    });
}

/// Pops overtake `tail`, and the node that it is on is wanted again.
#[test]
fn pool_head_overtakes_tail() {
    loom::model(|| {
        let pool = Arc::new(Small::new());
        let push = spawn(&pool, |pool| pool.push(1).is_ok());
        let mut got: Vec<_> = pool.pop().into_iter().collect();
        let pushed = pool.push(2).is_ok();
        let sent = [push.join().unwrap().then_some(1), pushed.then_some(2)];
        got.extend(drain(&*pool));
        got.sort_unstable();
        assert_eq!(got, sent.into_iter().flatten().collect::<Vec<_>>());
        pool.push(3).unwrap();
        assert_eq!(drain(&*pool), [3]);
    });
}

/// Who makes room in one pool before taking the last place of another is seen to have done so by whoever finds that one full.
#[test]
fn pool_full_after_room_elsewhere() {
    loom::model(|| {
        let (first, second) = (Arc::new(Small::new()), Arc::new(Small::new()));
        second.push(0).unwrap();
        let other = {
            let first = first.clone();
            spawn(&second, move |second| {
                second.pop().unwrap();
                let _place = first.take();
            })
        };
        if first.take().is_none() {
            assert!(second.take().is_some(), "one of the two has had room all the while");
        }
        other.join().unwrap();
    });
}
