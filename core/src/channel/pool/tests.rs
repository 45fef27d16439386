//! The pool alone: both forms, wrapped positions, odd payloads, and threads at it.

use super::*;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    vec::Vec,
};

const ROUNDS: usize = if cfg!(miri) { 100 } else { 20_000 };

impl<T, S: Nodes<T>> Pool<T, S> {
    /// As after so many pushes and pops.
    fn aged(self, tag: Bits) -> Self {
        let tag = tag & (Bits::MAX >> self.cut());
        for number in [0, self.none()] {
            let word = if number == 0 { [self.head(), self.tail()] } else { [self.next(0); 2] };
            word.iter().for_each(|word| word.store(Tagged { tag, number }, Relaxed));
        }
        self.free().store(Tagged { tag, number: 1 }, Relaxed);
        self
    }
}

fn full<T>(error: TrySendError<T>) -> bool {
    matches!(error, TrySendError::Full(_))
}

fn fill<T, P: Buffer<T>>(pool: &P, place: P::Place, value: T) -> Result<(), T> {
    // SAFETY: these tests use up what they reserved in this pool.
    unsafe { pool.fill(place, value) }
}

fn give_back<T, P: Buffer<T>>(pool: &P, place: P::Place) {
    // SAFETY: as above.
    unsafe { pool.give_back(place) };
}

/// Everything that one thread sees of a pool of `n`.
fn behaves(n: usize, pool: impl Buffer<u32>) {
    assert_eq!((pool.len(), pool.may_pop(), pool.may_push(), pool.is_closed()), (0, false, true, false));
    let mut line = VecDeque::new();
    let mut fresh = 0..;
    for round in 0..(8 * n) {
        // Fuller, then emptier, so that nodes and slots get mixed.
        for _ in 0..1 + round % (n + 1) {
            let value = fresh.next().unwrap();
            match pool.push(value) {
                Ok(()) => line.push_back(value),
                Err(error) => assert!(full(error) && line.len() == n && !pool.may_push()),
            }
            assert_eq!((pool.len(), pool.may_pop()), (line.len(), true));
        }
        for _ in 0..1 + (round / 2) % (n + 1) {
            assert_eq!(pool.pop().ok(), line.pop_front());
            assert_eq!((pool.len(), pool.may_pop(), pool.may_push()), (line.len(), !line.is_empty(), true));
        }
    }
    while let Ok(value) = pool.pop() {
        assert_eq!(Some(value), line.pop_front());
    }
    assert!(line.is_empty());

    // Reserved places are taken, and hold nothing yet.
    let mut places: Vec<_> = (0..n).map(|_| pool.reserve().map_err(full).unwrap_or_else(|_| panic!())).collect();
    assert!(full(pool.reserve().err().unwrap()) && full(pool.push(0).unwrap_err()));
    assert_eq!((pool.len(), pool.may_pop(), pool.may_push()), (0, false, false));
    give_back(&pool, places.pop().unwrap());
    assert!(pool.may_push());
    pool.push(7).unwrap();
    for (value, place) in places.drain(1.min(n - 1)..).enumerate() {
        fill(&pool, place, value as u32).unwrap();
    }
    let values = 1 + n.saturating_sub(2);
    assert_eq!((pool.len(), pool.pop()), (values, Ok(7)));

    // Closed: a reservation from before comes to nothing, what was in it comes out.
    let place = places.pop().or_else(|| pool.reserve().ok()).unwrap();
    assert!(pool.close() && !pool.close() && pool.is_closed() && pool.may_pop() && pool.may_push());
    assert_eq!(fill(&pool, place, 5), Err(5));
    assert!(matches!(pool.reserve(), Err(TrySendError::Disconnected(()))));
    for value in 0..values - 1 {
        assert_eq!(pool.push(9), Err(TrySendError::Disconnected(9)));
        assert_eq!(pool.pop(), Ok(value as u32));
    }
    assert_eq!(
        (pool.pop(), pool.pop(), pool.len()),
        (Err(TryRecvError::Disconnected), Err(TryRecvError::Disconnected), 0)
    );
    assert!(pool.may_pop() && pool.may_push());
}

#[test]
fn pool_behaves() {
    for n in [1, 2, 3, 5, 13] {
        behaves(n, HeapPool::with_capacity(n));
    }
    behaves(1, InlinePool::<_, 1>::new());
    behaves(2, InlinePool::<_, 2>::new());
    behaves(7, InlinePool::<_, 7>::new());
}

/// Positions and tags pass from the last to 0.
#[test]
fn pool_positions_wrap() {
    for n in [1, 2, 3, 14] {
        for before in [1, 2, 5, 11] {
            behaves(n, HeapPool::with_capacity(n).aged(Bits::MAX - before + 1));
        }
    }
}

#[test]
fn pool_closed_while_full() {
    let pool = HeapPool::with_capacity(1);
    pool.push(1).unwrap();
    pool.close();
    assert_eq!(pool.push(2), Err(TrySendError::Disconnected(2)));
    assert!(matches!(pool.reserve(), Err(TrySendError::Disconnected(()))));
    assert_eq!((pool.pop(), pool.pop()), (Ok(1), Err(TryRecvError::Disconnected)));
}

#[test]
#[should_panic(expected = "at least one value")]
fn pool_of_nothing() {
    HeapPool::<u8>::with_capacity(0);
}

static GLOBAL: InlinePool<usize, 3> = InlinePool::new();

/// In a static, and all zeros there.
#[test]
fn pool_static() {
    let pool = InlinePool::<u64, 2>::new();
    assert!([&pool.head, &pool.tail, &pool.free].iter().all(|word| word.load(Relaxed) == 0));
    assert!(pool.spare.is_zero() && pool.nodes.iter().all(|node| node.link.is_zero()));
    stress(&GLOBAL, 3);
}

/// A thread stopped for ever after each of the first steps, played by the same calls left unfinished.
#[test]
fn pool_stopped_peers() {
    let pool = HeapPool::with_capacity(3);
    pool.push(1).unwrap();
    // A push that took its place, and no more.
    let _stopped = pool.take().unwrap();
    // One that linked, but did not move `tail`.
    let node = pool.take().unwrap();
    pool.cell(pool.slot_of(node)).with_mut(|cell| {
        // SAFETY: just taken.
        unsafe { (*cell).write(2) };
    });
    let (tail, next) = pool.end();
    pool.next(node).store(Tagged { tag: pool.tag_after(tail.tag), number: pool.none() }, Relaxed);
    pool.next(tail.number).exchange(next, Tagged { number: node, ..next }, SeqCst, Relaxed).ok().unwrap();
    assert!(pool.take().is_none());
    // `head` overtakes `tail`, and the node that `tail` is on is used again.
    assert_eq!((pool.pop(), pool.pop(), pool.pop()), (Ok(1), Ok(2), Err(TryRecvError::Empty)));
    assert_eq!((pool.tail().load(Relaxed) == tail, pool.may_pop()), (true, false));
    assert_eq!(pool.free().load(Relaxed).number, tail.number);
    for value in 3..20 {
        pool.push(value).unwrap();
        pool.push(value + 1).unwrap();
        assert!(full(pool.push(0).unwrap_err()));
        assert_eq!((pool.len(), pool.pop(), pool.pop()), (2, Ok(value), Ok(value + 1)));
    }
    // A pop that moved `head` and no more keeps its place too.
    pool.push(1).unwrap();
    let head = pool.head().load(Acquire);
    let next = pool.next(head.number).load(Acquire);
    let moved = Tagged { tag: pool.tag_after(head.tag), ..next };
    pool.head().exchange(head, moved, Release, Relaxed).ok().unwrap();
    pool.push(2).unwrap();
    assert!(full(pool.push(3).unwrap_err()));
    assert_eq!((pool.len(), pool.pop(), pool.close()), (1, Ok(2), true));
    assert_eq!(pool.pop(), Err(TryRecvError::Disconnected));
}

/// Four producers and four consumers: everything arrives once, each producer's values in order, `len` in bounds.
fn stress(pool: &(impl Buffer<usize> + Sync), n: usize) {
    const PRODUCERS: usize = 4;
    let left = AtomicUsize::new(PRODUCERS);
    let sums: Vec<usize> = thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let left = &left;
            scope.spawn(move || {
                for value in (0..ROUNDS).map(|i| i * PRODUCERS + producer) {
                    // Every third through a reservation, some of which are given back first.
                    let mut first = value % 2 == 0;
                    while if value % 3 == 0 {
                        match pool.reserve() {
                            Ok(place) if mem::take(&mut first) => {
                                give_back(pool, place);
                                true
                            }
                            Ok(place) => fill(pool, place, value).is_err(),
                            Err(_) => true,
                        }
                    } else {
                        pool.push(value).is_err()
                    } {
                        thread::yield_now();
                    }
                }
                if left.fetch_sub(1, SeqCst) == 1 {
                    assert!(pool.close());
                }
            });
        }
        let consumers = [(); 4].map(|()| {
            scope.spawn(move || {
                let (mut sum, mut last) = (0, [None; PRODUCERS]);
                loop {
                    assert!(pool.len() <= n);
                    match pool.pop() {
                        Ok(value) => {
                            sum += value;
                            let before = last[value % PRODUCERS].replace(value);
                            assert!(before < Some(value), "{before:?} before {value}");
                        }
                        Err(TryRecvError::Empty) => thread::yield_now(),
                        Err(TryRecvError::Disconnected) => break sum,
                    }
                }
            })
        });
        consumers.map(|consumer| consumer.join().unwrap()).to_vec()
    });
    let count = ROUNDS * PRODUCERS;
    assert_eq!(sums.iter().sum::<usize>(), count / 2 * (count - 1));
    assert_eq!(pool.len(), 0);
}

#[test]
fn pool_stress() {
    for n in [1, 2, 3, 128] {
        stress(&HeapPool::with_capacity(n), n);
        stress(&HeapPool::with_capacity(n).aged(Bits::MAX - 1000), n);
    }
}

struct Counted(Arc<AtomicUsize>, bool);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        assert!(!self.1, "as asked");
    }
}

#[test]
#[cfg_attr(greenlight_asan, ignore = "leaks on purpose")]
fn pool_drops_each_value_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let value = |panics| Counted(drops.clone(), panics);
    let pool = HeapPool::with_capacity(4);
    for _ in 0..6 {
        pool.push(value(false)).ok().unwrap();
        drop(pool.pop());
    }
    assert_eq!(drops.swap(0, SeqCst), 6);
    (0..3).for_each(|i| pool.push(value(i == 1)).ok().unwrap());
    give_back(&pool, pool.reserve().ok().unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool))).is_err());
    assert_eq!(drops.load(SeqCst), 2); // the one behind it is leaked
}

#[test]
fn pool_odd_payloads() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(align(256))]
    struct Aligned(u8);

    fn round<T: Clone + PartialEq + core::fmt::Debug>(value: T) {
        let pool = HeapPool::with_capacity(3);
        for _ in 0..4 {
            pool.push(value.clone()).ok().unwrap();
            pool.push(value.clone()).ok().unwrap();
            assert_eq!((pool.pop(), pool.pop()), (Ok(value.clone()), Ok(value.clone())));
        }
        pool.push(value).ok().unwrap();
    }
    round(());
    round(Aligned(3));
    round(std::string::String::from("on the heap"));
    round([7u8; 64 << 10]);
    // Not built on the stack: 64 MiB would not fit there.
    HeapPool::<[u8; 64 << 10]>::with_capacity(1 << 10);
}
