//! What Go's own channel programs check (golang/go, `test/chan/`), checked of ours. The code is our own.
//!
//! | Go's program | here                                                                                           |
//! |--------------|------------------------------------------------------------------------------------------------|
//! | doubleselect | [`a_select_does_one_of_its_sends`]                                                             |
//! | fifo         | [`a_buffer_is_first_in_first_out`], [`values_go_to_receivers_in_the_order_in_which_they_came`] |
//! | goroutines   | [`a_value_passes_through_ten_thousand_green_threads`]                                          |
//! | nonblock     | [`nonblocking_calls_with_values_of_several_sizes`]                                             |
//! | perm         | `Directions` in `src/lib.rs`: the types give it, at compile time                               |
//! | powser1      | `go_powser.rs`                                                                                 |
//! | powser2      | left out: the series of powser1 as interface values                                            |
//! | select       | [`a_select_that_switches_its_arms_off`]                                                        |
//! | select2      | `go_select_memory.rs`, which needs a process and an allocator of its own                       |
//! | select3      | [`what_waits_for_ever`], [`what_never_waits`]                                                  |
//! | select4      | [`only_the_chosen_arm_runs`]                                                                   |
//! | select5      | `go_select_order.rs`                                                                           |
//! | select6      | [`a_lost_arm_leaves_the_queue_whole`]                                                          |
//! | select7      | [`every_kind_of_send_meets_every_kind_of_receive`]                                             |
//! | select8      | [`a_body_leaves_the_loop_around_its_select`]                                                   |
//! | sendstmt     | [`channels_of_channels_and_operators`]                                                         |
//! | sieve1       | `go_sieves.rs`                                                                                 |
//! | sieve2       | `go_sieves.rs`                                                                                 |
//! | zerosize     | [`values_without_size`]                                                                        |

use greenlight::{
    JoinHandle, WaitGroup,
    channel::{Receiver, Sender, bounded, never, unbounded},
    go, select, sleep, yield_now,
};
use greenlight_tests::{nowhere, on_workers};
use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    time::Duration,
};

/// Four forwarders between the select and the one who counts: with one channel in all four arms two of them could
/// hardly happen at once.
#[test]
fn a_select_does_one_of_its_sends() {
    const VALUES: usize = 50_000;
    on_workers(|| {
        let (all_tx, all) = bounded(0);
        let lanes: Vec<_> = (0..4)
            .map(|_| {
                let (lane, values) = bounded(0);
                let all_tx = all_tx.clone();
                go(move || values.iter().for_each(|value| all_tx.send(value).unwrap()));
                lane
            })
            .collect();
        drop(all_tx);
        go(move || {
            for i in 0..VALUES {
                select! {
                    send(lanes[0], i) -> sent => sent.unwrap(),
                    send(lanes[1], i) -> sent => sent.unwrap(),
                    send(lanes[2], i) -> sent => sent.unwrap(),
                    send(lanes[3], i) -> sent => sent.unwrap(),
                }
            }
        });
        let mut seen = vec![false; VALUES];
        for i in &all {
            assert!(!std::mem::replace(&mut seen[i], true), "{i} came twice");
        }
        assert!(seen.iter().all(|seen| *seen), "some are lost");
    });
}

#[test]
fn a_buffer_is_first_in_first_out() {
    on_workers(|| {
        let (tx, rx) = bounded(10);
        (0..10).for_each(|i| tx.send(i).unwrap());
        (0..10).for_each(|i| assert_eq!(rx.recv(), Ok(i)));
    });
}

/// Receivers that take turns: each starts to receive when the one before it has its value.
#[test]
fn values_go_to_receivers_in_the_order_in_which_they_came() {
    on_workers(|| {
        let (tx, rx) = bounded(0);
        let (start, mut turn) = bounded(0);
        for i in 0..10 {
            let (done, next_turn) = bounded(0);
            let (rx, my_turn) = (rx.clone(), std::mem::replace(&mut turn, next_turn));
            go(move || {
                my_turn.recv().unwrap();
                assert_eq!(rx.recv(), Ok(i));
                done.send(()).unwrap();
            });
        }
        start.send(()).unwrap();
        (0..10).for_each(|i| tx.send(i).unwrap());
        turn.recv().unwrap();
    });
}

#[test]
fn a_value_passes_through_ten_thousand_green_threads() {
    on_workers(|| {
        let (leftmost_tx, leftmost) = bounded(0);
        let mut left = leftmost_tx;
        let wg = WaitGroup::new();
        for _ in 0..10_000 {
            let (right_tx, right) = bounded(0);
            let left = std::mem::replace(&mut left, right_tx);
            wg.go(move || left.send(right.recv().unwrap() + 1).unwrap());
        }
        let right = left;
        go(move || right.send(1).unwrap());
        assert_eq!(leftmost.recv(), Ok(10_001));
        wg.wait();
    });
}

/// With and without a buffer: nothing is there to receive; a send that does not wait meets a receiver that does, and
/// the other way round. A caller of Go's `select` with `default` tries until its peer is there.
fn nonblocking<T: Clone + Debug + PartialEq + Send + 'static>(to: T, from: T) {
    for capacity in [0, 1] {
        let (tx, rx) = bounded::<T>(capacity);
        select! {
            recv(rx) -> got => panic!("received {got:?} from an empty channel"),
            default => {}
        }

        let receiver = {
            let rx = rx.clone();
            go(move || rx.recv().unwrap())
        };
        loop {
            select! {
                send(tx, to.clone()) -> sent => {
                    sent.unwrap();
                    break;
                }
                default => yield_now(),
            }
        }
        assert_eq!(receiver.join().unwrap(), to);

        let value = from.clone();
        let sender = go(move || tx.send(value).unwrap());
        let got = loop {
            select! {
                recv(rx) -> got => break got.unwrap(),
                default => yield_now(),
            }
        };
        assert_eq!(got, from);
        sender.join().unwrap();
    }
}

#[test]
fn nonblocking_calls_with_values_of_several_sizes() {
    on_workers(|| {
        nonblocking(true, false);
        nonblocking(123_i32, 234);
        nonblocking(123_456_i64, 234_567);
        nonblocking(String::from("to"), String::from("from"));
        nonblocking([1_u64; 32], [2; 32]);
    });
}

/// Go evaluates the values of all its arms at each turn, ten times in all. Ours need only be evaluated for what is
/// sent.
#[test]
fn a_select_that_switches_its_arms_off() {
    fn send_all(mut a: Sender<u32>, mut b: Sender<u32>, shift: &mut u32, evaluated: &mut u32) -> u32 {
        let mut sent = 0;
        loop {
            let mut value = || {
                *evaluated += 1;
                1 << *shift
            };
            select! {
                send(a, value()) -> result => {
                    result.unwrap();
                    a = nowhere();
                }
                send(b, value()) -> result => {
                    result.unwrap();
                    b = nowhere();
                }
                default => return sent,
            }
            sent += 1;
            *shift += 1;
        }
    }

    on_workers(|| {
        let ((a_tx, a), (b_tx, b)) = (bounded(1), bounded(1));
        let (mut shift, mut evaluated) = (0, 0);
        assert_eq!(send_all(a_tx.clone(), b_tx, &mut shift, &mut evaluated), 2);
        assert_eq!(a.recv().unwrap() | b.recv().unwrap(), 0b11);
        assert_eq!(send_all(a_tx, nowhere(), &mut shift, &mut evaluated), 1);
        assert_eq!(a.recv(), Ok(0b100));
        assert!((3..=10).contains(&evaluated), "{evaluated}");
    });
}

/// A list of programs with their text.
macro_rules! programs {
    ($($program:expr;)*) => {
        [$((stringify!($program), program($program))),*]
    };
}

fn program(program: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce() + Send> {
    Box::new(program)
}

/// All of them at once, and a look after a while: whoever has come back by then has not waited. Where Go has a nil
/// channel, ours is one for which nobody comes.
#[test]
fn what_waits_for_ever() {
    on_workers(|| {
        // The other halves stay alive, or the channels would be closed.
        let (empty_tx, empty) = bounded::<i32>(0);
        let (full, full_rx) = bounded(1);
        full.send(0).unwrap();
        let ((empty2, empty3), full2) = ((empty.clone(), empty.clone()), full.clone());
        let waiting = programs! {
            || nowhere().send(7).unwrap();
            || { let _ = never::<i32>().recv(); };
            move || { let _ = empty.recv(); };
            move || full.send(7).unwrap();
            || select! {};
            || select! { recv(never::<i32>()) -> _ => {} };
            || select! { send(nowhere(), 7) -> _ => {} };
            || select! { recv(never::<i32>()) -> _ => {}, send(nowhere(), 7) -> _ => {} };
            move || select! { recv(empty2) -> _ => {} };
            move || select! { send(full2, 7) -> _ => {}, recv(empty3) -> _ => {} };
            || {
                // A select does not meet itself.
                let (tx, rx) = bounded(0);
                select! { send(tx, 1) -> _ => {}, recv(rx) -> _ => {} }
            };
        };
        let (started_tx, started) = unbounded();
        let waiting: Vec<(_, JoinHandle<()>)> = waiting
            .into_iter()
            .map(|(text, program)| {
                let started_tx = started_tx.clone();
                let run = move || {
                    started_tx.send(()).unwrap();
                    program();
                };
                (text, go(run))
            })
            .collect();
        waiting.iter().for_each(|_| started.recv().unwrap());
        sleep(Duration::from_millis(20));
        for (text, program) in waiting {
            assert!(!program.is_finished(), "`{text}` came back");
        }
        drop((empty_tx, full_rx));
    });
}

/// If one of them waits, this hangs. Where Go panics, a send on a closed channel, ours gives the value back.
#[test]
fn what_never_waits() {
    on_workers(|| {
        let (open, closed) = bounded::<i32>(0);
        open.close();
        let (closed_tx, closed_tx2) = (open.clone(), open);
        let closed2 = closed.clone();
        let coming_back = programs! {
            || {
                let (tx, _rx) = bounded(1);
                tx.send(7).unwrap();
            };
            move || (0..10).for_each(|_| assert!(closed.recv().is_err()));
            move || assert_eq!(closed_tx.send(7).unwrap_err().into_inner(), 7);
            || select! { default => {} };
            || select! { recv(never::<i32>()) -> _ => unreachable!(), default => {} };
            || select! { send(nowhere(), 7) -> _ => unreachable!(), default => {} };
            || {
                let (tx, _rx) = bounded(1);
                select! { send(tx, 7) -> sent => sent.unwrap(), default => unreachable!() }
            };
            || {
                let (tx, rx) = bounded(1);
                tx.send(7).unwrap();
                select! { recv(rx) -> got => assert_eq!(got, Ok(7)), default => unreachable!() }
            };
            move || {
                select! { recv(closed2) -> got => assert!(got.is_err()) }
                select! { recv(closed2) -> _ => {} }
                select! { recv(closed2) -> got => assert!(got.is_err()), default => unreachable!() }
            };
            move || {
                select! { send(closed_tx2, 7) -> sent => assert_eq!(sent.unwrap_err().into_inner(), 7) }
                select! { send(closed_tx2, 7) -> sent => assert!(sent.is_err()), default => unreachable!() }
            };
        };
        for (text, program) in coming_back {
            println!("{text}"); // the last one shown is the one that hangs
            go(program).join().unwrap();
        }
    });
}

#[test]
fn only_the_chosen_arm_runs() {
    on_workers(|| {
        let (tx, ready) = bounded(1);
        let (_nobody, empty) = bounded::<i32>(0);
        tx.send(42).unwrap();
        let mut others = 0;
        let x = select! {
            recv(empty) -> got => {
                others += 1;
                got.unwrap()
            }
            recv(ready) -> got => got.unwrap(),
        };
        assert_eq!((x, others), (42, 0));
    });
}

/// Two wait on `a`: a plain receiver, and behind it a select that then happens on `b`. Its arm must leave the line
/// without breaking it, or those who come later are never found.
#[test]
fn a_lost_arm_leaves_the_queue_whole() {
    on_workers(|| {
        for _ in 0..300 {
            let ((a_tx, a), (b_tx, b), (c_tx, c)) = (bounded(0), bounded(0), bounded(0));
            let wg = WaitGroup::new();
            let first = a.clone();
            wg.go(move || first.recv().unwrap());
            wg.go(move || {
                select! {
                    recv(a) -> _ => panic!("nobody has sent yet"),
                    recv(b) -> got => c_tx.send(got.unwrap()).unwrap(),
                }
                a.recv().unwrap();
            });
            wg.go(move || b_tx.send("through b").unwrap());
            assert_eq!(c.recv(), Ok("through b"));
            a_tx.send(()).unwrap();
            a_tx.send(()).unwrap();
            wg.wait();
        }
    });
}

/// A plain call, a select with one arm, and a select with two, each with each; what is received is thrown away.
#[test]
fn every_kind_of_send_meets_every_kind_of_receive() {
    let receives: [fn(Receiver<i32>); 3] = [
        |rx| {
            let _ = rx.recv();
        },
        |rx| select! { recv(rx) -> _ => {} },
        |rx| {
            let (_tx, other) = bounded::<i32>(0);
            select! { recv(rx) -> _ => {}, recv(other) -> _ => unreachable!() }
        },
    ];
    let sends: [fn(Sender<i32>); 3] = [
        |tx| tx.send(1).unwrap(),
        |tx| select! { send(tx, 1) -> sent => sent.unwrap() },
        |tx| {
            let (other, _rx) = bounded(0);
            select! { send(tx, 1) -> sent => sent.unwrap(), send(other, 1) -> _ => unreachable!() }
        },
    ];
    on_workers(move || {
        for (send, receive) in sends.into_iter().flat_map(|send| receives.map(|receive| (send, receive))) {
            let (tx, rx) = bounded(0);
            let receiver = go(move || receive(rx));
            yield_now(); // so that the receiver waits first, as a rule
            send(tx);
            receiver.join().unwrap();
        }
    });
}

/// Go's `break` ends the select; ours, like `continue` and `return`, has its usual meaning, in every arm. Selects with
/// one, two and three arms.
#[test]
#[allow(unreachable_code, reason = "the compiler sees what is tested here")]
fn a_body_leaves_the_loop_around_its_select() {
    fn by_return(rx: &Receiver<i32>) -> i32 {
        select! {
            recv(rx) -> got => return got.unwrap(),
            recv(never::<i32>()) -> _ => {}
        }
        unreachable!()
    }

    on_workers(|| {
        let (tx, rx) = bounded(0);
        let sender = go(move || while tx.send(5).is_ok() {});

        let mut left = 0;
        'one: {
            select! { recv(rx) -> _ => break 'one }
            left += 1;
        }
        'one: {
            select! { default => break 'one }
            left += 1;
        }
        loop {
            select! { recv(rx) -> _ => break, default => continue }
        }
        for _ in 0..3 {
            select! { recv(rx) -> _ => continue, send(nowhere(), 10) -> _ => {}, recv(never::<i32>()) -> _ => {} }
            left += 1;
        }
        assert_eq!(by_return(&rx), 5);
        assert_eq!(left, 0, "times that a line behind a select was reached");
        drop(rx);
        sender.join().unwrap();
    });
}

#[test]
fn channels_of_channels_and_operators() {
    on_workers(|| {
        let (outer_tx, outer) = bounded::<Sender<i32>>(1);
        let (inner_tx, inner) = bounded(1);
        outer_tx.send(inner_tx).unwrap();
        select! {
            send(outer.recv().unwrap(), 2) -> sent => sent.unwrap(),
            default => panic!("there is room"),
        }
        assert_eq!(inner.recv(), Ok(2));

        let (yes, no) = (true, false);
        let (tx, rx) = bounded(1);
        tx.send(no || yes).unwrap();
        assert_eq!(rx.recv(), Ok(true));
        select! { send(tx, yes && no) -> sent => sent.unwrap() }
        assert_eq!(rx.recv(), Ok(false));
    });
}

#[test]
fn values_without_size() {
    #[derive(Clone)]
    struct Counted;
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPS.fetch_add(1, SeqCst);
        }
    }

    fn through<T: Clone + Send + 'static>(value: T) {
        for (tx, rx) in [bounded(0), bounded(1), bounded(3), unbounded()] {
            let values = vec![value.clone(); 5];
            go(move || values.into_iter().for_each(|value| drop(tx.send(value))));
            assert_eq!(rx.iter().count(), 5);
        }
    }

    on_workers(|| {
        through(());
        through([0_u8; 0]);
        through(Arc::new(()));
        let before = DROPS.load(SeqCst);
        through(Counted);
        assert_eq!(DROPS.load(SeqCst) - before, 4 * 5 + 1);
        let (tx, rx) = bounded::<()>(2);
        assert_eq!((tx.capacity(), tx.try_send(()), tx.try_send(())), (Some(2), Ok(()), Ok(())));
        assert!(tx.try_send(()).unwrap_err().is_full() && rx.is_full());
    });
}
