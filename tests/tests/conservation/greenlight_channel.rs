//! greenlight's own channels: they keep the whole law.

use greenlight::{
    channel::{self, Receiver, Sender},
    go, select,
};
use greenlight_tests::conservation::*;
use std::{thread, time::Duration};

/// On green threads, OS threads, or both, as `MIX` says; the bounded channels, or the strict ones.
struct Greenlight<const MIX: u8, const STRICT: bool = false>;

const OS_THREADS: u8 = 0;
const GREEN_THREADS: u8 = 1;
const BOTH: u8 = 2;

impl<const MIX: u8, const STRICT: bool> Subject for Greenlight<MIX, STRICT> {
    type Sender<T: Value> = Sender<T>;
    type Receiver<T: Value> = Receiver<T>;

    const ABILITIES: Abilities =
        Abilities { timeouts: true, close: Some(Close::Drains), drops_refused: false, select: true };

    fn channel<T: Value>(capacity: Option<usize>) -> Option<(Sender<T>, Receiver<T>)> {
        match capacity {
            Some(capacity) if STRICT && capacity > 0 => Some(channel::bounded_strict(capacity)),
            _ if STRICT => None,
            capacity => Some(capacity.map_or_else(channel::unbounded, channel::bounded)),
        }
    }

    fn try_send<T: Value>(tx: &Sender<T>, value: T) -> Sent<T> {
        tx.try_send(value).map_err(|error| Some(error.into_inner()))
    }

    fn try_recv<T: Value>(rx: &Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    fn send_timeout<T: Value>(tx: &Sender<T>, value: T, limit: Duration) -> Sent<T> {
        tx.send_timeout(value, limit).map_err(|error| Some(error.into_inner()))
    }

    fn recv_timeout<T: Value>(rx: &Receiver<T>, limit: Duration) -> Option<T> {
        rx.recv_timeout(limit).ok()
    }

    fn close_sender<T: Value>(tx: &Sender<T>) {
        tx.close();
    }

    fn close_receiver<T: Value>(rx: &Receiver<T>) {
        rx.close();
    }

    fn select_recv<T: Value>(a: &Receiver<T>, b: &Receiver<T>, limit: Duration) -> Option<T> {
        select! {
            recv(a) -> value => value.ok(),
            recv(b) -> value => value.ok(),
            default(limit) => None,
        }
    }

    fn select_send<T: Value>(tx: &Sender<T>, value: T, rx: &Receiver<T>) -> Selected<T> {
        select! {
            send(tx, value) -> result => match result {
                Ok(()) => Selected::Sent,
                Err(error) => Selected::Refused(error.into_inner()),
            },
            recv(rx) -> value => value.map_or(Selected::Neither, Selected::Received),
            default => Selected::Neither,
        }
    }

    fn concurrently(jobs: Vec<Job>) {
        let (mut green, mut os) = (Vec::new(), Vec::new());
        for (index, job) in jobs.into_iter().enumerate() {
            if MIX == GREEN_THREADS || MIX == BOTH && index % 2 == 0 {
                green.push(go(job));
            } else {
                os.push(thread::spawn(job));
            }
        }
        green.into_iter().for_each(|handle| handle.join().unwrap());
        os.into_iter().for_each(|handle| handle.join().unwrap());
    }

    const FUTURES: bool = true;

    fn send_async<T: Value>(tx: &Sender<T>, value: T) -> BoxFuture<'_, Sent<T>> {
        mapped(tx.send_async(value), |result| result.map_err(|error| Some(error.into_inner())))
    }

    fn recv_async<T: Value>(rx: &Receiver<T>) -> BoxFuture<'_, Option<T>> {
        mapped(rx.recv_async(), Result::ok)
    }
}

#[test]
fn taking_turns() {
    examine::<Greenlight<OS_THREADS>>(seeds(30_000).map(Schedule::seeded)).assert_none();
}

/// Every cancel at every poll, with every two operations of the other side in between.
#[test]
fn every_cancel() {
    if <Greenlight<OS_THREADS>>::FUTURES {
        examine::<Greenlight<OS_THREADS>>(Schedule::enumerated().step_by(sparsely(5))).assert_none();
    }
}

#[test]
fn strict_taking_turns() {
    examine::<Greenlight<OS_THREADS, true>>(seeds(10_000).map(Schedule::seeded)).assert_none();
}

#[test]
fn strict_between_green_and_os_threads() {
    examine::<Greenlight<BOTH, true>>(thread_seeds(500).map(Schedule::seeded_threads)).assert_none();
}

#[test]
fn on_os_threads() {
    examine::<Greenlight<OS_THREADS>>(thread_seeds(1_000).map(Schedule::seeded_threads)).assert_none();
}

#[test]
fn on_green_threads() {
    examine::<Greenlight<GREEN_THREADS>>(thread_seeds(1_000).map(Schedule::seeded_threads)).assert_none();
}

#[test]
fn between_green_and_os_threads() {
    examine::<Greenlight<BOTH>>(thread_seeds(1_000).map(Schedule::seeded_threads)).assert_none();
}

/// `step`, or every one where somebody asks for a longer search; or what the environment variable `CONSERVATION_STEP` says.
pub(crate) fn sparsely(step: usize) -> usize {
    match std::env::var("CONSERVATION_STEP") {
        Ok(step) => step.parse().expect("CONSERVATION_STEP is a number"),
        Err(_) if std::env::var_os("CONSERVATION_SEEDS").is_some() => 1,
        Err(_) => step,
    }
}
