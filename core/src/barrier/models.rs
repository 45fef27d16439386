//! Arrivals against each other and against cancels.

use super::*;
use crate::test_support::block_on;
use core::task::Waker;
use loom::{
    sync::atomic::{AtomicBool, Ordering::*},
    thread,
};
use std::{boxed::Box, sync::Arc};

/// Three arrive, one of them as a future: all go on, and one leads. Then two rounds follow each other.
#[test]
fn barrier_one_leads() {
    loom::model(|| {
        let barrier = Arc::new(Barrier::new(3));
        let others = [false, true].map(|future| {
            let barrier = barrier.clone();
            thread::spawn(move || if future { block_on(barrier.wait_async()) } else { barrier.wait() }.is_leader())
        });
        let leads = usize::from(barrier.wait().is_leader());
        let others = others.map(|other| usize::from(other.join().unwrap()));
        assert_eq!(others.iter().sum::<usize>() + leads, 1);
    });
}

/// A round begins while others of the last one still wake.
#[test]
fn barrier_rounds_follow_each_other() {
    loom::model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = {
            let barrier = barrier.clone();
            thread::spawn(move || [0; 2].map(|_| usize::from(barrier.wait().is_leader())))
        };
        let mine = [0; 2].map(|_| usize::from(barrier.wait().is_leader()));
        let others = other.join().unwrap();
        assert_eq!([mine[0] + others[0], mine[1] + others[1]], [1, 1]);
    });
}

/// One goes away while another looks whether it is the last: it is, or the first one was gone by then. Fails if who goes is
/// still counted.
#[test]
fn barrier_cancel_meets_arrival() {
    loom::model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let is_gone = Arc::new(AtomicBool::new(false));
        let mut goes = Box::pin(barrier.wait_async());
        assert!(goes.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = {
            let (barrier, is_gone) = (barrier.clone(), is_gone.clone());
            thread::spawn(move || {
                let was_gone = is_gone.load(Acquire);
                let met = barrier.try_wait().is_some();
                assert!(!(was_gone && met));
                met
            })
        };
        drop(goes);
        is_gone.store(true, Release);
        let met = other.join().unwrap();
        let round = barrier.round.lock();
        assert_eq!((round.arrived, round.number), (0, usize::from(met)));
        assert!(round.sleepers.is_empty());
    });
}
