//! Point 6: channels between green threads.

use greenlight::{
    Runtime, WaitGroup,
    channel::{self, TryRecvError, bounded, unbounded},
    defer, go, run, sleep, yield_now,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::*},
    },
    thread,
    time::Duration,
};

#[test]
fn an_unbuffered_send_waits_for_its_receiver() {
    run(|| {
        let (tx, rx) = bounded(0);
        let sent = Arc::new(AtomicBool::new(false));
        let sender = {
            let sent = sent.clone();
            go(move || {
                tx.send("value").unwrap();
                sent.store(true, SeqCst);
            })
        };
        sleep(Duration::from_millis(10));
        assert!(!sent.load(SeqCst));
        assert_eq!(rx.recv(), Ok("value"));
        sender.join().unwrap();
        assert!(sent.load(SeqCst));
    });
}

#[test]
fn a_buffer_of_five_takes_five() {
    run(|| {
        let (tx, rx) = bounded(5);
        let sender = go(move || (0..6).for_each(|i| tx.send(i).unwrap()));
        while !rx.is_full() {
            yield_now();
        }
        sleep(Duration::from_millis(5));
        assert!(!sender.is_finished(), "the sixth send waits");
        assert_eq!(rx.recv(), Ok(0));
        sender.join().unwrap();
        assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    });
}

/// On one worker: if a send or a receive blocked the OS thread, nobody could come to meet it.
#[test]
fn waiting_blocks_the_green_thread_only() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let (tx, rx) = bounded(0);
        let (back_tx, back) = bounded(0);
        go(move || rx.iter().for_each(|value: u32| back_tx.send(value + 1).unwrap()));
        for i in 0..100 {
            tx.send(i).unwrap();
            assert_eq!(back.recv(), Ok(i + 1));
        }
    });
}

#[test]
fn a_loop_over_a_channel_ends_when_it_is_closed_and_drained() {
    run(|| {
        let (tx, rx) = unbounded();
        let producer = go(move || {
            defer!(tx.close());
            for i in 0..100 {
                tx.send(i).unwrap();
            }
            assert!(!tx.is_closed());
        });
        let mut seen = Vec::new();
        for value in &rx {
            seen.push(value);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        producer.join().unwrap();
    });
}

#[test]
fn close_gives_waiting_senders_their_values_back() {
    run(|| {
        let (tx, rx) = bounded(0);
        let senders: Vec<_> = (0..30)
            .map(|i| {
                let tx = tx.clone();
                go(move || tx.send(Box::new(i)).unwrap_err().into_inner())
            })
            .collect();
        sleep(Duration::from_millis(10));
        assert!(rx.close());
        assert!(!tx.close(), "closing twice is fine");
        let mut back: Vec<_> = senders.into_iter().map(|sender| *sender.join().unwrap()).collect();
        back.sort_unstable();
        assert_eq!(back, (0..30).collect::<Vec<_>>());
    });
}

/// Green threads and OS threads, on both ends of every kind of channel.
#[test]
fn nothing_is_lost_between_green_and_os_threads() {
    const EACH: u64 = 1_000;
    for capacity in [Some(0), Some(1), Some(5), None] {
        let (tx, rx) = capacity.map_or_else(unbounded, bounded);
        let (sums_tx, sums) = unbounded();
        for i in 0..4 {
            let tx = tx.clone();
            go(move || (0..EACH).for_each(|j| tx.send(i * EACH + j).unwrap()));
        }
        for i in 4..6 {
            let tx = tx.clone();
            thread::spawn(move || (0..EACH).for_each(|j| tx.send(i * EACH + j).unwrap()));
        }
        drop(tx);
        for i in 0..5 {
            let (rx, sums_tx) = (rx.clone(), sums_tx.clone());
            let receive = move || sums_tx.send(rx.iter().map(|value| (1, value)).fold((0, 0), add)).unwrap();
            if i < 3 {
                drop(go(receive));
            } else {
                drop(thread::spawn(receive));
            }
        }
        drop(sums_tx);
        let n = 6 * EACH;
        assert_eq!(sums.iter().fold((0, 0), add), (n, n * (n - 1) / 2));
    }
}

fn add(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0 + b.0, a.1 + b.1)
}

/// Timeouts that race with deliveries on green threads: a value is received or still with its sender.
#[test]
fn a_timeout_loses_nothing() {
    run(|| {
        let (tx, rx) = bounded(0);
        let sender =
            go(move || (0..2_000_u64).filter(|i| tx.send_timeout(*i, Duration::from_micros(i % 60)).is_ok()).count());
        let mut received = 0;
        loop {
            match rx.recv_timeout(Duration::from_micros(40)) {
                Ok(_) => received += 1,
                Err(channel::RecvTimeoutError::Timeout) => {}
                Err(channel::RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(received, sender.join().unwrap());
    });
}

/// A concurrent prime sieve: a chain of green threads that grows.
#[test]
fn sieve() {
    run(|| {
        let (tx, mut numbers) = bounded(0);
        go(move || (2..).take_while(|i: &u32| tx.send(*i).is_ok()).count());
        let primes: Vec<_> = (0..50)
            .map(|_| {
                let prime = numbers.recv().unwrap();
                let (tx, rest) = bounded(0);
                let input = std::mem::replace(&mut numbers, rest);
                go(move || {
                    for number in &input {
                        if number % prime != 0 && tx.send(number).is_err() {
                            break;
                        }
                    }
                });
                prime
            })
            .collect();
        assert_eq!(primes[..8], [2, 3, 5, 7, 11, 13, 17, 19]);
        assert_eq!(primes[49], 229);
    });
}

#[test]
fn a_pool_of_workers() {
    run(|| {
        let (jobs_tx, jobs) = bounded(5);
        let (results_tx, results) = bounded(5);
        let wg = WaitGroup::new();
        for _ in 0..8 {
            let (jobs, results_tx) = (jobs.clone(), results_tx.clone());
            wg.go(move || {
                for job in &jobs {
                    results_tx.send(job * 2).unwrap();
                }
            });
        }
        drop(results_tx);
        go(move || (0..500_u64).for_each(|job| jobs_tx.send(job).unwrap()));
        assert_eq!(results.iter().sum::<u64>(), 500 * 499);
        wg.wait();
    });
}
