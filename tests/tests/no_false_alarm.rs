//! A program that is alive, though everybody in it sleeps most of the time: no deadlock may be reported.
//!
//! ```text
//!   OS thread ──b──▶ OS thread ──c──▶ green thread ──a──▶ (back to the first)
//! ```
//!
//! A token goes round. Each OS thread starts its successor, passes the token on, and ends. So threads come and go while
//! all others sleep in waits without a limit: what the detector counts changes under its eyes, all the time.

use greenlight::{
    channel::{Receiver, Sender, bounded},
    go,
};
use std::{thread, time::Duration};

const PASSES: u64 = 3_000;

fn take_place(from: Receiver<u64>, to: Sender<u64>, end: Sender<u64>) {
    thread::spawn(move || {
        let Ok(token) = from.recv() else { return };
        if token >= PASSES {
            end.send(token).expect("main waits for the end");
            return;
        }
        if token.is_multiple_of(97) {
            thread::sleep(Duration::from_millis(token % 13)); // longer than a worker's nap, at times
        }
        take_place(from, to.clone(), end);
        to.send(token + 1).expect("the next in the ring");
    });
}

fn main() {
    let (a_tx, a) = bounded(0);
    let (b_tx, b) = bounded(0);
    let (c_tx, c) = bounded(0);
    let (end_tx, end) = bounded(1);
    let back = a_tx.clone();
    go(move || c.iter().for_each(|token| back.send(token).expect("the first in the ring")));
    take_place(a, b_tx, end_tx.clone());
    take_place(b, c_tx, end_tx);
    a_tx.send(1).expect("the first in the ring");
    assert!(end.recv().expect("the token arrives") >= PASSES);
    println!("1 passed, 0 failed");
}
