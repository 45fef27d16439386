//! Point 8: `select!` on green threads.

use greenlight::{
    Runtime, WaitGroup,
    channel::{bounded, never, unbounded},
    go, run, select, sleep,
};
use std::time::{Duration, Instant};

#[test]
fn the_first_of_several_channels() {
    run(|| {
        let (a_tx, a) = bounded(0);
        let (b_tx, b) = bounded(0);
        go(move || (0..100).for_each(|i| a_tx.send(i).unwrap()));
        go(move || (100..200).for_each(|i| b_tx.send(i).unwrap()));
        let (mut a, mut b, mut open, mut sum) = (a, b, 2, 0);
        while open > 0 {
            select! {
                recv(a) -> value => match value {
                    Ok(value) => sum += value,
                    Err(_) => (open, a) = (open - 1, never()),
                },
                recv(b) -> value => match value {
                    Ok(value) => sum += value,
                    Err(_) => (open, b) = (open - 1, never()),
                },
            }
        }
        assert_eq!(sum, 199 * 100);
    });
}

#[test]
fn default_does_not_wait() {
    run(|| {
        let (_tx, rx) = bounded::<()>(0);
        let way = select! {
            recv(rx) -> _ => "receive",
            default => "default",
        };
        assert_eq!(way, "default");
    });
}

#[test]
fn a_timeout_arm_waits_its_time() {
    run(|| {
        let (_tx, rx) = bounded::<()>(0);
        let (start, limit) = (Instant::now(), Duration::from_millis(20));
        let way = select! {
            recv(rx) -> _ => "receive",
            default(limit) => "timeout",
        };
        assert_eq!(way, "timeout");
        assert!(start.elapsed() >= limit);

        // A value that comes in time is taken, and the clock forgotten.
        let (tx, rx) = bounded(0);
        go(move || {
            sleep(Duration::from_millis(5));
            tx.send(3).unwrap();
        });
        let got = select! {
            recv(rx) -> value => value.ok(),
            default(Duration::from_secs(600)) => None,
        };
        assert_eq!(got, Some(3));
    });
}

#[test]
fn sends_and_receives_in_one_select() {
    run(|| {
        let (numbers_tx, numbers) = bounded(0);
        let (quit_tx, quit) = bounded::<()>(0);
        let reader = go(move || {
            let first: Vec<u64> = numbers.iter().take(10).collect();
            quit_tx.send(()).unwrap();
            first
        });
        let (mut a, mut b) = (0, 1);
        loop {
            select! {
                send(numbers_tx, a) -> sent => {
                    sent.unwrap();
                    (a, b) = (b, a + b);
                }
                recv(quit) -> _ => break,
            }
        }
        assert_eq!(reader.join().unwrap(), [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]);
    });
}

/// Selects on both sides of two channels, many at once, on one worker and on several: every value that was sent was
/// received, and nobody sleeps on.
#[test]
fn selects_against_selects() {
    const TASKS: u64 = 6;
    const ROUNDS: u64 = 300;
    for workers in [1, 2, 4] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        let (sent, received) = runtime.run(|| {
            let (a_tx, a_rx) = bounded::<u64>(0);
            let (b_tx, b_rx) = bounded::<u64>(1);
            let (totals_tx, totals) = unbounded();
            let wg = WaitGroup::new();
            for task in 0..TASKS {
                let (a_tx, a_rx, b_tx, b_rx) = (a_tx.clone(), a_rx.clone(), b_tx.clone(), b_rx.clone());
                let totals_tx = totals_tx.clone();
                wg.go(move || {
                    let (mut sent, mut received) = (0, 0);
                    for round in 0..ROUNDS {
                        let value = task * ROUNDS + round;
                        select! {
                            send(a_tx, value) -> result => { result.unwrap(); sent += value }
                            recv(a_rx) -> value => received += value.unwrap(),
                            send(b_tx, value) -> result => { result.unwrap(); sent += value }
                            recv(b_rx) -> value => received += value.unwrap(),
                            default(Duration::from_millis(1)) => {}
                        }
                    }
                    totals_tx.send((sent, received)).unwrap();
                });
            }
            wg.wait();
            drop((a_tx, b_tx, totals_tx));
            let left: u64 = b_rx.iter().sum();
            totals.iter().fold((0, left), |all, one| (all.0 + one.0, all.1 + one.1))
        });
        assert_eq!(sent, received);
    }
}

#[test]
fn a_select_and_plain_receivers_share_a_channel() {
    run(|| {
        let (tx, rx) = bounded(0);
        let (other_tx, other) = bounded::<u64>(0);
        let plain = {
            let rx = rx.clone();
            go(move || rx.iter().sum::<u64>())
        };
        let selecting = go(move || {
            let mut sum = 0;
            loop {
                select! {
                    recv(rx) -> value => match value {
                        Ok(value) => sum += value,
                        Err(_) => break sum,
                    },
                    recv(other) -> value => sum += value.unwrap(),
                }
            }
        });
        for i in 0..1_000 {
            tx.send(i).unwrap();
            if i % 10 == 0 {
                other_tx.send(1).unwrap();
            }
        }
        drop(tx);
        assert_eq!(plain.join().unwrap() + selecting.join().unwrap(), 999 * 500 + 100);
    });
}
