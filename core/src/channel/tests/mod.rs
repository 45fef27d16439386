//! Channel semantics from OS threads, and random single-task histories against a `VecDeque`.

mod batches;
mod events;
mod fixed;
mod futures;
mod readiness;
mod selects;

use super::*;
use crate::select;
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    string::String,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
    vec::Vec,
};

const SHORT: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
enum Step {
    Send(u32),
    Recv,
    SelectRecv,
    SelectSend(u32),
    Close,
    CloneAndDrop,
    SendTimeout(u32),
    RecvTimeout,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u32>().prop_map(Step::Send),
        4 => Just(Step::Recv),
        2 => Just(Step::SelectRecv),
        2 => any::<u32>().prop_map(Step::SelectSend),
        1 => Just(Step::CloneAndDrop),
        1 => any::<u32>().prop_map(Step::SendTimeout),
        1 => Just(Step::RecvTimeout),
        // Rare, so that most of a history is spent open.
        1 => Just(Step::Close),
    ]
}

/// The sequential model: what each call of a single task returns.
struct Model {
    queue: VecDeque<u32>,
    capacity: usize,
    closed: bool,
}

impl Model {
    fn send(&mut self, value: u32) -> Result<(), TrySendError<u32>> {
        if self.closed {
            Err(TrySendError::Disconnected(value))
        } else if self.queue.len() < self.capacity {
            self.queue.push_back(value);
            Ok(())
        } else {
            Err(TrySendError::Full(value))
        }
    }

    fn recv(&mut self) -> Result<u32, TryRecvError> {
        self.queue.pop_front().ok_or(if self.closed { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn histories_agree_with_the_model(
        capacity in prop_oneof![Just(Some(0_usize)), (1..6_usize).prop_map(Some), Just(None)],
        strict in any::<bool>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let (tx, rx) = match capacity {
            Some(capacity) if strict && capacity > 0 => bounded_strict(capacity),
            Some(capacity) => bounded(capacity),
            None => unbounded(),
        };
        let mut model = Model { queue: VecDeque::new(), capacity: capacity.unwrap_or(usize::MAX), closed: false };
        for step in steps {
            match step {
                Step::Send(value) => prop_assert_eq!(tx.try_send(value), model.send(value)),
                Step::Recv => prop_assert_eq!(rx.try_recv(), model.recv()),
                Step::SelectRecv => {
                    let got = select! {
                        recv(rx) -> got => got.map_err(TryRecvError::from),
                        default => Err(TryRecvError::Empty),
                    };
                    prop_assert_eq!(got, model.recv());
                }
                Step::SelectSend(value) => {
                    let sent = select! {
                        send(tx, value) -> sent => sent.map_err(TrySendError::from),
                        default => Err(TrySendError::Full(value)),
                    };
                    prop_assert_eq!(sent, model.send(value));
                }
                Step::SendTimeout(value) => {
                    let sent = tx.send_timeout(value, Duration::from_micros(1)).map_err(|error| match error {
                        SendTimeoutError::Timeout(value) => TrySendError::Full(value),
                        SendTimeoutError::Disconnected(value) => TrySendError::Disconnected(value),
                    });
                    prop_assert_eq!(sent, model.send(value));
                }
                Step::RecvTimeout => {
                    let got = rx.recv_timeout(Duration::from_micros(1)).map_err(|error| match error {
                        RecvTimeoutError::Timeout => TryRecvError::Empty,
                        RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                    });
                    prop_assert_eq!(got, model.recv());
                }
                Step::Close => prop_assert_eq!(tx.close(), !std::mem::replace(&mut model.closed, true)),
                Step::CloneAndDrop => drop((tx.clone(), rx.clone())),
            }
            prop_assert_eq!(rx.len(), model.queue.len());
            prop_assert_eq!(rx.is_empty(), model.queue.is_empty());
            prop_assert_eq!(tx.is_full(), model.queue.len() >= model.capacity);
            prop_assert_eq!(tx.is_closed(), model.closed);
        }
        drop(tx);
        prop_assert_eq!(rx.iter().collect::<VecDeque<_>>(), model.queue);
    }
}

/// Counts its drops, to find what is lost and what is dropped twice.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn every_value_is_received_once() {
    for capacity in [Some(0), Some(1), Some(7), None] {
        let (tx, rx) = capacity.map_or_else(unbounded, bounded);
        let senders: Vec<_> = (0..4_u64)
            .map(|i| {
                let tx = tx.clone();
                thread::spawn(move || (0..2_000).for_each(|j| tx.send(i * 2_000 + j).unwrap()))
            })
            .collect();
        drop(tx);
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let rx = rx.clone();
                thread::spawn(move || rx.iter().collect::<Vec<_>>())
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let mut all = Vec::new();
        for receiver in receivers {
            let got = receiver.join().unwrap();
            for sender in 0..4 {
                let from: Vec<_> = got.iter().filter(|value| **value / 2_000 == sender).collect();
                assert!(from.is_sorted(), "one sender's values arrive in order");
            }
            all.extend(got);
        }
        all.sort_unstable();
        assert_eq!(all, (0..8_000).collect::<Vec<_>>());
    }
}

#[test]
fn close_wakes_more_waiters_than_one_batch_and_gives_values_back() {
    let (tx, rx) = bounded(0);
    let drops = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..40)
        .map(|_| {
            let (tx, value) = (tx.clone(), Counted(drops.clone()));
            thread::spawn(move || tx.send(value).unwrap_err().into_inner())
        })
        .collect();
    thread::sleep(SHORT);
    assert!(rx.close());
    assert!(!tx.close());
    let back: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    assert_eq!(drops.load(SeqCst), 0);
    drop(back);
    assert_eq!(drops.load(SeqCst), 40);
}

#[test]
fn values_left_are_dropped_with_the_last_receiver() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = unbounded();
    (0..5).for_each(|_| tx.send(Counted(drops.clone())).unwrap());
    drop(rx);
    assert_eq!(drops.load(SeqCst), 5);
    assert!(tx.send(Counted(drops.clone())).is_err());
}

#[test]
fn receivers_drain_what_was_sent_before_the_close() {
    let (tx, rx) = bounded(3);
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    tx.close();
    assert_eq!(tx.send(3).unwrap_err().into_inner(), 3);
    assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Ok(1), Ok(2), Err(RecvError)));
}

#[test]
fn timeouts_give_up_and_give_back() {
    let (tx, rx) = bounded(0);
    assert_eq!(tx.send_timeout(1, SHORT), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    let sender = thread::spawn(move || tx.send_timeout(2, Duration::MAX));
    assert_eq!(rx.recv_timeout(Duration::MAX), Ok(2));
    sender.join().unwrap().unwrap();
    assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
}

/// Values that race with time limits on both sides: each is received or comes back.
#[test]
fn a_timeout_loses_nothing() {
    let (tx, rx) = bounded(0);
    let sender = thread::spawn(move || {
        let mut sent = 0_u64;
        for i in 0..3_000_u64 {
            sent += u64::from(tx.send_timeout(i, Duration::from_micros(i % 50)).is_ok());
        }
        sent
    });
    let mut received = 0;
    loop {
        match rx.recv_timeout(Duration::from_micros(30)) {
            Ok(_) => received += 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    assert_eq!(received, sender.join().unwrap());
}

#[test]
fn odd_payloads() {
    #[repr(align(256))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Aligned(u8);
    let (tx, rx) = bounded(0);
    let sender = thread::spawn(move || tx.send(Aligned(3)).unwrap());
    let got = rx.recv().unwrap();
    assert_eq!((got, core::ptr::from_ref(&got).addr() % 256), (Aligned(3), 0));
    sender.join().unwrap();

    let (tx, rx) = unbounded();
    (0..1_000).for_each(|_| tx.send(()).unwrap());
    assert_eq!(rx.try_iter().count(), 1_000);

    // Without optimisation every move of it is a copy of its own on the stack.
    let large = thread::Builder::new().stack_size(16 << 20).spawn(|| {
        let (tx, rx) = bounded(1);
        tx.send([7_u8; 65_536]).unwrap();
        assert!(rx.recv().unwrap().iter().all(|byte| *byte == 7));
    });
    large.unwrap().join().unwrap();
}

#[test]
fn select_chooses_every_ready_arm_about_equally_often() {
    let (a_tx, a) = unbounded();
    let (b_tx, b) = unbounded();
    let (c_tx, c) = unbounded::<u32>();
    let mut counts = [0_u32; 3];
    for _ in 0..3_000 {
        a_tx.send(0).unwrap();
        b_tx.send(0).unwrap();
        select! {
            recv(a) -> _ => counts[0] += 1,
            recv(b) -> _ => counts[1] += 1,
            send(c_tx, 0) -> _ => counts[2] += 1,
        }
        a.try_iter().count();
        b.try_iter().count();
        c.try_iter().count();
    }
    // Expected 1,000 each, with a standard deviation of 26: twelve of them away.
    assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}");
}

#[test]
fn select_forms() {
    let (tx, rx) = bounded::<u32>(0);
    // default, with and without a wait; an arm's body may be a block, an expression, or leave the loop.
    assert_eq!(select! { recv(rx) -> _ => 1, default => 2 }, 2);
    assert_eq!(select! { recv(rx) -> _ => 1, default(SHORT) => 2 }, 2);
    let given_back = select! {
        send(tx, 5) -> sent => sent.is_ok(),
        default() => false,
    };
    assert!(!given_back);
    // The same channel on both sides of one select does not meet itself.
    assert_eq!(select! { send(tx, 1) -> _ => 1, recv(rx) -> _ => 2, default(SHORT) => 3 }, 3);
    // A closed channel is ready.
    tx.close();
    let value = loop {
        select! {
            recv(rx) -> got => {
                assert_eq!(got, Err(RecvError));
                continue;
            }
            send(tx, 9) -> sent => match sent {
                Err(SendError(value)) => break value,
                Ok(()) => unreachable!(),
            },
        }
    };
    assert_eq!(value, 9);
}

#[test]
fn a_select_body_may_switch_its_own_arm_off() {
    let (tx, mut rx) = unbounded();
    let (done_tx, done) = bounded::<()>(1);
    tx.send(String::from("one")).unwrap();
    drop(tx);
    done_tx.send(()).unwrap();
    let (mut words, mut open) = (0, true);
    while open || words == 0 {
        select! {
            recv(rx) -> word => match word {
                Ok(_) => words += 1,
                Err(RecvError) => rx = never(),
            },
            recv(done) -> _ => open = false,
        }
    }
    assert_eq!(words, 1);
}

#[test]
fn selects_meet_selects() {
    let (a_tx, a_rx) = bounded::<u64>(0);
    let (b_tx, b_rx) = bounded::<u64>(0);
    const ROUNDS: u64 = 5_000;
    let other = {
        let (a_rx, b_tx) = (a_rx.clone(), b_tx.clone());
        thread::spawn(move || {
            let (mut sent, mut got) = (0, 0);
            for i in 0..ROUNDS {
                select! {
                    send(b_tx, i) -> result => { result.unwrap(); sent += 1 }
                    recv(a_rx) -> result => { result.unwrap(); got += 1 }
                }
            }
            (sent, got)
        })
    };
    let (mut sent, mut got) = (0, 0);
    for i in 0..ROUNDS {
        select! {
            send(a_tx, i) -> result => { result.unwrap(); sent += 1 }
            recv(b_rx) -> result => { result.unwrap(); got += 1 }
        }
    }
    assert_eq!((got, sent), other.join().unwrap());
}

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    // A value that is Send but not Sync makes handles that are both: they never give out a shared reference.
    send_sync::<Sender<core::cell::Cell<u32>>>();
    send_sync::<Receiver<core::cell::Cell<u32>>>();
}
