//! What the tests of Go's runtime check of channels (golang/go, `src/runtime/chan_test.go`), checked of ours. The code
//! is our own.
//!
//! | Go's test                        | here                                               |
//! |----------------------------------|----------------------------------------------------|
//! | TestChan                         | the tests whose names begin with `every_capacity_` |
//! | TestNonblockRecvRace             | [`a_value_or_its_close_is_always_there`]           |
//! | TestNonblockSelectRace           | [`a_select_looks_at_one_moment_sends`]             |
//! | TestNonblockSelectRace2          | [`a_select_looks_at_one_moment_close`]             |
//! | TestSelfSelect                   | [`a_select_on_both_ends_never_meets_itself`]       |
//! | TestSelectStress                 | [`calls_and_selects_in_disorder`]                  |
//! | TestSelectFairness               | [`ready_arms_are_equally_likely`]                  |
//! | TestChanSendInterface            | [`sends_of_trait_objects`]                         |
//! | TestPseudoRandomSend             | [`two_sends_on_one_channel_are_both_chosen`]       |
//! | TestMultiConsumer                | [`many_consumers`]                                 |
//! | TestSelectDuplicateChannel       | [`one_channel_twice_in_a_select`]                  |
//! | TestShrinkStackDuringBlockedSend | left out: stacks of ours neither move nor shrink   |
//! | TestNoShrinkStackWhileParking    | left out, as the one before                        |
//! | TestSelectStackAdjust            | left out, as the one before                        |
//! | Benchmark…                       | left out: benchmarks are in `benches/`             |
//! | TestSimpleDeadlock and its like  | `go_deadlocks.rs`; they are in `crash_test.go`     |

use greenlight::{
    WaitGroup,
    channel::{Receiver, Sender, TryRecvError, bounded, never},
    go, select, sleep, yield_now,
};
use greenlight_tests::{nowhere, on_workers};
use std::{any::Any, sync::Arc, time::Duration};

/// Capacities to try; Go's short run has all below 20.
const CAPACITIES: [usize; 8] = [0, 1, 2, 3, 7, 8, 19, 100];
const MOMENT: Duration = Duration::from_millis(1);

/// A channel that is full: for capacity 0, any.
fn full(capacity: usize) -> (Sender<usize>, Receiver<usize>) {
    let (tx, rx) = bounded(capacity);
    (0..capacity).for_each(|i| tx.send(i).unwrap());
    (tx, rx)
}

#[test]
fn every_capacity_a_receive_from_an_empty_channel_waits() {
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            let receivers = [rx.clone(), rx.clone()].map(|rx| go(move || rx.recv()));
            sleep(MOMENT);
            assert!(receivers.iter().all(|receiver| !receiver.is_finished()), "capacity {capacity}");
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
            select! {
                recv(rx) -> got => panic!("received {got:?}, capacity {capacity}"),
                default => {}
            }
            tx.send(0).unwrap();
            tx.send(0).unwrap();
            for receiver in receivers {
                assert_eq!(receiver.join().unwrap(), Ok(0));
            }
        }
    });
}

#[test]
fn every_capacity_a_send_to_a_full_channel_waits() {
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = full(capacity);
            let waiting = tx.clone();
            let sender = go(move || waiting.send(capacity).unwrap());
            sleep(MOMENT);
            assert!(!sender.is_finished(), "capacity {capacity}");
            assert!(tx.try_send(0).unwrap_err().is_full());
            select! {
                send(tx, 0) -> _ => panic!("there is no room, capacity {capacity}"),
                default => {}
            }
            assert_eq!(rx.recv(), Ok(0));
            sender.join().unwrap();
            drop(tx);
            assert_eq!(rx.iter().collect::<Vec<_>>(), (1..=capacity).collect::<Vec<_>>());
        }
    });
}

#[test]
fn every_capacity_a_closed_channel_is_drained_first() {
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = full(capacity);
            tx.close();
            for i in 0..capacity {
                assert_eq!(rx.recv(), Ok(i));
            }
            assert!(rx.recv().is_err() && rx.recv().is_err());
        }
    });
}

#[test]
fn every_capacity_close_wakes_a_receiver() {
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded::<usize>(capacity);
            let receiver = go(move || rx.recv());
            sleep(MOMENT);
            tx.close();
            assert!(receiver.join().unwrap().is_err(), "capacity {capacity}");
        }
    });
}

#[test]
fn every_capacity_values_come_whole_and_in_order() {
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            go(move || (0..1_000).for_each(|i| tx.send([i; 5]).unwrap()));
            for i in 0..1_000 {
                assert_eq!(rx.recv(), Ok([i; 5]), "capacity {capacity}");
            }
            assert!(rx.recv().is_err());
        }
    });
}

#[test]
fn every_capacity_what_four_send_four_receive() {
    const EACH: usize = 1_000;
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            for _ in 0..4 {
                let tx = tx.clone();
                go(move || (0..EACH).for_each(|i| tx.send(i).unwrap()));
            }
            let receivers: Vec<_> = (0..4)
                .map(|_| {
                    let rx = rx.clone();
                    go(move || (0..EACH).map(|_| rx.recv().unwrap()).collect::<Vec<_>>())
                })
                .collect();
            let mut times = [0; EACH];
            for i in receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()) {
                times[i] += 1;
            }
            assert!(times.iter().all(|times| *times == 4), "capacity {capacity}");
        }
    });
}

#[test]
fn every_capacity_length_and_capacity() {
    on_workers(|| {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            assert_eq!((tx.len(), rx.len(), tx.capacity(), rx.capacity()), (0, 0, Some(capacity), Some(capacity)));
            for i in 1..=capacity {
                tx.send(()).unwrap();
                assert_eq!((tx.len(), rx.len()), (i, i));
            }
            assert_eq!((tx.capacity(), tx.is_full(), rx.is_full()), (Some(capacity), true, true));
        }
    });
}

/// Who looks while another closes the channel and takes the value finds the one or the other.
#[test]
fn a_value_or_its_close_is_always_there() {
    on_workers(|| {
        for _ in 0..10_000 {
            let (tx, rx) = bounded(1);
            tx.send(1).unwrap();
            let other = rx.clone();
            let looks = go(move || {
                select! {
                    recv(other) -> _ => {}
                    default => panic!("neither value nor close"),
                }
            });
            tx.close();
            let _ = rx.recv();
            looks.join().unwrap();
        }
    });
}

/// One green thread makes a second channel ready before it empties the first; so another, which looks at both, finds
/// one of them ready, if it looks at both in one moment.
fn one_of_two_is_ready(capacity: usize, make_ready: fn(&Sender<i32>)) {
    for turn in 0..20_000 {
        let ((a_tx, a), (b_tx, b)) = (bounded(1), bounded(capacity));
        a_tx.send(1).unwrap();
        let (first, second) = (a.clone(), b.clone()); // which also keep the channels open
        let looks = go(move || {
            select! {
                recv(first) -> _ => true,
                recv(second) -> _ => true,
                default => false,
            }
        });
        // The other one takes a moment to start: now it is there before these two steps, now after, at times between.
        (0..turn % 1_000).for_each(|_| std::hint::spin_loop());
        make_ready(&b_tx);
        let _ = a.try_recv();
        assert!(looks.join().unwrap(), "the select has seen two moments");
    }
}

#[test]
fn a_select_looks_at_one_moment_sends() {
    on_workers(|| one_of_two_is_ready(1, |b| b.send(1).unwrap()));
}

#[test]
fn a_select_looks_at_one_moment_close() {
    on_workers(|| one_of_two_is_ready(0, |b| assert!(b.close())));
}

/// Two green threads, each with both ends of one channel in its select, in either order.
#[test]
fn a_select_on_both_ends_never_meets_itself() {
    on_workers(|| {
        for capacity in [0, 10] {
            let (tx, rx) = bounded(capacity);
            let wg = WaitGroup::new();
            let pair = [0, 1].map(|me| {
                let (tx, rx) = (tx.clone(), rx.clone());
                wg.go(move || {
                    let check = |got| assert!(capacity > 0 || got != Ok(me), "received from itself");
                    for i in 0..5_000 {
                        if me == 0 || i % 2 == 0 {
                            select! {
                                send(tx, me) -> sent => sent.unwrap(),
                                recv(rx) -> got => check(got),
                            }
                        } else {
                            select! {
                                recv(rx) -> got => check(got),
                                send(tx, me) -> sent => sent.unwrap(),
                            }
                        }
                    }
                })
            });
            wg.wait();
            pair.into_iter().for_each(|one| one.join().unwrap());
        }
    });
}

/// For each of four channels, one who sends to it and one who receives from it; and one select that sends to all, and
/// one that receives from all. The numbers match, so all of them end.
#[test]
fn calls_and_selects_in_disorder() {
    const EACH: usize = 5_000;
    on_workers(|| {
        let channels = [0, 0, 2, 3].map(bounded::<usize>);
        let wg = WaitGroup::new();
        for (tx, rx) in channels.clone() {
            wg.go(move || (0..EACH).for_each(|i| tx.send(i).unwrap()));
            wg.go(move || assert_eq!(rx.iter().take(EACH).count(), EACH));
        }
        let mut senders = channels.clone().map(|(tx, _)| tx);
        let sending = wg.go(move || {
            let mut left = [EACH; 4];
            for i in 0..4 * EACH {
                let sent_to = select! {
                    send(senders[3], i) -> sent => sent.map(|()| 3),
                    send(senders[2], i) -> sent => sent.map(|()| 2),
                    send(senders[0], i) -> sent => sent.map(|()| 0),
                    send(senders[1], i) -> sent => sent.map(|()| 1),
                };
                let sent_to = sent_to.unwrap();
                left[sent_to] -= 1;
                if left[sent_to] == 0 {
                    senders[sent_to] = nowhere();
                }
            }
        });
        let mut receivers = channels.clone().map(|(_, rx)| rx);
        let receiving = wg.go(move || {
            let mut left = [EACH; 4];
            for _ in 0..4 * EACH {
                let received_from = select! {
                    recv(receivers[0]) -> got => got.map(|_| 0),
                    recv(receivers[1]) -> got => got.map(|_| 1),
                    recv(receivers[2]) -> got => got.map(|_| 2),
                    recv(receivers[3]) -> got => got.map(|_| 3),
                };
                let received_from = received_from.unwrap();
                left[received_from] -= 1;
                if left[received_from] == 0 {
                    receivers[received_from] = never();
                }
            }
        });
        wg.wait();
        sending.join().unwrap();
        receiving.join().unwrap();
        assert!(channels.iter().all(|(_, rx)| rx.is_empty()));
    });
}

/// Two of four arms are always ready. Ten standard deviations off the middle: by chance less often than once in 10^22.
#[test]
fn ready_arms_are_equally_likely() {
    const TRIALS: usize = 10_000;
    const FAR: usize = 500; // ten times the root of TRIALS / 4
    on_workers(|| {
        let ((a_tx, a), (b_tx, b)) = (bounded(TRIALS + 1), bounded(TRIALS + 1));
        for _ in 0..=TRIALS {
            a_tx.send('a').unwrap();
            b_tx.send('b').unwrap();
        }
        let ((_c_tx, c), (_d_tx, d)) = (bounded(0), bounded(0));
        let ((out_tx, out), (done, is_done)) = (bounded(0), bounded::<()>(0));
        let chooser = go(move || {
            loop {
                let chosen = select! {
                    recv(c) -> got => got.unwrap(),
                    recv(d) -> got => got.unwrap(),
                    recv(a) -> got => got.unwrap(),
                    recv(b) -> got => got.unwrap(),
                };
                select! {
                    send(out_tx, chosen) -> sent => sent.unwrap(),
                    recv(is_done) -> _ => return,
                }
            }
        });
        let of_a = out.iter().take(TRIALS).filter(|chosen| *chosen == 'a').count();
        drop(done);
        chooser.join().unwrap();
        assert!(of_a.abs_diff(TRIALS / 2) <= FAR, "{of_a} of {TRIALS}");
    });
}

/// Trait objects, owned and shared, as values: also twice in one select that does neither send.
#[test]
fn sends_of_trait_objects() {
    on_workers(|| {
        let (tx, rx) = bounded::<Box<dyn Any + Send>>(1);
        tx.send(Box::new("first")).unwrap();
        assert!(select! {
            send(tx, Box::new(2) as Box<dyn Any + Send>) -> _ => false,
            default => true,
        });
        assert_eq!(*rx.recv().unwrap().downcast::<&str>().unwrap(), "first");

        let shared: Arc<dyn Any + Send + Sync> = Arc::new(3_u8);
        let (tx, rx) = bounded(1);
        tx.send(shared.clone()).unwrap();
        assert!(select! {
            send(tx, shared.clone()) -> _ => false,
            send(tx, Arc::new(4_u8)) -> _ => false,
            default => true,
        });
        assert!(Arc::ptr_eq(&rx.recv().unwrap(), &shared));
        assert_eq!(Arc::strong_count(&shared), 1, "what was not sent is gone");
    });
}

/// Ten or fewer of a hundred: by chance less often than once in 10^16.
#[test]
fn two_sends_on_one_channel_are_both_chosen() {
    const N: usize = 100;
    on_workers(|| {
        for capacity in [0, N] {
            let (tx, rx) = bounded(capacity);
            let receiver = go(move || {
                let received = (0..N).map(|_| {
                    yield_now();
                    rx.recv().unwrap()
                });
                received.sum::<usize>()
            });
            for _ in 0..N {
                select! {
                    send(tx, 1) -> sent => sent.unwrap(),
                    send(tx, 0) -> sent => sent.unwrap(),
                }
            }
            let ones = receiver.join().unwrap();
            assert!((N / 10 + 1..N - N / 10).contains(&ones), "{ones} of {N}, capacity {capacity}");
        }
    });
}

#[test]
fn many_consumers() {
    const CONSUMERS: usize = 23;
    const VALUES: usize = 50_000;
    const KINDS: [usize; 10] = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31];
    on_workers(|| {
        let (work_tx, work) = bounded(CONSUMERS * 3);
        let (results_tx, results) = bounded(CONSUMERS * 3);
        let wg = WaitGroup::new();
        for consumer in 0..CONSUMERS {
            let (work, results_tx) = (work.clone(), results_tx.clone());
            wg.go(move || {
                for value in &work {
                    // Each has a kind at which it lets the others overtake it.
                    if value == KINDS[consumer % KINDS.len()] {
                        yield_now();
                    }
                    results_tx.send(value).unwrap();
                }
            });
        }
        let feeder = go(move || {
            let values = KINDS.into_iter().cycle().take(VALUES);
            let expected: usize = values.inspect(|value| work_tx.send(*value).unwrap()).sum();
            work_tx.close(); // no more work
            wg.wait();
            results_tx.close(); // so no more results
            expected
        });
        let (count, sum) = results.iter().fold((0, 0), |(count, sum), value| (count + 1, sum + value));
        assert_eq!((count, sum), (VALUES, feeder.join().unwrap()));
    });
}

/// A select that waits twice on one channel, in front of a plain receiver, and then happens on another channel. Both
/// its places in the line must go, and the receiver's stay.
#[test]
fn one_channel_twice_in_a_select() {
    on_workers(|| {
        for _ in 0..20 {
            let ((a_tx, a), (b_tx, b)) = (bounded(0), bounded(0));
            let plain = a.clone();
            let select = go(move || {
                select! {
                    recv(a) -> _ => panic!("nobody has sent yet"),
                    recv(a) -> _ => panic!("nobody has sent yet"),
                    recv(b) -> got => got.unwrap(),
                }
            });
            sleep(MOMENT); // so that it stands first
            let plain = go(move || plain.recv().unwrap());
            sleep(MOMENT);
            b_tx.send(7).unwrap();
            assert_eq!(select.join().unwrap(), 7);
            a_tx.send(8).unwrap();
            assert_eq!(plain.join().unwrap(), 8);
        }
    });
}
