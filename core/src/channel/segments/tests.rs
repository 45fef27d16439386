//! `Segments` from one thread and from many, with threads that stop half-way, and what it does with memory.

use super::*;
use proptest::prelude::*;
use std::{
    boxed::Box,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    vec::Vec,
};

fn drain<T>(queue: &Segments<T>) -> Vec<T> {
    core::iter::from_fn(|| queue.pop().ok()).collect()
}

fn live<T>(queue: &Segments<T>) -> usize {
    queue.limbo.live()
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Pop,
    /// A receiver that claims and comes back no more: in effect a pop that returns to nobody.
    StopReceiver,
    /// A sender that claims and comes back no more.
    StopSender,
    /// A segment linked by somebody who then stops: the value is in the queue once anybody moves `tail`.
    StopLinker(u32),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => any::<u32>().prop_map(Step::Push),
        40 => Just(Step::Pop),
        5 => Just(Step::StopReceiver),
        5 => Just(Step::StopSender),
        5 => any::<u32>().prop_map(Step::StopLinker),
        1 => Just(Step::Close),
    ]
}

/// Moves `word` by a cell, if it is one of a segment, and does no more.
fn stop_in_claim(word: &AtomicUsize) -> bool {
    let seen = word.load(Relaxed);
    seen & CLOSED == 0 && count(seen) < CELLS && word.compare_exchange(seen, seen + 1, SeqCst, Relaxed).is_ok()
}

/// Links a segment with `value` in it, if the last is spent, and does no more.
fn stop_in_grow<T>(queue: &Segments<T>, value: T) -> bool {
    let tail = queue.tail.0.load(Relaxed);
    let visit = queue.limbo.visit();
    // SAFETY: visitor, and alone.
    let (link, base) = unsafe { (queue.link(tail), queue.position(tail)) };
    let stops = tail & CLOSED == 0 && count(tail) == CELLS && link.load(Relaxed).is_null();
    if stops {
        link.store(queue.limbo.make(base, value), Relaxed);
    }
    drop(visit);
    stops
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What a single thread sees, among threads that have stopped, is a plain queue.
    #[test]
    #[cfg_attr(greenlight_asan, ignore = "what a stopped thread keeps is a leak")]
    fn segments_histories_agree_with_a_deque(steps in prop::collection::vec(step(), 0..400)) {
        let queue = Segments::new();
        // None: claimed, never filled.
        let mut model: VecDeque<Option<u32>> = VecDeque::new();
        let (mut linked, mut closed) = (None, false);
        for step in steps {
            match step {
                Step::Push(value) => {
                    prop_assert_eq!(queue.push(value).is_err(), closed);
                    if !closed {
                        model.extend(linked.take().map(Some));
                        model.push_back(Some(value));
                    }
                }
                Step::Pop => {
                    let expected = loop {
                        match model.pop_front() {
                            Some(None) => {}
                            Some(Some(value)) => break Ok(value),
                            None if closed => break Err(TryRecvError::Disconnected),
                            None => break Err(TryRecvError::Empty),
                        }
                    };
                    prop_assert_eq!(queue.pop(), expected);
                }
                Step::StopReceiver => {
                    if queue.look() == Look::Something && stop_in_claim(&queue.head.0.word) {
                        model.pop_front();
                    }
                }
                Step::StopSender => {
                    if linked.is_none() && stop_in_claim(&queue.tail.0) {
                        model.push_back(None);
                    }
                }
                Step::StopLinker(value) => {
                    if stop_in_grow(&queue, value) {
                        linked = Some(value);
                    }
                }
                Step::Close => {
                    prop_assert_eq!(queue.close(), !closed);
                    closed = true;
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.may_pop(), closed || !model.is_empty());
            prop_assert_eq!(queue.can_pop(), closed || model.iter().any(Option::is_some));
            prop_assert_eq!(queue.is_closed(), closed);
        }
        prop_assert_eq!(drain(&queue), model.into_iter().flatten().collect::<Vec<_>>());
    }
}

#[test]
#[cfg_attr(greenlight_asan, ignore = "what a stopped thread keeps is a leak")]
fn segments_a_stopped_sender_keeps_one_place() {
    let queue = Segments::new();
    queue.push(0).unwrap();
    assert!(stop_in_claim(&queue.tail.0));
    (1..1000).for_each(|i| queue.push(i).unwrap());
    assert_eq!(drain(&queue), (0..1000).collect::<Vec<_>>());
    assert_eq!(queue.pop(), Err(TryRecvError::Empty));
}

/// The stopped sender goes on at last: its cell is broken, and it must not be lost or early.
#[test]
fn segments_a_late_sender_gets_its_value_back() {
    let queue = Segments::new();
    queue.push(Box::new(0)).unwrap();
    let claimed = queue.tail.0.fetch_add(1, SeqCst);
    queue.push(Box::new(2)).unwrap();
    assert_eq!(drain(&queue).into_iter().map(|v| *v).collect::<Vec<_>>(), [0, 2]);
    // SAFETY: claimed above.
    let back = unsafe { queue.fill_cell(claimed, Box::new(1)) };
    assert_eq!(back, Err(Box::new(1)));
}

/// Each value once, and those of one sender in order, whoever takes them.
fn stress(senders: usize, receivers: usize, each: usize) {
    let queue = Arc::new(Segments::new());
    let sending: Vec<_> = (0..senders)
        .map(|who| {
            let queue = queue.clone();
            thread::spawn(move || (0..each).for_each(|i| queue.push(Box::new((who, i))).unwrap()))
        })
        .collect();
    let receiving: Vec<_> = (0..receivers)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let (mut next, mut taken, mut sum) = (Vec::new(), 0, 0);
                next.resize(senders, 0);
                loop {
                    match queue.pop() {
                        Ok(value) => {
                            let (who, i) = *value;
                            assert!(i >= next[who], "{i} of sender {who} after {}", next[who]);
                            next[who] = i + 1;
                            taken += 1;
                            sum += i;
                        }
                        Err(TryRecvError::Empty) => thread::yield_now(),
                        Err(TryRecvError::Disconnected) => return (taken, sum),
                    }
                }
            })
        })
        .collect();
    sending.into_iter().for_each(|sender| sender.join().unwrap());
    assert!(queue.close());
    let (taken, sum) = receiving
        .into_iter()
        .map(|receiver| receiver.join().unwrap())
        .fold((0, 0), |(taken, sum), (t, s)| (taken + t, sum + s));
    assert_eq!((taken, sum), (senders * each, senders * (each / 2) * (each - 1)));
    assert!(queue.len() == 0 && queue.limbo.is_empty());
    assert!(live(&queue) <= 2, "{} segments", live(&queue));
}

const EACH: usize = if cfg!(miri) { 200 } else { 20_000 };

#[test]
fn segments_four_senders_four_receivers() {
    stress(4, 4, EACH);
}

#[test]
fn segments_one_sender_one_receiver() {
    stress(1, 1, 4 * EACH);
}

/// Each thread pushes, then pops: what it gets is never older than a push that had returned before, and nobody finds
/// the queue empty while his own value is in it.
#[test]
fn segments_nobody_misses_what_is_there() {
    let queue = Arc::new(Segments::new());
    let threads: Vec<_> = (0..4)
        .map(|who| {
            let queue = queue.clone();
            thread::spawn(move || {
                for _ in 0..EACH {
                    queue.push(who).unwrap();
                    assert!(queue.pop().is_ok(), "as many were pushed as will be popped, this one included");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(queue.pop(), Err(TryRecvError::Empty));
}

/// Pushes against a close: those that returned Ok come out, those that did not come back.
#[test]
fn segments_close_divides_the_pushes() {
    for round in 0..if cfg!(miri) { 5 } else { 500 } {
        let queue = Arc::new(Segments::new());
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || (0..).take_while(|i| queue.push(Box::new(*i)).is_ok()).count())
            })
            .collect();
        let receiver = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut taken = 0;
                while queue.pop() != Err(TryRecvError::Disconnected) {
                    taken += 1;
                }
                taken
            })
        };
        (0..round).for_each(|_| core::hint::spin_loop());
        assert!(queue.close() && !queue.close());
        let empties = receiver.join().unwrap();
        let pushed: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert!(empties >= pushed, "{pushed} pushed, {empties} taken or found empty");
        assert_eq!(queue.pop(), Err(TryRecvError::Disconnected));
    }
}

#[derive(Clone)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.0.fetch_add(1, Relaxed) != 50, "the panic that a test asks for");
    }
}

#[test]
fn segments_values_are_dropped_once() {
    for (pushed, popped, closed) in [(0, 0, false), (1, 1, true), (31, 0, false), (32, 31, false), (49, 32, true)] {
        let drops = Arc::new(AtomicUsize::new(0));
        let queue = Segments::new();
        (0..pushed).for_each(|_| assert!(queue.push(Counted(drops.clone())).is_ok()));
        (0..popped).for_each(|_| assert!(queue.pop().is_ok()));
        if closed {
            queue.close();
            assert!(queue.push(Counted(drops.clone())).is_err());
        }
        assert_eq!(drops.load(Relaxed), popped + usize::from(closed));
        drop(queue);
        assert_eq!(drops.load(Relaxed), pushed + usize::from(closed));
    }
}

#[test]
#[cfg_attr(greenlight_asan, ignore = "it leaks")]
fn segments_a_drop_that_panics_leaks_those_behind_it() {
    let drops = Arc::new(AtomicUsize::new(0));
    let queue = Segments::new();
    (0..100).for_each(|_| assert!(queue.push(Counted(drops.clone())).is_ok()));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(queue))).is_err());
    assert_eq!(drops.load(Relaxed), 51);
}

/// A push that has linked its segment when the close comes: the value comes back, the segment does not leak.
#[test]
fn segments_a_segment_behind_a_closed_tail_is_freed() {
    let queue = Segments::new();
    assert!(stop_in_grow(&queue, 7));
    assert!(queue.close());
    assert_eq!((queue.pop(), queue.len()), (Err(TryRecvError::Disconnected), 0));
    assert_eq!(live(&queue), 1);
}

#[test]
fn segments_odd_payloads() {
    #[derive(Clone, Debug, PartialEq)]
    #[repr(align(1024))]
    struct Aligned(u8);
    fn through<T: Clone + PartialEq + core::fmt::Debug>(value: T) {
        let queue = Segments::new();
        for _ in 0..3 {
            (0..70).for_each(|_| queue.push(value.clone()).unwrap());
            assert_eq!(queue.len(), 70);
            (0..70).for_each(|_| assert_eq!(queue.pop().unwrap(), value));
        }
        queue.push(value).unwrap();
    }
    through(());
    through(Aligned(3));
    through(Box::new([7_u8; 65536]));
    // Without optimization, each call on the way keeps a few copies on the stack.
    let big = thread::Builder::new().stack_size(16 << 20).spawn(|| {
        let queue = Segments::new();
        (0..40).for_each(|i| queue.push([i; 65536]).unwrap());
        (0..40).for_each(|i| assert_eq!(queue.pop().unwrap()[65535], i));
    });
    big.unwrap().join().unwrap();
}

#[test]
fn segments_memory_goes_back_after_a_burst() {
    let queue = Segments::new();
    assert_eq!(live(&queue), 0);
    (0..10_000).for_each(|i| queue.push(i).unwrap());
    assert_eq!(live(&queue), 10_000_usize.div_ceil(CELLS));
    assert_eq!(drain(&queue).len(), 10_000);
    assert_eq!(live(&queue), 2, "the last one, and the spare one");
    // A short queue lives on those two.
    (0..10_000).for_each(|i| assert!(queue.push(i).is_ok() && queue.pop().is_ok()));
    assert_eq!(live(&queue), 2);
}

/// What was retired while a visitor stayed is freed when it leaves.
#[test]
fn segments_a_visitor_delays_and_its_leave_frees() {
    let queue = Segments::new();
    let visit = queue.limbo.visit();
    (0..1000).for_each(|i| queue.push(i).unwrap());
    drain(&queue);
    assert_eq!(live(&queue), 1000_usize.div_ceil(CELLS));
    drop(visit);
    assert_eq!(live(&queue), 2);
}

/// No number of `pops` comes back, though `head` does.
#[test]
fn segments_pops_are_told_apart() {
    let queue = Segments::new();
    let numbers = (0..1000).map(|i| {
        assert!(queue.push(i).is_ok() && queue.pop().is_ok());
        queue.pops()
    });
    assert_eq!(numbers.collect::<std::collections::HashSet<_>>().len(), 1000);
    assert!(live(&queue) <= 2);
}

/// Short-lived queues: the words before the first segment.
#[test]
fn segments_before_the_first_push() {
    let queue = Segments::<u8>::new();
    assert_eq!(
        (queue.pop(), queue.len(), queue.may_pop(), queue.may_push()),
        (Err(TryRecvError::Empty), 0, false, true)
    );
    assert!(queue.reserve().is_ok() && queue.close() && queue.may_pop());
    assert_eq!(queue.push(1), Err(TrySendError::Disconnected(1)));
    assert_eq!(queue.reserve(), Err(TrySendError::Disconnected(())));
    // SAFETY: no place is looked at.
    assert_eq!(unsafe { queue.fill(0, 2) }, Err(2));
    assert_eq!(queue.pop(), Err(TryRecvError::Disconnected));
    assert_eq!(live(&queue), 0);
}
