//! K8, by tasks that run: who begins where, that no two are on one stack, and what is done to the stacks of free slots.

use super::*;
use crate::{
    JoinHandle, Runtime, channel, go, sleep, stack,
    stack::tests::{in_child_ok, test_name},
    task, worker, yield_now,
};
use std::{
    collections::HashSet,
    hint::black_box,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

/// The base of the stack that calls, as its card says; and as its frames say, unless AddressSanitizer has those elsewhere.
fn here() -> usize {
    let told = worker::current_task().map(TaskRef::stack).expect("a task calls");
    let local = 0_u8;
    if !cfg!(greenlight_asan) {
        assert_eq!(stack::around(black_box(&raw const local).addr()), Some(told));
    }
    told.base().addr()
}

fn on_one_worker<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    Runtime::builder().workers(1).spare_workers(0).build().unwrap().go(f).join().unwrap()
}

/// Starts them, and waits until all have ended, or as good as: one whose end woke the spawner would have it go before those that have not begun.
fn run_in_a_row<T: Send + 'static>(tasks: Vec<Box<dyn FnOnce() -> T + Send>>) -> Vec<JoinHandle<T>> {
    let (left, (tx, rx)) = (Arc::new(AtomicUsize::new(tasks.len())), channel::unbounded());
    let start = |task: Box<dyn FnOnce() -> T + Send>| {
        let (left, tx) = (left.clone(), tx.clone());
        go(move || {
            let result = task();
            if left.fetch_sub(1, SeqCst) == 1 {
                tx.send(()).unwrap();
            }
            result
        })
    };
    let tasks = tasks.into_iter().map(start).collect();
    rx.recv().unwrap();
    tasks
}

/// No two cards have the same stack, and each has one of its class. To be asked when nobody begins any more.
fn assert_each_has_its_own() {
    let mut stacks = HashSet::new();
    stack::for_each_slot(|slot| {
        let stack = TaskRef::stack_of(slot);
        assert_eq!(stack.size(), slot.class().size());
        assert!(stacks.insert(stack.base().addr()), "two cards with one stack");
    });
}

/// A hundred that wait for nothing use one stack; one that waits keeps it, and the next begins on another.
#[test]
#[cfg(not(greenlight_tsan))]
fn one_stack_is_enough_for_tasks_that_wait_for_nothing() {
    in_child_ok(test_name!("one_stack_is_enough_for_tasks_that_wait_for_nothing"), || {
        on_one_worker(|| {
            let hundred = || run_in_a_row((0..100).map(|_| Box::new(here) as _).collect());
            let join =
                |tasks: Vec<JoinHandle<usize>>| tasks.into_iter().map(|t| t.join().unwrap()).collect::<HashSet<_>>();
            assert_eq!(join(hundred()).len(), 1);
            let ((tx, rx), (begun, begins)) = (channel::bounded::<()>(0), channel::unbounded());
            let waiting: Vec<_> = (0..10)
                .map(|_| {
                    let (rx, begun) = (rx.clone(), begun.clone());
                    go(move || {
                        let before = here();
                        begun.send(()).unwrap();
                        let _ = rx.recv();
                        assert_eq!(here(), before, "moved to another stack");
                        before
                    })
                })
                .collect();
            begins.iter().take(10).for_each(|()| ());
            let others = join(hundred());
            drop(tx);
            let waited = join(waiting);
            assert_eq!(waited.len(), 10, "two waited on one stack");
            assert!(others.is_disjoint(&waited), "on the stack of one that waits");
        });
        assert_each_has_its_own();
    });
}

/// Tasks of all kinds of ends, on several workers, some of which roam: no two are on one stack at a time, and what they have there stays.
#[test]
fn nobody_loses_what_is_on_its_stack() {
    in_child_ok(test_name!("nobody_loses_what_is_on_its_stack"), || {
        fn family(depth: u32, seed: u64) -> u64 {
            let mine = black_box([seed; 64]);
            let children: Vec<_> = (0..if depth == 0 { 0 } else { 4 })
                .map(|n| {
                    let seed = seed * 5 + n;
                    let builder = task::Builder::new().stack_size(if n == 1 { 40_000 } else { 200_000 });
                    // SAFETY: nothing here belongs to a thread.
                    let builder = if n == 2 { unsafe { builder.roaming() } } else { builder };
                    builder.spawn(move || match seed % 7 {
                        0 => panic!("by design"),
                        1 => loop {
                            sleep(Duration::from_millis(1)); // to its cancellation
                        },
                        2 | 3 => {
                            let before = here();
                            sleep(Duration::from_micros(seed % 300));
                            assert_eq!(here(), before);
                            family(depth - 1, seed)
                        }
                        _ => family(depth - 1, seed),
                    })
                })
                .collect();
            yield_now();
            let sum = children.into_iter().fold(1, |sum, child| {
                child.cancel();
                sum + child.join().unwrap_or(0)
            });
            assert!(mine.iter().all(|word| *word == seed), "somebody else was on this stack");
            black_box(&mine);
            sum
        }
        // One that nobody joins any more, as whoever spawned it was cancelled, is to be heard too.
        std::panic::set_hook(Box::new(|panic| {
            if panic.payload().downcast_ref::<&str>() != Some(&"by design") {
                eprintln!("{panic}");
                std::process::exit(1);
            }
        }));
        let runtime = Runtime::builder().workers(3).build().unwrap();
        for round in 0..20 {
            let families: Vec<_> = (0..8).map(|n| runtime.go(move || family(4, round * 8 + n + 1))).collect();
            for family in families {
                assert!(family.join().unwrap() > 0);
            }
        }
        // Those that nobody joins are still at it: in the middle of an exchange, two cards have the same.
        assert!(runtime.shutdown(Duration::from_secs(60)).left().is_empty());
        assert_each_has_its_own();
    });
}

/// Who begins where another has ended finds the control words of a fresh stack, whatever that one has left.
#[test]
fn control_words_are_not_inherited() {
    use crate::arch::tests::{DEFAULT, UP, control, set_control};
    let (second, first) = on_one_worker(|| {
        // The newest begins first.
        let second = Box::new(|| (here(), control()));
        let first = Box::new(|| {
            set_control(UP);
            (here(), DEFAULT)
        });
        let mut tasks = run_in_a_row(vec![second, first]).into_iter().map(|task| task.join().unwrap());
        (tasks.next().unwrap(), tasks.next().unwrap())
    });
    assert!(cfg!(greenlight_tsan) || first.0 == second.0, "each on a stack of its own");
    assert_eq!(second.1, DEFAULT);
}

/// What a free slot gives back to the system is the stack that belongs to it by now, not the first one: somebody is on that.
#[test]
#[cfg(not(any(greenlight_asan, greenlight_tsan)))] // the first has frames elsewhere, the second exchanges nothing
fn stack_of_a_free_slot_is_trimmed_and_no_other() {
    #[inline(never)]
    fn deep(until: &channel::Receiver<()>) -> bool {
        let frame = black_box([7_u8; 40_000]);
        let _ = until.recv();
        black_box(&frame).iter().all(|byte| *byte == 7)
    }
    in_child_ok(test_name!("stack_of_a_free_slot_is_trimmed_and_no_other"), || {
        let (tx, rx) = channel::bounded::<()>(0);
        let runtime = Runtime::builder().workers(1).spare_workers(0).build().unwrap();
        let card = || worker::current_task().map(TaskRef::as_raw).unwrap().addr();
        let both = runtime.go(move || {
            // The newest begins first: `brief` on its own stack, `long` after it on the same.
            let (begun, begins) = channel::unbounded();
            let long = go(move || {
                begun.send(()).unwrap();
                (card(), here(), deep(&rx))
            });
            let brief = go(move || (card(), here()));
            begins.recv().unwrap();
            (long, brief.join().unwrap())
        });
        let (long, (brief_card, brief_stack)) = both.join().unwrap();
        // Several times as long as it takes until a free slot is trimmed, with the worker asleep and nothing set.
        std::thread::sleep(Duration::from_millis(300));
        drop(tx);
        let (long_card, long_stack, kept) = long.join().unwrap();
        assert_ne!(brief_card, long_card);
        assert_eq!(brief_stack, long_stack);
        assert!(kept, "the stack of a task that waits was given back");
    });
}

/// The report of an overflow names the task that has overflowed, not the one whose slot the stack was in at first.
#[test]
#[cfg(not(any(greenlight_asan, greenlight_tsan)))] // they handle SIGSEGV in our place
fn overflow_names_who_is_on_the_stack() {
    use crate::stack::overflow::tests::dig;
    let output = stack::tests::in_child(test_name!("overflow_names_who_is_on_the_stack"), || {
        on_one_worker(|| {
            let guilty = task::Builder::new().name("guilty").spawn(|| black_box(dig(0)));
            let innocent = task::Builder::new().name("innocent").spawn(|| ());
            let _ = guilty.join();
            innocent.join().unwrap();
        });
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("overflowed its stack of 256 KiB") && text.contains("\"guilty\""), "{text}");
    assert!(!text.contains("\"innocent\""), "{text}");
}
