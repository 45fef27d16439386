//! Go's prime sieves (golang/go, `test/chan/sieve1.go` and `sieve2.go`), by programs of our own: webs of green threads,
//! some of them in a loop. Ours also end, link by link, when nobody wants more primes.
//!
//! | Go's program | here                             |
//! |--------------|----------------------------------|
//! | sieve1       | [`primes_by_a_chain_of_filters`] |
//! | sieve2       | [`primes_by_merging_multiples`]  |

use greenlight::{
    WaitGroup,
    channel::{Receiver, Sender, bounded},
    select,
};
use greenlight_tests::{nowhere, on_workers};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

const PRIMES: [u32; 25] =
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];

/// Eratosthenes as a chain: each prime is a green thread that lets pass what it does not divide.
#[test]
fn primes_by_a_chain_of_filters() {
    on_workers(|| {
        let wg = WaitGroup::new();
        let (tx, mut candidates) = bounded(0);
        wg.go(move || (2_u32..).take_while(|i| tx.send(*i).is_ok()).count());
        for prime in PRIMES {
            assert_eq!(candidates.recv(), Ok(prime));
            let (tx, passed) = bounded(0);
            let input = std::mem::replace(&mut candidates, passed);
            wg.go(move || {
                input.iter().filter(|i| i % prime != 0).take_while(|i| tx.send(*i).is_ok()).count();
            });
        }
        drop(candidates); // and with it, link by link, the chain
        wg.wait();
    });
}

/// `from`, `from + step`, … on a channel, until nobody listens.
fn count(wg: &WaitGroup, from: u32, step: usize, capacity: usize) -> Receiver<u32> {
    let (tx, rx) = bounded(capacity);
    wg.go(move || (from..).step_by(step).take_while(|i| tx.send(*i).is_ok()).count());
    rx
}

/// A sender in front of `to` that always has room: a green thread keeps what `to` has none for.
fn always_room(wg: &WaitGroup, to: Sender<u32>) -> Sender<u32> {
    let (tx, rx) = bounded(10);
    let off = nowhere();
    wg.go(move || {
        let mut kept = VecDeque::new();
        loop {
            let (out, first) = kept.front().map_or((&off, 0), |first| (&to, *first));
            select! {
                recv(rx) -> value => match value {
                    Ok(value) => kept.push_back(value),
                    Err(_) => return,
                },
                send(out, first) -> sent => match sent {
                    Ok(()) => drop(kept.pop_front()),
                    Err(_) => return,
                },
            }
        }
    });
    tx
}

/// Odd multiples of the primes, each prime's on a channel of its own, merged in rising order.
fn composites(wg: &WaitGroup, primes: Receiver<u32>) -> Receiver<u32> {
    let (tx, rx) = bounded(50);
    let wg2 = wg.clone();
    wg.go(move || {
        // The least multiple of each prime that has not been sent; `Reverse` makes the heap give the least of all.
        let mut heads = BinaryHeap::new();
        let (mut channels, mut last) = (Vec::new(), 0);
        for prime in &primes {
            let multiples = count(&wg2, prime * prime, 2 * prime as usize, 10);
            heads.push(Reverse((multiples.recv().unwrap(), channels.len())));
            channels.push(multiples);
            // Up to this prime's square they are all here: the later primes begin later.
            while let Some(mut least) = heads.peek_mut() {
                let Reverse((head, of)) = *least;
                if head > prime * prime {
                    break;
                }
                if head != last && tx.send(head).is_err() {
                    return;
                }
                last = head;
                *least = Reverse((channels[of].recv().unwrap(), of));
            }
        }
    });
    rx
}

/// A loop of green threads: primes are the odd numbers between the composites, composites the multiples of primes. The
/// former come faster than the latter take them, so without `always_room` the loop would stand still.
#[test]
fn primes_by_merging_multiples() {
    on_workers(|| {
        let wg = WaitGroup::new();
        let (found_tx, found) = bounded(10);
        let (back_tx, back) = bounded(10);
        found_tx.send(2).unwrap();
        found_tx.send(3).unwrap();
        back_tx.send(3).unwrap();
        let composites = composites(&wg, back);
        let back_tx = always_room(&wg, back_tx);
        let odds = count(&wg, 5, 2, 50);
        let tell = move |prime| back_tx.send(prime).is_ok() && found_tx.send(prime).is_ok();
        wg.go(move || {
            let mut odd = odds.recv().unwrap();
            for composite in &composites {
                while odd < composite {
                    if !tell(odd) {
                        return;
                    }
                    odd = odds.recv().unwrap();
                }
                if odd == composite {
                    odd = odds.recv().unwrap();
                }
            }
        });
        assert_eq!(found.iter().take(PRIMES.len()).collect::<Vec<_>>(), PRIMES);
        drop(found);
        wg.wait();
    });
}
